use proptest::prelude::*;
use ring::signature::KeyPair;

use super::*;

const CHIP: &str = "04784CDAEE3880";
const ISSUED: Issued = Issued { key: 7, day: 20_778, keyed: false };

fn chip(text: &str) -> ChipNumber {
    text.parse().unwrap()
}

fn issuer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn trusted(number: u32, seed: u8) -> IssuerKey {
    IssuerKey { number, public: issuer(seed).public_key().as_ref().try_into().unwrap() }
}

fn pass() -> SignedPass {
    SignedPass::sign(&chip(CHIP), ISSUED, &issuer(1))
}

/// The memory of an NTAG213 that holds this message.
fn ntag213(message: &[u8]) -> Vec<u8> {
    let mut memory = vec![0; 16];
    memory[12..].copy_from_slice(&[0xe1, 0x10, 0x12, 0x00]);
    memory.extend(ndef::type_2_pages(message).unwrap());
    memory
}

/// What this file's [`pass`] wrote in format 1. Cards out there have it: it must stay readable.
const WRITTEN_BY_FORMAT_1: &str = concat!(
    "d4144d7374656d70656c2e6578616d706c653a706173738249a3000101070219512a5840",
    "ba8c432231fe014a8860aacb19520b0c59b0b6d6a9329abb058709d71f0c4566",
    "7e16047892ebba9b86c05cbeb658810fa65255a3fe007fd670c074f39a221802",
);

#[test]
fn a_pass_of_format_1_is_written_and_read_as_ever() {
    let message = data_encoding::HEXLOWER.decode(WRITTEN_BY_FORMAT_1.as_bytes()).unwrap();
    assert_eq!(data_encoding::HEXLOWER.encode(&pass().to_message()), WRITTEN_BY_FORMAT_1);
    let read = SignedPass::from_message(&message).unwrap();
    assert_eq!(read.verify(&chip(CHIP), &[trusted(7, 1)]), Ok(ISSUED));
}

#[test]
fn a_pass_is_read_back_from_a_cards_memory_and_holds_for_that_card() {
    let read = SignedPass::from_type_2(&ntag213(&pass().to_message())).unwrap();
    assert_eq!(read, pass());
    let keys = [trusted(6, 9), trusted(7, 1), trusted(8, 2)];
    assert_eq!(read.verify(&chip(CHIP), &keys), Ok(ISSUED));
}

#[test]
fn the_longest_pass_fits_an_ntag213() {
    let longest = Issued { key: u32::MAX, day: i32::MIN, keyed: true };
    let pass = SignedPass::sign(&ChipNumber::from_bytes(&[0xff; 10]).unwrap(), longest, &issuer(1));
    assert_eq!(ndef::type_2_pages(&pass.to_message()).unwrap().len(), 112);
}

#[test]
fn a_pass_that_was_copied_onto_another_card_does_not_hold_there() {
    for other in ["04784CDAEE3881", "04784CDA", "04784CDAEE3880000000"] {
        let verified = pass().verify(&chip(other), &[trusted(7, 1)]);
        assert_eq!(verified, Err(SignedError::Signature), "{other}");
    }
}

#[test]
fn a_pass_of_another_issuer_does_not_hold() {
    assert_eq!(pass().verify(&chip(CHIP), &[trusted(7, 2)]), Err(SignedError::Signature));
    let unknown = Err(SignedError::UnknownKey { key: 7 });
    assert_eq!(pass().verify(&chip(CHIP), &[trusted(8, 1)]), unknown);
    assert_eq!(pass().verify(&chip(CHIP), &[]), unknown);
}

#[test]
fn a_field_that_was_changed_does_not_hold() {
    let mut changed = pass();
    let last = changed.fields.len() - 1;
    changed.fields[last] ^= 1;
    assert_eq!(changed.verify(&chip(CHIP), &[trusted(7, 1)]), Err(SignedError::Signature));
}

/// A pass whose fields are these, signed as a later Stempel might.
fn pass_with(fields: Vec<u8>) -> SignedPass {
    let signature = issuer(1).sign(&signed_bytes(&chip(CHIP), &fields)).as_ref().to_vec();
    SignedPass { fields, signature }
}

#[test]
fn a_field_that_this_desk_does_not_know_is_skipped_and_signed_all_the_same() {
    // {0: 1, 1: 7, 2: 20778, 9: "later"}
    let fields = b"\xa4\x00\x01\x01\x07\x02\x19\x51\x2a\x09\x65later".to_vec();
    let later = pass_with(fields);
    assert_eq!(later.verify(&chip(CHIP), &[trusted(7, 1)]), Ok(ISSUED));
}

#[test]
fn a_later_format_is_told_from_a_forgery() {
    let later = pass_with(vec![0xa3, 0, 2, 1, 7, 2, 0]);
    let verified = later.verify(&chip(CHIP), &[trusted(7, 1)]);
    assert_eq!(verified, Err(SignedError::UnknownFormat { format: 2 }));
    let nonsense = pass_with(vec![0xff]);
    assert_eq!(nonsense.verify(&chip(CHIP), &[trusted(7, 1)]), Err(SignedError::Malformed));
}

#[test]
fn a_card_without_a_pass_says_so() {
    let web = Record { format: TypeFormat::WellKnown, kind: b"U", payload: b"\x04stempel.example" };
    let memory = ntag213(&web.message().unwrap());
    assert_eq!(SignedPass::from_type_2(&memory), Err(SignedError::NoPass));
    let empty = SignedPass::from_type_2(&[0; 64]);
    assert_eq!(empty, Err(SignedError::Ndef(NdefError::NotFormatted)));
    let kind = RECORD_TYPE.as_bytes();
    let nonsense = Record { format: TypeFormat::External, kind, payload: b"\xff" };
    let memory = ntag213(&nonsense.message().unwrap());
    assert_eq!(SignedPass::from_type_2(&memory), Err(SignedError::Malformed));
}

#[test]
fn the_type_is_the_same_in_upper_case() {
    let mut message = pass().to_message();
    message[3..3 + RECORD_TYPE.len()].make_ascii_uppercase();
    assert_eq!(SignedPass::from_message(&message), Ok(pass()));
}

proptest! {
    #[test]
    fn no_change_to_a_card_makes_a_pass_that_says_something_else(
        place in 0usize..140,
        with: u8,
    ) {
        let mut memory = ntag213(&pass().to_message());
        if let Some(byte) = memory.get_mut(place) {
            *byte = with;
        }
        if let Ok(read) = SignedPass::from_type_2(&memory) {
            let verified = read.verify(&chip(CHIP), &[trusted(7, 1)]);
            prop_assert!(verified.is_err() || verified == Ok(ISSUED));
        }
    }

    #[test]
    fn any_payload_is_read_or_refused(payload: Vec<u8>) {
        let kind = RECORD_TYPE.as_bytes();
        let record = Record { format: TypeFormat::External, kind, payload: &payload };
        if let Ok(read) = SignedPass::from_message(&record.message().unwrap()) {
            prop_assert!(read.verify(&chip(CHIP), &[trusted(7, 1)]).is_err());
        }
    }
}
