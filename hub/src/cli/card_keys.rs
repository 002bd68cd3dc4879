//! `stempel-hub card-keys`: keys of cards that cannot be faked.

use clap::Subcommand;
use crdt_model::ids::DeviceId;
use service::out::json_of;
use service::say;

use super::{CliError, time};
use crate::card_keys;
use crate::db::HubFolder;

/// What is done with card keys.
#[derive(Debug, Subcommand)]
pub(super) enum CardKeysCommand {
    /// Makes a key set. New cards are made with the latest.
    New {
        /// For plain cards alone: desks that check them hold no secret.
        #[arg(long)]
        signatures_only: bool,
    },
    /// Lists the key sets, without their keys.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Makes desks forget a key set, for good: cards that were made with it prove nothing any more.
    Retire {
        /// The set.
        number: u8,
    },
    /// Lets a desk make cards: it gets the keys that change and sign them.
    Allow {
        /// The desk, as `device list` shows it.
        device: DeviceId,
    },
    /// Lets a desk make no more cards. What it has learnt of the keys so far it may have kept: where it
    /// was stolen, make a new set and retire the old one.
    Withdraw {
        /// The desk.
        device: DeviceId,
    },
}

pub(super) async fn run(folder: &HubFolder, command: CardKeysCommand) -> Result<(), CliError> {
    let pool = folder.database().await?;
    match command {
        CardKeysCommand::New { signatures_only } => {
            let kind =
                if signatures_only { card_keys::Kind::Signatures } else { card_keys::Kind::Keys };
            let number = card_keys::make(&pool, kind).await?;
            say!("made key set {number}");
        }
        CardKeysCommand::List { json } => {
            let sets = card_keys::list(&pool).await?;
            if json {
                say!("{}", json_of(&sets));
                return Ok(());
            }
            for set in sets {
                let kind = match set.kind {
                    card_keys::Kind::Keys => "keys and signatures",
                    card_keys::Kind::Signatures => "signatures alone",
                };
                let state = if set.retired_at.is_some() { "retired" } else { "in use" };
                let made = time(set.made_at);
                say!("{:>3}  {kind:20} {state:8} made {made}", set.number);
            }
        }
        CardKeysCommand::Retire { number } => {
            card_keys::retire(&pool, number).await?;
            say!("retired key set {number}");
        }
        CardKeysCommand::Allow { device } => {
            card_keys::let_make(&pool, device, true).await?;
            say!("{device} may make cards");
        }
        CardKeysCommand::Withdraw { device } => {
            card_keys::let_make(&pool, device, false).await?;
            say!("{device} may make no more cards");
        }
    }
    Ok(())
}
