//! Bytes that release 0.1 sent. They are read for ever: a change here is a new protocol version.

use data_encoding::HEXLOWER;
use sync_protocol::batch;
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{
    Ack, CataloguePage, DeskMessage, Goodbye, GoodbyeKind, Hello, HoldersPage, HubMessage,
    ListPosition, PROTOCOL_VERSION, Stated, StatedGrant, Welcome,
};
use sync_protocol::notice::{Notice, SignedNotice};
use sync_protocol::request::{RequestAnswer, RequestId};
use sync_protocol::version::{GoOn, Restored, Seen, Version};

use crdt_model::catalogue::ItemName;
use crdt_model::ids::{ActivityId, CardSystemId, CouponId, PassId, RewardId};
use crdt_model::ledger::Position;
use crdt_model::stock::{GrantId, Units};
use crdt_model::time::UnixMillis;

use crate::desk::venue;

use crate::sessions::{batch_of, desk_with, today};

const HELLO: &str = "\
    820081870165302e312e301b000001a1fdc357800719012c1907d0818419512a5434750f98bd59fcfc946da4\
    5aaabe933b000000011907c61b0123456789abcdef";
const WELCOME: &str = "\
    82008188011b000001a1fdc357fb818419512a5434750f98bd59fcfc946da45aaabe933b000000011907c61b\
    0123456789abcdeff50819012d6844652052656564656742616c69652031";
const ACK: &str = "\
    8202818319512a5434750f98bd59fcfc946da45aaabe933b000000011907d0";
const BATCH: &str = "\
    8202818619512a5434750f98bd59fcfc946da45aaabe933b0000000101582c28b52ffd20301d0100c00fa500\
    010100031a025c3f8004010501018102820401050104004008a803c74c3bc182035840243e9410efda74d669\
    fac605e7987a7c791f88426af9d3cf1169a5104dc350648258be279a568d228f9795c8ec2080e4a0abd623dd\
    5b0d33f57d8c4ac0d3cd0058208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f\
    5c";

const HELLO_SEEN: &str = "\
    8200818b0165302e312e301b000001a1fdc357800719012c1907d080f6f68581820908828209078205048081\
    8209088182090282584882028550010101010101010101010101010101015820020202020202020202020202\
    02020202020202020202020202020202020202026864652d72656564656742616c69652031054403030303";
const DESK_NOTICES: &str = "\
    820a818282558200825001010101010101010101010101010101054403030303825826820182582004040404\
    04040404040404040404040404040404040404040404040404040404054403030303";
const STATED: &str = "\
    820b81824a8184040282010a8201024403030303";
const AGAIN: &str = "\
    820c82868200810182018102820281038203808204810482058105f5";
const WELCOME_BACK: &str = "\
    8200818f011b000001a1fdc357fb80f50819012d6844652052656564656742616c69652031f6f6f4f4820906\
    84010203048107";
const ACK_NUMBERED: &str = "\
    8202818419512a5434750f98bd59fcfc946da45aaabe933b000000011907d006";
const PAGE_AGAIN: &str = "\
    820681860101f44001f5";
const ANSWER_NUMBERED: &str = "\
    820a81835001010101010101010101010101010101f606";
const HUB_NOTICES: &str = "\
    821182818255820082500101010101010101010101010101010105440303030306";

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn list() -> ListPosition {
    let writer = desk_with([]).writer().into();
    ListPosition { day: 20_778, writer, sequence: 1990, head: 0x0123_4567_89ab_cdef }
}

fn hello() -> DeskMessage {
    DeskMessage::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        software: "0.1.0".to_owned(),
        clock: 1_795_258_800_000,
        catalogue_version: 7,
        venue_version: 300,
        acknowledged: 2000,
        pending: vec![list()],
        holders_version: None,
        run: None,
        seen: None,
        enrolled: None,
    })
}

fn welcome() -> HubMessage {
    HubMessage::Welcome(Welcome {
        protocol: PROTOCOL_VERSION,
        clock: 1_795_258_800_123,
        held: vec![list()],
        lost: true,
        catalogue_version: 8,
        venue_version: 301,
        venue_name: "De Reede".to_owned(),
        desk_name: "Balie 1".to_owned(),
        request_key: None,
        card_keys: None,
        beats: false,
        clock_doubtful: false,
        run: None,
        go_on: None,
        restored: None,
    })
}

fn ack() -> HubMessage {
    HubMessage::Ack(Ack { day: 20_778, writer: list().writer, sequence: 2000, number: None })
}

#[test]
fn a_hello_of_release_0_1_is_read_and_written_as_ever() {
    assert_eq!(DeskMessage::from_bytes(&bytes(HELLO)), Ok(hello()));
    assert_eq!(HEXLOWER.encode(&hello().to_bytes()), HELLO);
}

#[test]
fn a_welcome_of_release_0_1_is_read_and_written_as_ever() {
    assert_eq!(HubMessage::from_bytes(&bytes(WELCOME)), Ok(welcome()));
    assert_eq!(HEXLOWER.encode(&welcome().to_bytes()), WELCOME);
}

#[test]
fn an_ack_of_release_0_1_is_read_and_written_as_ever() {
    assert_eq!(HubMessage::from_bytes(&bytes(ACK)), Ok(ack()));
    assert_eq!(HEXLOWER.encode(&ack().to_bytes()), ACK);
}

#[test]
fn what_a_hub_says_of_its_disk_and_of_copies_has_its_numbers_for_good() {
    let goodbye = Goodbye { kind: GoodbyeKind::CannotStore, sentence: "x".to_owned() };
    for (message, hex) in [
        (HubMessage::Goodbye(goodbye), "82088182046178".to_owned()),
        (HubMessage::UsedTwice(true), "820f81f5".to_owned()),
    ] {
        assert_eq!(HEXLOWER.encode(&message.to_bytes()), hex);
        assert_eq!(HubMessage::from_bytes(&bytes(&hex)), Ok(message));
    }
}

#[test]
fn a_hello_that_tells_its_run_is_the_one_of_release_0_1_with_a_field_behind() {
    let DeskMessage::Hello(hello) = hello() else { panic!("a hello") };
    let told = DeskMessage::Hello(Hello { run: Some(7), ..hello });
    assert_eq!(DeskMessage::from_bytes(&told.to_bytes()), Ok(told));
}

/// What is new since release 0.1, with every field: these bytes are for good, too.
#[test]
fn what_restored_hubs_and_desks_say_has_its_numbers_for_good() {
    let at = |run, number| Version { run, number };
    let notice = Notice::Enrolled {
        device: [1; 16],
        public_key: [2; 32],
        venue: venue(),
        name: "Balie 1".to_owned(),
        at: UnixMillis(5),
    };
    let signed = |notice: &Notice| SignedNotice {
        notice: minicbor::to_vec(notice).unwrap(),
        signature: vec![3; 4],
    };
    let revoked = Notice::Revoked { device: [1; 16], at: UnixMillis(5) };
    let used = Notice::InvitationUsed { token_hash: [4; 32], at: UnixMillis(5) };
    let DeskMessage::Hello(hello) = hello() else { panic!("a hello") };
    let seen = Seen {
        catalogue: vec![at(9, 8)],
        venue: vec![at(9, 7), at(5, 4)],
        holders: vec![],
        any: vec![at(9, 8)],
        notices: vec![at(9, 2)],
    };
    let hello =
        Hello { pending: vec![], seen: Some(seen), enrolled: Some(signed(&notice)), ..hello };
    let stated = StatedGrant {
        grant: GrantId(4),
        reward: RewardId(2),
        units: Units { first: 1, count: 10 },
        used: vec![1, 2],
    };
    let stated = Stated { grants: minicbor::to_vec([stated]).unwrap(), signature: vec![3; 4] };
    let names = [
        ItemName::Pass(PassId(1)),
        ItemName::Activity(ActivityId(2)),
        ItemName::Reward(RewardId(3)),
        ItemName::Policy,
        ItemName::Coupon(CouponId(4)),
        ItemName::CardSystem(CardSystemId(5)),
    ];
    for (message, hex) in [
        (DeskMessage::Hello(hello), HELLO_SEEN),
        (DeskMessage::Notices(vec![signed(&revoked), signed(&used)]), DESK_NOTICES),
        (DeskMessage::Stated(stated), STATED),
        (DeskMessage::Again(names.to_vec(), true), AGAIN),
    ] {
        assert_eq!(HEXLOWER.encode(&message.to_bytes()), hex);
        assert_eq!(DeskMessage::from_bytes(&bytes(hex)), Ok(message));
    }
    let HubMessage::Welcome(welcome) = welcome() else { panic!("a welcome") };
    let welcome = Welcome {
        held: vec![],
        run: Some(at(9, 6)),
        go_on: Some(GoOn { catalogue: 1, venue: 2, holders: 3, notices: 4 }),
        restored: Some(Restored { common: 7 }),
        ..welcome
    };
    let HubMessage::Ack(ack) = ack() else { panic!("an ack") };
    let page = CataloguePage {
        from: 1,
        to: 1,
        last: false,
        items: vec![],
        stamp: Some(1),
        again_done: true,
    };
    let answer = RequestAnswer { id: RequestId([1; 16]), refused: None, number: Some(6) };
    for (message, hex) in [
        (HubMessage::Welcome(welcome), WELCOME_BACK),
        (HubMessage::Ack(Ack { number: Some(6), ..ack }), ACK_NUMBERED),
        (HubMessage::Page(page), PAGE_AGAIN),
        (
            HubMessage::Holders(HoldersPage { to: 1, holders: vec![], stamp: Some(1) }),
            "820c8183018001",
        ),
        (HubMessage::Answered(answer), ANSWER_NUMBERED),
        (HubMessage::Grants(vec![], None, Some(6)), "820b8380f606"),
        (HubMessage::Run(at(9, 6)), "821081820906"),
        (HubMessage::Notices(vec![signed(&revoked)], 6), HUB_NOTICES),
    ] {
        assert_eq!(HEXLOWER.encode(&message.to_bytes()), hex);
        assert_eq!(HubMessage::from_bytes(&bytes(hex)), Ok(message));
    }
}

/// What an older side leaves out is what it would have meant.
#[test]
fn lists_and_numbers_that_an_older_side_does_not_say_are_empty() {
    let four: Seen = minicbor::decode(&bytes("8480808081820908")).unwrap();
    let any = vec![Version { run: 9, number: 8 }];
    assert_eq!(four, Seen { any, ..Seen::default() });
    let go_on: GoOn = minicbor::decode(&bytes("83010203")).unwrap();
    assert_eq!(go_on, GoOn { catalogue: 1, venue: 2, holders: 3, notices: 0 });
}

/// The packing may be another one when zstd is; the entries, their changes and the seal may not.
#[test]
fn a_batch_of_release_0_1_is_read_and_its_seal_holds() {
    let expected = batch_of(&mut desk_with(0..3));
    let Ok(DeskMessage::Batch(batch)) = DeskMessage::from_bytes(&bytes(BATCH)) else {
        panic!(
            "not a batch; now it would be {}",
            HEXLOWER.encode(&DeskMessage::Batch(expected).to_bytes())
        )
    };
    assert_eq!(batch::unpack(&batch.entries), batch::unpack(&expected.entries));
    assert_eq!((batch.day, batch.writer, batch.first), (expected.day, expected.writer, 1));
    assert_eq!((&batch.seal, &batch.public_key), (&expected.seal, &expected.public_key));
    match judge(&batch, &today(), Position::default()) {
        Judgement::Merge(extension) => assert_eq!(extension.entries().len(), 3),
        other => panic!("{other:?}"),
    }
}
