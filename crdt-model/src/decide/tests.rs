use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::account::{Limited, Uses};
use crate::catalogue::{
    Activity, AgeRule, CheckinCode, Coupon, Discount, DistributionKey, DistributionRule,
    ExternalCardRule, GrantedCoupon, Membership, MembershipStatus, ProofRule, Reward, RewardKind,
    SocialTariffRight, Weekly,
};
use crate::entry::{Entry, EntryRef, Fact, TariffKind};
use crate::ids::{
    ActivityId, CardSystemId, CouponId, ExternalCard, PassId, RewardId, UitpasNumber,
};
use crate::limits::{PeriodLimit, PeriodType};
use crate::money::{Cents, Percentages, Shares};
use crate::samples::{
    DAY, MINUTE, brussels, cases, desk, fact_at as entry, ledger_id, noon as morning,
};
use crate::stock::{GrantId, Unit};
use crate::time::day_number;

const DAILY: PeriodLimit = PeriodLimit { volume: 1, period_type: PeriodType::Day };
const GENT: CardSystemId = CardSystemId(1);
const PASPARTOE: CardSystemId = CardSystemId(2);

fn day() -> Date {
    ledger_id().day
}

fn today() -> i32 {
    day_number(day())
}

fn account(points: u64) -> Account {
    Account { earned: points, ..Account::default() }
}

/// This done so often in the period that holds today.
fn used(of: Limited, period: PeriodType, times: u32) -> Account {
    Account { uses: vec![Uses { of, window: period.window(day()), times }], ..account(10) }
}

fn membership(card_system: CardSystemId) -> Membership {
    Membership {
        card_system,
        status: MembershipStatus::Active,
        ends: None,
        suspended_until: None,
        social_tariff: None,
    }
}

/// A right that ended so many days ago, or ends in so many, where that is negative.
fn right(ended_days_ago: i32) -> SocialTariffRight {
    SocialTariffRight { ends: today() - ended_days_ago, suspended_until: None }
}

fn entitled(card_system: CardSystemId) -> Membership {
    Membership { social_tariff: Some(right(-100)), ..membership(card_system) }
}

fn activity() -> Activity {
    Activity {
        checkin_points: 2,
        checkin_limit: Some(DAILY),
        card_systems: vec![GENT],
        ticket_limit: Some(PeriodLimit { volume: 4, period_type: PeriodType::Week }),
        distribution_keys: vec![DistributionKey {
            card_system: GENT,
            rule: DistributionRule::Percentage(Percentages::new(20, 40, 40).unwrap()),
        }],
        checkin_codes: vec![
            CheckinCode { code: "zaal-1".to_owned(), ends: None },
            CheckinCode { code: "gisteren".to_owned(), ends: Some(morning().plus(-1)) },
        ],
        ..Activity::new(ActivityId(1), "5a0967f9", "Permanente Test", ledger_id().venue)
    }
}

fn reward(id: u32, points: u32) -> Reward {
    Reward {
        reward: RewardId(id),
        reward_id: id.to_string(),
        title: "Test Voordeel Regio Gent".to_owned(),
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

fn coupon() -> Coupon {
    Coupon {
        coupon: CouponId(1),
        coupon_id: "COUPON-1".to_owned(),
        name: "Cultuurbon".to_owned(),
        discount: Discount::Cents(Cents(300)),
        city_percent: 100,
        limit: Some(PeriodLimit { volume: 2, period_type: PeriodType::Day }),
        activities: Vec::new(),
    }
}

/// Everything that a decision may look at; each test changes what it is about.
#[derive(Debug, Clone)]
struct World {
    record: PassRecord,
    card: CardStatus,
    account: Account,
    age: i64,
    policy: Policy,
    activity: Activity,
    reward: Reward,
    unit: Result<Unit, NoUnit>,
    coupons: Vec<Coupon>,
    taken_today: u32,
    authenticity: Authenticity,
    hour_known: bool,
}

impl World {
    fn of(programme: Programme) -> Self {
        let memberships = match programme {
            Programme::Uitpas | Programme::UitpasGroup => vec![membership(GENT)],
            Programme::Museumpass | Programme::External => Vec::new(),
        };
        Self {
            record: PassRecord {
                memberships,
                valid_until: Some(today() + 100),
                tickets_per_year: (programme == Programme::UitpasGroup).then_some(20),
                ..PassRecord::new(PassId(7), programme)
            },
            card: CardStatus::Active,
            account: account(10),
            age: 0,
            policy: Policy {
                external_cards: [("museumkaart", true), ("vriendenpas", false)]
                    .map(|(name, allowed)| ExternalCardRule {
                        card_type: name.to_owned(),
                        name: name.to_owned(),
                        allowed,
                    })
                    .to_vec(),
                organiser: Some("0ce87cbc-9299-4528-8d35-92225dc9489f".parse().unwrap()),
                ..Policy::default()
            },
            activity: activity(),
            reward: reward(1, 5),
            unit: Err(NoUnit::NotHere),
            coupons: vec![coupon()],
            taken_today: 0,
            authenticity: Authenticity::UidOnly,
            hour_known: true,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            record: &self.record,
            card: self.card,
            account: &self.account,
            age: self.age,
            authenticity: self.authenticity,
        }
    }

    /// Asks at noon.
    fn ask<T>(&self, question: impl FnOnce(Standing<'_>, &Here<'_>) -> T) -> T {
        let (venue, calendar) = (ledger_id().venue, brussels());
        let here = Here {
            venue: &venue,
            policy: &self.policy,
            calendar: &calendar,
            now: morning(),
            hour_known: self.hour_known,
        };
        question(self.standing(), &here)
    }

    fn check_in(&self) -> Result<u32, Reason> {
        self.ask(|pass, here| check_in(pass, &self.activity, here))
    }

    fn visit(&self) -> Result<(), Reason> {
        self.ask(visit)
    }

    fn redeem(&self) -> Result<Redemption, Reason> {
        self.ask(|pass, here| redeem(pass, &self.reward, self.unit, here))
    }

    fn sell(&self, asked: Option<TariffKind>, tickets: u32) -> Result<Sale, Reason> {
        self.ask(|pass, here| {
            let offers = offers(pass, &self.activity, &self.coupons, Cents(1001), here)?;
            sell(&offers, asked, tickets)
        })
    }

    fn external(&self, card: &str) -> Result<(), Reason> {
        let card: ExternalCard = card.parse().unwrap();
        self.ask(|_, here| external(&card, &self.account, here).map(|_| ()))
    }

    fn unknown(&self) -> Result<u32, Reason> {
        self.ask(|pass, here| {
            let (taken, proof) = (self.taken_today, pass.authenticity);
            unknown_card(&self.account, taken, proof, &self.activity, here)
        })
    }

    fn code(&self, code: &str) -> Result<ActivityId, Reason> {
        let activities = [self.activity.clone()];
        self.ask(|_, here| check_in_by_code(code, &activities, here).map(|found| found.activity))
    }
}

fn uitpas() -> World {
    World::of(Programme::Uitpas)
}

fn group() -> World {
    World::of(Programme::UitpasGroup).with(|w| w.record.memberships = vec![entitled(GENT)])
}

fn museumpass() -> World {
    World::of(Programme::Museumpass)
}

fn granted() -> GrantedCoupon {
    GrantedCoupon { coupon: CouponId(1), begin: morning().plus(-DAY), end: Some(morning()) }
}

/// Which reason is expected, if any.
type Row = (&'static str, Option<Reason>, Option<Reason>);

fn row<T>(what: &'static str, expected: Option<Reason>, found: Result<T, Reason>) -> Row {
    (what, expected, found.err())
}

fn check_in_rows() -> Vec<Row> {
    use CardStatus as C;
    use HolderStatus as H;
    let card = |status| uitpas().with(|w| w.card = status).check_in();
    let holder = |status| uitpas().with(|w| w.record.holder = status).check_in();
    let member = |change: fn(&mut Membership)| {
        uitpas().with(|w| change(&mut w.record.memberships[0])).check_in()
    };
    let open_from = |opens: u16, closes: u16| {
        uitpas().with(|w| {
            w.activity.opening_hours.weekly =
                vec![Weekly { days: vec![6], opens: opens * 60, closes: closes * 60 }];
        })
    };
    let open = |opens, closes| open_from(opens, closes).check_in();
    let hour_unknown = open_from(13, 17).with(|w| w.hour_known = false);
    let checked_in = used(Limited::CheckIn(ActivityId(1)), PeriodType::Day, 1);
    vec![
        row("a uitpas", None, uitpas().check_in()),
        row("blocked", Some(Reason::CardBlocked), card(C::Blocked)),
        row("deleted", Some(Reason::InvalidCardStatus), card(C::Deleted)),
        row("in stock", Some(Reason::InvalidCardStatus), card(C::LocalStock)),
        row("at its maker's", Some(Reason::InvalidCardStatus), card(C::Provisioned)),
        row("holder blocked", Some(Reason::UitpasHolderBlocked), holder(H::Blocked)),
        row("nobody's", Some(Reason::InvalidCardStatus), holder(H::Unregistered)),
        row(
            "no membership",
            Some(Reason::PassholderNoActiveCardsystems),
            uitpas().with(|w| w.record.memberships.clear()).check_in(),
        ),
        row(
            "membership blocked",
            Some(Reason::PassholderNoActiveCardsystems),
            member(|it| it.status = MembershipStatus::Blocked),
        ),
        row(
            "membership ended yesterday",
            Some(Reason::PassholderNoActiveCardsystems),
            member(|it| it.ends = Some(today() - 1)),
        ),
        row("membership ends today", None, member(|it| it.ends = Some(today()))),
        row(
            "membership suspended until tomorrow",
            Some(Reason::PassholderNoActiveCardsystems),
            member(|it| it.suspended_until = Some(today() + 1)),
        ),
        row("a group", Some(Reason::CheckinNotAllowed), group().check_in()),
        row("a museumpass", Some(Reason::CheckinNotAllowed), museumpass().check_in()),
        row("open now", None, open(10, 17)),
        row("opens later", Some(Reason::CheckinNotAllowed), open(13, 17)),
        row("opens later, where nobody knows the hour", None, hour_unknown.check_in()),
        row(
            "the second time today",
            Some(Reason::MaximumReached),
            uitpas().with(|w| w.account = checked_in.clone()).check_in(),
        ),
        row(
            "the second time, without a limit",
            None,
            uitpas()
                .with(|w| {
                    w.account = checked_in;
                    w.activity.checkin_limit = None;
                })
                .check_in(),
        ),
        row(
            "another organiser's",
            Some(Reason::EventNotFound),
            uitpas().with(|w| w.activity.organiser = Some("een-ander".parse().unwrap())).check_in(),
        ),
        row("a code", None, uitpas().code("zaal-1")),
        row("a code of yesterday", Some(Reason::CheckinCodeExpired), uitpas().code("gisteren")),
        row("another's code", Some(Reason::CheckinCodeInvalid), uitpas().code("zaal-2")),
        row("an unknown card", None, uitpas().unknown()),
        row(
            "an unknown card where policy says no",
            Some(Reason::PassNotFound),
            uitpas().with(|w| w.policy.unknown_cards = false).unknown(),
        ),
        row(
            "one unknown card too many",
            Some(Reason::UnknownCardsUsedUp),
            uitpas().with(|w| w.taken_today = 200).unknown(),
        ),
    ]
}

/// What a card must prove for what: points on a chip number, many points on a proof.
fn proof_rows() -> Vec<Row> {
    use Authenticity::{Cryptographic, Refuted, Signed, UidOnly};
    let rules = [(50, Signed), (200, Cryptographic)]
        .map(|(from_points, at_least)| ProofRule { from_points, at_least });
    let redeems = |shown, points| {
        uitpas()
            .with(|w| {
                w.policy.proofs.redemptions = rules.to_vec();
                w.authenticity = shown;
                w.account = account(1000);
                w.reward.points = points;
            })
            .redeem()
    };
    let shows = |shown| uitpas().with(|w| w.authenticity = shown);
    let visits = |shown| {
        museumpass().with(|w| {
            w.authenticity = shown;
            w.policy.proofs.visit = Signed;
        })
    };
    let checks_in = |shown| shows(shown).with(|w| w.policy.proofs.check_in = Cryptographic);
    let (lacking, forged) = (Some(Reason::CardProofRequired), Some(Reason::CardNotGenuine));
    vec![
        row("49 points on a chip number", None, redeems(UidOnly, 49)),
        row("50 points on a chip number", lacking, redeems(UidOnly, 50)),
        row("50 points on a signature", None, redeems(Signed, 50)),
        row("200 points on a signature", lacking, redeems(Signed, 200)),
        row("200 points on a proof", None, redeems(Cryptographic, 200)),
        row("5 points on a refuted card", forged, redeems(Refuted, 5)),
        row("a check-in on a chip number", None, shows(UidOnly).check_in()),
        row("a check-in on a refuted card", forged, shows(Refuted).check_in()),
        row("a check-in that needs a proof", lacking, checks_in(Signed).check_in()),
        row("a check-in with the proof it needs", None, checks_in(Cryptographic).check_in()),
        row("an unknown card that is refuted", forged, shows(Refuted).unknown()),
        row("an unknown card that proves too little", lacking, checks_in(UidOnly).unknown()),
        row("a visit that needs a signature", lacking, visits(UidOnly).visit()),
        row("a visit with the signature it needs", None, visits(Signed).visit()),
        row("a visit on a refuted card", forged, visits(Refuted).visit()),
    ]
}

fn visit_rows() -> Vec<Row> {
    let until = |day| museumpass().with(|w| w.record.valid_until = Some(day)).visit();
    let unregistered = |visits| {
        museumpass()
            .with(|w| {
                w.record.holder = HolderStatus::Unregistered;
                w.account.visits = visits;
            })
            .visit()
    };
    let visited = used(Limited::Visit(ledger_id().venue), PeriodType::Day, 1);
    vec![
        row("a museumpass", None, museumpass().visit()),
        row("on its last day", None, until(today())),
        row("a day later", Some(Reason::Expired), until(today() - 1)),
        row(
            "whose only subscription was cancelled",
            Some(Reason::Expired),
            museumpass().with(|w| w.record.valid_until = None).visit(),
        ),
        row("a uitpas", Some(Reason::CheckinNotAllowed), uitpas().visit()),
        row(
            "card blocked",
            Some(Reason::MuseumCardBlocked),
            museumpass().with(|w| w.card = CardStatus::Blocked).visit(),
        ),
        row(
            "holder blocked",
            Some(Reason::PassholderBlocked),
            museumpass().with(|w| w.record.holder = HolderStatus::Blocked).visit(),
        ),
        row("unregistered, the second visit", None, unregistered(1)),
        row(
            "unregistered, the third visit",
            Some(Reason::MaximumUnregisteredVisitsReached),
            unregistered(2),
        ),
        row(
            "a second visit today",
            Some(Reason::MaximumReached),
            museumpass().with(|w| w.account = visited.clone()).visit(),
        ),
        row("a museumkaart", None, museumpass().external("museumkaart:12345678")),
        row(
            "a card that is not let in",
            Some(Reason::ExternalCardNotAccepted),
            museumpass().external("vriendenpas:12345678"),
        ),
        row(
            "a card of an unknown type",
            Some(Reason::ExternalCardNotAccepted),
            museumpass().external("bibkaart:12345678"),
        ),
        row(
            "a museumkaart for the second time",
            Some(Reason::MaximumReached),
            museumpass().with(|w| w.account = visited).external("museumkaart:12345678"),
        ),
    ]
}

fn redeem_rows() -> Vec<Row> {
    let reward = |change: &dyn Fn(&mut Reward)| uitpas().with(|w| change(&mut w.reward)).redeem();
    let points = |points| uitpas().with(|w| w.account = account(points)).redeem();
    let redeemed = used(Limited::Redemption(RewardId(1)), PeriodType::Day, 1);
    let aged = |hours: i64, points: u32| {
        uitpas()
            .with(|w| {
                w.age = hours * 3_600_000;
                w.account = account(1000);
                w.reward.points = points;
            })
            .redeem()
    };
    let unit = Unit { grant: GrantId(3), unit: 12 };
    let no_system = Some(Reason::RewardPassholderNoApplicableCardsystems);
    vec![
        row("enough points", None, points(5)),
        row("a point short", Some(Reason::RewardPassholderPointsConstraint), points(4)),
        row(
            "in debt",
            Some(Reason::RewardPassholderPointsConstraint),
            uitpas().with(|w| w.account.spent = 11).redeem(),
        ),
        row(
            "in debt, a welcome reward",
            None,
            uitpas()
                .with(|w| {
                    w.account.spent = 11;
                    w.reward = self::reward(1, 0);
                })
                .redeem(),
        ),
        row(
            "blocked",
            Some(Reason::CardBlocked),
            uitpas().with(|w| w.card = CardStatus::Blocked).redeem(),
        ),
        row("for members here", None, reward(&|r| r.card_systems = vec![PASPARTOE, GENT])),
        row("for members elsewhere", no_system, reward(&|r| r.card_systems = vec![PASPARTOE])),
        row("for a group", no_system, group().redeem()),
        row("online only", Some(Reason::RewardOnlineOnly), reward(&|r| r.online = true)),
        row(
            "at another organiser",
            Some(Reason::RewardOtherOrganizer),
            reward(&|r| r.organisers = vec!["een-ander".parse().unwrap()]),
        ),
        row(
            "here among others",
            None,
            reward(&|r| {
                r.organisers = vec!["0ce87cbc-9299-4528-8d35-92225dc9489f".parse().unwrap()];
            }),
        ),
        row(
            "too early",
            Some(Reason::RewardPeriodConstraint),
            reward(&|r| r.redeem_begin = Some(morning().plus(1))),
        ),
        row(
            "too late",
            Some(Reason::RewardPeriodConstraint),
            reward(&|r| r.redeem_end = Some(morning().plus(-1))),
        ),
        row("not published, yet redeemable", None, {
            reward(&|r| r.publication_end = Some(morning().plus(-1)))
        }),
        row(
            "no unit here, and the hub was not heard",
            Some(Reason::RewardNoUnitHere),
            reward(&|r| r.limited = true),
        ),
        row(
            "no unit here, and the hub has none left",
            Some(Reason::RewardVolumeConstraint),
            uitpas()
                .with(|w| {
                    w.reward.limited = true;
                    w.unit = Err(NoUnit::NoneLeft);
                })
                .redeem(),
        ),
        row(
            "no unit here, and no points for it either",
            Some(Reason::RewardPassholderPointsConstraint),
            uitpas()
                .with(|w| {
                    w.reward.limited = true;
                    w.account = account(0);
                })
                .redeem(),
        ),
        row(
            "a unit left here",
            None,
            uitpas()
                .with(|w| {
                    w.reward.limited = true;
                    w.unit = Ok(unit);
                })
                .redeem(),
        ),
        row(
            "had today",
            Some(Reason::RewardPassholderVolumeConstraint),
            uitpas()
                .with(|w| {
                    w.account = redeemed;
                    w.reward.redeem_constraint = Some(DAILY);
                })
                .redeem(),
        ),
        row("all points on an account of today", None, aged(23, 1000)),
        row("some points on an account of this week", None, aged(100, 50)),
        row(
            "more points on an account of this week",
            Some(Reason::OfflinePointsConstraint),
            aged(100, 51),
        ),
        row(
            "any points on an account that is too old",
            Some(Reason::AccountTooOld),
            uitpas()
                .with(|w| {
                    w.age = i64::MAX;
                    w.policy.redemptions = vec![AgeRule { up_to: DAY, points: None }];
                })
                .redeem(),
        ),
        row(
            "a welcome reward on any account",
            None,
            uitpas()
                .with(|w| {
                    w.age = i64::MAX;
                    w.policy.redemptions = vec![AgeRule { up_to: DAY, points: None }];
                    w.reward = self::reward(1, 0);
                })
                .redeem(),
        ),
    ]
}

fn sale_rows() -> Vec<Row> {
    let social = Some(TariffKind::SocialTariff);
    let by_coupon = Some(TariffKind::Coupon(CouponId(1)));
    let with_right = |right: SocialTariffRight| {
        uitpas().with(|w| w.record.memberships[0].social_tariff = Some(right))
    };
    let suspended = SocialTariffRight { ends: today() + 100, suspended_until: Some(today() + 1) };
    let with_coupon = || uitpas().with(|w| w.record.coupons = vec![granted()]);
    let bought = |of, period, times| move |w: &mut World| w.account = used(of, period, times);
    vec![
        row("anybody", None, uitpas().sell(None, 1)),
        row("entitled", None, with_right(right(-1)).sell(social, 4)),
        row("in grace", None, with_right(right(30)).sell(social, 1)),
        row(
            "after grace",
            Some(Reason::SocialTariffExpired),
            with_right(right(31)).sell(social, 1),
        ),
        row("after grace, at the regular price", None, with_right(right(31)).sell(None, 1)),
        row(
            "suspended",
            Some(Reason::SocialTariffSuspended),
            with_right(suspended).sell(social, 1),
        ),
        row("not entitled", Some(Reason::SocialTariffNotAvailable), uitpas().sell(social, 1)),
        row(
            "entitled in another region",
            Some(Reason::SocialTariffNotAvailable),
            uitpas()
                .with(|w| w.record.memberships = vec![membership(GENT), entitled(PASPARTOE)])
                .sell(social, 1),
        ),
        row(
            "no distribution key",
            Some(Reason::SocialTariffNotAvailable),
            with_right(right(-1)).with(|w| w.activity.distribution_keys.clear()).sell(social, 1),
        ),
        row(
            "more than are left this week",
            Some(Reason::InvalidNumberOfTickets),
            with_right(right(-1))
                .with(bought(Limited::Ticket(ActivityId(1)), PeriodType::Week, 3))
                .sell(social, 2),
        ),
        row(
            "none left this week",
            Some(Reason::MaximumReached),
            with_right(right(-1))
                .with(bought(Limited::Ticket(ActivityId(1)), PeriodType::Week, 4))
                .sell(social, 1),
        ),
        row("none", Some(Reason::InvalidNumberOfTickets), uitpas().sell(None, 0)),
        row("a train", Some(Reason::InvalidNumberOfTickets), uitpas().sell(None, 101)),
        row("a coupon", None, with_coupon().sell(by_coupon, 2)),
        row("a coupon not granted", Some(Reason::InvalidCoupon), uitpas().sell(by_coupon, 1)),
        row(
            "a coupon for another activity",
            Some(Reason::InvalidCoupon),
            with_coupon()
                .with(|w| w.coupons[0].activities = vec![ActivityId(2)])
                .sell(by_coupon, 1),
        ),
        row(
            "a coupon used up today",
            Some(Reason::MaximumReached),
            with_coupon()
                .with(bought(Limited::Coupon(CouponId(1)), PeriodType::Day, 2))
                .sell(by_coupon, 1),
        ),
        row("a group", None, group().with(|w| w.activity.ticket_limit = None).sell(social, 20)),
        row(
            "a group beyond its year",
            Some(Reason::InvalidNumberOfTickets),
            group().with(|w| w.activity.ticket_limit = None).sell(social, 21),
        ),
        row(
            "a group whose year is used up",
            Some(Reason::MaximumReached),
            group().with(bought(Limited::GroupTicket, PeriodType::Year, 20)).sell(social, 1),
        ),
        row(
            "blocked",
            Some(Reason::CardBlocked),
            uitpas().with(|w| w.card = CardStatus::Blocked).sell(None, 1),
        ),
    ]
}

#[test]
fn each_reason_has_its_input() {
    let rows = [check_in_rows(), proof_rows(), visit_rows(), redeem_rows(), sale_rows()].concat();
    for (what, expected, found) in &rows {
        assert_eq!(found, expected, "{what}");
    }
    // What is found before a pass is in hand, or where there is none; and the voids, below.
    let elsewhere = [
        Reason::InvalidUitpasNumber,
        Reason::RewardNotFound,
        Reason::NoActivityChosen,
        Reason::AlreadyTakenBack,
        Reason::TooLateToTakeBack,
        Reason::NothingToTakeBack,
    ];
    let found: HashSet<_> = rows.iter().filter_map(|row| row.1).chain(elsewhere).collect();
    let lacking: Vec<_> = Reason::ALL.iter().filter(|reason| !found.contains(reason)).collect();
    assert!(lacking.is_empty(), "no table has {lacking:?}");
}

#[test]
fn what_is_earned_and_what_it_costs_are_those_of_the_catalogue() {
    assert_eq!(uitpas().check_in(), Ok(2));
    assert_eq!(uitpas().redeem(), Ok(Redemption { points: 5, unit: None }));
    let unit = Unit { grant: GrantId(3), unit: 12 };
    let plain = uitpas().with(|w| w.unit = Ok(unit));
    assert_eq!(plain.redeem().unwrap().unit, None, "an unlimited reward takes no unit");
    let limited = plain.with(|w| w.reward.limited = true);
    assert_eq!(limited.redeem().unwrap().unit, Some(unit));
}

/// Invariant 6: what was spent since the hub last confirmed the account counts against the policy.
#[test]
fn points_spent_on_an_old_account_add_up() {
    let old = uitpas().with(|w| {
        w.age = 3 * DAY;
        w.record.account = Account { spent: 100, ..account(1000) };
        w.account = Account { spent: 146, ..account(1000) };
    });
    assert_eq!(old.redeem(), Err(Reason::OfflinePointsConstraint), "46 + 5 is more than 50");
    assert!(old.with(|w| w.account.spent = 145).redeem().is_ok());
}

#[test]
fn the_best_price_is_sold_unless_another_is_asked_for() {
    let entitled = uitpas().with(|w| w.record.memberships = vec![entitled(GENT)]);
    let sale = entitled.sell(None, 2).unwrap();
    assert_eq!(sale.tariff, TariffKind::SocialTariff);
    assert_eq!(
        sale.shares,
        Shares { holder: Cents(200), city: Cents(400), organiser: Cents(401) },
        "20/40/40 of 10.01"
    );
    assert_eq!(sale.to_pay(), Cents(400));
    let sale = entitled.sell(None, 5).unwrap();
    assert_eq!(sale.tariff, TariffKind::Regular, "all at one tariff, and only four are left");
    let with_coupon = uitpas().with(|w| w.record.coupons = vec![granted()]);
    assert_eq!(with_coupon.sell(None, 1).unwrap().to_pay(), Cents(701));
    assert_eq!(with_coupon.sell(Some(TariffKind::Regular), 1).unwrap().to_pay(), Cents(1001));
}

/// The passes of publiq's public test environment (`uitpas-test-dataset.json`): fictional people.
#[test]
fn the_passes_of_the_public_test_dataset_are_answered_as_their_table_says() {
    let dataset: serde_json::Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testdata/uitpas-test-dataset.json"
    )))
    .unwrap();
    let passes = dataset["passes"].as_array().unwrap();
    assert_eq!(passes.len(), 15);
    for pass in passes {
        let text = |field: &str| pass[field].as_str();
        let number: UitpasNumber = text("uitpasNumber").unwrap().parse().unwrap();
        let group = pass["group"].as_bool().unwrap();
        let world = if group { World::of(Programme::UitpasGroup) } else { uitpas() }.with(|w| {
            w.card = match text("cardStatus").unwrap() {
                "ACTIVE" => CardStatus::Active,
                "BLOCKED" => CardStatus::Blocked,
                "UNREGISTERED" => CardStatus::LocalStock,
                other => unreachable!("{other}"),
            };
            let member = &mut w.record.memberships;
            match text("socialTariff").unwrap() {
                "NONE" => {}
                "ACTIVE" => member[0] = entitled(GENT),
                "EXPIRED" => member[0].social_tariff = Some(right(200)),
                "OTHER_REGION" => member.push(entitled(PASPARTOE)),
                other => unreachable!("{other}"),
            }
            if !pass["couponsOtherRegion"].is_null() || !pass["couponTicketSalesPerDay"].is_null() {
                w.record.coupons = vec![granted()];
                w.activity.ticket_limit = None;
                let volume = pass["couponTicketSalesPerDay"].as_u64().unwrap_or(2);
                w.coupons[0].limit = Some(PeriodLimit {
                    volume: u32::try_from(volume).unwrap(),
                    period_type: PeriodType::Day,
                });
            }
        });
        let use_of_card = match world.card {
            CardStatus::Blocked => Some(Reason::CardBlocked),
            CardStatus::LocalStock => Some(Reason::InvalidCardStatus),
            _ => None,
        };
        let checks_in = use_of_card.or(group.then_some(Reason::CheckinNotAllowed));
        assert_eq!(world.check_in().err(), checks_in, "{number:?}");
        let social = world.sell(Some(TariffKind::SocialTariff), 1).err();
        let expected = use_of_card.or(match text("socialTariff").unwrap() {
            "ACTIVE" => None,
            "EXPIRED" => Some(Reason::SocialTariffExpired),
            _ => Some(Reason::SocialTariffNotAvailable),
        });
        assert_eq!(social, expected, "{number:?}");
        // "couponTicketSalesPerDay": 50, "couponsOtherRegion": 2.
        if let Some(most) = world.record.coupons.first().map(|_| world.coupons[0].limit) {
            let (coupon, most) = (Some(TariffKind::Coupon(CouponId(1))), most.unwrap().volume);
            assert!(world.sell(coupon, most).is_ok(), "{number:?}");
            assert_eq!(world.sell(coupon, most + 1), Err(Reason::InvalidNumberOfTickets));
        }
    }
    // "Test event met beperkte aankoop": one ticket a week.
    let limited = uitpas().with(|w| {
        w.record.memberships = vec![entitled(GENT)];
        w.activity.ticket_limit = Some(PeriodLimit { volume: 1, period_type: PeriodType::Week });
    });
    assert!(limited.sell(Some(TariffKind::SocialTariff), 1).is_ok());
    assert_eq!(
        limited.sell(Some(TariffKind::SocialTariff), 2),
        Err(Reason::InvalidNumberOfTickets)
    );
}

#[test]
fn rewards_come_in_a_useful_order_and_what_cannot_be_had_is_left_out() {
    let soon = Some(morning().plus(10 * DAY));
    let rewards = [
        reward(1, 12),
        reward(2, 5),
        reward(3, 0),
        Reward { online: true, ..reward(4, 3) },
        reward(6, 10),
        Reward { featured: true, ..reward(5, 2) },
        reward(7, 11),
        Reward { redeem_end: Some(morning().plus(-1)), ..reward(8, 3) },
        Reward { redeem_end: soon, ..reward(9, 1) },
        Reward { publication_begin: soon, ..reward(10, 1) },
        Reward { limited: true, ..reward(11, 1) },
        Reward { limited: true, ..reward(12, 4) },
    ];
    let unit = Unit { grant: GrantId(1), unit: 1 };
    let next_unit = |reward: &Reward| {
        if reward.reward == RewardId(12) { Ok(unit) } else { Err(NoUnit::NoneLeft) }
    };
    let seen = |world: &World| {
        world.ask(|pass, here| {
            rewards_for(pass, &rewards, next_unit, here)
                .iter()
                .map(|offer| (offer.reward.reward.0, offer.points_lacking))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        seen(&uitpas()),
        [(3, 0), (9, 0), (5, 0), (6, 0), (2, 0), (12, 0), (7, 1), (1, 2), (11, 0)],
        "welcome, last chance, featured, dearest; then what is nearly had; then what may come"
    );
    assert_eq!(seen(&uitpas().with(|w| w.card = CardStatus::Blocked)), []);
    assert_eq!(seen(&group()), []);
}

#[test]
fn an_entry_is_taken_back_once_and_in_time() {
    let policy = Policy::default();
    let window = policy.undo_window;
    let target = EntryRef { day: day(), writer: desk(1), index: 0 };
    let redemption = entry(0, Fact::Redemption { reward: RewardId(1), points: 3, unit: None });
    let check_in = entry(0, Fact::CheckIn { activity: ActivityId(1), points: 1 });
    let sale = entry(
        0,
        Fact::TicketSale {
            activity: ActivityId(1),
            tickets: 2,
            tariff: TariffKind::Regular,
            shares: Shares::regular(Cents(1000)),
        },
    );
    let (visit, external) = (entry(0, Fact::Visit), entry(0, Fact::ExternalVisit));
    let (void_entry, newer) = (entry(0, Fact::Void { target }), entry(0, Fact::Newer { kind: 99 }));
    let (late, again, nothing) =
        (Reason::TooLateToTakeBack, Reason::AlreadyTakenBack, Reason::NothingToTakeBack);
    let rows: [(Entry, bool, i64, Result<(), Reason>); 15] = [
        (check_in, false, 0, Ok(())),
        (visit, false, MINUTE, Ok(())),
        (external, false, MINUTE, Ok(())),
        (sale, false, MINUTE, Ok(())),
        (redemption, false, window, Ok(())),
        (check_in, false, -MINUTE, Ok(())),
        (check_in, false, window + 1, Err(late)),
        (visit, false, window + 1, Err(late)),
        (sale, false, window + 1, Err(late)),
        (redemption, false, window + 1, Err(late)),
        (check_in, true, 0, Err(again)),
        (check_in, true, window + 1, Err(again)),
        (redemption, true, 0, Err(again)),
        (void_entry, false, 0, Err(nothing)),
        (newer, true, window + 1, Err(nothing)),
    ];
    for (target, taken_back, later, expected) in rows {
        let answer = void(&target, taken_back, &policy, morning().plus(later));
        assert_eq!(answer, expected, "{target:?} {taken_back} {later}");
    }
}

/// Invariant 11.
#[test]
fn two_passes_that_differ_only_in_their_social_tariff_get_the_same_answers() {
    let rewards = [
        Reward { redeem_constraint: Some(DAILY), ..reward(1, 5) },
        reward(2, 20),
        Reward { card_systems: vec![PASPARTOE], ..reward(3, 0) },
    ];
    let accounts = [
        account(0),
        account(10),
        used(Limited::CheckIn(ActivityId(1)), PeriodType::Day, 1),
        used(Limited::Visit(ledger_id().venue), PeriodType::Day, 1),
        used(Limited::Redemption(RewardId(1)), PeriodType::Day, 1),
    ];
    let answers = |world: &World| {
        let redeemed = rewards.each_ref().map(|reward| {
            let world = world.clone().with(|w| w.reward = reward.clone());
            world.redeem()
        });
        let offers = world.ask(|pass, here| {
            let offers = rewards_for(pass, &rewards, |_| Err(NoUnit::NotHere), here);
            format!("{offers:?}")
        });
        format!("{:?} {:?} {redeemed:?} {offers}", world.check_in(), world.visit())
    };
    let suspended = SocialTariffRight { ends: today(), suspended_until: Some(today() + 1) };
    for programme in [Programme::Uitpas, Programme::UitpasGroup] {
        for card in [CardStatus::Active, CardStatus::Blocked, CardStatus::LocalStock] {
            for account in &accounts {
                let without = World::of(programme).with(|w| {
                    w.card = card;
                    w.account = account.clone();
                });
                for right in [right(-1), right(10), right(100), suspended] {
                    let with = without.clone();
                    let with = with.with(|w| w.record.memberships[0].social_tariff = Some(right));
                    assert_eq!(answers(&with), answers(&without));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// One desk that writes only what is accepted never brings an account over a limit, whatever is
    /// asked of it (invariants 4 and 6).
    #[test]
    fn a_desk_on_its_own_never_exceeds_a_limit(
        asked in prop::collection::vec((0u8..4, 0i64..3, 1u32..4), 1..60),
    ) {
        use crate::account::{Limits, Outcome, Placed, fold};
        struct OfWorld<'a>(&'a World);
        impl Limits for OfWorld<'_> {
            fn checkin_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
                self.0.activity.checkin_limit
            }
            fn redeem_constraint(&self, _: RewardId) -> Option<PeriodLimit> {
                self.0.reward.redeem_constraint
            }
            fn ticket_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
                self.0.activity.ticket_limit
            }
            fn coupon_limit(&self, _: CouponId) -> Option<PeriodLimit> {
                self.0.coupons[0].limit
            }
            fn tickets_per_year(&self) -> Option<u32> {
                self.0.record.tickets_per_year
            }
        }
        let mut world = uitpas().with(|w| {
            w.record.memberships = vec![entitled(GENT)];
            w.record.coupons = vec![GrantedCoupon { end: None, ..granted() }];
            w.record.account = account(12);
            w.reward.redeem_constraint = Some(PeriodLimit { volume: 2, period_type: PeriodType::Month });
        });
        let mut entries: Vec<Placed> = Vec::new();
        let (venue, calendar) = (ledger_id().venue, brussels());
        let mut now = morning();
        for (question, days, tickets) in asked {
            now = now.plus(days * DAY + 1);
            let folded = fold(&world.record.account, entries.clone(), &OfWorld(&world), &calendar);
            for (_, outcome) in &folded.outcomes {
                prop_assert_eq!(*outcome, Outcome::Counted);
            }
            prop_assert_eq!(folded.account.debt(), 0);
            world.account = folded.account;
            let here = Here { venue: &venue, policy: &world.policy, calendar: &calendar, now, hour_known: true };
            let pass = world.standing();
            let (activity, reward) = (&world.activity, &world.reward);
            let fact = match question {
                0 => check_in(pass, activity, &here)
                    .map(|points| Fact::CheckIn { activity: activity.activity, points }),
                1 => redeem(pass, reward, Err(NoUnit::NotHere), &here).map(|it| Fact::Redemption {
                    reward: reward.reward, points: it.points, unit: it.unit,
                }),
                _ => offers(pass, activity, &world.coupons, Cents(1001), &here)
                    .and_then(|offers| sell(&offers, None, tickets))
                    .map(|sale| Fact::TicketSale {
                        activity: activity.activity, tickets: sale.tickets,
                        tariff: sale.tariff, shares: sale.shares,
                    }),
            };
            if let Ok(fact) = fact {
                let index = entries.len() as u64;
                entries.push(Placed {
                    venue: venue.clone(),
                    place: EntryRef { day: day(), writer: desk(1), index },
                    first_place: None,
                    entry: Entry { at: now, ..entry(0, fact) },
                    included: false,
                    receipt: None,
                });
            }
        }
    }
}

/// The codes go over the desk API and into settings: each is read back as what it was.
#[test]
fn a_reason_is_its_code_and_back() {
    for reason in Reason::ALL {
        assert_eq!(reason.code().parse(), Ok(*reason));
    }
    assert_eq!("blocked".parse::<Reason>(), Err(UnknownReason));
    let codes: HashSet<_> = Reason::ALL.iter().map(Reason::code).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
}
