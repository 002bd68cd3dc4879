//! `stempel-hub stock`: limited rewards, and what became of their grants.

use clap::Subcommand;
use crdt_model::ids::DeviceId;
use crdt_model::stock::GrantId;
use service::out::json_of;
use service::say;

use super::CliError;
use crate::db::{HubError, HubFolder};
use crate::restored;
use crate::stock::{self, Doubled, GrantStep};

/// What is done with limited rewards.
#[derive(Debug, Subcommand)]
pub(super) enum StockCommand {
    /// Lists limited rewards with their grants.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Freezes a grant: its desk may not hand out more once it hears of it; nothing returns.
    Freeze {
        /// The grant, as `stock list` shows it.
        grant: u64,
    },
    /// Lets a frozen grant's desk go on.
    Thaw {
        /// The grant.
        grant: u64,
    },
    /// Says that a desk will not come back, of which a restored hub waits to hear what it was granted. What it handed out
    /// all the same is then handed out twice.
    Waive {
        /// The desk, as `status` and `device list` show it.
        device: DeviceId,
    },
    /// Gives up what a frozen grant's desk has not been heard to hand out. It never returns to the
    /// stock; what turns out to have been handed out is booked as a loss.
    WriteOff {
        /// The grant.
        grant: u64,
    },
}

pub(super) async fn run(folder: &HubFolder, command: StockCommand) -> Result<(), CliError> {
    let pool = folder.database().await?;
    let (grant, step, done) = match command {
        StockCommand::List { json } => {
            let report = stock::report(&pool).await?;
            if json {
                say!("{}", json_of(&report));
                return Ok(());
            }
            for it in report {
                say!(
                    "{} {}: {} in all, {} free, {} with desks, {} handed out, {} written off, {} lost, {} handed out twice",
                    it.reward_id,
                    it.title,
                    it.total,
                    it.free,
                    it.active,
                    it.used,
                    it.written_off,
                    it.losses,
                    it.handed_out_twice
                );
                for Doubled { device, units } in it.handed_out_twice_by {
                    say!(
                        "  handed out twice: {units} by desk {device}, which was copied or put back"
                    );
                }
                for grant in it.grants {
                    let units = grant.units;
                    say!(
                        "  grant {:>4}  units {:>5} to {:>5}  {:10}  desk {}",
                        grant.grant.0,
                        units.first,
                        units.end() - 1,
                        grant.state.to_string(),
                        grant.device
                    );
                }
                for breach in it.breaches {
                    say!("  handed out without a grant: {breach}");
                }
            }
            return Ok(());
        }
        StockCommand::Waive { device } => {
            if !restored::waive(&pool, device).await? {
                return Err(HubError::NoSuch {
                    what: "desk that is waited for",
                    name: device.to_string(),
                }
                .into());
            }
            say!("nothing waits for {device} any more");
            return Ok(());
        }
        StockCommand::Freeze { grant } => (grant, GrantStep::Freeze, "frozen"),
        StockCommand::Thaw { grant } => (grant, GrantStep::Thaw, "active again"),
        StockCommand::WriteOff { grant } => (grant, GrantStep::WriteOff, "written off"),
    };
    stock::change_grant(&pool, GrantId(grant), step).await?;
    say!("grant {grant}: {done}");
    Ok(())
}
