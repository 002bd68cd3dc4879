//! Measurements, each a ratio in one run: `./dev bench NAME`.

mod backlog;
mod decide;
mod fold;
mod light_desk;
mod measure;
mod reader;
mod tap;
mod taps_at_scale;
mod unlock;

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
    /// How many entries are folded in a second on one core.
    Fold {
        /// How many entries.
        #[arg(long, default_value_t = 1_000_000)]
        entries: u32,
        /// How many entries are taken at the hub.
        #[arg(long, default_value_t = 400_000)]
        kept: u32,
        /// How many passes these are of.
        #[arg(long, default_value_t = 50_000)]
        passes: u32,
    },
    /// One decision with many passes on the desk, beside one with a thousand.
    Decide {
        /// How many passes.
        #[arg(long, default_value_t = 500_000)]
        passes: u32,
    },
    /// From a card on the reader to the verdict on the screen, with its parts.
    Reader {
        /// How many taps.
        #[arg(long, default_value_t = 100)]
        taps: u32,
    },
    /// What a tap and an idle desk cost the hub while few and many desks are linked.
    TapsAtScale {
        /// Single taps in each round, with each number of desks.
        #[arg(long, default_value_t = 150)]
        taps: u32,
        /// How often each number of desks has its turn.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// Only the memory that an idle desk takes.
        #[arg(long)]
        memory: bool,
    },
    /// How long the sealed part of a record takes to open.
    Unlock {
        /// How often.
        #[arg(long, default_value_t = 60)]
        times: u32,
    },
}

#[tokio::main]
async fn main() {
    match Measurement::parse() {
        Measurement::Tap { taps } => tap::measure(taps).await,
        Measurement::Backlog { entries } => backlog::measure(entries).await,
        Measurement::Fold { entries, kept, passes } => fold::measure(entries, kept, passes).await,
        Measurement::Decide { passes } => decide::measure(passes).await,
        Measurement::Reader { taps } => reader::measure(taps).await,
        Measurement::TapsAtScale { taps, rounds, memory } => {
            taps_at_scale::measure(taps, rounds, memory).await;
        }
        Measurement::Unlock { times } => unlock::measure(times),
    }
}
