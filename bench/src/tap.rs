//! From tap to verdict, and what it is made of. The peer is the disk itself: one append of as many bytes as a change chunk
//! has, and one `fdatasync`, on the same disk, in turn with the taps.
//!
//! The parts are measured behind the taps, each by a call that lacks one of them: a question that the daemon answers from
//! memory is the way there and back, and a second tap of the same pass, over the activity's limit, is everything but
//! the ledger.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use stempel_tests::{Desk, Hub, catalogue, pass_number};

use crate::measure::Times;

/// Taps before anything is counted.
const WARM_UP: u32 = 50;

/// What was measured, each in turn with the others.
#[derive(Default)]
struct Took {
    taps: Vec<Duration>,
    disk: Vec<Duration>,
    refusals: Vec<Duration>,
    questions: Vec<Duration>,
    /// Bytes that an entry took on the disk.
    bytes: usize,
}

pub(crate) async fn measure(taps: u32) {
    // Not under /tmp, which may be memory: on the disk that the build is on.
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let mut hub = Hub::start(world.path(), &catalogue(taps + WARM_UP, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    let file = File::create(world.path().join("peer")).expect("this folder can be written");
    // The console asks from tasks as well. This thread is none of the runtime's: an answer to it would wake another one
    // first.
    let measured = tokio::spawn(ask(desk, file, taps)).await;
    let Took { taps: tap, disk, refusals, questions, bytes } = measured.expect("it is measured");
    println!("{taps} taps through the desk API, hub stopped; {bytes} bytes an entry on the disk");
    println!("                          median       p99");
    let [tap, disk, refusal, question] = [tap, disk, refusals, questions].map(Times::of);
    for (name, times) in [
        ("tap to verdict", &tap),
        ("append + fdatasync", &disk),
        ("a tap that is refused", &refusal),
        ("a question", &question),
    ] {
        println!("{name:22} {:7.3} ms {:7.3} ms", times.percentile(50), times.percentile(99));
    }
    let ratio = |percent| tap.percentile(percent) / disk.percentile(percent);
    println!("ratio                  {:7.2}    {:7.2}   (target 2)", ratio(50), ratio(99));
    let [tap, disk, refusal, question] =
        [&tap, &disk, &refusal, &question].map(|it| it.percentile(50));
    println!("of the median: HTTP {question:.3} ms");
    println!("               look-up, decision, history {:.3} ms", refusal - question);
    println!("               ledger {:.3} ms, of which the disk {disk:.3} ms", tap - refusal);
}

/// Asks the desk, in turn with the disk.
async fn ask(desk: Desk, mut file: File, taps: u32) -> Took {
    let mut took = Took { bytes: 200, ..Took::default() };
    let ledgers = desk.folder.join("ledger").join(stempel_tests::VENUE);
    for n in 0..taps + WARM_UP {
        let begun = Instant::now();
        let answer = desk.client.tap(&pass_number(n)).await.expect("the desk answers");
        let tap = begun.elapsed();
        assert!(answer.entry.is_some(), "an entry was written: {answer:?}");
        let disk = append(&mut file, took.bytes);
        if n >= WARM_UP {
            took.taps.push(tap);
            took.disk.push(disk);
        } else {
            took.bytes = bytes_per_entry(&ledgers, u64::from(n) + 1);
        }
    }
    // With the disk in between as well: processors that have just slept are slower.
    for n in 0..taps {
        let begun = Instant::now();
        let answer = desk.client.tap(&pass_number(n)).await.expect("the desk answers");
        took.refusals.push(begun.elapsed());
        assert!(answer.entry.is_none(), "the limit is reached: {answer:?}");
        append(&mut file, took.bytes);
        let begun = Instant::now();
        desk.client.requests().await.expect("the desk answers");
        took.questions.push(begun.elapsed());
        append(&mut file, took.bytes);
    }
    took
}

/// The peer.
fn append(file: &mut File, bytes: usize) -> Duration {
    let bytes = vec![b'x'; bytes];
    let begun = Instant::now();
    file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk works");
    begun.elapsed()
}

fn bytes_per_entry(ledgers: &std::path::Path, entries: u64) -> usize {
    let files = std::fs::read_dir(ledgers).into_iter().flatten().flatten();
    let total: u64 = files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum();
    usize::try_from(total / entries).unwrap_or(usize::MAX)
}
