//! The command line: `stempel`.

mod card;
mod cards;
mod exit;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use crdt_model::decide::VerdictKind;
use crdt_model::ledger::EntryRef;
use crdt_model::money::Cents;
use desk_api::client::{ClientError, DeskClient};
use desk_api::place::{default_folder, socket_in};
use desk_api::types::{Answer, Problem, SaleRequest, TapRequest};
use i18n_embed_fl::fl;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use exit::Exit;

use crate::console;
use crate::demo::{self, DemoError};
use crate::doctor::{self, Grade};
use crate::enrol::{EnrolError, enrol};
use crate::i18n::{Language, Texts};
use crate::plain;
use crate::readers::{ReaderChoiceError, ReaderSettings, Readers};
use crate::surroundings::codes_of;
use service::out::{self, json_of};
use service::say;

/// The check-in desk for culture passes. Without a command: the console.
#[derive(Debug, Parser)]
#[command(name = "stempel", version, after_help = exit::HELP)]
pub struct Arguments {
    /// The desk's folder.
    #[arg(long, env = "STEMPEL_FOLDER", global = true)]
    folder: Option<PathBuf>,
    /// The desk API's socket; by default `desk.sock` in the folder.
    #[arg(long, env = "STEMPEL_SOCKET", global = true)]
    socket: Option<PathBuf>,
    /// The language; by default the environment's, else Dutch.
    #[arg(long, global = true)]
    language: Option<Language>,
    /// A reader: auto, none, pcsc, pcsc:NAME, scripted:FILE, or a libnfc connection string. Several are
    /// fine. By default those of `readers.toml` in the folder, else auto.
    #[arg(long, env = "STEMPEL_READER", value_delimiter = ',')]
    reader: Vec<String>,
    /// Lines instead of a screen, for screen readers: a number and Enter is a tap.
    #[arg(long)]
    plain: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A card is tapped, or a number typed.
    Tap {
        /// A chip number, UiTPAS number, museumPASS number, or an external card as `type:number`.
        pass: String,
        /// What an activity's QR code says: the check-in is to that one.
        #[arg(long)]
        code: Option<String>,
        /// A check of the card that was made through the desk API.
        #[arg(long)]
        check: Option<String>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Hands out a reward.
    Redeem {
        /// As for tap.
        pass: String,
        /// The reward's id, as `rewards` shows it.
        reward: String,
        /// As for tap.
        #[arg(long)]
        check: Option<String>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Sells tickets for an activity.
    Sell {
        /// As for tap.
        pass: String,
        /// The activity's event id; by default the desk's.
        #[arg(long)]
        event: Option<String>,
        /// The price before any discount, in euros; by default the activity's usual one.
        #[arg(long)]
        price: Option<Cents>,
        /// The tariff's id, as `tariffs` shows it; by default the best.
        #[arg(long)]
        tariff: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 1)]
        tickets: u32,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a ticket costs a pass.
    Tariffs {
        /// As for tap.
        pass: String,
        /// The activity's event id; by default the desk's.
        #[arg(long)]
        event: Option<String>,
        /// The price before any discount, in euros.
        #[arg(long)]
        price: Option<Cents>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// What passes cost; their sale, loss and replacement.
    #[command(subcommand)]
    Pass(cards::PassCommand),
    /// Shows what this desk may hand out of limited rewards.
    Stock {
        /// Gives it back: for a desk that closes for long.
        #[arg(long)]
        give_back: bool,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Takes an entry back: this one, or the last.
    Void {
        /// The entry, as a tap's answer names it.
        entry: Option<EntryRef>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a pass can have.
    Rewards {
        /// As for tap.
        pass: String,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Shows the activities, or chooses one.
    Activity {
        /// The activity's event id.
        event_id: Option<String>,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Shows how the desk is.
    Status {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// The card on the reader: explains it, or makes it a pass that cannot be faked.
    #[command(subcommand)]
    Card(card::CardCommand),
    /// Looks for what stands in the way, and says what to do.
    #[command(subcommand)]
    Doctor(DoctorCommand),
    /// Enrols this desk with an operator's invitation.
    Enrol {
        /// The invitation's text.
        invitation: String,
    },
    /// Shows everything at work with sample data: a hub, a daemon, a reader that plays a script.
    Demo {
        /// Without the console: says what happens, and checks it.
        #[arg(long)]
        headless: bool,
    },
}

#[derive(Debug, Subcommand)]
enum DoctorCommand {
    /// Readers: which are plugged in, who drives them, who keeps them away.
    Reader {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Scanners that type: shows what arrives, what the desk makes of it, and what to set.
    Scanner,
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// The daemon does not answer, or says no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The desk could not be enrolled.
    #[error("{0}")]
    Enrol(#[from] EnrolError),
    /// There is no such reader.
    #[error(transparent)]
    Reader(#[from] ReaderChoiceError),
    /// Nobody held a card on a reader.
    #[error(
        "no card was held on a reader within {seconds} s. Is the console still running? One program at a time can use a reader"
    )]
    NoCard {
        /// How long it was waited for.
        seconds: u64,
    },
    /// A file of settings cannot be read.
    #[error("{path} says how this desk is set, and cannot be read: {why}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The terminal says no.
    #[error(
        "the console needs a terminal, and this one cannot be used ({0}). Use --plain, or a command such as: stempel status"
    )]
    Terminal(#[from] std::io::Error),
    /// The demonstration failed.
    #[error(transparent)]
    Demo(#[from] DemoError),
}

impl CliError {
    /// The problem that the daemon answered with, where it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Client(ClientError::Problem(problem)) => Some(problem),
            _ => None,
        }
    }

    /// The exit code that says so.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::NoDaemon { .. }) => Exit::NoDaemon,
            Self::Client(ClientError::Problem(_))
            | Self::Enrol(EnrolError::Refused { .. })
            | Self::Reader(_)
            | Self::Settings { .. } => Exit::Refused,
            Self::NoCard { .. } => Exit::Failed,
            Self::Client(ClientError::Io(_))
            | Self::Enrol(EnrolError::Process(_))
            | Self::Terminal(_)
            | Self::Demo(_) => Exit::Failed,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// [`CliError`].
pub async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let folder = arguments.folder.unwrap_or_else(default_folder);
    let client = DeskClient::new(arguments.socket.unwrap_or_else(|| socket_in(&folder)));
    let language = arguments.language.unwrap_or_else(Language::of_environment);
    let texts = Texts::new(language);
    match arguments.command {
        None => {
            let reader = readers(arguments.reader, &folder)?;
            let scanner = settings(&folder.join("scanner.toml"))?;
            let feedback = settings(&folder.join("feedback.toml"))?;
            if arguments.plain {
                plain::run(client, reader, scanner, feedback, language).await?;
            } else {
                return Ok(console::run(client, reader, scanner, feedback, language).await?.into());
            }
        }
        Some(Command::Tap { pass, code, check, json }) => {
            let tap = TapRequest { pass, checkin_code: code, check };
            let answer = client.answer_tap(&tap).await?;
            return Ok(show(&answer, json, &texts));
        }
        Some(Command::Sell { pass, event, price, tariff, tickets, json }) => {
            let sale = SaleRequest {
                pass,
                event_id: event,
                regular_price_cents: price,
                tariff_id: tariff,
                tickets: Some(tickets),
                check: None,
            };
            let sold = client.sell(&sale).await?;
            if json {
                say!("{}", json_of(&sold));
                return Ok(exit_of(&sold.answer));
            }
            if let Some(sale) = &sold.sale {
                let amount = texts.euros(sale.to_pay_cents);
                say!("{}", fl!(texts.loader, "to-pay", amount = amount));
            }
            return Ok(show(&sold.answer, json, &texts));
        }
        Some(Command::Tariffs { pass, event, price, json }) => {
            let tariffs = client.tariffs(&pass, event.as_deref(), price).await?;
            if json {
                say!("{}", json_of(&tariffs));
            } else {
                for tariff in tariffs.available {
                    let (price, most) = (texts.euros(tariff.price_cents), tariff.remaining);
                    say!("{price:>14}  {:24} {} ({most})", tariff.id, tariff.name);
                }
            }
        }
        Some(Command::Pass(command)) => return cards::run(command, &client, &texts).await,
        Some(Command::Stock { give_back, json }) => {
            let stock =
                if give_back { client.give_stock_back().await? } else { client.stock().await? };
            if json {
                say!("{}", json_of(&stock));
            } else {
                for it in stock {
                    say!("{:8} {:4} of {:4} left  {}", it.reward_id, it.left, it.granted, it.title);
                    if it.doubted > 0 {
                        say!(
                            "         {:4} in doubt: this desk lost a part of its ledgers. An operator writes them off: stempel-hub stock",
                            it.doubted
                        );
                    }
                }
            }
        }
        Some(Command::Redeem { pass, reward, check, json }) => {
            let answer = client.redeem(&pass, check.as_deref(), &reward).await?;
            return Ok(show(&answer, json, &texts));
        }
        Some(Command::Void { entry, json }) => {
            return Ok(show(&client.void(entry).await?, json, &texts));
        }
        Some(Command::Rewards { pass, json }) => {
            let rewards = client.rewards(&pass, None).await?;
            if json {
                say!("{}", json_of(&rewards));
            } else {
                for reward in rewards {
                    let state = if reward.redeemable { "✔" } else { "…" };
                    say!("{state} {:8} {:4}  {}", reward.reward_id, reward.points, reward.title);
                }
            }
        }
        Some(Command::Activity { event_id: Some(event_id), json }) => {
            let chosen = client.choose_activity(&event_id).await?;
            say!("{}", if json { json_of(&chosen) } else { chosen.title });
        }
        Some(Command::Activity { event_id: None, json }) => {
            let activities = client.activities().await?;
            if json {
                say!("{}", json_of(&activities));
            } else {
                for activity in activities {
                    let mark = if activity.chosen { "›" } else { " " };
                    say!("{mark} {}  {}", activity.event_id, activity.title);
                }
            }
        }
        Some(Command::Status { json }) => {
            let status = client.status().await?;
            if json {
                say!("{}", json_of(&status));
            } else {
                say!("{} · {}", status.venue_name, status.desk_name);
                say!("{}", plain::status_line(&status, &texts));
            }
        }
        Some(Command::Card(command)) => {
            let readers = readers(arguments.reader, &folder)?;
            // Its own thread waits for the card.
            return tokio::task::block_in_place(|| card::run(&command, client, &readers));
        }
        Some(Command::Doctor(DoctorCommand::Reader { json })) => return Ok(doctor_reader(json)),
        Some(Command::Doctor(DoctorCommand::Scanner)) => {
            let scanner = settings(&folder.join("scanner.toml"))?;
            // Without a daemon the desk's codes are not known, and all else is.
            let codes = client.activities().await.ok().map(codes_of);
            return Ok(doctor::scanner::run(&scanner, codes.as_deref(), &texts).await?.into());
        }
        Some(Command::Enrol { invitation }) => {
            out::lines(&enrol(&folder, &invitation)?);
        }
        Some(Command::Demo { headless }) => return Ok(demo::run(headless, language).await?.into()),
    }
    Ok(Exit::Ok)
}

fn doctor_reader(json: bool) -> Exit {
    let findings = doctor::look(Path::new("/"));
    if json {
        say!("{}", json_of(&findings));
    } else {
        for finding in &findings {
            let sign = match finding.grade {
                Grade::Fine => "✔",
                Grade::Hint => "·",
                Grade::Trouble => "✖",
            };
            say!("{sign} {}", finding.what);
            if let Some(do_this) = &finding.do_this {
                say!("  {do_this}");
            }
        }
    }
    if findings.iter().any(|finding| finding.grade == Grade::Trouble) {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

/// The desk's readers: those that were named, else those of its folder, else whatever is found.
fn readers(named: Vec<String>, folder: &Path) -> Result<Readers, CliError> {
    let chosen = if named.is_empty() {
        settings::<ReaderSettings>(&folder.join("readers.toml"))?.readers
    } else {
        named
    };
    Ok(Readers::parse(&chosen)?)
}

/// How the desk is set, where a file in its folder says so.
fn settings<T: Default + DeserializeOwned>(path: &Path) -> Result<T, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| CliError::Settings { path: path.to_owned(), why: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(CliError::Settings { path: path.to_owned(), why: error.to_string() }),
    }
}

fn show(answer: &Answer, json: bool, texts: &Texts) -> Exit {
    if json {
        say!("{}", json_of(answer));
    } else {
        say!("{}", plain::line(answer, texts));
    }
    exit_of(answer)
}

fn exit_of(answer: &Answer) -> Exit {
    match answer.verdict {
        VerdictKind::Ok => Exit::Ok,
        VerdictKind::Again | VerdictKind::Ask | VerdictKind::Stop | VerdictKind::Retry => {
            Exit::NotOk
        }
    }
}
