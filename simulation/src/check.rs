//! What must hold in a world that has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::account::{Account, Placed, fold};
use crdt_model::catalogue::{CardStatus, CatalogueLimits, Item, ItemName, PassRecord};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::{DeviceId, Identification, PassId, Writer};
use crdt_model::receipt::Receipt;
use crdt_model::time::{UnixMillis, date_of_day_number};
use desk_api::types::RequestState;
use hub::db::{Db, sql};
use rand::seq::SliceRandom;
use sync_protocol::catalogue::MAX_PAGE_ITEMS;
use sync_protocol::desk::DeskView;
use sync_protocol::notice::Notice;
use sync_protocol::request::RequestId;

use crate::desk::has;
use crate::hub::{hub_public_key, venue};
use crate::template::{self, PASSES};
use crate::world::World;

/// How many entries of a list the hub holds.
pub(crate) async fn held(db: &Db, day: i32, writer: Writer) -> u64 {
    let select = "SELECT sequence AS found FROM list WHERE venue = $1 AND day = $2 AND writer = $3";
    let select = sql(select).bind(venue().as_str()).bind(day).bind(writer.to_bytes());
    db.read().await.unwrap().value(select).await.unwrap().unwrap_or_default()
}

/// All entries that the hub holds, as they are folded.
async fn entries(db: &Db) -> Vec<Placed> {
    let select = "SELECT day, writer, idx, bytes, received, not_before
         FROM entry JOIN list ON list.id = entry.list
         ORDER BY day, writer, idx";
    let rows = db.read().await.unwrap().all(sql(select)).await.unwrap();
    let placed = rows.iter().map(|row| {
        let day = date_of_day_number(row.get("day").unwrap()).unwrap();
        let writer = Writer::from_bytes(row.bytes("writer").unwrap()).unwrap();
        let index = row.get("idx").unwrap();
        let entry = Entry::decode(row.bytes("bytes").unwrap(), day, &writer).unwrap();
        let not_before = row.get::<Option<i64>>("not_before").unwrap().map(UnixMillis);
        let received = row.get::<Option<i64>>("received").unwrap();
        let receipt = received.map(|at| Receipt { at: UnixMillis(at), not_before });
        let place = EntryRef { day, writer, index };
        let venue = venue().clone();
        Placed { venue, place, first_place: None, entry, included: false, receipt }
    });
    placed.collect()
}

/// The hub's catalogue.
async fn items(db: &Db) -> BTreeMap<ItemName, Item> {
    let (mut from, mut all) = (0, BTreeMap::new());
    loop {
        let mut reading = db.read().await.unwrap();
        let stretch = hub::catalogue::behind(&mut reading, venue(), from, MAX_PAGE_ITEMS).await;
        let stretch = stretch.unwrap();
        all.extend(stretch.items.into_iter().map(|it| (it.item.name(), it.item)));
        from = stretch.to;
        if stretch.last {
            return all;
        }
    }
}

/// How a desk that does not know this pass names it.
fn chip_of(pass: u64) -> Subject {
    match template::chip(pass) {
        Identification::Chip(chip) => Subject::Chip(chip),
        other => panic!("{other:?} is no chip"),
    }
}

/// How many entries of a device the hub holds.
pub(crate) async fn held_of(db: &Db, device: DeviceId) -> usize {
    entries(db).await.iter().filter(|it| it.place.writer.device == device).count()
}

/// The places of all entries that the hub holds.
pub(crate) async fn places(db: &Db) -> Vec<EntryRef> {
    entries(db).await.into_iter().map(|it| it.place).collect()
}

/// The passes that the hub has blocked, of those that desks see tapped.
pub(crate) async fn blocked(db: &Db) -> BTreeSet<u64> {
    let blocked = items(db).await.into_values().filter_map(|item| match item {
        Item::Pass(record) if record.pass.0 <= PASSES => {
            let is = record.cards.iter().any(|card| card.status == CardStatus::Blocked);
            is.then_some(record.pass.0)
        }
        _ => None,
    });
    blocked.collect()
}

/// The catalogue is on its way to a desk, and whoever was blocked when it called is refused there already.
pub(crate) fn denials(world: &mut World, desk: usize) {
    for pass in world.denied[desk].clone() {
        let entry = world.desks[desk].tap(&template::chip(pass).to_string());
        assert_eq!(entry, None, "pass {pass} is blocked, and the catalogue comes first");
        *world.counts.entry("blocked passes refused ahead of the catalogue").or_default() += 1;
    }
}

/// The hub's own device, which writes corrections.
fn hub_device() -> DeviceId {
    DeviceId::of_public_key(hub_public_key())
}

pub(crate) async fn all(world: &mut World) {
    let db = world.hub.db.clone();
    let placed = entries(&db).await;
    let at_hub: BTreeMap<EntryRef, Entry> = placed.iter().map(|it| (it.place, it.entry)).collect();
    assert_eq!(at_hub.len(), placed.len());
    let held: BTreeSet<EntryRef> = at_hub.keys().copied().collect();
    let revoked = world.revoked.clone();
    let living = || world.desks.iter().enumerate().filter(|(place, _)| !revoked.contains(place));
    let must: BTreeSet<EntryRef> = living().flat_map(|(_, desk)| &desk.shown).copied().collect();
    let may: BTreeSet<EntryRef> =
        world.desks.iter().flat_map(|desk| &desk.ever_shown).copied().collect();
    assert_eq!(must.difference(&held).next(), None, "invariant 1: shown, and not at the hub");
    let strange = held.difference(&may).find(|it| it.writer.device != hub_device());
    assert_eq!(strange, None, "invariant 2: at the hub, and never shown");
    check_times(&at_hub);
    let keys = hub::card_keys::version(&db).await.unwrap();
    for (_, desk) in living() {
        let real = desk.real().expect("a desk starts");
        assert_eq!(real.pending_count(), 0, "pending 0");
        assert_eq!(real.card_keys_version(), keys, "the card keys are the hub's");
        let out = |it: &EntryRef| world.put_back && world.is_of_a_revoked(it.writer);
        let lacking = held.iter().find(|it| !has(real, it) && !out(it));
        assert_eq!(lacking, None, "invariant 2: everybody holds the union");
        let own = real.own_lists().into_iter().map(|list| (list.day, list.writer));
        let others = real.others().into_iter().map(|list| (list.day, list.writer));
        for (day, writer) in own.chain(others) {
            let here = real.entries(day, &writer, 0, usize::MAX);
            for (index, bytes) in (0..).zip(here) {
                let place = EntryRef { day, writer, index };
                let there = at_hub.get(&place).map(|it| it.encode(day, &writer));
                assert!(there == Some(bytes) || out(&place), "invariant 2: {place} differs");
            }
        }
        for request in real.requests() {
            assert!(request.state != RequestState::Waiting, "request {} is answered", request.id);
        }
    }
    let items = items(&db).await;
    let records = items.values().filter_map(|it| match it {
        Item::Pass(record) => Some(record.pass.0),
        _ => None,
    });
    let passes: Vec<u64> = records.filter(|pass| *pass <= PASSES).collect();
    check_requests(world, &db).await;
    check_accounts(world, &db, &passes, placed, &items).await;
    check_units(world, &db, &at_hub).await;
    check_revoked(world, &db).await;
}

/// Within a list time never goes backwards: a clock that is put back begins another one.
fn check_times(at_hub: &BTreeMap<EntryRef, Entry>) {
    for ((before, one), (place, other)) in at_hub.iter().zip(at_hub.iter().skip(1)) {
        let same = (before.day, before.writer) == (place.day, place.writer);
        assert!(!same || one.at <= other.at, "{place} is of before {before}");
    }
}

/// What a desk was told that it is done, the hub knows of, also after a restore.
async fn check_requests(world: &World, db: &Db) {
    let rows = db.read().await.unwrap().all(sql("SELECT id FROM request")).await.unwrap();
    let done = rows.iter().map(|it| RequestId(it.get("id").unwrap()).to_string());
    let done: BTreeSet<String> = done.collect();
    for (place, desk) in world.desks.iter().enumerate() {
        // What is known to remain: a hub that was put back journal and all, and a desk that lost what it had heard.
        let forgotten = world.all_put_back && desk.lost_store;
        if !world.revoked.contains(&place) && !forgotten {
            for request in desk.real().into_iter().flat_map(syncd::desk::Desk::requests) {
                assert!(done.contains(&request.id), "request {} is done", request.id);
            }
        }
    }
}

/// What the desks keep of the catalogue is the hub's, item by item. They are ended for that.
pub(crate) async fn stores(world: &mut World) {
    let items = items(&world.hub.db).await;
    let select = sql("SELECT pass, sealed FROM holder ORDER BY pass");
    let rows = world.hub.db.read().await.unwrap().all(select).await.unwrap();
    let sealed: Vec<(PassId, SealedHolder)> = rows
        .iter()
        .map(|row| {
            let sealed = minicbor::decode(row.bytes("sealed").unwrap()).unwrap();
            (PassId(row.get("pass").unwrap()), sealed)
        })
        .collect();
    for place in 0..world.desks.len() {
        if world.revoked.contains(&place) {
            continue;
        }
        let store = world.desks[place].ended();
        let mut has: BTreeMap<ItemName, Item> = BTreeMap::new();
        let offers = store.activities().into_iter().map(Item::Activity);
        let offers = offers.chain(store.rewards().into_iter().map(Item::Reward));
        has.extend(offers.map(|item| (item.name(), item)));
        let passes = items.keys().filter_map(|name| match name {
            ItemName::Pass(pass) => store.pass(*pass).map(Item::Pass),
            _ => None,
        });
        has.extend(passes.map(|item| (item.name(), item)));
        has.insert(ItemName::Policy, Item::Policy(store.policy()));
        for (name, item) in &items {
            assert_eq!(has.get(name), Some(item), "{name:?}: the catalogue is the hub's");
        }
        for name in has.keys().filter(|name| **name != ItemName::Policy) {
            assert!(items.contains_key(name), "{name:?} is gone from the hub");
        }
        let passes = items.keys().filter(|name| matches!(name, ItemName::Pass(_))).count() as u64;
        assert_eq!(store.passes(), passes, "the catalogue has no other passes");
        for (pass, sealed) in &sealed {
            assert_eq!(store.holder(*pass).as_ref(), Some(sealed), "the sealed part of {pass:?}");
        }
    }
}

/// Invariant 3: what the hub kept as it went along is what the set folds to, in any order.
async fn check_accounts(
    world: &mut World,
    db: &Db,
    passes: &[u64],
    mut placed: Vec<Placed>,
    items: &BTreeMap<ItemName, Item>,
) {
    placed.shuffle(&mut world.random);
    let mut limits = CatalogueLimits::default();
    for item in items.values() {
        match item {
            Item::Activity(it) => limits.add_activities([it]),
            Item::Reward(it) => limits.add_rewards([it]),
            _ => {}
        }
    }
    let calendar = hub::ledgers::calendar().unwrap();
    let opening = Account { earned: template::POINTS, ..Account::default() };
    for pass in passes {
        let select = sql("SELECT record AS found FROM pass WHERE id = $1").bind(*pass);
        let record: Option<Vec<u8>> = db.read().await.unwrap().value(select).await.unwrap();
        let record: PassRecord = minicbor::decode(&record.unwrap()).unwrap();
        // An entry of a desk that did not know the pass names its chip.
        let subject = Subject::Pass(record.pass);
        let chip = chip_of(*pass);
        let own = placed.iter().filter(|it| [subject, chip].contains(&it.entry.subject));
        let own = own.cloned().map(|it| Placed { entry: Entry { subject, ..it.entry }, ..it });
        let folded = fold(&opening, own, &limits.of(&record), &calendar);
        assert_eq!(record.account, folded.account, "invariant 3: {subject:?}");
    }
}

/// Invariant 5.
async fn check_units(world: &mut World, db: &Db, at_hub: &BTreeMap<EntryRef, Entry>) {
    let voided: BTreeSet<EntryRef> = at_hub
        .values()
        .filter_map(|it| match it.fact {
            Fact::Void { target } => Some(target),
            _ => None,
        })
        .collect();
    let mut by_unit: BTreeMap<u32, Vec<DeviceId>> = BTreeMap::new();
    for (place, entry) in at_hub.iter().filter(|(place, _)| !voided.contains(place)) {
        if let Fact::Redemption { unit: Some(unit), .. } = entry.fact {
            by_unit.entry(unit.unit).or_default().push(place.writer.device);
        }
    }
    let restored: BTreeSet<DeviceId> =
        world.desks.iter().filter(|desk| desk.was_restored).map(|desk| desk.key.device()).collect();
    for (unit, devices) in by_unit.iter().filter(|(_, devices)| devices.len() > 1) {
        // What is known to remain: a desk whose disk was put back, and a hub that was put back journal and all before
        // the desk that holds the unit came.
        let known = world.all_put_back || devices.iter().any(|it| restored.contains(it));
        assert!(known, "invariant 5: unit {unit} was handed out by each of {devices:?}");
        *world.counts.entry("units handed out twice, as is known to remain").or_default() += 1;
    }
    for stock in hub::stock::report(db).await.unwrap() {
        let sum = stock.active + stock.used + stock.free + stock.written_off;
        if by_unit.values().all(|devices| devices.len() == 1) && !world.all_put_back {
            assert_eq!(sum, stock.total, "invariant 5: the stock adds up");
        }
    }
}

/// Invariant 7: a revoked desk stays out, also of a hub that was put back.
async fn check_revoked(world: &World, db: &Db) {
    for (device, held) in &world.held_when_revoked {
        let now = held_of(db, *device).await;
        assert!(world.put_back || now == *held, "invariant 7: a revoked desk added something");
    }
    for place in &world.revoked {
        let device = world.desks[*place].key.device();
        let living = world.desks.iter().enumerate().filter(|(it, _)| !world.revoked.contains(it));
        let mut notices = living.filter_map(|(_, desk)| desk.real()).flat_map(DeskView::notices);
        let known = notices.any(|signed| {
            let notice = signed.open(hub_public_key()).unwrap();
            matches!(notice, Notice::Revoked { .. }) && notice.device() == Some(device)
        });
        if known || !world.all_put_back {
            let enrolled = hub::registry::is_enrolled(db, device).await.unwrap();
            assert!(!enrolled, "invariant 7: a revoked desk is back");
        }
    }
}
