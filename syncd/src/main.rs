//! `stempel-syncd`: the desk's daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use service::log::Log;
use syncd::daemon;
use syncd::paths::DeskFolder;

/// The desk's daemon: records taps, answers the console, and merges with the hub whenever there is
/// internet.
#[derive(Debug, Parser)]
#[command(name = "stempel-syncd", version)]
struct Arguments {
    /// The desk's folder.
    #[arg(long, env = "STEMPEL_FOLDER")]
    folder: Option<PathBuf>,
    /// The desk API's socket; by default `desk.sock` in the folder.
    #[arg(long, env = "STEMPEL_SOCKET")]
    socket: Option<PathBuf>,
    /// The folder where this computer notes what its desks handed out of limited rewards, outside the desk's folder; by
    /// default with the state of the service or of the user.
    #[arg(long, env = "STEMPEL_MARKS")]
    marks: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = Log::start("info,sled=warn");
    let folder = DeskFolder::new(arguments.folder.unwrap_or_else(DeskFolder::default_location));
    let folder = match arguments.marks {
        Some(marks) => folder.with_marks(marks),
        None => folder,
    };
    let ready = |socket: &std::path::Path| {
        service::log::ready(format!("ready on {}", socket.display()));
    };
    match daemon::run(folder, arguments.socket, ready).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.say(&format!("stempel-syncd: {error}"));
            ExitCode::FAILURE
        }
    }
}
