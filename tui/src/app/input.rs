//! What keys, scans and pastes make of the model. Characters in quick succession are input or nothing; a key is a command
//! where it stood alone ([`crate::scan::wedge`]).

use crdt_model::decide::VerdictKind;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Command, Dialog, Model, Question, Shown};
use crate::i18n::Notice;
use crate::keys::{self, Action};
use crate::scan::reading::is_chip;
use crate::scan::wedge::{Input, Pressed};
use crate::scan::{Known, NotRead, Reading, Source, read};

/// Characters of a typed number at the most: an external card has its type before its number.
const MAX_TYPED: usize = 58;

/// After characters without an end, a line within this time may be the rest of them, in milliseconds.
const GOES_ON: i64 = 1_000;

/// A number that a card interrupted is gone on with at the next digit within this time, in milliseconds.
const TYPES_ON: i64 = 10_000;

/// Characters of a paste that are looked at. More is nobody's number.
const MOST_PASTED: usize = 512;

/// So long a verdict is on the screen before anybody has seen it, in milliseconds.
pub(super) const SEEN_AFTER: i64 = 400;

impl Model {
    /// What was typed or scanned.
    pub(super) fn input(&mut self, input: Input) -> Vec<Command> {
        if matches!(input, Input::Key(_) | Input::Text(_)) {
            self.broken = None;
        }
        match input {
            Input::Key(pressed) => self.pressed(&pressed.key, self.is_late(&pressed)),
            Input::Line { text, by_hand: true } => self.line_by_hand(&text),
            Input::Line { text, by_hand: false } => self.line(&text, Source::Scanned),
            Input::Text(text) => self.text(&text),
            Input::Unfinished(text) => self.unfinished(&text),
        }
    }

    /// Whether whoever pressed a key has not seen what is on the screen now: it came after the key, or so shortly before
    /// it that nobody can have read it.
    fn is_late(&self, pressed: &Pressed) -> bool {
        let unread = |shown: &Shown| pressed.at - shown.since < SEEN_AFTER;
        pressed.screen != self.screen || self.shown.as_ref().is_some_and(unread)
    }

    /// A paste is input or nothing: with its end it is a line, without one it is for whoever presses Enter.
    pub(super) fn pasted(&mut self, text: &str) -> Vec<Command> {
        self.broken = None;
        let text: String = text.chars().take(MOST_PASTED).collect();
        let ended = text.ends_with(['\r', '\n', '\t']);
        let typed = matches!(self.dialog, Some(Dialog::Number(_)));
        match self.read(&text, Source::Typed) {
            Reading::Nothing => Vec::new(),
            Reading::Card(_) if !ended => {
                if !typed {
                    self.dialog = Some(Dialog::Number(String::new()));
                }
                self.text(text.trim())
            }
            Reading::Card(_) | Reading::Code(_) | Reading::NotRead(_) => {
                self.line(&text, Source::Typed)
            }
        }
    }

    /// A line at the speed of a person: it goes on with what stands in the dialog, where one is open.
    fn line_by_hand(&mut self, text: &str) -> Vec<Command> {
        match self.dialog.take() {
            Some(Dialog::Number(typed)) => self.line(&(typed + text), Source::Typed),
            _ if text.starts_with(|c: char| c.is_ascii_digit()) => {
                let begun = self.begun();
                self.line(&(begun + text), Source::Typed)
            }
            _ if text.chars().count() < self.scanner.shortest => self.one_at_a_time(),
            _ => self.line(text, Source::Scanned),
        }
    }

    fn read(&self, line: &str, source: Source) -> Reading {
        let known = Known { settings: &self.scanner, codes: self.codes.as_deref() };
        read(line, source, known).reading
    }

    /// A line right after characters that had no end: the two may be one code that came in pieces, or that was another
    /// visitor's. A chip number may be the end of a longer number.
    fn read_on(&self, before: &str, line: &str, source: Source) -> Reading {
        let whole = self.read(&format!("{before}{line}"), Source::Scanned);
        match (whole, self.read(line, source)) {
            (whole @ (Reading::Card(_) | Reading::Code(_)), _) => whole,
            (_, Reading::Card(card)) if is_chip(&card) => Reading::NotRead(NotRead::DigitsMissing),
            (_, alone) => alone,
        }
    }

    /// A line: a card taps, whatever lies over the screen; a code is for the next card; what is neither is said, and
    /// leaves the next visitor alone.
    pub(super) fn line(&mut self, line: &str, source: Source) -> Vec<Command> {
        let reading = match self.broken.take() {
            Some((before, since)) if self.now.steady - since <= GOES_ON => {
                self.read_on(&before, line, source)
            }
            Some(_) | None => self.read(line, source),
        };
        match (&reading, source) {
            (Reading::Nothing, _) => {}
            // Somebody else's card: whoever was typing goes on.
            (Reading::Card(_), Source::Scanned) => self.interrupt_typing(),
            _ => (self.dialog, self.put_by) = (None, None),
        }
        match reading {
            Reading::Nothing => Vec::new(),
            Reading::Card(card) => vec![self.tap(card.into())],
            Reading::Code(code) => {
                // Whoever was before is done.
                self.wipe();
                self.code = Some((code, self.now.steady));
                Vec::new()
            }
            Reading::NotRead(why) => self.not_read(Notice::NotRead(why)),
        }
    }

    /// Nothing was read: the verdict on the screen is about somebody else.
    fn not_read(&mut self, notice: Notice) -> Vec<Command> {
        // The code of an activity that was scanned for this visitor still is: the screen goes on saying so.
        let code = self.code.take();
        self.dialog = None;
        self.wipe();
        self.code = code;
        self.notice = Some((notice, self.now.steady));
        vec![Command::Signal(VerdictKind::Retry, None)]
    }

    fn one_at_a_time(&mut self) -> Vec<Command> {
        self.notice = Some((Notice::OneAtATime, self.now.steady));
        Vec::new()
    }

    /// Characters at the speed of a person, without an end so far.
    fn text(&mut self, text: &str) -> Vec<Command> {
        let mut typed = match self.dialog.take() {
            Some(Dialog::Number(typed)) => typed,
            _ if text.starts_with(|c: char| c.is_ascii_digit()) => self.begun(),
            _ => return self.one_at_a_time(),
        };
        for c in text.chars() {
            type_into(&mut typed, c);
        }
        self.dialog = Some(Dialog::Number(typed));
        Vec::new()
    }

    /// Characters in quick succession, without an end.
    fn unfinished(&mut self, text: &str) -> Vec<Command> {
        self.broken = Some((text.to_owned(), self.now.steady));
        let characters = text.chars().filter(|c| !c.is_control()).count();
        if characters < self.scanner.shortest {
            self.dialog = None;
            return self.one_at_a_time();
        }
        // Where a scanner with an end would not be read either, that is the first thing to say.
        match self.read(text, Source::Scanned) {
            Reading::NotRead(why @ (NotRead::Layout | NotRead::TwoNumbers)) => {
                self.not_read(Notice::NotRead(why))
            }
            Reading::Nothing | Reading::Card(_) | Reading::Code(_) | Reading::NotRead(_) => {
                self.not_read(Notice::NoEnter)
            }
        }
    }

    /// A key that stood alone. `late` says that the screen has changed since it was pressed.
    pub(super) fn pressed(&mut self, key: &KeyEvent, late: bool) -> Vec<Command> {
        if keys::is_interrupt(key) {
            self.over = self.dialog == Some(Dialog::Question(Question::Quit));
            self.dialog = Some(Dialog::Question(Question::Quit));
            return Vec::new();
        }
        // A letter with Ctrl or Alt is no letter.
        if !key.modifiers.difference(KeyModifiers::SHIFT).is_empty() {
            return Vec::new();
        }
        match self.dialog.take() {
            Some(Dialog::Number(typed)) => self.key_in_number(key, typed),
            Some(Dialog::Activities(activities, chosen)) => {
                let (chosen, done) = moved(key, chosen, activities.len());
                match done {
                    Some(true) => {
                        let found = activities.get(chosen);
                        let choose = |event_id: &String| Command::ChooseActivity(event_id.clone());
                        found.map(|activity| choose(&activity.event_id)).into_iter().collect()
                    }
                    Some(false) => Vec::new(),
                    None => {
                        self.dialog = Some(Dialog::Activities(activities, chosen));
                        Vec::new()
                    }
                }
            }
            Some(Dialog::Rewards(chosen)) => self.key_in_rewards(key, chosen),
            Some(Dialog::Question(question)) => self.answer_question(key, question),
            Some(Dialog::Help) => Vec::new(),
            None => self.key_on_desk(key, late),
        }
    }

    fn key_on_desk(&mut self, key: &KeyEvent, late: bool) -> Vec<Command> {
        if let KeyCode::Char('0'..='9') = key.code {
            let begun = self.begun();
            return self.key_in_number(key, begun);
        }
        let by_letter = matches!(key.code, KeyCode::Char(_));
        match Action::of(key) {
            None => {}
            Some(Action::Undo) => return self.undo(by_letter || late),
            Some(Action::Number) => self.dialog = Some(Dialog::Number(String::new())),
            Some(Action::Redeem) => {
                if self.shown.as_ref().is_some_and(|shown| !shown.rewards.is_empty()) {
                    self.dialog = Some(Dialog::Rewards(0));
                }
            }
            Some(Action::Activity) => return vec![Command::LoadActivities],
            Some(Action::Group) => self.open_or_close_group(),
            Some(Action::Amount) => {
                let cards = self.cards_to_pay();
                if !cards.is_empty() {
                    return vec![Command::LoadAmount(cards)];
                }
            }
            Some(Action::Wipe) => self.wipe(),
            Some(Action::Language) => self.language = self.language.next(),
            Some(Action::Help) => self.dialog = Some(Dialog::Help),
            Some(Action::Quit) => self.dialog = Some(Dialog::Question(Question::Quit)),
        }
        Vec::new()
    }

    fn key_in_number(&mut self, key: &KeyEvent, mut typed: String) -> Vec<Command> {
        match key.code {
            KeyCode::Enter => return self.line(&typed, Source::Typed),
            KeyCode::Esc => return Vec::new(),
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Char(c) => type_into(&mut typed, c),
            _ => {}
        }
        self.dialog = Some(Dialog::Number(typed));
        Vec::new()
    }

    fn key_in_rewards(&mut self, key: &KeyEvent, chosen: usize) -> Vec<Command> {
        let Some(shown) = &self.shown else { return Vec::new() };
        let (chosen, done) = moved(key, chosen, shown.rewards.len());
        match (done, shown.rewards.get(chosen), &shown.card) {
            (Some(true), Some(reward), Some(card)) => {
                vec![Command::Redeem { card: card.clone(), reward_id: reward.reward_id.clone() }]
            }
            (Some(_), ..) => Vec::new(),
            (None, ..) => {
                self.dialog = Some(Dialog::Rewards(chosen));
                Vec::new()
            }
        }
    }

    /// A card takes the screen: a dialog makes room for it, and what was typed of a number is put by.
    pub(super) fn interrupt_typing(&mut self) {
        if let Some(Dialog::Number(typed)) = self.dialog.take() {
            self.put_by = Some((typed, self.now.steady));
        }
    }

    /// What was typed of a number before a card took the screen, where that was just now.
    fn put_by(&self) -> Option<&str> {
        let (typed, since) = self.put_by.as_ref()?;
        (self.now.steady - since <= TYPES_ON).then_some(typed)
    }

    /// The beginning of the number whose next digit is typed.
    fn begun(&mut self) -> String {
        let begun = self.put_by().unwrap_or_default().to_owned();
        self.put_by = None;
        begun
    }

    /// What lies over the screen, with what a person is typing.
    pub fn dialog_shown(&self) -> Option<Dialog> {
        let more = || self.typing.iter().flat_map(|typing| typing.chars());
        let digit =
            self.typing.as_ref().is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
        let mut typed = match &self.dialog {
            Some(Dialog::Number(typed)) => typed.clone(),
            None if digit => self.put_by().unwrap_or_default().to_owned(),
            other => return other.clone(),
        };
        more().for_each(|c| type_into(&mut typed, c));
        Some(Dialog::Number(typed))
    }
}

/// A character in the dialog in which a number is typed.
fn type_into(typed: &mut String, c: char) {
    if (c.is_ascii_alphanumeric() || matches!(c, ':' | '-')) && typed.len() < MAX_TYPED {
        typed.push(c.to_ascii_uppercase());
    }
}

/// Where a key moves the choice in a list, and whether it ends it: taken or given up.
fn moved(key: &KeyEvent, chosen: usize, length: usize) -> (usize, Option<bool>) {
    match key.code {
        KeyCode::Up => (chosen.saturating_sub(1), None),
        KeyCode::Down => ((chosen + 1).min(length.saturating_sub(1)), None),
        KeyCode::Enter => (chosen, Some(true)),
        KeyCode::Esc => (chosen, Some(false)),
        _ => (chosen, None),
    }
}
