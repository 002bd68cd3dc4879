//! Enrolling a desk. The daemon's program does it, for the desk's key is its own; this carries what it says.

use std::path::Path;

use service::exit;
use thiserror::Error;

use crate::processes::{ProcessError, beside, output};

/// The daemon's program.
const DAEMON: &str = "stempel-syncd";

/// Why a desk could not be enrolled.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// The invitation, the hub or the desk's folder says no.
    #[error("{said}")]
    Refused {
        /// The daemon's sentence.
        said: String,
    },
    /// The daemon's program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Enrols the desk whose folder this is, with an invitation's text; gives what there is to say of it.
///
/// # Errors
/// [`EnrolError`].
pub fn enrol(folder: &Path, invitation: &str) -> Result<String, EnrolError> {
    let folder = folder.display().to_string();
    // Whatever is typed is an invitation, also where it begins like an option.
    let arguments = ["--folder", &folder, "enrol", "--", invitation];
    let done = output(&beside(DAEMON), &arguments)?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.trim().trim_start_matches(DAEMON).trim_start_matches(": ").to_owned();
    if done.status.code() == Some(i32::from(exit::REFUSED)) {
        return Err(EnrolError::Refused { said });
    }
    Err(ProcessError::Failed { program: DAEMON.to_owned(), said }.into())
}
