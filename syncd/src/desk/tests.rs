//! A desk that has never seen its hub.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::fs;
use std::sync::Arc;

use crdt_model::catalogue::{Activity, PassRecord, Programme};
use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId, RewardId};
use crdt_model::stock::{GrantId, GrantedUnits, Units};
use crdt_model::time::{UnixMillis, day_number};
use hardware::card::Speaks;
use sync_protocol::desk::DeskEvent;

use super::*;
use crate::links::Peer;
use desk_api::types::{CardCheckRequest, Health, HubLink, Trouble};

const DAY: i64 = 86_400_000;

pub(super) fn desk(folder: &std::path::Path) -> Desk {
    let folder = DeskFolder::new(folder).with_marks(folder.join("marks"));
    let enrolment = Enrolment {
        venue: "museum-de-reede".parse().unwrap(),
        venue_name: "Museum De Reede".to_owned(),
        desk_name: "Balie 1".to_owned(),
        time_zone: "Europe/Brussels".to_owned(),
        hub_addresses: Vec::new(),
        hub_key: [1; 32],
        lookup_key: [2; 32],
        request_key: None,
    };
    enrolment.write(&folder).unwrap();
    opened(folder.root(), 1)
}

pub(super) fn opened(folder: &std::path::Path, epoch: u32) -> Desk {
    let folder = DeskFolder::new(folder).with_marks(folder.join("marks"));
    Desk::open(folder, epoch, Arc::new(service::surroundings::System)).unwrap().0
}

/// This computer's clocks.
pub(super) fn read_clocks() -> Reading {
    super::time::read(&service::surroundings::System)
}

/// An activity that was over in 1980.
fn closed_activity() -> Activity {
    let venue = "museum-de-reede".parse().unwrap();
    let mut activity = Activity::new(ActivityId(1), "event-1", "Festiviteit", venue);
    activity.opening_hours.last_day = Some(3653);
    activity
}

pub(super) fn check_in(at: UnixMillis) -> Entry {
    let fact = Fact::CheckIn { activity: ActivityId(1), points: 1 };
    Entry { at, subject: Subject::Pass(PassId(7)), fact }
}

/// Whoever hands in a device that plays a new card gets the keys of the number that it shows: so a desk that
/// does not know which numbers are those of passes gives out none.
#[test]
fn a_card_is_not_made_where_the_pass_list_cannot_tell_whether_its_number_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = UnixMillis(1_795_000_000_000);
    let refused = |desk: &mut Desk, again, wall| {
        let chip_number = "04784CDAEE3880".parse().unwrap();
        let request =
            CardCheckRequest { chip_number, speaks: Some(Speaks::Type2), make: true, again };
        desk.begin_card_check(&request, wall).failed.unwrap()
    };
    assert!(refused(&mut desk, false, now).contains("pass list"), "it was never there");
    // This desk was given no keys, so that is as far as it goes.
    assert!(refused(&mut desk, true, now).contains("no keys"), "somebody knows the card");
    desk.knowledge.store.set_cursor(Cursor::CatalogueAt, u64::try_from(now.0).unwrap()).unwrap();
    assert!(refused(&mut desk, false, now.plus(DAY - 1)).contains("no keys"));
    assert!(refused(&mut desk, false, now.plus(DAY)).contains("pass list"), "a day old");
    desk.knowledge.store.flush().unwrap();
    drop(desk);
    fs::remove_file(folder.path().join("store/1/db")).unwrap();
    let mut desk = opened(folder.path(), 2);
    assert!(matches!(desk.status().store, Health::Trouble(Trouble::PassListDamaged { .. })));
    assert!(refused(&mut desk, false, now).contains("pass list"), "not whole");
}

/// Invariant 10: with the clock wrong the desk goes on, and once it is right it is right.
#[test]
fn a_clock_that_was_ahead_for_a_moment_does_not_take_the_desk_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = read_clocks().wall;
    let ahead = now.plus(400 * DAY);
    let written = |desk: &mut Desk, wall| {
        let at = desk.next_at(wall);
        (at, desk.append(check_in(at)).unwrap())
    };
    let (_, before) = written(&mut desk, now);
    assert_eq!(written(&mut desk, ahead).0, ahead);
    // Put right: entries are of today again, in a list of their own, for within one time never goes back.
    let (at, place) = written(&mut desk, now.plus(60_000));
    assert_eq!(at, now.plus(60_000));
    assert_eq!((place.index, place.writer.device), (0, before.writer.device));
    assert_ne!(place.writer, before.writer);
    // A clock that wanders less than the policy tolerates moves nothing.
    let (again, next) = written(&mut desk, now);
    assert_eq!((again, next.writer, next.index), (at.plus(1), place.writer, 1));
    drop(desk);
    let desk = opened(folder.path(), 2);
    assert_eq!(desk.next_at(now.plus(2 * 60_000)), now.plus(2 * 60_000), "also after a restart");
}

/// Invariants 3 and 6: what the hub has folded long ago is not added to its points once more.
#[test]
fn what_the_hub_folded_long_ago_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = read_clocks().wall;
    let place = desk.append(check_in(now.plus(-60 * DAY))).unwrap();
    let first = day_number(desk.calendar.day(now)) - 41;
    let record = PassRecord { folded_from: first, ..PassRecord::new(PassId(7), Programme::Uitpas) };
    assert_eq!(desk.account(&record, None).points(), 1, "the hub does not have it yet");
    desk.book.acknowledged.insert((place.day, place.writer), 1);
    assert_eq!(desk.account(&record, None).points(), 0, "it is in the hub's account");
}

/// Invariants 2 and 5: nobody knows what a lost entry handed out, however often the desk is started.
#[test]
fn a_desk_that_lost_a_part_of_its_ledgers_knows_it_until_the_hub_has_shared_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = read_clocks().wall;
    let places: Vec<_> = (0..3).map(|n| desk.append(check_in(now.plus(n))).unwrap()).collect();
    let grant = |grant| GrantedUnits {
        grant: GrantId(grant),
        reward: RewardId(1),
        units: Units { first: 0, count: 20 },
    };
    desk.granted(vec![grant(1)]).unwrap();
    assert_eq!(desk.units.holding.left(RewardId(1)), 20);
    desk.knowledge.store.set_cursor(Cursor::Venue, 9).unwrap();
    let file = folder.path().join(format!("ledger/museum-de-reede/{}.automerge", places[0].day));
    drop(desk);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 8..middle + 8].fill(0xff);
    fs::write(&file, bytes).unwrap();
    for start in 2..5 {
        let desk = opened(folder.path(), start);
        assert!(desk.book.files.is_incomplete(), "also after another start");
        assert_eq!(
            desk.knowledge.store.cursor(Cursor::Venue).unwrap(),
            0,
            "all is asked for again"
        );
        assert!(desk.wanted_units().is_empty() && desk.closing_statements().is_empty());
        assert_eq!(desk.units.holding.left(RewardId(1)), 0);
    }
    let mut desk = opened(folder.path(), 5);
    let (_, mut session) = desk.begin_session(Peer::Hub, read_clocks());
    session.welcomed(9);
    desk.granted(vec![grant(1)]).unwrap();
    session.grants_listed();
    desk.knowledge.store.set_cursor(Cursor::Venue, 8).unwrap();
    desk.note_whole(&session);
    assert!(desk.book.files.is_incomplete(), "something is still on its way");
    desk.knowledge.store.set_cursor(Cursor::Venue, 9).unwrap();
    let (_, mut session) = desk.begin_session(Peer::Hub, read_clocks());
    session.welcomed(9);
    desk.note_whole(&session);
    assert!(desk.book.files.is_incomplete(), "the hub may know of grants that this disk forgot");
    desk.granted(vec![grant(1)]).unwrap();
    session.grants_listed();
    desk.note_whole(&session);
    drop(desk);
    let mut desk = opened(folder.path(), 6);
    assert!(!desk.book.files.is_incomplete());
    // What the hub never had is gone, and with it what that handed out of the grant.
    desk.granted(vec![grant(1), grant(2)]).unwrap();
    assert_eq!(desk.units.holding.left(RewardId(1)), 20, "of the new one alone");
    desk.give_stock_back().unwrap();
    let stated: Vec<_> = desk.closing_statements().iter().map(|it| it.grant).collect();
    assert_eq!(stated, [GrantId(2)]);
}

/// Invariant 10: a computer without a battery wakes up in 1970. The hub's clock was later already.
#[test]
fn a_clock_that_is_behind_what_the_hub_said_does_not_take_entries_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = read_clocks().wall;
    desk.append(check_in(now.plus(1_000))).unwrap();
    desk.knowledge.store.set_cursor(Cursor::HubClock, u64::try_from(now.0).unwrap()).unwrap();
    drop(desk);
    let mut desk = opened(folder.path(), 2);
    let asleep = Reading { wall: UnixMillis(0), ..read_clocks() };
    let at = desk.look(asleep);
    assert!(at >= now.plus(1_000) && at < now.plus(60_000), "{at:?} {now:?}");
    assert!(desk.next_at(at) > now.plus(1_000));
    assert_eq!(
        desk.status().clock,
        Health::Trouble(Trouble::ClockImplausible { ahead: false }),
        "and it says so"
    );
    // Nobody knows for how long it was off: no list is fresh then, and no hour is outside opening hours.
    desk.knowledge.store.set_cursor(Cursor::CatalogueAt, u64::try_from(now.0).unwrap()).unwrap();
    assert_eq!(desk.catalogue_age(at), i64::MAX);
    desk.knowledge.activities = vec![closed_activity()];
    assert!(desk.activities()[0].open);
    let awake = desk.look(read_clocks());
    assert_eq!(desk.status().clock, Health::Fine);
    assert!(desk.catalogue_age(awake) < 60_000 && !desk.activities()[0].open);
}

/// A pass that was counted under tomorrow, for the clock was ahead, was counted today.
#[test]
fn what_was_written_while_the_clock_was_ahead_counts_on_the_day_on_which_it_was_put_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let right = desk.time.clock.latest();
    let reading = |desk: &Desk, off| {
        let clocks = read_clocks();
        assert!(desk.time.clock.latest().since(right) < 2 * DAY + 3_600_000);
        Reading { wall: clocks.wall.plus(off), ..clocks }
    };
    let ahead = reading(&desk, 2 * DAY);
    let at = desk.look(ahead);
    assert!(at.since(right) >= 2 * DAY, "without a hub the desk follows its clock");
    let place = desk.append(check_in(desk.next_at(at))).unwrap();
    let put_right = reading(&desk, 0);
    let now = desk.look(put_right);
    let entry = *desk.book.entry(&place).unwrap();
    assert_eq!(desk.counted_at(&place, &entry), now);
    // The list ends here, so what stands in it is never of a later day, also when that has come.
    desk.append(check_in(desk.next_at(now))).unwrap();
    let later = Reading { wall: put_right.wall.plus(3 * DAY), steady: put_right.steady };
    let steady = later.steady.plus(3 * 86_400_000);
    desk.look(Reading { steady, ..later });
    assert!(desk.counted_at(&place, &entry).since(now) < 60_000);
}

#[test]
fn a_list_that_is_shorter_than_what_the_hub_acknowledged_is_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let place = desk.append(check_in(read_clocks().wall)).unwrap();
    desk.knowledge.store.acknowledge(place.day, &place.writer, 1).unwrap();
    desk.knowledge.store.flush().unwrap();
    drop(desk);
    assert!(!opened(folder.path(), 2).book.files.is_incomplete());
    let ledgers = folder.path().join("ledger/museum-de-reede");
    fs::remove_file(ledgers.join(format!("{}.automerge", place.day))).unwrap();
    assert!(opened(folder.path(), 3).book.files.is_incomplete());
}

/// Invariant 5: what was handed out of a grant is not known, so nothing is, until the hub has shared all and it was kept.
#[test]
fn a_loss_that_is_noticed_while_the_desk_runs_stops_its_grants_until_what_the_hub_shares_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let units = Units { first: 0, count: 20 };
    let reward = RewardId(1);
    desk.granted(vec![GrantedUnits { grant: GrantId(1), reward, units }]).unwrap();
    assert_eq!(desk.units.holding.left(reward), 20);
    let other = Writer { epoch: 7, ..desk.book.writer };
    desk.knowledge
        .store
        .acknowledge(desk.calendar.day(desk.time.clock.latest()), &other, 3)
        .unwrap();
    desk.take_up_acknowledgements();
    assert!(desk.book.files.is_incomplete() && desk.salvaged.asked_anew);
    assert_eq!(desk.units.holding.left(reward), 0);
    let said_all = |desk: &mut Desk| {
        let (_, mut session) = desk.begin_session(Peer::Hub, read_clocks());
        session.welcomed(9);
        session.grants_listed();
        session
    };
    let session = said_all(&mut desk);
    desk.knowledge.store.set_cursor(Cursor::Venue, 9).unwrap();
    desk.stop_keeping();
    desk.note_whole(&session);
    assert!(desk.book.files.is_incomplete(), "nothing of this session was kept");
    let session = said_all(&mut desk);
    desk.salvaged.asked_anew = false;
    desk.note_whole(&session);
    assert!(desk.book.files.is_incomplete(), "the hub was not asked for all");
    desk.salvaged.asked_anew = true;
    desk.note_whole(&session);
    assert!(!desk.book.files.is_incomplete());
}

/// Invariants 2 and 3: it stands here as a copy, and at the hub where it stood first.
#[test]
fn an_entry_that_the_hub_has_counts_once_where_this_disk_has_a_copy_of_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let yesterday = read_clocks().wall.plus(-DAY);
    let places: Vec<_> =
        (0..3).map(|n| desk.append(check_in(yesterday.plus(n))).unwrap()).collect();
    desk.knowledge.store.acknowledge(places[0].day, &places[0].writer, 3).unwrap();
    desk.knowledge.store.flush().unwrap();
    let ledgers = folder.path().join("ledger/museum-de-reede");
    let file = ledgers.join(format!("{}.automerge", places[0].day));
    drop(desk);
    let mut bytes = fs::read(&file).unwrap();
    let hole = crdt_model::chunk::walk(&bytes).chunks[1].range.clone();
    bytes[hole.start + 20..hole.end].fill(0xff);
    fs::write(&file, bytes).unwrap();
    let desk = opened(folder.path(), 2);
    assert_eq!(desk.book.acknowledged.get(&(places[0].day, places[0].writer)), Some(&1));
    let record = PassRecord {
        folded_from: day_number(places[0].day) + 1,
        ..PassRecord::new(PassId(7), Programme::Uitpas)
    };
    assert_eq!(desk.account(&record, None).points(), 0, "all three are in the hub's account");
}

#[test]
fn what_a_restored_hub_had_lost_is_counted_when_it_has_said_all_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = read_clocks();
    let places: Vec<_> = (0..3).map(|n| desk.append(check_in(now.wall.plus(n))).unwrap()).collect();
    let (day, writer) = (places[0].day, places[0].writer);
    let (_, mut session) = desk.begin_session(Peer::Hub, now);
    let acknowledged = |sequence| DeskEvent::Acknowledged { day, writer, sequence };
    desk.take_up(&mut session, vec![acknowledged(3), DeskEvent::Compared], now).unwrap();
    desk.take_up(&mut session, vec![DeskEvent::AcknowledgementsLost], now).unwrap();
    // An entry that was sent right behind the hello.
    desk.take_up(&mut session, vec![acknowledged(1)], now).unwrap();
    assert_eq!(desk.status().beside, []);
    desk.take_up(&mut session, vec![acknowledged(2), DeskEvent::Compared], now).unwrap();
    assert_eq!(desk.status().beside, [Trouble::HubRestored { entries: 1 }]);
}

/// A statement that is on the disk is made, also where an operator froze the grant before it could be.
#[test]
fn a_closing_statement_about_a_frozen_grant_is_kept_until_the_hub_has_heard_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let grant = |count| GrantedUnits {
        grant: GrantId(5),
        reward: RewardId(1),
        units: Units { first: 0, count },
    };
    desk.granted(vec![grant(20)]).unwrap();
    desk.give_stock_back().unwrap();
    desk.granted(vec![grant(0)]).unwrap();
    let stated =
        |desk: &Desk| desk.closing_statements().iter().map(|it| it.grant).collect::<Vec<_>>();
    assert_eq!(stated(&desk), [GrantId(5)], "it is frozen, and not settled");
    drop(desk);
    let mut desk = opened(folder.path(), 2);
    desk.granted(vec![grant(0)]).unwrap();
    assert_eq!(stated(&desk), [GrantId(5)], "also after a restart");
    desk.granted(Vec::new()).unwrap();
    assert_eq!(stated(&desk), [], "the hub has settled it");
}

/// What the hub said stands for as long as its own link does, whatever becomes of a link to a neighbour.
#[test]
fn a_link_to_a_neighbour_takes_nothing_back_that_the_hub_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = read_clocks();
    let neighbour = Peer::Neighbour(crdt_model::ids::DeviceId([9; 16]));
    let offline = || HubLink::Offline { why: "the line broke".to_owned() };
    let (_, mut hub) = desk.begin_session(Peer::Hub, now);
    desk.set_link(Peer::Hub, HubLink::Connected, now.wall);
    desk.links.confirm(Peer::Hub);
    let none_left = vec![RewardId(1)];
    let answered =
        DeskEvent::Granted { grants: Vec::new(), answered: none_left.clone(), none_left };
    desk.take_up(&mut hub, vec![answered, DeskEvent::UsedTwice(true)], now).unwrap();
    assert!(desk.want_now(RewardId(2)));
    let since = desk.status().hub_since;

    let (_, mut other) = desk.begin_session(neighbour, now);
    desk.set_link(neighbour, HubLink::Connected, now.wall.plus(5));
    desk.take_up(&mut other, vec![DeskEvent::UsedTwice(false)], now).unwrap();
    desk.set_link(neighbour, offline(), now.wall.plus(6));
    let status = desk.status();
    assert_eq!((status.hub, status.hub_since), (HubLink::Connected, since));
    assert_eq!(status.beside, [Trouble::NameUsedTwice]);
    assert_eq!(desk.catalogue_age(now.wall), 0, "the hub still confirms it");
    assert!(desk.links.none_left().contains(&RewardId(1)));
    assert!(desk.waits_for_unit(RewardId(2)) && desk.keeps(Peer::Hub));

    desk.set_link(Peer::Hub, offline(), now.wall.plus(7));
    assert!(desk.links.none_left().is_empty() && !desk.waits_for_unit(RewardId(2)));
    assert!(desk.catalogue_age(now.wall.plus(20)) > 0);
}

#[test]
fn what_is_to_be_sent_wakes_every_link() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let (mut hub, mut neighbour) = (desk.wakes(), desk.wakes());
    desk.append(check_in(read_clocks().wall)).unwrap();
    for link in [&mut hub, &mut neighbour] {
        assert!(link.has_changed().unwrap());
        link.mark_unchanged();
        assert!(!link.has_changed().unwrap());
    }
}

#[test]
fn a_part_of_the_daemon_that_failed_is_a_part_of_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let failed = |in_a_row| service::tasks::Failed {
        times: 7,
        in_a_row,
        at: std::time::Instant::now(),
        why: "no".to_owned(),
    };
    desk.note_failures([("link", failed(1)), ("desk-api", failed(5))].into());
    let (fails, restarted) = ("desk-api".to_owned(), "link".to_owned());
    assert_eq!(
        desk.status().beside,
        [Trouble::PartFails { part: fails }, Trouble::PartRestarted { part: restarted }]
    );
}

/// The task is started again, but until then nothing is sent, and the status does not say that it is.
#[tokio::test]
async fn when_the_link_dies_the_status_does_not_say_that_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    desk.set_link(Peer::Hub, HubLink::Connected, UnixMillis(1));
    let desk = Arc::new(std::sync::Mutex::new(desk));
    let dies = crate::hub_link::offline_at_the_end(&desk, async { panic!("an error of ours") });
    let died = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(dies)).await;
    assert!(died.is_err(), "the panic goes on to whoever supervises the task");
    let status = crate::hub_link::lock(&desk).status();
    assert!(matches!(status.hub, HubLink::Offline { .. }), "{:?}", status.hub);
}
