//! `stempel-syncd`: the desk's daemon.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use desk_api::place::default_folder;
use service::log::Log;
use service::{exit, say, say_error};
use syncd::daemon;
use syncd::enrol::enrol;
use syncd::paths::DeskFolder;

/// The desk's daemon: records taps, answers the console, and merges with the hub whenever there is
/// internet.
#[derive(Debug, Parser)]
#[command(
    name = "stempel-syncd",
    version,
    after_help = "Exit codes: 0 done or told to stop, 1 failed, 2 usage, 4 the enrolment is refused"
)]
struct Arguments {
    /// The desk's folder.
    #[arg(long, env = "STEMPEL_FOLDER", global = true)]
    folder: Option<PathBuf>,
    /// The desk API's socket; by default `desk.sock` in the folder.
    #[arg(long, env = "STEMPEL_SOCKET")]
    socket: Option<PathBuf>,
    /// The folder where this computer notes what its desks handed out of limited rewards, outside the desk's folder; by
    /// default with the state of the service or of the user.
    #[arg(long, env = "STEMPEL_MARKS")]
    marks: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enrols this desk with an operator's invitation, and ends: `stempel enrol` asks for it.
    Enrol {
        /// The invitation's text.
        invitation: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = DeskFolder::new(arguments.folder.unwrap_or_else(default_folder));
    let folder = match arguments.marks {
        Some(marks) => folder.with_marks(marks),
        None => folder,
    };
    match arguments.command {
        Some(Command::Enrol { invitation }) => enrol_desk(folder.root(), &invitation).await,
        None => run(folder, arguments.socket).await,
    }
}

async fn run(folder: DeskFolder, socket: Option<PathBuf>) -> ExitCode {
    let log = Log::start("info,sled=warn");
    let ready = |socket: &Path| service::log::ready(format!("ready on {}", socket.display()));
    match daemon::run(folder, socket, ready).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.say(&format!("stempel-syncd: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn enrol_desk(folder: &Path, invitation: &str) -> ExitCode {
    match enrol(folder, invitation).await {
        Ok(enrolment) => {
            say!("enrolled: {} · {}", enrolment.venue_name, enrolment.desk_name);
            say!("start the desk with: stempel-syncd --folder {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            say_error!("stempel-syncd: {error}");
            exit::REFUSED.into()
        }
    }
}
