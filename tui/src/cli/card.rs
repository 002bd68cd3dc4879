//! Commands about the card on the reader: what it is and what it can prove, and how it is made a pass.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use clap::Subcommand;
use crdt_model::authenticity::Authenticity;
use desk_api::client::{ClientError, DeskClient};
use desk_api::types::CardCheckView;
use hardware::card::{Attendant, CardChannel, Presented, Speaks};
use hardware::describe::{Description, describe};
use hardware::reader::ReaderEvent;
use serde::Serialize;

use super::{CliError, Exit};
use crate::card_desk::{CardDesk, Purpose};
use crate::readers::Readers;
use service::out::json_of;
use service::{say, say_error};

/// What is done with the card on the reader.
#[derive(Debug, Subcommand)]
pub enum CardCommand {
    /// Explains a card: what it is, what is written on it, what it can prove.
    Read {
        /// Seconds to wait for a card.
        #[arg(long, default_value_t = 60)]
        wait: u64,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Makes a card a pass that cannot be faked. Only at desks that the hub allows to. What was written on
    /// the card is lost.
    Write {
        /// Although a pass has this chip number already: only for a card that you know, for whatever shows
        /// the number is given the keys of its pass.
        #[arg(long)]
        again: bool,
        /// Seconds to wait for a card.
        #[arg(long, default_value_t = 60)]
        wait: u64,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
}

/// What became of a card.
struct Report {
    card: Presented,
    description: Description,
    outcome: Result<CardCheckView, ClientError>,
}

/// The same for scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportView<'a> {
    chip_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaks: Option<Speaks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readings: Option<u32>,
    records: &'a [String],
    #[serde(flatten)]
    check: &'a CardCheckView,
}

/// Asks each card what it is and has it checked, or made.
struct Asking {
    desk: CardDesk,
    purpose: Purpose,
    reports: Sender<Report>,
}

impl Attendant for Asking {
    fn attend(&self, card: &Presented, channel: &mut dyn CardChannel) -> Option<String> {
        let description = describe(card, channel);
        let outcome = self.desk.converse(card, self.purpose, channel);
        // Whoever asked may have got what they wanted.
        let _ = self.reports.send(Report { card: *card, description, outcome });
        None
    }
}

/// Waits for one card on these readers.
///
/// # Errors
/// [`CliError`].
pub fn run(command: &CardCommand, client: DeskClient, readers: &Readers) -> Result<Exit, CliError> {
    let (purpose, wait, json) = match command {
        CardCommand::Read { wait, json } => (Purpose::Check, *wait, *json),
        CardCommand::Write { again, wait, json } => (Purpose::Make { again: *again }, *wait, *json),
    };
    let (reports, reported) = channel();
    let asking: Arc<dyn Attendant> =
        Arc::new(Asking { desk: CardDesk::new(client), purpose, reports });
    let mut handles = readers.start(&asking)?;
    drop(asking);
    if !json {
        say!("Hold the card on the reader, and leave it there until it is done.");
    }
    for handle in &mut handles {
        let Some(events) = handle.events() else { continue };
        std::thread::spawn(move || {
            for event in events {
                match event {
                    ReaderEvent::Lost { why } => say_error!("{why}"),
                    ReaderEvent::TwoCards => say_error!("two cards lie there: take one away"),
                    ReaderEvent::ReadError => {
                        say_error!("the card could not be read: hold it still");
                    }
                    ReaderEvent::RandomUid => {
                        say_error!("this card gives another number each time: it cannot be a pass");
                    }
                    ReaderEvent::Ready { .. }
                    | ReaderEvent::Tapped(_)
                    | ReaderEvent::Removed(_) => {}
                }
            }
        });
    }
    let report = reported
        .recv_timeout(Duration::from_secs(wait))
        .map_err(|_| CliError::NoCard { seconds: wait })?;
    drop(handles);
    let Report { card, description, outcome } = report;
    let view = outcome?;
    if json {
        say!(
            "{}",
            json_of(&ReportView {
                chip_number: card.chip.to_string(),
                speaks: card.speaks,
                product: description.product,
                readings: description.readings,
                records: &description.records,
                check: &view,
            })
        );
    } else {
        explain(&card, &description, &view, purpose != Purpose::Check);
    }
    Ok(match (&view.failed, view.authenticity) {
        (Some(_), _) => Exit::Failed,
        (None, Some(Authenticity::Refuted)) => Exit::NotOk,
        (None, _) => Exit::Ok,
    })
}

fn explain(card: &Presented, description: &Description, view: &CardCheckView, made: bool) {
    let speaks = match card.speaks {
        Some(Speaks::Type2) => "in pages (NFC Forum Type 2)",
        Some(Speaks::IsoDep) => "in APDUs (ISO 14443-4)",
        None => "nothing but its number",
    };
    say!("chip number  {}", card.chip);
    say!("speaks       {speaks}");
    say!("product      {}", description.product.unwrap_or("it does not say"));
    if let Some(readings) = description.readings {
        say!("readings     {readings}");
    }
    for record in &description.records {
        say!("{}  {record}", if made { "it held    " } else { "it holds   " });
    }
    if let Some(why) = &view.failed {
        say!("not made     {why}");
    }
    if let Some(said) = &view.said {
        say!("proof        {said}");
    }
    match view.authenticity {
        Some(Authenticity::Refuted) => say!("             It is not genuine."),
        Some(Authenticity::UidOnly) => {
            say!("             Anybody can copy its number onto another card.");
        }
        Some(Authenticity::Signed) => {
            say!("             Its chip number cannot be made up; its memory can be copied.");
        }
        Some(Authenticity::Cryptographic) => say!("             It cannot be copied."),
        None => {}
    }
}
