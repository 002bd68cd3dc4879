//! The console in a real terminal, with the real libnfc on an emulated PN532.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::path::Path;

use hardware::emulator::Pn532Emulator;
use stempel_tests::terminal::Terminal;
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, pass_number, succeed};

/// A desk of a hub with the sample catalogue.
async fn desk_with_sample(world: &Path) -> (Hub, Desk) {
    let hub = Hub::start(world, &succeed("stempel-hub", &["sample", "catalogue"]));
    let desk = Desk::start(world, &hub, "balie-1").await;
    (hub, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_on_the_reader_shows_the_verdict() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk_with_sample(world.path()).await;
    assert_eq!(desk.client.status().await.unwrap().activity.unwrap().event_id, ACTIVITY);
    let reader = Pn532Emulator::start().unwrap();
    let mut terminal = Terminal::of_desk(&desk, &reader.connstring());
    terminal.wait_for("lezer ✔");
    reader.present(&[0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80]);
    let shown = terminal.wait_for("WELKOM. Ingecheckt.");
    assert!(shown.contains("13 punten"), "{shown}");
    terminal.wait_for("✓ hub");
    reader.remove();
    reader.present(&[0x04, 0xb0, 0x04, 0x12, 0xf1, 0x52, 0x84]);
    terminal.wait_for("Deze kaart is geblokkeerd");
    terminal.quit();
}

/// A scanner types like a keyboard: its codes are taps, and never text, whatever lies on the screen.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_scanned_is_a_tap_and_not_what_somebody_typed() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk_with_sample(world.path()).await;
    let settings =
        "[[external-cards]]\ncard-type = \"museumkaart\"\nbegins = \"NL\"\nlengths = [12]\n";
    std::fs::write(desk.folder.join("scanner.toml"), settings).unwrap();
    let mut terminal = Terminal::of_desk(&desk, "none");
    terminal.wait_for("geen lezer");
    terminal.press("0900000095902\r");
    terminal.wait_for("WELKOM. Ingecheckt.");
    // A dialog in which a number is typed is open: the code is not typed into it.
    terminal.press_alone("z");
    terminal.wait_for("Esc sluit");
    terminal.press("NL1234567890\r");
    let shown = terminal.wait_for("Kijk of de kaart geldig is");
    assert!(!shown.contains("Esc sluit"), "{shown}");
    // An activity's code, and behind it the card that it is for.
    terminal.press("stempel:5a0967f9\r");
    terminal.wait_for("Activiteit gescand");
    terminal.press("0900000067513\r");
    terminal.wait_for("26 punten");
    terminal.quit();
    let taps = desk.client.history().await.unwrap();
    assert_eq!(taps.len(), 3, "each code once: {taps:?}");
}

/// A desk and a kiosk on one machine. One of them is unplugged: the status line says so, the other goes
/// on, and plugging it in again needs no restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_unplugged_is_said_and_the_other_goes_on_and_it_comes_back_by_itself() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk_with_sample(world.path()).await;
    let (one, other) = (Pn532Emulator::start().unwrap(), Pn532Emulator::start().unwrap());
    let folder = desk.folder.display().to_string();
    let port = world.path().join("ttyReader");
    let readers = format!("{},{}", one.plugged_in_at(&port).unwrap(), other.connstring());
    let settings = format!("readers = [\"{}\"]\n", readers.replace(',', "\", \""));
    std::fs::write(desk.folder.join("readers.toml"), settings).unwrap();
    let mut terminal = Terminal::open(&["--folder", &folder, "--language", "nl"]);
    terminal.wait_for("lezer ✔");
    let begun = std::time::Instant::now();
    std::fs::remove_file(&port).unwrap();
    drop(one);
    terminal.wait_for("lezer ✖");
    println!("on the status line after {} ms", begun.elapsed().as_millis());
    other.present(&[0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80]);
    let shown = terminal.wait_for("WELKOM. Ingecheckt.");
    assert!(shown.contains("lezer ✖"), "{shown}");
    other.remove();
    let again = Pn532Emulator::start().unwrap();
    again.plugged_in_at(&port).unwrap();
    terminal.wait_for("lezer ✔");
    again.present(&[0x04, 0xb0, 0x04, 0x12, 0xf1, 0x52, 0x84]);
    terminal.wait_for("Deze kaart is geblokkeerd");
    terminal.quit();
}

/// For whoever hears the screen instead of seeing it: cards, numbers and taking back, a line for each.
#[tokio::test(flavor = "multi_thread")]
async fn the_desk_works_as_lines_too() {
    let world = tempfile::tempdir().unwrap();
    let (_hub, desk) = desk_with_sample(world.path()).await;
    let folder = desk.folder.display().to_string();
    let reader = Pn532Emulator::start().unwrap();
    let connection = reader.connstring();
    let arguments = ["--folder", &folder, "--reader", &connection, "--language", "nl", "--plain"];
    let mut terminal = Terminal::open(&arguments);
    terminal.wait_for("lezer ✔");
    reader.present(&[0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80]);
    terminal.wait_for("✔ OK WELKOM. Ingecheckt.");
    terminal.press("u\r");
    // The row may be said before the answer comes: until then nothing was said last, and it is asked.
    if terminal.wait_for("ngedaan ").contains("Typ j") {
        terminal.press("j\r");
    }
    terminal.wait_for("✔ OK Ongedaan gemaakt.");
    terminal.press("0900000067513\r");
    terminal.wait_for("26 punten");
    terminal.press("0900000067514\r");
    terminal.wait_for("↻ OPNIEUW Dit nummer klopt niet.");
    reader.present(&[0x08, 1, 2, 3]);
    terminal.wait_for("↻ Deze kaart geeft telkens een ander nummer");
    drop(reader);
    terminal.wait_for("lezer ✖");
    terminal.press("q\r");
    assert!(terminal.child.wait().unwrap().success());
    let taps = desk.client.history().await.unwrap();
    assert_eq!(taps.len(), 3, "two taps, one taken back: {taps:?}");
}

/// What came to nothing is no tap: whoever is asked to show the card again does so at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_to_be_shown_again_is_taken_at_once() {
    let world = tempfile::tempdir().unwrap();
    let card = [0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80];
    let other = [0x04, 0xb0, 0x04, 0x12, 0xf1, 0x52, 0x84];
    let pass = |n, chip: &str, status| {
        serde_json::json!({
            "programme": "UITPAS", "uitpasNumber": pass_number(n), "chipNumber": chip,
            "cardStatus": status, "memberships": [{ "cardSystem": 1 }], "points": 0,
        })
    };
    // A check-in needs a card that proves itself, and these cannot.
    let catalogue = serde_json::json!({
        "venues": [{ "id": VENUE, "name": "Museum De Reede" }],
        "policy": { "proofs": { "checkIn": "signed" } },
        "activities": [{ "eventId": ACTIVITY, "title": "Festiviteit", "venue": VENUE, "checkinPoints": 1 }],
        "passes": [pass(0, "04784CDAEE3880", "ACTIVE"), pass(1, "04B00412F15284", "BLOCKED")],
    });
    let hub = Hub::start(world.path(), &catalogue.to_string());
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let reader = Pn532Emulator::start().unwrap();
    let mut terminal = Terminal::of_desk(&desk, &reader.connstring());
    terminal.wait_for("lezer ✔");
    reader.present(&card);
    terminal.wait_for("Hiervoor is de kaart zelf nodig");
    // Another one shows that the reader has seen it go. All that takes less than the three seconds in which
    // a card that comes back is the same tap.
    reader.present(&other);
    terminal.wait_for("Deze kaart is geblokkeerd");
    reader.present(&card);
    terminal.wait_for("Hiervoor is de kaart zelf nodig");
    terminal.quit();
}
