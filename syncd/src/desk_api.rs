//! The desk API: HTTP and JSON over a Unix domain socket, with its events as server-sent events.

pub mod client;
pub mod server;
pub mod types;
