//! A connection to a broker: one a worker carries the requests of all its callers, and each says whose it is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use http::header::PROXY_AUTHORIZATION;
use http::request::Parts;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use keygress_policy::destination::{Host, Scheme};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::connect::{Target, speak_h1, speak_h2};
use super::dial::Dialer;
use super::pool::{Link, Shelf};
use crate::identity::{Identity, Loaded, Names, why_not};
use crate::refusal::{Code, Refusal};
use crate::statement::{Behalf, Channel, Of, PREFIX};
use crate::stream::Tcp;

/// A broker as the process is configured to reach it.
#[derive(Debug)]
pub struct Broker {
    /// Its name in the policy.
    pub name: Arc<str>,
    /// Where it is.
    pub host: Host,
    /// On which port.
    pub port: u16,
    /// The SPIFFE ID that its certificate must have; where there is none, the certificate must be for the host.
    pub spiffe_id: Option<String>,
    /// What proves us to it, and whom we trust to vouch for it.
    pub identity: Arc<Identity>,
}

/// The brokers of the process, by name.
pub type Brokers = HashMap<Arc<str>, Broker>;

/// Through which broker a request goes, and for whom: two that share it may share their way to the destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Via {
    /// The name of the broker.
    pub broker: Arc<str>,
    /// For whom.
    pub behalf: Behalf,
}

/// The connections to one broker.
#[derive(Default)]
pub(super) struct Trunk {
    pub(super) links: Rc<RefCell<Vec<Link>>>,
    /// Who makes the next one.
    pub(super) turn: Rc<Mutex<()>>,
}

/// One connection to a broker: what is said on it is signed for it alone.
pub(super) struct Wire {
    broker: Arc<str>,
    /// The name of the broker that its certificate has proven.
    audience: String,
    channel: Channel,
    identity: Arc<Identity>,
    loaded: Arc<Loaded>,
    announced: Cell<u64>,
}

impl Wire {
    /// The name of one more request.
    pub(super) fn announce(&self) -> Arc<str> {
        self.announced.set(self.announced.get() + 1);
        self.channel.trace(self.announced.get())
    }

    /// Whether our certificate is still the one that was shown on it.
    pub(super) fn is_current(&self) -> bool {
        Arc::ptr_eq(&self.loaded, &self.identity.now())
    }

    /// Says whose request it is.
    pub(super) fn state(&self, head: &mut Parts, shelf: &Shelf, path: &str, trace: &str) -> Result<(), Refusal> {
        let Some(via) = shelf.via() else { return Err(self.unavailable("nothing is known of the caller")) };
        let origin = format!("{}://{}", shelf.scheme, shelf.authority);
        let of = Of { method: head.method.as_str(), origin: &origin, path };
        let statement = self.loaded.signer.sign(&self.audience, trace, of, &via.behalf).map_err(|why| self.unavailable(why))?;
        let mut value = HeaderValue::try_from(format!("{PREFIX}{statement}")).map_err(|_| self.unavailable("it cannot be told"))?;
        value.set_sensitive(true);
        head.headers.insert(PROXY_AUTHORIZATION, value);
        Ok(())
    }

    /// Why there is no answer.
    pub(super) fn unavailable(&self, why: &str) -> Refusal {
        unavailable(&self.broker, why)
    }
}

fn unavailable(broker: &str, why: &str) -> Refusal {
    Refusal::new(Code::BrokerUnavailable, format!("broker `{broker}`: {why}"))
}

/// Makes a connection to the broker of this target.
pub(super) async fn connect(brokers: &Brokers, dialer: &Dialer, target: &Target<'_>) -> Result<Link, Refusal> {
    let name = target.via.map(|via| &**via).unwrap_or_default();
    let broker = brokers.get(name).ok_or_else(|| unavailable(name, "the process knows no broker of this name"))?;
    made(broker, dialer, target.http1_only).await.map_err(|refusal| unavailable(name, &refusal.detail))
}

async fn made(broker: &Broker, dialer: &Dialer, http1_only: bool) -> Result<Link, Refusal> {
    // The operator names the broker; no caller has a say in its address.
    let anywhere: [IpNet; 2] = [Ipv4Net::default().into(), Ipv6Net::default().into()];
    let (host, port) = (&broker.host, broker.port);
    let target = Target { scheme: Scheme::Https, host, port, allow_ips: &anywhere, http1_only, client_auth: None, via: None };
    let stream = Tcp(dialer.dial(&target).await?);
    let failed = |why: String| Refusal::new(Code::BrokerUnavailable, why);
    let loaded = broker.identity.now();
    let config = tls(broker, &loaded, http1_only).map_err(|_| failed("TLS cannot be set up".to_owned()))?;
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|_| failed("its name is none of DNS".to_owned()))?,
        Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
    };
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        failed(match cause {
            Some(error @ rustls::Error::InvalidCertificate(_)) => format!("its certificate {}", why_not(error)),
            Some(_) => "the TLS handshake failed".to_owned(),
            None => "it broke off during the TLS handshake".to_owned(),
        })
    })?;
    let connection = stream.get_ref().1;
    let channel = Channel::of(connection).ok_or_else(|| failed("the TLS handshake did not end".to_owned()))?;
    let is_h2 = connection.alpn_protocol() == Some(b"h2");
    if !is_h2 && !http1_only {
        return Err(failed("it does not speak HTTP/2: is it the `mtls` listener of a keygress?".to_owned()));
    }
    let audience = broker.spiffe_id.clone().unwrap_or_else(|| host.to_string());
    let (identity, broker) = (Arc::clone(&broker.identity), Arc::clone(&broker.name));
    let wire = Wire { broker, audience, channel, identity, loaded, announced: Cell::new(0) };
    let link = if is_h2 { speak_h2(stream).await } else { speak_h1(stream, &target).await };
    Ok(link?.over(Rc::new(wire)))
}

fn tls(broker: &Broker, loaded: &Loaded, http1_only: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let roots = Arc::clone(&loaded.roots);
    let builder = match &broker.spiffe_id {
        None => builder.with_root_certificates(roots),
        Some(id) => builder.dangerous().with_custom_certificate_verifier(Arc::new(HasSpiffeId { id: id.clone(), roots, algorithms })),
    };
    let mut config = builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&loaded.certified))));
    config.alpn_protocols = vec![if http1_only { b"http/1.1".to_vec() } else { b"h2".to_vec() }];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Verifies that a certificate comes from our authorities and has this SPIFFE ID, whatever its DNS names.
#[derive(Debug)]
struct HasSpiffeId {
    id: String,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for HasSpiffeId {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, above, now, self.algorithms.all)?;
        let names = Names::of(own).map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.spiffe_ids == [self.id.as_str()] {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
