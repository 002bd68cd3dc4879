use proptest::prelude::*;

use super::*;
use crate::authentic::diversify::{DiversificationInput, diversified};
use crate::authentic::hex;
use crate::authentic::ndef::TypeFormat;

/// The factory's key, which AN12196's messages use for everything.
fn factory() -> Key {
    Key::new([0; BLOCK])
}

fn verified(url: &str) -> Result<Sun, SunError> {
    verify_sun(&SunMessage::parse(url)?, &factory(), |_| factory())
}

fn reading(uid: &str, counter: &str) -> Reading {
    Reading { uid: hex(uid), counter: hex(counter) }
}

fn sun(uid: &str, counter: u32, file: Option<&[u8]>) -> Sun {
    Sun { uid: uid.parse().unwrap(), counter, file: file.map(<[u8]>::to_vec) }
}

const ENCRYPTED: &str =
    "https://ntag.nxp.com/424?e=EF963FF7828658A599F3041510671E88&c=94EED9EE65337086";

const WITH_FILE: &str = "https://www.my424dna.com/?picc_data=FD91EC264309878BE6345CBE53BADF40\
    &enc=CEE9A53E3E463EF1F459635736738962&cmac=ECC1E7F6C6C73BF6";

#[test]
fn an12196_rev_2_0_section_3_3_table_1_session_keys() {
    let key = Key::new(hex("5ACE7E50AB65D5D51FD5BF5A16B8205B"));
    let reading = reading("04C767F2066180", "010000");
    let enc = reading.session_key(&key, FOR_ENCRYPTION);
    assert_eq!(enc.bytes(), &hex("66DA61797E23DECA5D8ECA13BBADF7A9"));
    let mac = reading.session_key(&key, FOR_MAC);
    assert_eq!(mac.bytes(), &hex("3A3E8110E05311F7A3FCF0D969BF2B48"));
}

/// The URL's MAC is over text and under a key that AN12196 does not print: this is about the order
/// of the counter's bytes, which table 1 has as 010000.
#[test]
fn an12196_rev_2_0_section_3_4_1_plain_mirror() {
    let url = "https://ntag.nxp.com/424?uid=04C767F2066180&ctr=000001&c=54A45B2C3A558765";
    let message = SunMessage::parse(url).unwrap();
    assert_eq!(message.card, CardData::Plain(reading("04C767F2066180", "010000")));
    assert_eq!(message.mac, hex("54A45B2C3A558765"));
}

#[test]
fn an12196_rev_2_0_section_3_4_2_table_2_decryption_of_picc_data() {
    let data = hex("EF963FF7828658A599F3041510671E88");
    assert_eq!(factory().decrypted(data), hex::<BLOCK>("C704DE5F1EACC0403D0000DA5CF60941"));
    let decrypted = Reading::decrypted(data, &factory());
    assert_eq!(decrypted, Ok(reading("04DE5F1EACC040", "3D0000")));
}

#[test]
fn an12196_rev_2_0_section_3_4_3_table_3_decryption_of_file_data() {
    let decrypted = Reading::decrypted(hex("FDE4AFA99B5C820A2C1BB0F1C792D0EB"), &factory());
    let reading = reading("04958CAA5C5E80", "010000");
    assert_eq!(decrypted, Ok(reading));
    let key = reading.session_key(&factory(), FOR_ENCRYPTION);
    assert_eq!(key.bytes(), &hex("8097D73344D53F963B09E23E03B62336"));
    let initial = key.encrypted(hex::<BLOCK>("01000000000000000000000000000000"));
    assert_eq!(initial, hex("7B3F3CFC39D3B7FF5868636E38AF7C3A"));
    let encrypted: [u8; BLOCK] = hex("94592FDE69FA06E8E3B6CA686A22842B");
    assert_eq!(reading.file(&factory(), &encrypted), b"xxxxxxxxxxxxxxxx");
}

#[test]
fn an12196_rev_2_0_section_3_4_3_url_with_file_data() {
    let url = "https://my424dna.com/?picc_data=FDE4AFA99B5C820A2C1BB0F1C792D0EB\
        &enc=94592FDE69FA06E8E3B6CA686A22842B&cmac=C48B89C17A233B2C";
    assert_eq!(verified(url), Ok(sun("04958CAA5C5E80", 1, Some(b"xxxxxxxxxxxxxxxx"))));
}

#[test]
fn an12196_rev_2_0_section_3_4_4_table_4_mac_over_nothing() {
    let key = reading("04DE5F1EACC040", "3D0000").session_key(&factory(), FOR_MAC);
    assert_eq!(key.bytes(), &hex("3FB5F6E3A807A03D5E3570ACE393776F"));
    assert_eq!(key.short_mac(b""), hex("94EED9EE65337086"));
    assert_eq!(verified(ENCRYPTED), Ok(sun("04DE5F1EACC040", 61, None)));
}

#[test]
fn an12196_rev_2_0_section_3_4_4_table_5_mac_over_file_data() {
    let key = reading("04958CAA5C5E80", "080000").session_key(&factory(), FOR_MAC);
    assert_eq!(key.bytes(), &hex("3ED0920E5E6A0320D823D5987FEAFBB1"));
    let covered = SunMessage::parse(WITH_FILE).unwrap().covered;
    assert_eq!(covered, "CEE9A53E3E463EF1F459635736738962&cmac=");
    assert_eq!(key.mac(covered.as_bytes()), hex("81EC45C175E72FF6FAC61BC7AB3BAEF6"));
    assert_eq!(verified(WITH_FILE), Ok(sun("04958CAA5C5E80", 8, Some(b"xxxxxxxxxxxxxxxx"))));
}

/// Not NXP's: the example of nfc-developer's sdm-backend (`test_plain_sdm`).
#[test]
fn sdm_backend_plain_uid_and_counter() {
    let url =
        "https://sdm.nfcdeveloper.com/tagpt?uid=041E3C8A2D6B80&ctr=000006&cmac=4B00064004B0B3D3";
    assert_eq!(verified(url), Ok(sun("041E3C8A2D6B80", 6, None)));
}

#[test]
fn every_bit_of_a_message_counts() {
    for url in [ENCRYPTED, WITH_FILE] {
        for (place, letter) in
            url.char_indices().filter(|(place, _)| *place > url.find('=').unwrap())
        {
            let Some(digit) = letter.to_digit(16).filter(|_| !letter.is_ascii_lowercase()) else {
                continue;
            };
            for bit in 0..4 {
                let other = char::from_digit(digit ^ 1 << bit, 16).unwrap().to_ascii_uppercase();
                let changed = format!("{}{other}{}", &url[..place], &url[place + 1..]);
                let error = verified(&changed).unwrap_err();
                assert!(matches!(error, SunError::Mac | SunError::OtherKey), "{changed}: {error}");
            }
        }
    }
}

#[test]
fn file_data_that_is_dropped_or_added_breaks_the_mac() {
    let dropped = WITH_FILE.replace("enc=", "other=");
    assert_eq!(verified(&dropped), Err(SunError::Mac));
    let added = ENCRYPTED.replace("&c=", "&enc=94592FDE69FA06E8E3B6CA686A22842B&c=");
    assert_eq!(verified(&added), Err(SunError::Mac));
}

#[test]
fn a_message_under_another_meta_read_key_is_not_ours() {
    let message = SunMessage::parse(ENCRYPTED).unwrap();
    let error = verify_sun(&message, &Key::new([1; BLOCK]), |_| factory()).unwrap_err();
    assert_eq!(error, SunError::OtherKey);
}

#[test]
fn a_card_is_asked_for_by_its_chip_number_and_holds_under_its_own_key_only() {
    let master = Key::new([9; BLOCK]);
    let key_of = |chip| diversified(&master, &DiversificationInput::of_card(chip, [0x42; 3]));
    let reading = reading("04DE5F1EACC040", "3D0000");
    let own = key_of(ChipNumber::from_bytes(&reading.uid).unwrap());
    let mac = reading.session_key(&own, FOR_MAC).short_mac(b"");
    let url = |uid| format!("?uid={uid}&ctr=00003D&c={}", HEXUPPER_PERMISSIVE.encode(&mac));
    let check = |url: &str| verify_sun(&SunMessage::parse(url).unwrap(), &factory(), key_of);
    assert_eq!(check(&url("04DE5F1EACC040")), Ok(sun("04DE5F1EACC040", 61, None)));
    assert_eq!(check(&url("04DE5F1EACC041")), Err(SunError::Mac));
}

#[test]
fn a_message_is_found_in_the_file_of_a_card() {
    let tail = [&[4][..], ENCRYPTED.strip_prefix("https://").unwrap().as_bytes()].concat();
    let record = Record { format: TypeFormat::WellKnown, kind: b"U", payload: &tail };
    let message = record.message().unwrap();
    let length = u16::try_from(message.len()).unwrap();
    let file = [&length.to_be_bytes()[..], &message, &[0; 40]].concat();
    let message = SunMessage::from_message(ndef::type_4_message(&file).unwrap()).unwrap();
    assert_eq!(verify_sun(&message, &factory(), |_| factory()).unwrap().counter, 61);

    let text = Record { format: TypeFormat::WellKnown, kind: b"T", payload: b"\x02nlhallo" };
    let error = SunMessage::from_message(&text.message().unwrap()).unwrap_err();
    assert_eq!(error, SunError::NoUrl);
}

#[test]
fn what_is_wrong_with_a_url_is_told() {
    let mac = "94EED9EE65337086";
    let file = "CEE9A53E3E463EF1F459635736738962";
    for (url, error) in [
        (String::new(), SunError::Missing { parameter: "cmac" }),
        ("https://stempel.example/?c".to_owned(), SunError::Missing { parameter: "cmac" }),
        (format!("?x=1&c={mac}"), SunError::Missing { parameter: "picc_data" }),
        (format!("?uid=04C767F2066180&c={mac}"), SunError::Missing { parameter: "picc_data" }),
        (format!("?e={file}#&c={mac}"), SunError::Missing { parameter: "cmac" }),
        (format!("?e={file}&c={mac}&cmac={mac}"), SunError::Twice { parameter: "cmac" }),
        (format!("?e={file}&e={file}&c={mac}"), SunError::Twice { parameter: "picc_data" }),
        (format!("?e={file}00&c={mac}"), SunError::Value { parameter: "picc_data", bytes: 16 }),
        (format!("?e={file}&c={mac}é"), SunError::Value { parameter: "cmac", bytes: 8 }),
        (format!("?e={file}&enc=00&c={mac}"), SunError::Value { parameter: "enc", bytes: 16 }),
        (format!("?e={file}&enc=&c={mac}"), SunError::Value { parameter: "enc", bytes: 16 }),
        (format!("?uid=00&ctr=000001&c={mac}"), SunError::Value { parameter: "uid", bytes: 7 }),
        (format!("?e={file}&c={mac}&enc={file}"), SunError::Order),
    ] {
        assert_eq!(SunMessage::parse(&url), Err(error), "{url}");
    }
}

#[test]
fn lower_case_and_other_parameters_do_not_matter() {
    let url = "?lang=nl&e=ef963ff7828658a599f3041510671e88&x&c=94eed9ee65337086&y=#z";
    assert_eq!(verified(url), Ok(sun("04DE5F1EACC040", 61, None)));
}

#[test]
fn a_counter_is_new_once() {
    let guard = CounterGuard::after(None).take(61).unwrap();
    assert_eq!(guard.last(), Some(61));
    assert_eq!(guard.take(61), Err(Replayed { counter: 61, last: 61 }));
    assert_eq!(guard.take(60), Err(Replayed { counter: 60, last: 61 }));
    let guard = CounterGuard::after(guard.last()).take(64).unwrap();
    assert_eq!(guard.last(), Some(64));
    assert_eq!(CounterGuard::default().take(0).map(CounterGuard::last), Ok(Some(0)));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = SunMessage::parse(&text);
        let _ = SunMessage::parse(&format!("?{text}&e=EF963FF7828658A599F3041510671E88&c={text}"));
        let _ = SunMessage::parse(&format!("?e={text}&enc={text}&c=94EED9EE65337086&{text}"));
    }

    #[test]
    fn no_made_up_message_holds(card: [u8; BLOCK], mac: [u8; SHORT_MAC], plain: bool) {
        let card = HEXUPPER_PERMISSIVE.encode(&card);
        let mac = HEXUPPER_PERMISSIVE.encode(&mac);
        let url = if plain {
            format!("?uid={}&ctr={}&c={mac}", &card[..14], &card[14..20])
        } else {
            format!("?e={card}&c={mac}")
        };
        prop_assert!(verified(&url).is_err());
    }

    #[test]
    fn any_bytes_of_a_file_are_read_or_refused(bytes: Vec<u8>) {
        let _ = SunMessage::from_message(&bytes);
    }
}
