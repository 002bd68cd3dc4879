//! Every trouble that a desk can have, as one table (`table.rs`): a test causes each of them with the real programs,
//! reads what the status says, sees what goes on working, ends the cause, and sees the trouble end. `docs/troubles.md` is
//! printed from the same table. A trouble without a row does not compile.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod causes;
mod document;
mod table;

use crdt_model::decide::Reason;
use syncd::desk_api::client::ClientError;
use syncd::desk_api::types::{Health, HubLink, Status, Trouble};

use causes::World;
use table::{Caused, GoesOn, Row, Shown, rows};

fn same_kind<T>(one: &T, other: &T) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Whether the status says this.
fn says(status: &Status, shown: &Shown) -> bool {
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

#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_is_said_and_ends_with_its_cause() {
    let Some(mut world) = World::begin().await else { return };
    for row in rows() {
        let Caused::Here { cause, cure, .. } = row.caused else { continue };
        println!("{}", row.name);
        cause(&mut world).await;
        world.desk.wait_for(row.name, |status| says(status, &row.shown)).await;
        goes_on(&mut world, &row).await;
        cure(&mut world).await;
        let ended = format!("the end of {}", row.name);
        world.desk.wait_for(&ended, |status| !says(status, &row.shown)).await;
        if row.ends_well {
            let well = |status: &Status| {
                status.hub == HubLink::Connected && status.pending == 0 && status.records()
            };
            world.desk.wait_for("pending 0", well).await;
        }
    }
    world.check_entries();
}

/// A row that another test walks names that test.
#[test]
fn the_tests_that_the_table_names_are_there() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for row in rows() {
        let Caused::In { file, test, .. } = row.caused else { continue };
        let source = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{}: {file} has no {test}", row.name);
    }
}
