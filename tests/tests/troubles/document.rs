//! `docs/troubles.md`, printed from the table.

use std::fmt::Write;
use std::path::Path;

use tui::i18n::{Language, Texts};

use crate::table::{Caused, Row, Shown, rows};

/// What stands before the table.
const BEFORE: &str = "\
# What can be the matter with a desk

This page is printed from the table that the test `tests/tests/troubles` walks through with the real programs. A trouble
without a row does not compile. After a change of the table: `UPDATE_DOCS=1 cargo nextest run -p stempel-tests -E 'test(the_page_says)'`.

*Status* is where `GET /v1/status` (and `stempel status --json`) says it. What a reader of cards can have is in
[readers.md](readers.md), what the hub can have at the end of this page.

";

/// The hub's own troubles, for operators.
const HUB: &str = "\
# What can be the matter with the hub

For operators. `stempel-hub status [--json]` says all of it; the log says it once for each change.

| trouble | how a test causes it | what operators read | what goes on working | how it ends |
| --- | --- | --- | --- | --- |
| its disk is full | a small disk is filled (`operations::disk`) | `stempel-hub status`: `disk: nothing can be stored, for its disk is full`; desks: `cannot-store` | desks record; entries wait there | by itself within some 6 seconds, when there is room |
| its disk is read-only | a read-only mount over its folder (`operations::disk`) | the same, `read-only` | the same | by itself, when it can be written |
| it was restored from an older copy | `hub.db` is replaced (`operations::told`) | `stempel-hub status`: which desk sent how many entries again; `device list --json`: `sentAgain` | everything | it is a note |
| a desk's folder was copied | `cp -a` of the folder, both run (`operations::told`) | `stempel-hub status`, `device list`: `used twice since …` | both record and send | a day after it was last seen: enrol one of them anew |
| one of its tasks failed | a task that panics (`service::tasks`) | `stempel-hub status`: `task … failed … times` | the other tasks; it is started again | when it runs again |
| its clock is wrong, say three desks or more | its clock is put forward (`hub_clock`) | `stempel-hub clock show`, `device list`: `The hub's own clock is in doubt` | everything; desks go by their own clocks; receipts are dated by what most desks say | when the clock is right, or `stempel-hub clock trust` |
| its clock is before its newest receipt | its clock is put back (`hub::clock::tests`) | the same | everything; entries count when they say | when time has passed, three desks agree, or `stempel-hub clock trust` |
| a desk's clock is wrong | a desk dates ahead while it is offline (`hub_clock`) | the column CLOCK of `device list` | everything; its entries count when the hub receives them | when the desk's clock is right |
| its log cannot be written | standard error on a full disk, closed, or a pipe that nobody reads (`operations::log`) | a line with the number of lines that were lost, as soon as lines are taken again | everything | when lines are taken |
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
    page.push('\n');
    page.push_str(HUB);
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
