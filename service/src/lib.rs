//! What Stempel's programs share as programs. The daemon and the hub run for months without anybody looking:
//! a log that never matters ([`log`]), tasks that do not die unnoticed ([`tasks`]), and an end that
//! always comes ([`ending`]) and says how it was ([`exit`]). The command lines print what came from elsewhere: [`out`]. Their
//! clocks and randomness are here, too ([`surroundings`]). Nothing here knows of passes, desks or hubs.

pub mod ending;
pub mod exit;
pub mod log;
pub mod out;
pub mod surroundings;
pub mod tasks;
pub mod text;
