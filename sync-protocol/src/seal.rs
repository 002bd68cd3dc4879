//! Keys and seals: Ed25519. A desk's key pair names it; its seal over a list's latest change hash
//! covers all that it has written there.

use crdt_model::ids::{DeviceId, Writer};
use crdt_model::ledger::{LedgerId, Position};
use crdt_model::stock::GrantId;
use minicbor::{Decode, Encode};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use thiserror::Error;

/// Where a seal begins, so that no signature made for something else can pass for one.
const CONTEXT: &[u8] = b"stempel seal 1\0";

/// A desk's signature over the latest change hash of a list, and so over all that stands in it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seal {
    /// The sequence number of the last entry that it covers.
    #[n(0)]
    pub sequence: u64,
    /// The Ed25519 signature, 64 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal {{ up to {} }}", self.sequence)
    }
}

/// A desk gives a grant back: what it says here it has handed out, the rest it never will.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Closing {
    /// Which.
    #[n(0)]
    pub grant: GrantId,
    /// The units that were handed out, in order.
    #[n(1)]
    pub used: Vec<u32>,
    /// Its device's signature: [`DeviceKey::sign_closing`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// A device's key pair.
pub struct DeviceKey {
    pair: Ed25519KeyPair,
}

/// A key that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not an Ed25519 key in PKCS#8: {why}")]
pub struct KeyError {
    /// What is wrong with it.
    pub why: String,
}

impl DeviceKey {
    /// The key pair of these bytes (PKCS#8, DER).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(|pair| Self { pair })
            .map_err(|error| KeyError { why: error.to_string() })
    }

    /// The key pair of this seed of 32 random bytes. For tests and simulations.
    ///
    /// # Errors
    /// [`KeyError`] where there are not 32.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(|pair| Self { pair })
            .map_err(|error| KeyError { why: error.to_string() })
    }

    /// The public key, 32 bytes.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The device that holds this key.
    pub fn device(&self) -> DeviceId {
        DeviceId::of_public_key(self.public_key())
    }

    /// Seals a list as far as this position.
    pub fn seal(&self, ledger: &LedgerId, writer: &Writer, position: &Position) -> Seal {
        let signature = self.pair.sign(&sealed_bytes(ledger, writer, position));
        Seal { sequence: position.sequence, signature: signature.as_ref().to_vec() }
    }
}

/// Where a closing statement begins.
const CLOSING_CONTEXT: &[u8] = b"stempel closing 1\0";

fn closing_bytes(grant: GrantId, used: &[u32]) -> Vec<u8> {
    let used = used.iter().flat_map(|unit| unit.to_be_bytes());
    CLOSING_CONTEXT.iter().copied().chain(grant.0.to_be_bytes()).chain(used).collect()
}

impl DeviceKey {
    /// Gives a grant back: of its units these were handed out, and no other ever will be.
    pub fn sign_closing(&self, grant: GrantId, used: Vec<u32>) -> Closing {
        let signature = self.pair.sign(&closing_bytes(grant, &used)).as_ref().to_vec();
        Closing { grant, used, signature }
    }
}

impl DeviceKey {
    /// A signature that is never shown: what this desk makes secrets of its own from. `context` is that
    /// of nothing else that is signed.
    pub(crate) fn sign_for_itself(&self, context: &[u8]) -> Vec<u8> {
        self.pair.sign(context).as_ref().to_vec()
    }
}

/// Whether a closing statement is the one of the holder of this public key.
pub fn closing_holds(closing: &Closing, public_key: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(&closing_bytes(closing.grant, &closing.used), &closing.signature)
        .is_ok()
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKey of {}", self.device())
    }
}

/// Whether this seal is its writer's, over exactly this position of this list, by the holder of
/// this public key.
pub fn seal_holds(
    seal: &Seal,
    ledger: &LedgerId,
    writer: &Writer,
    position: &Position,
    public_key: &[u8],
) -> bool {
    seal.sequence == position.sequence
        && DeviceId::of_public_key(public_key) == writer.device
        && UnparsedPublicKey::new(&ED25519, public_key)
            .verify(&sealed_bytes(ledger, writer, position), &seal.signature)
            .is_ok()
}

fn sealed_bytes(ledger: &LedgerId, writer: &Writer, position: &Position) -> Vec<u8> {
    let name = ledger.to_string();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let sequence = position.sequence.to_be_bytes();
    [CONTEXT, &[length], name.as_bytes(), &writer.to_bytes(), &sequence, &position.head].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_list_its_position_and_its_device_only() {
        let (key, other) =
            (DeviceKey::from_seed(&[1; 32]).unwrap(), DeviceKey::from_seed(&[2; 32]).unwrap());
        let ledger =
            |day: &str| LedgerId { venue: "de-reede".parse().unwrap(), day: day.parse().unwrap() };
        let (today, yesterday) = (ledger("2026-11-21"), ledger("2026-11-20"));
        let writer = Writer { device: key.device(), epoch: 1 };
        let position = Position { sequence: 3, head: [9; 32] };
        let seal = key.seal(&today, &writer, &position);
        let holds = |ledger: &LedgerId, writer: &Writer, position: &Position, key: &DeviceKey| {
            seal_holds(&seal, ledger, writer, position, key.public_key())
        };
        assert!(holds(&today, &writer, &position, &key));
        assert!(!holds(&yesterday, &writer, &position, &key));
        assert!(!holds(&today, &Writer { epoch: 2, ..writer }, &position, &key));
        assert!(!holds(&today, &writer, &Position { sequence: 4, ..position }, &key));
        assert!(!holds(&today, &writer, &Position { head: [8; 32], ..position }, &key));
        assert!(!holds(&today, &writer, &position, &other));
    }
}
