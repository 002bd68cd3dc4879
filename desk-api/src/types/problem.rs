//! What the desk API says where it has no answer: RFC 9457 problem+json, and the kinds there are.

use crdt_model::decide::Reason;
use serde::{Deserialize, Serialize};

/// The contracts' name space of problems.
const OF_CONTRACT: &str = "https://api.publiq.be/probs/";

/// Our own.
const OWN: &str = "https://stempel.example/probs/";

/// What UiTPAS calls a problem of its own begins so, in the contracts' name space.
const UITPAS: &str = "uitpas/";

/// An error as RFC 9457 problem+json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// A URI that names the kind of problem, such as `https://stempel.example/probs/disk-full`
    /// or the contract's `https://api.publiq.be/probs/uitpas/invalid-uitpas-number`:
    /// [`ProblemKind::uri`].
    #[serde(rename = "type")]
    pub uri: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, what it means and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, status: u16, detail: String) -> Self {
        Self { uri: kind.uri(), title: kind.title().to_owned(), status, detail }
    }

    /// Its kind, where it is one that this program knows.
    pub fn kind(&self) -> Option<ProblemKind> {
        ProblemKind::of(&self.uri)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $space:ident $path:literal, $title:literal;)*) => {
        /// The kinds of problems.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemKind {
            /// What a verdict would have as its reason, under the contract's name.
            Reason(Reason),
            $($(#[$doc])* $name,)*
        }

        impl ProblemKind {
            /// All kinds but the reasons.
            pub const OTHERS: &[Self] = &[$(Self::$name,)*];

            /// The URI that names it.
            pub fn uri(&self) -> String {
                match self {
                    Self::Reason(reason) => format!("{OF_CONTRACT}{UITPAS}{}", reason.code()),
                    $(Self::$name => format!("{}{}", $space, $path),)*
                }
            }

            /// It in a few words.
            pub fn title(&self) -> &'static str {
                match self {
                    Self::Reason(Reason::InvalidUitpasNumber) => "Not a card",
                    Self::Reason(Reason::PassNotFound) => "Pass not found",
                    Self::Reason(Reason::EventNotFound) => "No such activity",
                    Self::Reason(_) => "Not for this pass",
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

kinds! {
    /// The disk is full: nothing was recorded.
    DiskFull = OWN "disk-full", "Disk full";
    /// The user's share of the disk is used up: nothing was recorded.
    DiskQuota = OWN "disk-quota", "Disk quota used up";
    /// The disk is read-only: nothing was recorded.
    DiskReadOnly = OWN "disk-read-only", "Disk read-only";
    /// The disk does not take what is written: nothing was recorded.
    Disk = OWN "disk", "Disk failure";
    /// The pass list cannot be read: nothing was recorded.
    Store = OWN "store", "Pass list unreadable";
    /// There is no such entry in the venue's ledgers.
    EntryNotFound = OWN "entry-not-found", "No such entry";
    /// There is no such check of a card: it is to be shown again.
    CheckNotFound = OWN "check-not-found", "No such check";
    /// Neither the activity nor the request has a price.
    NoPrice = OWN "no-price", "No price";
    /// There is no sealed part of the pass here.
    NoHolder = OWN "no-holder", "No holder";
    /// The desk has not been told to which key requests are sealed.
    NoRequestKey = OWN "no-request-key", "No requests yet";
    /// The body says what cannot be.
    InvalidData = OF_CONTRACT "body/invalid-data", "Bad request";
    /// The body is no JSON.
    InvalidSyntax = OF_CONTRACT "body/invalid-syntax", "Bad request";
    /// There is no body that can be read.
    BodyMissing = OF_CONTRACT "body/missing", "Bad request";
    /// The query lacks something, or says what cannot be.
    QueryParameterMissing = OF_CONTRACT "url/query-parameter-missing", "Bad request";
    /// There is nothing here.
    NoSuchResource = OF_CONTRACT "url/not-found", "Not found";
}

impl ProblemKind {
    /// The kind that this URI names, where it is one of these.
    pub fn of(uri: &str) -> Option<Self> {
        let other = || Self::OTHERS.iter().find(|kind| kind.uri() == uri).copied();
        match uri.strip_prefix(OF_CONTRACT).and_then(|path| path.strip_prefix(UITPAS)) {
            Some(code) => code.parse().ok().map(Self::Reason),
            None => other(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_uri() {
        let reasons = Reason::ALL.iter().copied().map(ProblemKind::Reason);
        for kind in reasons.chain(ProblemKind::OTHERS.iter().copied()) {
            assert_eq!(ProblemKind::of(&kind.uri()), Some(kind));
        }
        assert_eq!(ProblemKind::of("https://stempel.example/probs/later"), None);
        assert_eq!(ProblemKind::of("https://api.publiq.be/probs/uitpas/later"), None);
    }
}
