//! The daemon: one for each desk folder. It answers the desk API and keeps the link to the hub.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::desk::{Desk, DeskError, NextLook};
use crate::desk_api::server::router;
use crate::disk::DiskTrouble;
use crate::hub_link::{SharedDesk, keep_linked, lock};
use crate::paths::{DeskFolder, socket_elsewhere};

/// The pause between an alarm and the look.
const ALARM_PAUSE: Duration = Duration::from_millis(100);

/// Why the daemon does not run.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Another daemon has this folder.
    #[error(
        "another stempel-syncd is already running on {folder}. One daemon serves a desk; use that one, or stop it first"
    )]
    AlreadyRunning {
        /// Which folder.
        folder: PathBuf,
    },
    /// The folder cannot be used.
    #[error(
        "the desk's folder {folder} cannot be written ({error}). Nothing could be recorded there, so the desk does not start. Choose another with --folder, or change who owns it"
    )]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The socket's path is taken by something else.
    #[error(
        "the socket path {socket} is taken: {what}. Choose another with --socket, or remove what is there"
    )]
    SocketTaken {
        /// Which.
        socket: PathBuf,
        /// By what.
        what: String,
    },
    /// The socket cannot be opened.
    #[error("the socket {socket} cannot be opened ({error}). Choose another path with --socket")]
    Socket {
        /// Which.
        socket: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The desk cannot start.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The desk API broke.
    #[error("the desk API broke off: {0}")]
    Serve(io::Error),
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
    let _lock = take_folder(&folder)?;
    let socket = socket.unwrap_or_else(|| folder.socket());
    let epoch = rand::rng().random();
    let (desk, key) = tokio::task::block_in_place(|| Desk::open(folder, epoch))?;
    let (listener, socket) = listen_somewhere(socket)?;
    let desk = Arc::new(Mutex::new(desk));
    let at_once = Arc::new(Notify::new());
    let link = tokio::spawn(keep_linked(desk.clone(), key, at_once.clone()));
    let asked = tokio::spawn(asked_to_connect(at_once));
    let looked_after = tokio::spawn(look_after(desk.clone()));
    ready(&socket);
    let served = tokio::select! {
        served = async { axum::serve(listener, router(desk.clone())).await } => served,
        () = told_to_stop() => Ok(()),
    };
    asked.abort();
    looked_after.abort();
    link.abort();
    // The link is gone before the socket: whoever sees no socket sees no half-open session either.
    let _ = link.await;
    if let Err(error) = fs::remove_file(&socket) {
        tracing::warn!(%error, "the socket could not be removed");
    }
    lock(&desk).close();
    served.map_err(DaemonError::Serve)
}

/// Looks after disk and pass list for as long as the daemon runs: at once where something is the matter, and from time
/// to time.
async fn look_after(desk: SharedDesk) {
    let alarm = lock(&desk).alarm();
    loop {
        // A look tries the disk out, so this thread is given to it.
        let next = tokio::task::block_in_place(|| lock(&desk).look_after());
        match next {
            NextLook::AtOnce => tokio::task::yield_now().await,
            NextLook::After(wait) => {
                let alarmed = tokio::time::timeout(wait, alarm.notified()).await.is_ok();
                if alarmed {
                    // Whatever cries for help at every turn is looked at once in a while.
                    tokio::time::sleep(ALARM_PAUSE).await;
                }
            }
        }
    }
}

/// SIGUSR1 asks the link to try again at once, as a network manager's hook does.
async fn asked_to_connect(at_once: Arc<Notify>) {
    let Ok(mut asked) = signal(SignalKind::user_defined1()) else { return };
    while asked.recv().await.is_some() {
        at_once.notify_one();
    }
}

async fn told_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        interrupted = tokio::signal::ctrl_c() => drop(interrupted),
    }
}

/// Makes the folder and takes its lock. The lock goes with the process, however that ends.
fn take_folder(folder: &DeskFolder) -> Result<File, DaemonError> {
    let failed = |error| DaemonError::Folder { folder: folder.root().to_owned(), error };
    folder.create().map_err(failed)?;
    let path = folder.lock();
    let opened =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = match opened {
        Ok(file) => file,
        // A lock needs no room: on such a disk that of the file that is there will do, or of the folder itself.
        Err(error) if DiskTrouble::of(&error).is_some() => {
            File::open(&path).or_else(|_| File::open(folder.root())).map_err(failed)?
        }
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(DaemonError::AlreadyRunning { folder: folder.root().to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Listens at this path; where the disk takes no socket, at one in memory, which the console finds too.
fn listen_somewhere(socket: PathBuf) -> Result<(UnixListener, PathBuf), DaemonError> {
    match listen(&socket) {
        Ok(listener) => Ok((listener, socket)),
        Err(DaemonError::Socket { socket, error }) if DiskTrouble::of(&error).is_some() => {
            let elsewhere = socket_elsewhere(&socket);
            let elsewhere = elsewhere.ok_or(DaemonError::Socket { socket, error })?;
            tracing::warn!(socket = %elsewhere.display(), "the disk takes no socket; it is elsewhere");
            Ok((listen(&elsewhere)?, elsewhere))
        }
        Err(other) => Err(other),
    }
}

/// Listens at this path. A socket that a killed daemon left is replaced; anything else is not.
fn listen(socket: &Path) -> Result<UnixListener, DaemonError> {
    use std::os::unix::fs::FileTypeExt;
    let taken =
        |what: &str| DaemonError::SocketTaken { socket: socket.to_owned(), what: what.to_owned() };
    let failed = |error| DaemonError::Socket { socket: socket.to_owned(), error };
    match fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(taken("a file that is no socket is there"));
        }
        Ok(_) if StdUnixStream::connect(socket).is_ok() => {
            return Err(taken("another program answers there"));
        }
        Ok(_) => fs::remove_file(socket).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(socket).map_err(failed)?;
    // The socket is the right to write to the ledgers: for the desk's user only.
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
