//! Where the desk API is to be found: the desk's folder and the socket in it. Daemon and console must come to the same
//! answer, so both ask here.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use etcetera::BaseStrategy;
use ring::digest::{SHA256, digest};

/// The desk's folder unless somebody says otherwise: `stempel` in the user's data folder.
pub fn default_folder() -> PathBuf {
    etcetera::choose_base_strategy()
        .map_or_else(|_| PathBuf::from("stempel-data"), |base| base.data_dir().join("stempel"))
}

/// The desk API's socket in a desk's folder.
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join("desk.sock")
}

/// Where the desk API's socket is where the desk's folder takes none, because its disk is read-only or full: in a folder
/// of this user's own, which is in memory. Daemon and console ask the same; nothing where there is no such folder.
pub fn socket_elsewhere(socket: &Path) -> Option<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let of_session = PathBuf::from(format!("/run/user/{user}"));
    let folder = if of_session.is_dir() {
        of_session
    } else {
        let own = std::env::temp_dir().join(format!("stempel-{user}"));
        // An error says that it is there, or cannot be made: looked at next.
        let _ = fs::DirBuilder::new().mode(0o700).create(&own);
        own
    };
    // Whoever can write there could answer in the daemon's place.
    let found = fs::symlink_metadata(&folder).ok()?;
    let private = found.is_dir() && found.uid() == user && found.mode().trailing_zeros() >= 6;
    let parent = socket.parent()?.canonicalize().ok()?;
    let name = digest(&SHA256, parent.join(socket.file_name()?).as_os_str().as_bytes());
    let name = HEXLOWER.encode(&name.as_ref()[..8]);
    private.then(|| folder.join(format!("stempel-{name}.sock")))
}
