//! What the command line prints. Every line goes through here: titles, names and sentences come from elsewhere, and a
//! terminal takes the control characters in them as orders ([`crdt_model::text`]). Whoever reads the output may leave
//! before its end (`stempel activity | head -1`): what was recorded is recorded, so that is no failure.

use std::io::{self, Write};

use crdt_model::text::printable;

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
