//! What a ticket costs a pass, under the names that are shown and sent.

use super::decision::Unanswered;
use super::{Case, Counter, Presented};
use crate::catalogue::{Activity, PassRecord};
use crate::decide::{Offer, Offers, Reason, offers};
use crate::entry::TariffKind;
use crate::money::{Cents, Shares};

/// What a social tariff's id begins with; the card system follows.
const SOCIAL: &str = "SOCIALTARIFF";

/// The id of the regular price.
const REGULAR: &str = "REGULAR";

/// The sort of a tariff (contract: `Tariff.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TariffType {
    /// The price that everybody pays.
    Regular,
    /// The social tariff.
    SocialTariff,
    /// A coupon's.
    Coupon,
}

impl TariffType {
    /// Its name in the contract.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Regular => REGULAR,
            Self::SocialTariff => SOCIAL,
            Self::Coupon => "COUPON",
        }
    }
}

/// One price at which a pass can buy (contract: `TariffAvailibility`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Its id: `REGULAR`, `SOCIALTARIFF-` and a card system, or the coupon's.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Its sort.
    pub sort: TariffType,
    /// What the holder pays for one ticket.
    pub price: Cents,
    /// How many tickets can be had for it.
    pub remaining: u32,
}

/// What a pass pays for a ticket. Shown on demand only (invariant 11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariffs {
    /// The activity's `eventId`.
    pub event_id: String,
    /// The price before any discount.
    pub regular_price: Cents,
    /// The prices, the lowest first.
    pub available: Vec<Tariff>,
    /// Why there is no social tariff, where one might be expected.
    pub social_tariff: Option<Reason>,
}

impl Tariff {
    pub(super) fn of(offer: &Offer<'_>) -> Self {
        let (sort, name) = match offer.tariff {
            TariffKind::Regular => (TariffType::Regular, "Basistarief"),
            TariffKind::SocialTariff => (TariffType::SocialTariff, "UiTPAS Kansentarief"),
            TariffKind::Coupon(_) => {
                (TariffType::Coupon, offer.coupon.map_or("", |coupon| &coupon.name[..]))
            }
        };
        Self {
            id: id_of(offer),
            name: name.to_owned(),
            sort,
            price: offer.shares.holder,
            remaining: offer.remaining,
        }
    }

    /// The regular price, where it is not among what is offered.
    pub(super) fn regular(price: Cents) -> Self {
        Self::of(&Offer {
            tariff: TariffKind::Regular,
            coupon: None,
            card_system: None,
            shares: Shares::regular(price),
            remaining: 0,
        })
    }
}

fn id_of(offer: &Offer<'_>) -> String {
    match (offer.tariff, offer.coupon, offer.card_system) {
        (TariffKind::SocialTariff, _, Some(system)) => format!("{SOCIAL}-{}", system.0),
        (TariffKind::SocialTariff, _, None) => SOCIAL.to_owned(),
        (TariffKind::Coupon(_), Some(coupon), _) => coupon.coupon_id.clone(),
        (TariffKind::Coupon(coupon), None, _) => coupon.0.to_string(),
        (TariffKind::Regular, ..) => REGULAR.to_owned(),
    }
}

/// Which tariff an id means: one that is offered, or one whose lack has a reason of its own.
///
/// # Errors
/// [`Reason::InvalidCoupon`] where it means none.
pub(super) fn of_id(
    id: &str,
    record: &PassRecord,
    offers: &Offers<'_>,
    counter: &Counter<'_>,
) -> Result<TariffKind, Reason> {
    if let Some(offer) = offers.available.iter().find(|offer| id_of(offer) == id) {
        return Ok(offer.tariff);
    }
    if id.starts_with(SOCIAL) {
        return Ok(TariffKind::SocialTariff);
    }
    let coupon = counter.catalogue.coupons.iter().find(|coupon| coupon.coupon_id == id);
    let granted = |coupon| record.coupons.iter().any(|granted| granted.coupon == coupon);
    match coupon {
        Some(coupon) if granted(coupon.coupon) => Ok(TariffKind::Coupon(coupon.coupon)),
        Some(_) | None => Err(Reason::InvalidCoupon),
    }
}

/// What an activity costs before any discount: what is asked, or its usual price.
///
/// # Errors
/// [`Unanswered::NoPrice`].
pub(super) fn regular_price(
    activity: &Activity,
    asked: Option<Cents>,
) -> Result<Cents, Unanswered> {
    asked.or_else(|| activity.prices.first().map(|it| it.price)).ok_or(Unanswered::NoPrice)
}

/// What a pass pays for a ticket to the activity of this `eventId`, or to the chosen one.
///
/// # Errors
/// [`Unanswered`].
pub fn tariffs(
    case: &Case<'_>,
    event_id: Option<&str>,
    price: Option<Cents>,
) -> Result<Tariffs, Unanswered> {
    let counter = &case.counter;
    let Presented::Pass(pass) = &case.presented else { return Err(Unanswered::NoSuchPass) };
    let activity = counter.activity_of(event_id).ok_or(Unanswered::NoSuchActivity)?;
    let regular_price = regular_price(activity, price)?;
    let coupons = counter.catalogue.coupons;
    let offers = offers(pass.standing, activity, coupons, regular_price, &counter.here)
        .map_err(Unanswered::NotForPass)?;
    Ok(Tariffs {
        event_id: activity.event_id.clone(),
        regular_price,
        available: offers.available.iter().map(Tariff::of).collect(),
        social_tariff: offers.social_tariff,
    })
}
