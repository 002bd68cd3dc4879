//! The hub: the central server. It takes the desks' entries, folds them to accounts, and tells the
//! desks what they must know.
//!
//! A thin driver around `crdt-model` (which folds) and `sync-protocol` (which talks). Entries come
//! in at [`endpoint`], go through [`ledgers`], and come out as versions of the [`catalogue`].

// What is printed goes through `service::out`: a title must not give the terminal orders.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod answers;
pub mod card_keys;
pub mod catalogue;
pub mod cli;
pub mod clock;
mod copies;
pub mod corrections;
pub mod db;
pub mod endpoint;
pub mod holders;
pub mod import;
pub mod ledgers;
pub mod notices;
pub mod records;
pub mod registry;
pub mod report;
pub mod requests;
pub mod restored;
pub mod secrets;
pub mod session;
pub mod status;
pub mod stock;
pub mod surroundings;
