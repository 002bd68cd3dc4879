//! An emulated PN532 to try things on by hand: prints what libnfc calls it, then lays down and takes away
//! the cards that are named on standard input. A card is known by its UID and keeps what is written on it.
//!
//! ```text
//! cargo run -p hardware --example emulated_pn532 --features emulator
//! ntag424 04784CDAEE3880
//! remove
//! ```

use std::collections::HashMap;
use std::io::{self, BufRead};

use hardware::emulator::Pn532Emulator;
use hardware::emulator::card::{Card, SharedCard};
use hardware::emulator::desfire::{Desfire, Generation};
use hardware::emulator::ntag424::Ntag424;
use hardware::emulator::type2::{Model, Type2};

const HELP: &str = "uid UID | ntag213 UID | ultralight-aes UID | ntag424 UID | desfire UID: lays a card down (all but the first have a UID of seven bytes)
remove: takes all cards away
noise HEX: sends these bytes before the next answer
gone N: the card leaves the field behind N more exchanges";

fn main() -> io::Result<()> {
    let emulator = Pn532Emulator::start()?;
    println!("{}", emulator.connstring());
    println!("{HELP}");
    let mut cards: HashMap<Vec<u8>, SharedCard> = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let done = match (words.next(), words.next()) {
            (None, _) => true,
            (Some("remove"), None) => {
                emulator.remove();
                true
            }
            (Some("noise"), Some(hex)) => bytes(hex).map(|noise| emulator.garble(&noise)).is_some(),
            (Some("gone"), Some(count)) => {
                count.parse().map(|count| emulator.take_away_after(count)).is_ok()
            }
            (Some(kind), Some(hex)) => match card(kind, hex) {
                Some(card) => {
                    let uid = card.uid().to_vec();
                    let card = cards.entry(uid).or_insert_with(|| SharedCard::new(card));
                    emulator.present_shared(card);
                    true
                }
                None => false,
            },
            (Some(_), None) => false,
        };
        if !done {
            println!("{HELP}");
        }
    }
    Ok(())
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    data_encoding::HEXUPPER_PERMISSIVE.decode(hex.as_bytes()).ok()
}

fn card(kind: &str, hex: &str) -> Option<Card> {
    let uid = bytes(hex)?;
    if kind == "uid" {
        return matches!(uid.len(), 4 | 7 | 10).then(|| Card::new(&uid));
    }
    let uid: [u8; 7] = uid.try_into().ok()?;
    // Its random numbers follow from its chip number.
    let seed = uid.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    Some(match kind {
        "ntag213" => Type2::new(Model::Ntag213, uid, seed).into(),
        "ultralight-aes" => Type2::new(Model::UltralightAes, uid, seed).into(),
        "ntag424" => Ntag424::new(uid, seed).into(),
        "desfire" => Desfire::new(Generation::Ev2, uid, seed).into(),
        _ => return None,
    })
}
