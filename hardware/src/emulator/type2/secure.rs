//! The authentication of an Ultralight AES, and the MACs of the session that it opens where the tag
//! is set to have them (MF0AES(H)20, 8.8; CFG0, SEC_MSG_ACT).

use super::super::aes::{BLOCK, Challenge, Purpose};
use super::super::card::Reaction;
use super::super::random::Random;
use crate::authentic::Key;

/// Bytes of a MAC.
const MAC: usize = 8;

#[derive(Debug)]
enum State {
    Idle,
    Challenged {
        number: u8,
        challenge: Challenge,
    },
    /// With MACs: a command and its answer each have a number.
    Open {
        mac: Key,
        counter: u16,
    },
}

/// An Ultralight AES's side of a session.
#[derive(Debug)]
pub(super) struct Secure {
    state: State,
    random: Random,
}

impl Secure {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: State::Idle, random: Random::of(seed) }
    }

    /// As it was before the first pass.
    pub(super) fn end(&mut self) {
        self.state = State::Idle;
    }

    /// Another command than the second pass came.
    pub(super) fn give_up_authentication(&mut self) {
        if matches!(self.state, State::Challenged { .. }) {
            self.end();
        }
    }

    /// The first pass with this key.
    pub(super) fn challenge(&mut self, number: u8, key: [u8; BLOCK]) -> Reaction {
        let challenge = Challenge::new(key, self.random.next());
        let answer = [&[0xaf][..], &challenge.first_pass()].concat();
        self.state = State::Challenged { number, challenge };
        Reaction::Answer(answer)
    }

    /// The third pass and the number of the key, if the second one proves that the reader knows it.
    /// With `protects`, what follows has MACs.
    pub(super) fn prove(&mut self, second_pass: &[u8], protects: bool) -> Option<(u8, Vec<u8>)> {
        let State::Challenged { number, challenge } =
            std::mem::replace(&mut self.state, State::Idle)
        else {
            return None;
        };
        let agreed = challenge.met_by(second_pass.try_into().ok()?)?;
        if protects {
            self.state = State::Open { mac: agreed.session_key(Purpose::Mac), counter: 0 };
        }
        Some((number, [&[0x00][..], &agreed.encrypted(agreed.proof())].concat()))
    }

    /// The command inside one of a session with MACs; outside of one, the command itself. `None`
    /// where the MAC does not hold.
    pub(super) fn unwrapped<'a>(&mut self, command: &'a [u8]) -> Option<&'a [u8]> {
        let State::Open { mac: key, counter } = &mut self.state else { return Some(command) };
        let (command, mac) = command.split_last_chunk::<MAC>()?;
        let expected = key.short_mac(&[&counter.to_le_bytes()[..], command].concat());
        *counter = counter.checked_add(1)?;
        (expected == *mac).then_some(command)
    }

    /// The answer with its MAC, which stands alone where the tag would otherwise say ACK.
    pub(super) fn wrapped(&mut self, reaction: Reaction) -> Reaction {
        let State::Open { mac, counter } = &mut self.state else { return reaction };
        let data = match reaction {
            Reaction::Answer(data) => data,
            Reaction::Ack => Vec::new(),
            Reaction::Nak(_) | Reaction::Silence => return reaction,
        };
        let code = mac.short_mac(&[&counter.to_le_bytes()[..], &data].concat());
        *counter = counter.wrapping_add(1);
        Reaction::Answer([&data[..], &code].concat())
    }
}
