//! A sample world of any size for demo, tests and measurements: invented venues, activities, rewards
//! and passes around the public test dataset, which it contains unchanged.
//!
//! All of it follows from a seed and a day. A pass follows from the seed and its place alone, so that
//! a larger world begins with the smaller one. Passes are made one at a time and written as they are
//! made; nothing here holds more than one of them.
//!
//! What is made are rows of a catalogue file, as the hub imports it; nothing here knows how.
//!
//! Holders are named from two lists of names and drawn by code: nobody in here lives.

mod activities;
mod coupons;
pub mod dataset;
mod holders;
mod numbers;
mod passes;
mod places;
mod portrait;
mod rewards;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use catalogue_file::{CatalogueFile, PassRow, PeriodRow};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde::Serialize;

/// How many passes a world has at the most: as many as a desk is measured with. There are UiTPAS
/// numbers for 599,999.
pub const MAX_PASSES: u32 = 500_000;

/// A sample world: the same for the same seed and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many passes there are, at most [`MAX_PASSES`]. The first 18 are those of the public test
    /// dataset.
    pub passes: u32,
    /// The day around which rewards, rights and subscriptions begin and end.
    pub today: Date,
}

impl World {
    /// Everything but the passes.
    pub fn head(&self) -> CatalogueFile {
        let CatalogueFile {
            source,
            policy,
            venues,
            card_systems,
            activities,
            rewards,
            coupons,
            passes: _,
        } = dataset();
        let organisers = places::Organisers::of(self.seed);
        let own_activities = activities::activities(self, &organisers);
        let own_coupons = coupons::coupons(&own_activities);
        CatalogueFile {
            source: Some(format!(
                "Stempel's sample world, seed {}, {}: invented places, people and numbers. In it: {}",
                self.seed,
                self.today,
                source.unwrap_or_default()
            )),
            policy,
            venues: joined(venues, places::venues(&organisers)),
            card_systems: joined(card_systems, places::card_systems()),
            activities: joined(activities, own_activities),
            rewards: joined(rewards, rewards::rewards(self, &organisers)),
            coupons: joined(coupons, own_coupons),
            passes: Vec::new(),
        }
    }

    /// The passes, made as they are asked for.
    ///
    /// # Panics
    /// Where there are more than [`MAX_PASSES`].
    pub fn passes(&self) -> impl Iterator<Item = PassRow> {
        assert!(self.passes <= MAX_PASSES, "a world has at most {MAX_PASSES} passes");
        let dataset = dataset().passes;
        let first = u32::try_from(dataset.len()).unwrap_or(u32::MAX);
        let mut passes = passes::Passes::of(self);
        let own = (first..self.passes).map(move |place| passes.pass(place));
        dataset.into_iter().take(self.passes as usize).chain(own)
    }

    /// Writes the world as a catalogue file, each item on a line of its own.
    ///
    /// # Errors
    /// Those of writing; [`io::ErrorKind::InvalidInput`] for more than [`MAX_PASSES`].
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.passes > MAX_PASSES {
            let said = format!("a sample world has at most {MAX_PASSES} passes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
        }
        let head = self.head();
        let mut out = BufWriter::new(out);
        let source = serde_json::to_string(&head.source)?;
        let policy = serde_json::to_string(&head.policy)?;
        write!(out, "{{\n  \"source\": {source},\n  \"policy\": {policy}")?;
        write_rows(&mut out, "venues", head.venues)?;
        write_rows(&mut out, "cardSystems", head.card_systems)?;
        write_rows(&mut out, "activities", head.activities)?;
        write_rows(&mut out, "rewards", head.rewards)?;
        write_rows(&mut out, "coupons", head.coupons)?;
        write_rows(&mut out, "passes", self.passes())?;
        out.write_all(b"\n}\n")?;
        out.flush()
    }

    /// The day so many days after today.
    fn day(&self, days: i32) -> Date {
        self.today.saturating_add(Span::new().days(days))
    }

    /// From the first moment of one day to the last of another, both counted from today.
    fn period(&self, first: i32, last: i32) -> PeriodRow {
        PeriodRow { begin: self.begin_of(first), end: Some(self.end_of(last)) }
    }

    fn begin_of(&self, days: i32) -> Timestamp {
        self.day(days).to_zoned(brussels()).map_or(Timestamp::MIN, |zoned| zoned.timestamp())
    }

    fn end_of(&self, days: i32) -> Timestamp {
        let day = self.day(days).at(23, 59, 59, 0);
        day.to_zoned(brussels()).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }
}

/// The public test dataset.
fn dataset() -> CatalogueFile {
    sound(serde_json::from_str(dataset::CATALOGUE))
}

fn brussels() -> TimeZone {
    TimeZone::get("Europe/Brussels").unwrap_or(TimeZone::UTC)
}

fn joined<T>(mut rows: Vec<T>, more: Vec<T>) -> Vec<T> {
    rows.extend(more);
    rows
}

fn write_rows<T: Serialize>(
    out: &mut impl Write,
    name: &str,
    rows: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    write!(out, ",\n  \"{name}\": [")?;
    for (place, row) in rows.into_iter().enumerate() {
        out.write_all(if place == 0 { b"\n    " } else { b",\n    " })?;
        serde_json::to_writer(&mut *out, &row)?;
    }
    out.write_all(b"\n  ]")
}

/// What is parsed from a text that stands in this program, or made of numbers that it chose.
fn sound<T, E: Display>(made: Result<T, E>) -> T {
    match made {
        Ok(made) => made,
        Err(error) => unreachable!("the sample world is written wrongly: {error}"),
    }
}

/// What a stream of random numbers is for. Streams never meet.
#[derive(Debug, Clone, Copy)]
enum Stream {
    /// The pass at this place.
    Pass(u32),
    /// The ids of organisers.
    Organisers,
    /// The ids of activities.
    Activities,
    /// How serial numbers of cards are spread.
    Numbers,
    /// Where the lists of names begin.
    Names,
}

impl Stream {
    fn random(self, seed: u64) -> ChaCha20Rng {
        let number = match self {
            Self::Pass(place) => u64::from(place),
            Self::Organisers => 1 << 32,
            Self::Activities => 2 << 32,
            Self::Numbers => 3 << 32,
            Self::Names => 4 << 32,
        };
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = ChaCha20Rng::from_seed(key);
        random.set_stream(number);
        random
    }
}

/// One of these.
fn one_of<'a, T>(random: &mut ChaCha20Rng, of: &'a [T]) -> &'a T {
    use rand::RngExt;
    // A u32: the same number on machines of every word size.
    let place = random.random_range(0..u32::try_from(of.len()).unwrap_or(u32::MAX));
    &of[place as usize]
}
