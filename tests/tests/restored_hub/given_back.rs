//! Invariants 2 and 12: entries that a restored hub lost come back from whoever holds them.

use std::collections::BTreeSet;
use std::fs;

use desk_api::types::Outcome;
use stempel_tests::older_copy::Part;
use stempel_tests::{Desk, Hub, VENUE, catalogue, pass_number};

use super::{LAST, LOST, POINTS, entries, import_new, points, record};

/// Which of these entries the hub does not hold. It holds none twice.
fn lacking(hub: &Hub, of: &BTreeSet<String>) -> BTreeSet<String> {
    let days: BTreeSet<&str> = of.iter().map(|entry| entry.split('/').next().unwrap()).collect();
    let mut held = BTreeSet::new();
    for day in days {
        for entry in hub.json(&["show", "ledger", VENUE, day]).as_array().unwrap() {
            assert!(held.insert(entry["entry"].as_str().unwrap().to_owned()), "{entry} twice");
        }
    }
    of - &held
}

/// The desk that vanishes has recorded in three runs: the copy has the first list, a part of the second, and knows
/// nothing of the third.
async fn a_neighbour_gives_back_all_of_a_desk_that_vanished(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(40, POINTS));
    let mut vanishes = Desk::start(world.path(), &hub, "balie-1").await;
    let neighbour = Desk::start(world.path(), &hub, "balie-2").await;
    let mut all: BTreeSet<String> = record(&vanishes, 0..4).await.into_iter().collect();
    vanishes.stop();
    vanishes.go();
    all.extend(record(&vanishes, 4..8).await);
    let older = hub.older_copy(part);
    all.extend(record(&vanishes, 8..16).await);
    vanishes.stop();
    vanishes.go();
    all.extend(record(&vanishes, 16..24).await);
    all.extend(record(&neighbour, 24..28).await);
    // What the venue's desks recorded comes before this.
    import_new(&hub, LOST);
    neighbour.learns(LOST).await;
    vanishes.stop();
    fs::remove_dir_all(&vanishes.folder).unwrap();

    hub.restore(&older);
    assert_eq!(entries(&hub), 8, "what the copy has");
    hub.go();
    hub.wait_until("what is lacking and the neighbour holds", &BTreeSet::new(), |hub| {
        lacking(hub, &all)
    });
    for n in [0, 7, 15, 23, 27] {
        assert_eq!(points(&hub, n), u64::from(POINTS) + 1, "pass {n}");
    }
    assert_eq!(hub.json(&["show", "totals"])["quarantined"], 0);
    import_new(&hub, LAST);
    neighbour.learns(LAST).await;
    for n in [0, 7, 15, 23, 27] {
        let pass = neighbour.client.pass(&pass_number(n)).await.unwrap();
        assert_eq!(pass.points, u64::from(POINTS) + 1, "pass {n} at the neighbour");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_12_a_hub_with_a_restored_database_gets_what_a_vanished_desk_recorded() {
    a_neighbour_gives_back_all_of_a_desk_that_vanished(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_12_a_hub_on_a_restored_machine_gets_what_a_vanished_desk_recorded() {
    a_neighbour_gives_back_all_of_a_desk_that_vanished(Part::Machine).await;
}

/// Each desk that is there sends its own, and each entry is there once.
#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_12_entries_that_several_desks_hold_come_back_to_a_restored_hub_once() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(40, POINTS));
    let one = Desk::start(world.path(), &hub, "balie-1").await;
    let two = Desk::start(world.path(), &hub, "balie-2").await;
    let older = hub.older_copy(Part::Database);
    let mut all: BTreeSet<String> = record(&one, 0..10).await.into_iter().collect();
    all.extend(record(&two, 10..20).await);
    import_new(&hub, LOST);
    for desk in [&one, &two] {
        desk.learns(LOST).await;
    }

    hub.restore(&older);
    hub.go();
    hub.wait_until("what is lacking and the desks hold", &BTreeSet::new(), |hub| {
        lacking(hub, &all)
    });
    all.extend(record(&one, 20..25).await);
    all.extend(record(&two, 25..30).await);
    assert_eq!(lacking(&hub, &all), BTreeSet::new());
    let totals = hub.json(&["show", "totals"]);
    assert_eq!([&totals["entries"], &totals["quarantined"]], [30, 0]);
    for n in 0..30 {
        assert_eq!(points(&hub, n), u64::from(POINTS) + 1, "pass {n}");
    }
}

/// What an operator takes back is an entry of the hub's own.
#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_12_what_an_operator_took_back_stays_taken_back_at_a_restored_hub() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let entry = record(&desk, [3]).await.remove(0);
    let older = hub.older_copy(Part::Machine);
    hub.run(&["correct", "void", VENUE, &entry]);
    let taken_back = async || {
        let outcome = desk.client.history().await.unwrap()[0].outcome;
        (outcome, desk.client.pass(&pass_number(3)).await.unwrap().points)
    };
    let wanted = (Outcome::TakenBack, u64::from(POINTS));
    desk.wait_until("the correction", wanted, taken_back).await;

    hub.restore(&older);
    assert_eq!(entries(&hub), 1, "what the copy has");
    hub.go();
    hub.wait_until("the points after the correction", &u64::from(POINTS), |hub| points(hub, 3));
    import_new(&hub, LAST - 1);
    import_new(&hub, LAST);
    desk.learns(LAST).await;
    desk.wait_until("the correction", wanted, taken_back).await;
    assert_eq!(entries(&hub), 2);
}
