//! What is written on a Type 2 card: the issuer's signature over its chip number, page by page.

use super::{MakeError, State, Step, With, done};
use crate::authentic::ndef;
use crate::authentic::signed::{Issued, SignedPass};
use crate::card::Command;
use crate::product::TYPE_2_VERSION;

/// The first data page of a card that holds no message.
const EMPTY_MESSAGE: [u8; 4] = [0x03, 0x00, 0xfe, 0x00];

/// Where an NTAG21x says that pages are locked, where it says how large it is, and where its data begins.
const LOCKS: std::ops::Range<usize> = 10..12;
pub(super) const CONTAINER: std::ops::Range<usize> = 12..16;
pub(super) const FIRST_PAGE: u8 = 4;

/// A page, and what it is to hold.
pub(super) type Write = (u8, [u8; 4]);

impl With {
    /// A Type 2 card's first pages: may they be changed?
    pub(super) fn look(self, memory: &[u8]) -> Step {
        let Ok(memory) = <[u8; 16]>::try_from(memory) else { return done(MakeError::Room) };
        if memory[LOCKS] != [0, 0] {
            return done(MakeError::Locked);
        }
        self.ask(Command::raw(TYPE_2_VERSION), State::Version(memory))
    }

    /// A Type 2 card without keys.
    pub(super) fn plain(self, memory: &[u8; 16]) -> Step {
        match self.pass_in(&memory[CONTAINER], false) {
            Ok(pass) => self.write(in_order(Vec::new(), pass, Vec::new(), None)),
            Err(error) => done(error),
        }
    }

    /// The pages of a pass for this card: where this capability container says that there is room.
    pub(super) fn pass_in(&self, container: &[u8], keyed: bool) -> Result<Vec<Write>, MakeError> {
        let set = self.set().ok_or(MakeError::NoKeys)?;
        let keys = set.making().ok_or(MakeError::NoKeys)?;
        let issued = Issued { key: set.number().into(), day: self.day, keyed };
        let pass = SignedPass::sign(&self.card.chip, issued, &keys.signing);
        let pages = ndef::type_2_pages(&pass.to_message()).unwrap_or_default();
        let room = match container {
            [0xe1, _, eighths, _] => usize::from(*eighths) * 8,
            _ => 0,
        };
        if pages.is_empty() || pages.len() > room {
            return Err(MakeError::Room);
        }
        Ok((FIRST_PAGE..).zip(pages.as_chunks().0.iter().copied()).collect())
    }

    /// Writes the next page; behind the last the card is selected anew and checked.
    pub(super) fn write(self, mut left: Vec<Write>) -> Step {
        match left.pop() {
            Some((page, data)) => self.ask(Command::WritePage { page, data }, State::Writes(left)),
            None => self.ask(Command::SelectAnew, State::SelectedAnew),
        }
    }
}

/// Everything that is written on a Type 2 card, in the order in which a break does no harm and the first of
/// it last: what opens the card, an empty message, the pass from its second page on, the key, then the page
/// that makes it a pass, and what closes the card.
pub(super) fn in_order(
    opening: Vec<Write>,
    pass: Vec<Write>,
    key: Vec<Write>,
    closing: Option<Write>,
) -> Vec<Write> {
    let mut pass = pass.into_iter();
    let first = pass.next();
    let opened = opening.into_iter().chain([(FIRST_PAGE, EMPTY_MESSAGE)]);
    let mut writes: Vec<Write> =
        opened.chain(pass).chain(key).chain(first).chain(closing).collect();
    writes.reverse();
    writes
}
