use proptest::prelude::*;

use super::*;

fn press(c: char, at: i64) -> Pressed {
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    let key = match c {
        '\r' => KeyCode::Enter.into(),
        '\n' => control('j'),
        '\t' => KeyCode::Tab.into(),
        '\u{1}'..='\u{1a}' => control(char::from(c as u8 + b'a' - 1)),
        c => KeyCode::Char(c).into(),
    };
    Pressed { key, at, screen: 0 }
}

fn typed(text: &str, gap: i64, wedge: &mut Wedge, from: i64) -> Vec<Input> {
    let mut now = from;
    let mut out = Vec::new();
    for c in text.chars() {
        out.extend(wedge.key(press(c, now)));
        now += gap;
    }
    out.extend(wedge.expire(now + 1000));
    out
}

fn line(text: &str, by_hand: bool) -> Input {
    Input::Line { text: text.to_owned(), by_hand }
}

/// The keys that stood alone, as characters.
fn alone(inputs: &[Input]) -> String {
    let key = |input: &Input| match input {
        Input::Key(pressed) => match pressed.key.code {
            KeyCode::Char(c) => Some(c),
            KeyCode::Enter => Some('\r'),
            _ => None,
        },
        _ => None,
    };
    inputs.iter().filter_map(key).collect()
}

#[test]
fn characters_with_their_end_are_a_line_at_whatever_speed() {
    let mut wedge = Wedge::new(Settings::default());
    for (gap, by_hand) in [(0, false), (4, false), (50, false), (100, true), (200, true)] {
        for end in ['\r', '\n', '\t'] {
            let out = typed(&format!("stempel:quit{end}"), gap, &mut wedge, 100_000 * (gap + 1));
            assert_eq!(out, [line("stempel:quit", by_hand)], "{gap} ms, {end:?}");
            wedge = Wedge::new(Settings::default());
        }
    }
}

#[test]
fn a_key_stands_alone_only_with_quiet_before_it_and_after_it() {
    let mut wedge = Wedge::new(Settings::default());
    assert_eq!(wedge.key(press('u', 1000)), []);
    assert_eq!(wedge.expire(1250), []);
    assert_eq!(wedge.expire(1251), [Input::Key(press('u', 1000))]);
    assert_eq!(typed("uq", 100, &mut wedge, 5000), [Input::Text("uq".to_owned())]);
    assert_eq!(typed("0900\r", 4, &mut wedge, 9000), [line("0900", false)]);
    assert_eq!(
        typed("u", 4, &mut wedge, 9100),
        [Input::Text("u".to_owned())],
        "right behind a scan"
    );
    let function = Pressed { key: KeyCode::F(2).into(), at: 20_000, screen: 0 };
    assert_eq!(wedge.key(function), []);
    let out = typed("0900\r", 4, &mut wedge, 20_010);
    assert_eq!(out, [line("\u{1a}0900", false)], "a scanner whose prefix is a function key");
    assert_eq!(wedge.key(Pressed { at: 30_000, ..function }), []);
    assert_eq!(wedge.expire(31_000), [Input::Key(Pressed { at: 30_000, ..function })]);
    assert_eq!(wedge.key(Pressed { at: 40_000, ..function }), []);
    assert_eq!(wedge.paste(40_100), [], "what is pasted may begin with a key");
}

#[test]
fn a_burst_without_its_end_is_said_and_what_a_person_types_goes_on() {
    let mut wedge = Wedge::new(Settings::default());
    for gap in [0, 4, 50, 65] {
        let burst = typed("0900000095902", gap, &mut wedge, 10_000 * (gap + 1));
        assert_eq!(burst, [Input::Unfinished("0900000095902".to_owned())], "{gap}");
    }
    let mut wedge = Wedge::new(Settings::default());
    assert_eq!(typed("0900", 150, &mut wedge, 100), [Input::Text("0900".to_owned())]);
    assert_eq!(alone(&typed("0900\r", 300, &mut wedge, 10_000)), "0900\r");
    // The line was slow in the middle of a code.
    assert_eq!(typed("0900000", 4, &mut wedge, 20_000), [Input::Unfinished("0900000".to_owned())]);
    assert_eq!(typed("095902\r", 4, &mut wedge, 20_400), [line("095902", false)]);
}

#[test]
fn control_characters_are_framing_and_no_letters() {
    let mut wedge = Wedge::new(Settings::default());
    let framed = typed("\u{2}0900000095902\u{3}\r\n", 4, &mut wedge, 0);
    assert_eq!(framed, [line("\u{2}0900000095902", false)], "and the ends behind it are nothing");
    let both = typed("\u{3}\u{1}", 4, &mut wedge, 9_000);
    assert_eq!(both, [Input::Unfinished("\u{3}\u{1}".to_owned())], "Ctrl-C and Ctrl-A are not CA");
    let twice = typed("\u{3}\u{3}", 120, &mut wedge, 19_000);
    assert_eq!(alone(&twice), "cc", "whoever is in a hurry");
    let given_up = typed("0900\u{3}", 150, &mut wedge, 29_000);
    assert_eq!(given_up.len(), 2, "{given_up:?}");
    assert_eq!(alone(&given_up), "c", "what was typed is no line");
    let given_up = typed("0900\u{3}\u{3}", 150, &mut wedge, 39_000);
    assert_eq!(alone(&given_up), "c", "and that is asked once");
    assert_eq!(alone(&typed("q\u{3}", 150, &mut wedge, 49_000)), "c", "the letter stood not alone");
}

#[test]
fn what_a_person_types_shows_as_it_comes_and_a_scan_never_does() {
    let mut wedge = Wedge::new(Settings::default());
    wedge.key(press('0', 1000));
    assert_eq!((wedge.typing(), wedge.due()), (None, Some(1070)));
    wedge.expire(1070);
    assert_eq!((wedge.typing(), wedge.due()), (Some("0".to_owned()), Some(1251)));
    wedge.key(press('9', 1150));
    assert_eq!(wedge.typing(), Some("09".to_owned()));
    let mut wedge = Wedge::new(Settings::default());
    for at in 0..10 {
        wedge.key(press('0', at * 50));
        assert_eq!(wedge.typing(), None);
    }
}

#[test]
fn a_key_that_is_held_down_is_one_press_and_letters_that_repeat_are_none() {
    let mut wedge = Wedge::new(Settings::default());
    let function = |at| Pressed { key: KeyCode::F(2).into(), at, screen: 0 };
    for at in 0..10 {
        assert_eq!(wedge.key(function(at * 30)), []);
    }
    assert_eq!(wedge.expire(1000), [Input::Key(function(0))]);
    assert_eq!(alone(&typed("uuuuuu", 30, &mut wedge, 5000)), "");
}

proptest! {
    /// Whatever is typed: a key stands alone only where the quiet says so, and no character is lost or doubled.
    #[test]
    fn nothing_that_is_typed_is_lost_or_doubled_and_only_what_stood_alone_is_a_key(
        strokes in prop::collection::vec((prop::char::range('a', 'f'), 1i64..400, 0u8..12), 0..80),
    ) {
        let mut wedge = Wedge::new(Settings { gap: 250, ..Settings::default() });
        let (mut now, mut into, mut out, mut times) = (0, String::new(), Vec::new(), Vec::new());
        for (c, gap, end) in strokes {
            now += gap;
            let c = if end == 0 { '\r' } else { c };
            if c != '\r' {
                into.push(c);
            }
            times.push((now, c == '\r'));
            out.extend(wedge.key(press(c, now)));
        }
        out.extend(wedge.expire(now + 1000));
        let mut came = String::new();
        for input in &out {
            match input {
                Input::Key(pressed) => {
                    let near: Vec<_> = times.iter().filter(|(at, _)| (*at - pressed.at).abs() <= 250).collect();
                    // Enter that is held down repeats itself.
                    prop_assert!(near.len() == 1 || near.iter().all(|(_, end)| *end), "at {}", pressed.at);
                    if let KeyCode::Char(c) = pressed.key.code { came.push(c); }
                }
                Input::Line { text, .. } | Input::Unfinished(text) | Input::Text(text) => came.push_str(text),
            }
        }
        let letters: String = came.chars().filter(char::is_ascii_lowercase).collect();
        prop_assert_eq!(letters, into);
    }
}
