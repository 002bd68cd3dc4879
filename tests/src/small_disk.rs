//! A file system of its own in memory, to be filled. Mounting needs root, as in CI; where nothing can be mounted,
//! `STEMPEL_NO_MOUNTS=1` leaves out the tests that need it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk, mounted until this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// A disk of 24 MiB at this folder, which is made where it is not there. None where this user may not mount one and
    /// `STEMPEL_NO_MOUNTS=1` says that this is known.
    ///
    /// # Panics
    /// Where the folder cannot be made, or nothing can be mounted and nobody said so.
    pub fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("the world's folder can be written");
        let mounted = mount(&["-t", "tmpfs", "-o", "size=24m,mode=700", "stempel-test"], folder);
        assert!(
            mounted || std::env::var_os("STEMPEL_NO_MOUNTS").is_some_and(|set| set == "1"),
            "this user may not mount a small disk: run the tests as root, or set STEMPEL_NO_MOUNTS=1 to leave out those that need one"
        );
        if !mounted {
            eprintln!("SKIPPED: STEMPEL_NO_MOUNTS=1 says that no small disk can be mounted here");
        }
        mounted.then(|| Self { folder: folder.to_owned() })
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Writes until there is no room for a byte.
    ///
    /// # Panics
    /// Where nothing can be written at all.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("the disk takes a file");
        for size in [64 * 1024, 4096, 1] {
            let bytes = vec![1; size];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    /// Takes away what filled it.
    ///
    /// # Panics
    /// Where nothing did.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("the disk was filled");
    }

    /// Mounts it `ro` or `rw`. The system does not let a disk be made read-only under a file that is being written.
    ///
    /// # Panics
    /// Where the system says no.
    pub fn remount(&self, how: &str) {
        assert!(mount(&["-o", &format!("remount,{how}")], &self.folder), "{how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for a program may still be about to end there.
        unmount(&self.folder);
    }
}

/// A folder that is to be found at another place, too, until this is dropped.
#[derive(Debug)]
pub struct BindMount {
    at: PathBuf,
}

impl BindMount {
    /// Mounts `folder` at this place.
    ///
    /// # Panics
    /// Where the system says no.
    pub fn new(folder: &Path, at: &Path) -> Self {
        let from = folder.display().to_string();
        assert!(mount(&["--bind", &from], at), "{from} at {}", at.display());
        Self { at: at.to_owned() }
    }

    /// The same, read-only. What is open in the folder stays as it is.
    ///
    /// # Panics
    /// Where the system says no.
    pub fn read_only(folder: &Path, at: &Path) -> Self {
        let mounted = Self::new(folder, at);
        assert!(mount(&["-o", "remount,bind,ro"], at), "{} read-only", at.display());
        mounted
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}

/// Takes a mount away as soon as nobody uses it.
fn unmount(folder: &Path) {
    // Nothing can be done where it is not mounted.
    let _ = Command::new("umount").arg("--lazy").arg(folder).output();
}

/// Whether mount(8) does this at this folder.
fn mount(arguments: &[&str], folder: &Path) -> bool {
    let done = Command::new("mount").args(arguments).arg(folder).output();
    done.is_ok_and(|output| output.status.success())
}
