//! The model of incarnations, checked exhaustively; and each of its rules taken out, one at a time.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod check;
mod faults;
mod holds;
