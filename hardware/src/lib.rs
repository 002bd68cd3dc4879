//! Card readers: what a volunteer plugs in, as a stream of taps and removals.
//!
//! Every reader has a thread of its own ([`reader::spawn`]) and says what happens on a channel.
//! Readers know nothing of passes: a tap is a chip number.

pub mod authentic;
pub mod card;
pub mod describe;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "libnfc")]
pub mod libnfc;
#[cfg(feature = "pcsc")]
pub mod pcsc;
mod product;
pub mod reader;
pub mod scripted;
pub mod usb;
