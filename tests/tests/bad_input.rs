//! Bad input: each a clear sentence and a non-zero exit, and nothing lost.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::process::Output;

use desk_api::types::HubLink;
use stempel_tests::{Desk, Hub, catalogue, output, pass_number};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a command that must fail says.
fn said(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_none_is_refused_and_an_unknown_one_is_asked_about() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(1, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let folder = text(&desk.folder);
    let tap =
        |card: &str| output("stempel", &["--folder", &folder, "--language", "en", "tap", card]);
    let luhn = tap("0900000095903");
    assert_eq!(luhn.status.code(), Some(4));
    assert!(said(&luhn).contains("the check digit does not fit"), "{luhn:?}");
    assert!(said(&tap("hello")).contains("neither a chip number"));
    let unknown = tap("0411223344556677889A");
    assert_eq!(unknown.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&unknown.stdout).contains("? ASK"), "{unknown:?}");
    assert_eq!(tap(&pass_number(0)).status.code(), Some(0));
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    assert_eq!(hub.json(&["show", "totals"])["entries"], 2, "the unknown card is recorded, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_works_once_and_a_wrong_one_never() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(1, 0));
    let enrol = |name: &str, invitation: &str| {
        output("stempel", &["--folder", &text(&world.path().join(name)), "enrol", invitation])
    };
    let invitation = hub.invite("balie-1");
    assert!(enrol("a", &invitation).status.success());
    assert!(said(&enrol("b", &invitation)).contains("was used before"));
    assert!(said(&enrol("a", &hub.invite("balie-2"))).contains("already enrolled"));
    assert!(said(&enrol("c", "hello")).contains("an invitation begins with STEMPEL1"));
    let wrong = invitation.replacen('A', "B", 1);
    assert!(said(&enrol("d", &wrong)).contains("a letter was mistyped"));
    let unenrolled = output("stempel-syncd", &["--folder", &text(&world.path().join("e"))]);
    assert!(said(&unenrolled).contains("not enrolled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_another_key_is_refused_loudly_and_the_desk_goes_on() {
    let (world, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut hub = Hub::start(world.path(), &catalogue(1, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    let mut other = Hub::start(elsewhere.path(), &catalogue(1, 0));
    other.stop();
    other.address.clone_from(&hub.address);
    other.go();
    let status =
        desk.wait_for("the refusal", |status| matches!(status.hub, HubLink::Refused { .. })).await;
    assert!(format!("{:?}", status.hub).contains("another key"), "{status:?}");
    desk.client.tap(&pass_number(0)).await.unwrap();
    assert_eq!(desk.client.status().await.unwrap().pending, 1, "nothing is sent to it");
    assert_eq!(other.json(&["show", "totals"])["entries"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_a_taken_socket_and_a_bad_folder_are_refused() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(1, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    let folder = text(&desk.folder);
    let second = output("stempel-syncd", &["--folder", &folder]);
    assert!(said(&second).contains("already running"));
    desk.client.status().await.expect("the first goes on");
    desk.stop();
    let file = world.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let taken = output("stempel-syncd", &["--folder", &folder, "--socket", &text(&file)]);
    assert!(said(&taken).contains("is taken"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let unwritable = output("stempel-syncd", &["--folder", &text(&file.join("desk"))]);
    assert!(said(&unwritable).contains("cannot be written"));
    let nobody = output("stempel", &["--folder", &folder, "tap", "04784CDAEE3880"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(said(&nobody).contains("does not answer"));
}

#[test]
fn a_malformed_catalogue_names_line_and_field_and_changes_nothing() {
    let world = tempfile::tempdir().unwrap();
    let file = world.path().join("catalogue.json");
    let hub = ["--folder", &text(&world.path().join("hub"))].map(str::to_owned);
    let import = |json: &str| {
        std::fs::write(&file, json).unwrap();
        output("stempel-hub", &[&hub[0], &hub[1], "import", "catalogue", &text(&file)])
    };
    assert!(import(&catalogue(1, 0)).status.success());
    let wrong = catalogue(3, 1).replace(&pass_number(2), "0900000095903");
    let wrong = said(&import(&wrong));
    assert!(wrong.contains("passes[2].uitpasNumber: the check digit"), "{wrong}");
    assert!(wrong.contains("line 1"), "{wrong}");
    let show = output("stempel-hub", &[&hub[0], &hub[1], "show", "totals", "--json"]);
    assert!(String::from_utf8_lossy(&show.stdout).contains("\"passes\":1"), "{show:?}");
    assert!(import(&catalogue(3, 1)).status.success());
}

/// What the desk API answers to a body: the status line.
async fn posted(desk: &Desk, path: &str, body: &str) -> String {
    let mut line = tokio::net::UnixStream::connect(desk.folder.join("desk.sock")).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: desk\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    line.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_understood_takes_nothing_back_and_books_nothing() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(2, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.client.tap(&pass_number(0)).await.unwrap();
    for body in ["[]", r#"{"entri":"2026-11-27/x/0"}"#, r#"{"Entry":"x"}"#, r#"{"entry":null}"#] {
        let status = posted(&desk, "/v1/voids", body).await;
        assert!(status.contains("422"), "{body}: {status}");
    }
    let number = pass_number(1);
    for body in [format!(r#"["{number}"]"#), format!(r#"{{"pass":"{number}","chekc":"x"}}"#)] {
        let status = posted(&desk, "/v1/taps", &body).await;
        assert!(status.contains("422"), "{body}: {status}");
    }
    assert_eq!(desk.client.history().await.unwrap().len(), 1, "one tap, and nothing since");
    assert!(posted(&desk, "/v1/voids", "{}").await.contains("200"), "this is the last one");
}
