//! The house rule: an arrow points only downwards.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which rooms each room may use: those on the floors below it. `service` is beside the floors: of them it knows only what
/// surroundings are.
const ARROWS: [(&str, &[&str]); 15] = [
    ("crdt-model", &[]),
    ("service", &["crdt-model"]),
    ("catalogue-file", &["crdt-model"]),
    ("sync-protocol", &["crdt-model"]),
    ("hardware", &["crdt-model"]),
    ("desk-api", &["hardware", "sync-protocol", "crdt-model"]),
    ("lines", &["sync-protocol", "crdt-model"]),
    ("sample-world", &["catalogue-file", "crdt-model"]),
    ("syncd", &["desk-api", "lines", "hardware", "service", "sync-protocol", "crdt-model"]),
    ("hub", &["sample-world", "lines", "catalogue-file", "service", "sync-protocol", "crdt-model"]),
    ("tui", &["desk-api", "hardware", "service", "sync-protocol", "crdt-model"]),
    ("incarnation-model", &[]),
    ("simulation", &["hub", "syncd", "desk-api", "sync-protocol", "crdt-model"]),
    ("stempel-tests", &["tui", "syncd", "desk-api", "hardware", "sync-protocol", "crdt-model"]),
    (
        "stempel-bench",
        &[
            "stempel-tests",
            "tui",
            "hub",
            "syncd",
            "desk-api",
            "lines",
            "hardware",
            "sync-protocol",
            "crdt-model",
        ],
    ),
];

/// What the rooms without I/O, clock and randomness must not use.
const IMPURE: [&str; 10] =
    ["tokio", "quinn", "sled", "axum", "sqlx", "rand", "getrandom", "tracing", "hyper", "rustix"];

fn dependencies(kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(root).no_deps().exec().unwrap();
    let packages = metadata.packages.into_iter();
    packages
        .map(|package| {
            let used = package.dependencies.into_iter().filter(|d| kinds.contains(&d.kind));
            (package.name.to_string(), used.map(|d| d.name).collect())
        })
        .collect()
}

/// The Rust files of a folder of the workspace, with their paths from that folder.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder);
    let (mut folders, mut found) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn an_arrow_points_only_downwards() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into();
    let kinds = [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];
    let found = dependencies(&kinds);
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        arrows.keys().copied().collect::<Vec<_>>()
    );
    for (room, used) in &found {
        // A room's tests may use the room itself, with more of its features.
        let rooms = used.iter().filter(|name| *name != room && arrows.contains_key(name.as_str()));
        for other in rooms {
            assert!(arrows[room.as_str()].contains(&other.as_str()), "{room} must not use {other}");
        }
    }
}

#[test]
fn the_model_and_the_protocol_use_nothing_that_does_io() {
    let found = dependencies(&[DependencyKind::Normal, DependencyKind::Build]);
    for room in ["crdt-model", "sync-protocol"] {
        for impure in IMPURE {
            assert!(!found[room].contains(impure), "{room} must not use {impure}");
        }
    }
}

#[test]
fn the_model_and_the_protocol_ask_nobody_for_the_time() {
    for room in ["crdt-model", "sync-protocol"] {
        for (path, source) in sources(&format!("{room}/src")) {
            for word in [
                "SystemTime",
                "Instant::now",
                "Timestamp::now",
                "Zoned::now",
                "std::fs",
                "std::net",
            ] {
                assert!(!source.contains(word), "{room}: {path} says {word}");
            }
        }
    }
}

#[test]
fn only_the_hubs_rooms_for_it_name_the_database_driver() {
    let hub = concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/src");
    let rooms = ["db", "records"].map(|room| std::path::Path::new(hub).join(room));
    let mut folders = vec![std::path::PathBuf::from(hub)];
    while let Some(folder) = folders.pop() {
        for found in std::fs::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if rooms.iter().any(|room| path.with_extension("") == *room) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(!source.contains("sqlx::"), "{} names sqlx", path.display());
        }
    }
}

/// libnfc's drivers are chosen when it is built. One that is missing never finds its reader, and says nothing.
#[test]
fn every_driver_of_libnfc_that_the_documentation_names_is_built_in() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(root).no_deps().exec().unwrap();
    let hardware = metadata.packages.iter().find(|package| package.name == "hardware").unwrap();
    let libnfc = hardware.dependencies.iter().find(|used| used.name == "nfc1").unwrap();
    let readers = include_str!("../../../docs/readers.md");
    for driver in
        ["pn532_uart", "pn532_i2c", "pn532_spi", "pn53x_usb", "acr122_usb", "acr122s", "arygon"]
    {
        assert!(readers.contains(driver), "docs/readers.md does not name {driver}");
        assert!(libnfc.features.contains(&format!("driver_{driver}")), "{driver} is not built in");
    }
}
