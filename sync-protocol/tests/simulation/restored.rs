//! A hub that was restored from an older copy, and a desk that says again what it lost.

use crdt_model::catalogue::ItemName;
use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId, RewardId};
use crdt_model::stock::{GrantId, Units};
use crdt_model::time::UnixMillis;
use sync_protocol::batch;
use sync_protocol::desk::{DeskEvent, DeskView, SealedList};
use sync_protocol::frame::{FrameReader, frame};
use sync_protocol::message::{
    CataloguePage, DeskMessage, HubMessage, MOST_NAMES, StatedGrant, Welcome,
};
use sync_protocol::notice::Notice;
use sync_protocol::request::RequestId;
use sync_protocol::seal::{HubKey, stated_by};
use sync_protocol::version::{GoOn, Restored, Version};

use crate::desk::{Desk, Disk};
use crate::hub::{Committed, Hub, Planted, Session};
use crate::sessions::{TODAY, said_by, welcome};

fn check_in(desk: &mut Desk, passes: std::ops::Range<u64>) {
    for pass in passes {
        let at = UnixMillis(1_795_258_800_000 + i64::try_from(pass).unwrap());
        let fact = Fact::CheckIn { activity: ActivityId(1), points: 1 };
        desk.append(TODAY, &Entry { at, subject: Subject::Pass(PassId(pass)), fact });
    }
}

/// A session between a desk and a hub, until nothing moves or the line is cut behind so many bytes, up and down. Gives
/// how many bytes were said.
fn talk(desk: &mut Desk, hub: &mut Hub, (most_up, most_down): (usize, usize)) -> (usize, usize) {
    desk.connect();
    let mut session = Session::new(desk.writer().device);
    let (mut up, mut down) = (0, 0);
    loop {
        let mut said = Vec::new();
        while let Some(frame) = desk.next_frame() {
            said.extend(frame);
        }
        said.truncate(most_up - up);
        up += said.len();
        let Ok(mut answers) = session.receive(&said, hub, false) else { unreachable!("no crash") };
        answers.truncate(most_down - down);
        down += answers.len();
        if said.is_empty() && answers.is_empty() {
            desk.session = None;
            return (up, down);
        }
        desk.receive(&answers);
    }
}

const WHOLE: (usize, usize) = (usize::MAX, usize::MAX);

/// What lies on the disks: of a hub that was restored, and of the desk that is left. The other desk has vanished with
/// what it recorded, and the hub lost more of that than it has.
fn after_a_restore() -> (Committed, Disk) {
    let mut hub = Hub::new(Planted::Nothing);
    let (mut gone, mut left) = (Desk::new(0), Desk::new(1));
    check_in(&mut gone, 0..3);
    check_in(&mut left, 10..12);
    for id in [1, 2, 5] {
        hub.change_activity(id, 1);
    }
    let settle = |gone: &mut Desk, left: &mut Desk, hub: &mut Hub| {
        talk(gone, hub, WHOLE);
        talk(left, hub, WHOLE);
        talk(gone, hub, WHOLE);
    };
    settle(&mut gone, &mut left, &mut hub);
    let backup = hub.committed.clone();
    check_in(&mut gone, 3..9);
    check_in(&mut left, 12..15);
    left.ask(RequestId([3; 16]));
    hub.change_activity(2, 7);
    hub.change_activity(3, 7);
    settle(&mut gone, &mut left, &mut hub);
    check_in(&mut gone, 20..22);
    settle(&mut gone, &mut left, &mut hub);
    check_in(&mut left, 15..17);
    hub.restore(&backup);
    hub.change_activity(4, 9);
    hub.change_activity(5, 9);
    (hub.committed, left.disk)
}

fn left_with(disk: &Disk) -> Desk {
    let mut desk = Desk::new(1);
    desk.disk = disk.clone();
    let notice = Notice::Revoked { device: [9; 16], at: UnixMillis(4) };
    desk.kept_notices = vec![HubKey::from_seed(&[7; 32]).unwrap().sign_notice(&notice)];
    desk.held_grants = vec![StatedGrant {
        grant: GrantId(4),
        reward: RewardId(2),
        units: Units { first: 1, count: 10 },
        used: vec![1, 2],
    }];
    desk
}

fn check(desk: &Desk, hub: &Hub, what: &str) {
    let entries: usize = hub.committed.lists.values().map(|(_, entries)| entries.len()).sum();
    assert_eq!(entries, 11 + 7, "{what}: also those of the desk that vanished");
    assert_eq!(desk.pending(), [], "{what}");
    let has: Vec<_> = desk.disk.store.activities.values().map(|(_, it)| it.clone()).collect();
    let hubs: Vec<_> = hub.committed.activities.values().map(|(_, it)| it.clone()).collect();
    assert_eq!(
        has, hubs,
        "{what}: also that there is no third activity, and the second is as it was"
    );
    assert_eq!(hub.committed.done.len(), 1, "{what}: the request is done again");
    assert_eq!(hub.committed.notices.len(), 1, "{what}");
    assert_eq!(hub.committed.stated.get(&desk.writer().device), Some(&1), "{what}");
}

#[test]
fn invariant_12_a_restored_hub_is_told_again_what_it_lost_also_of_a_desk_that_vanished() {
    let (committed, disk) = after_a_restore();
    let mut hub = Hub::new(Planted::Nothing);
    hub.committed = committed;
    let mut desk = left_with(&disk);
    talk(&mut desk, &mut hub, WHOLE);
    check(&desk, &hub, "at once");
    // Then it is over: the next session is an ordinary one.
    let done = desk.disk.clone();
    let (up, _) = talk(&mut desk, &mut hub, WHOLE);
    assert!(up < 250, "{up} bytes");
    assert_eq!(format!("{:?}", desk.disk), format!("{done:?}"));
}

#[test]
fn invariant_12_a_line_that_is_cut_at_any_byte_costs_nothing_of_it() {
    let (committed, disk) = after_a_restore();
    let cut = |most: (usize, usize)| {
        let mut hub = Hub::new(Planted::Nothing);
        hub.committed = committed.clone();
        let mut desk = left_with(&disk);
        let said = talk(&mut desk, &mut hub, most);
        // The store may be gone by then.
        desk.crash(!most.0.is_multiple_of(5));
        talk(&mut desk, &mut hub, WHOLE);
        check(&desk, &hub, &format!("cut at {most:?}"));
        said
    };
    let (up, down) = cut(WHOLE);
    assert!(up > 800 && down > 400, "{up} up, {down} down");
    for most in 0..up {
        cut((most, usize::MAX));
    }
    for most in 0..down {
        cut((usize::MAX, most));
    }
}

fn welcome_back(catalogue: u64) -> Vec<u8> {
    let go_on = GoOn { catalogue, venue: 3, holders: 3, notices: 3 };
    let welcome = Welcome {
        run: Some(Version { run: 5, number: 3 }),
        go_on: Some(go_on),
        restored: Some(Restored { common: 3 }),
        ..welcome(Vec::new())
    };
    frame(&HubMessage::Welcome(welcome).to_bytes())
}

/// Everything that a desk says to a hub that answers its positions by holding nothing, behind its hello.
fn says_again(desk: &mut Desk) -> Vec<DeskMessage> {
    let (mut session, _) = said_by(desk);
    session.receive(&welcome_back(3), desk).1.unwrap();
    let mut said = Vec::new();
    while let Some(bytes) = session.next_frame(desk) {
        let mut reader = FrameReader::default();
        reader.push(&bytes);
        let message = DeskMessage::from_bytes(reader.next_frame().unwrap().unwrap()).unwrap();
        if let DeskMessage::Positions(lists) = &message {
            assert!(
                session.next_frame(desk).is_none(),
                "nothing before the hub says what it holds"
            );
            let mut held = lists.clone();
            for list in &mut held {
                (list.sequence, list.head) = (0, 0);
            }
            let held = frame(&HubMessage::Held(held).to_bytes());
            session.receive(&held, desk).1.unwrap();
        }
        said.push(message);
    }
    said
}

#[test]
fn a_desk_says_again_in_the_order_that_was_agreed() {
    let (_, disk) = after_a_restore();
    let mut desk = left_with(&disk);
    desk.ask(RequestId([8; 16]));
    let said = says_again(&mut desk);
    let DeskMessage::Positions(lists) = &said[0] else { panic!("{said:?}") };
    assert_eq!(lists.len(), 2, "its own list and the neighbour's");
    let of_whom = |message: &DeskMessage| match message {
        DeskMessage::Batch(batch) => Some(batch.writer.writer().device == desk.writer().device),
        _ => None,
    };
    assert_eq!(of_whom(&said[1]), Some(true), "its own entries first");
    let behind = said[2..].iter().take_while(|it| of_whom(it) == Some(false)).count() + 2;
    let DeskMessage::Notices(notices) = &said[behind] else { panic!("{said:?}") };
    assert_eq!(notices.len(), 1);
    let DeskMessage::Stated(stated) = &said[behind + 1] else { panic!("{said:?}") };
    assert_eq!(stated_by(stated, desk.key().public_key()), Some(desk.held_grants.clone()));
    let requests: Vec<_> = said[behind + 2..behind + 4]
        .iter()
        .map(|message| match message {
            DeskMessage::Request(request) => request.id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(requests, [RequestId([3; 16]), RequestId([8; 16])]);
    let DeskMessage::Again(names, true) = &said[behind + 4] else { panic!("{said:?}") };
    assert!(names.contains(&ItemName::Activity(ActivityId(2))), "{names:?}");
    assert!(!names.contains(&ItemName::Activity(ActivityId(1))), "it came before: {names:?}");
    assert_eq!(said.len(), behind + 5);
}

#[test]
fn a_desk_that_holds_nothing_says_so() {
    let said = says_again(&mut Desk::new(0));
    let empty = Desk::new(0).key().sign_stated(&[]);
    assert_eq!(
        said,
        [
            DeskMessage::Positions(vec![]),
            DeskMessage::Stated(empty),
            DeskMessage::Again(vec![], true)
        ]
    );
}

#[test]
fn names_and_notices_are_said_in_messages_of_a_bounded_size() {
    let mut desk = Desk::new(0);
    desk.names = (0..=2 * MOST_NAMES as u64).map(|pass| ItemName::Pass(PassId(pass))).collect();
    desk.kept_notices = vec![
        HubKey::from_seed(&[7; 32]).unwrap().sign_notice(&Notice::Revoked {
            device: [9; 16],
            at: UnixMillis(4)
        });
        1000
    ];
    let said = says_again(&mut desk);
    let lengths = said.iter().filter_map(|message| match message {
        DeskMessage::Notices(notices) => Some((notices.len(), false)),
        DeskMessage::Again(names, last) => Some((names.len(), *last)),
        _ => None,
    });
    let expected = [
        (400, false),
        (400, false),
        (200, false),
        (MOST_NAMES, false),
        (MOST_NAMES, false),
        (1, true),
    ];
    assert_eq!(lengths.collect::<Vec<_>>(), expected);
    assert!(said.iter().all(|message| message.to_bytes().len() < 256 * 1024));
}

/// A neighbour's list goes to the hub as far as one of the neighbour's own seals, batch by batch; what no seal ends
/// within a batch of, only the neighbour can say.
#[test]
fn a_neighbours_list_is_said_under_the_neighbours_seals() {
    let mut neighbour = Desk::new(1);
    let mut seals = Vec::new();
    for (passes, sealed) in [(0..3000, true), (3000..6000, true), (6000..6010, false)] {
        check_in(&mut neighbour, passes);
        let writer = neighbour.writer();
        let position = neighbour.disk.ledgers[&TODAY].position(&writer);
        if sealed {
            seals.push(neighbour.key().seal(&crate::sessions::today(), &writer, &position));
        }
    }
    let mut desk = Desk::new(0);
    desk.disk.ledgers = neighbour.disk.ledgers.clone();
    let list = SealedList {
        day: TODAY,
        writer: neighbour.writer(),
        seals: seals.clone(),
        public_key: neighbour.key().public_key().to_vec(),
    };
    desk.kept(list.clone());
    let batches: Vec<_> = says_again(&mut desk)
        .into_iter()
        .filter_map(|message| match message {
            DeskMessage::Batch(batch) => {
                let length = batch::unpack(&batch.entries).unwrap().len();
                Some((batch.first, length, batch.seal))
            }
            _ => None,
        })
        .collect();
    assert_eq!(batches, [(1, 3000, seals[0].clone()), (3001, 3000, seals[1].clone())]);

    desk.kept(SealedList { seals: vec![seals[1].clone()], ..list });
    let batches = says_again(&mut desk)
        .into_iter()
        .filter(|message| matches!(message, DeskMessage::Batch(_)));
    assert_eq!(batches.count(), 0, "6,000 entries fit no batch");
}

#[test]
fn a_desk_goes_back_when_all_is_answered_and_not_before() {
    let mut desk = Desk::new(0);
    let (mut session, _) = said_by(&mut desk);
    let page = |again_done| {
        let page = CataloguePage {
            from: 3,
            to: 3,
            last: false,
            items: sync_protocol::catalogue::pack(&[]),
            stamp: Some(3),
            again_done,
        };
        frame(&HubMessage::Page(page).to_bytes())
    };
    session.receive(&welcome_back(3), &desk).1.unwrap();
    assert!(session.says_again());
    let advance = frame(&HubMessage::Advance(9).to_bytes());
    let (events, _) = session.receive(&[page(false), advance].concat(), &desk);
    let told = |number| Version { run: 5, number };
    assert!(matches!(
        events[..],
        [DeskEvent::Told(first), DeskEvent::Page(_), DeskEvent::Told(second), DeskEvent::Advanced(9)]
            if (first, second) == (told(3), told(9))
    ));
    let (events, _) = session.receive(&page(true), &desk);
    assert!(matches!(
        events[..],
        [DeskEvent::Page(_), DeskEvent::AgainDone { go_on: GoOn { catalogue: 3, .. }, common: 3, told: at }]
            if at == told(9)
    ));
    assert!(!session.says_again());
}

#[test]
fn another_run_is_noted_with_what_is_told_behind_it() {
    let mut desk = Desk::new(0);
    let (mut session, _) = said_by(&mut desk);
    let stream = [
        welcome_back(3),
        frame(&HubMessage::Advance(9).to_bytes()),
        frame(&HubMessage::Run(Version { run: 6, number: 9 }).to_bytes()),
        frame(&HubMessage::Advance(10).to_bytes()),
    ];
    let (events, _) = session.receive(&stream.concat(), &desk);
    let told: Vec<Version> = events
        .iter()
        .filter_map(|event| match event {
            DeskEvent::Told(version) => Some(*version),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Version { run: 5, number: 9 }, Version { run: 6, number: 10 }]);
}
