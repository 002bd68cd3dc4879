//! Lines: ordered bytes between two keys. Who holds a key, and what that one may say, is decided above; what is said,
//! in `sync-protocol`.
//!
//! [`tls`] proves the keys, [`quic`] sets the transport up for both ends, [`connect`] calls a hub.

pub mod connect;
pub mod quic;
mod socket;
pub mod tls;

/// The 32 bytes of the key with which the other end of a QUIC connection proved itself.
pub fn peer_key(connection: &quinn::Connection) -> Option<Vec<u8>> {
    let shown = connection.peer_identity()?.downcast::<Vec<tls::ShownKey>>().ok()?;
    tls::ed25519_key(shown.first()?.as_ref()).map(<[u8]>::to_vec)
}
