//! `stempel`: the console and the command line.

use std::process::ExitCode;

use clap::Parser;
use service::out::json_of;
use service::{say, say_error};
use tui::cli;

#[tokio::main]
async fn main() -> ExitCode {
    let wants_json = std::env::args().any(|argument| argument == "--json");
    match cli::run(cli::Arguments::parse()).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            say_error!("stempel: {error}");
            // A script that asked for JSON gets the daemon's problem as the desk API says it.
            if let (true, Some(problem)) = (wants_json, error.problem()) {
                say!("{}", json_of(problem));
            }
            error.exit().into()
        }
    }
}
