//! Cards that cannot be faked, end to end: the hub makes keys, one desk makes cards, another checks them,
//! on an emulated PN532 through the real libnfc.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::path::Path;

use crdt_model::authenticity::Authenticity;
use crdt_model::decide::{Reason, VerdictKind};
use hardware::emulator::Pn532Emulator;
use hardware::emulator::card::SharedCard;
use hardware::emulator::desfire::{Desfire, Generation};
use hardware::emulator::ntag424::Ntag424;
use hardware::emulator::type2::{Model, Type2};
use serde_json::{Value, json};
use stempel_tests::terminal::Terminal;
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, output, pass_number};

const CHIP: [u8; 7] = [0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80];
const OTHER_CHIP: [u8; 7] = [0x04, 0x36, 0x3c, 0xda, 0xee, 0x38, 0x80];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Two passes with 100 points each, and a reward of 50 for which a card must prove itself.
fn catalogue() -> String {
    let pass = |n: u32, chip: &[u8]| {
        json!({
            "programme": "UITPAS", "uitpasNumber": pass_number(n), "chipNumber": hex(chip),
            "cardStatus": "ACTIVE", "memberships": [{ "cardSystem": 1 }], "points": 100,
        })
    };
    json!({
        "venues": [{ "id": VENUE, "name": "Museum De Reede" }],
        "policy": { "proofs": { "redemptions": [
            { "fromPoints": 50, "atLeast": "cryptographic" },
            { "fromPoints": 20, "atLeast": "signed" }] } },
        "activities": [{ "eventId": ACTIVITY, "title": "Festiviteit", "venue": VENUE,
            "checkinPoints": 1 }],
        "rewards": [
            { "id": "small", "title": "Sticker", "type": "POINTS", "points": 5 },
            { "id": "middling", "title": "Beker", "type": "POINTS", "points": 20 },
            { "id": "large", "title": "Rondleiding", "type": "POINTS", "points": 50 }],
        "passes": [pass(1, &CHIP), pass(2, &OTHER_CHIP)],
    })
    .to_string()
}

/// A hub with key sets, a desk that makes cards and one that checks them.
async fn world(folder: &Path) -> (Hub, Desk, Desk) {
    let hub = Hub::start(folder, &catalogue());
    let office = Desk::start(folder, &hub, "kantoor").await;
    let desk = Desk::start(folder, &hub, "balie").await;
    assert_eq!(hub.run(&["card-keys", "new"]).trim(), "made key set 1");
    let device = office.client.status().await.unwrap().device.to_string();
    hub.run(&["card-keys", "allow", &device]);
    (hub, office, desk)
}

/// What `stempel card …` says of the card on this reader, as JSON.
fn card_command(desk: &Desk, reader: &Pn532Emulator, command: &str) -> Value {
    let folder = desk.folder.display().to_string();
    let connection = reader.connstring();
    let mut arguments = vec!["--folder", &folder, "--reader", &connection, "card"];
    arguments.extend(command.split(' '));
    arguments.push("--json");
    let output = output("stempel", &arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{command}: {output:?}"))
}

/// Makes the card on this reader, as soon as the desk has the keys to.
fn make(office: &Desk, reader: &Pn532Emulator) -> Value {
    for _ in 0..200 {
        let made = card_command(office, reader, "write --again");
        if !made["failed"].to_string().contains("has no keys") {
            return made;
        }
    }
    panic!("the keys do not come");
}

/// Checks the card on this reader, as soon as the desk has the keys to.
fn read(desk: &Desk, reader: &Pn532Emulator, wanted: &str) -> Value {
    for _ in 0..200 {
        let read = card_command(desk, reader, "read");
        if read["authenticity"] == wanted {
            return read;
        }
    }
    panic!("the card does not come to be {wanted}: {}", card_command(desk, reader, "read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_one_desk_made_proves_itself_at_another_and_a_copy_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (_hub, office, desk) = world(folder.path()).await;
    let reader = Pn532Emulator::start().unwrap();
    let genuine = SharedCard::new(Ntag424::new(CHIP, 1));
    reader.present_shared(&genuine);
    // Whatever shows a pass's number is not given its keys unless somebody says so, and nobody makes cards
    // where the hub does not allow it.
    let refused = card_command(&desk, &reader, "write");
    assert!(refused["failed"].to_string().contains("--again"), "{refused}");
    let refused = card_command(&desk, &reader, "write --again");
    assert!(refused["failed"].to_string().contains("no keys"), "{refused}");
    let made = make(&office, &reader);
    assert_eq!(made["authenticity"], "cryptographic", "{made}");
    assert_eq!(made["chipNumber"], hex(&CHIP));
    let found = read(&desk, &reader, "cryptographic");
    assert_eq!(found["product"], "NTAG 424 DNA");
    assert_eq!(found["finding"]["finding"], "proved");
    assert_eq!(found["finding"]["number"], 1);
    reader.remove();

    // In the console: the verdict knows the proof, and the reward that needs one is handed out.
    let mut terminal = Terminal::of_desk(&desk, &reader.connstring());
    terminal.wait_for("lezer ✔");
    reader.present_shared(&genuine);
    let screen = terminal.wait_for("Echte kaart ✔");
    assert!(screen.contains("WELKOM. Ingecheckt."), "{screen}");
    terminal.wait_for("Rondleiding (50");
    reader.remove();
    // A card with the same number and none of the keys.
    reader.present(&OTHER_CHIP);
    terminal.wait_for("(echte kaart");
    reader.remove();
    let copy = SharedCard::new(Ntag424::new(CHIP, 2));
    let message = copy_of_message(&genuine);
    write_message(&copy, &message);
    terminal.quit();
    // The same number within three seconds would be the same tap to the console that saw the card.
    let mut terminal = Terminal::of_desk(&desk, &reader.connstring());
    terminal.wait_for("lezer ✔");
    reader.present_shared(&copy);
    let screen = terminal.wait_for("nagemaakt");
    assert!(screen.contains("STOP") || screen.contains("✖"), "{screen}");
    terminal.quit();
    let history = desk.client.history().await.unwrap();
    let proofs: Vec<_> = history.iter().map(|row| row.answer.authenticity).collect();
    assert_eq!(
        proofs,
        [Authenticity::Refuted, Authenticity::UidOnly, Authenticity::Cryptographic].map(Some)
    );
    assert_eq!(history[0].answer.reason, Some(Reason::CardNotGenuine));
    assert_eq!(history[0].answer.entry, None, "a forgery is not counted");
    assert_eq!(history[0].answer.pass, None, "and learns nothing of the pass");
}

/// What anybody can read off a genuine card.
fn copy_of_message(card: &SharedCard) -> Vec<u8> {
    use hardware::card::{CardChannel, Command};
    card.lay_down();
    let mut channel = card.clone();
    let mut say = |apdu: &[u8]| channel.exchange(&Command::apdu(apdu)).unwrap();
    say(&hardware::authentic::ev2::SELECT_NTAG_424);
    say(&hardware::authentic::check::SELECT_NDEF_FILE);
    say(&[0x00, 0xb0, 0x00, 0x00, 0x80])[..0x78].to_vec()
}

fn write_message(card: &SharedCard, message: &[u8]) {
    use hardware::card::{CardChannel, Command};
    card.lay_down();
    let mut channel = card.clone();
    let mut say = |apdu: &[u8]| channel.exchange(&Command::apdu(apdu)).unwrap();
    say(&hardware::authentic::ev2::SELECT_NTAG_424);
    say(&hardware::authentic::check::SELECT_NDEF_FILE);
    say(&[&[0x00, 0xd6, 0x00, 0x00, 0x78][..], message].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_card_is_made_and_proves_itself_through_libnfc() {
    let folder = tempfile::tempdir().unwrap();
    let (_hub, office, desk) = world(folder.path()).await;
    let reader = Pn532Emulator::start().unwrap();
    for (card, product, proof) in [
        (SharedCard::new(Type2::new(Model::Ntag216, CHIP, 1)), "NTAG216", "signed"),
        (
            SharedCard::new(Type2::new(Model::UltralightAes, CHIP, 1)),
            "MIFARE Ultralight AES",
            "cryptographic",
        ),
        (
            SharedCard::new(Desfire::new(Generation::Ev3, CHIP, 1)),
            "MIFARE DESFire EV3",
            "cryptographic",
        ),
    ] {
        reader.present_shared(&card);
        assert_eq!(make(&office, &reader)["authenticity"], proof, "{product}");
        assert_eq!(read(&desk, &reader, proof)["product"], product);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_is_needed_for_what() {
    let folder = tempfile::tempdir().unwrap();
    let (_hub, office, desk) = world(folder.path()).await;
    let reader = Pn532Emulator::start().unwrap();
    let card = SharedCard::new(Type2::new(Model::Ntag213, CHIP, 1));
    reader.present_shared(&card);
    assert_eq!(make(&office, &reader)["authenticity"], "signed");
    let found = read(&desk, &reader, "signed");
    let check = found["check"].as_str().unwrap();
    let chip = hex(&CHIP);
    let redeem = |check, reward| desk.client.redeem(&chip, check, reward);
    // Points on a chip number, some on a signature, many on a proof.
    let by_number = redeem(None, "small").await.unwrap();
    assert_eq!((by_number.verdict, by_number.reason), (VerdictKind::Ok, None));
    let unproved = redeem(None, "middling").await.unwrap();
    assert_eq!(unproved.reason, Some(Reason::CardProofRequired));
    assert_eq!(unproved.verdict, VerdictKind::Ask);
    let signed = redeem(Some(check), "middling").await.unwrap();
    assert_eq!((signed.reason, signed.authenticity), (None, Some(Authenticity::Signed)));
    let too_much = redeem(Some(check), "large").await.unwrap();
    assert_eq!(too_much.reason, Some(Reason::CardProofRequired));
    // A check is of one card: it proves nothing of another.
    let other = hex(&OTHER_CHIP);
    let borrowed = desk.client.redeem(&other, Some(check), "middling").await.unwrap();
    assert_eq!(borrowed.reason, Some(Reason::CardProofRequired));
}

/// Keys lie nowhere open: not in a file of a desk, and nothing of them in what it says.
#[tokio::test(flavor = "multi_thread")]
async fn card_keys_are_sealed_on_the_desks_disk_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut hub, mut office, desk) = world(folder.path()).await;
    let reader = Pn532Emulator::start().unwrap();
    let card = SharedCard::new(Ntag424::new(CHIP, 1));
    reader.present_shared(&card);
    assert_eq!(make(&office, &reader)["authenticity"], "cryptographic");
    read(&desk, &reader, "cryptographic");
    let keys = card.with(|card| (0..4).filter_map(|n| card.ntag_424()?.key(n)).collect::<Vec<_>>());
    assert!(keys.iter().all(|key| *key != [0; 16]), "every key was changed");
    // Without the hub, and after a restart, cards are checked and made as before.
    hub.stop();
    office.stop();
    office.go();
    assert_eq!(card_command(&office, &reader, "write --again")["authenticity"], "cryptographic");
    let mut files = 0;
    let mut folders = vec![office.folder.clone(), desk.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                files += 1;
                for key in &keys {
                    let open = bytes.windows(8).any(|window| window == &key[..8]);
                    assert!(!open, "{} holds a key", path.display());
                }
            }
        }
    }
    assert!(files > 5 && desk.folder.join("card-keys").exists());
}
