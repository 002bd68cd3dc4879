//! The hub's end of QUIC: TLS 1.3 with raw Ed25519 keys (RFC 7250). Any well-formed key may open a
//! line; who holds it, and what that one may do, is looked up at every session and every batch.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use ::ring::hmac;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use rand::RngExt;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use service::tasks::Tasks;
use sync_protocol::message::ALPN;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock;
use crate::db::{Db, HubError, HubFolder};
use crate::ledgers::Taker;
use crate::session::{self, FIRST_WORD, Shared};
use crate::status;
use crate::storage::{LOOK_EACH, Storage};

/// So often a silent line is shown to be alive.
const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// After so long without a word a line is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Lines at once: a region's desks several times over; more are turned away until some end.
const MAX_LINES: usize = 4096;

/// Bytes that a desk may send ahead of the hub's reading: five full batches.
const RECEIVE_WINDOW: u32 = 384 * 1024;

/// Bytes on their way to a desk: a slow one costs the hub no more. At 200 ms round trip this is
/// 5 MB a second.
const SEND_WINDOW: u64 = 1024 * 1024;

/// The length of a connection's id: with 8 random bytes nobody hits one of another desk's.
const CONNECTION_ID_BYTES: usize = 8;

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// Takes any Ed25519 key whose holder proves it.
#[derive(Debug)]
struct AnyDeviceKey {
    algorithms: WebPkiSupportedAlgorithms,
}

/// The 32 bytes of the Ed25519 key in a `SubjectPublicKeyInfo`.
fn ed25519_key(spki: &[u8]) -> Option<&[u8]> {
    spki.strip_prefix(&ED25519_SPKI_PREFIX).filter(|key| key.len() == 32)
}

impl ClientCertVerifier for AnyDeviceKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match ed25519_key(end_entity.as_ref()) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn server_config(key: &[u8]) -> Result<ServerConfig, String> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let said = |error: Error| error.to_string();
    let signing =
        ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_vec())).map_err(said)?;
    let public = signing.public_key().ok_or("the hub's key has no public half")?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], signing);
    let verifier = AnyDeviceKey { algorithms: provider.signature_verification_algorithms };
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(said)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified))));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ServerConfig::with_crypto(Arc::new(quic));
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok())
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
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

/// Serves desks until `stop` is done. `ready` is called with the address when the hub listens.
///
/// # Errors
/// [`HubError`].
pub async fn serve(
    folder: &HubFolder,
    listen: SocketAddr,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), HubError> {
    let _lock = folder.lock()?;
    let (key, _) = folder.key()?;
    tokio::pin!(stop);
    let storage = Arc::new(Storage::new(folder.root()));
    let db = tokio::select! {
        opened = open(folder, &storage) => opened?,
        () = &mut stop => return Ok(()),
    };
    let failed = |why: String| HubError::Listen { address: listen.to_string(), why };
    let config = server_config(&key).map_err(failed)?;
    let endpoint = UdpSocket::bind(listen).and_then(|socket| {
        Endpoint::new(endpoint_config(&key), Some(config), socket, Arc::new(TokioRuntime))
    });
    let endpoint = endpoint.map_err(|error| failed(error.to_string()))?;
    let shared = Shared {
        db: db.clone(),
        taker: Taker::new(db.clone()),
        storage,
        lines: Arc::default(),
        clock_doubtful: Arc::default(),
    };
    let tasks = Tasks::default();
    let watching = watch_all(&tasks, &shared, folder);
    ready(endpoint.local_addr().map_err(|error| failed(error.to_string()))?);
    let lines = Arc::new(Semaphore::new(MAX_LINES));
    loop {
        tokio::select! {
            () = &mut stop => break,
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                // Half full may be an attack with forged senders: who comes shows its address first.
                let busy = lines.available_permits() < MAX_LINES / 2;
                if busy && !incoming.remote_address_validated() {
                    drop(incoming.retry());
                    continue;
                }
                let Ok(permit) = lines.clone().try_acquire_owned() else {
                    incoming.refuse();
                    continue;
                };
                let shared = shared.clone();
                tasks.once("session", async move {
                    serve_line(shared, incoming).await;
                    drop(permit);
                });
            }
        }
    }
    watching.iter().for_each(JoinHandle::abort);
    endpoint.close(0u32.into(), b"the hub is stopping");
    endpoint.wait_idle().await;
    db.close().await;
    Ok(())
}

/// Opens the database. A hub that starts on a full disk waits for room, as one does that runs.
async fn open(folder: &HubFolder, storage: &Arc<Storage>) -> Result<Db, HubError> {
    loop {
        match open_once(folder, storage).await {
            Err(error) if storage.note(&error).is_some() => tokio::time::sleep(LOOK_EACH).await,
            opened => return opened,
        }
    }
}

async fn open_once(folder: &HubFolder, storage: &Arc<Storage>) -> Result<Db, HubError> {
    let db = folder.database_on(storage).await?;
    db.open_run().await?;
    Ok(db)
}

/// What the hub looks after beside its sessions, each started again where it fails.
fn watch_all(tasks: &Tasks, shared: &Shared, folder: &HubFolder) -> [JoinHandle<()>; 5] {
    let of = shared.clone();
    let changes = tasks.supervise("changes", move || {
        let of = of.clone();
        async move { of.db.listen().await }
    });
    let of = shared.clone();
    let disk = tasks.supervise("disk", move || {
        let of = of.clone();
        async move { of.storage.watch(&of.db).await }
    });
    let of = shared.clone();
    let copies = tasks.supervise("copies", move || {
        let of = of.clone();
        async move { of.lines.watch(&of.db, &of.storage).await }
    });
    let (failures, folder) = (tasks.failures(), folder.clone());
    let status = tasks.supervise("status", move || {
        let (failures, folder) = (failures.clone(), folder.clone());
        async move { status::keep(&folder, failures).await }
    });
    let of = shared.clone();
    let clock = tasks.supervise("clock", move || {
        let of = of.clone();
        async move {
            clock::watch(&of.db, &of.clock_doubtful).await;
            Ok::<(), HubError>(())
        }
    });
    [changes, disk, copies, status, clock]
}

async fn serve_line(shared: Shared, incoming: Incoming) {
    // Whoever begins and never ends would keep a line that a desk needs.
    let connection = match timeout(FIRST_WORD, incoming.into_future()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!("a handshake took too long");
            return;
        }
    };
    let identity = connection.peer_identity();
    let shown = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let key = shown.as_deref().and_then(|keys| ed25519_key(keys.first()?.as_ref()));
    let Some(key) = key.map(<[u8]>::to_vec) else {
        connection.close(1u32.into(), b"no key");
        return;
    };
    let device = crdt_model::ids::DeviceId::of_public_key(&key);
    match session::serve(shared, &connection, key).await {
        Ok(()) => {}
        Err(end @ (session::SessionEnd::Line(_) | session::SessionEnd::Goodbye(_))) => {
            tracing::info!(%device, %end, "a session ended");
        }
        Err(end @ session::SessionEnd::CannotStore(_)) => {
            tracing::debug!(%device, %end, "a session ended");
        }
        Err(error) => tracing::error!(%device, %error, "a session failed"),
    }
    connection.close(0u32.into(), b"");
}
