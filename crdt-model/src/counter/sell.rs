//! Tickets for a pass: all of them at one tariff, or none.

use super::decision::{Decision, Kind, Unanswered};
use super::tap::counted;
use super::tariff::{self, Tariff};
use super::{Case, Counter, PassPresented, Presented};
use crate::catalogue::Activity;
use crate::decide::{self, Reason, Sale, offers};
use crate::entry::Fact;
use crate::money::Cents;

/// What is to be bought.
#[derive(Debug, Clone, Copy, Default)]
pub struct SaleAsked<'a> {
    /// The activity's `eventId`; without it, the chosen activity.
    pub event_id: Option<&'a str>,
    /// The price before any discount; without it, the activity's usual one.
    pub regular_price: Option<Cents>,
    /// The tariff's id ([`Tariff::id`]); without it, the best.
    pub tariff_id: Option<&'a str>,
    /// How many tickets; without it, one.
    pub tickets: Option<u32>,
}

/// What was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// How many tickets, and who pays what.
    pub sale: Sale,
    /// At which tariff, as it was offered.
    pub tariff: Tariff,
}

/// Answers a sale.
///
/// # Errors
/// [`Unanswered::NoPrice`]: nobody knows what a ticket costs.
pub fn sell(case: &Case<'_>, asked: &SaleAsked<'_>) -> Result<Decision, Unanswered> {
    let counter = &case.counter;
    let pass = match &case.presented {
        Presented::Forged => return Ok(Decision::forged(Kind::TicketSale)),
        Presented::Unknown(_) | Presented::External(_) => {
            return Ok(Decision::no_such_pass(Kind::TicketSale));
        }
        Presented::Pass(pass) => pass,
    };
    let Some(activity) = counter.activity_of(asked.event_id) else {
        let reason = match asked.event_id {
            Some(_) => Reason::EventNotFound,
            None => Reason::NoActivityChosen,
        };
        return Ok(Decision::refused(Kind::TicketSale, reason));
    };
    let price = tariff::regular_price(activity, asked.regular_price)?;
    let sold = sold(counter, pass, activity, price, asked);
    let fact = sold.as_ref().map(|Sold { sale, .. }| Fact::TicketSale {
        activity: activity.activity,
        tickets: sale.tickets,
        tariff: sale.tariff,
        shares: sale.shares,
    });
    Ok(Decision {
        title: Some(activity.title.clone()),
        sold: sold.as_ref().ok().cloned(),
        ..counted(counter, pass, Kind::TicketSale, fact.map_err(|reason| *reason))
    })
}

fn sold(
    counter: &Counter<'_>,
    pass: &PassPresented<'_>,
    activity: &Activity,
    price: Cents,
    asked: &SaleAsked<'_>,
) -> Result<Sold, Reason> {
    let coupons = counter.catalogue.coupons;
    let offers = offers(pass.standing, activity, coupons, price, &counter.here)?;
    let tariff = match asked.tariff_id {
        Some(id) => Some(tariff::of_id(id, pass.standing.record, &offers, counter)?),
        None => None,
    };
    let sale = decide::sell(&offers, tariff, asked.tickets.unwrap_or(1))?;
    let offer = offers.available.iter().find(|offer| offer.tariff == sale.tariff);
    Ok(Sold { sale, tariff: offer.map_or_else(|| Tariff::regular(price), Tariff::of) })
}
