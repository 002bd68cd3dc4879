//! Invitations: what an operator gives a new desk, as a text or a QR code. It says where the hub
//! is, which key it has, and carries a token that works once.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What an invitation's text begins with.
const PREFIX: &str = "STEMPEL1";

/// An invitation. Its text has capital letters and digits only, so that its QR code is small.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Invitation {
    /// Where the hub listens: `host:port`, in the order to try them.
    #[n(0)]
    pub addresses: Vec<String>,
    /// The SHA-256 of the hub's public key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hub_key: [u8; 32],
    /// The one-time token.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub token: [u8; 16],
}

/// Why a text is not an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvitationError {
    /// It begins otherwise.
    #[error("an invitation begins with {PREFIX}")]
    Prefix,
    /// A letter was mistyped, or the end is missing.
    #[error("the invitation is not complete, or a letter was mistyped")]
    Damaged,
}

/// The name by which a hub's or a desk's public key is pinned.
pub fn key_fingerprint(public_key: &[u8]) -> [u8; 32] {
    Sha256::digest(public_key).into()
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = minicbor::to_vec(self).map_err(|_| fmt::Error)?;
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..4]);
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&bytes))
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation to {:?}", self.addresses)
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    /// Blanks, hyphens and line ends are passed over, and small letters taken for capitals.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain: String = text
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let encoded = plain.strip_prefix(PREFIX).ok_or(InvitationError::Prefix)?;
        let bytes =
            BASE32_NOPAD.decode(encoded.as_bytes()).map_err(|_| InvitationError::Damaged)?;
        let (contents, check) = bytes.split_last_chunk::<4>().ok_or(InvitationError::Damaged)?;
        if Sha256::digest(contents)[..4] != check[..] {
            return Err(InvitationError::Damaged);
        }
        minicbor::decode(contents).map_err(|_| InvitationError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_survives_being_typed_in_groups_and_a_wrong_letter_is_noticed() {
        let invitation = Invitation {
            addresses: vec!["hub.example:4433".to_owned()],
            hub_key: [3; 32],
            token: [5; 16],
        };
        let text = invitation.to_string();
        let typed: String = text.to_lowercase().chars().flat_map(|c| [c, ' ']).collect();
        assert_eq!(typed.parse(), Ok(invitation));
        let wrong = text.replacen('B', "C", 1);
        assert_eq!(wrong.parse::<Invitation>(), Err(InvitationError::Damaged));
        assert_eq!("hello".parse::<Invitation>(), Err(InvitationError::Prefix));
    }
}
