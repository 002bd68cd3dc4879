//! Cards that cannot be faked, checked without a network.
//!
//! A chip number is a claim: anybody can buy a card whose UID can be set. What turns the claim into
//! a proof depends on the card, and so does what the proof is worth:
//!
//! | card | checked by | it proves | it does not protect from |
//! | --- | --- | --- | --- |
//! | any | nothing | that somebody knows a chip number | a UID that was copied |
//! | NTAG21x, Ultralight EV1 | [`signed`] | that the issuer made a pass of this chip | the memory copied to a card whose UID can be set |
//! | NTAG 424 DNA, its message | [`sun`] | that the chip made this message, once | a message that was read earlier: a [`sun::CounterGuard`] knows those that were used here |
//! | NTAG 424 DNA, DESFire EV2 and EV3 | [`ev2`] | that the chip is here now | a relay to the real card elsewhere |
//! | Ultralight AES | [`ultralight_aes`] | that the chip is here now | a relay to the real card elsewhere |
//!
//! The first is [`Authenticity::UidOnly`], the second and third [`Authenticity::Signed`], the others
//! [`Authenticity::Cryptographic`]. [`check`] asks a card for all that it can prove, with the keys of a
//! [`keyring`]; [`make`] writes what it proves itself by.
//!
//! A proof is a proof of a chip number because every card has keys of its own, which [`diversify`]
//! makes of a master key and the chip number. Who takes a card apart has that card's keys and no
//! other's. A desk that checks such a card holds the master key, and whoever opens a desk's keys can
//! make cards: so they come from the hub, sealed to the device, and lie in no configuration file.
//! Behind [`signed`] there is no secret at the desk.
//!
//! Nothing here does I/O: commands go out as bytes, answers come in as bytes, and random numbers are
//! arguments. An authentication whose card is gone is dropped.

pub mod check;
pub mod diversify;
pub mod ev2;
mod key;
pub mod keyring;
pub mod make;
pub mod ndef;
pub mod signed;
pub mod sun;
mod three_pass;
pub mod ultralight_aes;

pub use crdt_model::authenticity::Authenticity;
pub use key::Key;

/// These bytes in hexadecimal, for vectors.
#[cfg(test)]
pub(crate) fn hex<const N: usize>(digits: &str) -> [u8; N] {
    data_encoding::HEXUPPER.decode(digits.as_bytes()).unwrap().try_into().unwrap()
}
