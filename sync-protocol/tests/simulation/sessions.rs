//! What a session takes and what it refuses, message by message.

use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId};
use crdt_model::ledger::{LedgerId, Position};
use crdt_model::time::{UnixMillis, day_number};
use jiff::civil::Date;
use minicbor::{Decode, Encode};
use sync_protocol::batch;
use sync_protocol::card_keys::DeskSealingKey;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskView, SessionError, short_head};
use sync_protocol::feed::Need;
use sync_protocol::frame::{FrameReader, frame};
use sync_protocol::heartbeat::Ticks;
use sync_protocol::hub::End;
use sync_protocol::ledger_sync::{Judgement, QuarantineReason, judge};
use sync_protocol::message::{
    Ack, Batch, DeskBeat, DeskMessage, Goodbye, GoodbyeKind, Hello, HubBeat, HubMessage,
    ListPosition, PROTOCOL_VERSION, Welcome,
};

use crate::desk::{Desk, venue};
use crate::driver::hear;

pub(crate) const TODAY: Date = Date::constant(2026, 11, 21);

pub(crate) fn today() -> LedgerId {
    LedgerId { venue: venue(), day: TODAY }
}

/// The first desk, with a check-in of each of these passes.
pub(crate) fn desk_with(passes: impl IntoIterator<Item = u64>) -> Desk {
    let mut desk = Desk::new(0);
    for pass in passes {
        let at = UnixMillis(1_795_258_800_000 + i64::try_from(pass).unwrap());
        let fact = Fact::CheckIn { activity: ActivityId(1), points: 1 };
        desk.append(TODAY, &Entry { at, subject: Subject::Pass(PassId(pass)), fact });
    }
    desk
}

/// Everything that a desk says on its own, and the session that said it.
pub(crate) fn said_by(desk: &mut Desk) -> (DeskSession, Vec<DeskMessage>) {
    desk.connect();
    let mut reader = FrameReader::default();
    while let Some(frame) = desk.next_frame() {
        reader.push(&frame);
    }
    let mut messages = Vec::new();
    while let Some(contents) = reader.next_frame().unwrap() {
        messages.push(DeskMessage::from_bytes(contents).unwrap());
    }
    (desk.session.take().unwrap(), messages)
}

fn hello() -> Hello {
    let (_, said) = said_by(&mut Desk::new(0));
    match said.into_iter().next() {
        Some(DeskMessage::Hello(hello)) => hello,
        other => panic!("a hello comes first, not {other:?}"),
    }
}

pub(crate) fn batch_of(desk: &mut Desk) -> Batch {
    let (_, said) = said_by(desk);
    match said.into_iter().nth(1) {
        Some(DeskMessage::Batch(batch)) => batch,
        other => panic!("its entries come right behind it, not {other:?}"),
    }
}

pub(crate) fn welcome(held: Vec<ListPosition>) -> Welcome {
    Welcome {
        protocol: PROTOCOL_VERSION,
        clock: 0,
        held,
        lost: false,
        catalogue_version: 0,
        venue_version: 0,
        venue_name: "De Reede".to_owned(),
        desk_name: "Balie 1".to_owned(),
        request_key: None,
        card_keys: None,
        beats: false,
        clock_doubtful: false,
        run: None,
        go_on: None,
        restored: None,
    }
}

fn end(desk: &Desk) -> Position {
    desk.disk.ledgers[&TODAY].position(&desk.writer())
}

fn up(message: &DeskMessage) -> Vec<u8> {
    frame(&message.to_bytes())
}

fn down(message: &HubMessage) -> Vec<u8> {
    frame(&message.to_bytes())
}

/// A desk that has other card keys than the hub asks for them once, and says to which key they are to be
/// sealed. A hub without card keys is asked for none.
#[test]
fn card_keys_are_asked_for_where_the_hub_has_others() {
    let desk = desk_with(0..3);
    let asked = |card_keys| {
        let (mut session, _) = said_by(&mut desk_with(0..3));
        let welcome = Welcome { card_keys, ..welcome(vec![]) };
        session.receive(&down(&HubMessage::Welcome(welcome)), &desk).1.unwrap();
        let mut asked = Vec::new();
        while let Some(bytes) = session.next_frame(&desk) {
            let mut reader = FrameReader::default();
            reader.push(&bytes);
            let message = DeskMessage::from_bytes(reader.next_frame().unwrap().unwrap()).unwrap();
            asked.extend(matches!(message, DeskMessage::CardKeys(_)).then_some(message));
        }
        asked
    };
    let sealing_key = DeskSealingKey::of(desk.key()).public_key();
    assert_eq!(asked(Some(3)), [DeskMessage::CardKeys(sealing_key)]);
    assert_eq!(asked(None), []);
}

#[test]
fn a_message_before_hello_is_refused() {
    let batch = batch_of(&mut desk_with(0..3));
    for message in [
        DeskMessage::Batch(batch),
        DeskMessage::Have(0, 0),
        DeskMessage::Positions(vec![]),
        DeskMessage::Again(vec![], true),
    ] {
        let heard = hear(&up(&message));
        assert_eq!(heard.needs, []);
        let why = SessionError::OutOfTurn { what: "a message before Hello" };
        assert_eq!(heard.end, Some(End::Protocol(why)));
    }
}

#[test]
fn a_second_hello_is_refused_and_nothing_behind_it_is_taken() {
    let hello = up(&DeskMessage::Hello(hello()));
    let batch = up(&DeskMessage::Batch(batch_of(&mut desk_with(0..3))));
    let heard = hear(&[&hello[..], &hello, &batch].concat());
    assert!(!heard.needs.iter().any(|need| matches!(need, Need::Take(_))), "it is over");
    let why = SessionError::OutOfTurn { what: "a second Hello" };
    assert_eq!(heard.end, Some(End::Protocol(why)));
}

/// A desk of a newer release says something new behind its entries: those are taken all the same,
/// and it is told why the session ends.
#[test]
fn what_came_before_something_unreadable_is_answered() {
    let (_, said) = said_by(&mut desk_with(0..3));
    let unreadable = frame(b"\xff");
    let stream = said.iter().map(up).chain([unreadable]).collect::<Vec<_>>().concat();
    let heard = hear(&stream);
    assert!(matches!(
        &heard.said[..],
        [
            HubMessage::Welcome(_),
            HubMessage::Ack(Ack { sequence: 3, .. }),
            HubMessage::Goodbye(Goodbye { kind: GoodbyeKind::Malformed, .. }),
        ]
    ));
    assert!(matches!(heard.end, Some(End::Protocol(SessionError::Message(_)))), "{:?}", heard.end);
}

#[test]
fn a_desk_takes_nothing_before_the_welcome_and_nothing_after_a_goodbye() {
    let mut desk = Desk::new(0);
    let advance = down(&HubMessage::Advance(9));
    let (mut session, _) = said_by(&mut desk);
    let (events, outcome) = session.receive(&advance, &desk);
    assert!(events.is_empty());
    assert_eq!(outcome, Err(SessionError::OutOfTurn { what: "a message before Welcome" }));

    let (mut session, _) = said_by(&mut desk);
    let goodbye = Goodbye { kind: GoodbyeKind::NotEnrolled, sentence: "revoked".to_owned() };
    let stream = [down(&HubMessage::Goodbye(goodbye)), advance.clone()].concat();
    let (events, outcome) = session.receive(&stream, &desk);
    assert!(matches!(events[..], [DeskEvent::Ended(_)]), "{events:?}");
    assert_eq!(outcome, Ok(()));
    let (events, _) = session.receive(&advance, &desk);
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(session.next_frame(&desk), None);
}

/// [`Hello`] of a later release: the same fields, and more behind them.
#[derive(Encode)]
struct NewerHello {
    #[n(0)]
    protocol: u16,
    #[n(1)]
    software: String,
    #[n(2)]
    clock: i64,
    #[n(3)]
    catalogue_version: u64,
    #[n(4)]
    venue_version: u64,
    #[n(5)]
    acknowledged: u64,
    #[n(6)]
    pending: Vec<ListPosition>,
    #[n(30)]
    languages: Vec<String>,
}

#[derive(Encode, Decode)]
struct NewerAck {
    #[n(0)]
    day: i32,
    #[cbor(n(1), with = "minicbor::bytes")]
    writer: Vec<u8>,
    #[n(2)]
    sequence: u64,
    #[n(9)]
    committed_at: Option<i64>,
}

#[derive(Encode)]
enum NewerDeskMessage {
    #[n(0)]
    Hello(#[n(0)] NewerHello, #[n(1)] u32),
    #[n(40)]
    Shout(#[n(0)] String),
}

#[derive(Encode)]
enum NewerHubMessage {
    #[n(2)]
    Ack(#[n(0)] NewerAck),
}

#[test]
fn fields_that_a_newer_side_adds_are_passed_over() {
    let hello = hello();
    let Hello { protocol, software, clock, catalogue_version, venue_version, .. } = hello.clone();
    let newer = NewerHello {
        protocol,
        software,
        clock,
        catalogue_version,
        venue_version,
        acknowledged: hello.acknowledged,
        pending: hello.pending.clone(),
        languages: vec!["nl".to_owned(), "fr".to_owned()],
    };
    let bytes = minicbor::to_vec(NewerDeskMessage::Hello(newer, 7)).unwrap();
    assert_eq!(
        DeskMessage::from_bytes(&bytes),
        Ok(DeskMessage::Hello(Hello { holders_version: None, seen: None, ..hello }))
    );

    let writer = desk_with([]).writer();
    let newer =
        NewerAck { day: 5, writer: writer.to_bytes().to_vec(), sequence: 3, committed_at: Some(9) };
    let bytes = minicbor::to_vec(NewerHubMessage::Ack(newer)).unwrap();
    let ack = Ack { day: 5, writer: writer.into(), sequence: 3, number: None };
    assert_eq!(HubMessage::from_bytes(&bytes), Ok(HubMessage::Ack(ack)));
}

/// A hub of an earlier release does not know beats, and a kind of message that it does not know would end the session:
/// so it is sent none.
#[test]
fn a_hub_is_asked_for_its_clock_where_it_says_that_it_answers() {
    let beats_of = |beats| {
        let mut desk = desk_with(0..3);
        desk.connect();
        let mut session = desk.session.take().unwrap();
        session.tick(Ticks(1_000), UnixMillis(7), 3, 0);
        while session.next_frame(&desk).is_some() {}
        session.heard(Ticks(1_040));
        let welcome = Welcome { beats, clock: 500, ..welcome(vec![]) };
        let (events, _) = session.receive(&down(&HubMessage::Welcome(welcome)), &desk);
        let clock =
            DeskEvent::HubClock { clock: UnixMillis(500), doubtful: false, asked: Ticks(1_000) };
        assert_eq!(format!("{:?}", events[0]), format!("{clock:?}"), "an exchange, too");
        let mut said = Vec::new();
        let mut now = Ticks(1_040);
        while now < Ticks(7_000) && said.is_empty() {
            session.tick(now, UnixMillis(7), 3, 0);
            while let Some(bytes) = session.next_frame(&desk) {
                said.push(bytes);
            }
            now = now.plus(100);
        }
        let beat = said.first().map(|bytes| {
            let mut reader = FrameReader::default();
            reader.push(bytes);
            DeskMessage::from_bytes(reader.next_frame().unwrap().unwrap()).unwrap()
        });
        let answer = HubBeat { number: 1, clock: 9, clock_doubtful: true };
        let (events, _) = session.receive(&down(&HubMessage::Beat(answer)), &desk);
        let measured = matches!(events[..], [DeskEvent::HubClock { doubtful: true, .. }]);
        assert_eq!(measured, beat.is_some(), "what nobody asked for measures nothing");
        beat
    };
    assert_eq!(beats_of(true), Some(DeskMessage::Beat(DeskBeat { number: 1, clock: 7 })));
    assert_eq!(beats_of(false), None);
}

/// So a new kind of message needs a new [`PROTOCOL_VERSION`], or a field that says that it is understood; a new
/// field needs neither.
#[test]
fn a_kind_of_message_that_nobody_knows_ends_the_session() {
    let shout = minicbor::to_vec(NewerDeskMessage::Shout("hello".to_owned())).unwrap();
    let heard = hear(&frame(&shout));
    assert_eq!(heard.needs, []);
    assert!(matches!(heard.end, Some(End::Protocol(SessionError::Message(_)))), "{:?}", heard.end);
}

#[test]
fn invariant_7_a_batch_whose_seal_does_not_hold_is_set_apart() {
    let mut desk = desk_with(0..5);
    let good = batch_of(&mut desk);
    assert!(matches!(judge(&good, &today(), Position::default()), Judgement::Merge(_)));

    let mut other = Desk::new(1);
    other.append(TODAY, &desk.disk.ledgers[&TODAY].entries_of(&desk.writer(), 0)[0].clone());
    let stranger = batch_of(&mut other);
    let fewer = batch::unpack(&good.entries).unwrap();
    let (fewer, _) = batch::pack(fewer[..4].iter().map(Vec::as_slice));
    let mut flipped = good.clone();
    flipped.seal.signature[5] ^= 1;
    let tomorrow = LedgerId { day: TODAY.tomorrow().unwrap(), ..today() };
    for (what, batch, ledger) in [
        ("a changed signature", flipped, today()),
        ("an entry left out", Batch { entries: fewer, ..good.clone() }, today()),
        ("another one's seal", Batch { seal: stranger.seal.clone(), ..good.clone() }, today()),
        (
            "another one's key",
            Batch { public_key: stranger.public_key.clone(), ..good.clone() },
            today(),
        ),
        ("another one's list", Batch { writer: stranger.writer, ..good.clone() }, today()),
        ("another day", good.clone(), tomorrow),
    ] {
        let judgement = judge(&batch, &ledger, Position::default());
        assert!(matches!(judgement, Judgement::Quarantine(QuarantineReason::Seal)), "{what}");
    }
}

/// Two machines with one key and, by a clash of random epochs, one list.
#[test]
fn invariant_7_a_copy_of_a_desk_that_goes_on_differently_is_set_apart() {
    let (first, mut copy) = (desk_with([1, 2]), desk_with([1, 3, 4]));
    let judgement = judge(&batch_of(&mut copy), &today(), end(&first));
    assert!(matches!(judgement, Judgement::Quarantine(QuarantineReason::Seal)), "{judgement:?}");
}

/// The hub answers entries that it holds in number with an Ack, and cannot see that they are others.
#[test]
fn invariant_1_an_ack_for_another_list_of_this_name_acknowledges_nothing() {
    for (passes, what) in [(vec![1, 2, 9, 10], "longer"), (vec![1, 2, 9], "as long")] {
        let hub = desk_with(passes);
        let mut copy = desk_with([1, 3, 4]);
        assert!(matches!(judge(&batch_of(&mut copy), &today(), end(&hub)), Judgement::Held));

        let (mut session, _) = said_by(&mut copy);
        let (position, day, writer) = (end(&hub), day_number(TODAY), copy.writer().into());
        let sequence = position.sequence;
        let held = vec![ListPosition { day, writer, sequence, head: short_head(&position) }];
        let stream = [
            down(&HubMessage::Welcome(welcome(held))),
            down(&HubMessage::Ack(Ack { day, writer, sequence, number: None })),
        ];
        let (events, outcome) = session.receive(&stream.concat(), &copy);
        assert_eq!(outcome, Ok(()));
        let acknowledged = events.iter().any(|e| matches!(e, DeskEvent::Acknowledged { .. }));
        assert!(!acknowledged, "{what}: {events:?}");
        let noticed = |event: &DeskEvent| {
            matches!(event, DeskEvent::Diverged { .. } | DeskEvent::Behind { .. })
        };
        assert!(events.iter().any(noticed), "{what}: {events:?}");
        assert_eq!(copy.pending().len(), 1, "{what}: still pending, so people see it");
    }
}
