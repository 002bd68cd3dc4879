//! The daemon: one for each desk folder. It answers the desk API and keeps the link to the hub.

use std::convert::Infallible;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crdt_model::surroundings::Surroundings;
use futures_util::future::BoxFuture;
use service::ending::Stop;
use service::surroundings::System;
use service::tasks::{Failures, Tasks};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::api::router;
use crate::desk::{Desk, DeskError, NextLook};
use crate::disk::DiskTrouble;
use crate::door::{self, Door, DoorError};
use crate::hub_link::{SharedDesk, keep_linked, lock, look_at_clocks};
use crate::paths::DeskFolder;

/// The pause between an alarm and the look.
const ALARM_PAUSE: Duration = Duration::from_millis(100);

/// The pause between two parts of a check of the pass list, so that taps get the lock: `std::sync::Mutex` is not fair.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at the ledger files: a removed file is noticed without a tap.
const FILES_LOOKED_AT_EACH: Duration = Duration::from_secs(5);

/// Why the daemon does not run.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Another daemon has this folder.
    #[error(
        "another stempel-syncd is already running on {folder}. One daemon serves a desk; use that one, or stop it first"
    )]
    AlreadyRunning {
        /// The desk's folder.
        folder: PathBuf,
    },
    /// The folder cannot be used.
    #[error(
        "the desk's folder {folder} cannot be written ({error}). Nothing could be recorded there, so the desk does not start. Choose another with --folder, or change who owns it"
    )]
    Folder {
        /// The desk's folder.
        folder: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The mark would be copied along with the folder.
    #[error(
        "the marks' folder {marks} is inside the desk's folder, and a copy of that would take it along. Choose another with --marks"
    )]
    Marks {
        /// The marks' folder.
        marks: PathBuf,
    },
    /// The desk API's socket cannot be had.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The desk cannot start.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The system gives no signals.
    #[error("the daemon could not be told to stop, so it does not start: {0}")]
    Signals(io::Error),
}

/// Runs the daemon until it is told to stop (SIGTERM, ctrl-c). `ready` is called with the socket
/// when the desk API answers.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(
    folder: DeskFolder,
    socket: Option<PathBuf>,
    ready: impl FnOnce(&Path),
) -> Result<(), DaemonError> {
    let stop = Stop::on_signals().map_err(DaemonError::Signals)?;
    if folder.holds(&folder.marks()) {
        return Err(DaemonError::Marks { marks: folder.marks() });
    }
    let _lock = take_folder(&folder)?;
    let socket = socket.unwrap_or_else(|| folder.socket());
    let system: Arc<dyn Surroundings> = Arc::new(System);
    let epoch = u32::from_le_bytes(system.random());
    let (desk, key) = tokio::task::block_in_place(|| Desk::open(folder, epoch, system))?;
    let desk = Arc::new(Mutex::new(desk));
    let door = open_door(&socket, &desk)?;
    let listens = door.socket().to_owned();
    let at_once = Arc::new(Notify::new());
    let tasks = Tasks::default();
    let link = tasks.supervise("link", {
        let (desk, at_once) = (desk.clone(), at_once.clone());
        move || {
            let (desk, key, at_once) = (desk.clone(), key.clone(), at_once.clone());
            async move { Err(keep_linked(desk, key, at_once).await) }
        }
    });
    let others = [
        tasks.supervise("signals", move || asked_to_connect(at_once.clone())),
        for_ever(&tasks, "clock", &desk, look_at_clocks),
        for_ever(&tasks, "disk", &desk, look_after),
        for_ever(&tasks, "files", &desk, look_after_files),
        tasks.supervise("status", {
            let (desk, failures) = (desk.clone(), tasks.failures());
            move || tell_failures(desk.clone(), failures.clone())
        }),
        tasks.supervise("desk-api", serve(door, socket.clone(), desk.clone())),
    ];
    ready(&listens);
    stop.asked().await;
    others.iter().for_each(JoinHandle::abort);
    link.abort();
    // The link is gone before the socket: whoever sees no socket sees no half-open session either.
    let _ = link.await;
    for other in others {
        let _ = other.await;
    }
    door::remove(&socket);
    lock(&desk).close();
    Ok(())
}

/// Supervises a task that works with the desk and has no end.
fn for_ever<F: Future<Output = Infallible> + Send + 'static>(
    tasks: &Tasks,
    name: &'static str,
    desk: &SharedDesk,
    work: impl Fn(SharedDesk) -> F + Send + 'static,
) -> JoinHandle<()> {
    let desk = desk.clone();
    tasks.supervise(name, move || {
        let run = work(desk.clone());
        async move { Err::<(), Infallible>(run.await) }
    })
}

fn open_door(socket: &Path, desk: &SharedDesk) -> Result<Door, DoorError> {
    let desk = desk.clone();
    Door::open(socket, Box::new(move |gone| lock(&desk).note_socket(gone)))
}

/// Makes the task that answers the desk API: first at this door, and at another one where it failed.
fn serve(
    door: Door,
    socket: PathBuf,
    desk: SharedDesk,
) -> impl FnMut() -> BoxFuture<'static, Result<(), String>> + Send {
    let mut first = Some(door);
    move || {
        let (first, socket, desk) = (first.take(), socket.clone(), desk.clone());
        Box::pin(async move {
            let said = |error: &dyn std::error::Error| error.to_string();
            let door = match first {
                Some(door) => door,
                None => open_door(&socket, &desk).map_err(|error| said(&error))?,
            };
            serve_on_own_thread(door, desk).await.map_err(|error| said(&error))
        })
    }
}

/// Answers the desk API on a thread of its own. Every answer waits for the desk's lock and many for the disk: on the
/// threads of the links that would hold up the links, or wake another thread for each tap, which a visitor waits for.
async fn serve_on_own_thread(door: Door, desk: SharedDesk) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Its end is that of this future: then the thread stops serving, and closes its connections.
    let (serving, mut given_up) = oneshot::channel::<Infallible>();
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name("desk-api".to_owned()).spawn(move || {
        let served = runtime.block_on(async {
            let served = axum::serve(door, router(desk)).into_future();
            tokio::select! {
                served = served => served,
                _ = &mut given_up => Ok(()),
            }
        });
        // Nobody waits any more where this was given up.
        let _ = ended.send(served);
    })?;
    let served = end.await.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
    drop(serving);
    served
}

/// Looks after disk and pass list for as long as the daemon runs: at once where something is the matter, and from time
/// to time.
async fn look_after(desk: SharedDesk) -> Infallible {
    let alarm = lock(&desk).alarm();
    loop {
        // A look tries the disk out, so this thread is given to it. Nobody waits for the trial: it runs without the lock.
        let next = tokio::task::block_in_place(|| {
            let trials = lock(&desk).trials();
            let tried = trials.run();
            lock(&desk).look_after(&tried)
        });
        match next {
            NextLook::AtOnce => tokio::time::sleep(CHECK_PAUSE).await,
            NextLook::After(wait) => {
                let alarmed = tokio::time::timeout(wait, alarm.notified()).await.is_ok();
                if alarmed {
                    // Limits how often a repeated alarm triggers a look.
                    tokio::time::sleep(ALARM_PAUSE).await;
                }
            }
        }
    }
}

/// SIGUSR1 asks the link to try again at once, as a network manager's hook does.
async fn asked_to_connect(at_once: Arc<Notify>) -> io::Result<()> {
    let mut asked = signal(SignalKind::user_defined1())?;
    while asked.recv().await.is_some() {
        at_once.notify_one();
    }
    Ok(())
}

/// Looks after the ledger files for as long as the daemon runs.
async fn look_after_files(desk: SharedDesk) -> Infallible {
    loop {
        tokio::time::sleep(FILES_LOOKED_AT_EACH).await;
        tokio::task::block_in_place(|| lock(&desk).check_ledger_files());
    }
}

/// What failed in the daemon is a part of the desk's status.
async fn tell_failures(
    desk: SharedDesk,
    mut failures: watch::Receiver<Failures>,
) -> Result<(), Infallible> {
    while failures.changed().await.is_ok() {
        let failed = failures.borrow_and_update().clone();
        lock(&desk).note_failures(failed);
    }
    Ok(())
}

/// Makes the folder and takes its locks: that of the folder itself, which needs no room on the disk, and that of
/// `desk.lock` where this file is there or can be made. Every daemon takes the first, so that two of them exclude each
/// other whatever the disk took from either. The locks go with the process, however that ends.
fn take_folder(folder: &DeskFolder) -> Result<Vec<File>, DaemonError> {
    let failed = |error| DaemonError::Folder { folder: folder.root().to_owned(), error };
    folder.create().map_err(failed)?;
    let of_folder = File::open(folder.root()).map_err(failed)?;
    let path = folder.lock();
    let opened =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let of_file = match opened {
        Ok(file) => Some(file),
        Err(error) if DiskTrouble::of(&error).is_some() => File::open(&path).ok(),
        Err(error) => return Err(failed(error)),
    };
    let (mut locked, mut refused) = (Vec::new(), None);
    for file in [Some(of_folder), of_file].into_iter().flatten() {
        match file.try_lock() {
            Ok(()) => locked.push(file),
            Err(TryLockError::WouldBlock) => {
                return Err(DaemonError::AlreadyRunning { folder: folder.root().to_owned() });
            }
            // Some file systems lock no folders, or nothing that is open for reading only.
            Err(TryLockError::Error(error)) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if locked.is_empty() => Err(failed(error)),
        Some(_) | None => Ok(locked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_daemons_exclude_each_other_also_where_one_could_not_make_its_lock_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = DeskFolder::new(root.path());
        let first = take_folder(&folder).unwrap();
        // As after a start on a full disk.
        std::fs::remove_file(folder.lock()).unwrap();
        let second = take_folder(&folder);
        assert!(matches!(second, Err(DaemonError::AlreadyRunning { .. })), "{second:?}");
        drop(first);
        assert_eq!(take_folder(&folder).unwrap().len(), 2);
    }
}
