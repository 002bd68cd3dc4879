//! What the command lines print. Every line goes through here: titles, names and sentences come from elsewhere, and a
//! terminal takes the control characters in them as orders ([`crate::text`]). Whoever reads the output may leave
//! before its end (`stempel activity | head -1`): what was recorded is recorded, so that is no failure.

use std::io::{self, Write};

use serde::Serialize;

use crate::text::{is_order, printable};

/// Prints a line on standard output.
pub fn line(text: &str) {
    // Nobody reads it where this fails.
    let _ = write_line(&mut io::stdout().lock(), text);
}

/// Prints a line on standard error.
pub fn error(text: &str) {
    let _ = write_line(&mut io::stderr().lock(), text);
}

/// Writes a line that is fit for a terminal.
///
/// # Errors
/// Whatever the writer says.
pub fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(to, "{}", printable(text))?;
    to.flush()
}

/// Prints a text of our own that has several lines.
pub fn lines(text: &str) {
    text.lines().for_each(line);
}

/// A value as JSON for scripts, without a character that a terminal takes as an order: JSON may write any as an escape,
/// and serde does so only with those below U+0020.
pub fn json_of<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if is_order(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
        out
    })
}

/// `println!` for text that comes from elsewhere.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::out::line(&format!($($text)*)) };
}

/// `eprintln!` for text that comes from elsewhere.
#[macro_export]
macro_rules! say_error {
    ($($text:tt)*) => { $crate::out::error(&format!($($text)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_what_a_title_says_and_gives_the_terminal_no_orders() {
        let title = "\u{1b}[2J \u{9b}31m \u{202e}Expo";
        let json = json_of(&title);
        assert!(!json.chars().any(is_order), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), title);
    }
}
