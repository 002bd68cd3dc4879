use proptest::prelude::*;

use super::super::layouts::typed;
use super::super::settings::ExternalCode;
use super::*;

fn codes() -> Vec<String> {
    ["stempel:5a0967f9", "LGIWNWB", "Zaal-A", "zaal-a", "https://www.uitpas.be/checkin/5a0967f9"]
        .map(str::to_owned)
        .to_vec()
}

fn read_as(line: &str, source: Source) -> (Reading, Vec<PutRight>) {
    let (settings, codes) = (Settings::default(), codes());
    let read = read(line, source, Known { settings: &settings, codes: Some(&codes) });
    (read.reading, read.put_right.into_iter().collect())
}

fn scanned(line: &str) -> (Reading, Vec<PutRight>) {
    read_as(line, Source::Scanned)
}

fn card(number: &str) -> Reading {
    Reading::Card(number.to_owned())
}

fn code(code: &str) -> Reading {
    Reading::Code(code.to_owned())
}

fn not_read(line: &str) -> NotRead {
    match scanned(line).0 {
        Reading::NotRead(why) => why,
        other => panic!("{line} is read: {other:?}"),
    }
}

#[test]
fn numbers_and_the_desks_own_codes_are_read_as_they_are() {
    for number in ["0900000095902", "MPM000112233", "mpm000112233", "04784CDAEE3880", "04784cda"] {
        assert_eq!(scanned(number), (card(number), vec![]));
    }
    for known in codes() {
        assert_eq!(scanned(&known), (code(&known), vec![]));
    }
    assert_eq!(scanned("").0, Reading::Nothing);
    assert_eq!(scanned(" \r\n").0, Reading::Nothing);
}

#[test]
fn what_a_scanner_is_known_to_do_is_undone_where_nothing_else_can_be_meant() {
    let number = "0900000067513";
    for prefix in ["]C1", "]E0", "]Q3", "]d2"] {
        assert_eq!(
            scanned(&format!("{prefix}{number}")),
            (card(number), vec![PutRight::AimPrefix])
        );
    }
    assert_eq!(scanned("]Q3stempel:5a0967f9").0, code("stempel:5a0967f9"));
    assert_eq!(scanned("900000095902"), (card("0900000095902"), vec![PutRight::LeadingZero]));
    assert_eq!(scanned("]E0900000095902").0, card("0900000095902"));
    let framed = format!("\u{2}{number}\u{3}");
    assert_eq!(scanned(&framed), (card(number), vec![PutRight::Framing]));
    for changed in ["STEMPEL:5A0967F9", "lgiwnwb"] {
        assert_eq!(scanned(changed).1, [PutRight::Case], "{changed}");
    }
    assert_eq!(scanned("STEMPEL:5A0967F9").0, code("stempel:5a0967f9"));
}

#[test]
fn each_pair_of_layouts_is_undone() {
    let layouts = [Layout::Qwerty, Layout::Belgian, Layout::French, Layout::German];
    for desk in layouts {
        for scanner in layouts.into_iter().filter(|scanner| *scanner != desk) {
            for text in ["0900000067513", "]C10900000067513", "MPM000112233", "stempel:5a0967f9"] {
                let Some(came) = typed(text, desk, scanner) else { continue };
                let expected = match text {
                    "stempel:5a0967f9" => code(text),
                    _ => card(text.trim_start_matches("]C1")),
                };
                assert_eq!(scanned(&came).0, expected, "{scanner:?} on {desk:?}: {came}");
            }
        }
    }
    let row = "àçàààààà§è(&\"";
    assert_eq!(scanned(row), (card("0900000067513"), vec![PutRight::Layout]));
    assert_eq!(not_read("àçààààà§è(&\""), NotRead::Layout, "and a digit is missing");
}

#[test]
fn what_cannot_be_read_says_why() {
    for (line, why) in [
        ("0900000095903", NotRead::Misread),
        ("9789041712345", NotRead::Misread),
        ("09000000959", NotRead::DigitsMissing),
        ("090000009590", NotRead::DigitsMissing),
        ("900000095903", NotRead::DigitsMissing),
        ("09000000959021", NotRead::TooManyDigits),
        ("09000000667513", NotRead::TooManyDigits),
        ("09000000677513", NotRead::TooManyDigits),
        ("09000000675113", NotRead::TooManyDigits),
        ("09000000", NotRead::DigitsMissing),
        ("96385074", NotRead::DigitsMissing),
        ("MPM0001", NotRead::DigitsMissing),
        ("09000000959020900000067513", NotRead::TwoNumbers),
        ("9000000959020900000067513", NotRead::TwoNumbers),
        ("0900000095902\r\n0900000067513", NotRead::TwoNumbers),
        ("0900000095902stempel:5a0967f9", NotRead::TwoNumbers),
        ("MPM000112233MPM000112234", NotRead::TwoNumbers),
        ("àçààààààçéàçàààààà§è(&\"", NotRead::Layout),
        ("090000\u{1d}0095902", NotRead::ControlCharacters),
        ("A0900000095902", NotRead::Prefix),
        ("ZAAL-A", NotRead::CaseChanged),
        ("STAFF-0042", NotRead::UnknownCode),
        ("DEAD-BEEF", NotRead::UnknownCode),
        ("museumkaart:12345678", NotRead::UnknownCode),
        ("https://example.org/quit", NotRead::UnknownCode),
        ("]C1STAFF-0042", NotRead::UnknownCode),
        ("hello", NotRead::UnknownCode),
    ] {
        assert_eq!(not_read(line), why, "{line:?}");
    }
    let settings = Settings::default();
    let known = Known { settings: &settings, codes: None };
    let unread = read("stempel:5a0967f9", Source::Scanned, known).reading;
    assert_eq!(unread, Reading::NotRead(NotRead::CodesNotKnown));
}

#[test]
fn a_code_that_is_empty_or_short_makes_nothing_else_two_codes() {
    let (settings, codes) = (Settings::default(), ["", "09", "ABC"].map(str::to_owned));
    let known = Known { settings: &settings, codes: Some(&codes) };
    for (line, reading) in [
        ("0900000095902", card("0900000095902")),
        ("museumkaart:12345678", card("museumkaart:12345678")),
        ("0900000095903", Reading::NotRead(NotRead::Misread)),
        ("ABCDEFGHI", Reading::NotRead(NotRead::UnknownCode)),
        ("abc", code("ABC")),
    ] {
        assert_eq!(read(line, Source::Typed, known).reading, reading, "{line}");
    }
}

#[test]
fn what_a_person_types_may_have_blanks_and_the_type_of_a_card() {
    for number in ["090 000 009 5902", "museumkaart:12345678", "04:78:4c:da"] {
        assert_eq!(read_as(number, Source::Typed).0, card(number));
    }
    assert_eq!(read_as("STEMPEL:5A0967F9", Source::Typed).0, code("stempel:5a0967f9"));
    let together = read_as("MPM000112233stempel:5a0967f9", Source::Typed).0;
    assert!(matches!(together, Reading::NotRead(_)), "{together:?}");
    assert_eq!(read_as("kiosk:77", Source::Typed).0, Reading::NotRead(NotRead::UnknownCode));
}

#[test]
fn settings_say_what_the_scanner_sends_beside_the_code_and_what_other_cards_look_like() {
    let settings = Settings {
        prefix: "~".to_owned(),
        suffix: "$".to_owned(),
        external_cards: vec![ExternalCode {
            card_type: "museumkaart".to_owned(),
            begins: "NL".to_owned(),
            lengths: vec![12],
        }],
        ..Settings::default()
    };
    let known = Known { settings: &settings, codes: Some(&[]) };
    let scanned = |line| read(line, Source::Scanned, known).reading;
    assert_eq!(scanned("~0900000095902$"), card("0900000095902"));
    assert_eq!(scanned("]C1~0900000095902$"), card("0900000095902"));
    assert_eq!(scanned("0900000095902"), card("0900000095902"));
    assert_eq!(scanned("NL1234567890"), card("museumkaart:NL1234567890"));
    assert_eq!(scanned("NL12"), Reading::NotRead(NotRead::UnknownCode));
}

proptest! {
    /// Whatever is scanned: a card is one whose number stands in it, or that the settings undo; nothing makes it panic.
    #[test]
    fn nothing_is_read_that_was_not_scanned(line in "\\PC{0,40}|[0-9A-Fa-f:\\-\\x02\\x03\\x1d]{0,40}|[0-9]{8,30}") {
        match scanned(&line).0 {
            Reading::Card(number) => {
                let digits: String = number.chars().filter(char::is_ascii_digit).collect();
                let zero = digits.strip_prefix('0').unwrap_or(&digits);
                let moved = layouts::meant(&line).any(|(_, meant)| meant.contains(zero));
                prop_assert!(line.contains(&number) || line.contains(zero) || moved);
            }
            Reading::Code(code) => prop_assert!(codes().contains(&code)),
            Reading::Nothing | Reading::NotRead(_) => {}
        }
    }

    /// A digit that is read twice, or read where none is, makes no card of a number, and no chip either.
    #[test]
    fn a_number_with_a_digit_more_is_never_a_card(number in 0u64..10_000_000_000, place in 0usize..14, digit in 0u8..10) {
        let number = UitpasNumber::with_check_digit(&format!("09{number:010}")).unwrap().to_string();
        for source in [Source::Scanned, Source::Typed] {
            let mut more = number.clone();
            more.insert(place, char::from(b'0' + digit));
            prop_assert!(matches!(read_as(&more, source).0, Reading::NotRead(_)));
        }
    }

    /// A digit misread or lost never makes another card of a number.
    #[test]
    fn a_number_that_lost_a_digit_is_never_another_card(number in 0u64..10_000_000_000, place in 0usize..13) {
        let number = UitpasNumber::with_check_digit(&format!("09{number:010}")).unwrap().to_string();
        let mut lost = number.clone();
        lost.remove(place);
        match scanned(&lost).0 {
            Reading::Card(card) => prop_assert_eq!(card, number),
            Reading::Code(_) | Reading::Nothing => prop_assert!(false),
            Reading::NotRead(_) => {}
        }
    }
}
