//! `stempel-hub`: the central server.

use std::process::ExitCode;

use clap::Parser;
use hub::cli::Exit;
use service::log::Log;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = hub::cli::Arguments::parse();
    let log = Log::start("info");
    match hub::cli::run(arguments).await {
        Ok(()) => match service::out::failure() {
            None => Exit::Ok.into(),
            Some(why) => {
                log.say(&format!("stempel-hub: {why}"));
                Exit::Failed.into()
            }
        },
        Err(error) => {
            log.say(&format!("stempel-hub: {error}"));
            error.exit().into()
        }
    }
}
