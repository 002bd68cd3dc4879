//! Where a hub goes on with a desk: the newest pair of run and number that both know.
//!
//! The hub's database remembers where each of its runs began. So it knows where each ended: where the next began, or, for
//! the last, where it stands now. A pair that a desk was told *holds* up to its number or that end, whichever is lower:
//! up to there the database is the one that told it. A pair of a run that the table does not have was told by a database
//! that is no more.

use crate::version::{GoOn, Restored, Seen, Version};

/// One start of a server on the hub's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its random id.
    pub id: u64,
    /// The counter when it was opened: what is numbered beyond is of this run, up to the beginning of the next.
    pub begins: u64,
}

/// A run, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRun {
    /// Its random id.
    pub id: u64,
    /// Where the next one begins, or for the last how far the sequence has come.
    pub ends: u64,
}

/// What a hub's database knows of the runs that a desk names ([`Seen::runs`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTable {
    /// Those of the named runs that it knows.
    pub known: Vec<KnownRun>,
    /// The present run and where it begins; `None` where none was ever opened.
    pub present: Option<Version>,
}

/// Where a hub goes on with a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The present run and where it begins; `None` where the table is empty.
    pub run: Option<Version>,
    /// From which numbers each list goes on.
    pub go_on: GoOn,
    /// Set where the desk was told something by a database that is no more.
    pub restored: Option<Restored>,
    /// The newest pair that does not hold, for operators: it names the run that was lost.
    pub lost: Option<Version>,
}

/// What one list of a desk says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// Up to where the newest pair holds of which anything holds, else 0.
    go_on: u64,
    /// The lowest number up to which a pair is common that does not hold wholly.
    common: Option<u64>,
    lost: Option<Version>,
}

impl RunTable {
    /// That of all runs of a database, in the order in which they were opened, and the highest number that it has given.
    pub fn of_all(runs: &[Run], counter: u64) -> Self {
        let ends = runs.iter().skip(1).map(|next| next.begins).chain([counter]);
        Self {
            known: runs.iter().zip(ends).map(|(run, ends)| KnownRun { id: run.id, ends }).collect(),
            present: runs.last().map(|run| Version { run: run.id, number: run.begins }),
        }
    }

    /// Up to which number this pair holds; `None` where the database does not know its run.
    pub fn holds(&self, pair: Version) -> Option<u64> {
        let run = self.known.iter().rev().find(|run| run.id == pair.run)?;
        Some(pair.number.min(run.ends))
    }

    /// Where a desk that was told this goes on. What it was told beyond [`Restored::common`] it says again; so nothing
    /// is lost of what a database told that is no more.
    pub fn locate(&self, seen: &Seen) -> Located {
        let [catalogue, venue, holders, any, notices] =
            [&seen.catalogue, &seen.venue, &seen.holders, &seen.any, &seen.notices]
                .map(|list| self.place(list));
        let all = [any, catalogue, venue, holders, notices];
        let common = all.iter().filter_map(|place| place.common).min();
        Located {
            run: self.present,
            go_on: GoOn {
                catalogue: catalogue.go_on,
                venue: venue.go_on,
                holders: holders.go_on,
                notices: notices.go_on,
            },
            restored: common.map(|common| Restored { common }),
            lost: all.iter().find_map(|place| place.lost),
        }
    }

    /// The list is newest first. A desk that was cut off while it said things again has newer pairs that hold before
    /// older ones that do not: it has not finished, so any pair counts that does not hold.
    fn place(&self, list: &[Version]) -> Place {
        let mut place = Place::default();
        for pair in list.iter().rev() {
            let holds = self.holds(*pair);
            // Of a run that is not known, what the one before it had told may hold.
            let up_to = holds.unwrap_or(place.go_on);
            if holds != Some(pair.number) {
                place.common = Some(place.common.map_or(up_to, |common| common.min(up_to)));
                place.lost = Some(*pair);
            }
            place.go_on = up_to;
        }
        place
    }
}

#[cfg(test)]
mod tests;
