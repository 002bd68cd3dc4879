//! `stempel-hub`: the central server.

use std::process::ExitCode;

use clap::Parser;
use service::log::Log;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = hub::cli::Arguments::parse();
    let log = Log::start("info");
    match hub::cli::run(arguments).await {
        Ok(()) => match service::out::failure() {
            None => ExitCode::SUCCESS,
            Some(why) => {
                log.say(&format!("stempel-hub: {why}"));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            log.say(&format!("stempel-hub: {error}"));
            ExitCode::FAILURE
        }
    }
}
