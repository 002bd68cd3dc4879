//! The desk API's socket. Whoever deletes it shuts the console out; so it is looked after, and made again.
//! Connections that stand go on meanwhile: they do not need the name.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::serve::Listener;
use desk_api::place::socket_elsewhere;
use thiserror::Error;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::disk::DiskTrouble;

/// Between two looks whether the socket is still there.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// The wait after a connection could not be taken, for want of descriptors or memory.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Why the desk API's socket cannot be had.
#[derive(Debug, Error)]
pub enum DoorError {
    /// The socket's path is taken by something else.
    #[error(
        "the socket path {socket} is taken: {what}. Choose another with --socket, or remove what is there"
    )]
    Taken {
        /// The socket's path.
        socket: PathBuf,
        /// What stands at that path.
        what: String,
    },
    /// The socket cannot be opened.
    #[error("the socket {socket} cannot be opened ({error}). Choose another path with --socket")]
    Socket {
        /// The socket's path.
        socket: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

/// Is told when the socket is gone and cannot be made again, with the reason, and when it is there again.
pub(crate) type Tell = Box<dyn Fn(Option<String>) + Send>;

/// The socket, looked after.
pub(crate) struct Door {
    /// Where the socket should be.
    wanted: PathBuf,
    /// Where it is.
    socket: PathBuf,
    listener: UnixListener,
    /// Device and inode of what is ours.
    id: (u64, u64),
    look: Interval,
    tell: Tell,
    shut: bool,
}

impl Door {
    /// Listens at this path; where the disk takes no socket, at one in memory, which the console finds, too.
    pub(crate) fn open(wanted: &Path, tell: Tell) -> Result<Self, DoorError> {
        let (socket, listener, id) = listen_somewhere(wanted)?;
        let mut look = interval(LOOK_EACH);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tell(None);
        Ok(Self { wanted: wanted.to_owned(), socket, listener, id, look, tell, shut: false })
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes the socket again where it is no longer there.
    fn look_after(&mut self) {
        if fs::symlink_metadata(&self.socket).is_ok_and(|there| id(&there) == self.id) {
            return;
        }
        match listen_somewhere(&self.wanted) {
            Ok((socket, listener, id)) => {
                tracing::warn!(socket = %socket.display(), "the socket was gone; it is made again");
                (self.socket, self.listener, self.id) = (socket, listener, id);
                self.shut = false;
                (self.tell)(None);
            }
            Err(error) if !self.shut => {
                tracing::error!(%error, "the socket is gone, and cannot be made again");
                self.shut = true;
                (self.tell)(Some(error.to_string()));
            }
            Err(_) => {}
        }
    }
}

impl Listener for Door {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => return accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::sleep(AFTER_ERROR).await;
                    }
                },
                _ = self.look.tick() => self.look_after(),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Takes the socket away at the end, unless another program listens there by now.
pub(crate) fn remove(wanted: &Path) {
    for socket in socket_elsewhere(wanted).as_deref().into_iter().chain([wanted]) {
        if StdUnixStream::connect(socket).is_ok() {
            continue;
        }
        match fs::remove_file(socket) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "the socket could not be removed"),
        }
    }
}

/// Listens at this path; where the disk takes no socket, at one in memory. Says where.
fn listen_somewhere(wanted: &Path) -> Result<(PathBuf, UnixListener, (u64, u64)), DoorError> {
    match listen(wanted) {
        Ok((listener, id)) => Ok((wanted.to_owned(), listener, id)),
        Err(DoorError::Socket { socket, error }) if DiskTrouble::of(&error).is_some() => {
            let elsewhere = socket_elsewhere(&socket);
            let elsewhere = elsewhere.ok_or(DoorError::Socket { socket, error })?;
            tracing::warn!(socket = %elsewhere.display(), "the disk takes no socket; it is elsewhere");
            let (listener, id) = listen(&elsewhere)?;
            Ok((elsewhere, listener, id))
        }
        Err(other) => Err(other),
    }
}

/// Listens at this path. A socket that a killed daemon left is replaced; anything else is not.
fn listen(socket: &Path) -> Result<(UnixListener, (u64, u64)), DoorError> {
    let taken = |what: &str| DoorError::Taken { socket: socket.to_owned(), what: what.to_owned() };
    let failed = |error| DoorError::Socket { socket: socket.to_owned(), error };
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
    let there = fs::symlink_metadata(socket).map_err(failed)?;
    Ok((listener, id(&there)))
}
