//! Cuts the stream of keys into what belongs together.
//!
//! A scanner types each character 1 to 100 ms after the one before; so does a person who types fast, and a paste where
//! the terminal does not mark it. Therefore no letter is told from its speed alone: **a key is a command only where it
//! stands alone**, with quiet before it and after it ([`Settings::quiet`]). What comes in quick succession is input, or
//! nothing. Nothing a scanner sends can be a command that way, at whatever speed below the quiet, with or without Enter.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::settings::Settings;

/// Milliseconds from one character to the next, on average, below which no person types more than a few characters.
const PACE: i64 = 70;

/// Keys of one piece of input that are kept at the most: an address in a QR code has some 100.
const MOST_HELD: usize = 512;

/// Stands in a line for a key that is no character and no control character: a function key, a letter with Alt.
const NO_CHARACTER: char = '\u{1a}';

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressed {
    /// The key.
    pub key: KeyEvent,
    /// When, in milliseconds of the clock that never jumps ([`clock::steady`](crate::clock::steady)).
    pub at: i64,
    /// What the screen showed then ([`Model::screen`](crate::app::Model::screen)).
    pub screen: u64,
}

/// The control character that a key is. In raw mode a terminal gives each as a letter or a digit with Ctrl.
pub fn control_character(key: &KeyEvent) -> Option<char> {
    let KeyCode::Char(c) = key.code else { return None };
    match c {
        _ if key.modifiers != KeyModifiers::CONTROL => None,
        'a'..='z' => Some(char::from(c as u8 - b'a' + 1)),
        '4'..='7' => Some(char::from(c as u8 - b'4' + 0x1c)),
        ' ' => Some('\0'),
        _ => None,
    }
}

/// A text as the keys that a terminal makes of it, from a moment on, with so many milliseconds between two: the opposite
/// of [`control_character`], for what comes from a file and for tests.
pub fn keys_of(text: &str, at: i64, gap: i64) -> Vec<Pressed> {
    let control = |c: u8| KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL);
    let key = |c: char| match c {
        '\r' => KeyCode::Enter.into(),
        '\t' => KeyCode::Tab.into(),
        '\u{1b}' => KeyCode::Esc.into(),
        '\0' => control(b' '),
        '\u{1}'..='\u{1a}' => control(c as u8 + b'a' - 1),
        '\u{1c}'..='\u{1f}' => control(c as u8 + b'4' - 0x1c),
        c => KeyCode::Char(c).into(),
    };
    let pressed =
        |(c, place): (char, i64)| Pressed { key: key(c), at: at + place * gap, screen: 0 };
    text.chars().zip(0..).map(pressed).collect()
}

/// A piece of input.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// A key that stood alone: a person pressed it.
    Key(Pressed),
    /// A line with its end: Enter, Tab, line feed, or ETX.
    Line {
        /// What was typed. Control characters stand in it as they are.
        text: String,
        /// At the speed of a person, so that it may go on with what stands in a dialog.
        by_hand: bool,
    },
    /// Characters at the speed of a person, and then quiet.
    Text(String),
    /// Characters in quick succession, or with control characters, and then no end.
    Unfinished(String),
}

/// Shows no text: it may be somebody's number.
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(pressed) => f.debug_tuple("Key").field(pressed).finish(),
            Self::Line { text, by_hand } => write!(f, "Line({} characters, {by_hand})", text.len()),
            Self::Text(text) => write!(f, "Text({} characters)", text.len()),
            Self::Unfinished(text) => write!(f, "Unfinished({} characters)", text.len()),
        }
    }
}

/// What a key is to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stroke {
    /// A character.
    Character(char),
    /// A control character, or a key that is none: no part of any number.
    Control(char),
    /// Ends a line.
    End,
    /// Moves a choice or the cursor: no scanner sends it.
    Move,
}

const STX: char = '\u{2}';
const ETX: char = '\u{3}';

impl Stroke {
    fn of(key: &KeyEvent) -> Self {
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        match key.code {
            KeyCode::Enter => Self::End,
            KeyCode::Tab if plain => Self::End,
            KeyCode::Char(c) if plain => Self::Character(c),
            KeyCode::Char(_) => match control_character(key) {
                Some('\r' | '\n') => Self::End,
                Some(c) => Self::Control(c),
                None => Self::Control(NO_CHARACTER),
            },
            KeyCode::F(_) | KeyCode::Tab => Self::Control(NO_CHARACTER),
            _ => Self::Move,
        }
    }

    fn is_character(self) -> bool {
        matches!(self, Self::Character(_))
    }
}

/// Holds keys until it shows what they belong to. Time is an argument.
#[derive(Debug)]
pub struct Wedge {
    settings: Settings,
    held: Vec<(Stroke, Pressed)>,
    /// Whether it was quiet before the first key that is held.
    alone: bool,
    /// Whether what is held gives up what was typed right before it.
    given_up: bool,
    /// When a key came last that a scanner can send, too.
    last: Option<i64>,
    /// Whether what is held so far was given to [`Wedge::typing`].
    seen: bool,
}

impl Wedge {
    /// Nothing typed yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, held: Vec::new(), alone: true, given_up: false, last: None, seen: false }
    }

    /// A key: what is now known of it and of those before it.
    pub fn key(&mut self, pressed: Pressed) -> Vec<Input> {
        let mut out = self.expire(pressed.at);
        let stroke = Stroke::of(&pressed.key);
        match stroke {
            Stroke::Move => {
                out.extend(self.close());
                out.push(Input::Key(pressed));
                return out;
            }
            Stroke::End if self.has_text() => out.push(self.line()),
            // Framing, or a person who thought better of it.
            Stroke::Control(ETX) if self.has_text() => {
                let framed = self.held.first().is_some_and(|(it, _)| *it == Stroke::Control(STX));
                if framed || self.fast() {
                    out.push(self.line());
                } else {
                    // A letter right before it did not stand alone.
                    self.alone = false;
                    out.extend(self.close());
                    self.hold(stroke, pressed, true);
                    self.given_up = true;
                }
            }
            // A scanner that ends its lines twice (CR and LF): the second end is nothing.
            Stroke::End if self.held.is_empty() && !self.quiet_before(pressed.at) => {}
            Stroke::Character(_) | Stroke::Control(_) | Stroke::End => {
                let alone = self.quiet_before(pressed.at);
                self.hold(stroke, pressed, alone);
            }
        }
        self.last = Some(pressed.at);
        out
    }

    /// Text was pasted: what was held before has no end, and no key right after it stands alone.
    pub fn paste(&mut self, at: i64) -> Vec<Input> {
        let mut out = self.expire(at);
        self.alone = false;
        out.extend(self.close());
        self.last = Some(at);
        out
    }

    /// Returns the held keys after the quiet time. To be called when [`Wedge::due`] has come.
    pub fn expire(&mut self, now: i64) -> Vec<Input> {
        match self.held.last() {
            Some((_, last)) if now - last.at > self.settings.quiet() => self.close(),
            Some((_, last)) => {
                self.seen |= now - last.at >= PACE;
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// When to call [`Wedge::expire`], where anything is held.
    pub fn due(&self) -> Option<i64> {
        let (_, last) = self.held.last()?;
        Some(last.at + if self.seen { self.settings.quiet() + 1 } else { PACE })
    }

    /// What a person is typing, to be shown before it is complete. A scanner's codes are never shown.
    pub fn typing(&self) -> Option<String> {
        let by_hand = self.seen && !self.fast();
        let text: Option<String> = self.held.iter().map(|(stroke, _)| character(*stroke)).collect();
        text.filter(|text| by_hand && !text.is_empty())
    }

    fn quiet_before(&self, at: i64) -> bool {
        self.last.is_none_or(|last| at - last > self.settings.quiet())
    }

    fn hold(&mut self, stroke: Stroke, pressed: Pressed, alone: bool) {
        if self.held.is_empty() {
            (self.alone, self.given_up, self.seen) = (alone, false, false);
        }
        // What is longer is no code of anybody; its end is kept, so that its speed is known.
        if self.held.len() == MOST_HELD {
            self.held.pop();
        }
        self.held.push((stroke, pressed));
    }

    fn has_text(&self) -> bool {
        self.held.iter().any(|(stroke, _)| stroke.is_character())
    }

    /// Whether no person types what is held so fast.
    fn fast(&self) -> bool {
        let (Some((_, first)), Some((_, last))) = (self.held.first(), self.held.last()) else {
            return false;
        };
        let gaps = i64::try_from(self.held.len()).unwrap_or(i64::MAX) - 1;
        self.held.len() >= self.settings.shortest.max(2) && last.at - first.at <= PACE * gaps
    }

    fn text(&self) -> String {
        let characters = self.held.iter().map(|(stroke, _)| match stroke {
            Stroke::Character(c) | Stroke::Control(c) => *c,
            Stroke::End | Stroke::Move => NO_CHARACTER,
        });
        characters.collect()
    }

    /// What is held, with its end.
    fn line(&mut self) -> Input {
        let by_hand = !self.fast();
        let text = self.text();
        self.held.clear();
        Input::Line { text, by_hand }
    }

    /// What is held, without an end.
    fn close(&mut self) -> Vec<Input> {
        let (text, fast, alone) = (self.text(), self.fast(), self.alone);
        let held = std::mem::take(&mut self.held);
        let Some((first, pressed)) = held.first().copied() else { return Vec::new() };
        let last = held.last().map_or(pressed, |(_, last)| *last);
        // A key that is held down repeats itself: that is one press.
        let one = held.len() == 1
            || (!first.is_character() && held.iter().all(|(_, it)| it.key == pressed.key));
        let characters = held.iter().all(|(stroke, _)| stroke.is_character());
        if one && alone && !self.given_up && first == Stroke::Control(ETX) && held.len() > 1 {
            // Whoever presses Ctrl-C again at once has answered the question already.
            return vec![Input::Key(pressed), Input::Key(last)];
        }
        if one && alone {
            return vec![Input::Key(pressed)];
        }
        if held.iter().all(|(stroke, _)| *stroke == Stroke::End)
            || (held.len() == 1 && !first.is_character())
        {
            return Vec::new();
        }
        if characters && !fast {
            return vec![Input::Text(text)];
        }
        vec![Input::Unfinished(text)]
    }
}

fn character(stroke: Stroke) -> Option<char> {
    match stroke {
        Stroke::Character(c) => Some(c),
        Stroke::Control(_) | Stroke::End | Stroke::Move => None,
    }
}

#[cfg(test)]
mod tests;
