//! Bytes that release 0.1 sent. They are read for ever: a change here is a new protocol version.

use data_encoding::HEXLOWER;
use sync_protocol::batch;
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{
    Ack, DeskMessage, Goodbye, GoodbyeKind, Hello, HubMessage, ListPosition, PROTOCOL_VERSION,
    Welcome,
};

use crdt_model::ledger::Position;

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
