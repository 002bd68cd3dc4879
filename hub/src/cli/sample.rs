//! `stempel-hub sample` and `sample-data`: catalogues of invented people, for `import catalogue`.

use clap::{Args, Subcommand};
use sample_world::{MAX_PASSES, World, dataset};
use service::out;

use super::CliError;

/// Which sample data.
#[derive(Debug, Subcommand)]
pub(super) enum SampleCommand {
    /// The public test dataset, as `import catalogue` takes it.
    Catalogue,
}

/// How large the sample world is, and which.
#[derive(Debug, Args)]
pub(super) struct SampleWorld {
    /// How many passes. The first 18 are those of the public test dataset.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_PASSES)))]
    passes: u32,
    /// The same seed and day give the same world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day on which the world is: some of its rewards end soon after. By default today.
    #[arg(long)]
    today: Option<jiff::civil::Date>,
}

pub(super) fn run(command: &SampleCommand) {
    let SampleCommand::Catalogue = command;
    out::lines(dataset::CATALOGUE);
}

pub(super) fn write(world: &SampleWorld) -> Result<(), CliError> {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let today = world.today.unwrap_or_else(|| now.date());
    let world = World { seed: world.seed, passes: world.passes, today };
    match world.write(&mut std::io::stdout().lock()) {
        // Whoever reads may have seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(CliError::Output),
    }
}
