//! What is to be said beside the link, the disk, the pass list and the clock: a hub that was restored, a desk
//! that was copied, a part of the daemon that failed, a socket that is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use crdt_model::ids::Writer;
use crdt_model::time::UnixMillis;
use jiff::civil::Date;
use service::tasks::Failures;

use super::Desk;
use crate::links::Peer;
use desk_api::types::Trouble;

/// How long it is said that a part of the daemon failed, where it has run since.
const FAILURE_IS_NEWS: Duration = Duration::from_secs(60 * 60);

/// How many entries of each list the hub had acknowledged.
pub(super) type Acknowledged = BTreeMap<(Date, Writer), u64>;

/// A hub that was restored from an older copy.
#[derive(Debug)]
struct Restored {
    at: UnixMillis,
    /// What it had acknowledged before.
    before: Acknowledged,
    /// How many entries it had lost, once it has said what it holds.
    entries: Option<u64>,
}

/// What is to be said beside the rest.
#[derive(Debug, Default)]
pub(super) struct Notes {
    restored: Option<Restored>,
    failures: Failures,
    socket: Option<String>,
}

fn lacking(before: &Acknowledged, now: &Acknowledged) -> u64 {
    let now = |list| now.get(list).copied().unwrap_or_default();
    before.iter().map(|(list, had)| had.saturating_sub(now(list))).sum()
}

impl Desk {
    /// The hub holds less than it had acknowledged: all of this desk's entries wait again.
    pub(super) fn note_hub_restored(&mut self, at: UnixMillis) {
        let before = self.book.forget_acknowledged();
        self.notes.restored = Some(Restored { at, before, entries: None });
    }

    /// The hub has said what it still holds: the rest is what is sent again.
    pub(super) fn count_what_is_sent_again(&mut self) {
        if let Some(restored) = &mut self.notes.restored {
            let lacking = lacking(&restored.before, &self.book.acknowledged);
            restored.entries.get_or_insert(lacking);
        }
    }

    /// It is said on a link whether another daemon uses this desk's key, too.
    pub(super) fn note_used_twice(&mut self, peer: Peer, used_twice: bool) {
        if self.links.set_used_twice(peer, used_twice) {
            tracing::error!(
                "another computer records under this desk's name, too: its folder was copied"
            );
        }
    }

    /// A task of the daemon failed.
    pub fn note_failures(&mut self, failures: Failures) {
        self.notes.failures = failures;
        self.publish_status();
    }

    /// The socket is gone and cannot be made again, for this reason; or it is there again.
    pub fn note_socket(&mut self, gone: Option<String>) {
        if self.notes.socket != gone {
            self.notes.socket = gone;
            self.publish_status();
        }
    }

    /// What is to be said beside the rest, the worst first.
    pub(super) fn said_beside(&self) -> Vec<Trouble> {
        let notes = &self.notes;
        let mut said = Vec::new();
        let (failing, failed): (Vec<_>, Vec<_>) =
            notes.failures.iter().partition(|(_, failed)| failed.still_fails());
        said.extend(failing.iter().map(|(part, _)| Trouble::PartFails { part: part.to_string() }));
        let news = failed.iter().filter(|(_, failed)| failed.at.elapsed() < FAILURE_IS_NEWS);
        said.extend(news.map(|(part, _)| Trouble::PartRestarted { part: part.to_string() }));
        if let Some(detail) = &notes.socket {
            said.push(Trouble::SocketGone { detail: detail.clone() });
        }
        said.extend(self.said_of_copies());
        if let Some(Restored { at, before, entries: Some(entries) }) = &notes.restored {
            let today = self.calendar.day(self.time.clock.latest()) == self.calendar.day(*at);
            if today || lacking(before, &self.book.acknowledged) > 0 {
                said.push(Trouble::HubRestored { entries: *entries });
            }
        }
        said
    }
}
