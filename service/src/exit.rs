//! The exit codes that Stempel's programs share, for scripts: the same number says the same of each of them. Which of
//! them a program gives, and which of its own, stands in its `--help`.

/// Done.
pub const DONE: u8 = 0;

/// Something broke.
pub const FAILED: u8 = 1;

/// The arguments are wrong: clap's own code.
pub const USAGE: u8 = 2;

/// Whoever is to do it is not there: the daemon does not answer, the folder holds no hub.
pub const ABSENT: u8 = 3;

/// What was asked is refused: bad input, a wrong invitation, a full disk.
pub const REFUSED: u8 = 4;
