//! What the command lines print. Every line goes through here: titles, names and sentences come from elsewhere, and a
//! terminal takes the control characters in them as orders ([`crate::text`]). Whoever reads the output may leave
//! before its end (`stempel activity | head -1`): what was recorded is recorded, so that is no failure. Any other error
//! of standard output is: half a report must not look like a whole one ([`failure`]).

use std::io::{self, Write};
use std::sync::OnceLock;

use serde::Serialize;

use crate::text::{is_order, printable};

/// The first error of standard output that is not a reader who left.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Prints a line on standard output.
pub fn line(text: &str) {
    note(write_line(&mut io::stdout().lock(), text), &FAILURE);
}

fn note(written: io::Result<()>, failure: &OnceLock<String>) {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failure.get_or_init(|| error.to_string());
        }
        Ok(()) | Err(_) => {}
    }
}

/// Why a part of the output is lacking, for a program that ends otherwise in success: it says so and ends in failure.
pub fn failure() -> Option<String> {
    let error = FAILURE.get()?;
    Some(format!(
        "what was asked is done, but the output could not be written, and a part of it is lacking ({error})"
    ))
}

/// Prints a sentence on standard error.
pub fn error(text: &str) {
    // There is no other place to say that this failed.
    let _ = writeln!(io::stderr().lock(), "{}", printable_lines(text));
}

/// The text, fit for a terminal, with its line breaks: errors of TOML files and of programs have several lines. Every
/// line after the first is indented, so that a name with a line break in it forges no line.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(printable).collect();
    lines.join("\n  ")
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
    fn a_reader_who_leaves_is_no_failure_and_a_full_disk_is() {
        let failure = OnceLock::new();
        note(Ok(()), &failure);
        note(Err(io::ErrorKind::BrokenPipe.into()), &failure);
        assert_eq!(failure.get(), None);
        note(Err(io::ErrorKind::StorageFull.into()), &failure);
        assert!(failure.get().is_some());
    }

    #[test]
    fn an_error_of_several_lines_keeps_them_and_forges_none() {
        assert_eq!(
            printable_lines("stempel: bad file\nline 2\u{1b}[2J\r\n"),
            "stempel: bad file\n  line 2\u{fffd}[2J"
        );
    }

    #[test]
    fn json_keeps_what_a_title_says_and_gives_the_terminal_no_orders() {
        let title = "\u{1b}[2J \u{9b}31m \u{202e}Expo";
        let json = json_of(&title);
        assert!(!json.chars().any(is_order), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), title);
    }
}
