//! The command line: `stempel-hub`.

mod device;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use crdt_model::ids::{DeviceId, Identification, VenueId};
use crdt_model::stock::GrantId;
use etcetera::BaseStrategy;
use service::ending::Stop;
use service::out::{self, json_of};
use service::say;
use thiserror::Error;

use crate::db::{HubError, HubFolder, backup, restore};
use crate::import::{self, ImportError};
use crate::sample_world::{MAX_PASSES, World};
use crate::stock::GrantStep;
use crate::{card_keys, clock, corrections, endpoint, registry, report, sample, stock};

/// The hub of Stempel: takes what the desks recorded, and tells them what they must know.
#[derive(Debug, Parser)]
#[command(name = "stempel-hub", version)]
pub struct Arguments {
    /// The hub's folder: its database and its key.
    #[arg(long, env = "STEMPEL_HUB_FOLDER", global = true)]
    folder: Option<PathBuf>,
    /// Where the database is, `postgres://user@host/name`. By default it is a file in the folder.
    #[arg(long, env = "STEMPEL_DATABASE", global = true, hide_env_values = true)]
    database: Option<String>,
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
    Venue(VenueCommand),
    /// Desks.
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// The hub's own clock.
    #[command(subcommand)]
    Clock(clock::ClockCommand),
    /// Takes data over from files.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Prints sample data.
    #[command(subcommand)]
    Sample(SampleCommand),
    /// Prints a sample world of any size, as `import catalogue` takes it.
    SampleData {
        /// How many passes. The first 18 are those of the public test dataset.
        #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_PASSES)))]
        passes: u32,
        /// The same seed and day give the same world.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The day on which the world is: some of its rewards end soon after. By default today.
        #[arg(long)]
        today: Option<jiff::civil::Date>,
    },
    /// Keys of cards that cannot be faked. Desks get them sealed.
    #[command(subcommand)]
    CardKeys(CardKeysCommand),
    /// Limited rewards: what desks may hand out, and what became of it.
    #[command(subcommand)]
    Stock(StockCommand),
    /// Corrections, by entries of the hub's own.
    #[command(subcommand)]
    Correct(CorrectCommand),
    /// Shows what the hub has.
    #[command(subcommand)]
    Show(ShowCommand),
    /// Writes a backup of the database into a new file, also while the hub serves. The hub's key is not in it: keep a
    /// copy of `hub.key` elsewhere, once.
    Backup {
        /// The file.
        file: PathBuf,
    },
    /// Takes a backup back: the database is as it was then. No server may run meanwhile. Desks then send again what was
    /// recorded since.
    Restore {
        /// The file that `backup` wrote.
        file: PathBuf,
    },
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
        matches!(
            self,
            Self::Serve { .. }
                | Self::Venue(_)
                | Self::Import(_)
                | Self::CardKeys(_)
                | Self::Restore { .. }
        )
    }
}

#[derive(Debug, Subcommand)]
enum StockCommand {
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
    /// Gives up what a frozen grant's desk has not been heard to hand out. It never returns to the
    /// stock; what turns out to have been handed out is booked as a loss.
    WriteOff {
        /// The grant.
        grant: u64,
    },
}

#[derive(Debug, Subcommand)]
enum CardKeysCommand {
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

#[derive(Debug, Subcommand)]
enum CorrectCommand {
    /// Takes an entry back that its desk no longer can.
    Void {
        /// The venue.
        venue: VenueId,
        /// The entry, as `show ledger` names it.
        entry: crdt_model::entry::EntryRef,
    },
}

#[derive(Debug, Subcommand)]
enum VenueCommand {
    /// Adds a venue.
    Add {
        /// Its id: small letters, digits, hyphens.
        venue: VenueId,
        /// Its name, for people.
        #[arg(long)]
        name: String,
    },
    /// Lists the venues.
    List,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// A catalogue: venues, activities, rewards, passes, policy.
    Catalogue {
        /// The JSON file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum SampleCommand {
    /// The public test dataset, as `import catalogue` takes it.
    Catalogue,
}

#[derive(Debug, Subcommand)]
enum ShowCommand {
    /// A pass, by its number or chip.
    Pass {
        /// The number or chip.
        card: String,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// A venue's day.
    Ledger {
        /// The venue.
        venue: VenueId,
        /// The day, `yyyy-mm-dd`.
        day: jiff::civil::Date,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Points overspent while desks were apart.
    Debts {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Sums over everything.
    Totals {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
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
    Correction(#[from] corrections::CorrectionError),
    /// A grant cannot be changed so.
    #[error(transparent)]
    Grant(#[from] stock::GrantError),
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
    if let Command::Sample(SampleCommand::Catalogue) = arguments.command {
        out::lines(sample::CATALOGUE);
        return Ok(());
    }
    if let Command::SampleData { passes, seed, today } = arguments.command {
        return sample_data(passes, seed, today);
    }
    let folder = arguments.folder.unwrap_or_else(default_folder);
    let folder = if arguments.command.begins_a_hub() || arguments.database.is_some() {
        HubFolder::create(folder)?.with_database(arguments.database)
    } else {
        HubFolder::existing(folder)?
    };
    match arguments.command {
        Command::Serve { listen } => {
            let stop = Stop::on_signals().map_err(CliError::Signals)?;
            let ready = |address| service::log::ready(format!("listening on {address}"));
            Ok(endpoint::serve(&folder, listen, ready, stop.asked()).await?)
        }
        Command::Sample(SampleCommand::Catalogue) | Command::SampleData { .. } => Ok(()),
        Command::CardKeys(command) => card_keys_command(&folder, command).await,
        Command::Stock(command) => stock_command(&folder, command).await,
        Command::Correct(CorrectCommand::Void { venue, entry }) => {
            let (key, _) = folder.key()?;
            let db = folder.database().await?;
            let written = corrections::void(&db, &key, &venue, entry).await?;
            say!("taken back by {written}");
            Ok(())
        }
        Command::Venue(command) => venue(&folder, command).await,
        Command::Device(command) => device::run(&folder, command).await,
        Command::Clock(command) => Ok(command.run(&folder.database().await?).await?),
        Command::Import(ImportCommand::Catalogue { file }) => {
            let json = std::fs::read_to_string(&file)
                .map_err(|error| CliError::File { file: file.clone(), error })?;
            let failed = |error| CliError::Import { file: file.clone(), error };
            let catalogue = import::read(&json).map_err(failed)?;
            let db = folder.database().await?;
            let done = import::import(&db, &catalogue).await.map_err(failed)?;
            say!(
                "imported: {} new or changed, {} as they were, {} holders sealed",
                done.changed,
                done.same,
                done.sealed
            );
            Ok(())
        }
        Command::Backup { file } => {
            backup(&folder.database().await?, &file).await?;
            say!("written to {}", file.display());
            Ok(())
        }
        Command::Restore { file } => {
            restore(&folder, &file).await?;
            say!("restored from {}", file.display());
            Ok(())
        }
        Command::Show(command) => show(&folder, command).await,
        Command::Status { json } => status::show(&folder, json).await,
    }
}

fn sample_data(passes: u32, seed: u64, today: Option<jiff::civil::Date>) -> Result<(), CliError> {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let world = World { seed, passes, today: today.unwrap_or_else(|| now.date()) };
    match world.write(&mut std::io::stdout().lock()) {
        // Whoever reads may have seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(CliError::Output),
    }
}

async fn card_keys_command(folder: &HubFolder, command: CardKeysCommand) -> Result<(), CliError> {
    let db = folder.database().await?;
    match command {
        CardKeysCommand::New { signatures_only } => {
            let kind =
                if signatures_only { card_keys::Kind::Signatures } else { card_keys::Kind::Keys };
            let number = card_keys::make(&db, kind).await?;
            say!("made key set {number}");
        }
        CardKeysCommand::List { json } => {
            let sets = card_keys::list(&db).await?;
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
                let made = jiff::Timestamp::from_millisecond(set.made_at).unwrap_or_default();
                say!("{:>3}  {kind:20} {state:8} made {made}", set.number);
            }
        }
        CardKeysCommand::Retire { number } => {
            card_keys::retire(&db, number).await?;
            say!("retired key set {number}");
        }
        CardKeysCommand::Allow { device } => {
            card_keys::let_make(&db, device, true).await?;
            say!("{device} may make cards");
        }
        CardKeysCommand::Withdraw { device } => {
            card_keys::let_make(&db, device, false).await?;
            say!("{device} may make no more cards");
        }
    }
    Ok(())
}

async fn stock_command(folder: &HubFolder, command: StockCommand) -> Result<(), CliError> {
    let db = folder.database().await?;
    let (grant, step, done) = match command {
        StockCommand::List { json } => {
            let report = stock::report(&db).await?;
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
        StockCommand::Freeze { grant } => (grant, GrantStep::Freeze, "frozen"),
        StockCommand::Thaw { grant } => (grant, GrantStep::Thaw, "active again"),
        StockCommand::WriteOff { grant } => (grant, GrantStep::WriteOff, "written off"),
    };
    stock::change_grant(&db, GrantId(grant), step).await?;
    say!("grant {grant}: {done}");
    Ok(())
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

async fn venue(folder: &HubFolder, command: VenueCommand) -> Result<(), CliError> {
    let db = folder.database().await?;
    match command {
        VenueCommand::Add { venue, name } => {
            registry::add_venue(&db, &venue, &name).await?;
            say!("added {venue}");
        }
        VenueCommand::List => {
            for (venue, name) in registry::venues(&db).await? {
                say!("{venue:24} {name}");
            }
        }
    }
    Ok(())
}

async fn show(folder: &HubFolder, command: ShowCommand) -> Result<(), CliError> {
    let db = folder.database().await?;
    match command {
        ShowCommand::Pass { card, json } => {
            let card: Identification = card.parse()?;
            let pass = report::pass(&db, &card).await?;
            if json {
                say!("{}", json_of(&pass));
            } else {
                say!(
                    "pass {}: {} points, debt {}, {} visits, {} entries of which {} over a limit",
                    pass.pass_id.0,
                    pass.points,
                    pass.debt,
                    pass.visits,
                    pass.entries,
                    pass.over_limit
                );
            }
        }
        ShowCommand::Ledger { venue, day, json } => {
            let entries = report::ledger(&db, &venue, day).await?;
            if json {
                say!("{}", json_of(&entries));
                return Ok(());
            }
            for entry in &entries {
                let at = jiff::Timestamp::from_millisecond(entry.at).unwrap_or_default();
                let pass =
                    entry.pass.map_or_else(|| "unknown".to_owned(), |pass| pass.0.to_string());
                let counts = if entry.counts_at == entry.at {
                    String::new()
                } else {
                    let at = jiff::Timestamp::from_millisecond(entry.counts_at);
                    format!("  counts at {}", at.unwrap_or_default())
                };
                say!(
                    "{at}  {:14} pass {pass:>8} {:>5} points  {}  {}{counts}",
                    entry.kind,
                    entry.points,
                    entry.desk,
                    entry.entry
                );
            }
            say!("{} entries", entries.len());
        }
        ShowCommand::Debts { json } => {
            let debts = report::debts(&db).await?;
            if json {
                say!("{}", json_of(&debts));
                return Ok(());
            }
            for debt in &debts {
                say!("pass {:>8}  {:>6} points overspent", debt.pass_id.0, debt.debt);
            }
            say!("{} passes", debts.len());
        }
        ShowCommand::Totals { json } => {
            let totals = report::totals(&db).await?;
            if json {
                say!("{}", json_of(&totals));
            } else {
                say!(
                    "{} entries, {} batches set apart, {} passes with {} points and {} of debt",
                    totals.entries,
                    totals.quarantined,
                    totals.passes,
                    totals.points,
                    totals.debt
                );
            }
        }
    }
    Ok(())
}
