use proptest::prelude::*;

use super::*;
use crate::authentic::diversify::{DiversificationInput, diversified};
use crate::authentic::hex;

/// The factory's key, which all of AN12196's authentications use.
const FACTORY: [u8; BLOCK] = [0; BLOCK];

fn bytes(digits: &str) -> Vec<u8> {
    data_encoding::HEXUPPER.decode(digits.as_bytes()).unwrap()
}

/// One authentication that AN12196 prints.
struct Example {
    number: u8,
    random: &'static str,
    commands: [&'static str; 2],
    answers: [&'static str; 2],
    ti: &'static str,
    enc: &'static str,
    mac: &'static str,
}

impl Example {
    fn plays(&self) -> Session {
        let (command, state) = start(Key::new(FACTORY), self.number, hex(self.random));
        assert_eq!(command, bytes(self.commands[0]));
        let (command, state) = state.take(&bytes(self.answers[0])).unwrap();
        assert_eq!(command, bytes(self.commands[1]));
        let session = state.take(&bytes(self.answers[1])).unwrap();
        assert_eq!(session.ti, hex(self.ti));
        assert_eq!(session.enc.bytes(), &hex(self.enc));
        assert_eq!(session.mac.bytes(), &hex(self.mac));
        session
    }
}

const TABLE_14: Example = Example {
    number: 0,
    random: "13C5DB8A5930439FC3DEF9A4C675360F",
    commands: [
        "9071000002000000",
        "90AF00002035C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D00",
    ],
    answers: [
        "A04C124213C186F22399D33AC2A3021591AF",
        "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F081206639100",
    ],
    ti: "9D00C4DF",
    enc: "1309C877509E5A215007FF0ED19CA564",
    mac: "4C6626F5E72EA694202139295C7A7FC7",
};

const TABLE_19: Example = Example {
    number: 3,
    random: "B98F4C50CF1C2E084FD150E33992B048",
    commands: [
        "9071000002030000",
        "90AF000020FF0306E47DFBC50087C4D8A78E88E62DE1E8BE457AA477C707E2F0874916A8B100",
    ],
    answers: [
        "B875CEB0E66A6C5CD00898DC371F92D191AF",
        "0CC9A8094A8EEA683ECAAC5C7BF20584206D0608D477110FC6B3D5D3F65C3A6A9100",
    ],
    ti: "7614281A",
    enc: "7A93D6571E4B180FCA6AC90C9A7488D4",
    mac: "FC4AF159B62E549B5812394CAB1918CC",
};

/// A session of which AN12196 prints these.
fn session(ti: &str, mac: &str, commands: u16) -> Session {
    Session { ti: hex(ti), enc: Key::new([0xee; BLOCK]), mac: Key::new(hex(mac)), commands }
}

#[test]
fn an12196_rev_2_0_table_22_select_application() {
    assert_eq!(SELECT_NTAG_424.to_vec(), bytes("00A4040C07D276000085010100"));
}

#[test]
fn an12196_rev_2_0_section_5_6_table_14_authenticate_with_key_0() {
    TABLE_14.plays();
}

#[test]
fn an12196_rev_2_0_section_5_10_table_19_authenticate_with_key_3() {
    TABLE_19.plays();
}

/// AuthenticateEV2NonFirst is not ours, but its keys are made in the same way.
#[test]
fn an12196_rev_2_0_section_5_14_table_23_session_keys() {
    let asking = Asking::new(Key::new(FACTORY), hex("60BE759EDA560250AC57CDDC11743CF6"));
    let (second_pass, proving) = asking.challenged(hex("A6A2B3C572D06C097BB8DB70463E22DC"));
    let expected = "BE7D45753F2CAB85F34BC60CE58B940763FE969658A532DF6D95EA2773F6E991";
    assert_eq!(second_pass, hex(expected));
    let proof = proving.decrypted(hex::<BLOCK>("B888349C24B315EAB5B589E279C8263E"));
    assert!(proving.is_proof(&*proof));
    let keys = [FOR_ENCRYPTION, FOR_MAC].map(|label| proving.session_key(label));
    assert_eq!(keys[0].bytes(), &hex("4CF3CB41A22583A61E89B158D252FC53"));
    assert_eq!(keys[1].bytes(), &hex("5529860B2FC5FB6154B7F28361D30BF9"));
}

/// GetFileSettings of file 2.
#[test]
fn an12196_rev_2_0_section_4_3_table_7_command_and_response_in_comm_mode_mac() {
    let session = session("7A21085E", "8248134A386E86EB7FAF54A52E536CB6", 0);
    let (command, state) = session.command(0xf5, [0x02]);
    assert_eq!(command, bytes("90F5000009026597A457C8CD442C00"));
    let settings = "0040EEEE000100D1FE001F00004400004400002000006A0000";
    let (data, session) = state.take(&bytes(&format!("{settings}2A474282E7A479869100"))).unwrap();
    assert_eq!(data, bytes(settings));
    assert_eq!(session.commands, 1);
}

/// The MACs of CommMode.Full are made as in CommMode.MAC, over the encrypted data.
fn macs<const N: usize>(
    session: Session,
    instruction: u8,
    data: &str,
    mac: &str,
) -> AwaitingAnswer {
    let (command, state) = session.command::<N>(instruction, hex(data));
    assert_eq!(command[5..], bytes(&format!("{data}{mac}00")));
    state
}

#[test]
fn an12196_rev_2_0_section_5_8_2_table_17_macs_of_command_and_response() {
    let data = concat!(
        "02000000800000421C73A27D827658AF481FDFF20A5025B559D0E3AA21E58D347F343CFFC768BF",
        "E596C706BC00F2176781D4B0242642A0FF5A42C461AAF894D9A1284B8C76BCFA",
        "658ACD40555D362E08DB15CF421B51283F9064BCBE20E96CAE545B407C9D651A",
        "3315B27373772E5DA2367D2064AE054AF996C6F1F669170FA88CE8C4E3A4A7BB",
        "BEF0FD971FF532C3A802AF745660F2B4",
    );
    let state = macs::<151>(TABLE_14.plays(), 0x8d, data, "D1D9A8499661EBF3");
    assert_eq!(state.take(&bytes("FC222E5F7A5424529100")).unwrap().1.commands, 1);
}

#[test]
fn an12196_rev_2_0_section_5_9_table_18_macs_of_command_and_response() {
    let session = Session { commands: 1, ..TABLE_14.plays() };
    let data = "0261B6D97903566E84C3AE5274467E89EA";
    let state = macs::<17>(session, 0x5f, data, "D799B7C1A0EF7A04");
    assert_eq!(state.take(&bytes("57BFF87B1241E93D9100")).unwrap().1.commands, 2);
}

#[test]
fn an12196_rev_2_0_section_5_16_table_25_macs_of_command_and_response() {
    let session = session("7614281A", "5529860B2FC5FB6154B7F28361D30BF9", 2);
    let data = "022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC7";
    let state = macs::<33>(session, 0xc4, data, "5D0CE20BCD1D06E6");
    assert_eq!(state.take(&bytes("203BB55D1089D5879100")).unwrap().1.commands, 3);
}

/// The card changes the key of this session, and so its answer has no MAC.
#[test]
fn an12196_rev_2_0_section_5_16_table_26_mac_of_command() {
    let session = session("7614281A", "5529860B2FC5FB6154B7F28361D30BF9", 3);
    let data = "00C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FD";
    macs::<33>(session, 0xc4, data, "A6610234BDED6432");
}

/// ChangeFileSettings of the NDEF file: AN12196 prints the settings and their encrypted form.
#[test]
fn an12196_rev_2_0_section_5_9_table_18_encrypted_command() {
    let session = Session { commands: 1, ..TABLE_14.plays() };
    let settings = bytes("4000E0C1F121200000430000430000");
    let (command, _) = session.change_file_settings(2, &settings);
    assert_eq!(command, bytes("905F0000190261B6D97903566E84C3AE5274467E89EAD799B7C1A0EF7A0400"));
}

fn full_session(commands: u16) -> Session {
    Session {
        enc: Key::new(hex("4CF3CB41A22583A61E89B158D252FC53")),
        ..session("7614281A", "5529860B2FC5FB6154B7F28361D30BF9", commands)
    }
}

#[test]
fn an12196_rev_2_0_section_5_16_1_table_25_change_of_another_key() {
    let new = Key::new(hex("F3847D627727ED3BC9C4CC050489B966"));
    assert_eq!(check_of_key(new.bytes()), hex("789DFADC"));
    let (command, state) = full_session(2).change_key(2, &Key::new(FACTORY), &new, 1);
    let data = "022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC7";
    assert_eq!(command, bytes(&format!("90C4000029{data}5D0CE20BCD1D06E600")));
    assert_eq!(state.take(&bytes("203BB55D1089D5879100")).unwrap().1.commands, 3);
}

#[test]
fn an12196_rev_2_0_section_5_16_2_table_26_change_of_the_sessions_own_key() {
    let new = Key::new(hex("5004BF991F408672B1EF00F08F9E8647"));
    let command = full_session(3).change_own_key(0, &new, 1);
    let data = "00C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FD";
    assert_eq!(command, bytes(&format!("90C4000029{data}A6610234BDED643200")));
    assert_eq!(changed_own_key(&[0x91, 0x00]), Ok(()));
    assert!(changed_own_key(&[0x91, 0x1e]).is_err());
}

/// GetCardUID: the only example without a header, and with data in the answer.
#[test]
fn an12196_rev_2_0_section_6_3_table_28_macs_of_command_and_response() {
    let session = session("DF055522", "379D32130CE61705DD5FD8C36B95D764", 0);
    let state = macs::<0>(session, 0x51, "", "8E2C155ADDA99BE3");
    let answer = "70756055688505B52A5E26E59E329CD6595F672298EA41B79100";
    assert_eq!(state.take(&bytes(answer)).unwrap().0, bytes("70756055688505B52A5E26E59E329CD6"));
}

#[test]
fn a_desfire_application_is_selected_by_its_aid() {
    assert_eq!(select_desfire([1, 2, 3]), [0x90, 0x5a, 0, 0, 3, 1, 2, 3, 0]);
}

/// The other side, written from the card's point of view.
struct Card {
    key: Key,
    random: [u8; BLOCK],
    ti: [u8; TI],
    file: Vec<u8>,
}

impl Card {
    fn with(key: Key) -> Self {
        Self { key, random: [0xb0; BLOCK], ti: [1, 2, 3, 4], file: b"museum".to_vec() }
    }

    fn challenge(&self) -> Vec<u8> {
        [&self.key.encrypted(self.random)[..], &[0x91, 0xaf]].concat()
    }

    fn proof(&self, command: &[u8]) -> Vec<u8> {
        assert_eq!(command[..5], [0x90, 0xaf, 0, 0, 32]);
        let both = self.key.decrypted::<32>(command[5..37].try_into().unwrap());
        let (theirs, ours) = both.split_at(BLOCK);
        let mut expected = self.random;
        expected.rotate_left(1);
        if ours != expected {
            return vec![0x91, 0xae];
        }
        let mut plain = [0; 32];
        plain[..4].copy_from_slice(&self.ti);
        plain[4..19].copy_from_slice(&theirs[1..]);
        plain[19] = theirs[0];
        [&self.key.encrypted(plain)[..], &[0x91, 0x00]].concat()
    }

    /// ReadData as the card does it, in the session that the reader has.
    fn read(&self, command: &[u8], mac: &Key, commands: u16) -> Vec<u8> {
        let header = &command[5..12];
        let counted = |code: u8, commands: u16, data: &[u8]| {
            [&[code], &commands.to_le_bytes()[..], &self.ti, data].concat()
        };
        assert_eq!(command[12..20], mac.short_mac(&counted(0xad, commands, header)));
        let offset = usize::from(u16::from_le_bytes([header[1], header[2]]));
        let data = &self.file[offset..offset + usize::from(header[4])];
        let mac = mac.short_mac(&counted(0, commands + 1, data));
        [data, &mac, &[0x91, 0x00]].concat()
    }
}

fn own_key(chip: &str) -> Key {
    let input = DiversificationInput::of_card(chip.parse().unwrap(), [0xf5, 0x42, 0x30]);
    diversified(&Key::new([9; BLOCK]), &input)
}

fn authenticate(card: &Card, key: Key) -> Result<Session, Ev2Error> {
    let (_, state) = start(key, 1, [0xa0; BLOCK]);
    let (command, state) = state.take(&card.challenge())?;
    state.take(&card.proof(&command))
}

#[test]
fn a_card_with_the_key_of_its_chip_number_passes_and_its_file_is_read() {
    let card = Card::with(own_key("04782E21801D80"));
    let mut session = authenticate(&card, own_key("04782E21801D80")).unwrap();
    for (commands, expected) in [b"mus", b"eum"].into_iter().enumerate() {
        let commands = u16::try_from(commands).unwrap();
        let mac = Key::new(*session.mac.bytes());
        let (command, state) = session.read(3, 3 * commands, 3);
        let data;
        (data, session) = state.take(&card.read(&command, &mac, commands)).unwrap();
        assert_eq!(data, expected);
    }
}

#[test]
fn a_genuine_card_that_shows_another_cards_chip_number_does_not_pass() {
    let card = Card::with(own_key("04782E21801D80"));
    let error = authenticate(&card, own_key("04782E21801D81")).unwrap_err();
    assert_eq!(error, Ev2Error::NotGenuine);
}

#[test]
fn a_card_that_does_not_check_us_must_still_prove_itself() {
    let (_, state) = start(own_key("04782E21801D80"), 1, [0xa0; BLOCK]);
    let card = Card::with(Key::new([1; BLOCK]));
    let (_, state) = state.take(&card.challenge()).unwrap();
    let any_proof = [&[0x55; 32][..], &[0x91, 0x00]].concat();
    assert_eq!(state.take(&any_proof).unwrap_err(), Ev2Error::NotGenuine);
}

#[test]
fn a_recorded_card_does_not_pass_a_new_random_number() {
    let (_, state) = start(Key::new(FACTORY), 0, [0xa0; BLOCK]);
    let (_, state) = state.take(&bytes(TABLE_14.answers[0])).unwrap();
    assert_eq!(state.take(&bytes(TABLE_14.answers[1])).unwrap_err(), Ev2Error::NotGenuine);
}

#[test]
fn an_answer_that_was_changed_or_repeated_ends_the_session() {
    let card = Card::with(own_key("04782E21801D80"));
    let session = || authenticate(&card, own_key("04782E21801D80")).unwrap();
    let mac = Key::new(*session().mac.bytes());

    let (command, state) = session().read(3, 0, 3);
    let mut answer = card.read(&command, &mac, 0);
    answer[0] ^= 1;
    assert_eq!(state.take(&answer).unwrap_err(), Ev2Error::Mac);

    let (command, state) = session().read(3, 0, 3);
    let answer = card.read(&command, &mac, 0);
    let (_, later) = state.take(&answer).unwrap();
    let (_, state) = later.read(3, 0, 3);
    assert_eq!(state.take(&answer).unwrap_err(), Ev2Error::Mac);
}

#[test]
fn a_refusal_says_what_the_card_said() {
    let refusal = |status: [u8; 2]| {
        start(Key::new(FACTORY), 9, [0; BLOCK]).1.take(&status).unwrap_err().to_string()
    };
    assert_eq!(refusal([0x91, 0x40]), "the card refused with 9140 (no such key)");
    assert_eq!(refusal([0x91, 0x00]), "the card refused with 9100 (done, too early)");
    let lrp = [&[1; 17][..], &[0x91, 0xaf]].concat();
    let error = start(Key::new(FACTORY), 0, [0; BLOCK]).1.take(&lrp).unwrap_err();
    assert_eq!(error, Ev2Error::Length { bytes: 17, expected: 16 });
}

#[test]
fn states_show_no_secret() {
    let (_, state) = start(Key::new([0x42; BLOCK]), 0, [0x43; BLOCK]);
    assert_eq!(format!("{state:?}"), "AwaitingChallenge(Asking(…))");
    let (_, state) = state.take(&bytes(TABLE_14.answers[0])).unwrap();
    assert_eq!(format!("{state:?}"), "AwaitingProof(Proving(…))");
}

proptest! {
    #[test]
    fn no_answer_makes_a_state_panic_or_passes_for_a_card(
        first: [u8; BLOCK],
        answer in proptest::collection::vec(any::<u8>(), 0..80),
        random: [u8; BLOCK],
    ) {
        let begun = || start(Key::new([3; BLOCK]), 0, random).1;
        let _ = begun().take(&answer);
        let challenge = [&first[..], &[0x91, 0xaf]].concat();
        let (_, state) = begun().take(&challenge).unwrap();
        prop_assert!(state.take(&answer).is_err());
        let (_, state) = begun().take(&challenge).unwrap();
        prop_assert!(state.take(&[&answer[..], &[0x91, 0x00]].concat()).is_err());
        let (_, state) = session("01020304", "8248134A386E86EB7FAF54A52E536CB6", 0).read(1, 0, 0);
        prop_assert!(state.take(&[&answer[..], &[0x91, 0x00]].concat()).is_err());
    }
}
