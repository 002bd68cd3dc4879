//! How prices come about: distribution keys, coupons, the prices of passes.

use jiff::civil::Date;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{ActivityId, CardSystemId, CouponId};
use crate::limits::PeriodLimit;
use crate::money::{Cents, Percentages, Shares};

/// How the social tariff is made for an activity in one card system (contract: distribution keys
/// "determine the price of discounted tariffs").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
pub struct DistributionKey {
    /// In which.
    #[n(0)]
    pub card_system: CardSystemId,
    /// How.
    #[n(1)]
    pub rule: DistributionRule,
}

/// How a price is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum DistributionRule {
    /// By percentages of holder, city and organiser (Mechelen: 20, 40, 40).
    #[n(0)]
    Percentage(#[n(0)] Percentages),
    /// The holder pays a fixed amount; the city pays so many percent of the rest.
    #[n(1)]
    #[serde(rename_all = "camelCase")]
    Fixed {
        /// What the holder pays.
        #[n(0)]
        #[serde(rename = "holderCents")]
        holder: Cents,
        /// The city's part of the rest, in percent.
        #[n(1)]
        city_percent: u8,
    },
}

impl DistributionRule {
    /// Who pays what of one ticket at this regular price.
    pub fn shares(&self, price: Cents) -> Shares {
        match *self {
            Self::Percentage(percentages) => Shares::by_percentage(price, percentages),
            Self::Fixed { holder, city_percent } => {
                Shares::with_holder_paying(price, holder, city_percent)
            }
        }
    }
}

/// What a coupon takes off a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
pub enum Discount {
    /// So many percent, rounded half up to a cent.
    #[n(0)]
    Percent(#[n(0)] u8),
    /// So many cents, never more than the price.
    #[n(1)]
    Cents(#[n(0)] Cents),
}

/// A coupon (contract: `GrantedCoupon.coupon`). Who was granted it stands in the pass records.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Coupon {
    /// The hub's serial number.
    #[n(0)]
    pub coupon: CouponId,
    /// The contract's id.
    #[n(1)]
    pub coupon_id: String,
    /// Its name.
    #[n(2)]
    pub name: String,
    /// What it takes off.
    #[n(3)]
    pub discount: Discount,
    /// The city's part of what is taken off, in percent; the organiser goes without the rest.
    #[n(4)]
    pub city_percent: u8,
    /// How many tickets one pass may buy with it: so many a day, or once.
    #[n(5)]
    pub limit: Option<PeriodLimit>,
    /// The activities that it is for; empty means all.
    #[n(6)]
    pub activities: Vec<ActivityId>,
}

impl Coupon {
    /// Who pays what of one ticket at this regular price.
    pub fn shares(&self, price: Cents) -> Shares {
        let holder = match self.discount {
            Discount::Percent(percent) => price.less(price.percent(percent)),
            Discount::Cents(cents) => price.less(cents),
        };
        Shares::with_holder_paying(price, holder, self.city_percent)
    }

    /// Whether it is for this activity.
    pub fn is_for(&self, activity: ActivityId) -> bool {
        self.activities.is_empty() || self.activities.contains(&activity)
    }
}

/// Where people must live to be granted a coupon: postal codes; none means anywhere. It is decided
/// where the postal codes are, at the hub, so that no desk knows where anybody lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Residence(pub Vec<String>);

impl Residence {
    /// Whether somebody with this postal code is granted it.
    pub fn includes(&self, postal_code: Option<&str>) -> bool {
        self.0.is_empty() || postal_code.is_some_and(|code| self.0.iter().any(|it| it == code))
    }
}

/// A card system with the prices of its passes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CardSystem {
    /// Its number in the contract.
    #[n(0)]
    pub card_system: CardSystemId,
    /// Its name.
    #[n(1)]
    pub name: String,
    /// What a pass costs, by age and tariff.
    #[n(2)]
    pub membership_prices: Vec<MembershipPrice>,
}

/// What a pass costs (contract: `MembershipPrice`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MembershipPrice {
    /// For whom, in words.
    #[n(0)]
    pub label: String,
    /// The price.
    #[n(1)]
    #[serde(rename = "cents")]
    pub price: Cents,
    /// From this age in years.
    #[n(2)]
    #[serde(default)]
    pub from_age: u8,
    /// Below this age in years; `None` means any.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below_age: Option<u8>,
    /// For holders with a social tariff only.
    #[n(4)]
    #[serde(default)]
    pub social_tariff: bool,
}

impl CardSystem {
    /// What a pass costs for somebody born on this day: the lowest price that fits (contract:
    /// `GET /passholders/membership-prices/{cardSystemId}`).
    pub fn membership_price(
        &self,
        date_of_birth: Date,
        social_tariff: bool,
        today: Date,
    ) -> Option<&MembershipPrice> {
        let age = age_in_years(date_of_birth, today);
        self.membership_prices
            .iter()
            .filter(|price| social_tariff || !price.social_tariff)
            .filter(|price| age >= i32::from(price.from_age))
            .filter(|price| price.below_age.is_none_or(|below| age < i32::from(below)))
            .min_by_key(|price| price.price)
    }
}

/// Full years from a day of birth to a day. Who was born on 29 February turns on 1 March.
pub(crate) fn age_in_years(born: Date, today: Date) -> i32 {
    let years = i32::from(today.year()) - i32::from(born.year());
    years - i32::from((today.month(), today.day()) < (born.month(), born.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// Dendermonde's leaflet: 5 euro, 2 euro under 18.
    #[test]
    fn a_pass_costs_what_the_age_says_and_less_with_a_social_tariff() {
        let price = |label: &str, cents, below_age, social_tariff| MembershipPrice {
            label: label.to_owned(),
            price: Cents(cents),
            from_age: 0,
            below_age,
            social_tariff,
        };
        let dender = CardSystem {
            card_system: CardSystemId(4),
            name: "UiTPAS Dender".to_owned(),
            membership_prices: vec![
                price("Volwassene", 500, None, false),
                price("Onder 18", 200, Some(18), false),
                price("Kansentarief", 0, None, true),
            ],
        };
        let cents = |born: &str, social| {
            dender.membership_price(day(born), social, day("2026-11-21")).map(|p| p.price.0)
        };
        assert_eq!(cents("1980-01-01", false), Some(500));
        assert_eq!(cents("2008-11-22", false), Some(200), "18 tomorrow");
        assert_eq!(cents("2008-11-21", false), Some(500), "18 today");
        assert_eq!(cents("1980-01-01", true), Some(0));
        assert_eq!(age_in_years(day("2008-02-29"), day("2026-02-28")), 17);
        assert_eq!(age_in_years(day("2008-02-29"), day("2026-03-01")), 18);
    }

    #[test]
    fn a_coupon_never_takes_off_more_than_the_price() {
        let coupon = |discount| Coupon {
            coupon: CouponId(1),
            coupon_id: "COUPON-1".to_owned(),
            name: "Kortingsbon".to_owned(),
            discount,
            city_percent: 50,
            limit: None,
            activities: Vec::new(),
        };
        let shares = coupon(Discount::Percent(50)).shares(Cents(1001));
        assert_eq!(
            (shares.holder, shares.city, shares.organiser),
            (Cents(500), Cents(251), Cents(250))
        );
        let shares = coupon(Discount::Cents(Cents(2000))).shares(Cents(1000));
        assert_eq!(
            (shares.holder, shares.city, shares.organiser),
            (Cents(0), Cents(500), Cents(500))
        );
    }

    #[test]
    fn a_coupon_is_granted_by_where_somebody_lives() {
        let gent = Residence(vec!["9000".to_owned(), "9030".to_owned()]);
        assert!(gent.includes(Some("9000")));
        assert!(!gent.includes(Some("1000")) && !gent.includes(None));
        assert!(Residence::default().includes(None));
    }
}
