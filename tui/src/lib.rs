//! The console and the command line. They show; they never decide: they ask the daemon and draw its
//! answer.
//!
//! Start with [`app`]: the model, its messages, and what each makes of it.

// What is printed goes through `service::out`: a title must not give the terminal orders.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod app;
pub mod card_desk;
pub mod cli;
pub mod clock;
pub mod console;
pub mod demo;
pub mod doctor;
pub mod enrol;
pub mod feedback;
pub mod holder;
pub mod i18n;
pub mod keys;
pub mod plain;
pub mod processes;
pub mod readers;
pub mod scan;
pub mod screens;
pub mod surroundings;
pub mod terminal;
pub mod theme;
