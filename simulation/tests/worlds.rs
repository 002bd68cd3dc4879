//! Worlds, and faults that are planted in them.

#![allow(clippy::unwrap_used, reason = "a test ends with the first thing that is wrong")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Counts, Planted, live};

/// Worlds of one run in the tests.
const SEEDS: u64 = 500;

/// Seeds in which a planted fault is looked for, at the most.
const LOOKED_AT: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|it| it.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Lives these worlds through, on all cores. Gives what happened in them, and the seeds that failed.
fn live_all(start: u64, seeds: u64) -> (Counts, Vec<u64>) {
    let next = AtomicU64::new(start);
    let all = Mutex::new((Counts::new(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= start + seeds {
                return;
            }
            let lived = catch_unwind(AssertUnwindSafe(|| live(seed, Planted::Nothing)));
            let mut all = all.lock().unwrap();
            if let Ok((counts, _)) = lived {
                for (what, count) in counts {
                    *all.0.entry(what).or_default() += count;
                }
            } else {
                eprintln!(
                    "seed {seed} failed. This lives it through again:\n  STEMPEL_SIM_SEED={seed} cargo nextest run --workspace --no-capture -E 'binary_id(simulation::worlds) & test(every_world)'"
                );
                all.1.push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    all.into_inner().unwrap()
}

#[test]
fn every_world_comes_to_rest_and_nothing_is_lost_in_it() {
    let (start, seeds) = match number("STEMPEL_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => {
            (number("STEMPEL_SIM_START").unwrap_or(0), number("STEMPEL_SIM_SEEDS").unwrap_or(SEEDS))
        }
    };
    let begun = std::time::Instant::now();
    let (counts, failed) = live_all(start, seeds);
    println!("{seeds} worlds from seed {start}, in {:.1} s:", begun.elapsed().as_secs_f64());
    for (what, count) in &counts {
        println!("{count:>9}  {what}");
    }
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}

#[test]
fn a_seed_is_the_same_world_each_time() {
    for seed in 0..4 {
        assert_eq!(live(seed, Planted::Nothing), live(seed, Planted::Nothing), "seed {seed}");
    }
}

/// Plants a fault, and looks for the first seed that shows it.
fn is_found(planted: Planted) {
    let quiet = std::panic::take_hook();
    // Each of these panics is wanted.
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..LOOKED_AT).find_map(|seed| {
        let lived = catch_unwind(AssertUnwindSafe(|| live(seed, planted)));
        lived.err().map(|why| (seed, why))
    });
    std::panic::set_hook(quiet);
    let Some((seed, why)) = found else { panic!("{planted:?} was not found") };
    let said = why.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or_default();
    println!("{planted:?}: found by seed {seed}: {said}");
}

#[test]
fn a_hub_that_acknowledges_before_it_commits_is_found() {
    is_found(Planted::AcknowledgedBeforeCommit);
}

#[test]
fn a_hub_that_ignores_runs_is_found() {
    is_found(Planted::RunsIgnored);
}

#[test]
fn a_hub_that_does_a_request_twice_is_found() {
    is_found(Planted::RequestDoneTwice);
}

#[test]
fn a_hub_that_tells_no_news_is_found() {
    is_found(Planted::NewsLost);
}

#[test]
fn a_restored_hub_that_ignores_its_journal_is_found() {
    is_found(Planted::JournalIgnored);
}

#[test]
fn a_disk_that_syncs_nothing_is_found() {
    is_found(Planted::NothingIsSynced);
}

#[test]
fn a_page_that_is_half_applied_is_found() {
    is_found(Planted::PageHalfApplied);
}

#[test]
fn a_deny_list_that_does_not_go_ahead_is_found() {
    is_found(Planted::DenyListLeftOut);
}

#[test]
fn a_hub_that_checks_no_seals_is_found() {
    is_found(Planted::SealUnchecked);
}

#[test]
fn a_grant_that_is_sent_twice_is_found() {
    is_found(Planted::GrantSentTwice);
}

#[test]
fn a_desk_that_goes_on_when_it_was_revoked_is_found() {
    is_found(Planted::ResumedAfterRevocation);
}

#[test]
fn a_fold_that_locks_no_passes_is_found() {
    is_found(Planted::FoldedBeforeLocked);
}
