//! Scanners' habits, and what the desk makes of each. `docs/readers.md` has this table; `UPDATE_DOCS=1` writes it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use tui::i18n::{Language, Texts};
use tui::scan::wedge::{Input, Pressed, Wedge, keys_of};
use tui::scan::{Arrived, Known, Layout, Made, NotRead, Reading, Settings, Source, read};

const NUMBER: &str = "0900000067513";
const CODES: [&str; 3] = ["stempel:5a0967f9", "Zaal-A", "zaal-a"];
const BEGIN: &str = "<!-- scanners: UPDATE_DOCS=1 cargo nextest run -p tui scanners -->\n";
const END: &str = "<!-- /scanners -->\n";

/// What the desk makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Makes {
    /// The card taps.
    Tap,
    /// The activity's code is for the next card.
    Code,
    /// It says that it was not read, and why.
    NotRead(NotRead),
    /// It says that there is no Enter.
    NoEnter,
}

/// A habit: its name, what is typed for it, milliseconds between two characters, what the desk makes of it.
type Habit = (&'static str, String, i64, Makes);

fn habits() -> Vec<Habit> {
    let plain = |end: &str| format!("{NUMBER}{end}");
    let moved = |desk: Layout, scanner| desk.of_scanner(scanner, NUMBER).unwrap() + "\r";
    let not_read = Makes::NotRead;
    vec![
        ("Enter after the code", plain("\r"), 4, Makes::Tap),
        ("Tab after the code", plain("\t"), 4, Makes::Tap),
        ("line feed after the code", plain("\n"), 4, Makes::Tap),
        ("Enter and line feed", plain("\r\n"), 4, Makes::Tap),
        ("nothing after the code", plain(""), 4, Makes::NoEnter),
        ("nothing after the code, slow", plain(""), 50, Makes::NoEnter),
        ("STX before, ETX after", format!("\u{2}{NUMBER}\u{3}"), 4, Makes::Tap),
        ("STX before, ETX and Enter after", format!("\u{2}{NUMBER}\u{3}\r"), 4, Makes::Tap),
        ("20 ms between characters", plain("\r"), 20, Makes::Tap),
        ("50 ms between characters", plain("\r"), 50, Makes::Tap),
        ("100 ms between characters", plain("\r"), 100, Makes::Tap),
        ("AIM prefix, Code 128", format!("]C1{NUMBER}\r"), 4, Makes::Tap),
        ("AIM prefix, EAN", format!("]E0{NUMBER}\r"), 4, Makes::Tap),
        ("AIM prefix, QR code", format!("]Q3{}\r", CODES[0]), 4, Makes::Code),
        ("code ID of one letter before", format!("A{NUMBER}\r"), 4, not_read(NotRead::Prefix)),
        (
            "set to QWERTY, computer AZERTY (Belgium)",
            moved(Layout::Belgian, Layout::Qwerty),
            4,
            Makes::Tap,
        ),
        (
            "set to QWERTY, computer AZERTY (France)",
            moved(Layout::French, Layout::Qwerty),
            4,
            Makes::Tap,
        ),
        ("set to AZERTY, computer QWERTY", moved(Layout::Qwerty, Layout::Belgian), 4, Makes::Tap),
        (
            "set to QWERTY, computer AZERTY, a digit lost",
            "àçààààà§è(&\"\r".to_owned(),
            4,
            not_read(NotRead::Layout),
        ),
        ("leading zero swallowed", "900000067513\r".to_owned(), 4, Makes::Tap),
        ("another digit lost", "090000009590\r".to_owned(), 4, not_read(NotRead::DigitsMissing)),
        ("a digit misread", "0900000067514\r".to_owned(), 4, not_read(NotRead::Misread)),
        (
            "the last digit twice",
            "09000000675133\r".to_owned(),
            4,
            not_read(NotRead::TooManyDigits),
        ),
        ("another digit twice", "09000000667513\r".to_owned(), 4, not_read(NotRead::TooManyDigits)),
        ("cut off", "09000000\r".to_owned(), 4, not_read(NotRead::DigitsMissing)),
        ("a product's EAN-8", "96385074\r".to_owned(), 4, not_read(NotRead::DigitsMissing)),
        (
            "two codes run together",
            format!("{NUMBER}0900000095902\r"),
            4,
            not_read(NotRead::TwoNumbers),
        ),
        ("case changed, one code fits", CODES[0].to_uppercase() + "\r", 4, Makes::Code),
        ("case changed, two codes fit", "ZAAL-A\r".to_owned(), 4, not_read(NotRead::CaseChanged)),
        (
            "GS within (GS1)",
            "0900000\u{1d}067513\r".to_owned(),
            4,
            not_read(NotRead::ControlCharacters),
        ),
        ("another desk's code", "STAFF-0042\r".to_owned(), 4, not_read(NotRead::UnknownCode)),
        ("a chip number in hexadecimal", "04784CDAEE3880\r".to_owned(), 4, Makes::Tap),
    ]
}

fn makes(keys: &[Pressed], known: Known<'_>) -> Makes {
    let mut wedge = Wedge::new(known.settings.clone());
    let mut inputs: Vec<Input> = keys.iter().flat_map(|key| wedge.key(*key)).collect();
    inputs.extend(wedge.expire(i64::MAX));
    assert_eq!(inputs.len(), 1, "{inputs:?}");
    match &inputs[0] {
        Input::Line { text, .. } => match read(text, Source::Scanned, known).reading {
            Reading::Card(_) => Makes::Tap,
            Reading::Code(_) => Makes::Code,
            Reading::NotRead(why) => Makes::NotRead(why),
            Reading::Nothing => panic!("{text:?} is nothing"),
        },
        Input::Unfinished(_) => Makes::NoEnter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_digit_that_comes_twice_at_any_place_makes_no_card() {
    let (settings, codes) = (Settings::default(), CODES.map(str::to_owned));
    let known = Known { settings: &settings, codes: Some(&codes) };
    for place in 0..NUMBER.len() {
        let (before, after) = NUMBER.split_at(place + 1);
        let sends = format!("{before}{}{after}\r", &before[place..]);
        let made = makes(&keys_of(&sends, 0, 4), known);
        assert_eq!(made, Makes::NotRead(NotRead::TooManyDigits), "{sends:?}");
    }
}

#[test]
fn docs_readers_md_lists_what_the_desk_makes_of_each_habit_of_scanners() {
    let texts = Texts::new(Language::En);
    let (settings, codes) = (Settings::default(), CODES.map(str::to_owned));
    let known = Known { settings: &settings, codes: Some(&codes) };
    let mut table = "| habit | what arrives | ms | what the desk makes of it | what to set |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (habit, sends, gap, expected) in habits() {
        let keys = keys_of(&sends, 0, gap);
        assert_eq!(makes(&keys, known), expected, "{habit}");
        let arrived = Arrived::of(&keys, known);
        let read = arrived.lines.iter().filter_map(Made::line);
        let put_right: Vec<_> =
            read.flat_map(|it| &it.put_right).map(|it| texts.put_right(*it)).collect();
        let mut made = match expected {
            Makes::Tap => "a tap".to_owned(),
            Makes::Code => "the activity's code, for the next card".to_owned(),
            Makes::NotRead(why) => texts.not_read(why),
            Makes::NoEnter => texts.notice(&tui::i18n::Notice::NoEnter),
        };
        if !put_right.is_empty() {
            made = format!("{made}; {}", put_right.join("; "));
        }
        let advice: Vec<_> =
            arrived.advice().into_iter().map(|it| texts.advice(it, &settings)).collect();
        // What is shown to people hides the middle of a number; here it is a number of the sample data.
        let shown: String = sends.chars().map(visible).collect();
        let shown = shown.replace('|', "\\|");
        writeln!(table, "| {habit} | `{shown}` | {gap} | {made} | {} |", advice.join(" ")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/readers.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let (before, rest) =
        written.split_once(BEGIN).expect("docs/readers.md has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    let wanted = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), wanted, "run it with UPDATE_DOCS=1");
}

/// Control characters by their signs, so that they show.
fn visible(c: char) -> char {
    match c {
        '\r' => '⏎',
        '\t' => '⇥',
        c if c.is_control() => char::from_u32(0x2400 + u32::from(c)).unwrap(),
        c => c,
    }
}
