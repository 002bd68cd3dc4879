//! `stempel-hub venue`: venues are added and listed.

use clap::Subcommand;
use crdt_model::ids::VenueId;
use service::say;

use super::CliError;
use crate::db::HubFolder;
use crate::registry;

/// What is done with venues.
#[derive(Debug, Subcommand)]
pub(super) enum VenueCommand {
    /// Adds a venue.
    Add {
        /// Its id: small letters, digits, hyphens.
        venue: VenueId,
        /// Its name, for people.
        #[arg(long)]
        name: String,
    },
    /// Lists the venues.
    List,
}

pub(super) async fn run(folder: &HubFolder, command: VenueCommand) -> Result<(), CliError> {
    let pool = folder.database().await?;
    match command {
        VenueCommand::Add { venue, name } => {
            registry::add_venue(&pool, &venue, &name).await?;
            say!("added {venue}");
        }
        VenueCommand::List => {
            for (venue, name) in registry::venues(&pool).await? {
                say!("{venue:24} {name}");
            }
        }
    }
    Ok(())
}
