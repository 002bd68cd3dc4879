//! Type 2 tags: NTAG21x, Ultralight EV1 and Ultralight AES, whose memory is pages of four bytes that
//! a reader reads and writes by number (NXP NTAG213/215/216 rev 3.2, MF0ULx1 rev 3.3, MF0AES(H)20).
//! Not emulated: mirrors of UID and counter in ASCII, random UIDs, COMPATIBILITY_WRITE, tearing
//! flags, and the block bit of the key locks.
//!
//! Commands and answers are without the CRC, which readers add and check.

mod model;
mod secure;

use super::card::Reaction;
pub use model::Model;
use model::{AES_KEYS, AES_LOCK_KEYS, Layout};
use secure::Secure;

/// Bytes of a page.
pub(super) const PAGE: usize = 4;

/// The NAKs: a wrong page or command, and too many wrong passwords.
const INVALID: u8 = 0x0;
const AUTHENTICATIONS_USED_UP: u8 = 0x4;

/// The bits of the first access byte (CFG1, byte 0).
const PROTECTS_READING: u8 = 0x80;
const CONFIGURATION_LOCKED: u8 = 0x40;
const COUNTS_READINGS: u8 = 0x10;

/// A counter has 24 bits.
const COUNTER_END: u32 = 0x00ff_ffff;

/// A Type 2 tag.
#[derive(Debug)]
pub struct Type2 {
    model: Model,
    uid: [u8; 7],
    memory: Vec<u8>,
    /// One-way counters. Of an NTAG21x only the last, which counts readings.
    counters: [u32; 3],
    /// Failed authentications in a row.
    failed: u16,
    secure: Secure,
    // What follows goes with the power.
    authenticated: bool,
    counted: bool,
}

impl Type2 {
    /// A tag as it comes from the factory. The random numbers of an Ultralight AES follow from `seed`.
    pub fn new(model: Model, uid: [u8; 7], seed: u64) -> Self {
        let layout = model.layout();
        let mut memory = vec![0; usize::from(layout.pages) * PAGE];
        let check = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum ^ byte);
        memory[..3].copy_from_slice(&uid[..3]);
        // The cascade tag is part of the first check byte (ISO 14443-3).
        memory[3] = 0x88 ^ check(&uid[..3]);
        memory[4..8].copy_from_slice(&uid[3..]);
        memory[8] = check(&uid[3..]);
        // The internal byte.
        memory[9] = 0x48;
        for (page, bytes) in layout.factory {
            let at = usize::from(*page) * PAGE;
            memory[at..at + PAGE].copy_from_slice(bytes);
        }
        Self {
            model,
            uid,
            memory,
            counters: [0; 3],
            failed: 0,
            secure: Secure::new(seed),
            authenticated: false,
            counted: false,
        }
    }

    /// Which tag it is.
    pub fn model(&self) -> Model {
        self.model
    }

    /// The tag's UID.
    pub fn uid(&self) -> [u8; 7] {
        self.uid
    }

    /// All that lies in its memory from page 0 on, what nobody can read as well.
    pub fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// The memory, to lay something in it that no reader could.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    /// Ends a session, but does not end a reading: that takes the power off.
    pub(super) fn select(&mut self) {
        self.authenticated = false;
        self.secure.end();
    }

    /// Forgets what goes with the power.
    pub(super) fn power_off(&mut self) {
        self.select();
        self.counted = false;
    }

    /// What the tag does with a command.
    pub(super) fn exchange(&mut self, command: &[u8]) -> Reaction {
        let reaction = match (self.model, command) {
            (Model::UltralightAes, [0x1a, number]) => self.begin(*number),
            (Model::UltralightAes, [0xaf, second_pass @ ..]) => self.prove(second_pass),
            _ => {
                self.secure.give_up_authentication();
                match self.secure.unwrapped(command) {
                    Some(command) => {
                        let reaction = self.plain(command);
                        self.secure.wrapped(reaction)
                    }
                    None => Reaction::Nak(INVALID),
                }
            }
        };
        if matches!(reaction, Reaction::Nak(_)) {
            self.select();
        }
        reaction
    }

    fn plain(&mut self, command: &[u8]) -> Reaction {
        let answer = match *command {
            [0x30, page] => self.read(page),
            [0x3a, first, last] => self.fast_read(first, last),
            [0xa2, page, a, b, c, d] => {
                return match self.write(page, [a, b, c, d]) {
                    Some(()) => Reaction::Ack,
                    None => Reaction::Nak(INVALID),
                };
            }
            [0x60] => Some(self.layout().version.to_vec()),
            [0x39, number] => self.counter(number),
            [0xa5, number, low, middle, high, _] => {
                return self.increment(number, u32::from_le_bytes([low, middle, high, 0]));
            }
            [0x3c, 0] => Some(self.signature()),
            [0x1b, ref password @ ..] => return self.password(password),
            _ => None,
        };
        answer.map_or(Reaction::Nak(INVALID), Reaction::Answer)
    }

    fn layout(&self) -> &'static Layout {
        self.model.layout()
    }

    fn page(&self, page: usize) -> [u8; PAGE] {
        std::array::from_fn(|at| self.memory.get(page * PAGE + at).copied().unwrap_or(0))
    }

    /// The first page that is closed to whoever is not authenticated (AUTH0).
    fn closed_from(&self) -> usize {
        usize::from(self.page(usize::from(self.layout().configuration))[3])
    }

    /// The byte that says how it is protected (CFG1, byte 0).
    fn access(&self) -> u8 {
        self.page(usize::from(self.layout().configuration) + 1)[0]
    }

    /// Pages that can be read now, from page 0 on.
    fn readable(&self) -> usize {
        let pages = usize::from(self.layout().pages);
        if self.access() & PROTECTS_READING == 0 || self.authenticated {
            pages
        } else {
            self.closed_from().min(pages)
        }
    }

    /// What a reader sees of a page: of passwords and keys, zeros.
    fn shown(&self, page: usize) -> [u8; PAGE] {
        if page >= usize::from(self.layout().secret) { [0; PAGE] } else { self.page(page) }
    }

    fn read(&mut self, page: u8) -> Option<Vec<u8>> {
        let (page, readable) = (usize::from(page), self.readable());
        if page >= readable {
            return None;
        }
        self.count_reading();
        // Behind the last page that can be read comes page 0.
        Some((page..page + 4).flat_map(|page| self.shown(page % readable)).collect())
    }

    fn fast_read(&mut self, first: u8, last: u8) -> Option<Vec<u8>> {
        let (first, last) = (usize::from(first), usize::from(last));
        if first > last || last >= self.readable() {
            return None;
        }
        self.count_reading();
        Some((first..=last).flat_map(|page| self.shown(page)).collect())
    }

    fn count_reading(&mut self) {
        if self.model.is_ntag() && self.access() & COUNTS_READINGS != 0 && !self.counted {
            self.counted = true;
            self.counters[2] = (self.counters[2] + 1).min(COUNTER_END);
        }
    }

    /// READ_CNT: the least significant byte first.
    fn counter(&self, number: u8) -> Option<Vec<u8>> {
        if self.model.is_ntag() && (number != 2 || self.access() & COUNTS_READINGS == 0) {
            return None;
        }
        let counter = self.counters.get(usize::from(number))?;
        Some(counter.to_le_bytes()[..3].to_vec())
    }

    /// INCR_CNT, which NTAG21x does not have.
    fn increment(&mut self, number: u8, by: u32) -> Reaction {
        let is_ntag = self.model.is_ntag();
        let counter = self.counters.get_mut(usize::from(number)).filter(|_| !is_ntag);
        match counter {
            Some(counter) if *counter + by <= COUNTER_END => {
                *counter += by;
                Reaction::Ack
            }
            Some(_) | None => Reaction::Nak(INVALID),
        }
    }

    /// READ_SIG: no signature of NXP, which only NXP can make; the same bytes for the same UID.
    fn signature(&self) -> Vec<u8> {
        self.uid.iter().copied().cycle().take(self.layout().signature).collect()
    }

    /// WRITE. Lock bits and the capability container are one-way.
    fn write(&mut self, page: u8, new: [u8; PAGE]) -> Option<()> {
        let layout = self.layout();
        let at = usize::from(page);
        if !(2..usize::from(layout.pages)).contains(&at)
            || at >= self.closed_from() && !self.authenticated
            || self.is_locked(at)
        {
            return None;
        }
        let old = self.page(at);
        let ored: [u8; PAGE] = std::array::from_fn(|at| old[at] | new[at]);
        let written = if at == 2 {
            // The check byte and the internal one stay.
            let frozen = self.frozen_static();
            let bits = |at: usize| old[at] | new[at] & !frozen[at - 2];
            [old[0], old[1], bits(2), bits(3)]
        } else if at == 3 || self.model == Model::UltralightAes && at == AES_LOCK_KEYS {
            ored
        } else if Some(page) == layout.lock {
            let frozen = frozen_dynamic(old[2]);
            let bits = |at: usize| old[at] | new[at] & !frozen[at];
            [bits(0), bits(1), ored[2], old[3]]
        } else {
            new
        };
        self.memory[at * PAGE..(at + 1) * PAGE].copy_from_slice(&written);
        Some(())
    }

    /// The static lock bits that their block bits hold as they are.
    fn frozen_static(&self) -> [u8; 2] {
        let [_, _, low, _] = self.page(2);
        let mut frozen = [0, 0];
        for (block, held) in [(0x01, [0x08, 0x00]), (0x02, [0xf0, 0x03]), (0x04, [0x00, 0xfc])] {
            if low & block != 0 {
                frozen[0] |= held[0];
                frozen[1] |= held[1];
            }
        }
        frozen
    }

    fn is_locked(&self, page: usize) -> bool {
        let layout = self.layout();
        let [_, _, low, high] = self.page(2);
        let configuration = usize::from(layout.configuration);
        match page {
            // The lock bits themselves go one way.
            ..=2 => false,
            3..=15 => u16::from_le_bytes([low, high]) & 1 << page != 0,
            page if page == configuration || page == configuration + 1 => {
                self.access() & CONFIGURATION_LOCKED != 0
            }
            page if self.model == Model::UltralightAes && page >= AES_KEYS => {
                let key = (page - AES_KEYS) / 4;
                key > 1 || self.page(AES_LOCK_KEYS)[0] & 1 << key != 0
            }
            page => layout.lock.is_some_and(|lock| {
                let [low, high, ..] = self.page(usize::from(lock));
                let bit = (page - 16) / usize::from(layout.pages_of_a_lock_bit);
                page < usize::from(lock) && u16::from_le_bytes([low, high]) & 1 << bit != 0
            }),
        }
    }

    /// PWD_AUTH.
    fn password(&mut self, given: &[u8]) -> Reaction {
        let Some(password) = self.layout().password.map(usize::from) else {
            return Reaction::Nak(INVALID);
        };
        let limit = u16::from(self.access() & 0x07);
        if limit > 0 && self.failed >= limit {
            return Reaction::Nak(AUTHENTICATIONS_USED_UP);
        }
        if self.page(password) != given {
            self.failed += 1;
            return Reaction::Nak(INVALID);
        }
        self.failed = 0;
        self.authenticated = true;
        Reaction::Answer(self.page(password + 1)[..2].to_vec())
    }

    /// The first pass of AUTHENTICATE, with DataProtKey or UIDRetrKey.
    fn begin(&mut self, number: u8) -> Reaction {
        let [_, _, low, high] = self.page(usize::from(self.layout().configuration) + 1);
        let limit = u16::from_le_bytes([low, high & 0x03]);
        if number > 1 || limit > 0 && self.failed >= limit {
            return Reaction::Nak(INVALID);
        }
        let at = (AES_KEYS + 4 * usize::from(number)) * PAGE;
        // The key's last byte lies first.
        let key = std::array::from_fn(|place| self.memory[at + 15 - place]);
        self.select();
        self.secure.challenge(number, key)
    }

    /// The second and third pass.
    fn prove(&mut self, second_pass: &[u8]) -> Reaction {
        let protects = self.page(usize::from(self.layout().configuration))[0] & 0x02 != 0;
        let Some((number, answer)) = self.secure.prove(second_pass, protects) else {
            self.failed = self.failed.saturating_add(1);
            return Reaction::Nak(INVALID);
        };
        self.failed = 0;
        self.authenticated = number == 0;
        Reaction::Answer(answer)
    }
}

/// The dynamic lock bits that their block bits hold as they are: two by each.
fn frozen_dynamic(blocks: u8) -> [u8; 2] {
    let held = (0..8).filter(|bit| blocks & 1 << bit != 0);
    held.fold(0u16, |held, bit| held | 0b11 << (2 * bit)).to_le_bytes()
}

#[cfg(test)]
mod tests;
