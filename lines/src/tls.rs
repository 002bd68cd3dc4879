//! TLS 1.3 with raw Ed25519 keys (RFC 7250) instead of certificates. Whoever calls pins the key of who answers;
//! whoever answers takes any key whose holder proves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};
use sync_protocol::invitation::key_fingerprint;
use sync_protocol::message::ALPN;

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// A key as the other end shows it: rustls gives raw keys (`SubjectPublicKeyInfo`) the type of certificates.
pub type ShownKey = CertificateDer<'static>;

/// The 32 bytes of the Ed25519 key in a `SubjectPublicKeyInfo`.
pub fn ed25519_key(spki: &[u8]) -> Option<&[u8]> {
    spki.strip_prefix(&ED25519_SPKI_PREFIX).filter(|key| key.len() == 32)
}

/// Why TLS or QUIC cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key or the configuration does not fit.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] Error),
    /// The cipher suite that QUIC begins with is missing.
    #[error("TLS cannot be set up for QUIC: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// What both ends verify alike: signatures of TLS 1.3 by the raw key that was shown.
#[derive(Debug)]
struct Signatures(WebPkiSupportedAlgorithms);

impl Signatures {
    fn verify(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0)
    }

    /// TLS 1.2 is not offered, so nobody signs for it.
    fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }
}

/// Takes the end whose key is pinned and no other; notes when another one answered.
#[derive(Debug)]
pub struct PinnedKey {
    /// The SHA-256 of the key.
    fingerprint: [u8; 32],
    signatures: Signatures,
    /// Whether somebody with another key answered.
    pub other_key: AtomicBool,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ed25519_key(end_entity.as_ref());
        if key.is_some_and(|key| key_fingerprint(key) == self.fingerprint) {
            Ok(ServerCertVerified::assertion())
        } else {
            self.other_key.store(true, Ordering::Relaxed);
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Signatures::refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.0.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes any Ed25519 key whose holder proves it.
#[derive(Debug)]
struct AnyKey(Signatures);

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match ed25519_key(end_entity.as_ref()) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Signatures::refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.0.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The cryptography of both ends, and a private key in PKCS#8 with its public half as TLS shows it.
fn own(key: &[u8]) -> Result<(Arc<CryptoProvider>, Arc<CertifiedKey>), TlsError> {
    let signing = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_vec()))?;
    let public =
        signing.public_key().ok_or(Error::General("the key has no public half".to_owned()))?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], signing);
    Ok((Arc::new(ring::default_provider()), Arc::new(certified)))
}

/// How one calls: `key` is the caller's private key in PKCS#8, `pinned` the SHA-256 of the key that must answer.
///
/// # Errors
/// [`TlsError`].
pub fn calling(key: &[u8], pinned: [u8; 32]) -> Result<(ClientConfig, Arc<PinnedKey>), TlsError> {
    let (provider, own) = own(key)?;
    let pinned = Arc::new(PinnedKey {
        fingerprint: pinned,
        signatures: Signatures(provider.signature_verification_algorithms),
        other_key: AtomicBool::new(false),
    });
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(pinned.clone())
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own)));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_sni = false;
    Ok((tls, pinned))
}

/// How one answers: `key` is the answering end's private key in PKCS#8.
///
/// # Errors
/// [`TlsError`].
pub fn answering(key: &[u8]) -> Result<ServerConfig, TlsError> {
    let (provider, own) = own(key)?;
    let verifier = AnyKey(Signatures(provider.signature_verification_algorithms));
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own)));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    Ok(tls)
}
