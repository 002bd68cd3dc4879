//! Keys and seals: Ed25519. A desk's key pair names it; its seal over a list's latest change hash
//! covers all that it has written there.

use crdt_model::ids::RewardId;
use crdt_model::ids::{DeviceId, Writer};
use crdt_model::ledger::{LedgerId, Position};
use crdt_model::stock::{GrantId, Units};
use minicbor::{Decode, Encode};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use thiserror::Error;

use crate::notice::{MAX_NOTICE_BYTES, Notice, NoticeError, SignedNotice};

/// A grant that a desk holds, as it tells a hub that was restored from an older copy.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StatedGrant {
    /// Its serial number.
    #[n(0)]
    pub grant: GrantId,
    /// Of which reward.
    #[n(1)]
    pub reward: RewardId,
    /// Which units.
    #[n(2)]
    pub units: Units,
    /// The units that were handed out, in order.
    #[n(3)]
    pub used: Vec<u32>,
}

/// All grants that a desk holds, also where there are none: a hub that was restored grants nothing new before it knows
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stated {
    /// A list of [`StatedGrant`] in CBOR, as it was signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub grants: Vec<u8>,
    /// Its device's signature: [`DeviceKey::sign_stated`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

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

/// Where a statement of grants begins.
const STATED_CONTEXT: &[u8] = b"stempel stated 1\0";

/// Where a hub's notice begins.
const NOTICE_CONTEXT: &[u8] = b"stempel notice 1\0";

impl DeviceKey {
    /// States the grants that this desk holds, and what it has handed out of them.
    pub fn sign_stated(&self, grants: &[StatedGrant]) -> Stated {
        let grants = encoded(grants);
        let signature = self.pair.sign(&[STATED_CONTEXT, &grants].concat()).as_ref().to_vec();
        Stated { grants, signature }
    }
}

/// The grants of a statement of the holder of this public key; nothing where the statement is not theirs or cannot be
/// read.
pub fn stated_by(stated: &Stated, public_key: &[u8]) -> Option<Vec<StatedGrant>> {
    let signed = [STATED_CONTEXT, &stated.grants].concat();
    let key = UnparsedPublicKey::new(&ED25519, public_key);
    key.verify(&signed, &stated.signature).ok()?;
    minicbor::decode(&stated.grants).ok()
}

fn encoded<T: minicbor::Encode<()> + ?Sized>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).unwrap_or_else(
        |never: minicbor::encode::Error<std::convert::Infallible>| {
            unreachable!("writing to memory does not fail: {never}")
        },
    )
}

/// A hub's key pair, as far as it signs notices.
pub struct HubKey {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for HubKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HubKey(…)")
    }
}

impl HubKey {
    /// The key pair of these bytes (PKCS#8, DER).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        DeviceKey::from_pkcs8(der).map(|DeviceKey { pair }| Self { pair })
    }

    /// The key pair of this seed of 32 random bytes. For tests and simulations.
    ///
    /// # Errors
    /// [`KeyError`] where there are not 32.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        DeviceKey::from_seed(seed).map(|DeviceKey { pair }| Self { pair })
    }

    /// The public key, 32 bytes.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs a notice.
    pub fn sign_notice(&self, notice: &Notice) -> SignedNotice {
        let notice = encoded(notice);
        let signature = self.pair.sign(&[NOTICE_CONTEXT, &notice].concat()).as_ref().to_vec();
        SignedNotice { notice, signature }
    }
}

impl SignedNotice {
    /// What the hub with this public key states.
    ///
    /// # Errors
    /// [`NoticeError::Signature`] where it was not that hub; [`NoticeError::Contents`] where the notice is of a kind
    /// that a newer hub states: it is kept all the same.
    pub fn open(&self, hub: &[u8]) -> Result<Notice, NoticeError> {
        if self.notice.len() > MAX_NOTICE_BYTES {
            return Err(NoticeError::Signature);
        }
        UnparsedPublicKey::new(&ED25519, hub)
            .verify(&[NOTICE_CONTEXT, &self.notice].concat(), &self.signature)
            .map_err(|_| NoticeError::Signature)?;
        minicbor::decode(&self.notice)
            .map_err(|error| NoticeError::Contents { why: error.to_string() })
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

    #[test]
    fn a_notice_is_its_hubs_and_no_other_signature_passes_for_one() {
        let (hub, other) =
            (HubKey::from_seed(&[1; 32]).unwrap(), HubKey::from_seed(&[2; 32]).unwrap());
        let notice = Notice::Revoked { device: [7; 16], at: crdt_model::time::UnixMillis(5) };
        let signed = hub.sign_notice(&notice);
        assert_eq!(signed.open(hub.public_key()), Ok(notice));
        assert_eq!(signed.open(other.public_key()), Err(NoticeError::Signature));
        for place in 0..signed.notice.len() {
            let mut changed = signed.clone();
            changed.notice[place] ^= 1;
            assert_eq!(changed.open(hub.public_key()), Err(NoticeError::Signature), "{place}");
        }
        // The same key and the same bytes, signed as a statement of grants.
        let device = DeviceKey::from_seed(&[1; 32]).unwrap();
        let signature = device.sign_stated(&[]).signature;
        let forged = SignedNotice { notice: encoded(&[] as &[StatedGrant]), signature };
        assert_eq!(forged.open(hub.public_key()), Err(NoticeError::Signature));
    }

    #[test]
    fn a_statement_of_grants_is_its_desks() {
        let (key, other) =
            (DeviceKey::from_seed(&[1; 32]).unwrap(), DeviceKey::from_seed(&[2; 32]).unwrap());
        let grants = vec![StatedGrant {
            grant: GrantId(4),
            reward: crdt_model::ids::RewardId(2),
            units: crdt_model::stock::Units { first: 1, count: 10 },
            used: vec![1, 2],
        }];
        let stated = key.sign_stated(&grants);
        assert_eq!(stated_by(&stated, key.public_key()), Some(grants));
        assert_eq!(stated_by(&stated, other.public_key()), None);
        assert_eq!(stated_by(&key.sign_stated(&[]), key.public_key()), Some(Vec::new()));
    }
}
