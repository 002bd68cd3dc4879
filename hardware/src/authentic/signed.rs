//! A pass on a plain NTAG21x: the issuer's Ed25519 signature over the chip number, in an NDEF record
//! of the type `stempel.example:pass`.
//!
//! # What it is worth
//!
//! Nobody but the issuer can make a pass of a chip number, and a pass that was copied onto another
//! card fails there, for that card has another chip number and cannot change it. Desks need only the
//! public key, so no stolen desk can make cards.
//!
//! It does **not** protect from a copy of the whole memory on a card whose chip number can be set, or
//! on a telephone that plays a card: the record can be read by anybody who holds the card to a
//! reader, and is the same at every reading. Who must be protected from that needs a card with a key
//! of its own: [`sun`](super::sun), [`ev2`](super::ev2), [`ultralight_aes`](super::ultralight_aes).
//!
//! # Format 1
//!
//! The payload is CBOR: `[fields, signature]`, two byte strings. `fields` is CBOR too, a map with
//! integer keys (0: format, 1: key, 2: day of issue, 3: whether the chip has a key of its own), and is what it is to the signature: those
//! bytes, so that later fields are signed too and an older desk can skip them. The signature is over
//! `"stempel card 1\0" ‖ length of the chip number (a byte) ‖ chip number ‖ fields`. With all around
//! it a pass has 112 bytes at the most, and fits the 144 of an NTAG213.

use crdt_model::ids::ChipNumber;
use minicbor::{Decode, Encode};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use thiserror::Error;

use super::ndef::{self, NdefError, Record, TypeFormat};

/// The record's type. In an external type, upper and lower case are the same.
pub const RECORD_TYPE: &str = "stempel.example:pass";

/// Where the signed bytes begin, so that no signature made for something else can pass for one.
const CONTEXT: &[u8] = b"stempel card 1\0";

const FORMAT: u32 = 1;

/// Why a card has no pass, or none that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignedError {
    /// There is no message on the card, or none that can be read.
    #[error(transparent)]
    Ndef(#[from] NdefError),
    /// The message has no record of ours.
    #[error("the card holds no pass")]
    NoPass,
    /// The record is none that any version of Stempel writes.
    #[error("the pass on the card cannot be read")]
    Malformed,
    /// A later Stempel wrote the record.
    #[error("the pass has format {format}, which this desk does not know")]
    UnknownFormat {
        /// Its format.
        format: u32,
    },
    /// The pass names a key that this desk does not trust.
    #[error("the pass is signed with key {key}, which this desk does not trust")]
    UnknownKey {
        /// The key's number.
        key: u32,
    },
    /// The signature is not one over this chip number: the pass is another card's, or made up.
    #[error("the signature on the card does not hold for its chip number")]
    Signature,
}

/// An issuer's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerKey {
    /// Its number, which passes name it by.
    pub number: u32,
    /// Ed25519.
    pub public: [u8; 32],
}

/// What the issuer says of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issued {
    /// The number of the key that signed it.
    pub key: u32,
    /// The day, from 1970-01-01.
    pub day: i32,
    /// The chip has a key of its own as well, and is to be asked for it: a copy of its memory has not.
    pub keyed: bool,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    format: u32,
    #[n(1)]
    key: u32,
    #[n(2)]
    day: i32,
    /// Left out where it does not hold, as in the first passes that were written.
    #[n(3)]
    keyed: Option<bool>,
}

#[derive(Encode, Decode)]
struct Payload<'a> {
    #[b(0)]
    #[cbor(with = "minicbor::bytes")]
    fields: &'a [u8],
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    signature: &'a [u8],
}

/// A pass as it lies on a card. What it says counts only once [`SignedPass::verify`] has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPass {
    fields: Vec<u8>,
    signature: Vec<u8>,
}

impl SignedPass {
    /// The pass that an issuer makes of this card.
    pub fn sign(chip: &ChipNumber, issued: Issued, key: &Ed25519KeyPair) -> Self {
        let Issued { key: number, day, keyed } = issued;
        let keyed = keyed.then_some(true);
        // Memory takes whatever is written.
        let fields = minicbor::to_vec(Fields { format: FORMAT, key: number, day, keyed })
            .unwrap_or_default();
        let signature = key.sign(&signed_bytes(chip, &fields)).as_ref().to_vec();
        Self { fields, signature }
    }

    /// The pass in the memory of a Type 2 tag, which begins at page 0.
    ///
    /// # Errors
    /// [`SignedError::Ndef`], [`SignedError::NoPass`], [`SignedError::Malformed`].
    pub fn from_type_2(memory: &[u8]) -> Result<Self, SignedError> {
        Self::from_message(ndef::type_2_message(memory)?)
    }

    /// The pass in an NDEF message: the first, if there are several.
    ///
    /// # Errors
    /// [`SignedError::Ndef`], [`SignedError::NoPass`], [`SignedError::Malformed`].
    pub fn from_message(message: &[u8]) -> Result<Self, SignedError> {
        let record = ndef::records(message)?
            .into_iter()
            .find(|record| {
                record.format == TypeFormat::External
                    && record.kind.eq_ignore_ascii_case(RECORD_TYPE.as_bytes())
            })
            .ok_or(SignedError::NoPass)?;
        let payload: Payload<'_> =
            minicbor::decode(record.payload).map_err(|_| SignedError::Malformed)?;
        Ok(Self { fields: payload.fields.to_vec(), signature: payload.signature.to_vec() })
    }

    /// The NDEF message that holds this pass.
    pub fn to_message(&self) -> Vec<u8> {
        let payload = Payload { fields: &self.fields, signature: &self.signature };
        let payload = minicbor::to_vec(payload).unwrap_or_default();
        let kind = RECORD_TYPE.as_bytes();
        // The lengths fit: the type is a constant, and a pass is short or came out of a message.
        Record { format: TypeFormat::External, kind, payload: &payload }
            .message()
            .unwrap_or_default()
    }

    /// What the issuer says of this card, if one of these keys signed it.
    ///
    /// # Errors
    /// [`SignedError::Signature`], [`SignedError::UnknownKey`], [`SignedError::UnknownFormat`],
    /// [`SignedError::Malformed`].
    pub fn verify(&self, chip: &ChipNumber, trusted: &[IssuerKey]) -> Result<Issued, SignedError> {
        let Fields { format, key, day, keyed } =
            minicbor::decode(&self.fields).map_err(|_| SignedError::Malformed)?;
        if format != FORMAT {
            return Err(SignedError::UnknownFormat { format });
        }
        let issuer = trusted
            .iter()
            .find(|issuer| issuer.number == key)
            .ok_or(SignedError::UnknownKey { key })?;
        UnparsedPublicKey::new(&ED25519, issuer.public)
            .verify(&signed_bytes(chip, &self.fields), &self.signature)
            .map_err(|_| SignedError::Signature)?;
        Ok(Issued { key, day, keyed: keyed.unwrap_or_default() })
    }
}

fn signed_bytes(chip: &ChipNumber, fields: &[u8]) -> Vec<u8> {
    let chip = chip.bytes();
    // A chip number has 4, 7 or 10 bytes.
    let length = u8::try_from(chip.len()).unwrap_or(u8::MAX);
    [CONTEXT, &[length], chip, fields].concat()
}

#[cfg(test)]
mod tests;
