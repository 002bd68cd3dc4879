//! The hub's end of QUIC. Any well-formed key may open a line (`lines::tls`); who holds it, and what that one may do,
//! is looked up at every session and every batch.

use std::net::SocketAddr;
use std::sync::Arc;

use lines::{peer_key, quic};
use quinn::Incoming;
use service::tasks::Tasks;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock;
use crate::db::storage::{LOOK_EACH, Storage};
use crate::db::{Db, HubError, HubFolder};
use crate::ledgers::Taker;
use crate::restored;
use crate::session::{self, FIRST_WORD, Shared};
use crate::status;

/// Lines at once: a region's desks several times over; more are turned away until some end.
const MAX_LINES: usize = 4096;

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
    let endpoint = quic::listen(&key, listen).map_err(|error| failed(error.to_string()))?;
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
    restored::begin(&db).await?;
    Ok(db)
}

/// What the hub looks after beside its sessions, each started again where it fails.
fn watch_all(tasks: &Tasks, shared: &Shared, folder: &HubFolder) -> [JoinHandle<()>; 6] {
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
    let put_back = tasks.supervise("put back", move || {
        let of = of.clone();
        async move { restored::watch(&of.db).await }
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
    [changes, disk, copies, status, clock, put_back]
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
    let Some(key) = peer_key(&connection) else {
        connection.close(1u32.into(), b"no key");
        return;
    };
    let device = crdt_model::ids::DeviceId::of_public_key(&key);
    match session::serve(shared, &connection, key).await {
        Ok(()) => {}
        Err(end @ (session::SessionEnd::Line(_) | session::SessionEnd::Session(_))) => {
            tracing::info!(%device, %end, "a session ended");
        }
        Err(end @ session::SessionEnd::CannotStore(_)) => {
            tracing::debug!(%device, %end, "a session ended");
        }
        Err(error) => tracing::error!(%device, %error, "a session failed"),
    }
    connection.close(0u32.into(), b"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// A line's task is as large as the largest thing that it may ever do, for as long as it idles: what is rare and large
    /// is in a box of its own.
    #[test]
    fn the_task_of_an_idle_line_is_small() {
        let bytes = bytes_of(serve_line);
        assert!(bytes < 8 * 1024, "{bytes} bytes for each line");
    }
}
