//! Measurements, each a ratio in one run: `./dev bench NAME`.

mod backlog;
mod measure;
mod tap;

use clap::Parser;

/// What to measure.
#[derive(Debug, Parser)]
#[command(name = "stempel-bench")]
enum Measurement {
    /// From tap to verdict through the desk API, beside one append and fdatasync of the same bytes.
    Tap {
        /// How many taps are measured.
        #[arg(long, default_value_t = 1000)]
        taps: u32,
    },
    /// What a backlog costs on the wire, and how long it takes over loopback.
    Backlog {
        /// How many check-ins wait.
        #[arg(long, default_value_t = 10_000)]
        entries: u32,
    },
}

#[tokio::main]
async fn main() {
    match Measurement::parse() {
        Measurement::Tap { taps } => tap::measure(taps).await,
        Measurement::Backlog { entries } => backlog::measure(entries).await,
    }
}
