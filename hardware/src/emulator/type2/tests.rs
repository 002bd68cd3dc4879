use proptest::prelude::*;

use super::*;
use crate::authentic::ultralight_aes::{self, KeyNumber, Session, UltralightError};
use crate::authentic::{Key, ndef};

const UID: [u8; 7] = [0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80];

fn tag(model: Model) -> Type2 {
    Type2::new(model, UID, 3)
}

fn answer(tag: &mut Type2, command: &[u8]) -> Vec<u8> {
    match tag.exchange(command) {
        Reaction::Answer(answer) => answer,
        // What a reader hands on of a NAK.
        Reaction::Nak(nak) => vec![nak],
        other => panic!("{other:?} to {command:02X?}"),
    }
}

#[test]
fn a_tag_says_its_version_and_shows_its_uid_with_check_bytes() {
    for (model, code, size) in
        [(Model::Ntag213, 0x0f, 0x12), (Model::Ntag215, 0x11, 0x3e), (Model::Ntag216, 0x13, 0x6d)]
    {
        let mut tag = tag(model);
        let expected = vec![0x00, 0x04, 0x04, 0x02, 0x01, 0x00, code, 0x03];
        assert_eq!(tag.exchange(&[0x60]), Reaction::Answer(expected));
        let head = answer(&mut tag, &[0x30, 0]);
        assert_eq!(head[..4], [0x04, 0x78, 0x4c, 0x88 ^ 0x04 ^ 0x78 ^ 0x4c]);
        assert_eq!(head[4..9], [0xda, 0xee, 0x38, 0x80, 0xda ^ 0xee ^ 0x38 ^ 0x80]);
        assert_eq!(head[12..], [0xe1, 0x10, size, 0x00]);
        assert_eq!(ndef::type_2_message(tag.memory()), Err(ndef::NdefError::NoMessage));
    }
    let version = answer(&mut tag(Model::UltralightAes), &[0x60]);
    assert_eq!(version, [0x00, 0x04, 0x03, 0x01, 0x04, 0x00, 0x0f, 0x03]);
}

#[test]
fn a_read_goes_on_at_page_0_behind_the_last_page_and_a_page_that_is_not_there_is_refused() {
    for model in
        [Model::Ntag213, Model::Ntag215, Model::Ntag216, Model::UltralightEv1, Model::UltralightAes]
    {
        let mut tag = tag(model);
        let pages = model.layout().pages;
        let last = answer(&mut tag, &[0x30, pages - 1]);
        assert_eq!(last[..4], [0; 4]);
        assert_eq!(last[4..7], UID[..3]);
        assert_eq!(tag.exchange(&[0x30, pages]), Reaction::Nak(0));
        assert_eq!(tag.exchange(&[0xa2, pages, 1, 2, 3, 4]), Reaction::Nak(0));
        let all = answer(&mut tag, &[0x3a, 0, pages - 1]);
        assert_eq!(all.len(), usize::from(pages) * 4);
        assert_eq!(tag.exchange(&[0x3a, 0, pages]), Reaction::Nak(0));
        assert_eq!(tag.exchange(&[0x3a, 4, 3]), Reaction::Nak(0));
    }
}

#[test]
fn a_page_holds_what_was_written_and_the_uid_stays() {
    let mut tag = tag(Model::Ntag213);
    assert_eq!(tag.exchange(&[0xa2, 4, 1, 2, 3, 4]), Reaction::Ack);
    assert_eq!(answer(&mut tag, &[0x30, 4])[..4], [1, 2, 3, 4]);
    for page in [0, 1] {
        assert_eq!(tag.exchange(&[0xa2, page, 0, 0, 0, 0]), Reaction::Nak(0));
    }
    assert_eq!(tag.exchange(&[0x99]), Reaction::Nak(0));
    assert_eq!(tag.exchange(&[]), Reaction::Nak(0));
}

#[test]
fn lock_bits_and_capability_container_go_one_way_and_a_locked_page_refuses_writes() {
    let mut tag = tag(Model::Ntag213);
    tag.exchange(&[0xa2, 3, 0, 0, 0, 0x0f]);
    tag.exchange(&[0xa2, 3, 0, 0, 0, 0]);
    assert_eq!(tag.memory()[12..16], [0xe1, 0x10, 0x12, 0x0f]);
    // Page 5, and the block bit of 4 to 9; check byte and internal byte are not written.
    tag.exchange(&[0xa2, 2, 0xff, 0xff, 0x22, 0]);
    assert_eq!(tag.memory()[9..12], [0x48, 0x22, 0]);
    assert_eq!(tag.exchange(&[0xa2, 5, 9, 9, 9, 9]), Reaction::Nak(0));
    assert_eq!(tag.exchange(&[0xa2, 4, 9, 9, 9, 9]), Reaction::Ack);
    tag.exchange(&[0xa2, 2, 0, 0, 0x10, 0x05]);
    assert_eq!(tag.memory()[10..12], [0x22, 0x04], "4 and 8 are held open, 10 is locked");
    assert_eq!(tag.exchange(&[0xa2, 10, 9, 9, 9, 9]), Reaction::Nak(0));
    // The dynamic ones: pages 16 and 17.
    assert_eq!(tag.exchange(&[0xa2, 0x28, 1, 0, 0, 0]), Reaction::Ack);
    assert_eq!(tag.memory()[0xa0..0xa4], [1, 0, 0, 0xbd]);
    assert_eq!(tag.exchange(&[0xa2, 17, 9, 9, 9, 9]), Reaction::Nak(0));
    assert_eq!(tag.exchange(&[0xa2, 18, 9, 9, 9, 9]), Reaction::Ack);
}

#[test]
fn a_password_opens_what_it_protects_and_is_never_shown() {
    let mut tag = tag(Model::Ntag215);
    for write in [
        [0xa2, 0x85, 1, 2, 3, 4],
        [0xa2, 0x86, 5, 6, 0, 0],
        // Reading as well, and two attempts.
        [0xa2, 0x84, 0x82, 5, 0, 0],
        [0xa2, 0x83, 4, 0, 0, 6],
    ] {
        assert_eq!(tag.exchange(&write), Reaction::Ack);
    }
    assert_eq!(answer(&mut tag, &[0x30, 5])[4..7], UID[..3], "page 0 comes behind page 5");
    assert_eq!(tag.exchange(&[0x30, 6]), Reaction::Nak(0));
    assert_eq!(tag.exchange(&[0xa2, 6, 9, 9, 9, 9]), Reaction::Nak(0));
    assert_eq!(tag.exchange(&[0x1b, 1, 2, 3, 4]), Reaction::Answer(vec![5, 6]));
    assert_eq!(answer(&mut tag, &[0x30, 0x85])[..8], [0; 8]);
    assert_eq!(tag.exchange(&[0xa2, 6, 9, 9, 9, 9]), Reaction::Ack);
    tag.select();
    assert_eq!(tag.exchange(&[0x30, 6]), Reaction::Nak(0));
    for nak in [0, 0, 4] {
        assert_eq!(tag.exchange(&[0x1b, 0, 0, 0, 0]), Reaction::Nak(nak));
    }
    assert_eq!(tag.exchange(&[0x1b, 1, 2, 3, 4]), Reaction::Nak(4), "closed for ever");
}

#[test]
fn readings_are_counted_once_while_the_tag_has_power_if_that_is_switched_on() {
    let mut tag = tag(Model::Ntag213);
    assert_eq!(tag.exchange(&[0x39, 2]), Reaction::Nak(0));
    tag.exchange(&[0xa2, 0x2a, 0x10, 5, 0, 0]);
    for count in 1..=3 {
        tag.exchange(&[0x30, 0]);
        tag.exchange(&[0x3a, 0, 3]);
        assert_eq!(answer(&mut tag, &[0x39, 2]), [count, 0, 0]);
        tag.power_off();
    }
    let mut ultralight = super::tests::tag(Model::UltralightEv1);
    assert_eq!(ultralight.exchange(&[0xa5, 1, 0, 1, 0, 0]), Reaction::Ack);
    assert_eq!(answer(&mut ultralight, &[0x39, 1]), [0, 1, 0]);
    assert_eq!(ultralight.exchange(&[0xa5, 1, 0xff, 0xff, 0xff, 0]), Reaction::Nak(0));
}

fn open(tag: &mut Type2, key: [u8; 16], number: KeyNumber) -> Result<Session, UltralightError> {
    let (command, state) = ultralight_aes::start(Key::new(key), number, [0xa1; 16]);
    let (command, state) = state.take(&answer(tag, &command))?;
    state.take(&answer(tag, &command))
}

fn write_key(tag: &mut Type2, first: u8, mut key: [u8; 16]) {
    key.reverse();
    for (page, part) in (first..).zip(key.as_chunks::<4>().0) {
        assert_eq!(tag.exchange(&[&[0xa2, page][..], part].concat()), Reaction::Ack);
    }
}

const KEY: [u8; 16] = *b"0123456789abcdef";

#[test]
fn the_reader_passes_an_ultralight_aes_with_the_right_key_and_with_no_other() {
    let mut tag = tag(Model::UltralightAes);
    open(&mut tag, [0; 16], KeyNumber::DataProtection).unwrap();
    write_key(&mut tag, 0x30, KEY);
    assert_eq!(answer(&mut tag, &[0x30, 0x30]), [0; 16], "nobody reads a key");
    open(&mut tag, KEY, KeyNumber::DataProtection).unwrap();
    let error = open(&mut tag, [0; 16], KeyNumber::DataProtection).unwrap_err();
    assert_eq!(error, UltralightError::NotGenuine);
    open(&mut tag, [0; 16], KeyNumber::UidRetrieval).unwrap();
    write_key(&mut tag, 0x34, [9; 16]);
    open(&mut tag, [9; 16], KeyNumber::UidRetrieval).unwrap();
    // Locked, it stays.
    assert_eq!(tag.exchange(&[0xa2, 0x2d, 1, 0, 0, 0]), Reaction::Ack);
    assert_eq!(tag.exchange(&[0xa2, 0x30, 0, 0, 0, 0]), Reaction::Nak(0));
}

#[test]
fn only_the_data_protection_key_opens_what_is_protected() {
    let mut tag = tag(Model::UltralightAes);
    assert_eq!(tag.exchange(&[0xa2, 0x29, 0, 0, 0, 8]), Reaction::Ack);
    assert_eq!(tag.exchange(&[0xa2, 8, 1, 1, 1, 1]), Reaction::Nak(0));
    open(&mut tag, [0; 16], KeyNumber::UidRetrieval).unwrap();
    assert_eq!(tag.exchange(&[0xa2, 8, 1, 1, 1, 1]), Reaction::Nak(0));
    open(&mut tag, [0; 16], KeyNumber::DataProtection).unwrap();
    assert_eq!(tag.exchange(&[0xa2, 8, 1, 1, 1, 1]), Reaction::Ack);
    tag.power_off();
    assert_eq!(tag.exchange(&[0xa2, 8, 2, 2, 2, 2]), Reaction::Nak(0));
}

#[test]
fn a_session_with_macs_is_read_and_written_and_ends_with_a_wrong_one() {
    let mut tag = tag(Model::UltralightAes);
    assert_eq!(tag.exchange(&[0xa2, 0x29, 0x02, 0, 0, 4]), Reaction::Ack);
    let session = open(&mut tag, [0; 16], KeyNumber::DataProtection).unwrap();
    let (command, state) = session.command([0xa2, 4, 1, 2, 3, 4]);
    let (data, session) = state.take(&answer(&mut tag, &command)).unwrap();
    assert!(data.is_empty());
    let (command, state) = session.read(4);
    let (data, session) = state.take(&answer(&mut tag, &command)).unwrap();
    assert_eq!(data[..4], [1, 2, 3, 4]);
    let (mut command, _) = session.command([0xa2, 4, 5, 6, 7, 8]);
    command[2] ^= 1;
    assert_eq!(tag.exchange(&command), Reaction::Nak(0));
    assert_eq!(tag.exchange(&[0xa2, 4, 5, 6, 7, 8]), Reaction::Nak(0));
    assert_eq!(tag.memory()[16..20], [1, 2, 3, 4]);
}

#[test]
fn too_many_failed_authentications_close_an_ultralight_aes_that_is_set_to_count_them() {
    let mut tag = tag(Model::UltralightAes);
    assert_eq!(tag.exchange(&[0xa2, 0x2a, 0, 5, 2, 0]), Reaction::Ack);
    for _ in 0..2 {
        let error = open(&mut tag, KEY, KeyNumber::DataProtection).unwrap_err();
        assert_eq!(error, UltralightError::NotGenuine);
    }
    let error = open(&mut tag, [0; 16], KeyNumber::DataProtection).unwrap_err();
    assert_eq!(error, UltralightError::Refused { nak: 0 });
}

proptest! {
    /// Whatever is written where: the UID stays, and lock bits are never taken back.
    #[test]
    fn no_write_undoes_a_lock_or_makes_a_tag_panic(
        writes in proptest::collection::vec((0..60u8, any::<[u8; 4]>()), 0..60),
    ) {
        for model in [Model::Ntag213, Model::UltralightEv1, Model::UltralightAes] {
            let mut tag = tag(model);
            for (page, data) in &writes {
                let before = tag.page(2);
                let locked = (3..16).filter(|page| tag.is_locked(*page)).collect::<Vec<_>>();
                tag.exchange(&[&[0xa2, *page][..], data].concat());
                tag.exchange(&[0x30, *page]);
                prop_assert!((2..4).all(|at| before[at] & !tag.page(2)[at] == 0));
                prop_assert!(locked.iter().all(|page| tag.is_locked(*page)));
                prop_assert_eq!(&tag.memory()[..3], &UID[..3]);
            }
        }
    }
}
