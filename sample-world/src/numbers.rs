//! Numbers of cards: none twice, none of the dataset's, and from one pass to the next no pattern that
//! meets the eye.

use crdt_model::ids::{ChipNumber, MuseumPassNumber, UitpasNumber};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::places::Region;
use super::{Stream, sound};

/// How many serial numbers there are: a prime, so that every step goes through all of them.
const SERIALS: u32 = 599_999;

/// The six digits behind the prefix of a UiTPAS number begin here: the dataset's stay below.
const FIRST_SERIAL: u32 = 200_000;

/// Those of cards that were replaced begin here.
const FIRST_REPLACED: u32 = FIRST_SERIAL + SERIALS;

/// One in so many cards was replaced.
const REPLACED_ONE_IN: u32 = 32;

/// What a chip number ends with; none of the dataset's does.
const CHIP_END: u8 = 0x90;

/// Bits of a chip number that vary.
const CHIP_BITS: u32 = 39;

/// A museumPASS number's digits begin here, so that there are nine of them; the dataset's begin with
/// noughts.
const FIRST_MUSEUMPASS: u32 = 100_000_000;

/// From one serial number to the next, a museumPASS number moves on by so many.
const MUSEUMPASS_STEP: u32 = 1_499;

/// The cards of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// The one in use.
    Current,
    /// The one before it.
    Replaced,
}

/// How the numbers of one world are spread.
#[derive(Debug)]
pub(super) struct Numbers {
    step: u32,
    start: u32,
    chip_step: u64,
    chip_start: u64,
}

impl Numbers {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Stream::Numbers.random(seed);
        Self {
            step: random.random_range(SERIALS / 4..SERIALS / 2),
            start: random.random_range(0..SERIALS),
            // Odd, and so without a factor in common with the power of two that it is taken by.
            chip_step: random.random::<u64>() | 1,
            chip_start: random.random(),
        }
    }

    /// A number below [`SERIALS`], another for each place below [`SERIALS`].
    fn serial(&self, place: u32) -> u32 {
        let serial =
            (u64::from(self.step) * u64::from(place) + u64::from(self.start)) % u64::from(SERIALS);
        u32::try_from(serial).unwrap_or_default()
    }

    /// Whether the pass at this place had a card before.
    pub(super) fn was_replaced(&self, place: u32) -> bool {
        self.serial(place).is_multiple_of(REPLACED_ONE_IN)
    }

    /// The UiTPAS number of the pass at this place. Only who was replaced has a replaced one.
    pub(super) fn uitpas(
        &self,
        place: u32,
        region: Region,
        with_social_tariff: bool,
        generation: Generation,
    ) -> UitpasNumber {
        let serial = match generation {
            Generation::Current => FIRST_SERIAL + self.serial(place),
            Generation::Replaced => FIRST_REPLACED + self.serial(place) / REPLACED_ONE_IN,
        };
        let tariff = u8::from(with_social_tariff);
        let twelve = format!("{}{serial:06}{tariff}", region.number_prefix());
        sound(UitpasNumber::with_check_digit(&twelve))
    }

    /// The chip number of the pass at this place: 7 bytes, the first 04 as those of NXP.
    pub(super) fn chip(&self, place: u32, generation: Generation) -> ChipNumber {
        const MASK: u64 = (1 << CHIP_BITS) - 1;
        let card = u64::from(place) * 2 + u64::from(generation == Generation::Replaced);
        let spread = card.wrapping_mul(self.chip_step).wrapping_add(self.chip_start) & MASK;
        let mixed = spread ^ spread >> (CHIP_BITS / 2);
        let it = mixed.to_be_bytes();
        // In the fourth place, where 88 is not allowed (ISO 14443-3), the byte that has only 7 bits.
        sound(ChipNumber::from_bytes(&[0x04, it[4], it[5], it[3], it[6], it[7], CHIP_END]))
    }

    /// The museumPASS number of the pass at this place.
    pub(super) fn museumpass(&self, place: u32, random: &mut ChaCha20Rng) -> MuseumPassNumber {
        let number = FIRST_MUSEUMPASS
            + self.serial(place) * MUSEUMPASS_STEP
            + random.random_range(0..MUSEUMPASS_STEP);
        sound(format!("MPM{number:09}").parse())
    }
}
