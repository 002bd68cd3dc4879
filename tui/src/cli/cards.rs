//! Commands about people's cards: what a pass costs, its sale, a chip, a loss, a new card. The hub
//! does what is asked; the desk seals it and keeps it until then.

use clap::Subcommand;
use crdt_model::ids::{CardSystemId, ChipNumber, UitpasNumber};
use desk_api::client::DeskClient;
use desk_api::types::{RequestBody, RequestState, RequestView};
use jiff::civil::Date;

use super::{CliError, Exit};
use crate::i18n::Texts;
use service::out::json_of;
use service::say;

/// What is asked about a card.
#[derive(Debug, Subcommand)]
pub enum PassCommand {
    /// Shows what a pass costs for somebody of this age.
    Price {
        /// The day of birth, `yyyy-mm-dd`.
        #[arg(long)]
        born: Date,
        /// For somebody with a right to a social tariff.
        #[arg(long)]
        social_tariff: bool,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Sells a pass: registers its holder on a card from the stock.
    Sell {
        /// The number on the card.
        #[arg(long)]
        number: UitpasNumber,
        /// The card's chip, where it was read.
        #[arg(long)]
        chip: Option<ChipNumber>,
        /// The holder's name.
        #[arg(long)]
        name: String,
        /// The day of birth, `yyyy-mm-dd`.
        #[arg(long)]
        born: Date,
        /// Where the holder lives.
        #[arg(long)]
        postal_code: Option<String>,
        /// The card system, by its number; without it, the only one that this desk knows.
        #[arg(long)]
        card_system: Option<u32>,
        /// The last day of a social tariff that was shown to be due.
        #[arg(long)]
        social_tariff_ends: Option<Date>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Links a chip to the number on its card.
    Link {
        /// The number.
        number: UitpasNumber,
        /// The chip.
        chip: ChipNumber,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Reports a card lost or stolen: it is blocked.
    Lost {
        /// The card, as for tap.
        pass: String,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Gives a pass a new card from the stock; the old one is blocked, the points stay.
    Replace {
        /// The old card, as for tap.
        old: String,
        /// The number on the new card.
        new: UitpasNumber,
        /// The new card's chip, where it was read.
        #[arg(long)]
        chip: Option<ChipNumber>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Shows what was asked of the hub, and what became of it.
    Requests {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command.
///
/// # Errors
/// [`CliError`].
pub async fn run(
    command: PassCommand,
    client: &DeskClient,
    texts: &Texts,
) -> Result<Exit, CliError> {
    let (body, json) = match command {
        PassCommand::Price { born, social_tariff, json } => {
            let prices = client.membership_prices(born, social_tariff).await?;
            if json {
                say!("{}", json_of(&prices));
            } else {
                for price in prices {
                    let euros = texts.euros(price.price_cents);
                    say!("{:3} {}: {euros} ({})", price.card_system.0, price.name, price.label);
                }
            }
            return Ok(Exit::Ok);
        }
        PassCommand::Requests { json } => {
            let requests = client.requests().await?;
            if json {
                say!("{}", json_of(&requests));
            } else {
                requests.iter().for_each(show);
            }
            return Ok(Exit::Ok);
        }
        PassCommand::Sell {
            number,
            chip,
            name,
            born,
            postal_code,
            card_system,
            social_tariff_ends,
            json,
        } => {
            let body = RequestBody::Register {
                uitpas_number: number,
                chip_number: chip,
                name,
                date_of_birth: born,
                postal_code,
                card_system: card_system.map(CardSystemId),
                social_tariff_ends,
            };
            (body, json)
        }
        PassCommand::Link { number, chip, json } => {
            (RequestBody::LinkChip { uitpas_number: number, chip_number: chip }, json)
        }
        PassCommand::Lost { pass, json } => (RequestBody::ReportLost { pass }, json),
        PassCommand::Replace { old, new, chip, json } => {
            (RequestBody::Replace { pass: old, uitpas_number: new, chip_number: chip }, json)
        }
    };
    let view = client.request(&body).await?;
    if json {
        say!("{}", json_of(&view));
    } else {
        if let Some(cents) = view.to_pay_cents {
            say!("to pay: {}", texts.euros(cents));
        }
        show(&view);
    }
    Ok(Exit::Ok)
}

fn show(view: &RequestView) {
    let at = crate::clock::at_venue(view.at);
    let state = match &view.state {
        RequestState::Waiting => "waits for the hub".to_owned(),
        RequestState::Done => "done".to_owned(),
        RequestState::Refused { sentence } => format!("not done: {sentence}"),
    };
    say!("{}  {:11}  {state}", at.strftime("%d-%m-%Y %H:%M"), view.kind.name());
}
