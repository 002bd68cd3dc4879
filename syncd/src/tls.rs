//! The desk's end of QUIC: TLS 1.3 with raw Ed25519 keys (RFC 7250), the hub's key pinned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sync_protocol::invitation::key_fingerprint;
use sync_protocol::message::ALPN;

/// So often a silent link is shown to be alive.
pub const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// After so long without a word a link is given up.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
pub(crate) const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// Takes the hub whose key is pinned and no other; notes when another one answered.
#[derive(Debug)]
pub struct PinnedHub {
    fingerprint: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
    /// Whether a hub with another key answered.
    pub other_key: AtomicBool,
}

impl ServerCertVerifier for PinnedHub {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = end_entity.as_ref().strip_prefix(&ED25519_SPKI_PREFIX);
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
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Why QUIC cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key or the configuration does not fit.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] Error),
    /// The cipher suite that QUIC begins with is missing.
    #[error("TLS cannot be set up for QUIC: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// The configuration with which a desk calls its hub. `key` is its private key in PKCS#8.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(
    key: &[u8],
    hub_key: [u8; 32],
) -> Result<(ClientConfig, Arc<PinnedHub>), TlsError> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let signing = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_vec()))?;
    let public =
        signing.public_key().ok_or(Error::General("the key has no public half".to_owned()))?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], signing);
    let pinned = Arc::new(PinnedHub {
        fingerprint: hub_key,
        algorithms: provider.signature_verification_algorithms,
        other_key: AtomicBool::new(false),
    });
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(pinned.clone())
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(
            certified,
        ))));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_sni = false;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok())
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    config.transport_config(Arc::new(transport));
    Ok((config, pinned))
}
