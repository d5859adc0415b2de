use hyper::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::super::http::{Endpoint, Fault, Http};
use super::*;

const TOKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 47\r\n\r\n{\"access_token\":\"canary\",\"token_type\":\"Bearer\"}";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A certificate of this authority and its key, in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Serves one connection with a certificate for this name that is valid until this year, and answers with these bytes.
    pub(super) async fn serve(&self, name: &str, year: i32, answer: &'static [u8]) -> u16 {
        self.serve_clients(name, year, answer, None).await
    }

    /// The same for clients that show a certificate of this authority alone.
    async fn serve_known(&self, name: &str, answer: &'static [u8]) -> u16 {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider).build().unwrap();
        self.serve_clients(name, 4000, answer, Some(verifier)).await
    }

    async fn serve_clients(&self, name: &str, year: i32, answer: &'static [u8], verifier: Option<Arc<dyn ClientCertVerifier>>) -> u16 {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = match verifier {
            Some(verifier) => versions.with_client_cert_verifier(verifier),
            None => versions.with_no_client_auth(),
        };
        let config = config.with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        });
        port
    }
}

async fn call(roots: Arc<RootCertStore>, port: u16) -> Result<Vec<u8>, Fault> {
    let endpoint = Endpoint::parse(&format!("https://127.0.0.1:{port}/token")).unwrap();
    let answer = Http::new(roots).post(&endpoint, HeaderMap::new(), Zeroizing::default()).await?;
    Ok(answer.body.to_vec())
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_name_is_accepted() {
    let authority = Authority::new();
    let port = authority.serve("127.0.0.1", 4000, ANSWER).await;
    assert_eq!(call(authority.roots(), port).await.unwrap(), b"{}");
}

#[tokio::test]
async fn any_other_certificate_is_refused_and_the_fault_named() {
    let authority = Authority::new();
    let port = authority.serve("127.0.0.1", 4000, ANSWER).await;
    assert_eq!(call(Authority::new().roots(), port).await.unwrap_err(), Fault::CertificateIssuer);
    let port = authority.serve("issuer.test", 4000, ANSWER).await;
    assert_eq!(call(authority.roots(), port).await.unwrap_err(), Fault::CertificateName);
    let port = authority.serve("127.0.0.1", 2020, ANSWER).await;
    assert_eq!(call(authority.roots(), port).await.unwrap_err(), Fault::CertificateExpired);
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_the_policy_names_one() {
    let world = World::new().await;
    let authority = Authority::new();
    let (certificate, key) = authority.issue("keygress");
    world.write("client.pem", &certificate);
    world.write("client-key.pem", &key);
    let tools = Tools::new(authority.roots());
    let source = |port: u16| {
        let (certificate, key) = (world.path("client.pem"), world.path("client-key.pem"));
        let auth = format!("tls_client_auth: {{ certificate: {}, key: {} }}", certificate.display(), key.display());
        source_of(&format!(
            "oauth2_client_credentials: {{ token_url: \"https://127.0.0.1:{port}/token\", client_id: app, auth: {{ {auth} }} }}"
        ))
    };
    let port = authority.serve_known("127.0.0.1", TOKEN).await;
    let fetched = source(port).provider().fetch(&tools, &purpose()).await.unwrap();
    assert!(matches!(&fetched.material, Material::Token(token) if token.is(b"canary")));

    let port = authority.serve_known("127.0.0.1", TOKEN).await;
    assert_eq!(call(authority.roots(), port).await.unwrap_err(), Fault::Broken, "whoever shows none is not answered");

    let (certificate, key) = Authority::new().issue("keygress");
    world.write("client-key.pem", &key);
    let port = authority.serve_known("127.0.0.1", TOKEN).await;
    let reason = source(port).provider().fetch(&tools, &purpose()).await.unwrap_err();
    assert_eq!(reason, "the token endpoint cannot be called with this client certificate and key: they do not belong together");
    world.write("client.pem", &certificate);
    let port = authority.serve_known("127.0.0.1", TOKEN).await;
    let reason = source(port).provider().fetch(&tools, &purpose()).await.unwrap_err();
    assert_eq!(reason, "the token endpoint gave no whole HTTP answer", "of another authority");
    world.write("client.pem", "canary");
    let reason = source(port).provider().fetch(&tools, &purpose()).await.unwrap_err();
    assert!(reason.ends_with("holds no certificate in PEM") && !reason.contains("canary"), "{reason}");
}

#[tokio::test]
async fn a_broken_answer_is_a_fault() {
    let authority = Authority::new();
    for answer in [&b""[..], b"\x16\x03\x01garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}"] {
        let port = authority.serve("127.0.0.1", 4000, answer).await;
        assert_eq!(call(authority.roots(), port).await.unwrap_err(), Fault::Broken);
    }
}
