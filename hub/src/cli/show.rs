//! `stempel-hub show`: what the hub has.

use clap::Subcommand;
use crdt_model::ids::{Identification, VenueId};
use service::out::json_of;
use service::say;

use super::{CliError, time};
use crate::db::HubFolder;
use crate::report;

/// What can be shown.
#[derive(Debug, Subcommand)]
pub(super) enum ShowCommand {
    /// A pass, by its number or chip.
    Pass {
        /// The number or chip.
        card: String,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// A venue's day.
    Ledger {
        /// The venue.
        venue: VenueId,
        /// The day, `yyyy-mm-dd`.
        day: jiff::civil::Date,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Points overspent while desks were apart.
    Debts {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Sums over everything.
    Totals {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(folder: &HubFolder, command: ShowCommand) -> Result<(), CliError> {
    let pool = folder.database().await?;
    match command {
        ShowCommand::Pass { card, json } => {
            let card: Identification = card.parse()?;
            let pass = report::pass(&pool, &card).await?;
            if json {
                say!("{}", json_of(&pass));
            } else {
                say!(
                    "pass {}: {} points, debt {}, {} visits, {} entries of which {} over a limit",
                    pass.pass_id.0,
                    pass.points,
                    pass.debt,
                    pass.visits,
                    pass.entries,
                    pass.over_limit
                );
            }
        }
        ShowCommand::Ledger { venue, day, json } => {
            let entries = report::ledger(&pool, &venue, day).await?;
            if json {
                say!("{}", json_of(&entries));
                return Ok(());
            }
            for entry in &entries {
                let at = time(entry.at);
                let pass =
                    entry.pass.map_or_else(|| "unknown".to_owned(), |pass| pass.0.to_string());
                let counts = if entry.counts_at == entry.at {
                    String::new()
                } else {
                    format!("  counts at {}", time(entry.counts_at))
                };
                say!(
                    "{at}  {:14} pass {pass:>8} {:>5} points  {}  {}{counts}",
                    entry.kind,
                    entry.points,
                    entry.desk,
                    entry.entry
                );
            }
            say!("{} entries", entries.len());
        }
        ShowCommand::Debts { json } => {
            let debts = report::debts(&pool).await?;
            if json {
                say!("{}", json_of(&debts));
                return Ok(());
            }
            for debt in &debts {
                say!("pass {:>8}  {:>6} points overspent", debt.pass_id.0, debt.debt);
            }
            say!("{} passes", debts.len());
        }
        ShowCommand::Totals { json } => {
            let totals = report::totals(&pool).await?;
            if json {
                say!("{}", json_of(&totals));
            } else {
                say!(
                    "{} entries, {} batches set apart, {} passes with {} points and {} of debt",
                    totals.entries,
                    totals.quarantined,
                    totals.passes,
                    totals.points,
                    totals.debt
                );
            }
        }
    }
    Ok(())
}
