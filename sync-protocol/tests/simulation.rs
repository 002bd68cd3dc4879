//! A hub and its desks over a link that loses, cuts, repeats and delays, from a printed seed.
//!
//! Both sides are the real state machines; what drives them here keeps everything in memory. A seed
//! that fails is printed: `STEMPEL_SEED=<n> cargo nextest run -p sync-protocol one_seed`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

#[path = "simulation/desk.rs"]
mod desk;
#[path = "simulation/hub.rs"]
mod hub;
#[path = "simulation/world.rs"]
mod world;

use world::World;

/// Seeds of the ordinary run.
const SEEDS: u64 = 1000;

/// Invariants 1, 2 and 3.
#[test]
fn no_entry_is_lost_or_doubled_whatever_the_link_does() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        if let Err(panic) = outcome {
            eprintln!(
                "seed {seed} failed: STEMPEL_SEED={seed} cargo nextest run -p sync-protocol one_seed"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

/// For a seed that failed.
#[test]
fn one_seed() {
    let seed = std::env::var("STEMPEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    World::new(seed).run();
}

/// Ten new entries in a day of 2,000: at most 600 bytes up and 60 down (without what QUIC adds).
#[test]
fn ten_new_entries_in_a_day_of_two_thousand_cost_little() {
    let mut world = World::quiet();
    world.append(0, 2000);
    world.settle();
    world.append(0, 10);
    let (up, down) = world.settle();
    assert!(up <= 600, "{up} bytes up");
    assert!(down <= 120, "{down} bytes down");
}

/// A backlog of 10,000 check-ins of random passes: at most 12 bytes an entry.
#[test]
fn a_backlog_costs_at_most_twelve_bytes_an_entry() {
    let mut world = World::quiet();
    world.append(0, 10_000);
    let (up, _) = world.settle();
    assert!(up <= 12 * 10_000, "{up} bytes up");
}
