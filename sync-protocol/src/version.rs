//! Versions that leave a hub: which run of its database numbered something, and how.
//!
//! Everything that a hub tells and numbers (items of the catalogue, sealed parts, the venues' logs, notices) stands in
//! one sequence. A hub's database that was put back from an older copy numbers on from there, and so uses numbers again
//! for something else. Therefore a number means something only together with the *run* that it was told in: each start
//! of a server opens a run of its own, with a random id, and the database remembers where each began.
//!
//! What a desk keeps of it is a list of such pairs, newest first ([`note`]); what a hub makes of the list is
//! [`crate::runs`]' business.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

/// Pairs of one list at the most. A hub that is started anew each day of two weeks and was restored then still finds one
/// that it knows; where it finds none it tells everything from the beginning, which is never wrong.
pub const MOST_PAIRS: usize = 16;

/// A number, and the run of the hub's database in which it was told.
///
/// The number may lie before the run's beginning: it then means what the run had taken over from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Version {
    /// The run's random id.
    #[n(0)]
    pub run: u64,
    /// The number in the one sequence of everything that leaves the hub.
    #[n(1)]
    pub number: u64,
}

/// What a desk was told, in pairs: for each list newest first, for each run the highest number, at most
/// [`MOST_PAIRS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// It has the catalogue up to here.
    #[n(0)]
    pub catalogue: Vec<Version>,
    /// It has the venue's entries up to here.
    #[n(1)]
    pub venue: Vec<Version>,
    /// It has the sealed parts up to here.
    #[n(2)]
    pub holders: Vec<Version>,
    /// The highest that it was told of anything: acknowledgements, answers, grants, pages.
    #[n(3)]
    pub any: Vec<Version>,
    /// It has the hub's notices up to here. Empty where it keeps none: then it is told them all.
    #[n(4)]
    #[cbor(default)]
    pub notices: Vec<Version>,
}

impl Seen {
    /// The runs that its pairs name, each once. No list counts for more than [`MOST_PAIRS`].
    pub fn runs(&self) -> BTreeSet<u64> {
        let Self { catalogue, venue, holders, any, notices } = self;
        let lists = [catalogue, venue, holders, any, notices].into_iter();
        lists.flat_map(|list| list.iter().take(MOST_PAIRS)).map(|pair| pair.run).collect()
    }
}

/// The numbers from which the hub goes on telling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct GoOn {
    /// The catalogue.
    #[n(0)]
    pub catalogue: u64,
    /// The venue's entries.
    #[n(1)]
    pub venue: u64,
    /// The sealed parts.
    #[n(2)]
    pub holders: u64,
    /// The hub's notices.
    #[n(3)]
    #[cbor(default)]
    pub notices: u64,
}

/// The hub's database is not the one that told the desk all that it says it was told: it was restored from an older copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Restored {
    /// Both know the same up to this number. Whatever was told beyond it is to be said again.
    #[n(0)]
    pub common: u64,
}

/// Notes in a desk's list that it has, or was told, everything up to this version.
pub fn note(list: &mut Vec<Version>, version: Version) {
    match list.iter().position(|pair| pair.run == version.run) {
        Some(place) => {
            let mut pair = list.remove(place);
            pair.number = pair.number.max(version.number);
            list.insert(0, pair);
        }
        None => list.insert(0, version),
    }
    list.truncate(MOST_PAIRS);
}

/// Sets a desk's list to this version, which may be lower than what stands there: what is beyond is told again.
pub fn go_back(list: &mut Vec<Version>, version: Version) {
    forget_beyond(list, version.number, version);
}

/// Sets a desk's list when a hub that was restored has been told again what it had lost
/// ([`crate::desk::DeskEvent::AgainDone`]): both know the same up to `common`, and the desk has, or was told, everything up
/// to `version` of the present run.
pub fn forget_beyond(list: &mut Vec<Version>, common: u64, version: Version) {
    // A pair of a database that is no more is beyond, or was told behind one that is, however low its own number: whoever
    // kept it would say it all again in each session.
    let gone = list.iter().rposition(|pair| pair.number >= common.min(version.number));
    list.drain(..gone.map_or(0, |place| place + 1));
    note(list, version);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(run: u64, number: u64) -> Version {
        Version { run, number }
    }

    #[test]
    fn a_list_holds_the_highest_number_of_each_run_the_newest_run_first() {
        let mut list = Vec::new();
        for version in [at(7, 3), at(7, 2), at(9, 4), at(9, 6), at(7, 1)] {
            note(&mut list, version);
        }
        assert_eq!(list, [at(7, 3), at(9, 6)]);
        for run in 100..200 {
            note(&mut list, at(run, run));
        }
        assert_eq!((list.len(), list[0]), (MOST_PAIRS, at(199, 199)));
    }

    #[test]
    fn a_list_that_goes_back_holds_nothing_beyond() {
        let mut list = vec![at(3, 90), at(2, 60), at(1, 30)];
        go_back(&mut list, at(4, 60));
        assert_eq!(list, [at(4, 60), at(1, 30)]);
        let mut told = vec![at(4, 75), at(3, 90), at(2, 59), at(1, 30)];
        forget_beyond(&mut told, 60, at(4, 80));
        assert_eq!(told, [at(4, 80), at(2, 59), at(1, 30)]);
        // Run 3 began behind run 2, which the database knows up to 60 only: so it knows nothing of run 3.
        let mut of_two_restores = vec![at(4, 75), at(3, 50), at(2, 90), at(1, 30)];
        forget_beyond(&mut of_two_restores, 60, at(4, 80));
        assert_eq!(of_two_restores, [at(4, 80), at(1, 30)]);
    }
}
