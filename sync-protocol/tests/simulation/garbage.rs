//! Bytes that nobody meant: whatever comes, nothing panics, and bounds are kept.

use crdt_model::catalogue::ItemName;
use crdt_model::ids::PassId;
use crdt_model::ledger::Position;
use crdt_model::time::day_number;
use data_encoding::BASE32_NOPAD;
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use sync_protocol::batch;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskView};
use sync_protocol::feed::Need;
use sync_protocol::frame::{FrameReader, MAX_FRAME_BYTES, frame};
use sync_protocol::invitation::Invitation;
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{
    Ack, Batch, CataloguePage, DeskMessage, HubMessage, Quarantined, Resend, Share,
};
use sync_protocol::version::Version;

use crate::desk::Desk;
use crate::driver::{plain, run, session};
use crate::sessions::{TODAY, batch_of, desk_with, said_by, today, welcome};

/// A byte of a stream at this place (modulo its length) becomes another one.
type Change = (usize, u8);

fn changed(mut stream: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    let length = stream.len();
    for (place, byte) in changes {
        stream[place % length] = *byte;
    }
    stream
}

fn up_stream() -> Vec<u8> {
    let (_, said) = said_by(&mut desk_with(0..20));
    let more = [
        DeskMessage::Positions(vec![]),
        DeskMessage::Have(3, 4),
        DeskMessage::Notices(vec![]),
        DeskMessage::Stated(desk_with([]).key().sign_stated(&[])),
        DeskMessage::Again(vec![ItemName::Policy, ItemName::Pass(PassId(7))], true),
    ];
    said.iter().chain(&more).flat_map(|message| frame(&message.to_bytes())).collect()
}

fn down_stream() -> Vec<u8> {
    let batch = batch_of(&mut desk_with(0..20));
    let (day, writer) = (batch.day, batch.writer);
    let messages = [
        HubMessage::Welcome(welcome(vec![])),
        HubMessage::Ack(Ack { day, writer, sequence: 20, number: None }),
        HubMessage::Resend(Resend { day, writer, held: 3 }),
        HubMessage::Share(Share { batch, venue_version: 1 }),
        HubMessage::Page(CataloguePage {
            from: 0,
            to: 1,
            last: true,
            items: catalogue::pack(&[]),
            stamp: None,
            again_done: false,
        }),
        HubMessage::Quarantined(Quarantined { day, writer, first: 1, reason: "no".to_owned() }),
        HubMessage::Held(vec![]),
        HubMessage::Advance(3),
        HubMessage::Run(Version { run: 3, number: 2 }),
        HubMessage::Notices(vec![], 5),
    ];
    messages.iter().flat_map(|message| frame(&message.to_bytes())).collect()
}

fn hear_as_hub(stream: &[u8], pieces: usize) {
    let mut session = session();
    for piece in stream.chunks(pieces) {
        session.receive(piece);
        run(&mut session, |need| {
            if let Need::Take(batches) = need {
                for batch in batches {
                    judge(batch, &today(), Position::default());
                }
            }
            plain(need)
        });
    }
}

fn hear_as_desk(stream: &[u8], pieces: usize, desk: &mut Desk) {
    let (mut session, _) = said_by(desk);
    for piece in stream.chunks(pieces) {
        for event in session.receive(piece, desk).0 {
            match event {
                DeskEvent::Shared(share) => {
                    judge(&share.batch, &today(), Position::default());
                }
                DeskEvent::Page(page) => {
                    let _ = catalogue::unpack(&page.items);
                }
                DeskEvent::Welcomed(_)
                | DeskEvent::Acknowledged { .. }
                | DeskEvent::AcknowledgementsLost
                | DeskEvent::Compared
                | DeskEvent::Behind { .. }
                | DeskEvent::Diverged { .. }
                | DeskEvent::Advanced(_)
                | DeskEvent::Quarantined(_)
                | DeskEvent::Answered(_)
                | DeskEvent::Granted { .. }
                | DeskEvent::Holders(_)
                | DeskEvent::CardKeys(_)
                | DeskEvent::UsedTwice(_)
                | DeskEvent::Told(_)
                | DeskEvent::Notices { .. }
                | DeskEvent::AgainDone { .. }
                | DeskEvent::Ended(_)
                | DeskEvent::HubClock { .. } => {}
            }
        }
        // What it was told may change what it says next.
        while session.next_frame(desk).is_some() {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_reader_takes_any_bytes_in_any_pieces(bytes in vec(any::<u8>(), 0..400), pieces in 1..50usize) {
        let mut reader = FrameReader::default();
        for piece in bytes.chunks(pieces) {
            reader.push(piece);
            while let Ok(Some(contents)) = reader.next_frame() {
                prop_assert!(contents.len() <= MAX_FRAME_BYTES);
            }
        }
    }

    #[test]
    fn sessions_take_any_frames(contents in vec(vec(any::<u8>(), 0..60), 0..8), pieces in 1..50usize) {
        let frames: Vec<u8> = contents.iter().flat_map(|contents| frame(contents)).collect();
        let mut desk = desk_with(0..3);
        for opening in [true, false] {
            let hello = if opening { up_stream() } else { Vec::new() };
            hear_as_hub(&[hello, frames.clone()].concat(), pieces);
            let welcome = if opening { down_stream() } else { Vec::new() };
            hear_as_desk(&[welcome, frames.clone()].concat(), pieces, &mut desk);
        }
    }

    #[test]
    fn sessions_take_streams_in_which_bytes_were_changed(
        changes in vec(any::<Change>(), 1..6),
        pieces in 1..200usize,
    ) {
        hear_as_hub(&changed(up_stream(), &changes), pieces);
        hear_as_desk(&changed(down_stream(), &changes), pieces, &mut desk_with(0..3));
    }

    #[test]
    fn any_bytes_are_unpacked_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = batch::unpack(&bytes);
        let _ = catalogue::unpack(&bytes);
        let _ = DeskMessage::from_bytes(&bytes);
        let _ = HubMessage::from_bytes(&bytes);
    }

    /// The same in whole packings, so that what is inside is read, too.
    #[test]
    fn any_entries_are_judged_and_only_sealed_ones_merged(
        entries in vec(vec(any::<u8>(), 1..=256), 0..20),
        first in prop_oneof![0..3u64, any::<u64>()],
        sequence in prop_oneof![0..3u64, any::<u64>()],
    ) {
        let (packed, count) = batch::pack(entries.iter().map(Vec::as_slice));
        prop_assert_eq!(batch::unpack(&packed), Ok(entries[..count].to_vec()));
        let sealed = batch_of(&mut desk_with(0..3));
        let batch = Batch { day: day_number(TODAY), entries: packed, first, ..sealed };
        let judgement = judge(&batch, &today(), Position { sequence, head: [0; 32] });
        prop_assert!(!matches!(judgement, Judgement::Merge(_)));
    }

    #[test]
    fn any_text_is_an_invitation_or_refused(text in ".*", bytes in vec(any::<u8>(), 0..120)) {
        let _ = text.parse::<Invitation>();
        let _ = format!("STEMPEL1{text}").parse::<Invitation>();
        // With the right check behind it, the contents are read.
        let check = Sha256::digest(&bytes);
        let checked = BASE32_NOPAD.encode(&[&bytes[..], &check[..4]].concat());
        let _ = format!("STEMPEL1{checked}").parse::<Invitation>();
    }
}
