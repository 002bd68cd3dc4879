//! What the counter says, row by row: the order of its checks, what it writes and what it shows. The rules themselves
//! have their tables in `decide`.

use std::collections::BTreeSet;

use super::*;
use crate::account::{Account, Limited, Uses};
use crate::authenticity::Authenticity;
use crate::catalogue::{
    Activity, AgeRule, CardStatus, CheckinCode, Coupon, Discount, DistributionKey,
    DistributionRule, ExternalCardRule, GrantedCoupon, HolderStatus, Membership, MembershipStatus,
    PassRecord, Policy, PriceCategory, Programme, Reward, RewardKind, SocialTariffRight, Weekly,
};
use crate::decide::{Here, Reason, Standing, VerdictKind};
use crate::entry::{Entry, EntryRef, Fact, Subject, TariffKind};
use crate::ids::{ActivityId, CardSystemId, CouponId, ExternalCard, PassId, RewardId};
use crate::limits::{PeriodLimit, PeriodType};
use crate::money::{Cents, Percentages, Shares};
use crate::samples::{DAY, MINUTE, brussels, desk, fact_at, ledger_id, noon};
use crate::stock::{GrantId, GrantedUnits, Holding, Unit, Units as Granted};
use crate::time::{UnixMillis, day_number};

const GENT: CardSystemId = CardSystemId(1);
const DAILY: PeriodLimit = PeriodLimit { volume: 1, period_type: PeriodType::Day };
const KEY: [u8; 16] = [7; 16];

/// Which card is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Pass,
    Forged,
    UnknownChip,
    UnknownNumber,
    External(&'static str),
}

/// Everything that a counter may look at; each row changes what it is about.
#[derive(Debug, Clone)]
struct World {
    shown: Shown,
    record: PassRecord,
    card: CardStatus,
    account: Account,
    seen: Vec<Entry>,
    age: i64,
    authenticity: Authenticity,
    taken_today: u32,
    activities: Vec<Activity>,
    chosen: bool,
    rewards: Vec<Reward>,
    coupons: Vec<Coupon>,
    holding: Holding,
    none_left: BTreeSet<RewardId>,
    policy: Policy,
    hour_known: bool,
}

fn activity() -> Activity {
    Activity {
        checkin_points: 2,
        checkin_limit: Some(DAILY),
        card_systems: vec![GENT],
        prices: vec![PriceCategory { label: "Volwassenen".to_owned(), price: Cents(1000) }],
        distribution_keys: vec![DistributionKey {
            card_system: GENT,
            rule: DistributionRule::Percentage(Percentages::new(20, 40, 40).unwrap()),
        }],
        ..Activity::new(ActivityId(1), "event-1", "Permanente Test", ledger_id().venue)
    }
}

fn workshop() -> Activity {
    Activity {
        checkin_codes: vec![
            CheckinCode { code: "zaal-2".to_owned(), ends: None },
            CheckinCode { code: "gisteren".to_owned(), ends: Some(noon().plus(-1)) },
        ],
        ..Activity::new(ActivityId(2), "event-2", "Atelier", ledger_id().venue)
    }
}

fn reward(id: u32, points: u32) -> Reward {
    Reward {
        reward: RewardId(id),
        reward_id: id.to_string(),
        title: format!("Voordeel {id}"),
        kind: if points == 0 { RewardKind::Welcome } else { RewardKind::Points },
        points,
        redeem_constraint: None,
        redeem_begin: None,
        redeem_end: None,
        card_systems: Vec::new(),
        online: false,
        publication_begin: None,
        publication_end: None,
        organisers: Vec::new(),
        limited: false,
        categories: Vec::new(),
        for_kids: false,
        sport: false,
        featured: false,
    }
}

fn world() -> World {
    World {
        shown: Shown::Pass,
        record: PassRecord {
            memberships: vec![Membership {
                card_system: GENT,
                status: MembershipStatus::Active,
                ends: None,
                suspended_until: None,
                social_tariff: None,
            }],
            valid_until: Some(day_number(ledger_id().day) + 100),
            ..PassRecord::new(PassId(7), Programme::Uitpas)
        },
        card: CardStatus::Active,
        account: Account { earned: 10, ..Account::default() },
        seen: Vec::new(),
        age: 0,
        authenticity: Authenticity::UidOnly,
        taken_today: 0,
        activities: vec![activity(), workshop()],
        chosen: true,
        rewards: vec![reward(1, 5), reward(2, 0), Reward { limited: true, ..reward(3, 1) }],
        coupons: vec![Coupon {
            coupon: CouponId(1),
            coupon_id: "COUPON-1".to_owned(),
            name: "Cultuurbon".to_owned(),
            discount: Discount::Cents(Cents(300)),
            city_percent: 100,
            limit: None,
            activities: Vec::new(),
        }],
        holding: Holding::default(),
        none_left: BTreeSet::new(),
        policy: Policy {
            unknown_cards: true,
            unknown_cards_a_day: Some(20),
            external_cards: vec![ExternalCardRule {
                card_type: "museumkaart".to_owned(),
                name: "Museumkaart".to_owned(),
                allowed: true,
            }],
            ..Policy::default()
        },
        hour_known: true,
    }
}

fn museumpass() -> World {
    world().with(|w| {
        w.record.programme = Programme::Museumpass;
        w.record.memberships.clear();
    })
}

fn card(shown: Shown) -> World {
    world().with(|w| w.shown = shown)
}

fn used_today(of: Limited) -> Account {
    let window = PeriodType::Day.window(ledger_id().day);
    Account { uses: vec![Uses { of, window, times: 1 }], ..Account::default() }
}

impl World {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Asks at noon, in a venue called De Reede.
    fn ask<T>(&self, question: impl FnOnce(&Case<'_>) -> T) -> T {
        let (venue, calendar) = (ledger_id().venue, brussels());
        let external: ExternalCard = match self.shown {
            Shown::External(number) => number.parse().unwrap(),
            _ => "museumkaart:12345678".parse().unwrap(),
        };
        let unknown = |chip| {
            Presented::Unknown(UnknownPresented {
                chip,
                account: &self.account,
                taken_today: self.taken_today,
                authenticity: self.authenticity,
            })
        };
        let presented = match self.shown {
            Shown::Forged => Presented::Forged,
            Shown::UnknownChip => unknown(Some("04784CDAEE3880".parse().unwrap())),
            Shown::UnknownNumber => unknown(None),
            Shown::External(_) => Presented::External(ExternalPresented {
                card: &external,
                key: KEY,
                account: &self.account,
                seen: &self.seen,
            }),
            Shown::Pass => Presented::Pass(PassPresented {
                standing: Standing {
                    record: &self.record,
                    card: self.card,
                    account: &self.account,
                    age: self.age,
                    authenticity: self.authenticity,
                },
                seen: &self.seen,
            }),
        };
        let counter = Counter {
            venue_name: "De Reede",
            catalogue: Catalogue {
                activities: &self.activities,
                rewards: &self.rewards,
                coupons: &self.coupons,
            },
            chosen: self.activities.first().filter(|_| self.chosen),
            units: Units { holding: &self.holding, none_left: &self.none_left },
            here: Here {
                venue: &venue,
                policy: &self.policy,
                calendar: &calendar,
                now: noon(),
                hour_known: self.hour_known,
            },
        };
        question(&Case { presented, counter })
    }

    fn tap(&self, code: Option<&str>) -> Decision {
        self.ask(|case| tap(case, code))
    }

    fn redeem(&self, reward: &str) -> Decision {
        self.ask(|case| redeem(case, reward))
    }

    fn sell(&self, asked: &SaleAsked<'_>) -> Result<Decision, Unanswered> {
        self.ask(|case| sell(case, asked))
    }
}

/// What is compared in each row: what it is about, the verdict, why, what is written, and the title.
type Answer = (Kind, VerdictKind, Option<Reason>, Option<Fact>, Option<&'static str>);

fn check(rows: Vec<(&'static str, Decision, Answer)>) {
    for (what, decision, (kind, verdict, reason, fact, title)) in rows {
        assert_eq!(decision.kind, kind, "{what}");
        assert_eq!(decision.verdict_kind(), verdict, "{what}");
        assert_eq!(decision.reason(), reason, "{what}");
        assert_eq!(decision.entry().map(|entry| entry.fact), fact, "{what}");
        assert_eq!(decision.title.as_deref(), title, "{what}");
        assert!(decision.entry().is_none_or(|entry| entry.at == noon()), "{what}");
        assert!(decision.entry().is_some() || decision.points_change == 0, "{what}");
    }
}

fn checked_in(activity: u32, points: u32) -> Option<Fact> {
    Some(Fact::CheckIn { activity: ActivityId(activity), points })
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
        ("a uitpas", world().tap(None), (CheckIn, Ok, None, checked_in(1, 2), test)),
        (
            "by the code of another activity",
            world().tap(Some("zaal-2")),
            (CheckIn, Ok, None, checked_in(2, 1), Some("Atelier")),
        ),
        (
            "by its code, where no activity is chosen",
            no_activity(world()).tap(Some("zaal-2")),
            (CheckIn, Ok, None, checked_in(2, 1), Some("Atelier")),
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
            (CheckIn, Ok, None, checked_in(1, 2), test),
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
            (Unknown, Ask, Some(Reason::PassNotFound), checked_in(1, 2), test),
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

#[test]
fn an_answer_says_which_rule_of_the_policy_it_rests_on() {
    let unknown = card(Shown::UnknownChip).with(|w| w.taken_today = 3);
    let rule = |taken_today, most_a_day| Some(Rule::UnknownCard { taken_today, most_a_day });
    let none_taken = unknown.clone().with(|w| w.policy.unknown_cards = false);
    let unbounded = unknown.clone().with(|w| w.policy.unknown_cards_a_day = None);
    assert_eq!(unknown.tap(None).rule, rule(3, Some(20)));
    assert_eq!(none_taken.tap(None).rule, rule(3, Some(0)), "policy takes none");
    assert_eq!(unbounded.tap(None).rule, rule(3, None));
    assert_eq!(world().tap(None).rule, None);

    let rules =
        vec![AgeRule { up_to: DAY, points: Some(50) }, AgeRule { up_to: 2 * DAY, points: None }];
    let aged = |age| {
        let rules = rules.clone();
        world().with(|w| {
            w.age = age;
            w.policy.redemptions = rules;
        })
    };
    let rule = |age, points_allowed| Some(Rule::AccountAge(AccountAge { age, points_allowed }));
    let rows = [
        (0, "1", None),
        (DAY, "1", rule(Some(DAY), Some(50))),
        (DAY + 1, "1", rule(Some(DAY + 1), None)),
        (3 * DAY, "1", rule(Some(3 * DAY), Some(0))),
        (i64::MAX, "1", rule(None, Some(0))),
        // A welcome reward spends nothing, whatever the account's age.
        (3 * DAY, "2", None),
    ];
    for (age, reward, expected) in rows {
        assert_eq!(aged(age).redeem(reward).rule, expected, "{age} {reward}");
    }
}

#[test]
fn an_account_is_as_old_as_the_hub_s_last_word_on_it() {
    let policy = Policy { clock_tolerance: MINUTE, ..Policy::default() };
    let at = |ago: i64| Confirmed::At(noon().plus(-ago));
    let rows = [
        (Confirmed::Now, 0),
        (Confirmed::Unknown, i64::MAX),
        (at(DAY), DAY),
        (at(0), 0),
        // A little ahead is two clocks; more is a clock that was put back, which says nothing.
        (at(-MINUTE), 0),
        (at(-MINUTE - 1), i64::MAX),
    ];
    for (confirmed, age) in rows {
        assert_eq!(age_of(confirmed, &policy, noon()), age, "{confirmed:?}");
    }
}

fn redeemed(reward: u32, points: u32, unit: Option<Unit>) -> Option<Fact> {
    Some(Fact::Redemption { reward: RewardId(reward), points, unit })
}

#[test]
fn a_reward_is_handed_out_once_everything_is_there() {
    use Kind::Redemption;
    use VerdictKind::{Ask, Ok, Stop};
    let grant = GrantId(4);
    let holds = |world: World| {
        let units = Granted { first: 0, count: 2 };
        let granted = GrantedUnits { grant, reward: RewardId(3), units };
        world.with(|w| {
            w.holding.grants = vec![granted];
            w.holding.used = BTreeSet::from([Unit { grant, unit: 0 }]);
        })
    };
    let none_left = world().with(|w| w.none_left = BTreeSet::from([RewardId(3)]));
    let unit = Some(Unit { grant, unit: 1 });
    let (first, limited) = (Some("Voordeel 1"), Some("Voordeel 3"));
    let poor = || world().with(|w| w.account = Account::default());
    check(vec![
        ("a reward", world().redeem("1"), (Redemption, Ok, None, redeemed(1, 5, None), first)),
        (
            "too few points",
            poor().redeem("1"),
            (Redemption, Stop, Some(Reason::RewardPassholderPointsConstraint), None, first),
        ),
        (
            "a reward that nobody knows",
            world().redeem("99"),
            (Redemption, Ask, Some(Reason::RewardNotFound), None, None),
        ),
        (
            "the next unit",
            holds(world()).redeem("3"),
            (Redemption, Ok, None, redeemed(3, 1, unit), limited),
        ),
        (
            "no unit here",
            world().redeem("3"),
            (Redemption, Ask, Some(Reason::RewardNoUnitHere), None, limited),
        ),
        (
            "no unit anywhere",
            none_left.redeem("3"),
            (Redemption, Stop, Some(Reason::RewardVolumeConstraint), None, limited),
        ),
        (
            "an unknown card",
            card(Shown::UnknownChip).redeem("1"),
            (Redemption, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "an external card",
            card(Shown::External("museumkaart:12345678")).redeem("1"),
            (Redemption, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "a forged card",
            card(Shown::Forged).redeem("1"),
            (Redemption, Stop, Some(Reason::CardNotGenuine), None, None),
        ),
    ]);
    // The hub is asked for a unit only where a unit is all that is lacking.
    let lacking = |world: &World, reward: &str| world.ask(|case| lacks_only_a_unit(case, reward));
    assert_eq!(lacking(&world(), "3"), Some(RewardId(3)));
    assert_eq!(lacking(&none_left, "3"), Some(RewardId(3)), "it may have got some since");
    assert_eq!(lacking(&holds(world()), "3"), None);
    assert_eq!(lacking(&poor(), "3"), None);
    assert_eq!(lacking(&world(), "1"), None);
    assert_eq!(lacking(&card(Shown::Forged), "3"), None);
}

#[test]
fn what_a_pass_can_have_is_told_to_no_forged_card() {
    let seen = |world: &World| {
        let rewards = |case: &Case<'_>| {
            let offers = rewards(case)?;
            Ok(offers.iter().map(|offer| offer.reward.reward.0).collect::<Vec<_>>())
        };
        world.ask(rewards)
    };
    assert_eq!(seen(&world()), Ok(vec![2, 1, 3]));
    assert_eq!(seen(&card(Shown::Forged)), Ok(Vec::new()));
    for shown in [Shown::UnknownChip, Shown::UnknownNumber, Shown::External("museumkaart:12345678")]
    {
        assert_eq!(seen(&card(shown)), Err(Unanswered::NoSuchPass), "{shown:?}");
    }
}

fn entitled() -> World {
    world().with(|w| {
        let ends = day_number(ledger_id().day) + 100;
        w.record.memberships[0].social_tariff =
            Some(SocialTariffRight { ends, suspended_until: None });
        w.record.coupons =
            vec![GrantedCoupon { coupon: CouponId(1), begin: UnixMillis(0), end: None }];
    })
}

#[test]
fn tickets_are_sold_at_the_tariff_of_the_id_or_the_best() {
    let rows: [(&str, Option<&str>, Result<(TariffKind, &str, u32), Reason>); 7] = [
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

#[test]
fn what_is_taken_back_gives_its_points_back() {
    let place = EntryRef { day: ledger_id().day, writer: desk(1), index: 3 };
    let taken_back = |fact: Fact, before: bool| {
        let entry = fact_at(-1, fact);
        let target = Target { entry: &entry, place, taken_back: before };
        world().ask(|case| void(&target, &case.counter))
    };
    let check_in = Fact::CheckIn { activity: ActivityId(1), points: 2 };
    let redemption = Fact::Redemption { reward: RewardId(1), points: 5, unit: None };
    let sale = Fact::TicketSale {
        activity: ActivityId(2),
        tickets: 1,
        tariff: TariffKind::Regular,
        shares: Shares::regular(Cents(1000)),
    };
    let rows = [
        (check_in, -2, Some("Permanente Test")),
        (redemption, 5, Some("Voordeel 1")),
        (sale, 0, Some("Atelier")),
        (Fact::Visit, 0, Some("De Reede")),
        (Fact::ExternalVisit, 0, Some("De Reede")),
        (Fact::CheckIn { activity: ActivityId(9), points: 1 }, -1, None),
    ];
    for (fact, points, title) in rows {
        let decision = taken_back(fact, false);
        assert_eq!(decision.entry().unwrap().fact, Fact::Void { target: place });
        assert_eq!(decision.entry().unwrap().subject, Subject::Pass(PassId(1)));
        assert_eq!(
            (decision.points_change, decision.title.as_deref()),
            (points, title),
            "{fact:?}"
        );
    }
    let again = taken_back(check_in, true);
    assert_eq!(again.reason(), Some(Reason::AlreadyTakenBack));
    assert_eq!((again.entry(), again.points_change), (None, 0));
    assert_eq!(again.title.as_deref(), Some("Permanente Test"));
}

/// Invariant 11: what is shown of a pass is the same with and without a social tariff.
#[test]
fn a_pass_is_shown_without_its_rights() {
    let (plain, entitled) = (world(), entitled());
    let shown = |world: &World| format!("{:?}", PassShown::of(&world.record, &world.account));
    assert_eq!(shown(&plain), shown(&entitled));
    assert_eq!(PassShown::of(&plain.record, &plain.account).valid_until, None);
    let museumpass = museumpass();
    assert!(PassShown::of(&museumpass.record, &museumpass.account).valid_until.is_some());
    for reward in ["1", "2", "3"] {
        assert_eq!(plain.redeem(reward), entitled.redeem(reward));
    }
    assert_eq!(plain.tap(None), entitled.tap(None));
}
