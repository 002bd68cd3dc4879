//! A connection: two reliable streams of bytes that arrive in pieces of any size, late, or never.

use std::collections::VecDeque;

use crate::hub::Session;

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Stream {
    under_way: VecDeque<u8>,
    /// All that was ever sent, for repetition.
    pub(crate) sent: Vec<u8>,
    /// Nothing that is sent arrives any more, and its sender does not notice.
    pub(crate) dead: bool,
}

impl Stream {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        if !self.dead {
            self.under_way.extend(bytes);
        }
    }

    /// The next bytes to arrive, `most` of them at the most.
    pub(crate) fn arrive(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.under_way.len());
        self.under_way.drain(..count).collect()
    }

    /// The line is cut: of what is under way only so many bytes still arrive.
    pub(crate) fn cut(&mut self, arriving: usize) {
        self.under_way.truncate(arriving);
        self.dead = true;
    }
}

/// A connection, with the hub's session at its end.
pub(crate) struct Link {
    pub(crate) desk: usize,
    pub(crate) session: Session,
    pub(crate) up: Stream,
    pub(crate) down: Stream,
    /// Whether the desk still has this one: bytes of an older connection may reach the hub when a
    /// newer one is already under way.
    pub(crate) listened_to: bool,
}

impl Link {
    pub(crate) fn new(desk: usize, session: Session) -> Self {
        Self { desk, session, up: Stream::default(), down: Stream::default(), listened_to: true }
    }

    /// What a desk once sent, said again to a session of its own. Nobody hears the answers.
    pub(crate) fn repetition(desk: usize, session: Session, sent: &[u8]) -> Self {
        let mut link = Self { listened_to: false, ..Self::new(desk, session) };
        link.up.send(sent);
        link.down.dead = true;
        link
    }

    /// Whether everything said on it arrives.
    pub(crate) fn works(&self) -> bool {
        self.listened_to && !self.up.dead && !self.down.dead
    }
}
