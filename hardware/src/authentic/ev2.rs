//! NTAG 424 DNA, DESFire EV2 and EV3: AuthenticateEV2First, and commands in the session that it opens:
//! with a MAC, or encrypted as well (NT4H2421Gx rev 3.0, 9.1; AN12196 rev 2.0, 4 and 5).
//!
//! ```text
//! start ──90 71──▶ card ──91 AF──▶ AwaitingChallenge::take ──90 AF──▶ card ──91 00──▶ AwaitingProof::take ──▶ Session
//! ```
//!
//! The card's application is selected before: [`SELECT_NTAG_424`] or [`select_desfire`]. The key is
//! the card's own ([`diversified`](super::diversify::diversified)), so that whoever passes has the
//! key of that chip number. The number must be the real one: a card that is set to show random UIDs
//! cannot be asked this way.
//!
//! An answer that does not come, or comes wrong, ends it: every state is used up by its answer. A
//! card counts failed authentications and answers more slowly after each (status 91AD), so a wrong
//! key is not tried again in a loop.

use thiserror::Error;
use zeroize::Zeroizing;

use super::key::{BLOCK, Key, SHORT_MAC};
use super::three_pass::{Asking, FOR_ENCRYPTION, FOR_MAC, Proving};

/// Selects the application of an NTAG 424 DNA. The answer is 9000 (AN12196 rev 2.0, table 22).
pub const SELECT_NTAG_424: [u8; 13] =
    [0x00, 0xa4, 0x04, 0x0c, 0x07, 0xd2, 0x76, 0x00, 0x00, 0x85, 0x01, 0x01, 0x00];

/// Selects the application of a DESFire by its AID, as the card has it in memory. The answer is 9100.
pub fn select_desfire(application: [u8; 3]) -> Vec<u8> {
    framed(0x5a, &application)
}

/// Asks an application's key for its version, which ChangeKey writes. No session is needed for it
/// (MF3D(H)x2, GetKeyVersion). The answer is the version and 9100.
pub fn key_version(number: u8) -> Vec<u8> {
    framed(GET_KEY_VERSION, &[number])
}

/// Done.
const OK: u16 = 0x9100;

/// The card waits for the rest.
const MORE: u16 = 0x91af;

/// The authentication failed: the card found that we do not know the key.
const AUTHENTICATION_ERROR: u16 = 0x91ae;

const AUTHENTICATE_EV2_FIRST: u8 = 0x71;
const ADDITIONAL_FRAME: u8 = 0xaf;
const READ_DATA: u8 = 0xad;
const WRITE_DATA: u8 = 0x8d;
const GET_KEY_VERSION: u8 = 0x64;
const CHANGE_KEY: u8 = 0xc4;
const CHANGE_FILE_SETTINGS: u8 = 0x5f;

/// The length of a transaction identifier.
const TI: usize = 4;

/// Bytes of a command's header at the most: a short APDU carries 255, eight of them the MAC.
const MAX_HEADER: usize = 247;

/// Bytes that one plain WriteData carries at the most.
const MOST_WRITTEN: usize = 240;

/// Why a card did not pass, or a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Ev2Error {
    /// An answer has another length than it must have. A first answer of 17 bytes is that of a card
    /// in LRP mode, which we do not speak.
    #[error("the card answered with {bytes} bytes where {expected} were due")]
    Length {
        /// How many bytes came, without the status.
        bytes: usize,
        /// How many were due; of an answer with data, at least.
        expected: usize,
    },
    /// The card refused.
    #[error("the card refused with {status:04X} ({})", meaning(*status))]
    Refused {
        /// Its status.
        status: u16,
    },
    /// The card and we do not have the same key: it is no card of ours, or its keys were changed.
    #[error("the card does not know the key of its chip number")]
    NotGenuine,
    /// An answer is not the session's: somebody changed it on the way.
    #[error("the MAC of the card's answer does not hold")]
    Mac,
    /// The session's counter is used up.
    #[error("a session has at most 65,535 commands")]
    Exhausted,
}

/// What a status means (the codes of NT4H2421Gx rev 3.0 and of DESFire).
fn meaning(status: u16) -> &'static str {
    match status {
        OK => "done, too early",
        MORE => "more to come, unexpectedly",
        0x911c => "illegal command",
        0x911e => "integrity error",
        0x9140 => "no such key",
        0x917e => "wrong length",
        0x919d => "permission denied",
        0x919e => "wrong parameter",
        0x91a0 => "no such application",
        0x91ad => "authentication delayed after failed ones: try again",
        AUTHENTICATION_ERROR => "not authenticated",
        0x91be => "beyond the end of the file",
        0x91ca => "another command is not over",
        0x91f0 => "no such file",
        _ => "see the card's data sheet",
    }
}

/// Begins to authenticate: with one of the card's keys, its number on the card, and a random number
/// that was never used before. Gives the first command.
pub fn start(key: Key, number: u8, random: [u8; BLOCK]) -> (Vec<u8>, AwaitingChallenge) {
    // No capabilities of ours to tell.
    let command = framed(AUTHENTICATE_EV2_FIRST, &[number, 0x00]);
    (command, AwaitingChallenge(Asking::new(key, random)))
}

/// The first command is out: the card's challenge is to come.
#[derive(Debug)]
pub struct AwaitingChallenge(Asking);

impl AwaitingChallenge {
    /// Takes the card's answer, status included, and gives the second command.
    ///
    /// # Errors
    /// [`Ev2Error::Refused`], [`Ev2Error::Length`].
    pub fn take(self, answer: &[u8]) -> Result<(Vec<u8>, AwaitingProof), Ev2Error> {
        let challenge = exactly(answered(answer, MORE)?)?;
        let (ours, proving) = self.0.challenged(challenge);
        Ok((framed(ADDITIONAL_FRAME, &ours), AwaitingProof(proving)))
    }
}

/// The second command is out: the card's proof is to come.
#[derive(Debug)]
pub struct AwaitingProof(Proving);

impl AwaitingProof {
    /// Takes the card's answer, status included. The session is the proof that the card is genuine.
    ///
    /// # Errors
    /// [`Ev2Error::NotGenuine`]; [`Ev2Error::Refused`], [`Ev2Error::Length`].
    pub fn take(self, answer: &[u8]) -> Result<Session, Ev2Error> {
        let proof = match answered(answer, OK) {
            Err(Ev2Error::Refused { status: AUTHENTICATION_ERROR }) => {
                return Err(Ev2Error::NotGenuine);
            }
            answered => exactly::<{ 2 * BLOCK }>(answered?)?,
        };
        // Transaction identifier, our random number, and twice six bytes of capabilities.
        let proof = self.0.decrypted(proof);
        let (ti, rest) = proof.split_at(TI);
        if !self.0.is_proof(&rest[..BLOCK]) {
            return Err(Ev2Error::NotGenuine);
        }
        Ok(Session {
            ti: std::array::from_fn(|place| ti[place]),
            enc: self.0.session_key(FOR_ENCRYPTION),
            mac: self.0.session_key(FOR_MAC),
            commands: 0,
        })
    }
}

/// A session with a card that proved to be genuine. A command uses it up and its answer, if the MAC
/// holds, gives it back.
#[derive(Debug)]
pub struct Session {
    /// The transaction identifier, which the card chose.
    pub ti: [u8; TI],
    /// KSesAuthENC, for what is sent encrypted (CommMode.Full).
    pub enc: Key,
    /// KSesAuthMAC.
    pub mac: Key,
    /// CmdCtr: commands answered so far.
    commands: u16,
}

impl Session {
    /// A command in CommMode.MAC: an instruction and what goes with it.
    pub fn command<const N: usize>(
        self,
        instruction: u8,
        header: [u8; N],
    ) -> (Vec<u8>, AwaitingAnswer) {
        const { assert!(N <= MAX_HEADER) };
        let mac = self.mac.short_mac(&self.mac_input(instruction, self.commands, &header));
        let command = framed(instruction, &[&header[..], &mac].concat());
        (command, AwaitingAnswer(self))
    }

    /// A command in CommMode.Full: an instruction, what goes with it as it is, and what goes encrypted.
    fn full(self, instruction: u8, header: &[u8], data: &[u8]) -> (Vec<u8>, AwaitingAnswer) {
        let mut initial = [0; BLOCK];
        initial[..2].copy_from_slice(&FOR_ENCRYPTION);
        initial[2..2 + TI].copy_from_slice(&self.ti);
        initial[2 + TI..4 + TI].copy_from_slice(&self.commands.to_le_bytes());
        // ISO 9797-1, padding method 2: there is always some.
        let mut encrypted = [data, &[0x80]].concat();
        encrypted.resize(encrypted.len().next_multiple_of(BLOCK), 0);
        self.enc.encrypt(self.enc.encrypted(initial), &mut encrypted);
        let sent = [header, &encrypted].concat();
        let mac = self.mac.short_mac(&self.mac_input(instruction, self.commands, &sent));
        (framed(instruction, &[&sent[..], &mac].concat()), AwaitingAnswer(self))
    }

    /// ChangeKey: another key than that of this session (NT4H2421Gx rev 3.0, 10.6.1; AN12196 rev 2.0,
    /// 5.16.1). The card is to know it under this version.
    pub fn change_key(
        self,
        number: u8,
        old: &Key,
        new: &Key,
        version: u8,
    ) -> (Vec<u8>, AwaitingAnswer) {
        let both = old.bytes().iter().zip(new.bytes());
        let mut data: Zeroizing<Vec<u8>> = Zeroizing::new(both.map(|(a, b)| a ^ b).collect());
        data.push(version);
        data.extend(check_of_key(new.bytes()));
        self.full(CHANGE_KEY, &[number], &data)
    }

    /// ChangeKey: the key of this session itself, which ends with it (5.16.2). Gives the command alone:
    /// [`changed_own_key`] takes the answer.
    pub fn change_own_key(self, number: u8, new: &Key, version: u8) -> Vec<u8> {
        let data = Zeroizing::new([&new.bytes()[..], &[version]].concat());
        self.full(CHANGE_KEY, &[number], &data).0
    }

    /// ChangeFileSettings (NT4H2421Gx rev 3.0, 10.7.1).
    pub fn change_file_settings(self, file: u8, settings: &[u8]) -> (Vec<u8>, AwaitingAnswer) {
        self.full(CHANGE_FILE_SETTINGS, &[file], settings)
    }

    /// WriteData to a file whose communication is plain, within the session: the command goes without
    /// a MAC and so does its answer ([`AwaitingPlainAnswer`]), but both are counted. At most 240 bytes.
    pub fn write_plain(self, file: u8, data: &[u8]) -> (Vec<u8>, AwaitingPlainAnswer) {
        let data = &data[..data.len().min(MOST_WRITTEN)];
        // It has 240 at the most.
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let command = framed(WRITE_DATA, &[&[file, 0, 0, 0, length, 0, 0][..], data].concat());
        (command, AwaitingPlainAnswer(self))
    }

    /// ReadData in CommMode.MAC. Up to 48 bytes are sure to come in one answer on every card; 0 asks
    /// for the rest of the file.
    pub fn read(self, file: u8, offset: u16, length: u8) -> (Vec<u8>, AwaitingAnswer) {
        let [low, high] = offset.to_le_bytes();
        self.command(READ_DATA, [file, low, high, 0, length, 0, 0])
    }

    /// What a MAC of the session goes over (NT4H2421Gx rev 3.0, 9.1.9).
    fn mac_input(&self, code: u8, commands: u16, data: &[u8]) -> Vec<u8> {
        [&[code][..], &commands.to_le_bytes(), &self.ti, data].concat()
    }
}

/// A command of a session is out whose answer has no MAC.
#[derive(Debug)]
pub struct AwaitingPlainAnswer(Session);

impl AwaitingPlainAnswer {
    /// Takes the card's answer, status included, and gives the session for the next command.
    ///
    /// # Errors
    /// [`Ev2Error::Refused`], [`Ev2Error::Length`], [`Ev2Error::Exhausted`].
    pub fn take(self, answer: &[u8]) -> Result<Session, Ev2Error> {
        let mut session = self.0;
        exactly::<0>(answered(answer, OK)?)?;
        session.commands = session.commands.checked_add(1).ok_or(Ev2Error::Exhausted)?;
        Ok(session)
    }
}

/// Takes the answer to [`Session::change_own_key`]: it has no MAC, for the session is over.
///
/// # Errors
/// [`Ev2Error::Refused`], [`Ev2Error::Length`].
pub fn changed_own_key(answer: &[u8]) -> Result<(), Ev2Error> {
    exactly::<0>(answered(answer, OK)?).map(|_| ())
}

/// The check over a new key that ChangeKey carries: CRC-32 as in IEEE 802.3 without its last inversion,
/// least significant byte first.
fn check_of_key(key: &[u8]) -> [u8; 4] {
    let crc = key.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            // Without a branch on a bit that is secret.
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    crc.to_le_bytes()
}

/// A command of a session is out.
#[derive(Debug)]
pub struct AwaitingAnswer(Session);

impl AwaitingAnswer {
    /// Takes the card's answer, status included: the data that it holds, and the session for the next
    /// command.
    ///
    /// # Errors
    /// [`Ev2Error::Mac`], [`Ev2Error::Exhausted`]; [`Ev2Error::Refused`], [`Ev2Error::Length`].
    pub fn take(self, answer: &[u8]) -> Result<(Vec<u8>, Session), Ev2Error> {
        let mut session = self.0;
        let answer = answered(answer, OK)?;
        let (data, mac) = answer
            .split_last_chunk::<SHORT_MAC>()
            .ok_or(Ev2Error::Length { bytes: answer.len(), expected: SHORT_MAC })?;
        session.commands = session.commands.checked_add(1).ok_or(Ev2Error::Exhausted)?;
        let [_, code] = OK.to_be_bytes();
        let input = session.mac_input(code, session.commands, data);
        if !session.mac.mac_holds(&input, *mac) {
            return Err(Ev2Error::Mac);
        }
        Ok((data.to_vec(), session))
    }
}

/// A native command in an APDU (ISO 7816-4).
pub(super) fn framed(instruction: u8, data: &[u8]) -> Vec<u8> {
    // Every caller's data is shorter than 256 bytes: its length is in its type.
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    [&[0x90, instruction, 0x00, 0x00, length][..], data, &[0x00]].concat()
}

/// What an answer holds besides this status.
fn answered(answer: &[u8], due: u16) -> Result<&[u8], Ev2Error> {
    match answer.split_last_chunk() {
        Some((data, status)) if u16::from_be_bytes(*status) == due => Ok(data),
        Some((_, status)) => Err(Ev2Error::Refused { status: u16::from_be_bytes(*status) }),
        None => Err(Ev2Error::Length { bytes: answer.len(), expected: 2 }),
    }
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], Ev2Error> {
    data.try_into().map_err(|_| Ev2Error::Length { bytes: data.len(), expected: N })
}

#[cfg(test)]
mod tests;
