//! `stempel-hub clock`: what operators are told of the hub's clock, and what they say of it.

use clap::Subcommand;
use sqlx::SqlitePool;

use super::{NEXT_STEP, report, trust};
use crate::db::HubError;

/// What operators ask and say.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Shows whether the clock is in doubt, and why.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says that the clock is right now, though entries were received at later times: it was ahead before.
    Trust,
}

impl ClockCommand {
    /// Does it, and prints what there is to say.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn run(self, pool: &SqlitePool) -> Result<(), HubError> {
        match self {
            Self::Show { json: true } => {
                let report = report(pool).await?;
                println!("{}", serde_json::to_string(&report).unwrap_or_default());
            }
            Self::Show { json: false } => {
                let report = report(pool).await?;
                let at = |at| jiff::Timestamp::from_millisecond(at).unwrap_or_default();
                println!("the clock shows {}", at(report.now));
                match report.newest_receipt {
                    Some(newest) => println!("entries were last received at {}", at(newest)),
                    None => println!("no receipt of entries is known"),
                }
                println!(
                    "desks that said within the last hour what theirs show: {}",
                    report.desks_heard
                );
                match report.doubt {
                    Some(doubt) => println!("IN DOUBT: {doubt}. {NEXT_STEP}"),
                    None => println!("it is not in doubt"),
                }
            }
            Self::Trust => {
                trust(pool).await?;
                println!("earlier receipts no longer speak against the clock");
            }
        }
        Ok(())
    }
}
