//! The command line: `stempel-hub`, one file a command.

mod card_keys;
mod clock;
mod correct;
mod device;
mod exit;
mod import;
mod sample;
mod serve;
mod show;
mod status;
mod stock;
mod venue;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use etcetera::BaseStrategy;
use thiserror::Error;

pub use exit::Exit;

use crate::corrections::CorrectionError;
use crate::db::{HubError, HubFolder};
use crate::import::ImportError;
use crate::stock::GrantError;

/// The hub of Stempel: takes what the desks recorded, and tells them what they must know.
#[derive(Debug, Parser)]
#[command(name = "stempel-hub", version, after_help = exit::HELP)]
pub struct Arguments {
    /// The hub's folder: its database and its key.
    #[arg(long, env = "STEMPEL_HUB_FOLDER", global = true)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the desks.
    Serve {
        /// Where to listen (UDP).
        #[arg(long, default_value = "[::]:4433")]
        listen: SocketAddr,
    },
    /// Venues.
    #[command(subcommand)]
    Venue(venue::VenueCommand),
    /// Desks.
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// The hub's own clock.
    #[command(subcommand)]
    Clock(clock::ClockCommand),
    /// Takes data over from files.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Prints sample data.
    #[command(subcommand)]
    Sample(sample::SampleCommand),
    /// Prints a sample world of any size, as `import catalogue` takes it.
    SampleData(sample::SampleWorld),
    /// Keys of cards that cannot be faked. Desks get them sealed.
    #[command(subcommand)]
    CardKeys(card_keys::CardKeysCommand),
    /// Limited rewards: what desks may hand out, and what became of it.
    #[command(subcommand)]
    Stock(stock::StockCommand),
    /// Corrections, by entries of the hub's own.
    #[command(subcommand)]
    Correct(correct::CorrectCommand),
    /// Shows what the hub has.
    #[command(subcommand)]
    Show(show::ShowCommand),
    /// Shows how the hub is: whether it serves, whether its disk takes what desks send, and what is the matter.
    Status {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Whether it may be the first command that a new hub is given.
    fn begins_a_hub(&self) -> bool {
        matches!(self, Self::Serve { .. } | Self::Venue(_) | Self::Import(_) | Self::CardKeys(_))
    }
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// The hub failed.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file cannot be imported.
    #[error("{file}: {error}")]
    Import {
        /// Which.
        file: PathBuf,
        /// Why.
        error: ImportError,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read: {error}")]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// An entry cannot be corrected.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// A grant cannot be changed so.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The system gives no signals.
    #[error("the hub could not be told to stop, so it does not start: {0}")]
    Signals(std::io::Error),
    /// What is printed cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
    /// A text is no card.
    #[error(transparent)]
    Card(#[from] crdt_model::ids::IdentificationError),
    /// An invitation is too long for a QR code.
    #[error("the invitation does not fit a QR code: give fewer addresses, or use --plain")]
    QrCode,
}

/// Runs a command.
///
/// # Errors
/// [`CliError`].
pub async fn run(arguments: Arguments) -> Result<(), CliError> {
    let (command, root) = (arguments.command, arguments.folder);
    let begins_a_hub = command.begins_a_hub();
    let folder = || {
        let root = root.unwrap_or_else(default_folder);
        if begins_a_hub { HubFolder::create(root) } else { HubFolder::existing(root) }
    };
    match command {
        Command::Serve { listen } => serve::run(&folder()?, listen).await,
        Command::Sample(command) => {
            sample::run(&command);
            Ok(())
        }
        Command::SampleData(world) => sample::write(&world),
        Command::CardKeys(command) => card_keys::run(&folder()?, command).await,
        Command::Stock(command) => stock::run(&folder()?, command).await,
        Command::Correct(command) => correct::run(&folder()?, command).await,
        Command::Venue(command) => venue::run(&folder()?, command).await,
        Command::Device(command) => device::run(&folder()?, command).await,
        Command::Clock(command) => clock::run(&folder()?, command).await,
        Command::Import(command) => import::run(&folder()?, command).await,
        Command::Show(command) => show::run(&folder()?, command).await,
        Command::Status { json } => status::show(&folder()?, json).await,
    }
}

fn default_folder() -> PathBuf {
    etcetera::choose_base_strategy().map_or_else(
        |_| PathBuf::from("stempel-hub-data"),
        |base| base.data_dir().join("stempel-hub"),
    )
}

fn time(at: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default()
}
