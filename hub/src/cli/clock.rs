//! `stempel-hub clock`: what operators are told of the hub's clock, and what they say of it.

use clap::Subcommand;
use service::out::json_of;
use service::say;

use super::{CliError, time};
use crate::clock::{NEXT_STEP, report, trust};
use crate::db::HubFolder;

/// What operators ask and say.
#[derive(Debug, Subcommand)]
pub(super) enum ClockCommand {
    /// Shows whether the clock is in doubt, and why.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says that the clock is right now, though entries were received at later times: it was ahead before.
    Trust,
}

pub(super) async fn run(folder: &HubFolder, command: ClockCommand) -> Result<(), CliError> {
    let pool = folder.database().await?;
    match command {
        ClockCommand::Show { json: true } => {
            let report = report(&pool).await?;
            say!("{}", json_of(&report));
        }
        ClockCommand::Show { json: false } => {
            let report = report(&pool).await?;
            say!("the clock shows {}", time(report.now));
            match report.newest_receipt {
                Some(newest) => say!("entries were last received at {}", time(newest)),
                None => say!("no receipt of entries is known"),
            }
            say!("desks that said within the last hour what theirs show: {}", report.desks_heard);
            match report.doubt {
                Some(doubt) => say!("IN DOUBT: {doubt}. {NEXT_STEP}"),
                None => say!("it is not in doubt"),
            }
        }
        ClockCommand::Trust => {
            trust(&pool).await?;
            say!("earlier receipts no longer speak against the clock");
        }
    }
    Ok(())
}
