//! Which runs of the hub's database told this desk what it has: pairs of run and number beside each cursor, and of the
//! highest that was told of anything. They change in one step with the cursors, so that after a crash they say neither
//! more nor less than what is here.

use sync_protocol::version::{GoOn, Seen, Version, forget_beyond, go_back, note};

use super::record::Tree;
use super::shelf::{Stopped, Writing, encoded};
use super::{Cursor, Store, StoreError, number};

const SEEN: &[u8] = b"seen";

fn decoded(bytes: Option<Vec<u8>>) -> Seen {
    bytes.and_then(|bytes| minicbor::decode(&bytes).ok()).unwrap_or_default()
}

fn list_of(seen: &mut Seen, cursor: Cursor) -> Option<&mut Vec<Version>> {
    match cursor {
        Cursor::Catalogue => Some(&mut seen.catalogue),
        Cursor::Venue => Some(&mut seen.venue),
        Cursor::Holders => Some(&mut seen.holders),
        Cursor::CatalogueAt | Cursor::HubClock => None,
    }
}

fn change(writing: &mut Writing<'_>, change: impl FnOnce(&mut Seen)) -> Result<(), Stopped> {
    let mut seen = decoded(writing.get(Tree::Meta, SEEN)?);
    let before = seen.clone();
    change(&mut seen);
    if seen == before { Ok(()) } else { writing.put(Tree::Meta, SEEN, &encoded(&seen)) }
}

/// Sets a cursor, and what the hub of this run has told so far.
pub(super) fn put_cursor(
    writing: &mut Writing<'_>,
    cursor: Cursor,
    value: u64,
    run: Option<u64>,
) -> Result<(), Stopped> {
    let before = number(writing.get(Tree::Meta, cursor.key())?.as_deref());
    change(writing, |seen| {
        let Some(list) = list_of(seen, cursor) else { return };
        match run {
            // All of it is asked for anew.
            _ if value == 0 => list.clear(),
            Some(run) if value < before => go_back(list, Version { run, number: value }),
            // Only what goes on: while the hub is told again what it lost, the cursor stands where another database had
            // come to, and this run has told no such number.
            Some(run) if value > before => note(list, Version { run, number: value }),
            Some(_) | None => {}
        }
    })?;
    writing.put(Tree::Meta, cursor.key(), &value.to_be_bytes())
}

impl Store {
    /// What the hub told this desk, in pairs; nothing of its notices, which are kept elsewhere.
    pub fn seen(&self) -> Seen {
        let shelf = self.current.as_ref();
        decoded(shelf.and_then(|shelf| self.read(shelf, shelf.get(Tree::Meta, SEEN))))
    }

    /// The run of the hub's database in which it tells from now on; nothing where it does not say.
    pub fn set_run(&mut self, run: Option<u64>) {
        self.run = run;
    }

    /// The hub is telling something that it numbers so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_told(&mut self, version: Version) -> Result<(), StoreError> {
        self.run = Some(version.run);
        self.write(|writing| change(writing, |seen| note(&mut seen.any, version)))
    }

    /// A hub that was restored has told again what differs: the desk has what the hub has up to `go_on`, and forgets what
    /// it was told beyond `common`. Durable before this returns.
    ///
    /// # Errors
    /// [`StoreError`]; all is then as it was.
    pub fn go_back(&mut self, go_on: GoOn, common: u64, told: Version) -> Result<(), StoreError> {
        let cursors = [
            (Cursor::Catalogue, go_on.catalogue),
            (Cursor::Venue, go_on.venue),
            (Cursor::Holders, go_on.holders),
        ];
        self.write(|writing| {
            for (cursor, value) in cursors {
                writing.put(Tree::Meta, cursor.key(), &value.to_be_bytes())?;
            }
            change(writing, |seen| {
                for (cursor, value) in cursors {
                    if let Some(list) = list_of(seen, cursor) {
                        forget_beyond(list, common, Version { run: told.run, number: value });
                    }
                }
                forget_beyond(&mut seen.any, common, told);
            })
        })?;
        self.flush()
    }
}
