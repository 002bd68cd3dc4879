//! From tap to verdict. The peer is the disk itself: one append of as many bytes as a change chunk
//! has, and one `fdatasync`, on the same disk, in turn with the taps.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use stempel_tests::{Desk, Hub, catalogue, pass_number};

use crate::measure::Times;

/// Taps before anything is counted.
const WARM_UP: u32 = 50;

pub(crate) async fn measure(taps: u32) {
    // Not under /tmp, which may be memory: on the disk that the build is on.
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let mut hub = Hub::start(world.path(), &catalogue(taps + WARM_UP, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    let mut file = File::create(world.path().join("peer")).expect("this folder can be written");
    let (mut taps_took, mut peer_took, mut bytes) = (Vec::new(), Vec::new(), 200);
    let ledgers = desk.folder.join("ledger").join(stempel_tests::VENUE);
    for n in 0..taps + WARM_UP {
        let number = pass_number(n);
        let begun = Instant::now();
        let answer = desk.client.tap(&number).await.expect("the desk answers");
        let tap = begun.elapsed();
        assert!(answer.entry.is_some(), "an entry was written: {answer:?}");
        let begun = Instant::now();
        file.write_all(&vec![b'x'; bytes]).and_then(|()| file.sync_data()).expect("the disk works");
        let peer = begun.elapsed();
        if n >= WARM_UP {
            taps_took.push(tap);
            peer_took.push(peer);
        } else {
            bytes = bytes_per_entry(&ledgers, u64::from(n) + 1);
        }
    }
    let (tap, peer) = (Times::of(taps_took), Times::of(peer_took));
    println!("{taps} taps through the desk API, hub stopped; {bytes} bytes an entry on the disk");
    println!("                          median       p99");
    let row = |name: &str, times: &Times| {
        println!("{name:22} {:7.3} ms {:7.3} ms", times.percentile(50), times.percentile(99));
    };
    row("tap to verdict", &tap);
    row("append + fdatasync", &peer);
    println!(
        "ratio                  {:7.2}    {:7.2}",
        tap.percentile(50) / peer.percentile(50),
        tap.percentile(99) / peer.percentile(99)
    );
    let target = 2.0 * peer.percentile(50) + 1.0;
    println!("target for the median: 2 x {:.3} + 1 = {target:.3} ms", peer.percentile(50));
}

fn bytes_per_entry(ledgers: &std::path::Path, entries: u64) -> usize {
    let files = std::fs::read_dir(ledgers).into_iter().flatten().flatten();
    let total: u64 = files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum();
    usize::try_from(total / entries).unwrap_or(usize::MAX)
}
