//! What has to survive a power cut: all that the desk makes durable goes through here, so that a simulation can see what a
//! power cut would have left, and can have the disk refuse.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Sees what is made durable below a folder.
pub trait Watch: Debug + Send + Sync {
    /// What was written to this file so far is to be durable.
    ///
    /// # Errors
    /// What the disk says: then it is not.
    fn contents(&self, file: &Path) -> io::Result<()>;

    /// The names in this folder are to be durable.
    ///
    /// # Errors
    /// What the disk says: then they are not.
    fn names(&self, folder: &Path) -> io::Result<()>;
}

type Watched = (PathBuf, Arc<dyn Watch>);

static WATCHED: RwLock<Vec<Watched>> = RwLock::new(Vec::new());

/// Whether anything is watched: nothing is, but in simulations.
static ANY: AtomicBool = AtomicBool::new(false);

/// A folder is watched for as long as this lives.
#[derive(Debug)]
pub struct Watching(PathBuf);

/// Watches what is made durable below this folder.
pub fn watch(folder: &Path, watch: Arc<dyn Watch>) -> Watching {
    let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
    watched.push((folder.to_owned(), watch));
    ANY.store(true, Ordering::Relaxed);
    Watching(folder.to_owned())
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(folder, _)| *folder != self.0);
    }
}

fn watch_of(path: &Path) -> Option<Arc<dyn Watch>> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    let watched = WATCHED.read().unwrap_or_else(PoisonError::into_inner);
    watched.iter().find(|(folder, _)| path.starts_with(folder)).map(|(_, watch)| watch.clone())
}

/// Makes what was written to this file durable: `fdatasync`.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_data(file: &File, path: &Path) -> io::Result<()> {
    match watch_of(path) {
        Some(watch) => watch.contents(path),
        None => file.sync_data(),
    }
}

/// Makes what was written to this file durable, its length and rights included: `fsync`.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_all(file: &File, path: &Path) -> io::Result<()> {
    match watch_of(path) {
        Some(watch) => watch.contents(path),
        None => file.sync_all(),
    }
}

/// Makes the names in this folder durable.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_names(folder: &Path) -> io::Result<()> {
    match watch_of(folder) {
        Some(watch) => watch.names(folder),
        None => File::open(folder)?.sync_all(),
    }
}
