//! How `stempel` ends, for scripts.

use std::process::ExitCode;

use service::exit;

use crate::terminal::Ended;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for a tap: ok.
    Ok,
    /// Something broke.
    Failed,
    /// The arguments are wrong (clap's own code).
    Usage,
    /// The daemon does not answer: nothing was recorded.
    NoDaemon,
    /// What was asked is refused: bad input, a wrong invitation, a full disk.
    Refused,
    /// The verdict is another than ok.
    NotOk,
    /// A signal ended the console: its number. The exit code is 128 more, as shells have it.
    Signal(u8),
}

/// What `--help` says of them.
pub const HELP: &str = "Exit codes: 0 done or ok, 1 failed, 2 usage, 3 no daemon, 4 refused, 5 verdict not ok, 128+N ended by signal N";

impl From<Ended> for Exit {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Quit => Self::Ok,
            Ended::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => exit::DONE,
            Exit::Failed => exit::FAILED,
            Exit::Usage => exit::USAGE,
            Exit::NoDaemon => exit::ABSENT,
            Exit::Refused => exit::REFUSED,
            Exit::NotOk => 5,
            Exit::Signal(signal) => 128u8.saturating_add(signal),
        })
    }
}
