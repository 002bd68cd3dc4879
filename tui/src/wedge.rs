//! Barcode and QR scanners that type like a keyboard: told from people by how fast they type.
//!
//! A scanner types a code within some tens of milliseconds and ends it with Enter or Tab; a person
//! takes far longer between two keys. So every key that could begin a code is held back for
//! [`Settings::gap`]; when no other follows in that time it was a person's, and is given on. A scan is
//! therefore never a key in a dialog, and nothing that is typed is lost or reordered.

use crdt_model::ids::Identification;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde::Deserialize;

/// How a scanner is told from a person, and what its codes mean.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Longest time between two characters of one scan, in milliseconds. Scanners need 1 to 20; a fast
    /// typist some 80.
    pub gap: i64,
    /// Characters of a scan at the least.
    pub shortest: usize,
    /// What the scanner is set to send before each code. It is taken off.
    pub prefix: String,
    /// What it is set to send behind each code, before Enter or Tab. It is taken off.
    pub suffix: String,
    /// External cards by how their codes look.
    pub external_cards: Vec<ExternalCode>,
}

/// How the code of an external card looks: a beginning, and so many characters in all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExternalCode {
    /// The card's type, as the venue's policy names it.
    pub card_type: String,
    /// How the code begins; it is part of the number.
    #[serde(default)]
    pub begins: String,
    /// Its lengths.
    pub lengths: Vec<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gap: 35,
            shortest: 4,
            prefix: String::new(),
            suffix: String::new(),
            external_cards: Vec::new(),
        }
    }
}

/// What a scan is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// A card, as `POST /v1/taps` takes it.
    Card(String),
    /// Something else: an activity's check-in code, as far as the desk knows it.
    Code(String),
}

impl Settings {
    /// What a scanned text is. Its prefix and suffix are off.
    pub fn meaning(&self, text: &str) -> Scanned {
        let text = text.trim();
        let looks = |code: &&ExternalCode| {
            text.starts_with(&code.begins)
                && code.lengths.contains(&text.chars().count())
                && text.chars().all(|c| c.is_ascii_alphanumeric())
        };
        if let Some(code) = self.external_cards.iter().find(looks) {
            return Scanned::Card(format!("{}:{text}", code.card_type));
        }
        // No scanner says what type an external card is: a text with a colon is an activity's code.
        match text.parse::<Identification>() {
            Err(_) if looks_like_a_pass(text) => Scanned::Card(text.to_owned()),
            Ok(Identification::External(_)) | Err(_) => Scanned::Code(text.to_owned()),
            Ok(_) => Scanned::Card(text.to_owned()),
        }
    }

    fn stripped<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_prefix(&self.prefix[..])?.strip_suffix(&self.suffix[..])
    }

    /// The code in a text that carries what only the scanner sends; nothing where it does not, or the scanner sends
    /// nothing of its own.
    pub fn marked<'a>(&self, text: &'a str) -> Option<&'a str> {
        let marks = !(self.prefix.is_empty() && self.suffix.is_empty());
        self.stripped(text).filter(|_| marks)
    }
}

/// Whether whoever scanned this meant a pass, though no pass has this number: it was misread, or is the barcode of
/// something else, such as a book. As a check-in code it would turn the next visitor away.
fn looks_like_a_pass(text: &str) -> bool {
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    (text.len() == 13 && digits(text)) || text.strip_prefix("MPM").is_some_and(digits)
}

/// What comes out of the keys that went in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A person pressed this key.
    Key(KeyEvent),
    /// A scanner typed this.
    Scan(String),
}

/// Holds keys back until it shows whose they are. Time is an argument, in milliseconds.
#[derive(Debug)]
pub struct Wedge {
    settings: Settings,
    held: Vec<(KeyEvent, i64)>,
}

impl Wedge {
    /// Nothing typed yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, held: Vec::new() }
    }

    /// A key at `now`: what is now known of it and of those before it.
    pub fn key(&mut self, key: KeyEvent, now: i64) -> Vec<Input> {
        let mut out = self.expire(now);
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        match key.code {
            KeyCode::Char(_) if plain => self.held.push((key, now)),
            KeyCode::Enter | KeyCode::Tab if plain => {
                if let Some(text) = self.scan() {
                    self.held.clear();
                    out.push(Input::Scan(text));
                } else {
                    out.extend(self.release());
                    out.push(Input::Key(key));
                }
            }
            _ => {
                out.extend(self.release());
                out.push(Input::Key(key));
            }
        }
        out
    }

    /// Gives on what nobody followed in time. To be called when [`Wedge::due`] has come.
    pub fn expire(&mut self, now: i64) -> Vec<Input> {
        match self.held.last() {
            Some((_, last)) if now - last > self.settings.gap => self.release(),
            _ => Vec::new(),
        }
    }

    /// When to call [`Wedge::expire`], where anything is held.
    pub fn due(&self) -> Option<i64> {
        self.held.last().map(|(_, last)| last + self.settings.gap + 1)
    }

    fn scan(&self) -> Option<String> {
        let text: String = self
            .held
            .iter()
            .filter_map(|(key, _)| match key.code {
                KeyCode::Char(c) => Some(c),
                _ => None,
            })
            .collect();
        let code = self.settings.stripped(&text)?;
        (code.chars().count() >= self.settings.shortest).then(|| code.to_owned())
    }

    fn release(&mut self) -> Vec<Input> {
        self.held.drain(..).map(|(key, _)| Input::Key(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn typed(text: &str, gap: i64, wedge: &mut Wedge, from: i64) -> Vec<Input> {
        let mut now = from;
        let mut out = Vec::new();
        for c in text.chars() {
            now += gap;
            let code = if c == '\r' { KeyCode::Enter } else { KeyCode::Char(c) };
            out.extend(wedge.key(key(code), now));
        }
        out.extend(wedge.expire(now + 1000));
        out
    }

    fn keys(text: &str) -> Vec<Input> {
        let code = |c| if c == '\r' { KeyCode::Enter } else { KeyCode::Char(c) };
        text.chars().map(|c| Input::Key(key(code(c)))).collect()
    }

    #[test]
    fn a_burst_with_its_end_is_a_scan_and_what_a_person_types_are_keys() {
        let mut wedge = Wedge::new(Settings::default());
        let number = "0900000095902\r";
        assert_eq!(typed(number, 5, &mut wedge, 0), [Input::Scan("0900000095902".to_owned())]);
        assert_eq!(typed(number, 90, &mut wedge, 5000), keys(number));
        assert_eq!(typed("u", 90, &mut wedge, 9000), keys("u"));
        assert_eq!(typed("12\r", 5, &mut wedge, 9900), keys("12\r"), "too short for a code");
        assert_eq!(wedge.due(), None);
    }

    #[test]
    fn a_burst_that_breaks_off_is_given_on_and_nothing_is_held_for_long() {
        let mut wedge = Wedge::new(Settings::default());
        assert_eq!(wedge.key(key(KeyCode::Char('z')), 100), []);
        assert_eq!(wedge.due(), Some(136));
        assert_eq!(wedge.expire(135), []);
        assert_eq!(wedge.expire(136), keys("z"));
        assert_eq!(typed("09000000", 5, &mut wedge, 200), keys("09000000"));
        // A function key ends what was begun.
        wedge.key(key(KeyCode::Char('0')), 5000);
        let out = wedge.key(key(KeyCode::F(2)), 5001);
        assert_eq!(out, [keys("0"), vec![Input::Key(key(KeyCode::F(2)))]].concat());
    }

    #[test]
    fn prefix_and_suffix_are_taken_off_and_a_code_without_them_is_no_scan() {
        let settings =
            Settings { prefix: "~".to_owned(), suffix: "$".to_owned(), ..Settings::default() };
        let mut wedge = Wedge::new(settings);
        let scan = typed("~MPM000112233$\r", 5, &mut wedge, 0);
        assert_eq!(scan, [Input::Scan("MPM000112233".to_owned())]);
        assert_eq!(typed("MPM000112233\r", 5, &mut wedge, 5000), keys("MPM000112233\r"));
    }

    #[test]
    fn a_code_is_a_card_or_something_that_the_desk_must_know() {
        let settings = Settings {
            external_cards: vec![ExternalCode {
                card_type: "museumkaart".to_owned(),
                begins: "NL".to_owned(),
                lengths: vec![12],
            }],
            ..Settings::default()
        };
        let card = |text: &str| Scanned::Card(text.to_owned());
        assert_eq!(settings.meaning("0900000095902"), card("0900000095902"));
        assert_eq!(settings.meaning(" MPM000112233 "), card("MPM000112233"));
        assert_eq!(settings.meaning("NL1234567890"), card("museumkaart:NL1234567890"));
        let code = "https://www.uitpas.be/checkin/5a0967f9";
        assert_eq!(settings.meaning(code), Scanned::Code(code.to_owned()));
        for code in ["NL12", "stempel:5a0967f9"] {
            assert_eq!(settings.meaning(code), Scanned::Code(code.to_owned()));
        }
        // A digit misread, a book, a number cut short.
        for misread in ["0900000095903", "9789041712345", "MPM00011223"] {
            assert_eq!(settings.meaning(misread), card(misread), "and no code for the next card");
        }
    }

    proptest! {
        /// Whatever is typed at whatever speed: every key comes out once and in order, as itself or
        /// within a scan.
        #[test]
        fn nothing_that_is_typed_is_lost_doubled_or_reordered(
            strokes in prop::collection::vec((prop::char::range('a', 'f'), 1i64..60, 0u8..12), 0..80),
        ) {
            let mut wedge = Wedge::new(Settings::default());
            let (mut now, mut into, mut out) = (0, String::new(), Vec::new());
            for (c, gap, end) in strokes {
                now += gap;
                let code = if end == 0 { KeyCode::Enter } else { KeyCode::Char(c) };
                into.push(if end == 0 { '\r' } else { c });
                out.extend(wedge.key(key(code), now));
                prop_assert!(wedge.held.iter().all(|(_, at)| now - at <= 60 * 80));
            }
            out.extend(wedge.expire(now + 100));
            let text: String = out
                .iter()
                .map(|input| match input {
                    Input::Scan(text) => format!("{text}\r"),
                    Input::Key(key) => match key.code {
                        KeyCode::Char(c) => c.to_string(),
                        _ => "\r".to_owned(),
                    },
                })
                .collect();
            prop_assert_eq!(text, into);
        }
    }
}
