//! Notices: what a hub must not forget when its database is put back from an older copy. The hub signs them, every desk
//! keeps them, and gives them back to a hub that says it was restored.

use crdt_model::ids::{DeviceId, VenueId};
use crdt_model::time::UnixMillis;
use minicbor::{Decode, Encode};
use thiserror::Error;

/// Notices that a desk keeps at the most: revocations and used invitations of ten years in a region with a new desk each
/// day. The oldest go first.
pub const MOST_NOTICES: usize = 4096;

/// Bytes of one notice at the most, signed: names have at most a few hundred bytes.
pub const MAX_NOTICE_BYTES: usize = 2048;

/// Notices in one message at the most: [`MAX_NOTICE_BYTES`] of each fit a frame.
pub const MOST_NOTICES_AT_ONCE: usize = 400;

/// What a hub states.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Notice {
    /// This device was revoked.
    #[n(0)]
    Revoked {
        /// Its id.
        #[cbor(n(0), with = "minicbor::bytes")]
        device: [u8; 16],
        /// When, by the hub's clock.
        #[n(1)]
        at: UnixMillis,
    },
    /// An invitation was used.
    #[n(1)]
    InvitationUsed {
        /// The SHA-256 of its token.
        #[cbor(n(0), with = "minicbor::bytes")]
        token_hash: [u8; 32],
        /// When, by the hub's clock.
        #[n(1)]
        at: UnixMillis,
    },
    /// This device was enrolled. Only the device itself is told.
    #[n(2)]
    Enrolled {
        /// Its id.
        #[cbor(n(0), with = "minicbor::bytes")]
        device: [u8; 16],
        /// Its public key (Ed25519).
        #[cbor(n(1), with = "minicbor::bytes")]
        public_key: [u8; 32],
        /// The venue.
        #[n(2)]
        venue: VenueId,
        /// The desk's name, for people.
        #[n(3)]
        name: String,
        /// When, by the hub's clock.
        #[n(4)]
        at: UnixMillis,
    },
}

impl Notice {
    /// When it was stated, by the hub's clock.
    pub fn at(&self) -> UnixMillis {
        match self {
            Self::Revoked { at, .. }
            | Self::InvitationUsed { at, .. }
            | Self::Enrolled { at, .. } => *at,
        }
    }

    /// The device that it is about, if it is about one.
    pub fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Revoked { device, .. } | Self::Enrolled { device, .. } => Some(DeviceId(*device)),
            Self::InvitationUsed { .. } => None,
        }
    }
}

/// A notice as it is kept and sent: its bytes as they were signed, so that whoever carries it need not understand it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct SignedNotice {
    /// [`Notice`] in CBOR.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub notice: Vec<u8>,
    /// The hub's Ed25519 signature, 64 bytes: [`crate::seal::HubKey::sign_notice`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// Why a signed notice says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoticeError {
    /// It was not signed by this hub, or was changed.
    #[error("the notice was not signed by this hub")]
    Signature,
    /// It is of a kind that this version does not know.
    #[error("the notice cannot be read: {why}")]
    Contents {
        /// What the decoder met.
        why: String,
    },
}
