//! How `stempel-hub` ends, for scripts.

use std::process::ExitCode;

use service::exit;

use super::CliError;
use crate::corrections::CorrectionError;
use crate::db::HubError;
use crate::import::ImportError;
use crate::stock::GrantError;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `serve`: it was told to stop, and stopped.
    Ok,
    /// Something broke: the disk, the database, the network, the output.
    Failed,
    /// The arguments are wrong (clap's own code).
    Usage,
    /// There is no hub in the folder.
    NoHub,
    /// What was asked is refused, and nothing was changed: bad input, an unknown name, a hub that runs already.
    Refused,
}

/// What `--help` says of them.
pub(super) const HELP: &str =
    "Exit codes: 0 done, 1 failed, 2 usage, 3 no hub in the folder, 4 refused";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => exit::DONE,
            Exit::Failed => exit::FAILED,
            Exit::Usage => exit::USAGE,
            Exit::NoHub => exit::ABSENT,
            Exit::Refused => exit::REFUSED,
        })
    }
}

impl CliError {
    /// The exit code that says so.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Hub(error)
            | Self::Import { error: ImportError::Hub(error), .. }
            | Self::Correction(CorrectionError::Hub(error))
            | Self::Grant(GrantError::Hub(error)) => exit_of(error),
            Self::Import {
                error:
                    ImportError::Field { .. }
                    | ImportError::Together { .. }
                    | ImportError::Meanwhile { .. },
                ..
            }
            | Self::File { .. }
            | Self::Correction(
                CorrectionError::NoSuchEntry { .. } | CorrectionError::Nothing { .. },
            )
            | Self::Grant(GrantError::Stock(_))
            | Self::Card(_)
            | Self::QrCode => Exit::Refused,
            Self::Signals(_) | Self::Output(_) => Exit::Failed,
        }
    }
}

fn exit_of(error: &HubError) -> Exit {
    match error {
        HubError::NoHub { .. } => Exit::NoHub,
        HubError::NoSuch { .. }
        | HubError::Exists { .. }
        | HubError::NoBackup { .. }
        | HubError::NoPlace { .. }
        | HubError::AlreadyServing { .. } => Exit::Refused,
        HubError::Database(_)
        | HubError::Migration(_)
        | HubError::PutBack
        | HubError::Record(_)
        | HubError::Disk { .. }
        | HubError::Listen { .. } => Exit::Failed,
    }
}
