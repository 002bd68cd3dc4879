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
        Ok(exit) => {
            let failure = service::out::failure();
            if let Some(why) = &failure {
                say_error!("stempel: {why}");
            }
            match exit {
                cli::Exit::Ok if failure.is_some() => cli::Exit::Failed.into(),
                other => other.into(),
            }
        }
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
