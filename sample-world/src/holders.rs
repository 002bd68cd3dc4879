//! Holders. Every surname says that nobody is called so.

use catalogue_file::HolderRow;
use data_encoding::BASE64;
use jiff::civil::Date;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::{Stream, World, portrait};

/// First names.
pub(super) const FIRST_NAMES: [&str; 31] = [
    "Aya", "Bram", "Cas", "Dina", "Ezra", "Fien", "Gust", "Hanne", "Ilyas", "Jolien", "Kobe",
    "Lotte", "Mats", "Noor", "Oona", "Piet", "Quinten", "Rania", "Staf", "Tuur", "Ulrike", "Vik",
    "Wout", "Xena", "Yara", "Zeno", "Amber", "Bilal", "Cleo", "Dries", "Els",
];

/// Surnames.
pub(super) const SURNAMES: [&str; 20] = [
    "Fictief",
    "Voorbeeld",
    "Verzonnen",
    "Proefpersoon",
    "Bedacht",
    "Denkbeeldig",
    "Ingebeeld",
    "Proefkonijn",
    "Testgeval",
    "Niemand",
    "Nergens",
    "Sprookje",
    "Fabel",
    "Hersenschim",
    "Luchtkasteel",
    "Schijnbaar",
    "Modelgeval",
    "Steekproef",
    "Onbestaand",
    "Papieren",
];

/// How old somebody is, in years.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    pub(super) youngest: u32,
    pub(super) oldest: u32,
}

/// Makes holders, one after the other.
#[derive(Debug)]
pub(super) struct Holders {
    today: Date,
    /// Where the lists of names begin.
    start: u32,
    made: u32,
}

impl Holders {
    pub(super) fn of(world: &World) -> Self {
        let start = Stream::Names.random(world.seed).random_range(0..1000);
        Self { today: world.today, start, made: 0 }
    }

    /// The next holder. No two of the first 620 are called alike: 31 and 20 have no common factor.
    pub(super) fn next(
        &mut self,
        ages: Ages,
        with_picture: bool,
        random: &mut ChaCha20Rng,
    ) -> HolderRow {
        let place = (self.start + self.made) as usize;
        self.made += 1;
        let (first, last) = (place % FIRST_NAMES.len(), place % SURNAMES.len());
        let age = random.random_range(ages.youngest..ages.oldest);
        let days = age * 365 + age / 4 + random.random_range(1..365u32);
        let born = self.today.saturating_sub(jiff::Span::new().days(days));
        HolderRow {
            name: format!("{} {}", FIRST_NAMES[first], SURNAMES[last]),
            date_of_birth: Some(born),
            picture: with_picture.then(|| BASE64.encode(&portrait::portrait(age, random))),
        }
    }
}
