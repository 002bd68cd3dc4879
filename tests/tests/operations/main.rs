//! What happens to programs that run for months: full disks, logs that nobody reads, sockets that are deleted,
//! hubs that are restored, desks that are copied. With the real processes.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod disk;
mod log;
mod socket;
mod told;

use std::collections::BTreeSet;
use std::ops::Range;

use crdt_model::decide::VerdictKind;
use stempel_tests::{Desk, Hub, VENUE, pass_number};

/// Taps these passes, each of which is welcome, and gives the entries that the desk acknowledged.
async fn tap(desk: &Desk, passes: Range<u32>) -> BTreeSet<String> {
    let mut entries = BTreeSet::new();
    for n in passes {
        let answer = desk.client.tap(&pass_number(n)).await.unwrap();
        assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}");
        entries.insert(answer.entry.unwrap().to_string());
    }
    entries
}

/// The hub holds exactly these entries, each once, and has set none apart.
fn assert_holds(hub: &Hub, entries: &BTreeSet<String>) {
    let days: BTreeSet<&str> =
        entries.iter().map(|entry| entry.split('/').next().unwrap()).collect();
    let mut held = Vec::new();
    for day in days {
        let ledger = hub.json(&["show", "ledger", VENUE, day]);
        let ledger = ledger.as_array().unwrap();
        held.extend(ledger.iter().map(|it| it["entry"].as_str().unwrap().to_owned()));
    }
    assert_eq!(held.len(), entries.len(), "each once");
    assert_eq!(&held.into_iter().collect::<BTreeSet<_>>(), entries);
    assert_eq!(hub.json(&["show", "totals"])["quarantined"], 0);
}
