//! What arrived from a scanner, made visible for whoever sets it: the characters with their gaps, what the desk makes of
//! them, and what to set. Nothing of it is kept, and of a number only its ends show.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyModifiers};

use super::layouts::Layout;
use super::reading::{Known, NotRead, PutRight, Read, Reading, Source, is_chip, read};
use super::wedge::{Input, Pressed, Wedge, control_character};

/// What to set on the scanner or the computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Advice {
    /// Nothing: it is as it should be.
    Nothing,
    /// Send Enter after each code.
    SendEnter,
    /// The same keyboard layout as the computer, which is this one where that is known.
    KeyboardLayout(Option<Layout>),
    /// Nothing before or after the code.
    NoPrefix,
    /// No STX, ETX or other control characters.
    NoControlCharacters,
    /// All digits, also the zero in front: no shortened UPC or EAN codes.
    AllDigits,
    /// Letters as they are; Caps Lock off.
    KeepCase,
    /// Less time between two characters.
    Faster,
    /// Which codes the desk has: this is none of them.
    OtherCode,
    /// The number itself: hold the scanner still, or type it.
    ScanAgain,
}

impl Advice {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Nothing,
        Self::SendEnter,
        Self::KeyboardLayout(None),
        Self::KeyboardLayout(Some(Layout::Qwerty)),
        Self::KeyboardLayout(Some(Layout::Belgian)),
        Self::KeyboardLayout(Some(Layout::French)),
        Self::KeyboardLayout(Some(Layout::German)),
        Self::NoPrefix,
        Self::NoControlCharacters,
        Self::AllDigits,
        Self::KeepCase,
        Self::Faster,
        Self::OtherCode,
        Self::ScanAgain,
    ];
}

/// Milliseconds between two characters, on average, above which a scanner is slow enough to be taken for a person.
const SLOW: i64 = 40;

/// Characters of what is no code of the desk that show at the beginning: a prefix has three.
const SHOWN: usize = 4;

/// What arrived, up to a quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The keys as text: control characters by their signs, the middle of numbers by dots.
    pub visible: String,
    /// How many keys.
    pub keys: usize,
    /// The shortest, average and longest time between two of them, in milliseconds.
    pub gaps: Option<(i64, i64, i64)>,
    /// What the desk makes of it.
    pub lines: Vec<Made>,
}

/// What the desk makes of a piece of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A line, which was read or not.
    Line(Read),
    /// It has no end.
    NoEnd,
}

impl Made {
    /// The line, where it is one.
    pub fn line(&self) -> Option<&Read> {
        match self {
            Self::Line(read) => Some(read),
            Self::NoEnd => None,
        }
    }

    fn of(input: &Input, known: Known<'_>) -> Option<Self> {
        match input {
            Input::Line { text, .. } => Some(Self::Line(read(text, Source::Scanned, known))),
            Input::Text(_) | Input::Unfinished(_) => Some(Self::NoEnd),
            Input::Key(_) => None,
        }
    }

    fn is_code(&self) -> bool {
        self.line().is_some_and(|read| matches!(read.reading, Reading::Code(_)))
    }
}

impl Arrived {
    /// What the desk makes of these keys, which quiet follows.
    pub fn of(keys: &[Pressed], known: Known<'_>) -> Self {
        let mut wedge = Wedge::new(known.settings.clone());
        let mut inputs: Vec<Input> = keys.iter().flat_map(|key| wedge.key(*key)).collect();
        inputs.extend(wedge.expire(i64::MAX));
        let lines: Vec<Made> = inputs.iter().filter_map(|input| Made::of(input, known)).collect();
        let gaps: Vec<i64> = keys.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let average = i64::try_from(gaps.len()).ok().filter(|count| *count > 0);
        let average = average.map(|count| gaps.iter().sum::<i64>() / count);
        let bounds = gaps.iter().min().copied().zip(average).zip(gaps.iter().max().copied());
        Self {
            visible: visible(keys, !lines.iter().all(Made::is_code)),
            keys: keys.len(),
            gaps: bounds.map(|((shortest, average), longest)| (shortest, average, longest)),
            lines,
        }
    }

    /// What to set.
    pub fn advice(&self) -> BTreeSet<Advice> {
        let mut all: BTreeSet<Advice> =
            self.lines.iter().flat_map(|line| advice(line.line())).collect();
        if self.keys > SHOWN && self.gaps.is_some_and(|(_, average, _)| average > SLOW) {
            all.insert(Advice::Faster);
        }
        if all.len() > 1 {
            all.remove(&Advice::Nothing);
        }
        all
    }

    /// Whether a card of this kind was read by its chip: such a scanner is a reader of cards.
    pub fn is_chip(&self) -> bool {
        let read = self.lines.iter().filter_map(Made::line);
        read.into_iter().any(|read| matches!(&read.reading, Reading::Card(card) if is_chip(card)))
    }
}

/// What to set for this line, or for what has no end.
pub fn advice(line: Option<&Read>) -> BTreeSet<Advice> {
    let Some(Read { reading, put_right, layout }) = line else {
        return BTreeSet::from([Advice::SendEnter]);
    };
    let mut all: BTreeSet<Advice> = put_right
        .iter()
        .map(|it| match it {
            PutRight::Framing => Advice::NoControlCharacters,
            PutRight::AimPrefix => Advice::NoPrefix,
            PutRight::Layout => Advice::KeyboardLayout(*layout),
            PutRight::LeadingZero => Advice::AllDigits,
            PutRight::Case => Advice::KeepCase,
        })
        .collect();
    all.insert(match reading {
        Reading::Nothing | Reading::Card(_) | Reading::Code(_) => Advice::Nothing,
        Reading::NotRead(why) => match why {
            NotRead::Layout => Advice::KeyboardLayout(*layout),
            NotRead::Prefix => Advice::NoPrefix,
            NotRead::DigitsMissing => Advice::AllDigits,
            NotRead::TooManyDigits | NotRead::Misread => Advice::ScanAgain,
            NotRead::TwoNumbers => Advice::SendEnter,
            NotRead::ControlCharacters => Advice::NoControlCharacters,
            NotRead::CaseChanged => Advice::KeepCase,
            NotRead::UnknownCode | NotRead::CodesNotKnown => Advice::OtherCode,
        },
    });
    if all.len() > 1 {
        all.remove(&Advice::Nothing);
    }
    all
}

/// Keys as text. Of a text that is no code of the desk, only its ends show: it may be somebody's number.
fn visible(keys: &[Pressed], hidden: bool) -> String {
    let signs: Vec<(String, bool)> = keys.iter().map(sign).collect();
    let characters = signs.iter().filter(|(_, is_character)| *is_character).count();
    let mut place = 0;
    let mut text = String::new();
    for (sign, is_character) in signs {
        place += usize::from(is_character);
        let within = is_character && place > SHOWN && place < characters;
        text.push_str(if hidden && within { "•" } else { &sign });
    }
    text
}

/// The sign of a key, and whether it is a character.
fn sign(pressed: &Pressed) -> (String, bool) {
    let key = pressed.key;
    let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    let control = |c: char| char::from_u32(0x2400 + u32::from(c)).unwrap_or('?').to_string();
    match key.code {
        KeyCode::Enter => ("⏎".to_owned(), false),
        KeyCode::Tab => ("⇥".to_owned(), false),
        KeyCode::Esc => (control('\u{1b}'), false),
        KeyCode::Backspace => ("⌫".to_owned(), false),
        KeyCode::Char(c) if plain => (c.to_string(), true),
        KeyCode::Char(c) => match control_character(&key) {
            Some(c) => (control(c), false),
            None => (format!("<Alt-{c}>"), false),
        },
        KeyCode::F(number) => (format!("<F{number}>"), false),
        other => (format!("<{other}>"), false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::super::wedge::keys_of;
    use super::*;

    fn arrived(text: &str, gap: i64, codes: &[String]) -> Arrived {
        let settings = Settings::default();
        Arrived::of(&keys_of(text, 0, gap), Known { settings: &settings, codes: Some(codes) })
    }

    #[test]
    fn what_arrives_is_visible_but_no_number_is() {
        let framed = arrived("\u{2}]C10900000095902\u{3}\r", 4, &[]);
        assert_eq!(framed.visible, "␂]C10•••••••••••2␃⏎");
        assert_eq!(framed.gaps, Some((4, 4, 4)));
        let expected = [Advice::NoPrefix, Advice::NoControlCharacters];
        assert_eq!(framed.advice(), BTreeSet::from(expected));
        let code = arrived("stempel:5a0967f9\r", 4, &["stempel:5a0967f9".to_owned()]);
        assert_eq!(code.visible, "stempel:5a0967f9⏎");
        assert_eq!(code.advice(), BTreeSet::from([Advice::Nothing]));
    }

    #[test]
    fn a_slow_scanner_and_one_without_enter_are_told_what_to_set() {
        let slow = arrived("0900000095902\r", 50, &[]);
        assert_eq!(slow.advice(), BTreeSet::from([Advice::Faster]));
        let endless = arrived("0900000095902", 4, &[]);
        assert_eq!(endless.advice(), BTreeSet::from([Advice::SendEnter]));
        assert!(arrived("04784CDAEE3880\r", 4, &[]).is_chip());
    }
}
