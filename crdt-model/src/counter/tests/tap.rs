//! Taps.

use super::*;

fn checked_in(activity: u32, points: u32) -> Fact {
    Fact::CheckIn { activity: ActivityId(activity), points }
}

#[test]
fn a_tap_is_what_the_card_is_for() {
    use Kind::{CheckIn, ExternalVisit, Unknown, Visit};
    use VerdictKind::{Again, Ask, Ok, Retry, Stop};
    let test = Some("Permanente Test");
    let no_activity = |world: World| world.with(|w| w.chosen = false);
    let blocked = |world: World| world.with(|w| w.card = CardStatus::Blocked);
    let holder_blocked = |world: World| world.with(|w| w.record.holder = HolderStatus::Blocked);
    let closed = |world: World| {
        world.with(|w| {
            w.activities[0].opening_hours.weekly =
                vec![Weekly { days: vec![6], opens: 13 * 60, closes: 17 * 60 }];
        })
    };
    let (unknown, reader) = (card(Shown::UnknownChip), Authenticity::Cryptographic);
    check(vec![
        ("a uitpas", world().tap(None), (CheckIn, Ok, None, Some(checked_in(1, 2)), test)),
        (
            "by the code of another activity",
            world().tap(Some("zaal-2")),
            (CheckIn, Ok, None, Some(checked_in(2, 1)), Some("Atelier")),
        ),
        (
            "by its code, where no activity is chosen",
            no_activity(world()).tap(Some("zaal-2")),
            (CheckIn, Ok, None, Some(checked_in(2, 1)), Some("Atelier")),
        ),
        (
            "by a code of yesterday",
            world().tap(Some("gisteren")),
            (CheckIn, Stop, Some(Reason::CheckinCodeExpired), None, None),
        ),
        (
            "by a code of elsewhere",
            world().tap(Some("zaal-9")),
            (CheckIn, Retry, Some(Reason::CheckinCodeInvalid), None, None),
        ),
        (
            "no activity",
            no_activity(world()).tap(None),
            (CheckIn, Ask, Some(Reason::NoActivityChosen), None, None),
        ),
        (
            "a blocked card, and no activity",
            no_activity(blocked(world())).tap(None),
            (CheckIn, Stop, Some(Reason::CardBlocked), None, None),
        ),
        (
            "a blocked card, and a code of elsewhere",
            blocked(world()).tap(Some("zaal-9")),
            (CheckIn, Stop, Some(Reason::CardBlocked), None, None),
        ),
        (
            "a blocked holder, and no activity",
            no_activity(holder_blocked(world())).tap(None),
            (CheckIn, Stop, Some(Reason::UitpasHolderBlocked), None, None),
        ),
        (
            "before it opens",
            closed(world()).tap(None),
            (CheckIn, Stop, Some(Reason::CheckinNotAllowed), None, test),
        ),
        (
            "nobody knows the hour",
            closed(world()).with(|w| w.hour_known = false).tap(None),
            (CheckIn, Ok, None, Some(checked_in(1, 2)), test),
        ),
        (
            "the second time today",
            world().with(|w| w.account = used_today(Limited::CheckIn(ActivityId(1)))).tap(None),
            (CheckIn, Again, Some(Reason::MaximumReached), None, test),
        ),
        (
            "a museumpass needs no activity",
            no_activity(museumpass()).tap(None),
            (Visit, Ok, None, Some(Fact::Visit), Some("De Reede")),
        ),
        (
            "a blocked museumpass, by its own name",
            blocked(museumpass()).tap(None),
            (Visit, Stop, Some(Reason::MuseumCardBlocked), None, Some("De Reede")),
        ),
        (
            "a museumkaart",
            card(Shown::External("museumkaart:12345678")).tap(None),
            (ExternalVisit, Ok, None, Some(Fact::ExternalVisit), Some("Museumkaart")),
        ),
        (
            "a card of another type",
            card(Shown::External("bibkaart:12345678")).tap(None),
            (ExternalVisit, Stop, Some(Reason::ExternalCardNotAccepted), None, Some("bibkaart")),
        ),
        (
            "an unknown card",
            unknown.tap(None),
            (Unknown, Ask, Some(Reason::PassNotFound), Some(checked_in(1, 2)), test),
        ),
        (
            "an unknown card where nothing is chosen",
            no_activity(unknown.clone()).tap(None),
            (Unknown, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "an unknown card, and a code of elsewhere",
            unknown.tap(Some("zaal-9")),
            (Unknown, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "one unknown card too many",
            unknown.clone().with(|w| w.taken_today = 20).tap(None),
            (Unknown, Ask, Some(Reason::UnknownCardsUsedUp), None, test),
        ),
        (
            "an unknown card that proves too little",
            unknown.with(|w| w.policy.proofs.check_in = reader).tap(None),
            (Unknown, Ask, Some(Reason::CardProofRequired), None, test),
        ),
        (
            "an unknown number that was typed",
            card(Shown::UnknownNumber).tap(None),
            (Unknown, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "a forged card",
            card(Shown::Forged).tap(None),
            (CheckIn, Stop, Some(Reason::CardNotGenuine), None, None),
        ),
    ]);
}

#[test]
fn what_is_written_names_the_pass_the_chip_or_the_external_card() {
    let subject = |decision: Decision| decision.entry().map(|entry| entry.subject);
    assert_eq!(subject(world().tap(None)), Some(Subject::Pass(PassId(7))));
    let chip = "04784CDAEE3880".parse().unwrap();
    assert_eq!(subject(card(Shown::UnknownChip).tap(None)), Some(Subject::Chip(chip)));
    let museumkaart = card(Shown::External("museumkaart:12345678"));
    assert_eq!(subject(museumkaart.tap(None)), Some(Subject::External(KEY)));
}

#[test]
fn points_are_said_where_they_are_known_to_count() {
    assert_eq!(world().tap(None).points_change, 2);
    assert_eq!(card(Shown::UnknownChip).tap(None).points_change, 0, "the hub settles it");
    assert_eq!(museumpass().tap(None).points_change, 0);
    assert_eq!(world().redeem("1").points_change, -5);
}

/// Only what this venue saw today, and only of the same kind, explains why a second one is refused.
#[test]
fn a_second_time_is_said_with_when_the_first_was() {
    let check_in = |minute, activity| {
        fact_at(minute, Fact::CheckIn { activity: ActivityId(activity), points: 2 })
    };
    let seen = vec![
        check_in(-24 * 60, 1),
        check_in(-90, 1),
        check_in(-60, 1),
        check_in(-30, 2),
        fact_at(-10, Fact::Visit),
    ];
    let at = |minutes: i64| Some(noon().plus(minutes * MINUTE));
    let checked_in = used_today(Limited::CheckIn(ActivityId(1)));
    let visited = used_today(Limited::Visit(ledger_id().venue));
    let rows = [
        ("a check-in", world().with(|w| w.account = checked_in.clone()), at(-60)),
        ("a visit", museumpass().with(|w| w.account = visited), at(-10)),
        ("the first", world(), None),
        ("blocked, too", world().with(|w| w.card = CardStatus::Blocked), None),
    ];
    for (what, world, expected) in rows {
        let decision = world.with(|w| w.seen = seen.clone()).tap(None);
        assert_eq!(decision.earlier_at, expected, "{what}");
    }
    let elsewhere = world().with(|w| w.account = checked_in).tap(None);
    assert_eq!(elsewhere.earlier_at, None, "the first was at another venue");
}
