use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygress_policy::workload::Peer;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs::default_provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use super::Unproven;
use super::bearer::Issuers;
use crate::identity::{Identity, Names, public_key, why_not};
use crate::statement::{Behalf, Channel, Of, Verifier, Window};

/// How long a certificate that was good is taken for good on a connection that stays open.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Proves who is at the other end of mutual TLS: a keygress that speaks for its callers, or a workload itself.
#[derive(Debug)]
pub struct Peers {
    identity: Identity,
    issuers: Issuers,
}

impl Peers {
    /// Shows this certificate, and takes those that come from its authorities.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity, issuers: Issuers::default() }
    }

    /// Believes tokens of these issuers too.
    #[must_use]
    pub fn believing(self, issuers: Issuers) -> Self {
        Self { issuers, ..self }
    }

    /// The issuers whose tokens are believed.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// The TLS of one connection: 1.3 alone, and no session is resumed, as it would outlive its certificate.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn tls(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(Holder(provider.signature_verification_algorithms));
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let certified = SingleCertAndKey::from(self.identity.now().certified.clone());
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(certified));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Who has this certificate, with its chain.
    ///
    /// # Errors
    /// [`Unproven::NoCertificate`], [`Unproven::BadCertificate`].
    pub fn prove(&self, chain: &[CertificateDer<'static>]) -> Result<Peer, Unproven> {
        let (own, above) = chain.split_first().ok_or(Unproven::NoCertificate)?;
        let loaded = self.identity.now();
        let verifier = WebPkiClientVerifier::builder_with_provider(loaded.roots.clone(), Arc::new(default_provider())).build();
        let verifier = verifier.map_err(|_| Unproven::BadCertificate("comes from an authority that is not trusted"))?;
        verifier.verify_client_cert(own, above, UnixTime::now()).map_err(|error| Unproven::BadCertificate(why_not(&error)))?;
        let names = Names::of(own).map_err(|_| Unproven::BadCertificate("cannot be read"))?;
        let spiffe_id = match names.spiffe_ids.as_slice() {
            [] if names.dns_names.is_empty() => return Err(Unproven::BadCertificate("has neither a SPIFFE ID nor a DNS name")),
            [] => None,
            [id] => Some(id.clone()),
            // X509-SVID, section 2: exactly one URI.
            _ => return Err(Unproven::BadCertificate("has more than one SPIFFE ID")),
        };
        Ok(Peer { spiffe_id, dns_names: names.dns_names, workloads: Vec::new() })
    }
}

/// One connection of a peer that is proven, and what it says on it.
pub struct Guest {
    /// Who it is.
    pub peer: Peer,
    peers: Arc<Peers>,
    chain: Vec<CertificateDer<'static>>,
    channel: Channel,
    verifier: Result<Verifier, &'static str>,
    window: RefCell<Window>,
    proven: Cell<Instant>,
}

impl Guest {
    /// The guest that has this certificate, on the connection of this name.
    ///
    /// # Errors
    /// As [`Peers::prove`].
    pub fn new(peers: &Arc<Peers>, chain: Vec<CertificateDer<'static>>, channel: Channel) -> Result<Self, Unproven> {
        let peer = peers.prove(&chain)?;
        let key = chain
            .first()
            .ok_or(Unproven::NoCertificate)
            .and_then(|own| public_key(own).map_err(|_| Unproven::BadCertificate("cannot be read")))?;
        let (window, proven) = (RefCell::default(), Cell::new(Instant::now()));
        Ok(Self { peer, peers: Arc::clone(peers), chain, channel, verifier: Verifier::new(&key), window, proven })
    }

    /// Whether its certificate would still be taken: it may have expired since, and authorities may have gone.
    ///
    /// # Errors
    /// As [`Peers::prove`].
    pub fn is_good(&self) -> Result<(), Unproven> {
        if self.proven.get().elapsed() >= GOOD_FOR {
            self.peers.prove(&self.chain)?;
            self.proven.set(Instant::now());
        }
        Ok(())
    }

    /// On whose behalf it says that a request is, and the name of the request on both sides.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn says(&self, statement: &str, of: Of<'_>) -> Result<(Behalf, Arc<str>), &'static str> {
        let verifier = self.verifier.as_ref().map_err(|why| *why)?;
        let names = &self.peers.identity.now().names;
        let (behalf, number) = verifier.verify(statement, &self.channel, of, |broker| names.have(broker))?;
        if !self.window.borrow_mut().take(number) {
            return Err("the statement was made before");
        }
        Ok((behalf, self.channel.trace(number)))
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Takes every certificate whose key the other end holds. What it proves is decided when the handshake is through, by [`Peers::prove`], so
/// that its holder can be told in an answer why it is refused.
struct Holder(WebPkiSupportedAlgorithms);

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Holder")
    }
}

impl ClientCertVerifier for Holder {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
