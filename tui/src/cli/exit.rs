//! How `stempel` ends, for scripts.

use std::process::ExitCode;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for a tap: ok.
    Ok = 0,
    /// Something broke.
    Failed = 1,
    /// The arguments are wrong (clap's own code).
    Usage = 2,
    /// The daemon does not answer: nothing was recorded.
    NoDaemon = 3,
    /// What was asked is refused: bad input, a wrong invitation, a full disk.
    Refused = 4,
    /// The verdict is another than ok.
    NotOk = 5,
}

/// What `--help` says of them.
pub const HELP: &str =
    "Exit codes: 0 done or ok, 1 failed, 2 usage, 3 no daemon, 4 refused, 5 verdict not ok";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
