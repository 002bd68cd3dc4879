//! One venue's day: an Automerge document seen as lists of entries, one list for each writer.
//!
//! The document's root is `{ <writer>: [entry, entry, …] }`, each entry one bytes scalar. A writer
//! appends to its own list and touches nothing else, and each of its changes depends on its own
//! last change only. So a change is *determined* by who wrote it, its place, the change before it
//! and the entry: there is exactly one right encoding, the *canonical change*. That gives the rule
//! for whoever merges: a change is taken if, and only if, it is byte for byte the canonical change
//! for its entry at the next place of its writer's list. Nothing else ever reaches Automerge.
//!
//! It also means that entries alone carry a ledger: given the entries, [`Ledger::extension`]
//! rebuilds the changes, and the hash of the last one proves that they are the ones its desk wrote.
//!
//! In memory a ledger is its lists and the hashes of their changes. [`Ledger::document`] is the
//! Automerge document, made of the same changes.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Automerge, Change, ChangeHash, ExpandedChange, ObjType, ScalarValue};
use jiff::civil::Date;
use thiserror::Error;

use crate::chunk::{ChangeParts, Chunk, ChunkKind};
pub use crate::entry::EntryRef;
use crate::entry::{Entry, EntryError, Located, MAX_ENTRY_BYTES};
use crate::ids::{VenueId, Writer};

/// A change chunk at the most: a canonical change has some 130 bytes around its entry.
pub const MAX_CHANGE_BYTES: usize = MAX_ENTRY_BYTES + 256;

/// Entries in one list at the most: a desk that takes one pass a second, day and night.
pub const MAX_LIST_ENTRIES: u64 = 86_400;

/// A ledger's id: `<venue>/<yyyy-mm-dd>`, the venue's local day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId {
    /// The venue.
    pub venue: VenueId,
    /// The local day.
    pub day: Date,
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.venue, self.day)
    }
}

/// The hash of a change: SHA-256 over its chunk.
pub type Hash = [u8; 32];

/// How far a list has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// How many changes, and so entries, it has.
    pub sequence: u64,
    /// The hash of the last one; zeroes where there is none.
    pub head: Hash,
}

/// Why something cannot be merged. The ledger is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MergeError {
    /// It begins behind the end of what is here: something in between is lacking.
    #[error(
        "entries {first} and on were offered, but only {held} are held: some in between are lacking"
    )]
    Gap {
        /// The sequence number that was offered first.
        first: u64,
        /// How many are held.
        held: u64,
    },
    /// The list would have more than [`MAX_LIST_ENTRIES`].
    #[error("a list has at most {MAX_LIST_ENTRIES} entries")]
    TooLong,
    /// An entry's bytes are not an entry.
    #[error("entry {sequence}: {error}")]
    Entry {
        /// Its sequence number, from 1.
        sequence: u64,
        /// What is wrong with it.
        error: EntryError,
    },
    /// Not a change chunk of a size that a ledger has.
    #[error("not a change of a ledger: {why}")]
    NotAChange {
        /// What it is instead.
        why: String,
    },
    /// A change that is not, byte for byte, what its writer must have written at that place.
    #[error("change {sequence} of {writer} is not the one that belongs there")]
    NotCanonical {
        /// Its writer, as it says.
        writer: Writer,
        /// Its sequence number, as it says.
        sequence: u64,
    },
}

/// One writer's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct List {
    entries: Vec<Entry>,
    hashes: Vec<Hash>,
    /// By index, the bytes of the entries that this version would write otherwise: those with
    /// fields of a newer one. Encoded anew they would give another change, with another hash.
    verbatim: BTreeMap<u64, Vec<u8>>,
    /// By index, where the entries stood first that are copies ([`Located`]).
    first_places: BTreeMap<u64, EntryRef>,
}

impl List {
    fn position(&self) -> Position {
        Position {
            sequence: self.entries.len() as u64,
            head: self.hashes.last().copied().unwrap_or_default(),
        }
    }

    fn position_at(&self, sequence: u64) -> Option<Position> {
        let Some(place) = sequence.checked_sub(1) else { return Some(Position::default()) };
        let head = *self.hashes.get(usize::try_from(place).ok()?)?;
        Some(Position { sequence, head })
    }

    fn bytes(
        &self,
        from: u64,
        day: Date,
        writer: Writer,
    ) -> impl Iterator<Item = Vec<u8>> + Clone + use<'_> {
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let entries = self.entries.get(start..).unwrap_or_default();
        (from..).zip(entries).map(move |(index, entry)| {
            self.verbatim.get(&index).cloned().unwrap_or_else(|| entry.encode(day, &writer))
        })
    }
}

/// A change that is whole, and of which the changes before it are lacking: it is all there but for its place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Where its entry stands.
    pub place: EntryRef,
    /// The entry's bytes.
    pub entry: Vec<u8>,
}

impl Orphan {
    /// What this chunk holds, where it is, byte for byte, the canonical change of its entry behind the change that it
    /// names as the one before.
    pub fn of(day: Date, chunk: &[u8]) -> Option<Self> {
        let parts = ChangeParts::of(chunk).filter(|_| chunk.len() <= MAX_CHANGE_BYTES)?;
        let writer = Writer::from_bytes(parts.actor).ok()?;
        let index = parts.sequence.checked_sub(1).filter(|index| *index < MAX_LIST_ENTRIES)?;
        let head = match index {
            0 => Hash::default(),
            _ => parts.dependencies.try_into().ok()?,
        };
        let change = canonical_change(&writer, &Position { sequence: index, head }, parts.values);
        let is_it =
            change.raw_bytes() == chunk && Entry::decode(parts.values, day, &writer).is_ok();
        let place = EntryRef { day, writer, index };
        is_it.then(|| Self { place, entry: parts.values.to_vec() })
    }
}

/// Entries that fit at the end of a writer's list, with their changes: not yet part of it.
#[derive(Debug, Clone)]
pub struct Extension {
    writer: Writer,
    base: Position,
    entries: Vec<Entry>,
    first_places: Vec<Option<EntryRef>>,
    bytes: Vec<Vec<u8>>,
    hashes: Vec<Hash>,
    chunks: Vec<u8>,
    head: Position,
}

impl Extension {
    /// What merging these entries behind `held` amounts to, for who keeps positions and not whole
    /// ledgers: see [`Ledger::extension`].
    ///
    /// # Errors
    /// As [`Ledger::extension`].
    pub fn behind<'a>(
        id: &LedgerId,
        writer: Writer,
        held: Position,
        first: u64,
        entries: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, MergeError> {
        let (mut head, base) = (held, held.sequence);
        if first == 0 || first > base + 1 {
            return Err(MergeError::Gap { first, held: base });
        }
        let mut extension = Self {
            writer,
            base: held,
            entries: Vec::new(),
            first_places: Vec::new(),
            bytes: Vec::new(),
            hashes: Vec::new(),
            chunks: Vec::new(),
            head,
        };
        for (sequence, bytes) in (first..).zip(entries).filter(|(sequence, _)| *sequence > base) {
            if sequence > MAX_LIST_ENTRIES {
                return Err(MergeError::TooLong);
            }
            let Located { entry, first_place } = Located::decode(bytes, id.day, &writer)
                .map_err(|error| MergeError::Entry { sequence, error })?;
            let change = canonical_change(&writer, &head, bytes);
            head = Position { sequence, head: change.hash().0 };
            extension.entries.push(entry);
            extension.first_places.push(first_place);
            extension.bytes.push(bytes.to_vec());
            extension.hashes.push(head.head);
            extension.chunks.extend_from_slice(change.raw_bytes());
        }
        extension.head = head;
        Ok(extension)
    }

    /// Where each of [`Self::entries`] stood first, where it is a copy.
    pub fn first_places(&self) -> &[Option<EntryRef>] {
        &self.first_places
    }

    /// Whose list it extends.
    pub fn writer(&self) -> Writer {
        self.writer
    }
    /// Where the list stands with this extension: what its writer must have sealed.
    pub fn head(&self) -> Position {
        self.head
    }
    /// The new entries, without those that the list has already.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
    /// The bytes of each of them, as their writer wrote them: what is kept and sent on. Encoding
    /// [`Extension::entries`] anew would lose the fields of a newer version.
    pub fn entry_bytes(&self) -> &[Vec<u8>] {
        &self.bytes
    }
    /// The index, from 0, of the first new entry.
    pub fn first_index(&self) -> u64 {
        self.base.sequence
    }
    /// The change chunks of the new entries, one behind the other: what is appended to the file.
    pub fn chunks(&self) -> &[u8] {
        &self.chunks
    }
}

/// One venue's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    id: LedgerId,
    lists: BTreeMap<Writer, List>,
}

impl Ledger {
    /// A day on which nothing has happened yet.
    pub fn new(id: LedgerId) -> Self {
        Self { id, lists: BTreeMap::new() }
    }

    /// Its id.
    pub fn id(&self) -> &LedgerId {
        &self.id
    }

    /// The writers that have written, in order.
    pub fn writers(&self) -> impl Iterator<Item = Writer> + '_ {
        self.lists.keys().copied()
    }

    /// How far this writer's list has come.
    pub fn position(&self, writer: &Writer) -> Position {
        self.lists.get(writer).map(List::position).unwrap_or_default()
    }

    /// How far this writer's list had come at that sequence number, where it has come so far.
    pub fn position_at(&self, writer: &Writer, sequence: u64) -> Option<Position> {
        match self.lists.get(writer) {
            Some(list) => list.position_at(sequence),
            None => List::default().position_at(sequence),
        }
    }

    /// This writer's entries, from index `from` (from 0) on.
    pub fn entries_of(&self, writer: &Writer, from: u64) -> &[Entry] {
        let entries = self.lists.get(writer).map_or(&[][..], |list| &list.entries);
        usize::try_from(from).ok().and_then(|from| entries.get(from..)).unwrap_or_default()
    }

    /// The bytes of this writer's entries, from index `from` (from 0) on, as it wrote them: what
    /// is sent on. Encoding [`Ledger::entries_of`] anew would lose the fields of a newer version.
    pub fn entry_bytes_of(
        &self,
        writer: &Writer,
        from: u64,
    ) -> impl Iterator<Item = Vec<u8>> + use<'_> {
        let (day, writer) = (self.id.day, *writer);
        self.lists.get(&writer).into_iter().flat_map(move |list| list.bytes(from, day, writer))
    }

    /// Every entry with its place, list by list.
    pub fn entries(&self) -> impl Iterator<Item = (EntryRef, &Entry)> + '_ {
        let day = self.id.day;
        self.lists.iter().flat_map(move |(writer, list)| {
            (0..)
                .zip(&list.entries)
                .map(move |(index, entry)| (EntryRef { day, writer: *writer, index }, entry))
        })
    }

    /// The entry at this place, if it is of this day and there.
    pub fn entry(&self, place: &EntryRef) -> Option<&Entry> {
        let of_this_day = place.day == self.id.day;
        self.entries_of(&place.writer, place.index).first().filter(|_| of_this_day)
    }

    /// Where the entry at this place stood first: there, unless it is a copy ([`Located`]).
    pub fn first_place(&self, place: &EntryRef) -> Option<EntryRef> {
        self.lists.get(&place.writer)?.first_places.get(&place.index).copied()
    }

    /// The places at which the entries of this list stood first that are copies, in the list's order.
    pub fn first_places_of(&self, writer: &Writer) -> impl Iterator<Item = EntryRef> + '_ {
        self.lists.get(writer).into_iter().flat_map(|list| list.first_places.values().copied())
    }

    /// Takes a writer's list out, where nobody else has ever seen it.
    pub fn remove(&mut self, writer: &Writer) {
        self.lists.remove(writer);
    }

    /// The number of entries in all lists.
    pub fn len(&self) -> u64 {
        self.lists.values().map(|list| list.entries.len() as u64).sum()
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// What appending this entry to this writer's list amounts to. [`Ledger::extend`] does it.
    ///
    /// # Errors
    /// [`MergeError::TooLong`].
    pub fn appended(&self, writer: Writer, entry: &Entry) -> Result<Extension, MergeError> {
        let bytes = entry.encode(self.id.day, &writer);
        self.extension(writer, self.position(&writer).sequence + 1, std::iter::once(&bytes[..]))
    }

    /// What merging these entries amounts to, the first of which has sequence number `first` (from
    /// 1) in this writer's list. Entries that the list has already are passed over: whether they
    /// are the same shows in the extension's head, which its writer must have sealed.
    ///
    /// # Errors
    /// [`MergeError`] where they do not follow on what is here, or one is not an entry.
    pub fn extension<'a>(
        &self,
        writer: Writer,
        first: u64,
        entries: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Extension, MergeError> {
        Extension::behind(&self.id, writer, self.position(&writer), first, entries)
    }

    /// Makes an extension part of the ledger. Doing so twice is doing it once.
    ///
    /// # Errors
    /// [`MergeError::Gap`] where the list has become shorter than the extension was made for;
    /// [`MergeError::NotCanonical`] where it has gone on otherwise since.
    pub fn extend(&mut self, extension: &Extension) -> Result<(), MergeError> {
        let (writer, base) = (extension.writer, extension.base.sequence);
        let held = self.position(&writer).sequence;
        if base > held {
            return Err(MergeError::Gap { first: base + 1, held });
        }
        let list = self.lists.entry(writer).or_default();
        let known = usize::try_from(held - base).unwrap_or(usize::MAX);
        let overlap = extension.hashes.get(..known).unwrap_or(&extension.hashes);
        let start = list.hashes.len() - known;
        if list.position_at(base) != Some(extension.base)
            || list.hashes.get(start..start + overlap.len()) != Some(overlap)
        {
            if list.entries.is_empty() {
                self.lists.remove(&writer);
            }
            return Err(MergeError::NotCanonical { writer, sequence: base + 1 });
        }
        let new = extension.entries.iter().zip(&extension.bytes).zip(&extension.hashes);
        let places = extension.first_places.iter().skip(known);
        list.first_places
            .extend((held..).zip(places).filter_map(|(index, it)| Some((index, (*it)?))));
        for (index, ((entry, bytes), hash)) in (base..).zip(new).skip(known) {
            list.entries.push(*entry);
            list.hashes.push(*hash);
            if entry.encode(self.id.day, &writer) != *bytes {
                list.verbatim.insert(index, bytes.clone());
            }
        }
        if list.entries.is_empty() {
            self.lists.remove(&writer);
        }
        Ok(())
    }

    /// Checks one change chunk and says what merging it amounts to.
    ///
    /// # Errors
    /// [`MergeError`]: see the module's rule.
    pub fn check_change(&self, chunk: &[u8]) -> Result<Extension, MergeError> {
        let not_a_change = |why: String| MergeError::NotAChange { why };
        if chunk.len() > MAX_CHANGE_BYTES {
            return Err(not_a_change(format!("{} bytes, at most {MAX_CHANGE_BYTES}", chunk.len())));
        }
        // Deflated changes are never written, and nothing is inflated here.
        let parts = ChangeParts::of(chunk)
            .ok_or_else(|| not_a_change("not one whole chunk of a writer's change".to_owned()))?;
        let writer = Writer::from_bytes(parts.actor)
            .map_err(|_| not_a_change("its actor is not a writer".to_owned()))?;
        let sequence = parts.sequence;
        let extension = self.extension(writer, sequence, std::iter::once(parts.values))?;
        let canonical = if extension.chunks.is_empty() {
            let (before, held) =
                (self.position_at(&writer, sequence - 1), self.position_at(&writer, sequence));
            before
                .map(|before| canonical_change(&writer, &before, parts.values))
                .filter(|change| held.is_some_and(|held| held.head == change.hash().0))
                .is_some_and(|change| change.raw_bytes() == chunk)
        } else {
            extension.chunks == chunk
        };
        if canonical { Ok(extension) } else { Err(MergeError::NotCanonical { writer, sequence }) }
    }

    /// Takes a chunk of a file: a change, or a document that compaction left.
    ///
    /// # Errors
    /// [`MergeError`] where it is neither, or a change in it does not fit. What fitted before it
    /// stays.
    pub fn take_chunk(&mut self, chunk: &Chunk, file: &[u8]) -> Result<(), MergeError> {
        let bytes = file.get(chunk.range.clone()).unwrap_or_default();
        match chunk.kind {
            ChunkKind::Change => {
                let extension = self.check_change(bytes)?;
                self.extend(&extension)
            }
            ChunkKind::Document => {
                let document = Automerge::load(bytes)
                    .map_err(|error| MergeError::NotAChange { why: error.to_string() })?;
                for change in document.get_changes(&[]) {
                    let extension = self.check_change(change.raw_bytes())?;
                    self.extend(&extension)?;
                }
                Ok(())
            }
            ChunkKind::Other(kind) => {
                Err(MergeError::NotAChange { why: format!("a chunk of type {kind}") })
            }
        }
    }

    /// The Automerge document: the same changes, applied by the library.
    ///
    /// # Errors
    /// Whatever Automerge says; it has no reason to refuse canonical changes.
    pub fn document(&self) -> Result<Automerge, automerge::AutomergeError> {
        let mut document = Automerge::new();
        let changes = self.lists.iter().flat_map(|(writer, list)| {
            let mut before = Position::default();
            list.bytes(0, self.id.day, *writer).zip(&list.hashes).map(move |(bytes, hash)| {
                let change = canonical_change(writer, &before, &bytes);
                before = Position { sequence: before.sequence + 1, head: *hash };
                change
            })
        });
        document.apply_changes(changes)?;
        Ok(document)
    }
}

/// The one change by which `writer` writes this entry behind `before`.
///
/// The first change makes the list (operation 1) and inserts at its head (operation 2); change `n`
/// inserts operation `n + 1` behind operation `n`. No time, no message: both would be bytes that
/// say what the entry says already.
fn canonical_change(writer: &Writer, before: &Position, entry: &[u8]) -> Change {
    let actor = ActorId::from(&writer.to_bytes()[..]);
    let place = before.sequence;
    let insert = |after: ElementId| Op {
        action: OpType::Put(ScalarValue::Bytes(entry.to_vec())),
        obj: ObjectId::Id(OpId(1, actor.clone())),
        key: Key::Seq(after),
        pred: Vec::new().into(),
        insert: true,
    };
    let operations = if place == 0 {
        let make_list = Op {
            action: OpType::Make(ObjType::List),
            obj: ObjectId::Root,
            key: Key::Map(writer.to_string().into()),
            pred: Vec::new().into(),
            insert: false,
        };
        vec![make_list, insert(ElementId::Head)]
    } else {
        vec![insert(ElementId::Id(OpId(place + 1, actor.clone())))]
    };
    let start_op = if place == 0 { 1 } else { place + 2 };
    Change::from(ExpandedChange {
        operations,
        actor_id: actor.clone(),
        hash: None,
        seq: place + 1,
        start_op: NonZeroU64::new(start_op).unwrap_or(NonZeroU64::MIN),
        time: 0,
        message: None,
        deps: if place == 0 { Vec::new() } else { vec![ChangeHash(before.head)] },
        extra_bytes: Vec::new(),
        author: None,
    })
}

#[cfg(test)]
mod tests;
