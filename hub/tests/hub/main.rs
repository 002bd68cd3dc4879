//! The hub as a library: what it takes, what it sends, over its database and over QUIC.

#![allow(clippy::unwrap_used, clippy::similar_names, reason = "a test fails by panicking")]

mod card_keys;
mod catalogue_pages;
mod clocks;
mod desk;
mod domain;
mod sessions;
mod storage;
mod taking;
