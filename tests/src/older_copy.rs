//! Older copies of a hub, and hubs that are restored from them: what an operator does after a disk has failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Hub;

/// What an older copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The database alone: whatever else the hub keeps in its folder stays as it is.
    Database,
    /// The whole machine, as a snapshot of it does: all files of the hub are as they were.
    Machine,
}

/// How the database is copied, and put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Its files are copied while the hub stands still.
    Files,
    /// `stempel-hub backup` while the hub runs, `stempel-hub restore` while it stands still.
    Commands,
}

impl Means {
    /// What there is for the database of this run of the tests: only one that is a file can be copied as a file.
    pub fn of_this_database() -> Self {
        match std::env::var_os("STEMPEL_TEST_POSTGRES") {
            None => Self::Files,
            Some(_) => Self::Commands,
        }
    }
}

/// An older copy of a hub.
#[derive(Debug)]
pub struct OlderCopy {
    part: Part,
    means: Means,
    /// The hub's files as they were; with [`Means::Commands`] without the database's.
    folder: PathBuf,
    /// What `stempel-hub backup` wrote.
    backup: PathBuf,
}

impl Hub {
    /// An older copy of this hub, which runs before and after.
    ///
    /// # Panics
    /// Where it cannot be copied.
    pub fn older_copy(&mut self, part: Part) -> OlderCopy {
        self.older_copy_by(Means::of_this_database(), part)
    }

    /// The same, by these means.
    ///
    /// # Panics
    /// Where it cannot be copied.
    pub fn older_copy_by(&mut self, means: Means, part: Part) -> OlderCopy {
        let copy = OlderCopy {
            part,
            means,
            folder: self.folder.with_extension("older"),
            backup: self.folder.with_extension("backup"),
        };
        if means == Means::Commands {
            self.run(&["backup", &copy.backup.display().to_string()]);
        }
        self.stop();
        copy_folder(&self.folder, &copy.folder);
        self.go();
        copy
    }

    /// Stops this hub and puts an older copy back. The hub stands still then.
    ///
    /// # Panics
    /// Where that fails.
    pub fn restore(&mut self, copy: &OlderCopy) {
        self.stop();
        match (copy.means, copy.part) {
            (_, Part::Machine) => {
                fs::remove_dir_all(&self.folder).expect("the hub's folder can be removed");
                copy_folder(&copy.folder, &self.folder);
            }
            (Means::Files, Part::Database) => {
                for old in database_files(&self.folder) {
                    fs::remove_file(old).expect("the database can be removed");
                }
                for file in database_files(&copy.folder) {
                    let name = file.file_name().expect("a file has a name");
                    fs::copy(&file, self.folder.join(name)).expect("the database can be put back");
                }
            }
            (Means::Commands, Part::Database) => {}
        }
        if copy.means == Means::Commands {
            self.run(&["restore", &copy.backup.display().to_string()]);
        }
    }
}

/// The files of a database in a hub's folder, its write-ahead log among them.
fn database_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("the hub has a folder").flatten();
    let paths = files.map(|file| file.path());
    paths
        .filter(|path| {
            path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"hub.db"))
        })
        .collect()
}

/// Copies a folder to a place where there is none.
fn copy_folder(from: &Path, to: &Path) {
    assert!(!to.exists(), "one copy of each hub: there is {} already", to.display());
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp is there").success(), "{} can be copied", from.display());
}
