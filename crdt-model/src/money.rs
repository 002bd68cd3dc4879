//! Money: whole cents, and how a price is shared so that nothing is lost in rounding.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount in whole cents of a euro, at most some 42 million euro. There are no negative ones: what
/// is paid back is a void, not an amount.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Cents(#[n(0)] pub u32);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// What is left when `other` is taken off; nothing where that is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times this amount.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// So many percent of the amount, rounded half up to a whole cent. More than 100 is 100.
    #[must_use]
    pub fn percent(self, percent: u8) -> Self {
        let hundredths = u64::from(self.0) * u64::from(percent.min(100));
        Self(u32::try_from((hundredths + 50) / 100).unwrap_or(u32::MAX))
    }
}

impl Add for Cents {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Euros with two decimals and a full stop, as in the contracts: `12.50`.
impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an amount is written in euros with at most two decimals, as in 12 or 12.50")]
pub struct AmountError;

impl FromStr for Cents {
    type Err = AmountError;

    /// Euros, with a full stop or a comma before at most two decimals.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (euros, cents) = text.split_once(['.', ',']).unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if euros.is_empty() || cents.len() > 2 || !digits(euros) || !digits(cents) {
            return Err(AmountError);
        }
        let euros: u32 = euros.parse().map_err(|_| AmountError)?;
        let cents: u32 = format!("{cents:0<2}").parse().map_err(|_| AmountError)?;
        euros
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(cents))
            .map(Self)
            .ok_or(AmountError)
    }
}

/// Who pays which part of one ticket's price: together always exactly the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Shares {
    /// What the holder pays at the desk.
    #[n(0)]
    pub holder: Cents,
    /// What the holder's city adds.
    #[n(1)]
    pub city: Cents,
    /// What the organiser goes without.
    #[n(2)]
    pub organiser: Cents,
}

impl Shares {
    /// A price that the holder pays alone.
    pub fn regular(price: Cents) -> Self {
        Self { holder: price, city: Cents::ZERO, organiser: Cents::ZERO }
    }

    /// The price.
    pub fn price(&self) -> Cents {
        self.holder + self.city + self.organiser
    }

    /// Shares a price by percentages, by largest remainder: each party first gets its exact part
    /// rounded down to a cent; the cents that are left go one each to the parties whose part was cut
    /// most, and where two were cut alike first to the organiser, then to the city, then to the
    /// holder, so that a holder never pays more than the exact part rounded up.
    pub fn by_percentage(price: Cents, percentages: Percentages) -> Self {
        let Percentages { holder, city, organiser } = percentages;
        let mut shares = [0u32; 3];
        let mut cut = [(0u64, 0usize); 3];
        // In the order in which ties are broken.
        for (place, percent) in [organiser, city, holder].into_iter().enumerate() {
            let hundredths = u64::from(price.0) * u64::from(percent);
            shares[place] = u32::try_from(hundredths / 100).unwrap_or(u32::MAX);
            cut[place] = (hundredths % 100, place);
        }
        let left = price.0 - shares.iter().sum::<u32>();
        cut.sort_by_key(|(remainder, place)| (std::cmp::Reverse(*remainder), *place));
        for (_, place) in cut.iter().take(left as usize) {
            shares[*place] += 1;
        }
        let [organiser, city, holder] = shares.map(Cents);
        Self { holder, city, organiser }
    }

    /// The holder pays this, at most the price; of the rest the city pays so many percent, rounded
    /// half up, and the organiser what is left.
    pub fn with_holder_paying(price: Cents, holder: Cents, city_percent: u8) -> Self {
        let holder = holder.min(price);
        let rest = price.less(holder);
        let city = rest.percent(city_percent);
        Self { holder, city, organiser: rest.less(city) }
    }
}

/// Three percentages that make a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Encode)]
#[serde(rename_all = "camelCase")]
pub struct Percentages {
    #[n(0)]
    holder: u8,
    #[n(1)]
    city: u8,
    #[n(2)]
    organiser: u8,
}

/// Percentages that do not make a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the shares of holder, city and organiser make {sum} %, not 100 %")]
pub struct PercentagesError {
    /// What they make.
    pub sum: u16,
}

impl Percentages {
    /// These percentages.
    ///
    /// # Errors
    /// [`PercentagesError`] where they do not make a hundred.
    pub fn new(holder: u8, city: u8, organiser: u8) -> Result<Self, PercentagesError> {
        let sum = u16::from(holder) + u16::from(city) + u16::from(organiser);
        if sum == 100 {
            Ok(Self { holder, city, organiser })
        } else {
            Err(PercentagesError { sum })
        }
    }
}

impl<'b, C> Decode<'b, C> for Percentages {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        context: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        let [holder, city, organiser] = <[u8; 3]>::decode(decoder, context)?;
        Self::new(holder, city, organiser).map_err(minicbor::decode::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Percentages {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Raw {
            holder: u8,
            city: u8,
            organiser: u8,
        }
        let raw = Raw::deserialize(deserializer)?;
        Self::new(raw.holder, raw.city, raw.organiser).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::cases;

    #[test]
    fn amounts_are_read_and_written_as_people_write_them() {
        for (text, cents) in [("12", 1200), ("12.5", 1250), ("12,50", 1250), ("0.05", 5)] {
            assert_eq!(text.parse(), Ok(Cents(cents)), "{text}");
        }
        assert_eq!(Cents(1205).to_string(), "12.05");
        for wrong in ["", "-1", "1.234", "€ 5", "1e3", ".5", "99999999999"] {
            assert_eq!(wrong.parse::<Cents>(), Err(AmountError), "{wrong}");
        }
    }

    /// Mechelen shares 20/40/40 (DESIGN.md); two cents over go to organiser and city.
    #[test]
    fn cents_that_are_left_over_never_go_to_the_holder_first() {
        let mechelen = Percentages::new(20, 40, 40).unwrap();
        let shares = Shares::by_percentage(Cents(1000), mechelen);
        assert_eq!(shares, Shares { holder: Cents(200), city: Cents(400), organiser: Cents(400) });
        let shares = Shares::by_percentage(Cents(1001), mechelen);
        assert_eq!(shares, Shares { holder: Cents(200), city: Cents(400), organiser: Cents(401) });
        let third = Percentages::new(34, 33, 33).unwrap();
        assert_eq!(Shares::by_percentage(Cents(1), third).holder, Cents(1), "the largest part cut");
        assert_eq!(Percentages::new(50, 50, 1), Err(PercentagesError { sum: 101 }));
        let bytes = minicbor::to_vec(mechelen).unwrap();
        assert_eq!(minicbor::decode::<Percentages>(&bytes).unwrap(), mechelen);
        assert!(minicbor::decode::<Percentages>(&[0x83, 50, 50, 1]).is_err());
    }

    fn percentages() -> impl Strategy<Value = Percentages> {
        (0u8..=100).prop_flat_map(|holder| {
            (0..=100 - holder)
                .prop_map(move |city| Percentages::new(holder, city, 100 - holder - city).unwrap())
        })
    }

    proptest! {
        #![proptest_config(cases(5000))]

        #[test]
        fn shares_add_up_to_the_price_and_each_is_within_a_cent_of_its_part(
            price in any::<u32>(),
            parts in percentages(),
        ) {
            let shares = Shares::by_percentage(Cents(price), parts);
            let sum = u64::from(shares.holder.0) + u64::from(shares.city.0) + u64::from(shares.organiser.0);
            prop_assert_eq!(sum, u64::from(price));
            for (share, percent) in [
                (shares.holder, parts.holder),
                (shares.city, parts.city),
                (shares.organiser, parts.organiser),
            ] {
                let exact = u64::from(price) * u64::from(percent);
                prop_assert!((u64::from(share.0) * 100).abs_diff(exact) < 100);
            }
        }

        #[test]
        fn fixed_shares_add_up_to_the_price_and_nobody_pays_more_than_it(
            price in any::<u32>(),
            holder in any::<u32>(),
            city in any::<u8>(),
        ) {
            let shares = Shares::with_holder_paying(Cents(price), Cents(holder), city);
            let sum = u64::from(shares.holder.0) + u64::from(shares.city.0) + u64::from(shares.organiser.0);
            prop_assert_eq!(sum, u64::from(price));
            prop_assert!(shares.holder <= Cents(price));
        }

        #[test]
        fn an_amount_survives_its_text(cents in any::<u32>()) {
            prop_assert_eq!(Cents(cents).to_string().parse(), Ok(Cents(cents)));
        }
    }
}
