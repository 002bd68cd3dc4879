//! A wall clock for one process, which a test sets while the process runs: libfaketime, from Debian's `faketime`.

use std::path::{Path, PathBuf};

use crate::program;

/// The wall clock of one process.
#[derive(Debug, Clone)]
pub struct FakedClock {
    file: PathBuf,
}

impl FakedClock {
    /// A clock that shows this: `+0`, `+3h`, `-2d`, or `@1970-01-01 12:00:00`.
    ///
    /// # Panics
    /// Where the folder cannot be written.
    pub fn new(world: &Path, name: &str, shows: &str) -> Self {
        let clock = Self { file: world.join(format!("{name}.clock")) };
        clock.set(shows);
        clock
    }

    /// Sets it.
    ///
    /// # Panics
    /// Where its file cannot be written.
    pub fn set(&self, shows: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{shows}\n")).expect("the world's folder can be written");
        std::fs::rename(&new, &self.file).expect("the world's folder can be written");
    }

    /// The clock of the process with this folder, so many milliseconds ahead of this computer's.
    ///
    /// # Panics
    /// Where its file cannot be written.
    pub fn ahead(folder: &Path, ahead: i64) -> Self {
        let clock = Self { file: folder.with_extension("clock") };
        clock.set(&format!("{:+}", ahead / 1000));
        clock
    }
}

/// The program and the arguments that start one of Stempel's programs under this clock. `env` becomes the program, so
/// that it keeps the process id.
pub(crate) fn with_clock(
    name: &str,
    arguments: &[&str],
    clock: Option<&FakedClock>,
) -> (PathBuf, Vec<String>) {
    let arguments = arguments.iter().map(|&argument| argument.to_owned());
    let Some(clock) = clock else { return (program(name), arguments.collect()) };
    let settings = [
        format!("LD_PRELOAD={}", library().display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        // What a process waits by goes on: only what somebody can set is set.
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "FAKETIME_DONT_RESET=1".to_owned(),
        "TZ=UTC".to_owned(),
        program(name).display().to_string(),
    ];
    (PathBuf::from("/usr/bin/env"), settings.into_iter().chain(arguments).collect())
}

/// Where libfaketime lies, which differs from machine to machine.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("there is a /usr/lib").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is not installed: ./dev setup")
}
