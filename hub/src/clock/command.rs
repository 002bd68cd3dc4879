//! `stempel-hub clock`: what operators are told of the hub's clock, and what they say of it.

use clap::Subcommand;
use service::out::json_of;
use service::say;

use super::{NEXT_STEP, report, trust};
use crate::db::{Db, HubError};

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
    pub async fn run(self, db: &Db) -> Result<(), HubError> {
        match self {
            Self::Show { json: true } => {
                let report = report(db).await?;
                say!("{}", json_of(&report));
            }
            Self::Show { json: false } => {
                let report = report(db).await?;
                let at = |at| jiff::Timestamp::from_millisecond(at).unwrap_or_default();
                say!("the clock shows {}", at(report.now));
                match report.newest_receipt {
                    Some(newest) => say!("entries were last received at {}", at(newest)),
                    None => say!("no receipt of entries is known"),
                }
                say!(
                    "desks that said within the last hour what theirs show: {}",
                    report.desks_heard
                );
                match report.doubt {
                    Some(doubt) => say!("IN DOUBT: {doubt}. {NEXT_STEP}"),
                    None => say!("it is not in doubt"),
                }
            }
            Self::Trust => {
                trust(db).await?;
                say!("earlier receipts no longer speak against the clock");
            }
        }
        Ok(())
    }
}
