//! `stempel`: the console and the command line.

use std::process::ExitCode;

use clap::Parser;
use tui::cli;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(cli::Arguments::parse()).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("stempel: {error}");
            error.exit().into()
        }
    }
}
