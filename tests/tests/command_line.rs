//! The command line as scripts use it: pipes that end early, inputs that end, titles from elsewhere.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::io::{Write, pipe};
use std::process::{Command, Stdio};

use desk_api::types::Kind;
use stempel_tests::terminal::Terminal;
use stempel_tests::{Desk, Hub, catalogue, output, pass_number, program, succeed};

/// A title with which somebody would give orders to terminals: clear the screen, set the window's title.
const TITLE: &str = "Expo\u{1b}[2J\u{1b}]0;taken over\u{7}\u{9b}31m";

#[tokio::test(flavor = "multi_thread")]
async fn titles_give_a_terminal_no_orders_and_a_plain_desk_ends_with_its_input() {
    let world = tempfile::tempdir().unwrap();
    let titled = catalogue(3, 10).replace("Festiviteit", &TITLE.escape_default().to_string());
    let titled = titled.replace("\\u{1b}", "\\u001b").replace("\\u{7}", "\\u0007");
    let hub = Hub::start(world.path(), &titled.replace("\\u{9b}", "\\u009b"));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let title = desk.client.status().await.unwrap().activity.unwrap().title;
    assert_eq!(title, TITLE, "the data stays what it is");
    let folder = desk.folder.display().to_string();

    let orders = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    for arguments in [&["activity"][..], &["activity", "--json"], &["status"], &["rewards"]] {
        let number = pass_number(0);
        let number = if arguments == ["rewards"] { &[number.as_str()][..] } else { &[] };
        let said = succeed("stempel", &[&["--folder", &folder], arguments, number].concat());
        assert!(!orders(&said), "{arguments:?}: {said:?}");
    }
    let json = succeed("stempel", &["--folder", &folder, "activity", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["title"], TITLE, "scripts get the whole title");

    // On the console's screen, too.
    let mut terminal = Terminal::of_desk(&desk, "none");
    terminal.wait_for("Expo");
    terminal.quit();
    let written = String::from_utf8_lossy(&terminal.written);
    assert!(!written.contains("\u{1b}]0;taken over") && !written.contains('\u{9b}'));

    // Every line of the input is answered before the end, in its order; one that is no text ends nothing.
    let arguments = ["--folder", &folder, "--language", "en", "--reader", "none", "--plain"];
    let mut plain = Command::new(program("stempel"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = b"caf\xe9\n".to_vec();
    typed.extend(format!("{}\n{}\nu\n{0}\nq\n", pass_number(1), pass_number(2)).bytes());
    plain.stdin.take().unwrap().write_all(&typed).unwrap();
    let ended = plain.wait_with_output().unwrap();
    assert!(ended.status.success());
    let said = String::from_utf8(ended.stdout).unwrap();
    let answers: Vec<_> = desk.client.history().await.unwrap().into_iter().rev().collect();
    let kinds: Vec<Kind> = answers.iter().map(|row| row.answer.kind).collect();
    assert_eq!(kinds, [Kind::CheckIn, Kind::CheckIn, Kind::Void, Kind::CheckIn], "{said}");
    assert!(said.contains("Not read"), "{said}");
    assert!(said.matches("WELCOME").count() >= 2, "{said}");
}

/// Scripts tell a wrong folder from a refusal, and a refusal from a fault.
#[test]
fn the_hub_says_by_its_exit_code_how_it_was() {
    let world = tempfile::tempdir().unwrap();
    let at = |name: &str| world.path().join(name).display().to_string();
    let (folder, nowhere, broken) = (at("hub"), at("nowhere"), at("broken.json"));
    std::fs::write(&broken, r#"{"passes": [{}]}"#).unwrap();
    let unusable = format!("{broken}/hub");
    let add = ["venue", "add", "museum", "--name", "Museum"];
    let cases: [(&str, &[&str], i32); 12] = [
        (&folder, &add, 0),
        (&folder, &["status"], 0),
        (&nowhere, &["sample", "catalogue"], 0),
        (&unusable, &add, 1),
        (&folder, &["serve", "--listen", "203.0.113.1:1"], 1),
        (&folder, &["no-such-command"], 2),
        (&nowhere, &["status"], 3),
        (&folder, &add, 4),
        (&folder, &["import", "catalogue", &broken], 4),
        (&folder, &["import", "catalogue", &nowhere], 4),
        (&folder, &["show", "pass", "0900000095903"], 4),
        (&folder, &["stock", "freeze", "1"], 4),
    ];
    let help = output("stempel-hub", &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let codes = help.lines().find(|line| line.starts_with("Exit codes: ")).unwrap();
    let document = include_str!("../../docs/exit-codes.md");
    for (folder, arguments, code) in cases {
        let ended = output("stempel-hub", &[&["--folder", folder], arguments].concat());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(codes.contains(&format!(" {code} ")), "--help does not name {code}: {codes}");
        let row = document.lines().find(|line| line.starts_with(&format!("| {code} |"))).unwrap();
        let of_hub = row.split('|').nth(3).unwrap();
        assert!(!of_hub.trim().is_empty(), "docs/exit-codes.md does not say when {code}");
    }
}

/// Whoever reads the output may have seen enough (`stempel activity | head -1`).
#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let doctor = |stdout: Stdio| {
        let mut doctor = Command::new(program("stempel"));
        doctor.args(["doctor", "reader"]).stdout(stdout).stderr(Stdio::piped()).output().unwrap()
    };
    // The reader has left before the first line is written.
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (unread, read) = (doctor(writer.into()), doctor(Stdio::piped()));
    let said = String::from_utf8_lossy(&unread.stderr);
    assert_eq!(unread.status, read.status, "{said}");
    assert!(!read.stdout.is_empty() && said.is_empty(), "{said}");
}
