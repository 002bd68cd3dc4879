//! `docs/verdicts.md` lists every reason, where its rule comes from, and what the volunteer sees. The
//! table is made from the code; `UPDATE_DOCS=1` writes it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use crdt_model::decide::Reason;
use tui::i18n::{Language, Texts, sign};

const HEAD: &str = "\
# Verdicts

Every reason for which a verdict is not a plain ok. The name is the contract's where the contract has
one; it is what `--json` and the desk API say. The rules stand in `crdt-model/src/decide`, each in one
place. `UPDATE_DOCS=1 cargo nextest run -p tui verdicts` writes this table from the code.

A verdict is one of five: ✔ ok, ▲ again (let in, nothing counted), ? ask (the volunteer decides),
✖ stop, ↻ retry. Reasons that concern a tariff are behind F5 and never on the screen by themselves.

| reason | verdict | source | Nederlands | English |
| --- | --- | --- | --- | --- |
";

#[test]
fn docs_verdicts_md_lists_every_reason_as_the_code_has_it() {
    let (dutch, english) = (Texts::new(Language::Nl), Texts::new(Language::En));
    let mut table = HEAD.to_owned();
    for reason in Reason::ALL {
        let verdict = reason.verdict();
        writeln!(
            table,
            "| `{reason}` | {} {} | {} | {} | {} |",
            sign(verdict),
            english.word(verdict).to_lowercase(),
            reason.source(),
            dutch.reason(*reason),
            english.reason(*reason),
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verdicts.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, table, "run it with UPDATE_DOCS=1");
}
