//! Clocks of single processes, set by libfaketime: the wall clock alone, for nobody sets the steady one.

use std::path::{Path, PathBuf};

use crate::program;

/// A file that says how far one process's wall clock is ahead. The process reads it whenever it asks for
/// the time.
#[derive(Debug, Clone)]
pub struct ProcessClock(PathBuf);

impl ProcessClock {
    /// The clock of the process that has this folder.
    pub fn beside(folder: &Path) -> Self {
        Self(folder.with_extension("clock"))
    }

    /// Sets it so many milliseconds ahead of this computer's clock.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn set(&self, ahead: i64) {
        // Renamed, for it is read at any moment.
        let written = self.0.with_extension("clock.new");
        std::fs::write(&written, format!("{:+}", ahead / 1000)).expect("the world can be written");
        std::fs::rename(written, &self.0).expect("the world can be written");
    }
}

/// libfaketime, where Debian puts it.
fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("there is a /usr/lib").flatten();
    let found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found
        .into_iter()
        .find(|path| path.exists())
        .expect("faketime is installed: ./dev setup does it")
}

/// The program and the arguments that start one of Stempel's programs with this clock. `env` becomes the
/// program, so that it keeps the process id.
pub(crate) fn with_clock(
    name: &str,
    arguments: &[&str],
    clock: Option<&ProcessClock>,
) -> (PathBuf, Vec<String>) {
    let arguments = arguments.iter().map(|&argument| argument.to_owned());
    let Some(ProcessClock(file)) = clock else { return (program(name), arguments.collect()) };
    let settings = [
        format!("LD_PRELOAD={}", libfaketime().display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        program(name).display().to_string(),
    ];
    (PathBuf::from("/usr/bin/env"), settings.into_iter().chain(arguments).collect())
}
