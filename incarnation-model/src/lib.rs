//! A small model of incarnations and limited stock: one hub, two desks, every order of what may happen.
//!
//! The model holds what the design says about runs, pairs of (run, number), the journal outside the
//! database, holds on grants, and the steps of a session with a hub that was restored. It knows
//! nothing of CBOR, SQL or QUIC; one limited reward has one unit, one venue has two desks. It is
//! checked exhaustively by `tests/`, which also take out one rule at a time and show what that costs.
//!
//! | to see | read |
//! | --- | --- |
//! | which rules there are, and what may happen how often | [`design`] |
//! | what a hub stores, and how it finds out that it was restored | [`hub`] |
//! | what a desk stores | [`desk`] |
//! | what a session says, message by message | [`session`] |
//! | what may happen, in which order | [`world`] |
//! | what must hold | [`laws`] |
//!
//! Each commit of a hub or a desk is one step, and durable. A crash therefore is a cut (of a desk) or
//! a restart (of the hub). A message is on its way alone: a session says one thing at a time.

pub mod design;
pub mod desk;
pub mod hub;
pub mod laws;
pub mod session;
pub mod world;
