//! The desk API as its callers see it: HTTP and JSON over a Unix domain socket, with its events as server-sent events.
//! What is said stands in [`types`], which the daemon's server shares; [`client`] asks; [`place`] knows where the
//! socket is. Nothing here knows how the daemon comes to an answer.

pub mod client;
mod connection;
pub mod place;
pub mod types;
