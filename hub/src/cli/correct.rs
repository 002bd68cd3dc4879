//! `stempel-hub correct`: corrections, by entries of the hub's own.

use clap::Subcommand;
use crdt_model::entry::EntryRef;
use crdt_model::ids::VenueId;
use service::say;

use super::CliError;
use crate::corrections;
use crate::db::HubFolder;

/// What can be corrected.
#[derive(Debug, Subcommand)]
pub(super) enum CorrectCommand {
    /// Takes an entry back that its desk no longer can.
    Void {
        /// The venue.
        venue: VenueId,
        /// The entry, as `show ledger` names it.
        entry: EntryRef,
    },
}

pub(super) async fn run(folder: &HubFolder, command: CorrectCommand) -> Result<(), CliError> {
    let CorrectCommand::Void { venue, entry } = command;
    let (key, _) = folder.key()?;
    let pool = folder.database().await?;
    let written = corrections::void(&pool, &key, &venue, entry).await?;
    say!("taken back by {written}");
    Ok(())
}
