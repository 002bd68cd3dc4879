//! What is known of entries that this disk has lost, as it is noted beside the ledgers.

use crdt_model::ids::Writer;
use crdt_model::time::{date_of_day_number, day_number};
use jiff::civil::Date;
use minicbor::{Decode, Encode};

use crate::proven::{prove, proven};

/// Entries of one of this desk's lists that this disk has lost: indices from `first` on, before `end`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(super) struct MissingRun {
    #[n(0)]
    day: i32,
    #[cbor(n(1), with = "minicbor::bytes")]
    writer: [u8; 20],
    #[n(2)]
    first: u64,
    #[n(3)]
    end: u64,
}

impl MissingRun {
    pub(super) fn new(day: Date, writer: &Writer, first: u64, end: u64) -> Self {
        Self { day: day_number(day), writer: writer.to_bytes(), first, end }
    }
}

/// The contents of the file that says that a part is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Missing {
    #[n(0)]
    pub(super) own: Vec<MissingRun>,
    /// It may be more than that.
    #[n(1)]
    pub(super) more: bool,
}

impl Missing {
    /// Something is missing, and nobody knows what.
    pub(super) fn unknown() -> Self {
        Self { own: Vec::new(), more: true }
    }

    /// What the bytes of a note say. Bytes that do not prove themselves whole, also the empty ones that earlier versions
    /// wrote, say that nobody knows what is missing.
    pub(super) fn of(bytes: &[u8]) -> Self {
        proven(bytes)
            .and_then(|contents| minicbor::decode(contents).ok())
            .unwrap_or_else(Self::unknown)
    }

    /// The bytes of the note.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Nothing that could fail is written to; bytes that are empty say that nobody knows.
        prove(minicbor::to_vec(self).unwrap_or_default())
    }

    /// Adds what was found now.
    pub(super) fn add(&mut self, found: Self) {
        self.more |= found.more;
        self.own.extend(found.own);
        self.own.sort();
        self.own.dedup();
    }

    /// Where the known runs of this list end.
    pub(super) fn ends_of(&self, day: Date, writer: &Writer) -> impl Iterator<Item = u64> + '_ {
        let (day, writer) = (day_number(day), writer.to_bytes());
        self.own.iter().filter(move |it| it.day == day && it.writer == writer).map(|it| it.end)
    }

    /// How many entries of the known runs are not here, where `held` says how long each list is here.
    pub(super) fn count(&self, held: impl Fn(Date, &Writer) -> u64) -> u64 {
        let lacks = |run: &MissingRun| {
            let writer = Writer::from_bytes(&run.writer).ok()?;
            let held = held(date_of_day_number(run.day)?, &writer);
            Some(run.end.saturating_sub(held.max(run.first)))
        };
        self.own.iter().filter_map(lacks).fold(0, u64::saturating_add)
    }
}
