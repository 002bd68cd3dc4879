//! A hub that was restored, as far as its desk sees it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use crdt_model::catalogue::{Item, PassRecord, Programme};
use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{DeviceId, PassId, RewardId};
use crdt_model::ledger::LedgerId;
use crdt_model::stock::{GrantId, GrantedUnits, Units};
use crdt_model::time::{UnixMillis, day_number};
use sync_protocol::desk::DeskSession;
use sync_protocol::frame::{FrameReader, frame};
use sync_protocol::message::{
    CataloguePage, DeskMessage, HoldersPage, HubMessage, ListPosition, PROTOCOL_VERSION,
    SealedPart, Share,
};
use sync_protocol::notice::Notice;
use sync_protocol::request::{RequestAnswer, RequestId, RequestKind, SealedRequest};
use sync_protocol::seal::{DeviceKey, HubKey};
use sync_protocol::version::Restored;
use sync_protocol::{batch, catalogue};

use super::*;
use crate::desk::tests::{check_in, desk, opened, read_clocks};
use crate::links::Session;
use desk_api::types::Trouble;

const BEFORE: Version = Version { run: 7, number: 0 };
const AFTER: Version = Version { run: 8, number: 10 };

fn welcome(run: Version, restored: Option<u64>, go_on: u64) -> HubMessage {
    HubMessage::Welcome(Welcome {
        protocol: PROTOCOL_VERSION,
        clock: read_clocks().wall.0,
        held: Vec::new(),
        lost: false,
        catalogue_version: 30,
        venue_version: 30,
        venue_name: "Museum De Reede".to_owned(),
        desk_name: "Balie 1".to_owned(),
        request_key: None,
        card_keys: None,
        beats: false,
        clock_doubtful: false,
        run: Some(run),
        go_on: Some(GoOn { catalogue: go_on, venue: go_on, holders: go_on, notices: go_on }),
        restored: restored.map(|common| Restored { common }),
    })
}

/// A desk in a session with a hub whose every word the test says.
struct Talk {
    session: DeskSession,
    heard: Session,
    reader: FrameReader,
}

impl Talk {
    fn begin(desk: &mut Desk, welcome: &HubMessage) -> Self {
        desk.set_hub_key(hub_key().public_key().try_into().unwrap());
        let (start, heard) = desk.begin_session(Peer::Hub, read_clocks());
        let session = DeskSession::start(&start, desk);
        let mut talk = Self { session, heard, reader: FrameReader::default() };
        talk.say(desk, welcome);
        talk
    }

    fn say(&mut self, desk: &mut Desk, message: &HubMessage) {
        let (events, outcome) = self.session.receive(&frame(&message.to_bytes()), desk);
        outcome.unwrap();
        desk.take_up(&mut self.heard, events, read_clocks()).unwrap();
    }

    /// All that the desk says until it has nothing to say.
    fn said(&mut self, desk: &Desk) -> Vec<DeskMessage> {
        while let Some(frame) = self.session.next_frame(desk) {
            self.reader.push(&frame);
        }
        let mut said = Vec::new();
        while let Some(contents) = self.reader.next_frame().unwrap() {
            said.push(DeskMessage::from_bytes(contents).unwrap());
        }
        said
    }
}

fn hub_key() -> HubKey {
    HubKey::from_seed(&[5; 32]).unwrap()
}

fn page(from: u64, to: u64, items: &[Item]) -> CataloguePage {
    let items = catalogue::pack(items);
    CataloguePage { from, to, last: true, items, stamp: None, again_done: false }
}

fn pass(n: u64) -> Item {
    Item::Pass(PassRecord::new(PassId(n), Programme::Uitpas))
}

/// Three entries of a desk that will not come back, under its seal.
fn neighbours_share(desk: &Desk, version: u64) -> Share {
    let key = DeviceKey::from_seed(&[3; 32]).unwrap();
    let writer = Writer { device: key.device(), epoch: 4 };
    let now = desk.time.clock.latest();
    let day = desk.calendar.day(now);
    let id = LedgerId { venue: desk.enrolment.venue.clone(), day };
    let mut ledger = Ledger::new(id.clone());
    for n in 0..3 {
        let extension = ledger.appended(writer, &check_in(now.plus(n))).unwrap();
        ledger.extend(&extension).unwrap();
    }
    let entries: Vec<Vec<u8>> = ledger.entry_bytes_of(&writer, 0).collect();
    let batch = Batch {
        day: day_number(day),
        writer: writer.into(),
        first: 1,
        entries: batch::pack(entries.iter().map(Vec::as_slice)).0,
        seal: key.seal(&id, &writer, &ledger.position(&writer)),
        public_key: key.public_key().to_vec(),
    };
    Share { batch, venue_version: version }
}

const GRANT: GrantedUnits =
    GrantedUnits { grant: GrantId(4), reward: RewardId(2), units: Units { first: 3, count: 5 } };

/// A desk that a hub told things up to number 20, of which a copy that was made at 10 knows nothing.
fn told_up_to_20(folder: &std::path::Path) -> Desk {
    let mut desk = desk(folder);
    let mut talk = Talk::begin(&mut desk, &welcome(BEFORE, None, 0));
    desk.append(check_in(desk.time.clock.latest())).unwrap();
    for (id, number) in [(1, 9), (2, 12)] {
        let id = RequestId([id; 16]);
        let request = SealedRequest { id, sealed: vec![1; 40] };
        desk.requests.add(&request, RequestKind::ReportLost, 20, None).unwrap();
        let answer = RequestAnswer { id, refused: None, number: Some(number) };
        talk.say(&mut desk, &HubMessage::Answered(answer));
    }
    let share = neighbours_share(&desk, 13);
    talk.say(&mut desk, &HubMessage::Share(share));
    let notice = hub_key().sign_notice(&Notice::Revoked { device: [9; 16], at: UnixMillis(1) });
    talk.say(&mut desk, &HubMessage::Notices(vec![notice], 14));
    talk.say(&mut desk, &HubMessage::Grants(vec![GRANT], None, Some(15)));
    talk.say(&mut desk, &HubMessage::Page(page(0, 10, &[pass(1)])));
    talk.say(&mut desk, &HubMessage::Page(page(10, 20, &[pass(2), pass(3)])));
    let sealed = SealedPart { pass: PassId(1), sealed: None };
    let holders = HoldersPage { to: 20, holders: vec![sealed], stamp: None };
    talk.say(&mut desk, &HubMessage::Holders(holders));
    desk
}

#[test]
fn a_restored_hub_is_given_all_that_it_lost_and_the_desk_goes_back_to_what_both_know() {
    let folder = tempfile::tempdir().unwrap();
    drop(told_up_to_20(folder.path()));
    let mut desk = opened(folder.path(), 2);
    let seen = desk.seen_of_hub();
    assert_eq!(seen.catalogue, [Version { number: 20, ..BEFORE }]);
    assert_eq!(seen.any, [Version { number: 20, ..BEFORE }]);
    assert_eq!(seen.notices, [Version { number: 14, ..BEFORE }]);

    // A line that is cut before the end costs nothing: all of it is repeated.
    for cut in [true, false] {
        let mut talk = Talk::begin(&mut desk, &welcome(AFTER, Some(10), 10));
        let said = talk.said(&desk);
        let Some(DeskMessage::Positions(lists)) =
            said.iter().find(|it| matches!(it, DeskMessage::Positions(_)))
        else {
            panic!("{said:?}");
        };
        assert_eq!(lists.len(), 2, "its own and its neighbour's");
        // It holds nothing of either.
        let nothing = |it: &ListPosition| ListPosition { sequence: 0, head: 0, ..it.clone() };
        talk.say(&mut desk, &HubMessage::Held(lists.iter().map(nothing).collect()));
        let said = talk.said(&desk);
        let [own, neighbours, notices, stated, request, names] = &said[..] else {
            panic!("{said:#?}");
        };
        assert!(
            matches!(own, DeskMessage::Batch(it) if it.writer.writer().device == desk.book.writer.device)
        );
        let expected = neighbours_share(&desk, 13).batch;
        assert!(
            matches!(neighbours, DeskMessage::Batch(it) if it.public_key == expected.public_key && it.seal.sequence == 3)
        );
        assert!(matches!(notices, DeskMessage::Notices(it) if it.len() == 1));
        let DeskMessage::Stated(stated) = stated else { panic!("{stated:?}") };
        let stated = sync_protocol::seal::stated_by(stated, desk.key.public_key()).unwrap();
        assert_eq!((stated[0].grant, stated[0].units), (GRANT.grant, GRANT.units));
        assert!(
            matches!(request, DeskMessage::Request(it) if it.id == RequestId([2; 16])),
            "the other one is known"
        );
        let beyond = vec![ItemName::Pass(PassId(2)), ItemName::Pass(PassId(3))];
        assert_eq!(*names, DeskMessage::Again(beyond, true));
        if cut {
            assert_eq!(desk.seen_of_hub().catalogue[0].run, BEFORE.run, "nothing went back");
            assert_eq!(desk.have().0, 20);
        } else {
            let gone = [Item::Gone(ItemName::Pass(PassId(2))), pass(3)];
            let last = CataloguePage { stamp: Some(12), again_done: true, ..page(10, 10, &gone) };
            talk.say(&mut desk, &HubMessage::Page(last));
        }
    }
    assert_eq!(desk.have(), (10, 10));
    assert!(
        desk.knowledge.store.pass(PassId(2)).is_none()
            && desk.knowledge.store.pass(PassId(3)).is_some()
    );
    drop(desk);
    let desk = opened(folder.path(), 3);
    let seen = desk.seen_of_hub();
    assert_eq!(seen.catalogue[0], AFTER);
    assert!(seen.any.iter().all(|it| it.run == AFTER.run), "{:?}", seen.any);
    assert_eq!(seen.notices[0], AFTER);
    assert_eq!(
        desk.names_of_items_beyond(11, 20),
        [ItemName::Pass(PassId(3))],
        "under its new number"
    );
}

#[test]
fn a_hub_that_was_not_restored_is_told_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = told_up_to_20(folder.path());
    let mut talk = Talk::begin(&mut desk, &welcome(Version { run: 9, number: 25 }, None, 20));
    let said = talk.said(&desk);
    let again = |it: &&DeskMessage| {
        matches!(it, DeskMessage::Again(..) | DeskMessage::Stated(_) | DeskMessage::Notices(_))
    };
    assert_eq!(said.iter().find(again), None);
    talk.say(&mut desk, &HubMessage::Page(page(20, 31, &[pass(4)])));
    let seen = desk.seen_of_hub().catalogue;
    assert_eq!(seen, [Version { run: 9, number: 31 }, Version { number: 20, ..BEFORE }]);
}

/// Another run of this desk that records after this one began is a copy; an earlier run that comes back is none.
#[test]
fn entries_of_another_run_that_are_newer_than_this_runs_beginning_show_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let mut talk = Talk::begin(&mut desk, &welcome(BEFORE, None, 0));
    let share = |desk: &Desk, epoch, at: UnixMillis| {
        let writer = Writer { epoch, ..desk.book.writer };
        let day = desk.calendar.day(at);
        let id = LedgerId { venue: desk.enrolment.venue.clone(), day };
        let fact = Fact::Visit;
        let entry = Entry { at, subject: Subject::Pass(PassId(7)), fact };
        let extension = Ledger::new(id.clone()).appended(writer, &entry).unwrap();
        let packed = batch::pack(extension.entry_bytes().iter().map(Vec::as_slice)).0;
        let batch = Batch {
            day: day_number(day),
            writer: writer.into(),
            first: 1,
            entries: packed,
            seal: desk.key.seal(&id, &writer, &extension.head()),
            public_key: desk.key.public_key().to_vec(),
        };
        HubMessage::Share(Share { batch, venue_version: 1 })
    };
    let now = desk.time.clock.latest();
    desk.knowledge.policy.clock_tolerance = 0;
    let earlier = share(&desk, 90, now.plus(-60_000));
    talk.say(&mut desk, &earlier);
    let ahead = share(&desk, 91, now.plus(3_600_000));
    talk.say(&mut desk, &ahead);
    assert_eq!(desk.status().beside, [], "an earlier run, and a clock that was ahead");
    // Five seconds into this run.
    let clocks = read_clocks();
    let later =
        crate::desk::Reading { wall: clocks.wall.plus(5_000), steady: clocks.steady.plus(5_000) };
    desk.look(later);
    desk.incarnation.began_earlier(5_000);
    let beside = share(&desk, 92, now.plus(2_000));
    talk.say(&mut desk, &beside);
    assert_eq!(desk.status().beside, [Trouble::NameUsedTwice]);
    assert_eq!(DeviceId::of_public_key(desk.key.public_key()), desk.book.writer.device);
}
