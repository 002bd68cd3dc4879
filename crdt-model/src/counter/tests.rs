//! What the counter says, row by row: the order of its checks, what it writes and what it shows. The rules themselves
//! have their tables in `decide`.

mod policy;
mod redeem;
mod sell;
mod tap;

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
