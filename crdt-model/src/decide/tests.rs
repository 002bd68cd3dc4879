use std::collections::HashSet;

use super::*;
use crate::account::{Limited, Uses};
use crate::catalogue::{Activity, PassStatus, Policy, Programme, Reward, RewardKind, SocialTariff};
use crate::entry::{Entry, EntryRef, Fact};
use crate::ids::{ActivityId, CardSystemId, PassId, RewardId, UitpasNumber};
use crate::limits::{PeriodLimit, PeriodType};
use crate::samples::{DAY, MINUTE, brussels, desk, fact_at as entry, ledger_id, noon as morning};
use crate::time::day_number;

fn day() -> jiff::civil::Date {
    ledger_id().day
}

fn venue(name: &str) -> crate::ids::VenueId {
    name.parse().unwrap()
}

fn check_in_entry(minute: i64) -> Entry {
    entry(minute, Fact::CheckIn { activity: ActivityId(1), points: 1 })
}

const DAILY: PeriodLimit = PeriodLimit { volume: 1, period_type: PeriodType::Day };

fn account(points: u64) -> Account {
    Account { earned: points, ..Account::default() }
}

/// This done once today.
fn used(of: Limited) -> Account {
    let uses = Uses { of, window: PeriodType::Day.window(day()), times: 1 };
    Account { uses: vec![uses], ..account(10) }
}

fn record(programme: Programme, status: PassStatus) -> PassRecord {
    PassRecord {
        pass: PassId(7),
        programme,
        status,
        card_systems: vec![CardSystemId(1)],
        valid_until: None,
        social_tariff: SocialTariff::None,
        telling_digits: "0095".to_owned(),
        cards: Vec::new(),
        account: Account::default(),
        folded: Vec::new(),
    }
}

fn uitpas() -> PassRecord {
    record(Programme::Uitpas, PassStatus::Active)
}

fn museumpass(status: PassStatus) -> PassRecord {
    PassRecord { card_systems: Vec::new(), ..record(Programme::Museumpass, status) }
}

fn activity() -> Activity {
    Activity {
        activity: ActivityId(1),
        event_id: "5a0967f9-cc06-4c3c-9206-30481a767434".to_owned(),
        title: "Permanente UiTPAS Test Festiviteit".to_owned(),
        venue: venue("de-reede"),
        checkin_points: 2,
        checkin_limit: Some(DAILY),
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
    }
}

/// The three questions about a pass at a desk.
#[derive(Debug, Clone, Copy)]
enum Question {
    CheckIn,
    Visit,
    Redeem,
}

fn ask(
    question: Question,
    record: &PassRecord,
    account: &Account,
    reward: &Reward,
) -> Option<Reason> {
    let (standing, calendar) = (Standing { record, account }, brussels());
    match question {
        Question::CheckIn => check_in(standing, &activity(), &calendar, morning()).err(),
        Question::Visit => visit(standing, &venue("de-reede"), &calendar, morning()).err(),
        Question::Redeem => redeem(standing, reward, &calendar, morning()).err(),
    }
}

#[test]
fn each_reason_has_its_input_and_its_verdict() {
    use PassStatus as S;
    use Programme as P;
    use Question::{CheckIn, Redeem, Visit};
    use VerdictKind::{Again, Stop};
    let nowhere = |record: PassRecord| PassRecord { card_systems: Vec::new(), ..record };
    let of = |status| record(P::Uitpas, status);
    let until = |day| PassRecord { valid_until: Some(day), ..museumpass(S::Active) };
    let plain = reward(1, 5);
    let in_systems = |systems: &[u32]| Reward {
        card_systems: systems.iter().copied().map(CardSystemId).collect(),
        ..reward(1, 5)
    };
    let online = Reward { online: true, ..reward(1, 5) };
    let between = |begin: Option<i64>, end: Option<i64>| Reward {
        redeem_begin: begin.map(|at| morning().plus(at)),
        redeem_end: end.map(|at| morning().plus(at)),
        ..reward(1, 5)
    };
    let once = Reward { redeem_constraint: Some(DAILY), ..reward(1, 5) };
    let checked_in = used(Limited::CheckIn(ActivityId(1)));
    let visited = used(Limited::Visit(venue("de-reede")));
    let redeemed = used(Limited::Redemption(RewardId(1)));
    let indebted = Account { spent: 11, ..account(10) };
    let no = |reason: Reason, verdict| Some((reason, verdict));
    let today = day_number(day());

    let rows = [
        (CheckIn, uitpas(), account(0), &plain, None),
        (CheckIn, uitpas(), visited.clone(), &plain, None),
        (CheckIn, of(S::Blocked), account(0), &plain, no(Reason::CardBlocked, Stop)),
        (CheckIn, of(S::HolderBlocked), account(0), &plain, no(Reason::CardBlocked, Stop)),
        (CheckIn, of(S::Unregistered), account(0), &plain, no(Reason::InvalidCardStatus, Stop)),
        (
            CheckIn,
            of(S::MaximumUnregisteredVisits),
            account(0),
            &plain,
            no(Reason::InvalidCardStatus, Stop),
        ),
        (
            CheckIn,
            nowhere(uitpas()),
            account(0),
            &plain,
            no(Reason::PassholderNoActiveCardsystems, Stop),
        ),
        (CheckIn, nowhere(of(S::Blocked)), account(0), &plain, no(Reason::CardBlocked, Stop)),
        (
            CheckIn,
            record(P::UitpasGroup, S::Active),
            account(0),
            &plain,
            no(Reason::CheckinNotAllowed, Stop),
        ),
        (
            CheckIn,
            record(P::Museumpass, S::Active),
            account(0),
            &plain,
            no(Reason::CheckinNotAllowed, Stop),
        ),
        (CheckIn, uitpas(), checked_in.clone(), &plain, no(Reason::MaximumReached, Again)),
        (Visit, museumpass(S::Active), account(0), &plain, None),
        (Visit, museumpass(S::Unregistered), account(0), &plain, None),
        (Visit, museumpass(S::Active), checked_in.clone(), &plain, None),
        (Visit, until(today), account(0), &plain, None),
        (Visit, until(today - 1), account(0), &plain, no(Reason::Expired, Stop)),
        (Visit, museumpass(S::Blocked), account(0), &plain, no(Reason::MuseumCardBlocked, Stop)),
        (
            Visit,
            museumpass(S::HolderBlocked),
            account(0),
            &plain,
            no(Reason::PassholderBlocked, Stop),
        ),
        (
            Visit,
            museumpass(S::MaximumUnregisteredVisits),
            account(0),
            &plain,
            no(Reason::MaximumUnregisteredVisitsReached, Stop),
        ),
        (Visit, museumpass(S::Active), visited, &plain, no(Reason::MaximumReached, Again)),
        (Redeem, uitpas(), account(5), &plain, None),
        (Redeem, uitpas(), account(5), &in_systems(&[2, 1]), None),
        (Redeem, uitpas(), account(0), &reward(1, 0), None),
        (Redeem, uitpas(), indebted.clone(), &reward(1, 0), None),
        (Redeem, uitpas(), account(5), &between(Some(0), Some(0)), None),
        (Redeem, uitpas(), redeemed.clone(), &plain, None),
        (Redeem, uitpas(), checked_in, &once, None),
        (Redeem, of(S::Blocked), account(5), &plain, no(Reason::CardBlocked, Stop)),
        (Redeem, of(S::Unregistered), account(5), &plain, no(Reason::InvalidCardStatus, Stop)),
        (
            Redeem,
            nowhere(uitpas()),
            account(5),
            &plain,
            no(Reason::PassholderNoActiveCardsystems, Stop),
        ),
        (
            Redeem,
            uitpas(),
            account(5),
            &in_systems(&[2]),
            no(Reason::RewardPassholderNoApplicableCardsystems, Stop),
        ),
        (
            Redeem,
            uitpas(),
            account(5),
            &online,
            no(Reason::RewardPassholderNoApplicableCardsystems, Stop),
        ),
        (
            Redeem,
            record(P::UitpasGroup, S::Active),
            account(5),
            &plain,
            no(Reason::RewardPassholderNoApplicableCardsystems, Stop),
        ),
        (
            Redeem,
            uitpas(),
            account(5),
            &between(Some(1), None),
            no(Reason::RewardPeriodConstraint, Stop),
        ),
        (
            Redeem,
            uitpas(),
            account(5),
            &between(None, Some(-1)),
            no(Reason::RewardPeriodConstraint, Stop),
        ),
        (Redeem, uitpas(), redeemed, &once, no(Reason::RewardPassholderVolumeConstraint, Stop)),
        (Redeem, uitpas(), account(4), &plain, no(Reason::RewardPassholderPointsConstraint, Stop)),
        (Redeem, uitpas(), indebted, &plain, no(Reason::RewardPassholderPointsConstraint, Stop)),
    ];
    for (question, record, account, reward, expected) in &rows {
        let found =
            ask(*question, record, account, reward).map(|reason| (reason, reason.verdict()));
        assert_eq!(found, *expected, "{question:?} {record:?} {account:?} {reward:?}");
    }

    // These are found before a pass is in hand, or by whoever keeps the stock or asks for a tariff.
    let elsewhere = [
        Reason::InvalidUitpasNumber,
        Reason::PassNotFound,
        Reason::SocialTariffExpired,
        Reason::RewardVolumeConstraint,
        Reason::RewardNotFound,
        Reason::NoActivityChosen,
    ];
    let of_voids = [Reason::AlreadyTakenBack, Reason::TooLateToTakeBack, Reason::NothingToTakeBack];
    let found: HashSet<_> = rows
        .iter()
        .filter_map(|(.., expected)| expected.map(|(reason, _)| reason))
        .chain(elsewhere)
        .chain(of_voids)
        .collect();
    assert_eq!(found.len(), Reason::ALL.len(), "every reason is in a table");
}

#[test]
fn what_is_earned_and_what_it_costs_are_those_of_the_catalogue() {
    let (record, account, calendar) = (uitpas(), account(9), brussels());
    let pass = Standing { record: &record, account: &account };
    assert_eq!(check_in(pass, &activity(), &calendar, morning()), Ok(2));
    assert_eq!(redeem(pass, &reward(1, 9), &calendar, morning()), Ok(9));

    let tomorrow = morning().plus(DAY);
    let used = used(Limited::CheckIn(ActivityId(1)));
    let pass = Standing { record: &record, account: &used };
    assert_eq!(check_in(pass, &activity(), &calendar, tomorrow), Ok(2), "another window");
    let unlimited = Activity { checkin_limit: None, ..activity() };
    assert_eq!(check_in(pass, &unlimited, &calendar, morning()), Ok(2));
}

/// The passes of publiq's public test environment (`uitpas-test-dataset.json`): fictional people.
#[test]
fn the_passes_of_the_public_test_dataset_are_answered_as_their_cards_are() {
    use PassStatus::{Active, Blocked, Unregistered};
    use Programme::{Uitpas, UitpasGroup};
    use SocialTariff as Tariff;
    let rows = [
        ("0900000095902", Uitpas, Tariff::None, Active, None),
        ("0900000067513", Uitpas, Tariff::Active, Active, None),
        ("0900000031618", Uitpas, Tariff::Expired, Active, None),
        ("0900010959113", Uitpas, Tariff::Active, Active, None),
        ("0900000002312", Uitpas, Tariff::Active, Blocked, Some(Reason::CardBlocked)),
        ("0900000058918", Uitpas, Tariff::Expired, Active, None),
        ("1000000520006", Uitpas, Tariff::None, Active, None),
        ("0900000093204", Uitpas, Tariff::OtherRegion, Active, None),
        ("0900004518305", Uitpas, Tariff::None, Active, None),
        ("0900011902815", Uitpas, Tariff::Active, Active, None),
        ("0900011903417", Uitpas, Tariff::Active, Active, None),
        ("0900000074519", Uitpas, Tariff::Active, Unregistered, Some(Reason::InvalidCardStatus)),
        ("0900000020405", Uitpas, Tariff::None, Unregistered, Some(Reason::InvalidCardStatus)),
        ("0900000045410", UitpasGroup, Tariff::Active, Active, Some(Reason::CheckinNotAllowed)),
        ("0900000191800", UitpasGroup, Tariff::None, Active, Some(Reason::CheckinNotAllowed)),
    ];
    for (text, programme, social_tariff, status, expected) in rows {
        let number: UitpasNumber = text.parse().unwrap();
        let record = PassRecord {
            social_tariff,
            telling_digits: number.telling_digits().to_owned(),
            ..record(programme, status)
        };
        assert_eq!(ask(Question::CheckIn, &record, &account(0), &reward(1, 0)), expected, "{text}");
    }
}

#[test]
fn rewards_come_dearest_first_and_then_those_that_points_are_lacking_for_nearest_first() {
    let (record, account) = (uitpas(), account(10));
    let pass = Standing { record: &record, account: &account };
    let rewards = [
        reward(1, 12),
        reward(2, 5),
        reward(3, 0),
        Reward { online: true, ..reward(4, 3) },
        reward(6, 10),
        reward(5, 10),
        reward(7, 11),
        Reward { redeem_end: Some(morning().plus(-1)), ..reward(8, 3) },
        Reward { card_systems: vec![CardSystemId(9)], ..reward(9, 30) },
        Reward { redeem_begin: Some(morning().plus(DAY)), ..reward(10, 11) },
    ];
    let offers = rewards_for(pass, &rewards, &brussels(), morning());
    let seen: Vec<_> = offers
        .iter()
        .map(|offer| (offer.reward.reward.0, offer.answer, offer.points_lacking))
        .collect();
    let lacking = Err(Reason::RewardPassholderPointsConstraint);
    assert_eq!(
        seen,
        [
            (5, Ok(10), 0),
            (6, Ok(10), 0),
            (2, Ok(5), 0),
            (3, Ok(0), 0),
            (7, lacking, 1),
            (1, lacking, 2)
        ]
    );
    let blocked = self::record(Programme::Uitpas, PassStatus::Blocked);
    let pass = Standing { record: &blocked, account: &account };
    assert_eq!(rewards_for(pass, &rewards, &brussels(), morning()), []);
}

#[test]
fn an_entry_is_taken_back_once_and_in_time() {
    let policy = Policy::default();
    let window = policy.undo_window;
    let target = EntryRef { day: day(), writer: desk(1), index: 0 };
    let redemption = entry(0, Fact::Redemption { reward: RewardId(1), points: 3 });
    let (visit, void_entry, newer) = (
        entry(0, Fact::Visit),
        entry(0, Fact::Void { target }),
        entry(0, Fact::Newer { kind: 99 }),
    );
    let rows: [(Entry, bool, i64, Result<(), Reason>); 12] = [
        (check_in_entry(0), false, 0, Ok(())),
        (visit, false, MINUTE, Ok(())),
        (redemption, false, window, Ok(())),
        (check_in_entry(0), false, -MINUTE, Ok(())),
        (check_in_entry(0), false, window + 1, Err(Reason::TooLateToTakeBack)),
        (visit, false, window + 1, Err(Reason::TooLateToTakeBack)),
        (redemption, false, window + 1, Err(Reason::TooLateToTakeBack)),
        (check_in_entry(0), true, 0, Err(Reason::AlreadyTakenBack)),
        (check_in_entry(0), true, window + 1, Err(Reason::AlreadyTakenBack)),
        (redemption, true, 0, Err(Reason::AlreadyTakenBack)),
        (void_entry, false, 0, Err(Reason::NothingToTakeBack)),
        (newer, true, window + 1, Err(Reason::NothingToTakeBack)),
    ];
    for (target, taken_back, later, expected) in rows {
        let answer = void(&target, taken_back, &policy, morning().plus(later));
        assert_eq!(answer, expected, "{target:?} {taken_back} {later}");
        if let Err(reason) = answer {
            assert_eq!(reason.verdict(), VerdictKind::Stop);
        }
    }
}

/// Invariant 11.
#[test]
fn two_passes_that_differ_only_in_their_social_tariff_get_the_same_answers() {
    use PassStatus as S;
    let statuses =
        [S::Active, S::Blocked, S::HolderBlocked, S::Unregistered, S::MaximumUnregisteredVisits];
    let accounts = [
        account(0),
        account(10),
        used(Limited::CheckIn(ActivityId(1))),
        used(Limited::Visit(venue("de-reede"))),
        used(Limited::Redemption(RewardId(1))),
    ];
    let rewards = [
        Reward { redeem_constraint: Some(DAILY), ..reward(1, 5) },
        reward(2, 20),
        Reward { card_systems: vec![CardSystemId(2)], ..reward(3, 0) },
    ];
    let calendar = brussels();
    let answers = |record: &PassRecord, account: &Account| {
        let pass = Standing { record, account };
        format!(
            "{:?} {:?} {:?} {:?}",
            check_in(pass, &activity(), &calendar, morning()),
            visit(pass, &venue("de-reede"), &calendar, morning()),
            rewards.each_ref().map(|reward| redeem(pass, reward, &calendar, morning())),
            rewards_for(pass, &rewards, &calendar, morning()),
        )
    };
    for programme in [Programme::Uitpas, Programme::UitpasGroup, Programme::Museumpass] {
        for (status, account) in
            statuses.iter().flat_map(|status| accounts.iter().map(move |account| (status, account)))
        {
            let without = record(programme, *status);
            for social_tariff in
                [SocialTariff::Active, SocialTariff::Expired, SocialTariff::OtherRegion]
            {
                let with = PassRecord { social_tariff, ..without.clone() };
                assert_eq!(answers(&with, account), answers(&without, account));
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
}
