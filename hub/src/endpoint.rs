//! The hub's end of QUIC. Any well-formed key may open a line (`lines::tls`); who holds it, and what that one may do,
//! is looked up at every session and every batch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lines::{peer_key, quic};
use quinn::Incoming;
use service::tasks::Tasks;
use sqlx::SqlitePool;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock;
use crate::db::{HubError, HubFolder};
use crate::session::{self, FIRST_WORD, Shared};
use crate::status;
use crate::storage::{LOOK_EACH, Storage};

/// Lines at once: a region's desks several times over; more are turned away until some end.
const MAX_LINES: usize = 4096;

/// How often changes by other processes (the command line) are looked for.
const LOOK_FOR_CHANGES: Duration = Duration::from_millis(500);

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
    let pool = tokio::select! {
        opened = open(folder, &storage) => opened?,
        () = &mut stop => return Ok(()),
    };
    let failed = |why: String| HubError::Listen { address: listen.to_string(), why };
    let endpoint = quic::listen(&key, listen).map_err(|error| failed(error.to_string()))?;
    let changed = watch::Sender::new(0);
    let shared = Shared {
        pool: pool.clone(),
        changed,
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
    pool.close().await;
    Ok(())
}

/// Opens the database. A hub that starts on a full disk waits for room, as one does that runs.
async fn open(folder: &HubFolder, storage: &Arc<Storage>) -> Result<SqlitePool, HubError> {
    loop {
        match folder.database_on(storage).await {
            Err(error) if storage.note(&error).is_some() => tokio::time::sleep(LOOK_EACH).await,
            opened => return opened,
        }
    }
}

/// What the hub looks after beside its sessions, each started again where it fails.
fn watch_all(tasks: &Tasks, shared: &Shared, folder: &HubFolder) -> [JoinHandle<()>; 5] {
    let of = shared.clone();
    let changes = tasks.supervise("changes", move || {
        let of = of.clone();
        async move { watch_for_changes(&of).await }
    });
    let of = shared.clone();
    let disk = tasks.supervise("disk", move || {
        let of = of.clone();
        async move { of.storage.watch(&of.pool).await }
    });
    let of = shared.clone();
    let copies = tasks.supervise("copies", move || {
        let of = of.clone();
        async move { of.lines.watch(&of.pool, &of.storage).await }
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
            clock::watch(&of.pool, &of.clock_doubtful).await;
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
    let Some(key) = peer_key(&connection) else {
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

/// What is compared: the catalogue's version, the log's, how many desks are revoked, the newest sealed
/// part, how many grants are in which state, the version of the card keys.
type Known = (Option<Vec<u8>>, i64, i64, i64, String, Option<i64>);

/// The command line changes the database from another process: desks are told all the same.
async fn watch_for_changes(shared: &Shared) -> Result<(), HubError> {
    // Nothing is known at first: where this task was started again, the first look tells what changed meanwhile.
    let mut known = None;
    loop {
        let found: Result<Known, _> = sqlx::query_as(
            "SELECT (SELECT value FROM meta WHERE name = 'catalogue'),
                    (SELECT COALESCE(MAX(version), 0) FROM accepted),
                    (SELECT COUNT(*) FROM device WHERE revoked_at IS NOT NULL),
                    (SELECT COALESCE(MAX(version), 0) FROM holder),
                    (SELECT COALESCE(group_concat(state || n), '')
                     FROM (SELECT state, COUNT(*) AS n FROM stock_grant GROUP BY state)),
                    (SELECT version FROM card_keys_version)",
        )
        .fetch_one(&shared.pool)
        .await;
        match found.map_err(HubError::from) {
            Ok(found) => {
                if known.as_ref() != Some(&found) {
                    shared.changed.send_modify(|count| *count += 1);
                }
                known = Some(found);
            }
            // The disk's troubles are said once, and what changes meanwhile is seen afterwards.
            Err(error) if shared.storage.note(&error).is_some() => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_FOR_CHANGES).await;
    }
}
