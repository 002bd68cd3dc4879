//! Tickets.

use super::*;

#[test]
fn tickets_are_sold_at_the_tariff_of_the_id_or_the_best() {
    type Expected = Result<(TariffKind, &'static str, u32), Reason>;
    let rows: [(&str, Option<&str>, Expected); 7] = [
        ("the best", None, Ok((TariffKind::SocialTariff, "SOCIALTARIFF-1", 200))),
        ("social", Some("SOCIALTARIFF-1"), Ok((TariffKind::SocialTariff, "SOCIALTARIFF-1", 200))),
        ("coupon", Some("COUPON-1"), Ok((TariffKind::Coupon(CouponId(1)), "COUPON-1", 700))),
        ("regular", Some("REGULAR"), Ok((TariffKind::Regular, "REGULAR", 1000))),
        // An id that is not offered is the social tariff, for which the best one stands.
        (
            "elsewhere",
            Some("SOCIALTARIFF-9"),
            Ok((TariffKind::SocialTariff, "SOCIALTARIFF-1", 200)),
        ),
        ("unknown", Some("COUPON-9"), Err(Reason::InvalidCoupon)),
        ("nonsense", Some(""), Err(Reason::InvalidCoupon)),
    ];
    for (what, tariff_id, expected) in rows {
        let asked = SaleAsked { tariff_id, tickets: Some(2), ..SaleAsked::default() };
        let decision = entitled().sell(&asked).unwrap();
        match expected {
            Ok((tariff, id, price)) => {
                let sold = decision.sold.clone().unwrap();
                assert_eq!((sold.sale.tariff, sold.sale.tickets), (tariff, 2), "{what}");
                assert_eq!((&sold.tariff.id[..], sold.tariff.price), (id, Cents(price)), "{what}");
                let fact = decision.entry().unwrap().fact;
                let expected = Fact::TicketSale {
                    activity: ActivityId(1),
                    tickets: 2,
                    tariff,
                    shares: sold.sale.shares,
                };
                assert_eq!(fact, expected, "{what}");
            }
            Err(reason) => {
                assert_eq!(decision.reason(), Some(reason), "{what}");
                assert_eq!((decision.entry(), decision.sold.as_ref()), (None, None), "{what}");
            }
        }
    }
    let asked = SaleAsked { tariff_id: Some("SOCIALTARIFF-1"), ..SaleAsked::default() };
    let not_entitled = world().sell(&asked).unwrap();
    assert_eq!(not_entitled.reason(), Some(Reason::SocialTariffNotAvailable));
    let asked = SaleAsked { tariff_id: Some("COUPON-1"), ..SaleAsked::default() };
    let not_granted = world().sell(&asked).unwrap();
    assert_eq!(not_granted.reason(), Some(Reason::InvalidCoupon));
}

#[test]
fn a_sale_that_is_not_made_says_why() {
    use Kind::TicketSale;
    use VerdictKind::{Ask, Stop};
    let plain = SaleAsked::default();
    let sell = |world: World, asked: &SaleAsked<'_>| world.sell(asked).unwrap();
    let event = |event_id| SaleAsked { event_id: Some(event_id), ..plain };
    let no_activity = || world().with(|w| w.chosen = false);
    let test = Some("Permanente Test");
    // What lets a visitor in at a check-in sells no ticket.
    let limit = PeriodLimit { volume: 1, period_type: PeriodType::Day };
    let used_up = entitled().with(|w| {
        w.activities[0].ticket_limit = Some(limit);
        w.account = used_today(Limited::Ticket(ActivityId(1)));
    });
    let social = SaleAsked { tariff_id: Some("SOCIALTARIFF-1"), ..plain };
    let none = SaleAsked { tickets: Some(0), ..plain };
    check(vec![
        (
            "no such activity",
            sell(world(), &event("event-9")),
            (TicketSale, Ask, Some(Reason::EventNotFound), None, None),
        ),
        (
            "no activity is chosen",
            sell(no_activity(), &plain),
            (TicketSale, Ask, Some(Reason::NoActivityChosen), None, None),
        ),
        (
            "used up",
            sell(used_up, &social),
            (TicketSale, Stop, Some(Reason::MaximumReached), None, test),
        ),
        (
            "none",
            sell(world(), &none),
            (TicketSale, Stop, Some(Reason::InvalidNumberOfTickets), None, test),
        ),
        (
            "an unknown card",
            sell(card(Shown::UnknownChip), &plain),
            (TicketSale, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "a forged card",
            sell(card(Shown::Forged), &event("event-9")),
            (TicketSale, Stop, Some(Reason::CardNotGenuine), None, None),
        ),
    ]);
    // The workshop has no price of its own.
    assert_eq!(world().sell(&event("event-2")), Err(Unanswered::NoPrice));
    let priced = SaleAsked { regular_price: Some(Cents(450)), ..event("event-2") };
    assert_eq!(sell(world(), &priced).sold.unwrap().sale.shares, Shares::regular(Cents(450)));
}

#[test]
fn tariffs_are_those_that_are_sold() {
    let tariffs = |world: &World, event_id, price| world.ask(|case| tariffs(case, event_id, price));
    let found = tariffs(&entitled(), None, None).unwrap();
    assert_eq!((&found.event_id[..], found.regular_price), ("event-1", Cents(1000)));
    let rows: Vec<_> = found
        .available
        .iter()
        .map(|it| (&it.id[..], &it.name[..], it.sort.code(), it.price.0))
        .collect();
    assert_eq!(
        rows,
        [
            ("SOCIALTARIFF-1", "UiTPAS Kansentarief", "SOCIALTARIFF", 200),
            ("COUPON-1", "Cultuurbon", "COUPON", 700),
            ("REGULAR", "Basistarief", "REGULAR", 1000),
        ]
    );
    for tariff in &found.available {
        let asked = SaleAsked { tariff_id: Some(&tariff.id), ..SaleAsked::default() };
        assert_eq!(entitled().sell(&asked).unwrap().sold.unwrap().tariff, *tariff);
    }
    let blocked = world().with(|w| w.card = CardStatus::Blocked);
    let rows = [
        (world(), Some("event-9"), Unanswered::NoSuchActivity),
        (world().with(|w| w.chosen = false), None, Unanswered::NoSuchActivity),
        (world(), Some("event-2"), Unanswered::NoPrice),
        (blocked, None, Unanswered::NotForPass(Reason::CardBlocked)),
        (card(Shown::UnknownChip), None, Unanswered::NoSuchPass),
        (card(Shown::Forged), None, Unanswered::NoSuchPass),
    ];
    for (world, event_id, expected) in rows {
        assert_eq!(tariffs(&world, event_id, None), Err(expected));
    }
}
