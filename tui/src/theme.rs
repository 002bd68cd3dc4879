//! Colours. They never say anything that a word or a sign does not say too.

use crdt_model::decide::VerdictKind;
use ratatui::style::{Color, Modifier, Style};

/// How the console is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Coloured.
    Colour,
    /// None at all: `NO_COLOR` is set, or the terminal has none. Bold and reverse stay.
    Plain,
}

impl Theme {
    /// What this environment asks for (<https://no-color.org>).
    pub fn of_environment() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            Self::Plain
        } else {
            Self::Colour
        }
    }

    fn coloured(self, colour: Color) -> Style {
        match self {
            Self::Colour => Style::new().fg(colour),
            Self::Plain => Style::new(),
        }
    }

    /// A verdict's style.
    pub fn verdict(self, verdict: VerdictKind) -> Style {
        let colour = match verdict {
            VerdictKind::Ok => Color::Green,
            VerdictKind::Again => Color::Cyan,
            VerdictKind::Ask => Color::Yellow,
            VerdictKind::Stop => Color::Red,
            VerdictKind::Retry => Color::Magenta,
        };
        self.coloured(colour).add_modifier(Modifier::BOLD)
    }

    /// Something is the matter.
    pub fn trouble(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// What matters less.
    pub fn quiet(self) -> Style {
        self.coloured(Color::DarkGray)
    }

    /// What is chosen in a list.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
