//! What the desk's daemon and the hub share as programs that run for months without anybody looking:
//! a log that never matters ([`log`]), tasks that do not die unnoticed ([`tasks`]), and an end that
//! always comes ([`ending`]). It knows nothing of passes, desks or hubs.

pub mod ending;
pub mod log;
pub mod tasks;
