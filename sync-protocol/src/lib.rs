//! What a desk and the hub say to each other: messages and two state machines, without I/O, clock or randomness.
//!
//! [`desk::DeskSession`] asks its desk through a [`desk::DeskView`]; [`hub::HubSession`] asks its driver with
//! [`feed::Need`] and is answered with [`feed::Found`]. Time and bytes come in as arguments; frames, events and questions
//! come out. They run over QUIC, and over the tests' simulated lines.
//!
//! A session: the desk says [`message::Hello`] with its pending entries right behind it; the hub answers
//! [`message::Welcome`], commits the entries, and only then acknowledges them; from then on both sides push. What a desk
//! lacks, and in which order it is told, is [`feed`]'s business; where a hub goes on with a desk that knew another copy of
//! its database, [`runs`]'; what is then said again, [`desk`]'s.

pub mod batch;
pub mod card_keys;
pub mod catalogue;
pub mod desk;
pub mod feed;
pub mod frame;
pub mod heartbeat;
pub mod hub;
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
