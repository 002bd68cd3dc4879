//! `docs/troubles.md`, printed from the table.

use std::fmt::Write;
use std::path::Path;

use tui::i18n::{Language, Texts};

use crate::hub::{HUB_ROWS, HubRow};
use crate::table::{Caused, Row, Shown, rows};

/// What stands before the table.
const BEFORE: &str = "\
# What can be the matter with a desk

This page is printed from the table that the test `tests/tests/troubles` walks through with the real programs. A trouble
without a row does not compile. After a change of the table: `UPDATE_DOCS=1 cargo nextest run -p stempel-tests -E 'test(the_page_says)'`.

*Status* is where `GET /v1/status` (and `stempel status --json`) says it. What a reader of cards can have is in
[readers.md](readers.md), what the hub can have at the end of this page.

";

/// What stands before the hub's table.
const BEFORE_HUB: &str = "
# What can be the matter with the hub

For operators. `stempel-hub status [--json]` says all of it but a desk's wrong clock and what becomes of the log; the log
says each change once.

| trouble | how a test causes it | what operators read | what goes on working | how it ends |
| --- | --- | --- | --- | --- |
";

fn said(row: &Row, language: Language) -> String {
    let texts = Texts::new(language);
    match &row.shown {
        Shown::Disk(it) | Shown::PassList(it) | Shown::Clock(it) | Shown::Beside(it) => {
            texts.trouble(it)
        }
        Shown::Hub(link) => texts.link(link, "13:49", true),
    }
}

fn page() -> String {
    let mut page = BEFORE.to_owned();
    page.push_str("| status | how a test causes it | the volunteer reads (nl) | the volunteer reads (en) | what goes on working | how it ends |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows() {
        let place = match &row.shown {
            Shown::Disk(_) => "disk",
            Shown::PassList(_) => "store",
            Shown::Clock(_) => "clock",
            Shown::Beside(_) => "beside",
            Shown::Hub(_) => "hub",
        };
        let caused = match row.caused {
            Caused::Here { how, .. } => how.to_owned(),
            Caused::In { how, file, test } => format!("{how} (`{file}`, `{test}`)"),
        };
        let [nl, en] = [Language::Nl, Language::En].map(|language| said(&row, language));
        let (name, meanwhile, ends) = (row.name, row.meanwhile, row.ends);
        writeln!(page, "| `{place}`: `{name}` | {caused} | {nl} | {en} | {meanwhile} | {ends} |")
            .unwrap();
    }
    page.push_str(BEFORE_HUB);
    for HubRow { trouble, how, file, test, said, meanwhile, ends } in HUB_ROWS {
        writeln!(
            page,
            "| {trouble} | {how} (`{file}`, `{test}`) | {said} | {meanwhile} | {ends} |"
        )
        .unwrap();
    }
    page
}

#[test]
fn the_page_says_what_the_table_does() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubles.md"));
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page);
}
