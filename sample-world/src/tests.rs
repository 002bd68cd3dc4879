use std::collections::{BTreeMap, BTreeSet, HashSet};

use catalogue_file::{MembershipRow, SubscriptionRow};
use crdt_model::catalogue::{
    CardStatus, DistributionRule, HolderStatus, MembershipStatus, Programme, RewardKind,
    SocialTariff, SocialTariffRight,
};
use crdt_model::ids::Identification;
use crdt_model::limits::PeriodType;
use crdt_model::time::day_number;
use data_encoding::BASE64;

use super::*;

fn world(passes: u32) -> World {
    World { seed: 1, passes, today: Date::constant(2026, 11, 21) }
}

fn written(world: World) -> String {
    let mut bytes = Vec::new();
    world.write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn json(row: &impl Serialize) -> String {
    serde_json::to_string(row).unwrap()
}

/// Those that are not the dataset's.
fn generated(passes: u32) -> impl Iterator<Item = PassRow> {
    world(passes).passes().skip(dataset().passes.len()).collect::<Vec<_>>().into_iter()
}

fn cards(pass: &PassRow) -> impl Iterator<Item = Identification> + '_ {
    let number = pass.uitpas_number.map(Identification::Uitpas);
    let museum = pass.museumpass_number.clone().map(Identification::MuseumPass);
    let chip = pass.chip_number.map(Identification::Chip);
    let earlier = pass.earlier_cards.iter().flat_map(|card| {
        [card.uitpas_number.map(Identification::Uitpas), card.chip_number.map(Identification::Chip)]
    });
    [number, museum, chip].into_iter().chain(earlier).flatten()
}

#[test]
fn the_same_seed_and_day_give_the_same_bytes() {
    let once = written(world(2_000));
    assert_eq!(once, written(world(2_000)));
    assert_ne!(once, written(World { seed: 2, ..world(2_000) }));
    assert_ne!(once, written(World { today: Date::constant(2026, 11, 22), ..world(2_000) }));
}

#[test]
fn what_is_written_is_read_back_and_is_as_large_as_it_should_be() {
    let world = world(2_000);
    let text = written(world);
    let file: CatalogueFile = serde_json::from_str(&text).unwrap();
    assert_eq!(
        [file.card_systems.len(), file.activities.len(), file.rewards.len(), file.passes.len()],
        [3, 40, 25, 2_000]
    );
    assert_eq!((file.coupons.len(), file.venues.len()), (6, 8));
    assert_eq!(file.venues.iter().filter(|it| it.name.starts_with("Museum")).count(), 3);
    assert_eq!(file.venues.iter().map(|it| &it.organizer).collect::<HashSet<_>>().len(), 5);
    assert_eq!(json(&CatalogueFile { passes: Vec::new(), ..file.clone() }), json(&world.head()));
    assert_eq!(json(&file.passes), json(&world.passes().collect::<Vec<_>>()));
}

#[test]
fn a_smaller_world_is_the_beginning_of_a_larger_one() {
    let (small, large) = (world(2_000), world(5_000));
    assert!(small.passes().zip(large.passes()).all(|(one, other)| json(&one) == json(&other)));
    assert_eq!(json(&small.head()), json(&large.head()));
    assert_eq!(json(&world(7).passes().collect::<Vec<_>>()), json(&dataset().passes[..7].to_vec()));
    assert_eq!(world(0).passes().count(), 0);
}

#[test]
fn a_world_that_is_too_large_is_refused() {
    let refused = world(MAX_PASSES + 1).write(&mut Vec::new()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

fn same<T: Serialize>(dataset: &[T], world: &[T]) {
    assert!(!dataset.is_empty());
    assert_eq!(json(&dataset), json(&&world[..dataset.len()]));
}

#[test]
fn the_dataset_stands_in_it_unchanged() {
    let (dataset, world) = (dataset(), world(2_000));
    let head = world.head();
    assert_eq!(json(&dataset.policy), json(&head.policy));
    same(&dataset.venues, &head.venues);
    same(&dataset.card_systems, &head.card_systems);
    same(&dataset.activities, &head.activities);
    same(&dataset.rewards, &head.rewards);
    same(&dataset.coupons, &head.coupons);
    same(&dataset.passes, &world.passes().take(18).collect::<Vec<_>>());
}

#[test]
fn what_is_referred_to_is_there() {
    let head = world(0).head();
    let venues: HashSet<_> = head.venues.iter().map(|it| &it.id).collect();
    let events: HashSet<_> = head.activities.iter().map(|it| &it.event_id).collect();
    let systems: HashSet<_> = head.card_systems.iter().map(|it| it.id).collect();
    let organisers: HashSet<_> =
        head.venues.iter().filter_map(|it| it.organizer.as_ref()).collect();
    let codes: HashSet<_> =
        head.activities.iter().flat_map(|it| &it.checkin_codes).map(|it| &it.code).collect();
    assert_eq!(events.len(), 40);
    assert_eq!(codes.len(), 39, "the dataset has one activity without a code");
    assert_eq!(head.rewards.iter().map(|it| &it.id).collect::<HashSet<_>>().len(), 25);
    for activity in &head.activities {
        assert!(venues.contains(&activity.venue));
        assert!(activity.organizer.iter().all(|it| organisers.contains(it)));
        assert!(activity.card_systems.iter().all(|it| systems.contains(it)));
        let keyed = activity.distribution_keys.iter().map(|it| it.card_system);
        assert!(keyed.eq(activity.card_systems.iter().copied()));
    }
    for reward in &head.rewards {
        assert!(reward.organizers.iter().all(|it| organisers.contains(it)));
        assert!(reward.applicable_card_systems.iter().all(|it| systems.contains(it)));
    }
    let coupons: HashSet<_> = head.coupons.iter().map(|it| it.id.clone()).collect();
    assert!(head.coupons.iter().flat_map(|it| &it.activities).all(|it| events.contains(it)));
    assert!(generated(2_000).flat_map(|it| it.coupons).all(|it| coupons.contains(&it.coupon)));
}

#[test]
fn activities_are_of_many_kinds() {
    let head = world(0).head();
    let at_reede = head.activities.iter().filter(|it| it.venue.as_str() == "museum-de-reede");
    assert_eq!(at_reede.count(), 7);
    let any = |is: &dyn Fn(&catalogue_file::ActivityRow) -> bool| head.activities.iter().any(is);
    for points in 1..=3 {
        assert!(any(&|it| it.checkin_points == points));
    }
    for period in [PeriodType::Day, PeriodType::Week, PeriodType::Month] {
        assert!(any(&|it| it.checkin_limit.is_some_and(|limit| limit.period_type == period)));
    }
    assert!(any(&|it| it.checkin_limit.is_none()));
    assert!(any(&|it| it.opening_hours.weekly.iter().any(|hours| hours.closes < hours.opens)));
    let today = day_number(world(0).today);
    assert!(any(&|it| it.opening_hours.last_day.is_some_and(|last| last < today)));
    assert!(any(&|it| it.opening_hours.first_day.is_some_and(|first| first > today)));
    let rules: Vec<_> = head.activities.iter().flat_map(|it| &it.distribution_keys).collect();
    for region in places::Region::ALL {
        let mut of_region = rules.iter().filter(|it| it.card_system == region.card_system());
        let is_fixed = |rule: &DistributionRule| matches!(rule, DistributionRule::Fixed { .. });
        match region {
            places::Region::Mechelen => assert!(of_region.all(|it| !is_fixed(&it.rule))),
            places::Region::Paspartoe => assert!(of_region.all(|it| is_fixed(&it.rule))),
            places::Region::Gent => assert!(of_region.any(|it| is_fixed(&it.rule))),
        }
    }
    let dearest = head.activities.iter().flat_map(|it| &it.prices).map(|it| it.price.0).max();
    assert_eq!(dearest, Some(3_500));
    assert!(head.activities.iter().all(|it| (1..=3).contains(&it.prices.len())));
}

#[test]
fn rewards_are_over_running_out_and_to_come() {
    let world = world(0);
    let rewards = world.head().rewards;
    let now = world.begin_of(0);
    let periods: Vec<_> = rewards.iter().filter_map(|it| it.redeem_period.as_ref()).collect();
    let ends = |first, last| {
        let soon = world.end_of(first)..=world.end_of(last);
        periods.iter().filter(|it| it.end.is_some_and(|end| soon.contains(&end))).count()
    };
    assert!(periods.iter().any(|it| it.end.is_some_and(|end| end < now)));
    assert!(periods.iter().any(|it| it.begin > now));
    assert_eq!(ends(0, 10), 3);
    let stocks: BTreeSet<_> = rewards.iter().filter_map(|it| it.max_available_units).collect();
    assert_eq!(stocks, BTreeSet::from([3, 25, 40, 60, 150, 500]));
    assert!(rewards.iter().filter(|it| it.kind == RewardKind::Welcome).all(|it| it.points == 0));
    assert_eq!(rewards.iter().map(|it| it.points).max(), Some(150));
    let marked = |is: fn(&catalogue_file::RewardRow) -> bool| rewards.iter().any(is);
    assert!(marked(|it| it.online) && marked(|it| it.for_kids) && marked(|it| it.sport));
    assert!(marked(|it| it.featured) && marked(|it| it.publication_period.is_some()));
}

#[test]
fn no_card_is_there_twice() {
    let mut seen = HashSet::new();
    for pass in world(20_000).passes() {
        for card in cards(&pass) {
            assert_eq!(card.to_string().parse(), Ok(card.clone()));
            assert!(seen.insert(card.to_string()), "{card}");
        }
    }
}

/// Cards of the largest world, without the rest of it, for other seeds too.
#[test]
fn numbers_do_not_meet_in_the_largest_world() {
    use numbers::{Generation, Numbers};

    for seed in [0, 1, u64::MAX] {
        let numbers = Numbers::of(seed);
        let mut chips = HashSet::new();
        let mut replaced = 0;
        for place in 0..MAX_PASSES {
            assert!(chips.insert(numbers.chip(place, Generation::Current)));
            if numbers.was_replaced(place) {
                replaced += 1;
                assert!(chips.insert(numbers.chip(place, Generation::Replaced)));
            }
        }
        assert!((15_000..16_500).contains(&replaced), "{replaced}");
        // The dearer ones, every seventh.
        let mut printed = HashSet::new();
        for place in (0..MAX_PASSES).step_by(7) {
            let random = &mut Stream::Pass(place).random(seed);
            assert!(printed.insert(numbers.museumpass(place, random).to_string()));
            let region = places::Region::Gent;
            let number = |generation| numbers.uitpas(place, region, false, generation).to_string();
            assert!(printed.insert(number(Generation::Current)));
            if numbers.was_replaced(place) {
                assert!(printed.insert(number(Generation::Replaced)));
            }
        }
    }
}

#[test]
fn the_programmes_are_there_in_their_parts() {
    let mut counts = BTreeMap::<_, i32>::new();
    for pass in generated(20_000) {
        let what = match (pass.card_status, pass.programme) {
            (CardStatus::LocalStock, _) => "in stock",
            (_, Programme::Uitpas) => "UiTPAS",
            (_, Programme::UitpasGroup) => "group",
            (_, Programme::Museumpass) => "museumPASS",
            (_, Programme::External) => "external",
        };
        *counts.entry(what).or_insert(0) += 1;
        if matches!(pass.card_status, CardStatus::LocalStock | CardStatus::Provisioned) {
            assert!(pass.memberships.is_empty() && pass.holder.is_none() && pass.points == 0);
        }
    }
    for (what, percent) in [("UiTPAS", 80), ("group", 2), ("museumPASS", 16), ("in stock", 2)] {
        let expected = percent * 200;
        let tolerated = expected / 20 + 40;
        assert!((counts[what] - expected).abs() < tolerated, "{counts:?}");
    }
}

fn standing(membership: &MembershipRow) -> SocialTariff {
    membership.social_tariff.as_ref().map_or(SocialTariff::None, |row| {
        let right = SocialTariffRight {
            ends: day_number(row.end_date),
            suspended_until: row.suspended_until_date.map(day_number),
        };
        right.on(world(0).today)
    })
}

#[test]
fn every_kind_of_status_and_right_occurs_among_two_thousand() {
    let passes: Vec<_> = generated(2_000).collect();
    let any = |is: &dyn Fn(&PassRow) -> bool| passes.iter().any(is);
    for status in [
        CardStatus::Provisioned,
        CardStatus::LocalStock,
        CardStatus::Active,
        CardStatus::Blocked,
        CardStatus::Deleted,
    ] {
        assert!(any(&|it| it.card_status == status), "{status:?}");
    }
    for status in [HolderStatus::Registered, HolderStatus::Unregistered, HolderStatus::Blocked] {
        for programme in [Programme::Uitpas, Programme::Museumpass] {
            assert!(
                any(&|it| it.programme == programme && it.holder_status == status),
                "{status:?}"
            );
        }
    }
    for right in [
        SocialTariff::None,
        SocialTariff::Active,
        SocialTariff::Grace,
        SocialTariff::Expired,
        SocialTariff::Suspended,
    ] {
        assert!(any(&|it| it.memberships.first().is_some_and(|first| standing(first) == right)));
    }
    let elsewhere = |it: &PassRow| {
        let rights: Vec<_> = it.memberships.iter().map(standing).collect();
        rights == [SocialTariff::None, SocialTariff::Active]
    };
    assert!(any(&elsewhere));
    let membership = |is: fn(&MembershipRow) -> bool| any(&|it| it.memberships.iter().any(is));
    let today = world(0).today;
    assert!(membership(|it| it.status == MembershipStatus::Blocked));
    assert!(membership(|it| it.suspended_until_date.is_some()));
    assert!(any(&|it| it.memberships.iter().any(|it| it.end_date.is_some_and(|end| end < today))));
    assert!(any(&|it| it.subscription_end_date.is_some_and(|end| end < today)));
    for subscription in [SubscriptionRow::Standard, SubscriptionRow::Reduced] {
        assert!(any(&|it| it.subscription == Some(subscription)));
    }
    for points in [0..1, 1..50, 50..150, 150..401] {
        assert!(any(&|it| it.memberships.len() == 1 && points.contains(&it.points)));
    }
    assert!(any(&|it| it.programme == Programme::Uitpas && it.chip_number.is_none()));
    assert!(any(&|it| !it.coupons.is_empty()) && any(&|it| !it.earlier_cards.is_empty()));
}

#[test]
fn about_one_in_five_has_a_right_and_the_number_mostly_tells_it() {
    let (mut members, mut rights, mut told) = (0, 0, 0);
    for pass in generated(20_000).filter(|it| it.programme == Programme::Uitpas) {
        if pass.memberships.is_empty() {
            continue;
        }
        let right = pass.memberships[0].social_tariff.is_some();
        let says = pass.uitpas_number.is_some_and(|it| it.issued_with_social_tariff());
        members += 1;
        rights += i32::from(pass.memberships.iter().any(|it| it.social_tariff.is_some()));
        told += i32::from(says);
        assert!(right || !says);
    }
    assert!((rights * 100 / members - 18).abs() <= 1, "{rights} of {members}");
    assert!(told < rights && told > rights * 3 / 4, "{told} of {rights}");
}

#[test]
fn nobody_in_here_lives_and_there_are_as_many_holders_in_a_world_of_any_size() {
    let of = |passes| generated(passes).filter_map(|it| Some((it.programme, it.holder?)));
    assert_eq!(of(20_000).count(), 60);
    let mut names = HashSet::new();
    let mut pictures = HashSet::new();
    for (programme, holder) in of(2_000) {
        let (first, last) = holder.name.split_once(' ').unwrap();
        assert!(holders::FIRST_NAMES.contains(&first) && holders::SURNAMES.contains(&last));
        assert!(names.insert(holder.name.clone()), "{}", holder.name);
        let born = holder.date_of_birth.unwrap();
        assert!((Date::constant(1930, 1, 1)..world(0).today).contains(&born));
        assert_eq!(holder.picture.is_some(), programme == Programme::Museumpass);
        pictures.extend(holder.picture);
    }
    assert_eq!((names.len(), pictures.len()), (60, 40));
}

#[test]
fn pictures_are_small_png_files() {
    for picture in generated(2_000).filter_map(|it| it.holder?.picture) {
        let file = BASE64.decode(picture.as_bytes()).unwrap();
        assert!(file.len() <= 12 * 1024, "{}", file.len());
        let mut reader = png::Decoder::new(io::Cursor::new(&file)).read_info().unwrap();
        assert_eq!(reader.info().size(), portrait::SIZE);
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
    }
}
