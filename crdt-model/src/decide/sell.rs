//! What does a ticket cost this pass, and may it be sold so many?

use crate::account::Limited;
use crate::catalogue::{Activity, Coupon, PassRecord, Programme, SocialTariff};
use crate::decide::check_in::ours;
use crate::decide::{Here, Reason, Standing, VerdictKind, uitpas_in_use};
use crate::entry::TariffKind;
use crate::ids::{CardSystemId, CouponId};
use crate::limits::{PeriodLimit, PeriodType};
use crate::money::{Cents, Shares};

/// Tickets in one sale at the most: a coach.
const MOST_TICKETS: u32 = 100;

/// One price at which this pass can buy (contract: `TariffAvailibility`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer<'a> {
    /// The tariff.
    pub tariff: TariffKind,
    /// The coupon, where it is one.
    pub coupon: Option<&'a Coupon>,
    /// The card system whose distribution key makes the social tariff.
    pub card_system: Option<CardSystemId>,
    /// Who pays what of one ticket.
    pub shares: Shares,
    /// How many tickets it can be had for now.
    pub remaining: u32,
}

/// What a pass can buy for an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers<'a> {
    /// The prices, the lowest first; the regular one is always among them.
    pub available: Vec<Offer<'a>>,
    /// Coupons that could be used here, were they not used up.
    pub used_up: Vec<CouponId>,
    /// Why there is no social tariff, where one might be expected (contract: `endUserMessage`). Shown
    /// on demand only (invariant 11).
    pub social_tariff: Option<Reason>,
}

impl Offers<'_> {
    /// What the holder pays for one ticket at the best price.
    pub fn lowest(&self) -> Cents {
        self.available.iter().map(|offer| offer.shares.holder).min().unwrap_or_default()
    }
}

/// The prices at which this pass can buy tickets for this activity (UiTPAS 4.0, `GET /tariffs`).
///
/// # Errors
/// The [`Reason`] for which the pass can buy nothing as a pass. Whoever holds it can still buy at the
/// regular price, as everybody can.
pub fn offers<'a>(
    pass: Standing<'_>,
    activity: &Activity,
    coupons: &'a [Coupon],
    price: Cents,
    here: &Here<'_>,
) -> Result<Offers<'a>, Reason> {
    uitpas_in_use(pass, here)?;
    ours(activity, here)?;
    let today = here.today();
    let room = |of: Limited, limit: Option<PeriodLimit>| {
        limit.map_or(MOST_TICKETS, |limit| pass.account.room(&of, limit, today))
    };
    let discounted = room(Limited::Ticket(activity.activity), activity.ticket_limit);
    let mut available = vec![Offer {
        tariff: TariffKind::Regular,
        coupon: None,
        card_system: None,
        shares: Shares::regular(price),
        remaining: MOST_TICKETS,
    }];
    let state = pass.record.social_tariff(&activity.card_systems, today);
    let mut social_tariff = why_no_social_tariff(state);
    if state.counts() {
        let in_a_year = room(Limited::GroupTicket, group_limit(pass.record));
        let remaining = discounted.min(in_a_year).min(MOST_TICKETS);
        match social_shares(pass.record, activity, price, here) {
            Some(_) if remaining == 0 => social_tariff = Some(Reason::MaximumReached),
            Some((card_system, shares)) => available.push(Offer {
                tariff: TariffKind::SocialTariff,
                coupon: None,
                card_system: Some(card_system),
                shares,
                remaining,
            }),
            None => social_tariff = Some(Reason::SocialTariffNotAvailable),
        }
    }
    let mut used_up = Vec::new();
    for coupon in granted(pass.record, activity, coupons, here) {
        let remaining = discounted.min(room(Limited::Coupon(coupon.coupon), coupon.limit));
        if remaining > 0 {
            available.push(Offer {
                tariff: TariffKind::Coupon(coupon.coupon),
                coupon: Some(coupon),
                card_system: None,
                shares: coupon.shares(price),
                remaining: remaining.min(MOST_TICKETS),
            });
        } else {
            used_up.push(coupon.coupon);
        }
    }
    available.sort_by_key(|offer| (offer.shares.holder, offer.tariff));
    Ok(Offers { available, used_up, social_tariff })
}

fn why_no_social_tariff(state: SocialTariff) -> Option<Reason> {
    match state {
        SocialTariff::Active | SocialTariff::Grace | SocialTariff::None => None,
        SocialTariff::Expired => Some(Reason::SocialTariffExpired),
        SocialTariff::Suspended => Some(Reason::SocialTariffSuspended),
        SocialTariff::OtherRegion => Some(Reason::SocialTariffNotAvailable),
    }
}

/// A group buys so many tickets at the social tariff in a year (contract: `Grouppass`).
fn group_limit(record: &PassRecord) -> Option<PeriodLimit> {
    let volume = match record.programme {
        Programme::UitpasGroup => record.tickets_per_year?,
        Programme::Uitpas | Programme::Museumpass | Programme::External => return None,
    };
    Some(PeriodLimit { volume, period_type: PeriodType::Year })
}

/// The lowest price that a distribution key makes in a card system where the right counts.
fn social_shares(
    record: &PassRecord,
    activity: &Activity,
    price: Cents,
    here: &Here<'_>,
) -> Option<(CardSystemId, Shares)> {
    let today = here.today();
    let counts = |system: CardSystemId| record.social_tariff(&[system], today).counts();
    let keys = activity.distribution_keys.iter();
    keys.filter(|key| activity.card_systems.contains(&key.card_system) && counts(key.card_system))
        .map(|key| (key.card_system, key.rule.shares(price)))
        .min_by_key(|(_, shares)| shares.holder)
}

fn granted<'a>(
    record: &PassRecord,
    activity: &Activity,
    coupons: &'a [Coupon],
    here: &Here<'_>,
) -> impl Iterator<Item = &'a Coupon> {
    let of_now = record.coupons.iter().filter(|granted| granted.valid_at(here.now));
    let known = of_now.filter_map(|granted| coupons.iter().find(|it| it.coupon == granted.coupon));
    known.filter(|coupon| coupon.is_for(activity.activity))
}

/// What a sale comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sale {
    /// The tariff.
    pub tariff: TariffKind,
    /// How many tickets.
    pub tickets: u16,
    /// Who pays what of one ticket.
    pub shares: Shares,
}

impl Sale {
    /// What the holder pays for all tickets.
    pub fn to_pay(&self) -> Cents {
        self.shares.holder.times(u32::from(self.tickets))
    }
}

/// A sale of tickets, all at one tariff: the asked one, else the best (UiTPAS 4.0,
/// `POST /ticket-sales`). All of them, or none.
///
/// # Errors
/// The [`Reason`] for which it is not made.
pub fn sell(offers: &Offers<'_>, asked: Option<TariffKind>, tickets: u32) -> Result<Sale, Reason> {
    if tickets == 0 || tickets > MOST_TICKETS {
        return Err(Reason::InvalidNumberOfTickets);
    }
    let offer = match asked {
        Some(tariff) => offers.available.iter().find(|offer| offer.tariff == tariff),
        // Without a word the best price that all of them can be had for.
        None => offers.available.iter().find(|offer| offer.remaining >= tickets),
    };
    let Some(offer) = offer else { return Err(why_not(offers, asked)) };
    if offer.remaining < tickets {
        return Err(Reason::InvalidNumberOfTickets);
    }
    let tickets = u16::try_from(tickets).map_err(|_| Reason::InvalidNumberOfTickets)?;
    Ok(Sale { tariff: offer.tariff, tickets, shares: offer.shares })
}

/// The verdict of a sale that is not made: a ticket that cannot be had lets nobody in, so what is
/// [`VerdictKind::Again`] for a check-in is a stop here.
pub fn verdict_of_sale(reason: Reason) -> VerdictKind {
    match reason.verdict() {
        VerdictKind::Again => VerdictKind::Stop,
        other => other,
    }
}

fn why_not(offers: &Offers<'_>, asked: Option<TariffKind>) -> Reason {
    match asked {
        Some(TariffKind::SocialTariff) => {
            offers.social_tariff.unwrap_or(Reason::SocialTariffNotAvailable)
        }
        Some(TariffKind::Coupon(coupon)) if offers.used_up.contains(&coupon) => {
            Reason::MaximumReached
        }
        Some(TariffKind::Coupon(_)) => Reason::InvalidCoupon,
        Some(TariffKind::Regular) | None => Reason::InvalidNumberOfTickets,
    }
}
