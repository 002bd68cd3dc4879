//! `stempel-hub device`: desks are invited, listed and revoked.

use clap::Subcommand;
use crdt_model::ids::{DeviceId, VenueId};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use service::out::{self, json_of};
use service::say;

use super::{CliError, time};
use crate::db::{HubFolder, wall_clock};
use crate::{clock, registry};

/// What is done with desks.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Prints an invitation for one new desk, as text and as a QR code. It works once, for a week.
    Invite {
        /// The desk's venue.
        #[arg(long)]
        venue: VenueId,
        /// The desk's name, for people.
        #[arg(long)]
        name: String,
        /// Where desks reach this hub, `host:port`; several are tried in order.
        #[arg(long, required = true)]
        address: Vec<String>,
        /// Only the text.
        #[arg(long)]
        plain: bool,
    },
    /// Lists the desks.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Shuts a desk out, for good.
    Revoke {
        /// Its id, as `device list` shows it.
        device: DeviceId,
    },
}

pub(super) async fn run(folder: &HubFolder, command: DeviceCommand) -> Result<(), CliError> {
    let db = folder.database().await?;
    match command {
        DeviceCommand::Invite { venue, name, address, plain } => {
            let (_, public_key) = folder.key()?;
            let invitation = registry::invite(&db, &venue, &name, address, &public_key).await?;
            say!("{invitation}");
            if !plain {
                let text = invitation.to_string();
                let code = QrCode::new(text.as_bytes()).map_err(|_| CliError::QrCode)?;
                out::lines(&format!("\n{}", code.render::<Dense1x2>().build()));
                say!("It works once, for a week. At the desk: stempel enrol INVITATION");
            }
        }
        DeviceCommand::List { json } => {
            let devices = registry::devices(&db).await?;
            if json {
                say!("{}", json_of(&devices));
                return Ok(());
            }
            say!(
                "{:34} {:20} {:16} {:>10} {:>13} {:>8}  STATE",
                "DEVICE",
                "VENUE",
                "DESK",
                "SEEN",
                "CLOCK",
                "ENTRIES"
            );
            for device in devices {
                let seen = device.last_contact.map_or_else(
                    || "never".to_owned(),
                    |at| format!("{} s", (wall_clock().0 - at) / 1000),
                );
                let state = match device.used_twice_since {
                    _ if device.revoked => "revoked".to_owned(),
                    Some(since) => format!("used twice since {}", time(since)),
                    None => "enrolled".to_owned(),
                };
                say!(
                    "{:34} {:20} {:16} {seen:>10} {:>13} {:>8}  {state}",
                    device.device.to_string(),
                    device.venue.to_string(),
                    device.name,
                    clock::offset_said(device.clock_offset),
                    device.entries
                );
            }
            if let Some(doubt) = clock::doubt(&db).await? {
                say!("The hub's own clock is in doubt: {doubt}. {}", clock::NEXT_STEP);
            }
        }
        DeviceCommand::Revoke { device } => {
            registry::revoke(&db, device).await?;
            say!("revoked {device}");
        }
    }
    Ok(())
}
