use super::*;
use crate::authentic::ev2::{self, Ev2Error};
use crate::authentic::sun::{SunError, SunMessage, verify_sun};
use crate::authentic::{Key, hex, ndef};
use crate::emulator::aes::{check_sum, padded_and_encrypted};
use crate::emulator::dialogue::Session;

const UID: [u8; 7] = [0x04, 0x78, 0x2e, 0x21, 0x80, 0x1d, 0x80];

fn bytes(digits: &str) -> Vec<u8> {
    data_encoding::HEXUPPER.decode(digits.as_bytes()).unwrap()
}

fn card() -> Ntag424 {
    Ntag424::new(UID, 1)
}

/// A card in the session of which AN12196 prints these.
fn in_session(number: u8, ti: &str, enc: &str, mac: &str, commands: u16) -> Ntag424 {
    let (enc, mac) = (Key::new(hex(enc)), Key::new(hex(mac)));
    let session = Session { number, ti: hex(ti), enc, mac, commands };
    let mut card = card();
    card.selected = Selected::Application;
    card.dialogue = Dialogue::within(session);
    card
}

const TABLE_14: [&str; 3] =
    ["9D00C4DF", "1309C877509E5A215007FF0ED19CA564", "4C6626F5E72EA694202139295C7A7FC7"];

const TABLE_23: [&str; 3] =
    ["7614281A", "4CF3CB41A22583A61E89B158D252FC53", "5529860B2FC5FB6154B7F28361D30BF9"];

fn of_table([ti, enc, mac]: [&str; 3], commands: u16) -> Ntag424 {
    in_session(0, ti, enc, mac, commands)
}

#[test]
fn an12196_rev_2_0_section_5_6_table_14_authentication() {
    let mut card = card();
    assert_eq!(card.exchange(&ev2::SELECT_NTAG_424), [0x90, 0x00]);
    let ours = Key::new([0; 16]).decrypted(hex::<16>("A04C124213C186F22399D33AC2A30215"));
    card.random = Random::that_begins(&[&ours[..], &hex::<4>("9D00C4DF")].concat());
    let first = card.exchange(&bytes("9071000002000000"));
    assert_eq!(first, bytes("A04C124213C186F22399D33AC2A3021591AF"));
    let second = "90AF00002035C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D00";
    let third = "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F081206639100";
    assert_eq!(card.exchange(&bytes(second)), bytes(third));
}

const NDEF_FILE: &[u8] = b"\x00\x51\xd1\x01\x4d\x55\x04choose.url.com/ntag424\
    ?e=00000000000000000000000000000000&c=0000000000000000";

#[test]
fn an12196_rev_2_0_section_5_8_2_table_17_write_data_in_comm_mode_full() {
    let mut card = of_table(TABLE_14, 0);
    // The example writes encrypted what the factory's settings would have written plainly.
    card.files[NDEF].mode = CommMode::Full;
    card.files[NDEF].rights = [0x00, 0xe0];
    let command = concat!(
        "908D00009F02000000800000421C73A27D827658AF481FDFF20A5025B559D0E3AA21E58D347F343CFFC768BF",
        "E596C706BC00F2176781D4B0242642A0FF5A42C461AAF894D9A1284B8C76BCFA",
        "658ACD40555D362E08DB15CF421B51283F9064BCBE20E96CAE545B407C9D651A",
        "3315B27373772E5DA2367D2064AE054AF996C6F1F669170FA88CE8C4E3A4A7BB",
        "BEF0FD971FF532C3A802AF745660F2B4D1D9A8499661EBF300",
    );
    assert_eq!(card.exchange(&bytes(command)), bytes("FC222E5F7A5424529100"));
    assert_eq!(&card.file(2).unwrap()[..NDEF_FILE.len()], NDEF_FILE);
}

#[test]
fn an12196_rev_2_0_section_5_9_table_18_change_file_settings() {
    let mut card = of_table(TABLE_14, 1);
    card.files[NDEF].rights = [0x00, 0xe0];
    let command = "905F0000190261B6D97903566E84C3AE5274467E89EAD799B7C1A0EF7A0400";
    assert_eq!(card.exchange(&bytes(command)), bytes("57BFF87B1241E93D9100"));
    assert_eq!(card.files[NDEF].rights, [0x00, 0xe0]);
    assert_eq!(card.files[NDEF].sdm.as_ref().unwrap().settings, bytes("C1F121200000430000430000"));
    card.power_off();
    card.exchange(&ev2::SELECT_NTAG_424);
    let settings = card.exchange(&[0x90, 0xf5, 0, 0, 1, 2, 0]);
    assert_eq!(settings, bytes("004000E0000100C1F1212000004300004300009100"));
}

/// With key 3, in the session of the example, the counter at its beginning.
#[test]
fn an12196_rev_2_0_section_5_12_table_21_write_data_to_the_proprietary_file() {
    let (enc, mac) = ("7A93D6571E4B180FCA6AC90C9A7488D4", "FC4AF159B62E549B5812394CAB1918CC");
    let mut card = in_session(3, "7614281A", enc, mac, 0);
    let command = "908D00001F030000000A00006B5E6804909962FC4E3FF5522CF0F8436C0C53315B9C73AA00";
    assert_eq!(card.exchange(&bytes(command)), bytes("C26D236E4A7C046D9100"));
    assert_eq!(&card.file(3).unwrap()[..11], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]);
}

#[test]
fn an12196_rev_2_0_section_5_16_tables_25_and_26_change_key() {
    let mut card = of_table(TABLE_23, 2);
    let other = concat!(
        "90C4000029022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC7",
        "5D0CE20BCD1D06E600",
    );
    assert_eq!(card.exchange(&bytes(other)), bytes("203BB55D1089D5879100"));
    assert_eq!(card.key(2), Some(hex("F3847D627727ED3BC9C4CC050489B966")));
    let own = concat!(
        "90C400002900C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FD",
        "A6610234BDED643200",
    );
    assert_eq!(card.exchange(&bytes(own)), [0x91, 0x00]);
    assert_eq!(card.key(0), Some(hex("5004BF991F408672B1EF00F08F9E8647")));
    assert_eq!(card.dialogue.key_number(), None, "its key is gone, and so is the session");
    assert_eq!(card.exchange(&[0x90, 0x64, 0, 0, 1, 2, 0]), [1, 0x91, 0x00]);
}

/// AN12196 does not print KSesAuthENC of its example (rev 2.0, section 6.3): so here another session.
#[test]
fn get_card_uid_comes_encrypted() {
    let mut card = of_table(TABLE_23, 0);
    let counted = [&[0x51, 0, 0][..], &hex::<4>("7614281A")].concat();
    let mac = Key::new(hex(TABLE_23[2])).short_mac(&counted);
    let answer = card.exchange(&[&[0x90, 0x51, 0, 0, 8][..], &mac, &[0]].concat());
    assert_eq!(answer.len(), 16 + 8 + 2);
    let enc = Key::new(hex(TABLE_23[1]));
    let vector = enc.encrypted::<16>(hex("5AA57614281A01000000000000000000"));
    assert_eq!(answer[..16], padded_and_encrypted(&enc, vector, &UID));
}

/// The reader's side.
fn open(card: &mut Ntag424, number: u8, key: [u8; 16]) -> Result<ev2::Session, Ev2Error> {
    assert_eq!(card.exchange(&ev2::SELECT_NTAG_424), [0x90, 0x00]);
    let (command, state) = ev2::start(Key::new(key), number, [0xa0; 16]);
    let (command, state) = state.take(&card.exchange(&command))?;
    state.take(&card.exchange(&command))
}

/// A command in CommMode.Full, the first of its session.
fn full(card: &mut Ntag424, session: &ev2::Session, ins: u8, header: u8, plain: &[u8]) -> Vec<u8> {
    let mut vector = [0; 16];
    vector[..6].copy_from_slice(&[&[0xa5, 0x5a][..], &session.ti].concat());
    let data = padded_and_encrypted(&session.enc, session.enc.encrypted(vector), plain);
    let counted = [&[ins, 0, 0][..], &session.ti, &[header], &data].concat();
    let mac = session.mac.short_mac(&counted);
    let data = [&[header][..], &data, &mac].concat();
    let length = u8::try_from(data.len()).unwrap();
    card.exchange(&[&[0x90, ins, 0, 0, length][..], &data, &[0]].concat())
}

#[test]
fn the_reader_passes_with_the_right_key_and_reads_with_a_mac() {
    let mut card = card();
    card.files[2].content[..6].copy_from_slice(b"museum");
    card.files[2].mode = CommMode::Mac;
    let mut session = open(&mut card, 2, [0; 16]).unwrap();
    for (offset, expected) in [(0, b"mus"), (3, b"eum")] {
        let (command, state) = session.read(3, offset, 3);
        let data;
        (data, session) = state.take(&card.exchange(&command)).unwrap();
        assert_eq!(data, expected);
    }
    // Beyond the end; and then the session is over.
    let (command, state) = session.read(3, 127, 3);
    let error = state.take(&card.exchange(&command)).unwrap_err();
    assert_eq!(error, Ev2Error::Refused { status: 0x91be });
    assert_eq!(card.dialogue.key_number(), None);
}

#[test]
fn a_reader_with_another_key_does_not_pass_and_a_key_that_is_not_there_is_said() {
    let mut card = card();
    assert_eq!(open(&mut card, 1, [1; 16]).unwrap_err(), Ev2Error::NotGenuine);
    let error = open(&mut card, 5, [0; 16]).unwrap_err();
    assert_eq!(error, Ev2Error::Refused { status: 0x9140 });
    open(&mut card, 4, [0; 16]).unwrap();
}

#[test]
fn a_key_that_was_changed_is_asked_from_then_on_and_only_key_0_changes_keys() {
    let mut card = card();
    let session = open(&mut card, 1, [0; 16]).unwrap();
    let to_five = [&[5; 16][..], &[1], &check_sum(&[5; 16])].concat();
    assert_eq!(full(&mut card, &session, 0xc4, 1, &to_five), [0x91, 0xae]);
    let session = open(&mut card, 0, [0; 16]).unwrap();
    assert_eq!(full(&mut card, &session, 0xc4, 1, &to_five).len(), 10);
    assert_eq!(open(&mut card, 1, [0; 16]).unwrap_err(), Ev2Error::NotGenuine);
    open(&mut card, 1, [5; 16]).unwrap();
    let session = open(&mut card, 0, [0; 16]).unwrap();
    let wrong_sum = [&[5; 16][..], &[1], &[0; 4]].concat();
    assert_eq!(full(&mut card, &session, 0xc4, 2, &wrong_sum), [0x91, 0x1e]);
    assert_eq!(card.key(2), Some([0; 16]));
}

#[test]
fn a_command_whose_mac_was_changed_is_refused_and_ends_the_session() {
    let mut card = card();
    let session = open(&mut card, 2, [0; 16]).unwrap();
    card.files[2].mode = CommMode::Mac;
    let (mut command, _) = session.read(3, 0, 3);
    command[14] ^= 1;
    assert_eq!(card.exchange(&command), [0x91, 0x1e]);
    command[14] ^= 1;
    assert_eq!(card.exchange(&command), [0x91, 0xae]);
}

/// What a telephone does: it selects application and file, and reads the length and the rest.
fn read_as_a_telephone(card: &mut Ntag424) -> Vec<u8> {
    card.power_off();
    assert_eq!(card.exchange(&ev2::SELECT_NTAG_424), [0x90, 0x00]);
    assert_eq!(card.exchange(&[0, 0xa4, 0, 0x0c, 2, 0xe1, 0x04]), [0x90, 0x00]);
    let length = card.exchange(&[0, 0xb0, 0, 0, 2]);
    assert_eq!(length.len(), 4);
    let rest = card.exchange(&[0, 0xb0, 0, 2, length[1]]);
    [&length[..2], &rest[..rest.len() - 2]].concat()
}

/// A card with this key for its MAC, that mirrors; the meta read key is the factory's.
fn mirroring(own: [u8; 16]) -> Ntag424 {
    let mut card = card();
    card.keys[1].bytes = own;
    card.exchange(&ev2::SELECT_NTAG_424);
    card.exchange(&[0, 0xa4, 0, 0x0c, 2, 0xe1, 0x04]);
    let length = u8::try_from(NDEF_FILE.len()).unwrap();
    let write = [&[0, 0xd6, 0, 0, length][..], NDEF_FILE].concat();
    assert_eq!(card.exchange(&write), [0x90, 0x00]);
    let session = open(&mut card, 0, [0; 16]).unwrap();
    let settings = bytes("4000E0C1F121200000430000430000");
    assert_eq!(full(&mut card, &session, 0x5f, 2, &settings).len(), 10);
    card
}

#[test]
fn the_message_that_the_card_mirrors_holds_and_its_counter_goes_up_once_a_reading() {
    let mut card = mirroring([5; 16]);
    for expected in 1..=3 {
        let file = read_as_a_telephone(&mut card);
        let message = SunMessage::from_message(ndef::type_4_message(&file).unwrap()).unwrap();
        let sun = verify_sun(&message, &Key::new([0; 16]), |_| Key::new([5; 16])).unwrap();
        assert_eq!(sun.uid.bytes(), UID);
        assert_eq!(sun.counter, expected);
        let other = verify_sun(&message, &Key::new([0; 16]), |_| Key::new([6; 16]));
        assert_eq!(other, Err(SunError::Mac));
    }
    assert_eq!(card.readings(), 3);
    assert_eq!(&card.file(2).unwrap()[..NDEF_FILE.len()], NDEF_FILE, "nothing is written");
}

#[test]
fn in_a_session_nothing_is_mirrored_and_nothing_is_counted() {
    let mut card = mirroring([5; 16]);
    let session = open(&mut card, 0, [0; 16]).unwrap();
    let read = [0x90, 0xad, 0, 0, 7, 2, 0, 0, 0, 0, 0, 0, 0];
    let answer = card.exchange(&read);
    assert_eq!(&answer[..NDEF_FILE.len()], NDEF_FILE);
    assert_eq!(card.readings(), 0);
    drop(session);
    card.exchange(&ev2::SELECT_NTAG_424);
    assert_ne!(&card.exchange(&read)[..NDEF_FILE.len()], NDEF_FILE);
    assert_eq!(card.readings(), 1);
}

#[test]
fn what_is_not_selected_or_not_allowed_is_refused() {
    let mut card = card();
    for (command, expected) in [
        (&[0, 0xa4, 0, 0x0c, 2, 0xe1, 0x04][..], [0x6a, 0x82]),
        (&[0, 0xb0, 0, 0, 0], [0x6a, 0x82]),
        (&[0x90, 0x71, 0, 0, 2, 0, 0, 0], [0x91, 0x9d]),
        (&ev2::SELECT_NTAG_424, [0x90, 0x00]),
        (&[0, 0xb0, 0x85, 0, 0], [0x69, 0x82]),
        (&[0, 0xd6, 0x83, 0, 1, 7], [0x69, 0x82]),
        (&[0, 0xb0, 0x84, 0xff, 0], [0x00, 0x90]),
        (&[0x90, 0xad, 0, 0, 7, 3, 0, 0, 0, 1, 0, 0, 0], [0x91, 0xae]),
        (&[0x90, 0xad, 0, 0, 7, 2, 0, 1, 0, 1, 0, 0, 0], [0x91, 0xbe]),
        (&[0x90, 0xad, 0, 0, 1, 4, 0], [0x91, 0xf0]),
        (&[0x90, 0x3d, 0, 0, 0], [0x91, 0x1c]),
        (&[0x90, 0x71, 0, 0, 1, 0, 0], [0x91, 0x7e]),
        (&[0x90, 0x71, 0, 0, 2, 0], [0x67, 0x00]),
        (&[0x80, 0, 0, 0], [0x6e, 0x00]),
    ] {
        assert_eq!(card.exchange(command)[..2], expected, "{command:02X?}");
    }
}

#[test]
fn get_version_comes_in_three_frames() {
    let mut card = card();
    assert_eq!(card.exchange(&[0x90, 0x60, 0, 0, 0]), bytes("0404023000110591AF"));
    let more = [0x90, 0xaf, 0, 0, 0];
    assert_eq!(card.exchange(&more), bytes("0404020102110591AF"));
    assert!(card.exchange(&more).starts_with(&UID));
}
