//! Calling the hub: every call on a new endpoint, so that a change of network does no harm.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quinn::{Connection, Endpoint};
use thiserror::Error;

use crate::quic::client_config;
use crate::tls::{PinnedKey, TlsError};

/// So long one address is tried.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The name in the TLS handshake. Keys are pinned, so it proves nothing and is the same for all.
const SERVER_NAME: &str = "stempel-hub";

/// Why the hub cannot be called.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Another hub answers: its key is not the pinned one.
    #[error(
        "the hub at {address} has another key than the one this desk was enrolled with. Nothing was sent. Either the hub was set up anew, or somebody is in between: tell an operator"
    )]
    OtherKey {
        /// Which address.
        address: String,
    },
    /// No address answers.
    #[error("the hub cannot be reached at {address} ({why})")]
    Unreachable {
        /// The last one that was tried.
        address: String,
        /// What happened.
        why: String,
    },
    /// Neither the key nor the configuration fit.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Connects to the first of these addresses that answers with the pinned key.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(
    key: &[u8],
    hub_key: [u8; 32],
    addresses: &[String],
) -> Result<(Endpoint, Connection, Arc<PinnedKey>), ConnectError> {
    let (config, pinned) = client_config(key, hub_key)?;
    let mut last = ConnectError::Unreachable {
        address: "no address".to_owned(),
        why: "the enrolment names none".to_owned(),
    };
    for address in addresses {
        let unreachable = |why: String| ConnectError::Unreachable { address: address.clone(), why };
        let resolved: Vec<SocketAddr> = if let Ok(resolved) = tokio::net::lookup_host(address).await
        {
            resolved.collect()
        } else {
            last = unreachable("there is no internet, or the name is not known".to_owned());
            continue;
        };
        for target in resolved {
            match attempt(&config, target).await {
                Ok((endpoint, connection)) => return Ok((endpoint, connection, pinned)),
                Err(_) if pinned.other_key.load(Ordering::Relaxed) => {
                    return Err(ConnectError::OtherKey { address: address.clone() });
                }
                Err(why) => last = unreachable(why),
            }
        }
    }
    Err(last)
}

async fn attempt(
    config: &quinn::ClientConfig,
    target: SocketAddr,
) -> Result<(Endpoint, Connection), String> {
    let any: SocketAddr = if target.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let endpoint = Endpoint::client(any).map_err(|error| error.to_string())?;
    let connecting = endpoint
        .connect_with(config.clone(), target, SERVER_NAME)
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok((endpoint, connection)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}
