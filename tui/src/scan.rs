//! What scanners and people type, from keys to what they mean. Pure: keys come in with their times, and what was read
//! comes out.
//!
//! Two steps. [`wedge`] cuts the stream of keys into what belongs together: a key that stands alone, a line with its
//! Enter, characters in quick succession that have none. [`reading`] says what a line is: a card's number, the code of
//! an activity of this desk, or not read and why. Nothing here knows the screen, the daemon or the clock on the wall.

mod arrived;
mod layouts;
pub mod reading;
mod settings;
pub mod wedge;

pub use self::arrived::{Advice, Arrived, Made, advice};
pub use self::layouts::Layout;
pub use self::reading::{Known, NotRead, PutRight, Read, Reading, Source, read};
pub use self::settings::{ExternalCode, Settings};
