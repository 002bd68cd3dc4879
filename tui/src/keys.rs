//! All keys in one list, from which the footer and the help are drawn. Function keys F2 to F9, for
//! terminals keep F1, F10 and F11 to themselves, each with a letter beside it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use i18n_embed_fl::fl;

use crate::i18n::Texts;

/// What a key asks for, wherever one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Take back what is on the screen.
    Undo,
    /// Type a number.
    Number,
    /// Begin or end a group.
    Group,
    /// Show for a moment what is to be paid.
    Amount,
    /// Choose a reward for the pass on the screen.
    Redeem,
    /// Choose the activity.
    Activity,
    /// Clear the screen now.
    Wipe,
    /// The next language.
    Language,
    /// Help.
    Help,
    /// Quit.
    Quit,
}

/// The keys: function key, letter, action.
pub const KEYS: [(Option<u8>, char, Action); 10] = [
    (Some(2), 'u', Action::Undo),
    (Some(3), 'z', Action::Number),
    (Some(4), 'g', Action::Group),
    (Some(5), 'd', Action::Amount),
    (Some(6), 'w', Action::Wipe),
    (Some(7), 'l', Action::Language),
    (Some(9), '?', Action::Help),
    (None, 'v', Action::Redeem),
    (None, 'a', Action::Activity),
    (None, 'q', Action::Quit),
];

impl Action {
    /// What a key asks for.
    pub fn of(key: &KeyEvent) -> Option<Self> {
        // A letter with Ctrl or Alt is no letter, and F2 with Shift is another key.
        let shifted = key.modifiers.contains(KeyModifiers::SHIFT);
        let letter = matches!(key.code, KeyCode::Char(_));
        if !key.modifiers.difference(KeyModifiers::SHIFT).is_empty() || (shifted && !letter) {
            return None;
        }
        let found = KEYS.iter().find(|(function, letter, _)| match key.code {
            KeyCode::F(number) => *function == Some(number),
            KeyCode::Char(typed) => typed.to_ascii_lowercase() == *letter,
            _ => false,
        });
        found.map(|(_, _, action)| *action)
    }

    /// What the footer calls it.
    pub fn label(self, texts: &Texts) -> String {
        let loader = &texts.loader;
        match self {
            Self::Undo => fl!(loader, "key-undo"),
            Self::Number => fl!(loader, "key-number"),
            Self::Group => fl!(loader, "key-group"),
            Self::Amount => fl!(loader, "key-amount"),
            Self::Redeem => fl!(loader, "key-redeem"),
            Self::Activity => fl!(loader, "key-activity"),
            Self::Wipe => fl!(loader, "key-wipe"),
            Self::Language => fl!(loader, "key-language"),
            Self::Help => fl!(loader, "key-help"),
            Self::Quit => fl!(loader, "key-quit"),
        }
    }
}

/// Whether this is Ctrl-C: in a terminal it ends what runs there, and here it asks whether to.
pub fn is_interrupt(key: &KeyEvent) -> bool {
    key.modifiers == KeyModifiers::CONTROL && matches!(key.code, KeyCode::Char('c' | 'C'))
}

/// The keys as the footer shows them: `F2 u Undo`.
pub fn footer(texts: &Texts) -> Vec<String> {
    KEYS.iter()
        .map(|(function, letter, action)| {
            let label = action.label(texts);
            match function {
                Some(number) => format!("F{number} {letter} {label}"),
                None => format!("{letter} {label}"),
            }
        })
        .collect()
}
