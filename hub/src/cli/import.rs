//! `stempel-hub import`: data is taken over from files.

use std::path::PathBuf;

use clap::Subcommand;
use service::say;

use super::CliError;
use crate::db::HubFolder;
use crate::import;

/// What can be taken over.
#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// A catalogue: venues, activities, rewards, passes, policy.
    Catalogue {
        /// The JSON file.
        file: PathBuf,
    },
}

pub(super) async fn run(folder: &HubFolder, command: ImportCommand) -> Result<(), CliError> {
    let ImportCommand::Catalogue { file } = command;
    let json = std::fs::read_to_string(&file)
        .map_err(|error| CliError::File { file: file.clone(), error })?;
    let failed = |error| CliError::Import { file: file.clone(), error };
    let catalogue = import::read(&json).map_err(failed)?;
    let pool = folder.database().await?;
    let done = import::import(&pool, &catalogue).await.map_err(failed)?;
    say!(
        "imported: {} new or changed, {} as they were, {} holders sealed",
        done.changed,
        done.same,
        done.sealed
    );
    Ok(())
}
