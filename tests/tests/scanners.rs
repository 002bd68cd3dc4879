//! Scanners as they are, at the console in a real terminal: what they do to a code is undone or said, a burst is never a
//! command, control characters are no letters.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use desk_api::types::Kind;
use stempel_tests::terminal::Terminal;
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, pass_number, program};

const CODE: &str = "stempel:quit-u5a";
const F2: &str = "\x1bOQ";
const CTRL_C: &str = "\x03";

/// A desk at which every tap counts, with an activity that has a code.
async fn desk(world: &Path) -> (Hub, Desk) {
    let passes: Vec<_> = (0..4)
        .map(|n| {
            serde_json::json!({
                "programme": "UITPAS", "uitpasNumber": pass_number(n),
                "cardStatus": "ACTIVE", "memberships": [{ "cardSystem": 1 }], "points": 0,
            })
        })
        .collect();
    let catalogue = serde_json::json!({
        "venues": [{ "id": VENUE, "name": "Museum De Reede" }],
        "activities": [{
            "eventId": ACTIVITY, "title": "Festiviteit", "venue": VENUE, "checkinPoints": 1,
            "checkinCodes": [{ "code": CODE }],
        }],
        "passes": passes,
    });
    let hub = Hub::start(world, &catalogue.to_string());
    let desk = Desk::start(world, &hub, "balie-1").await;
    (hub, desk)
}

/// Entries of this kind that the desk wrote.
async fn entries(desk: &Desk, kind: Kind) -> usize {
    let history = desk.client.history().await.unwrap();
    history.iter().filter(|row| row.answer.kind == kind && row.answer.entry.is_some()).count()
}

/// What this scanner on a Belgian AZERTY desk makes of digits.
fn azerty(number: &str) -> String {
    let row: Vec<char> = "àéé\"'(§è!ç".chars().collect();
    let key = |c: char| match c {
        '1' => '&',
        c => row[usize::try_from(c.to_digit(10).unwrap()).unwrap()],
    };
    number.chars().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_scanner_does_to_a_code_is_undone_or_said_and_the_next_visitor_is_left_alone() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk(world.path()).await;
    let mut terminal = Terminal::of_desk(&desk, "none");
    terminal.wait_for("Verbonden");
    let number = pass_number(1);
    let mut taps = 0;
    let mut good = |terminal: &mut Terminal, scan: &str| {
        terminal.press(scan);
        terminal.wait_for("WELKOM. Ingecheckt.");
        taps += 1;
    };
    good(&mut terminal, &format!("{number}\r"));
    // Each that cannot be read, then one that can.
    for (unread, why, undone) in [
        ("STAFF-0042\r".to_owned(), "code van deze balie", number[1..].to_owned() + "\r"),
        (azerty(&number[1..]) + "\r", "WELKOM", azerty(&number) + "\r"),
        ("090000009590\r".to_owned(), "ontbreken cijfers", format!("]C1{number}\r")),
        ("0900000095903\r".to_owned(), "Dit nummer klopt niet", format!("]E0{number}\r")),
        (format!("{number}{}\r", pass_number(2)), "twee codes aan elkaar", format!("{number}\n")),
        (format!("A{number}\r"), "tekens voor of na", format!("\u{2}{number}\u{3}")),
        (
            format!("{}\u{1d}{}\r", &number[..6], &number[6..]),
            "stuurtekens",
            format!("\u{2}{number}\u{3}\r\n"),
        ),
        ("àçààààà§è(&\"\r".to_owned(), "toetsenbord dan deze", format!("{number}\t")),
        // In quick succession, and no end.
        (CODE.to_owned(), "stuurt geen Enter", format!("\x1b[200~{number}\r\x1b[201~")),
        (number.clone(), "stuurt geen Enter", format!("{number}\r")),
        (
            "\x1b[200~uq\rstempel:nergens\r\x1b[201~".to_owned(),
            "Niet gelezen",
            format!("{number}\r"),
        ),
    ] {
        if why == "WELKOM" {
            // A zero that is lost and a row that is another's at once: both are undone.
            terminal.press("STAFF-0042\r");
            terminal.wait_for("code van deze balie");
            good(&mut terminal, &unread);
            terminal.press("STAFF-0042\r");
            terminal.wait_for("code van deze balie");
        } else {
            terminal.press(&unread);
            let shown = terminal.wait_for(why);
            assert!(!shown.contains("WELKOM"), "{unread:?}: {shown}");
            assert!(!shown.contains("Activiteit gescand"), "{unread:?}: {shown}");
        }
        good(&mut terminal, &undone);
    }
    // A code of this desk, whatever became of its letters, and the card that it is for.
    terminal.press(&format!("{}\r", CODE.to_uppercase()));
    let shown = terminal.wait_for("Activiteit gescand");
    assert!(!shown.contains("WELKOM"), "{shown}");
    good(&mut terminal, &format!("{number}\r"));
    terminal.quit();
    assert_eq!(entries(&desk, Kind::CheckIn).await, taps);
    assert_eq!(entries(&desk, Kind::Void).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_never_a_command_and_what_changes_anything_asks_unless_its_key_stood_alone() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk(world.path()).await;
    let mut terminal = Terminal::of_desk(&desk, "none");
    terminal.wait_for("Verbonden");
    let number = pass_number(1);
    terminal.press(&format!("{number}\r"));
    terminal.wait_for("WELKOM. Ingecheckt.");
    // A slow scanner without Enter: its pace is what is tried here.
    for c in CODE.chars() {
        terminal.press(&c.to_string());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let shown = terminal.wait_for("stuurt geen Enter");
    assert!(!shown.contains("Dit ongedaan maken?") && !shown.contains("Stoppen?"), "{shown}");
    terminal.press(&format!("{number}\r"));
    terminal.wait_for("WELKOM. Ingecheckt.");
    // Control characters are no letters, and Ctrl-C within a scan is framing.
    terminal.press_alone("\u{3}\u{1}");
    terminal.wait_for("te snel na elkaar");
    terminal.press(&format!("\u{1}{number}\r"));
    terminal.wait_for_change("te snel na elkaar");
    // A letter asks; the key that asked is no answer.
    terminal.press_alone("u");
    terminal.wait_for("Dit ongedaan maken?");
    terminal.press_alone("u");
    terminal.wait_for_change("Dit ongedaan maken?");
    assert_eq!(entries(&desk, Kind::Void).await, 0);
    terminal.press_alone(F2);
    terminal.wait_for("Ongedaan gemaakt.");
    assert_eq!(entries(&desk, Kind::Void).await, 1);
    // A second time it is somebody else's: it is named and asked.
    terminal.press_alone(F2);
    terminal.wait_for("Dit ongedaan maken?");
    terminal.press("\x1b");
    terminal.wait_for_change("Dit ongedaan maken?");
    terminal.press_alone(CTRL_C);
    terminal.wait_for("Stoppen?");
    // What comes behind the answer acts no more.
    terminal.press_alone(CTRL_C);
    assert!(terminal.child.wait().unwrap().success());
    assert_eq!(entries(&desk, Kind::CheckIn).await, 3);
    assert_eq!(entries(&desk, Kind::Void).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_shows_what_a_scanner_sends_and_lines_are_read_in_the_same_way() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk(world.path()).await;
    let folder = desk.folder.display().to_string();
    let number = pass_number(1);
    let mut terminal =
        Terminal::open(&["--folder", &folder, "--language", "nl", "doctor", "scanner"]);
    terminal.wait_for("Scan een code.");
    terminal.press(&format!("\u{2}]C1{number}\u{3}\r"));
    let shown = terminal.wait_for("Zet voorvoegsels af");
    assert!(shown.contains("Gelezen: het nummer van een pas."), "{shown}");
    assert!(shown.contains("␂]C10•") && !shown.contains(&number), "{shown}");
    terminal.press(&number);
    terminal.wait_for("Laat de scanner na elke code Enter sturen");
    terminal.press("\x1b");
    assert!(terminal.child.wait().unwrap().success());
    // Bytes in a file ask the same question.
    let mut doctor = Command::new(program("stempel"))
        .args(["--folder", &folder, "--language", "en", "doctor", "scanner"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = format!("{}\rSTAFF-0042\n", CODE.to_uppercase());
    doctor.stdin.take().unwrap().write_all(bytes.as_bytes()).unwrap();
    let said = String::from_utf8(doctor.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("Read: a code of this desk."), "{said}");
    assert!(said.contains("no code of this desk"), "{said}");
    // Lines.
    let arguments = ["--folder", &folder, "--reader", "none", "--language", "nl", "--plain"];
    let mut terminal = Terminal::open(&arguments);
    terminal.wait_for("Verbonden");
    terminal.press("STAFF-0042\r");
    terminal.wait_for("↻ OPNIEUW Niet gelezen: dit is geen nummer");
    terminal.press(&format!("{}\r", &number[1..]));
    terminal.wait_for("✔ OK WELKOM. Ingecheckt.");
    terminal.press("u\r");
    terminal.wait_for("✔ OK Ongedaan gemaakt.");
    terminal.press("q\r");
    assert!(terminal.child.wait().unwrap().success());
    assert_eq!((entries(&desk, Kind::CheckIn).await, entries(&desk, Kind::Void).await), (1, 1));
    // From a file: the first line is a code, and no line is read before the desk's codes are known.
    let mut lines = Command::new(program("stempel"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = format!("c {CODE}\n{}\n", pass_number(2));
    lines.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let said = String::from_utf8(lines.wait_with_output().unwrap().stdout).unwrap();
    let (code, tap) = (said.find("Activiteit gescand"), said.find("✔ OK WELKOM."));
    assert!(code.is_some() && code < tap, "{said}");
}
