//! The house rule inside the rooms: no circles between modules, and SQL in its own rooms only.
//!
//! The sources are read as text, which is enough: what a module uses of another stands behind `crate::` or `super::`.

use std::collections::{BTreeMap, BTreeSet};

use super::sources;

/// The rooms. Those of tests and measurements are not asked.
const ROOMS: [&str; 11] = [
    "crdt-model",
    "service",
    "catalogue-file",
    "sync-protocol",
    "hardware",
    "desk-api",
    "lines",
    "sample-world",
    "syncd",
    "hub",
    "tui",
];

/// Circles that stand, each as its modules. The list only gets shorter: they dissolve when the hub's SQL moves to `db`
/// and `records`.
const CIRCLES_THAT_STAND: [(&str, &[&str]); 3] = [
    ("hub", &["catalogue", "ledgers"]),
    ("hub", &["db", "storage"]),
    ("hub", &["import", "requests"]),
];

/// The rooms of SQL.
const SQL_ROOMS: [&str; 2] = ["hub/src/db", "hub/src/records"];

/// Files outside the rooms of SQL that still name sqlx. The list only gets shorter.
const STILL_NAME_SQLX: &[&str] = &[
    "hub/src/card_keys.rs",
    "hub/src/catalogue.rs",
    "hub/src/clock.rs",
    "hub/src/copies.rs",
    "hub/src/corrections.rs",
    "hub/src/endpoint.rs",
    "hub/src/holders.rs",
    "hub/src/import.rs",
    "hub/src/import/offers.rs",
    "hub/src/import/passes.rs",
    "hub/src/import/policies.rs",
    "hub/src/ledgers.rs",
    "hub/src/ledgers/placed.rs",
    "hub/src/registry.rs",
    "hub/src/report.rs",
    "hub/src/requests.rs",
    "hub/src/session.rs",
    "hub/src/session/noted.rs",
    "hub/src/session/shares.rs",
    "hub/src/session/told.rs",
    "hub/src/stock.rs",
    "hub/src/storage.rs",
    "hub/tests/hub/catalogue_pages.rs",
    "hub/tests/hub/clocks.rs",
    "hub/tests/hub/desk.rs",
    "hub/tests/hub/domain.rs",
    "hub/tests/hub/sessions.rs",
    "hub/tests/hub/taking.rs",
];

/// The names of a file's module and those around it, the outermost first. The room's root has none.
fn place_of(file: &str) -> Vec<&str> {
    let path = file.trim_end_matches(".rs");
    if path == "lib" || path == "main" { Vec::new() } else { path.split('/').collect() }
}

/// A source without its comments and without the tests at its end, which may use what they like.
fn code_of(source: &str) -> String {
    let code = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The name that a path begins with.
fn first_name(path: &str) -> &str {
    path.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The paths of a list in braces, of which the first brace is left out. Lists in it are a part of their path.
fn paths_of(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let end = list.find(move |c| {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return true,
            '}' => depth -= 1,
            _ => {}
        }
        false
    });
    let mut depth = 0_u32;
    list[..end.unwrap_or(list.len())].split(move |c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => return depth == 0,
            _ => {}
        }
        false
    })
}

/// The first name of each path behind this prefix, also of those in braces.
fn names_behind<'a>(code: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        // The end of another crate's name, or of a longer path.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let path = &code[at + prefix.len()..];
        match path.strip_prefix('{') {
            Some(list) => names.extend(paths_of(list).map(first_name)),
            None => drop(names.insert(first_name(path))),
        }
    }
    names
}

/// Which modules of a room's first level use which others of them.
fn uses(files: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeSet<&str> =
        files.keys().filter_map(|file| place_of(file).first().copied()).collect();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, source) in files {
        let place = place_of(file);
        let Some(module) = place.first() else { continue };
        if place.contains(&"tests") {
            continue;
        }
        let code = code_of(source);
        for prefix in ["crate::".to_owned(), "super::".repeat(place.len())] {
            let named = names_behind(&code, &prefix);
            let others = modules.iter().filter(|other| *other != module && named.contains(*other));
            uses.entry(module).or_default().extend(others);
        }
    }
    uses
}

/// What can be come to from a module, over one use or more.
fn reached<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for used in uses.get(module).into_iter().flatten() {
            if reached.insert(*used) {
                next.push(used);
            }
        }
    }
    reached
}

/// The circles: sets of modules that all come to each other.
fn circles<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<Vec<&'a str>> {
    let from: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|module| (*module, reached(uses, module))).collect();
    let mates = |module: &str| {
        let both = from[module].iter().filter(|other| from[*other].contains(module));
        both.copied().collect::<Vec<_>>()
    };
    uses.keys().map(|module| mates(module)).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn modules_go_in_no_circles() {
    for room in ROOMS {
        let files = sources(&format!("{room}/src"));
        assert!(!files.is_empty(), "{room} has no sources");
        let stand = CIRCLES_THAT_STAND.iter().filter(|(of, _)| *of == room);
        let stand: BTreeSet<Vec<&str>> = stand.map(|(_, circle)| circle.to_vec()).collect();
        let uses = uses(&files);
        let found = circles(&uses);
        let new: Vec<_> = found.difference(&stand).collect();
        assert!(
            new.is_empty(),
            "{room}: modules go in circles: {new:?}; what each uses: {uses:#?}"
        );
        let gone: Vec<_> = stand.difference(&found).collect();
        assert!(gone.is_empty(), "{room}: no circles any more, strike them off: {gone:?}");
    }
}

#[test]
fn only_the_rooms_of_sql_name_sqlx() {
    let mut found = BTreeSet::new();
    for room in ROOMS {
        for (file, source) in sources(room) {
            let file = format!("{room}/{file}");
            let is_of_sql = SQL_ROOMS.iter().any(|room| {
                file.strip_prefix(room).is_some_and(|rest| rest.starts_with(['/', '.']))
            });
            if !is_of_sql && source.contains("sqlx") {
                found.insert(file);
            }
        }
    }
    let still: BTreeSet<String> = STILL_NAME_SQLX.iter().map(|file| (*file).to_owned()).collect();
    let new: Vec<_> = found.difference(&still).collect();
    assert!(new.is_empty(), "only {SQL_ROOMS:?} name sqlx; ask them instead in {new:?}");
    let gone: Vec<_> = still.difference(&found).collect();
    assert!(gone.is_empty(), "they name sqlx no longer, strike them off: {gone:?}");
}

/// What the two tests above stand on.
#[test]
fn what_a_module_uses_is_read_from_its_source() {
    let files = BTreeMap::from([
        ("lib.rs".to_owned(), "mod a; mod b; mod c; mod d; use crate::a::X;".to_owned()),
        ("a.rs".to_owned(), "use crate::{b::{self, c}, Root};\n// use crate::d;".to_owned()),
        ("b/inner.rs".to_owned(), "fn f() { super::super::c::g() }".to_owned()),
        ("c.rs".to_owned(), "use super::{a};\n#[cfg(test)]\nmod tests {\nuse crate::d;".to_owned()),
        ("d.rs".to_owned(), "use other_crate::a;".to_owned()),
        ("d/tests.rs".to_owned(), "use crate::a;".to_owned()),
    ]);
    let uses = uses(&files);
    let of = |module: &str| uses.get(module).cloned().unwrap_or_default();
    assert_eq!(of("a"), BTreeSet::from(["b"]));
    assert_eq!(of("b"), BTreeSet::from(["c"]));
    assert_eq!(of("c"), BTreeSet::from(["a"]));
    assert_eq!(of("d"), BTreeSet::new());
    assert_eq!(circles(&uses), BTreeSet::from([vec!["a", "b", "c"]]));
}
