//! MIFARE Ultralight AES: mutual authentication, and commands with a MAC in the session that it
//! opens (NXP data sheet MF0AES(H)20, 8.8; AN13452).
//!
//! ```text
//! start ──1A──▶ card ──AF──▶ AwaitingChallenge::take ──AF──▶ card ──00──▶ AwaitingProof::take ──▶ Session
//! ```
//!
//! Commands and answers are those of the card, without the CRC, which readers add and check (on a
//! PN532 with InCommunicateThru). The key is the card's own
//! ([`diversified`](super::diversify::diversified)), so that whoever passes has the key of that chip
//! number.
//!
//! A card can be set to close for ever after so many failed authentications (AUTH_LIM), so a wrong
//! key is not tried again in a loop.

use thiserror::Error;

use super::key::{BLOCK, Key, SHORT_MAC};
use super::three_pass::{Asking, FOR_MAC, Proving};

const AUTHENTICATE: u8 = 0x1a;
const CONTINUE: u8 = 0xaf;
const DONE: u8 = 0x00;

/// Bytes of a command at the most. The longest that there is writes a page: six.
const MAX_COMMAND: usize = 32;

/// Which of its keys the card is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNumber {
    /// DataProtKey, which opens the memory.
    DataProtection = 0,
    /// UIDRetrKey, which opens nothing but the chip number of a card that shows random ones.
    UidRetrieval = 1,
}

/// Why a card did not pass, or a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UltralightError {
    /// The card refused. Some readers hand its NAK, which has four bits, on as one byte; others say
    /// that nothing came, or that it came damaged.
    #[error("the card refused with {nak:X}")]
    Refused {
        /// Its NAK.
        nak: u8,
    },
    /// An answer has another length than it must have.
    #[error("the card answered with {bytes} bytes where {expected} were due")]
    Length {
        /// How many bytes came.
        bytes: usize,
        /// How many were due; of an answer with data, at least.
        expected: usize,
    },
    /// An answer begins with another code.
    #[error("the card answered with code {code:02X} where {expected:02X} was due")]
    Code {
        /// The code that came.
        code: u8,
        /// The code that was due.
        expected: u8,
    },
    /// The card and we do not have the same key: it is no card of ours, or its keys were changed.
    #[error("the card does not know the key of its chip number")]
    NotGenuine,
    /// An answer is not the session's: somebody changed it on the way.
    #[error("the MAC of the card's answer does not hold")]
    Mac,
    /// The session's counter is used up.
    #[error("a session has at most 32,767 commands")]
    Exhausted,
}

/// Begins to authenticate: with one of the card's keys, and a random number that was never used
/// before. Gives the first command.
pub fn start(key: Key, number: KeyNumber, random: [u8; BLOCK]) -> (Vec<u8>, AwaitingChallenge) {
    (vec![AUTHENTICATE, number as u8], AwaitingChallenge(Asking::new(key, random)))
}

/// The first command is out: the card's challenge is to come.
#[derive(Debug)]
pub struct AwaitingChallenge(Asking);

impl AwaitingChallenge {
    /// Takes the card's answer, and gives the second command.
    ///
    /// # Errors
    /// [`UltralightError::Refused`], [`UltralightError::Length`], [`UltralightError::Code`].
    pub fn take(self, answer: &[u8]) -> Result<(Vec<u8>, AwaitingProof), UltralightError> {
        let (ours, proving) = self.0.challenged(coded(answer, CONTINUE)?);
        Ok(([&[CONTINUE][..], &ours].concat(), AwaitingProof(proving)))
    }
}

/// The second command is out: the card's proof is to come.
#[derive(Debug)]
pub struct AwaitingProof(Proving);

impl AwaitingProof {
    /// Takes the card's answer. The session is the proof that the card is genuine.
    ///
    /// # Errors
    /// [`UltralightError::NotGenuine`]; [`UltralightError::Length`], [`UltralightError::Code`].
    pub fn take(self, answer: &[u8]) -> Result<Session, UltralightError> {
        let proof = match coded(answer, DONE) {
            // The card found that we do not know the key.
            Err(UltralightError::Refused { .. }) => return Err(UltralightError::NotGenuine),
            coded => self.0.decrypted(coded?),
        };
        if !self.0.is_proof(&*proof) {
            return Err(UltralightError::NotGenuine);
        }
        Ok(Session { mac: self.0.session_key(FOR_MAC), counter: 0 })
    }
}

/// A session with a card that proved to be genuine. Its MACs are for cards on which they are
/// switched on (CFG1, SEC_MSG_ACT); to another card, commands go as they always do.
#[derive(Debug)]
pub struct Session {
    /// SesAuthMACKey.
    pub mac: Key,
    /// CmdCtr: a command and its answer each have a number.
    counter: u16,
}

impl Session {
    /// A command with its MAC.
    pub fn command<const N: usize>(self, command: [u8; N]) -> (Vec<u8>, AwaitingAnswer) {
        const { assert!(0 < N && N <= MAX_COMMAND) };
        let mac = self.mac.short_mac(&numbered(self.counter, &command));
        ([&command[..], &mac].concat(), AwaitingAnswer(self))
    }

    /// READ: four pages, from this one on.
    pub fn read(self, page: u8) -> (Vec<u8>, AwaitingAnswer) {
        self.command([0x30, page])
    }
}

/// A command of a session is out.
#[derive(Debug)]
pub struct AwaitingAnswer(Session);

impl AwaitingAnswer {
    /// Takes the card's answer: its data (none where the card would otherwise say ACK), and the
    /// session for the next command.
    ///
    /// # Errors
    /// [`UltralightError::Mac`], [`UltralightError::Exhausted`]; [`UltralightError::Refused`],
    /// [`UltralightError::Length`].
    pub fn take(self, answer: &[u8]) -> Result<(Vec<u8>, Session), UltralightError> {
        let Session { mac: key, counter } = self.0;
        let Some((data, mac)) = answer.split_last_chunk::<SHORT_MAC>() else {
            return Err(not_of_length(answer, SHORT_MAC));
        };
        let next = counter.checked_add(2).ok_or(UltralightError::Exhausted)?;
        if !key.mac_holds(&numbered(counter + 1, data), *mac) {
            return Err(UltralightError::Mac);
        }
        Ok((data.to_vec(), Session { mac: key, counter: next }))
    }
}

/// What a MAC of the session goes over.
fn numbered(counter: u16, data: &[u8]) -> Vec<u8> {
    [&counter.to_le_bytes()[..], data].concat()
}

/// The block behind this code.
fn coded(answer: &[u8], expected: u8) -> Result<[u8; BLOCK], UltralightError> {
    let Some(([code], block)) = answer.split_first_chunk::<1>() else {
        return Err(not_of_length(answer, 1 + BLOCK));
    };
    let block = block.try_into().map_err(|_| not_of_length(answer, 1 + BLOCK))?;
    if *code == expected { Ok(block) } else { Err(UltralightError::Code { code: *code, expected }) }
}

fn not_of_length(answer: &[u8], expected: usize) -> UltralightError {
    match answer {
        [nak] => UltralightError::Refused { nak: *nak },
        _ => UltralightError::Length { bytes: answer.len(), expected },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authentic::hex;

    fn bytes(digits: &str) -> Vec<u8> {
        data_encoding::HEXUPPER.decode(digits.as_bytes()).unwrap()
    }

    /// Plays a published authentication with DataProtKey, and gives its session.
    fn plays(key: &str, random: &str, first: &str, second: &str, third: &str) -> Session {
        let (command, state) = start(Key::new(hex(key)), KeyNumber::DataProtection, hex(random));
        assert_eq!(command, [0x1a, 0x00]);
        let (command, state) = state.take(&bytes(first)).unwrap();
        assert_eq!(command, bytes(second));
        state.take(&bytes(third)).unwrap()
    }

    const FACTORY: &str = "00000000000000000000000000000000";

    #[test]
    fn mf0aes_h_20_data_sheet_example_of_an_authentication() {
        plays(
            FACTORY,
            "F29B0123F5C00DF612487BBF42468C7E",
            "AFD5A847B84862FF3874A7F07B8DDF351B",
            "AFCDF22C5F7A92F0AF0155612B9B236AC7A424BC5238D41AD041B8165B7D99E524",
            "002C743D6B1E128F8076BD197B76012CE8",
        );
    }

    #[test]
    fn an13452_authentication_session_key_and_mac_of_get_version() {
        let session = plays(
            FACTORY,
            "42BDF7E08E110F14B6D3323D14F1C2B9",
            "AF374142DAFB0AB97183D846EB7ED379E0",
            "AF794693B2A31E7F10964A2BD834590AC485F84E9F8B13197AB32433346F60B821",
            "00A17673DCC20D27EE80584ACCFC39E0A3",
        );
        assert_eq!(session.mac.bytes(), &hex("D6B4F8AC7A66CFA041DC179A154543BF"));
        assert_eq!(session.mac.mac(&hex::<3>("000060")), hex("551D3B5D8FE8A902A9D6A3752E164C70"));
        let (command, _) = session.command([0x60]);
        assert_eq!(command, bytes("601D5DE802D6751670"));
    }

    /// Not NXP's: what pretix recorded of a card (libpretixnfc, TestAuthenticate.kt).
    #[test]
    fn pretix_recording_of_an_authentication_and_of_a_read_with_mac() {
        let session = plays(
            "000102030405060708090A0B0C0D0E0F",
            "0293746D6CBE0D637672BD9D3BEC4422",
            "AF85707404563F8AC0CD2D9A18C7DB6239",
            "AF79C178D209DD780364FEFDA24240B757F02E08A6AD0CABF4A2B3F6557509718F",
            "006251131285824545E764E56A5F8592C4",
        );
        assert_eq!(session.mac.bytes(), &hex("FCA816CE894300D9674A29DC8341010A"));
        let (command, _) = session.read(0x29);
        assert_eq!(command, bytes("3029218F09E0C13B5EE1"));
    }

    /// The other side. No MAC of an answer is published, so this says in its own words what the data
    /// sheet does: the counter goes up between command and answer, and again behind the answer.
    struct Card {
        key: Key,
        counter: u16,
    }

    impl Card {
        const RANDOM: [u8; BLOCK] = [0xb1; BLOCK];

        fn challenge(&self) -> Vec<u8> {
            [&[0xaf][..], &self.key.encrypted(Self::RANDOM)].concat()
        }

        fn proof(&self, command: &[u8]) -> Vec<u8> {
            let mut ours: [u8; BLOCK] = self.key.decrypted::<32>(command[1..].try_into().unwrap())
                [..BLOCK]
                .try_into()
                .unwrap();
            ours.rotate_left(1);
            [&[0x00][..], &self.key.encrypted(ours)].concat()
        }

        fn answer(&mut self, command: &[u8], session: &Key, data: &[u8]) -> Vec<u8> {
            let (command, mac) = command.split_at(command.len() - 8);
            let mut numbered = |data: &[u8]| {
                let [low, high] = self.counter.to_le_bytes();
                self.counter += 1;
                session.short_mac(&[&[low, high], data].concat())
            };
            assert_eq!(mac, numbered(command));
            [data, &numbered(data)].concat()
        }
    }

    fn authenticated(card: &Card, key: [u8; BLOCK]) -> Result<Session, UltralightError> {
        let (_, state) = start(Key::new(key), KeyNumber::DataProtection, [0xa1; BLOCK]);
        let (command, state) = state.take(&card.challenge())?;
        state.take(&card.proof(&command))
    }

    #[test]
    fn a_genuine_card_is_read_page_by_page_and_written() {
        let mut card = Card { key: Key::new([5; BLOCK]), counter: 0 };
        let session = authenticated(&card, [5; BLOCK]).unwrap();
        let key = Key::new(*session.mac.bytes());
        let (command, state) = session.read(4);
        let (data, session) = state.take(&card.answer(&command, &key, &[7; 16])).unwrap();
        assert_eq!(data, [7; 16]);
        let (command, state) = session.command([0xa2, 4, 1, 2, 3, 4]);
        let (data, session) = state.take(&card.answer(&command, &key, &[])).unwrap();
        assert_eq!((data, session.counter, card.counter), (Vec::new(), 4, 4));
    }

    #[test]
    fn a_card_with_another_key_does_not_pass() {
        let card = Card { key: Key::new([6; BLOCK]), counter: 0 };
        assert_eq!(authenticated(&card, [5; BLOCK]).unwrap_err(), UltralightError::NotGenuine);
    }

    #[test]
    fn an_answer_that_was_changed_ends_the_session() {
        let mut card = Card { key: Key::new([5; BLOCK]), counter: 0 };
        let session = authenticated(&card, [5; BLOCK]).unwrap();
        let key = Key::new(*session.mac.bytes());
        let (command, state) = session.read(4);
        let mut answer = card.answer(&command, &key, &[7; 16]);
        answer[3] ^= 0x10;
        assert_eq!(state.take(&answer).unwrap_err(), UltralightError::Mac);
    }

    #[test]
    fn a_refusal_is_told_from_an_answer() {
        let begun = || start(Key::new([5; BLOCK]), KeyNumber::UidRetrieval, [0; BLOCK]).1;
        assert_eq!(begun().take(&[0x04]).unwrap_err(), UltralightError::Refused { nak: 4 });
        let short = begun().take(&[0xaf, 1]).unwrap_err();
        assert_eq!(short, UltralightError::Length { bytes: 2, expected: 17 });
        let (_, state) = begun().take(&[&[0xaf; 17][..]].concat()).unwrap();
        assert_eq!(state.take(&[0x00]).unwrap_err(), UltralightError::NotGenuine);
        let early = begun().take(&[0; 17]).unwrap_err();
        assert_eq!(early, UltralightError::Code { code: 0, expected: 0xaf });
    }

    #[test]
    fn the_counter_ends_the_session_before_it_would_begin_anew() {
        let last = Session { mac: Key::new([5; BLOCK]), counter: u16::MAX - 1 };
        let (_, state) = last.read(0);
        assert_eq!(state.take(&[0; 8]).unwrap_err(), UltralightError::Exhausted);
    }

    proptest! {
        #[test]
        fn no_answer_makes_a_state_panic_or_passes_for_a_card(
            first: [u8; BLOCK],
            third: [u8; BLOCK],
            answer in proptest::collection::vec(any::<u8>(), 0..40),
            random: [u8; BLOCK],
        ) {
            let begun = || start(Key::new([5; BLOCK]), KeyNumber::DataProtection, random).1;
            let _ = begun().take(&answer);
            let challenged =
                || begun().take(&[&[0xaf][..], &first].concat()).map(|(_, state)| state).unwrap();
            prop_assert!(challenged().take(&answer).is_err());
            prop_assert!(challenged().take(&[&[0x00][..], &third].concat()).is_err());
            let session = Session { mac: Key::new([5; BLOCK]), counter: 0 };
            prop_assert!(session.read(0).1.take(&answer).is_err());
        }
    }
}
