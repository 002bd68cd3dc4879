//! From a card that is put on the reader to the verdict on the screen: the emulated PN532 through the
//! real libnfc, the console in a real terminal, the daemon, the disk. Then its parts, each on its own, what
//! a proof of the card adds, what a console costs that nobody taps at, and what a thousand taps leave behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hardware::card::{Attendant, CardChannel};
use hardware::emulator::Pn532Emulator;
use hardware::emulator::card::SharedCard;
use hardware::emulator::ntag424::Ntag424;
use hardware::libnfc::LibnfcReader;
use hardware::reader::{ReaderEvent, spawn};
use stempel_tests::terminal::Terminal;
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, pass_number};
use tui::card_desk::{CardDesk, Purpose};

use crate::measure::Times;

/// For so long an idle console is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Far longer than a tap takes.
const LONG: Duration = Duration::from_secs(20);

fn chip(n: u32) -> [u8; 7] {
    let [_, a, b, c] = n.to_be_bytes();
    [0x04, a, b, c, 0xee, 0x38, 0x80]
}

fn catalogue(passes: u32) -> String {
    let passes: Vec<String> = (0..passes)
        .map(|n| {
            let chip: String = chip(n).iter().map(|byte| format!("{byte:02X}")).collect();
            format!(
                r#"{{"programme": "UITPAS", "uitpasNumber": "{}", "chipNumber": "{chip}", "cardStatus": "ACTIVE", "memberships": [{{"cardSystem": 1}}]}}"#,
                pass_number(n)
            )
        })
        .collect();
    format!(
        r#"{{"venues": [{{"id": "{VENUE}", "name": "De Reede"}}], "activities": [{{"eventId": "{ACTIVITY}", "title": "Festiviteit", "venue": "{VENUE}", "checkinPoints": 1}}], "passes": [{}]}}"#,
        passes.join(",")
    )
}

/// Whether a wait of this many milliseconds has passed: taps come at any point of a poll.
fn at_any_moment(n: u32) {
    std::thread::sleep(Duration::from_millis(u64::from(n * 37 % 100)));
}

/// CPU time of a process so far, user and system, in seconds.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    // Linux counts in hundredths.
    ticks / 100.0
}

/// The console: from a card to its verdict, and what it costs when nobody comes.
fn in_a_terminal(desk: &Desk, emulator: &Pn532Emulator, taps: u32) -> (Times, f64) {
    let mut terminal = Terminal::of_desk(desk, &emulator.connstring());
    terminal.wait_for("lezer ✔");
    let times = (0..taps).map(|n| {
        at_any_moment(n);
        let number = pass_number(n);
        // Three digits of the number and the one behind them: no other pass here has them.
        let telling = format!("│  UiTPAS …{}", &number[7..11]);
        let begun = Instant::now();
        emulator.present(&chip(n));
        terminal.wait_for(&telling);
        let took = begun.elapsed();
        emulator.remove();
        std::thread::sleep(Duration::from_millis(150));
        took
    });
    let times = Times::of(times.collect());
    let id = terminal.child.process_id().expect("it runs");
    let (before, begun) = (cpu_seconds(id), Instant::now());
    std::thread::sleep(IDLE);
    let idle = (cpu_seconds(id) - before) / begun.elapsed().as_secs_f64() * 100.0;
    terminal.child.kill().expect("it can be ended");
    (times, idle)
}

/// The reader alone: from a card to the tap that libnfc's driver says, with this time between polls.
fn by_the_reader(taps: u32, poll: Option<Duration>) -> Times {
    let emulator = Pn532Emulator::start().expect("the system gives a terminal");
    let reader = LibnfcReader::new(Some(emulator.connstring()));
    let reader = match poll {
        Some(poll) => reader.polling_every(poll),
        None => reader,
    };
    let mut handle = spawn(reader).expect("the system gives a thread");
    let events = handle.events().expect("nobody has taken them");
    while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })) {}
    let times = (0..taps).map(|n| {
        at_any_moment(n);
        let begun = Instant::now();
        emulator.present(&chip(n));
        while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Tapped(_))) {}
        let took = begun.elapsed();
        emulator.remove();
        while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(_))) {}
        took
    });
    Times::of(times.collect())
}

/// Chips that a desk made, each with keys of its own.
fn made(desk: &Desk, cards: u32) -> Vec<SharedCard> {
    let card_desk = CardDesk::new(desk.client.clone());
    let make = |n| {
        let card = SharedCard::new(Ntag424::new(chip(n), u64::from(n)));
        let presented = card.presented().expect("its chip number has seven bytes");
        // The keys may still be on their way from the hub.
        let begun = Instant::now();
        while begun.elapsed() < LONG {
            card.lay_down();
            let mut channel: Box<dyn CardChannel> = Box::new(card.clone());
            let view = card_desk.converse(&presented, Purpose::Make { again: true }, &mut *channel);
            if view.is_ok_and(|view| view.failed.is_none()) {
                return card;
            }
        }
        panic!("card {n} was not made");
    };
    (0..cards).map(make).collect()
}

/// The reader, with a daemon that checks each card: from a card to a tap that knows its proof.
fn with_a_proof(desk: &Desk, cards: &[SharedCard]) -> Times {
    let emulator = Pn532Emulator::start().expect("the system gives a terminal");
    let attendant: Arc<dyn Attendant> = Arc::new(CardDesk::new(desk.client.clone()));
    let reader = LibnfcReader::new(Some(emulator.connstring()))
        .polling_every(Duration::from_millis(1))
        .attended_by(attendant);
    let mut handle = spawn(reader).expect("the system gives a thread");
    let events = handle.events().expect("nobody has taken them");
    while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })) {}
    let times = cards.iter().map(|card| {
        let begun = Instant::now();
        emulator.present_shared(card);
        let tap = loop {
            if let Ok(ReaderEvent::Tapped(tap)) = events.recv_timeout(LONG) {
                break tap;
            }
        };
        let took = begun.elapsed();
        assert!(tap.check.is_some(), "the daemon checked it");
        emulator.remove();
        while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(_))) {}
        took
    });
    Times::of(times.collect())
}

/// Resident memory of this process in KiB, and how many files it has open.
fn held() -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is a Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
    (kib, std::fs::read_dir("/proc/self/fd").expect("this is a Linux").count())
}

/// Taps and removals with garbage between them, and what they leave behind: memory and open files after
/// the first tenth, and after the last.
fn left_behind(taps: u32) -> ((u64, usize), (u64, usize)) {
    let emulator = Pn532Emulator::start().expect("the system gives a terminal");
    let reader = LibnfcReader::new(Some(emulator.connstring()));
    let mut handle =
        spawn(reader.polling_every(Duration::from_millis(1))).expect("the system gives a thread");
    let events = handle.events().expect("nobody has taken them");
    let mut after_a_tenth = (0, 0);
    for n in 0..taps {
        if n == taps / 10 {
            after_a_tenth = held();
        }
        let noise = n.wrapping_mul(2_654_435_761).to_be_bytes();
        emulator.garble(&noise[..(n % 5) as usize]);
        emulator.present(&chip(n));
        while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Tapped(_))) {}
        emulator.remove();
        while !matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(_))) {}
    }
    (after_a_tenth, held())
}

pub(crate) async fn measure(taps: u32) {
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let hub = Hub::start(world.path(), &catalogue(2 * taps));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let emulator = Pn532Emulator::start().expect("the system gives a terminal");
    let (whole, idle) = tokio::task::block_in_place(|| in_a_terminal(&desk, &emulator, taps));
    let polled = tokio::task::block_in_place(|| by_the_reader(taps, None));
    let at_once =
        tokio::task::block_in_place(|| by_the_reader(taps, Some(Duration::from_millis(1))));
    let mut answered = Vec::new();
    for n in taps..2 * taps {
        let begun = Instant::now();
        let answer = desk.client.tap(&pass_number(n)).await.expect("the desk answers");
        answered.push(begun.elapsed());
        assert!(answer.entry.is_some(), "{answer:?}");
    }
    let answered = Times::of(answered);
    let device = desk.client.status().await.expect("the desk answers").device.to_string();
    hub.run(&["card-keys", "new"]);
    hub.run(&["card-keys", "allow", &device]);
    let proved = tokio::task::block_in_place(|| with_a_proof(&desk, &made(&desk, taps)));
    let (before, after) = tokio::task::block_in_place(|| left_behind(1000));
    println!("{taps} taps on an emulated PN532; the line has no baud rate");
    println!("                                         median       p99");
    let row = |name: &str, times: &Times| {
        println!("{name:36} {:8.1} ms {:8.1} ms", times.percentile(50), times.percentile(99));
    };
    row("card to verdict on the screen", &whole);
    row("  card to tap, polling each 100 ms", &polled);
    row("  anticollision (polling each ms)", &at_once);
    row("  desk API: decision and disk", &answered);
    let rest = whole.percentile(50) - polled.percentile(50) - answered.percentile(50);
    println!("  drawing and everything else        {rest:8.1} ms");
    row("card to tap with an NTAG 424's proof", &proved);
    let share = (polled.percentile(50) - at_once.percentile(50)) / whole.percentile(50) * 100.0;
    println!("the poll loop's share: {share:.0} %");
    println!("an idle console with a reader: {idle:.1} % of a core (target 1)");
    println!(
        "1,000 taps and removals with garbage: memory {} KiB after 100, {} KiB after all; open files {} and {}",
        before.0, after.0, before.1, after.1
    );
}
