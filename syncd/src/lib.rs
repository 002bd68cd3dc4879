//! The desk's daemon as a library: its files, its answers, its API and its link to the hub.
//!
//! A thin driver around `crdt-model` (which decides) and `sync-protocol` (which talks). Start with
//! [`daemon::run`]; what happens at a tap is in [`desk::Desk::tap`].

pub mod api;
pub mod card_key_file;
pub mod daemon;
pub mod desk;
pub mod disk;
mod door;
pub mod durable;
pub mod enrol;
pub mod enrolment;
pub mod hub_link;
pub mod ledger_files;
pub mod links;
pub mod mark;
pub mod notice_file;
pub mod paths;
mod proven;
pub mod request_box;
pub mod seals;
pub mod stock_file;
pub mod store;
