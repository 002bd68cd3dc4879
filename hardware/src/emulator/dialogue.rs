//! What NTAG 424 DNA and DESFire say alike, seen from the card: AuthenticateEV2First, the session
//! that it opens with its three ways of protecting a command, and answers in several frames
//! (NT4H2421Gx rev 3.0, 9.1).

use super::aes::{Agreed, BLOCK, Challenge, Purpose, decrypted_and_unpadded, padded_and_encrypted};
use super::iso_dep::{Apdu, ISO, NATIVE, answer, status};
use super::random::Random;
use crate::authentic::Key;

/// How a command and its answer are protected (NT4H2421Gx rev 3.0, 8.2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommMode {
    /// Not at all.
    Plain,
    /// With a MAC.
    Mac,
    /// Encrypted, and with a MAC.
    Full,
}

/// The native commands that a dialogue answers itself.
pub(super) const AUTHENTICATE_EV2_FIRST: u8 = 0x71;
pub(super) const ADDITIONAL_FRAME: u8 = 0xaf;

/// Bytes of a MAC as cards send it.
const SHORT_MAC: usize = 8;

/// Bytes of a transaction identifier.
const TI: usize = 4;

/// A session (secure messaging in AES mode).
#[derive(Debug)]
pub(super) struct Session {
    /// The number of the key that it was opened with.
    pub(super) number: u8,
    pub(super) ti: [u8; TI],
    pub(super) enc: Key,
    pub(super) mac: Key,
    /// CmdCtr: commands answered so far.
    pub(super) commands: u16,
}

impl Session {
    /// What a MAC goes over.
    fn mac_of(&self, code: u8, data: &[u8]) -> [u8; SHORT_MAC] {
        let counted = [&[code][..], &self.commands.to_le_bytes(), &self.ti, data].concat();
        self.mac.short_mac(&counted)
    }

    /// The initial vector of a command ([`COMMAND`]) or of an answer ([`ANSWER`]).
    fn vector(&self, label: [u8; 2]) -> [u8; BLOCK] {
        let mut vector = [0; BLOCK];
        vector[..2].copy_from_slice(&label);
        vector[2..6].copy_from_slice(&self.ti);
        vector[6..8].copy_from_slice(&self.commands.to_le_bytes());
        self.enc.encrypted(vector)
    }
}

/// The labels of the two initial vectors (NT4H2421Gx rev 3.0, 9.1.4).
const COMMAND: [u8; 2] = [0xa5, 0x5a];
const ANSWER: [u8; 2] = [0x5a, 0xa5];

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Challenged {
        number: u8,
        challenge: Challenge,
        ti: [u8; TI],
    },
    Open(Session),
}

/// A card's side of a conversation, from its selection until its power goes.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    state: State,
    /// Frames of an answer that were not asked for yet, the last one first.
    waiting: Vec<Vec<u8>>,
    /// Those that were: the MAC in the last frame covers all of them.
    said: Vec<u8>,
}

impl Dialogue {
    /// In this session, however that came about.
    #[cfg(test)]
    pub(super) fn within(session: Session) -> Self {
        Self { state: State::Open(session), ..Self::default() }
    }

    /// The number of the key of the session, if there is one.
    pub(super) fn key_number(&self) -> Option<u8> {
        match &self.state {
            State::Open(session) => Some(session.number),
            State::Idle | State::Challenged { .. } => None,
        }
    }

    /// How a command is protected that has a MAC in a session, and goes plainly outside of one.
    pub(super) fn mac_if_open(&self) -> CommMode {
        if self.key_number().is_some() { CommMode::Mac } else { CommMode::Plain }
    }

    /// Whether this command comes while another one is not over. That one is given up.
    pub(super) fn interrupts(&mut self, instruction: u8) -> bool {
        let unfinished = !self.waiting.is_empty() || matches!(self.state, State::Challenged { .. });
        if !unfinished || instruction == ADDITIONAL_FRAME {
            return false;
        }
        *self = Self::default();
        true
    }

    /// Begins AuthenticateEV2First with this key.
    pub(super) fn challenge(
        &mut self,
        number: u8,
        key: [u8; BLOCK],
        random: &mut Random,
    ) -> Vec<u8> {
        let challenge = Challenge::new(key, random.next());
        let answer = answer(&challenge.first_pass(), status::MORE);
        *self = Self {
            state: State::Challenged { number, challenge, ti: random.next() },
            ..Self::default()
        };
        answer
    }

    /// Answers the command that goes on with what was begun.
    pub(super) fn additional_frame(&mut self, data: &[u8]) -> Vec<u8> {
        if let Some(frame) = self.waiting.pop() {
            return self.frame(&frame);
        }
        match std::mem::take(&mut self.state) {
            State::Challenged { number, challenge, ti } => {
                let Ok(second_pass) = data.try_into() else {
                    return answer(&[], status::LENGTH);
                };
                let Some(agreed) = challenge.met_by(second_pass) else {
                    return answer(&[], status::AUTHENTICATION);
                };
                self.state = State::Open(Session {
                    number,
                    ti,
                    enc: agreed.session_key(Purpose::Encryption),
                    mac: agreed.session_key(Purpose::Mac),
                    commands: 0,
                });
                answer(&third_pass(&agreed, ti), status::OK)
            }
            State::Idle | State::Open(_) => self.refuse(status::ILLEGAL_COMMAND),
        }
    }

    /// Answers in several frames, each of which is asked for.
    pub(super) fn answered_in_frames(&mut self, frames: &[Vec<u8>]) -> Vec<u8> {
        self.said.clear();
        self.waiting = frames.iter().rev().cloned().collect();
        let first = self.waiting.pop().unwrap_or_default();
        self.frame(&first)
    }

    fn frame(&mut self, frame: &[u8]) -> Vec<u8> {
        self.said.extend_from_slice(frame);
        if !self.waiting.is_empty() {
            return answer(frame, status::MORE);
        }
        let said = std::mem::take(&mut self.said);
        match &mut self.state {
            State::Open(session) => {
                session.commands = session.commands.wrapping_add(1);
                answer(&[frame, &session.mac_of(0, &said)].concat(), status::OK)
            }
            State::Idle | State::Challenged { .. } => answer(frame, status::OK),
        }
    }

    /// What a command holds once its protection is taken off: its header, of so many bytes, and the
    /// data behind, of which only that is encrypted.
    pub(super) fn received<'a>(
        &self,
        instruction: u8,
        mode: CommMode,
        header: usize,
        data: &'a [u8],
    ) -> Result<(&'a [u8], Vec<u8>), u16> {
        let session = match (mode, &self.state) {
            (CommMode::Plain, _) => {
                let (header, rest) = data.split_at_checked(header).ok_or(status::LENGTH)?;
                return Ok((header, rest.to_vec()));
            }
            (CommMode::Mac | CommMode::Full, State::Open(session)) => session,
            (CommMode::Mac | CommMode::Full, State::Idle | State::Challenged { .. }) => {
                return Err(status::AUTHENTICATION);
            }
        };
        let (covered, mac) = data.split_last_chunk::<SHORT_MAC>().ok_or(status::LENGTH)?;
        let (header, rest) = covered.split_at_checked(header).ok_or(status::LENGTH)?;
        if session.mac_of(instruction, covered) != *mac {
            return Err(status::INTEGRITY);
        }
        if mode == CommMode::Mac || rest.is_empty() {
            return Ok((header, rest.to_vec()));
        }
        let rest = decrypted_and_unpadded(&session.enc, session.vector(COMMAND), rest);
        Ok((header, rest.ok_or(status::INTEGRITY)?))
    }

    /// The answer to a command that was done. Without a session it goes plainly, whatever the mode.
    pub(super) fn answered(&mut self, mode: CommMode, data: &[u8]) -> Vec<u8> {
        let State::Open(session) = &mut self.state else {
            return answer(data, status::OK);
        };
        // A reader gives up before the counter begins anew.
        session.commands = session.commands.wrapping_add(1);
        let data = if mode == CommMode::Full && !data.is_empty() {
            padded_and_encrypted(&session.enc, session.vector(ANSWER), data)
        } else {
            data.to_vec()
        };
        if mode == CommMode::Plain {
            return answer(&data, status::OK);
        }
        let mac = session.mac_of(0, &data);
        answer(&[&data[..], &mac].concat(), status::OK)
    }

    /// The answer to a command that was not done: it ends a session.
    pub(super) fn refuse(&mut self, status: u16) -> Vec<u8> {
        *self = Self::default();
        answer(&[], status)
    }

    /// The answer, without a MAC, to the command that changed the key of the session and so ended it.
    pub(super) fn over(&mut self) -> Vec<u8> {
        *self = Self::default();
        answer(&[], status::OK)
    }
}

/// Transaction identifier, the reader's random number, and no capabilities of either side.
fn third_pass(agreed: &Agreed, ti: [u8; TI]) -> [u8; 2 * BLOCK] {
    let mut plain = [0; 2 * BLOCK];
    plain[..TI].copy_from_slice(&ti);
    plain[TI..TI + BLOCK].copy_from_slice(&agreed.proof());
    agreed.encrypted(plain)
}

/// A card that takes APDUs. Native commands are its dialogue's business, those of ISO 7816-4 its own.
pub(super) trait ApduCard {
    /// Its dialogue.
    fn dialogue(&mut self) -> &mut Dialogue;

    /// The answer to a native command, or the status with which it is refused.
    fn native(&mut self, instruction: u8, data: &[u8]) -> Result<Vec<u8>, u16>;

    /// The answer to a command of ISO 7816-4.
    fn iso(&mut self, apdu: &Apdu<'_>) -> Vec<u8>;

    /// The answer to an APDU.
    fn exchange(&mut self, command: &[u8]) -> Vec<u8> {
        let Some(apdu) = Apdu::parse(command) else {
            return answer(&[], status::ISO_LENGTH);
        };
        match (apdu.class, apdu.instruction) {
            (NATIVE, instruction) if self.dialogue().interrupts(instruction) => {
                answer(&[], status::ABORTED)
            }
            (NATIVE, instruction) => match self.native(instruction, apdu.data) {
                Ok(answer) => answer,
                Err(status) => self.dialogue().refuse(status),
            },
            (ISO, _) => self.iso(&apdu),
            _ => answer(&[], status::ISO_CLASS),
        }
    }
}
