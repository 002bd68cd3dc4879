//! A monkey at the console in a real terminal, with the real programs: keys, scans, pastes, stops and resizes. No entry is
//! written or taken back that was not asked for. The same against the console's model, with 100,000 events, is
//! `tui/tests/monkey.rs`.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use desk_api::types::Kind;
use rustix::process::Signal;
use stempel_tests::terminal::Terminal;
use stempel_tests::{Desk, Hub, VENUE, catalogue, pass_number};

const EVENTS: u32 = 3_000;
const PASSES: u32 = 40;

/// SplitMix64: the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    fn pass(&mut self) -> String {
        pass_number(u32::try_from(self.below(PASSES as usize)).unwrap())
    }

    fn size(&mut self, most: usize) -> u16 {
        u16::try_from(1 + self.below(most)).unwrap()
    }
}

/// Pieces without which nothing is a command: never one key alone with quiet around it.
fn piece(random: &mut Random, scanned: &mut BTreeMap<String, u32>) -> String {
    let pass = random.pass();
    let junk = [
        "uq",
        "quit",
        "u\x03\x01",
        "zuj0",
        "juqy\r",
        "STAFF-0042\r",
        "\x1bOQ\x1bOR",
        "\x1b[A\x1b[B",
        "F2u\r",
        "\r\r",
    ];
    let pick = random.below(14);
    let text = match pick {
        0 => format!("{pass}\r"),
        1 => format!("]C1{pass}\r\n"),
        2 => format!("\u{2}{pass}\u{3}"),
        3 => format!("\x1b[200~{pass}\r\x1b[201~"),
        4 => return format!("{pass}{}\r", random.pass()),
        5 => return format!("\x1b[200~{}\r\x1b[201~", junk[random.below(4)]),
        6 => return pass[..7].to_owned(),
        _ => return junk[random.below(junk.len())].to_owned(),
    };
    *scanned.entry(pass).or_default() += 1;
    text
}

/// The venue's day.
fn today() -> String {
    tui::clock::at_venue(tui::clock::wall()).date().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monkey_at_the_real_console_writes_nothing_that_was_not_scanned_and_takes_nothing_back() {
    let seed = std::env::var("MONKEY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(20_261_121);
    println!("the same again: MONKEY_SEED={seed} cargo nextest run -p stempel-tests monkey");
    let mut random = Random(seed);
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(PASSES, 20));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let mut terminal = Terminal::of_desk(&desk, "none");
    terminal.wait_for("Verbonden");
    let mut days = BTreeSet::from([today()]);
    let mut scanned = BTreeMap::new();
    for event in 0..EVENTS {
        // Whole pieces at once, as a scanner on a fast line: no two keys of a piece are ever far apart.
        let mut text = piece(&mut random, &mut scanned);
        if text.chars().count() < 2 {
            text.push('x');
        }
        terminal.press(&text);
        match random.below(200) {
            0 => terminal.resize(random.size(60), random.size(160)),
            1 => {
                terminal.signal(Signal::STOP);
                terminal.press(&piece(&mut random, &mut scanned));
                terminal.signal(Signal::CONT);
            }
            2 => terminal.signal(Signal::WINCH),
            // Long enough that the console judges what came so far.
            3 | 4 => tokio::time::sleep(Duration::from_millis(300)).await,
            _ => {}
        }
        // The terminal's own buffer is small: what was drawn is taken out of it.
        if event % 20 == 0 {
            terminal.take_in();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    terminal.resize(24, 80);
    // It is alive, and reads: a line of its own, after everything else.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // On a busy computer the console may still be reading what came before it, so that the two are one piece of input.
    for _ in 0..10 {
        terminal.press("STAFF-0042\r");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        terminal.take_in();
        if terminal.screen().contents().contains("code van deze balie") {
            break;
        }
    }
    terminal.wait_for("code van deze balie");
    tokio::time::sleep(Duration::from_millis(300)).await;
    terminal.quit();
    let history = desk.client.history().await.unwrap();
    let entries = |kind| {
        let of_kind = history.iter().filter(|row| row.answer.kind == kind);
        of_kind.filter(|row| row.answer.entry.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(entries(Kind::Void).len(), 0, "nobody asked to take anything back");
    assert_eq!(entries(Kind::Redemption).len(), 0, "nobody chose a reward");
    // The desk's history has the last rows only; the hub has everything, once nothing waits.
    for _ in 0..300 {
        if desk.client.status().await.unwrap().pending == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(desk.client.status().await.unwrap().pending, 0);
    days.insert(today());
    let written: Vec<_> = days
        .iter()
        .map(|day| hub.json(&["show", "ledger", VENUE, day]))
        .flat_map(|day| day.as_array().unwrap().clone())
        .collect();
    println!("{} entries, {} passes scanned", written.len(), scanned.len());
    for entry in &written {
        assert_eq!(entry["kind"], "check-in", "nobody asked for it: {entry}");
    }
    // Once a day for each pass.
    assert!(!written.is_empty());
    assert!(written.len() <= scanned.len() * days.len(), "{written:?}");
    for row in entries(Kind::CheckIn) {
        let digits = row.answer.pass.as_ref().map(|pass| pass.telling_digits.clone()).unwrap();
        let known = scanned.keys().any(|number| number[7..11] == digits[..]);
        assert!(known, "nobody scanned the pass …{digits}");
    }
}
