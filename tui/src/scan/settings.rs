//! How the desk's scanner is set: `scanner.toml` in its folder.

use serde::Deserialize;

/// How a scanner is told from a person, and what its codes mean.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Longest time between two characters of one scan, in milliseconds. A key is a command only where nothing else
    /// was typed for as long before it and after it.
    pub gap: i64,
    /// Characters of a scan at the least.
    pub shortest: usize,
    /// What the scanner is set to send before each code. It is taken off.
    pub prefix: String,
    /// What it is set to send after each code, before Enter or Tab. It is taken off.
    pub suffix: String,
    /// External cards by how their codes look.
    pub external_cards: Vec<ExternalCode>,
}

/// How the code of an external card looks: a beginning, and its number of characters.
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
            gap: 250,
            shortest: 4,
            prefix: String::new(),
            suffix: String::new(),
            external_cards: Vec::new(),
        }
    }
}

impl Settings {
    /// The shortest quiet that makes a key stand alone, in milliseconds: the slowest scanners are set to 100 between
    /// two characters, and a desk whose `gap` is for a faster one is not to take their letters for commands.
    const LEAST_QUIET: i64 = 150;

    /// Milliseconds without a character that make what was typed before complete.
    pub fn quiet(&self) -> i64 {
        self.gap.max(Self::LEAST_QUIET)
    }

    /// The type of the external card whose code looks like this.
    pub(super) fn external(&self, text: &str) -> Option<&str> {
        let looks = |code: &&ExternalCode| {
            text.starts_with(&code.begins)
                && code.lengths.contains(&text.chars().count())
                && text.chars().all(|c| c.is_ascii_alphanumeric())
        };
        self.external_cards.iter().find(looks).map(|code| &code.card_type[..])
    }

    /// A text without what the scanner is set to send around each code, as far as that is there.
    pub(super) fn stripped<'a>(&self, text: &'a str) -> &'a str {
        let text = text.strip_prefix(&self.prefix[..]).unwrap_or(text);
        text.strip_suffix(&self.suffix[..]).unwrap_or(text)
    }
}
