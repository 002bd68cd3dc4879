//! Every trouble that a desk can have, as one table (`table.rs`): a test causes each of them with the real programs,
//! reads what the status says, sees what goes on working, ends the cause, and sees the trouble end. `docs/troubles.md` is
//! printed from the same table. A trouble without a row does not compile.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod causes;
mod document;
mod hub;
mod table;

use crdt_model::decide::Reason;
use desk_api::client::ClientError;
use desk_api::types::{Health, HubLink, Status, Trouble};

use causes::World;
use hub::HUB_ROWS;
use table::{Caused, GoesOn, Row, Shown, rows};

fn same_kind<T>(one: &T, other: &T) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Whether the status has this kind of trouble.
fn has(status: &Status, shown: &Shown) -> bool {
    let is = |health: &Health, wanted: &Trouble| match health {
        Health::Fine => false,
        Health::Trouble(trouble) => same_kind(trouble, wanted),
    };
    match shown {
        Shown::Disk(wanted) => is(&status.disk, wanted),
        Shown::PassList(wanted) => is(&status.store, wanted),
        Shown::Clock(wanted) => is(&status.clock, wanted),
        Shown::Beside(wanted) => status.beside.iter().any(|it| same_kind(it, wanted)),
        Shown::Hub(wanted) => same_kind(&status.hub, wanted),
    }
}

/// Whether the status says this: with the row's numbers, where what causes it makes them certain.
fn says(status: &Status, row: &Row) -> bool {
    match &row.shown {
        Shown::Disk(wanted @ Trouble::LedgerDamaged { .. }) => {
            status.disk == Health::Trouble(wanted.clone())
        }
        Shown::Beside(wanted @ Trouble::HubRestored { .. }) => status.beside.contains(wanted),
        shown => has(status, shown),
    }
}

/// What the row says that goes on working does.
async fn goes_on(world: &mut World, row: &Row) {
    match row.goes_on {
        GoesOn::Recording => {
            let answer = world.tap().await.unwrap();
            assert!(answer.entry.is_some(), "{}: {answer:?}", row.name);
        }
        GoesOn::KnownPasses => {
            let answer = world.tap().await.unwrap();
            let asked = answer.reason == Some(Reason::PassNotFound);
            assert!(answer.entry.is_some() || asked, "{}: {answer:?}", row.name);
        }
        GoesOn::Nothing(kind) => match world.tap_until_refused().await {
            ClientError::Problem(problem) => {
                assert_eq!(problem.kind(), Some(kind), "{}: {problem:?}", row.name);
            }
            other => panic!("{}: {other:?}", row.name),
        },
    }
}

/// Walks through these rows in a world of their own. Gives the world, where there can be one.
async fn walk(rows: impl Iterator<Item = Row>) -> Option<World> {
    let mut world = World::begin().await?;
    for row in rows {
        let Caused::Here { cause, cure, .. } = row.caused else { continue };
        println!("{}", row.name);
        cause(&mut world).await;
        world.desk.wait_for(row.name, |status| says(status, &row)).await;
        goes_on(&mut world, &row).await;
        cure(&mut world).await;
        let ended = format!("the end of {}", row.name);
        world.desk.wait_for(&ended, |status| !has(status, &row.shown)).await;
        if row.ends_well {
            let well = |status: &Status| {
                status.hub == HubLink::Connected && status.pending == 0 && status.records()
            };
            world.desk.wait_for("pending 0", well).await;
        }
    }
    Some(world)
}

fn is_of_the_disk(row: &Row) -> bool {
    matches!(row.shown, Shown::Disk(_))
}

// Two tests, for one alone comes near the time that a test may take on a machine with much to do.
#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_of_a_desks_disk_is_said_and_ends_with_its_cause() {
    let Some(mut world) = walk(rows().into_iter().filter(is_of_the_disk)).await else { return };
    world.check_entries(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_trouble_is_said_and_ends_with_its_cause() {
    let Some(mut world) = walk(rows().into_iter().filter(|row| !is_of_the_disk(row))).await else {
        return;
    };
    // What was tapped after the desk was revoked stays where it is.
    world.check_entries(1);
}

/// A row that another test walks names that test.
#[test]
fn the_tests_that_the_table_names_are_there() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let of_desks = rows().into_iter().filter_map(|row| match row.caused {
        Caused::In { file, test, .. } => Some((row.name, file, test)),
        Caused::Here { .. } => None,
    });
    for (name, file, test) in of_desks.chain(HUB_ROWS.map(|row| (row.trouble, row.file, row.test)))
    {
        let source = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{name}: {file} has no {test}");
    }
}
