//! The other programs of Stempel, as children of a demonstration: each ends with it.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;

/// So long a child may take to end before it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What goes wrong with a child.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{program} could not be started ({error}). It must lie beside stempel")]
    Start {
        /// Which program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// It ended before it was ready, or said no.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which program.
        program: String,
        /// What it said.
        said: String,
    },
}

/// The program of this name beside this one.
pub fn beside(name: &str) -> PathBuf {
    let here = std::env::current_exe().ok();
    here.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from(name), |dir| dir.join(name))
}

fn started(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn name_of(program: &Path) -> String {
    program.display().to_string()
}

/// Runs a program to its end.
///
/// # Errors
/// [`ProcessError::Start`].
pub fn output(program: &Path, arguments: &[&str]) -> Result<Output, ProcessError> {
    started(program, arguments)
        .output()
        .map_err(|error| ProcessError::Start { program: name_of(program), error })
}

/// Runs a program to its end and gives what it printed.
///
/// # Errors
/// [`ProcessError`].
pub fn run(program: &Path, arguments: &[&str]) -> Result<String, ProcessError> {
    let output = output(program, arguments)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ProcessError::Failed { program: name_of(program), said })
}

/// A program that runs beside this one. It is told to end when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// What stood behind the words that it says when it is ready.
    pub ready: String,
}

impl Running {
    /// Starts a program and waits for its line that begins with `ready`. Its log goes to `log`.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub fn start(
        program: &Path,
        arguments: &[&str],
        ready: &str,
        log: &Path,
    ) -> Result<Self, ProcessError> {
        let failed = |error| ProcessError::Start { program: name_of(program), error };
        let log_file =
            std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
        let mut child = started(program, arguments)
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(failed)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(failed(io::Error::other("its output cannot be read")));
        };
        let mut running = Self { child, ready: String::new() };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let Some(found) = lines.find(|line| line.starts_with(ready)) else {
            // It has closed its output, so it ends by itself, or is made to.
            running.end();
            let said = std::fs::read_to_string(log).unwrap_or_default().trim().to_owned();
            return Err(ProcessError::Failed { program: name_of(program), said });
        };
        // What it says later is read and forgotten, so that it never waits for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        running.ready = found[ready.len()..].trim().to_owned();
        Ok(running)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells it to end, and waits for that; kills it where it takes too long.
    pub fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < END_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
