//! Something sealed to a key (HPKE, RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305): whoever holds the
//! private half opens it, nobody else. The form is HPKE's encapsulated key, then the ciphertext.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

/// Bytes of an X25519 key, and of HPKE's encapsulated key.
pub(crate) const KEY_BYTES: usize = 32;

/// A key pair that opens.
pub(crate) struct OpeningKey {
    private: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: [u8; KEY_BYTES],
}

impl OpeningKey {
    /// The key pair of this seed of 32 secret bytes.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = X25519HkdfSha256::derive_keypair(seed);
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(&public.to_bytes());
        Self { private, public: bytes }
    }

    /// What others seal to.
    pub(crate) fn public(&self) -> [u8; KEY_BYTES] {
        self.public
    }

    /// What was sealed to this key in this context, bound to these bytes; nothing where it was not.
    pub(crate) fn open(
        &self,
        context: &[u8],
        bound_to: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (encapped, ciphertext) = sealed.split_at_checked(KEY_BYTES)?;
        let encapped = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapped).ok()?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapped,
            context,
            ciphertext,
            bound_to,
        )
        .ok()
        .map(Zeroizing::new)
    }
}

/// Seals to a public key, in a context (what is sealed for one thing never passes for another) and bound
/// to these bytes. Nothing where the key is none.
pub(crate) fn seal(
    to: &[u8; KEY_BYTES],
    context: &[u8],
    bound_to: &[u8],
    plain: &[u8],
    random: &mut impl CryptoRng,
) -> Option<Vec<u8>> {
    let to = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(to).ok()?;
    let (encapped, ciphertext) = hpke::single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &to, context, plain, bound_to, random)
    .ok()?;
    Some([&encapped.to_bytes()[..], &ciphertext].concat())
}
