//! What a desk and the hub say to each other: messages and two state machines, without I/O.
//!
//! The same [`desk::DeskSession`] and [`hub::HubSession`] run over QUIC, in the tests' simulated
//! network and over a USB stick. Time and bytes come in as arguments; frames and events come out.
//!
//! A session: the desk says [`message::Hello`] with its pending entries right behind it; the hub
//! answers [`message::Welcome`], commits the entries, and only then acknowledges them; from then on
//! both sides push. `DESIGN.md` beside this crate explains why nothing more is needed.

pub mod batch;
pub mod card_keys;
pub mod catalogue;
pub mod desk;
pub mod frame;
pub mod heartbeat;
pub mod hub_phases;
pub mod invitation;
pub mod ledger_sync;
pub mod message;
pub mod notice;
mod packing;
pub mod request;
pub mod runs;
pub mod seal;
mod sealed_box;
pub mod version;
