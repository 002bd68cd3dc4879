//! Text that came from elsewhere (a title, a name, a sentence of the hub), made fit for a terminal.
//!
//! A terminal takes control characters as orders: a title with an escape sequence in it could clear the screen,
//! change the window's title, or hide a line. So whoever prints prints [`printable`] text.

use std::borrow::Cow;

/// Stands where a character was that a terminal must not get.
pub const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Whether a terminal takes this character as an order, or shows what follows in another order than it is written:
/// control characters (C0, DEL, C1), line and paragraph separators, and the overrides and isolates of Unicode's
/// bidirectional algorithm (UAX #9, 2.2 to 2.5).
pub fn is_order(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with [`REPLACEMENT`] in place of each character that is an order to a terminal. A line break is one, too: a
/// name with a line break in it could forge a line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_order) {
        Cow::Owned(text.chars().map(|c| if is_order(c) { REPLACEMENT } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_a_terminal_are_replaced_and_everything_else_stays() {
        let plain = "Été à Gent — 5 € · “Sjärel” 🎫 ñ שלום";
        assert!(matches!(printable(plain), Cow::Borrowed(text) if text == plain));
        for (text, shown) in [
            ("\u{1b}[2J\u{1b}]0;x\u{7}Expo", "\u{fffd}[2J\u{fffd}]0;x\u{fffd}Expo"),
            ("C1 \u{9b}31m", "C1 \u{fffd}31m"),
            ("one\r\ntwo\tthree", "one\u{fffd}\u{fffd}two\u{fffd}three"),
            ("\u{202e}txet", "\u{fffd}txet"),
            ("a\u{7f}b\u{2028}c", "a\u{fffd}b\u{fffd}c"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
