//! QUIC, as both ends set it up: how long silence may last, and how much may be on its way.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Runtime,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use rand::RngExt;
use ring::hmac;

use crate::socket::FewAtOnce;
use crate::tls::{PinnedKey, TlsError, answering, calling};

/// So often a silent line is shown to be alive.
pub const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// After so long without a word a line is given up.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a desk may send ahead of the hub's reading: five full batches.
const RECEIVE_WINDOW: u32 = 384 * 1024;

/// Bytes on their way to a desk: a slow one costs the hub no more. At 200 ms round trip this is
/// 5 MB a second.
const SEND_WINDOW: u64 = 1024 * 1024;

/// The length of a connection's id: with 8 random bytes nobody hits one of another desk's.
const CONNECTION_ID_BYTES: usize = 8;

/// What is the same at both ends. Nobody opens a stream in one direction.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok())
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    transport
}

/// How a desk calls: `key` is its private key in PKCS#8, `pinned` the SHA-256 of the key that must answer.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(
    key: &[u8],
    pinned: [u8; 32],
) -> Result<(ClientConfig, Arc<PinnedKey>), TlsError> {
    let (tls, pinned) = calling(key, pinned)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = transport();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    config.transport_config(Arc::new(transport));
    Ok((config, pinned))
}

/// How a hub answers: `key` is its private key in PKCS#8. A desk opens one stream.
fn server_config(key: &[u8]) -> Result<ServerConfig, TlsError> {
    let quic = QuicServerConfig::try_from(answering(key)?)?;
    let mut config = ServerConfig::with_crypto(Arc::new(quic));
    let mut transport = transport();
    transport
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(1));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// What a QUIC endpoint of this hub is, whenever it is started: to desks that go on with a connection of the run
/// before, it proves that the connection is gone (RFC 9000, 10.3), so that they come back at once. The key of that
/// proof follows from the hub's own.
fn endpoint_config(key: &[u8]) -> EndpointConfig {
    let own = hmac::Key::new(hmac::HMAC_SHA256, key);
    let reset = hmac::sign(&own, b"stempel hub: stateless resets");
    let reset = hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref());
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(|| Box::new(ConnectionIds));
    config
}

/// Random ids of connections. quinn's own are hashed with a key of each run, and packets with others are dropped
/// without the proof.
struct ConnectionIds;

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::rng().random::<[u8; CONNECTION_ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Why a hub cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Neither the key nor the configuration fit.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be had.
    #[error(transparent)]
    Address(#[from] io::Error),
}

/// Listens at this address for whoever proves an Ed25519 key. `key` is the hub's private key in PKCS#8. Must be called
/// inside a Tokio runtime.
///
/// # Errors
/// [`ListenError`].
pub fn listen(key: &[u8], address: SocketAddr) -> Result<Endpoint, ListenError> {
    let config = server_config(key)?;
    let socket = UdpSocket::bind(address)?;
    let runtime = Arc::new(TokioRuntime);
    let socket = Arc::new(FewAtOnce(runtime.wrap_udp_socket(socket)?));
    Ok(Endpoint::new_with_abstract_socket(endpoint_config(key), Some(config), socket, runtime)?)
}
