//! What is asked again before it is done, and what F2 means.

use crossterm::event::{KeyCode, KeyEvent};
use desk_api::types::{Answer, Kind, Outcome};

use super::{Command, Dialog, Model};
use crate::i18n::Notice;

/// Something that is asked before it is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Take this back? It is not what the screen is about, or a letter asked for it.
    TakeBack(Box<Answer>),
    /// End the console?
    Quit,
}

impl Model {
    /// What to take back: what is on the screen, with its function key; anything else is named and asked. `asked` says
    /// that a letter was pressed, or that the screen has changed since the key was pressed.
    pub(super) fn undo(&mut self, asked: bool) -> Vec<Command> {
        let shown = self.shown.as_ref().map(|shown| &shown.answer);
        let shown = shown.filter(|answer| answer.kind != Kind::Void);
        let Some(answer) = shown.cloned().or_else(|| self.last_entry()) else {
            return self.nothing_to_take_back();
        };
        match answer.entry {
            // Nothing was counted for this visitor, and the last entry is somebody else's.
            None => self.nothing_to_take_back(),
            Some(entry) if shown.is_some() && !asked => vec![Command::Void(entry)],
            Some(_) => {
                self.dialog = Some(Dialog::Question(Question::TakeBack(Box::new(answer))));
                Vec::new()
            }
        }
    }

    fn nothing_to_take_back(&mut self) -> Vec<Command> {
        self.notice = Some((Notice::NothingToTakeBack, self.now.steady));
        Vec::new()
    }

    /// The last entry that stands and can still be taken back.
    fn last_entry(&self) -> Option<Answer> {
        let window = self.status.as_ref().map(|status| status.undo_window);
        let stands = |answer: &Answer, outcome| {
            let late = window.is_some_and(|window| self.desk_time() >= answer.at + window);
            answer.entry.is_some()
                && answer.kind != Kind::Void
                && outcome != Outcome::TakenBack
                && !late
        };
        let mut rows = self.rows.iter();
        rows.find(|row| stands(&row.answer, row.outcome)).map(|row| row.answer.clone())
    }

    /// The answer to a question. The key that asked it is no answer: nothing is done because a key was pressed twice.
    pub(super) fn answer_question(&mut self, key: &KeyEvent, question: Question) -> Vec<Command> {
        let yes = matches!(key.code, KeyCode::Enter | KeyCode::Char('j' | 'J' | 'y' | 'Y'));
        match question {
            Question::TakeBack(answer) if yes => {
                answer.entry.map(Command::Void).into_iter().collect()
            }
            Question::Quit if yes => {
                self.over = true;
                Vec::new()
            }
            Question::TakeBack(_) | Question::Quit => Vec::new(),
        }
    }
}
