//! The two ends between keygress processes: the listener over mutual TLS, and the brokers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use keygress_policy::destination::{Host, parse_authority};

use super::Invalid;
use super::file;
use crate::identity::Files;

/// The listener for peers over mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutual {
    /// Its addresses, loopback or not.
    pub addresses: Vec<SocketAddr>,
    /// What it shows, and whom it trusts.
    pub files: Files,
    /// Whose tokens are believed of workloads without a certificate.
    pub issuers: Vec<TokenIssuer>,
}

/// An issuer whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIssuer {
    /// `iss`, exactly.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// Where its keys are.
    pub keys: KeySet,
    /// Whether its tokens are service-account tokens of a Kubernetes cluster, and prove pods.
    pub is_cluster: bool,
}

/// Where the keys of an issuer are (JWKS, RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySet {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url(String),
}

/// A broker, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its name in the policy.
    pub name: String,
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The SPIFFE ID of its certificate; without one the certificate is for the host.
    pub spiffe_id: Option<String>,
    /// What we show, and whom we trust.
    pub files: Files,
}

/// The flags of the listener.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MutualFlags {
    /// A TCP address for other keygress processes and workloads over mutual TLS, loopback or not; may be repeated.
    #[arg(long = "mtls", value_name = "ADDRESS", env = "KEYGRESS_MTLS", value_delimiter = ',')]
    mtls: Vec<SocketAddr>,
    /// The certificate of that listener, with its chain (PEM); read again when it changes.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_MTLS_CERTIFICATE")]
    mtls_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", env = "KEYGRESS_MTLS_KEY")]
    mtls_key: Option<PathBuf>,
    /// The authorities from which client certificates must come (PEM).
    #[arg(long, value_name = "FILE", env = "KEYGRESS_MTLS_CA")]
    mtls_ca: Option<PathBuf>,
}

impl MutualFlags {
    pub(super) fn over(self, file: Option<file::Mutual>) -> Result<Option<Mutual>, Invalid> {
        let (mut addresses, mut files) = (self.mtls, [self.mtls_certificate, self.mtls_key, self.mtls_ca]);
        let mut tokens = Vec::new();
        if let Some(file) = file {
            tokens = file.tokens;
            if addresses.is_empty() {
                addresses = file.address;
            }
            let of_file = [file.certificate, file.key, file.ca];
            files =
                files.into_iter().zip(of_file).map(|(flag, file)| flag.or(Some(file))).collect::<Vec<_>>().try_into().unwrap_or_default();
        }
        match (addresses.is_empty(), files) {
            (true, [None, None, None]) => Ok(None),
            (false, [Some(certificate), Some(key), Some(ca)]) => {
                let issuers = tokens.into_iter().map(issuer).collect::<Result<Vec<_>, _>>()?;
                once(&issuers)?;
                Ok(Some(Mutual { addresses, files: Files { certificate, key, ca }, issuers }))
            }
            (_, _) => {
                let help = "give `--mtls`, `--mtls-certificate`, `--mtls-key` and `--mtls-ca`, or all four under `listen: { mtls: … }`";
                Err(Invalid::with_help("the listener over mutual TLS is incomplete".to_owned(), help))
            }
        }
    }
}

fn issuer(file: file::TokenIssuer) -> Result<TokenIssuer, Invalid> {
    let file::TokenIssuer { issuer, audience, jwks, jwks_url, kubernetes } = file;
    if issuer.is_empty() || audience.is_empty() {
        let help = "an issuer gives tokens for many: `audience` is the one that means this broker";
        return Err(Invalid::with_help("an issuer under `tokens:` needs `issuer` and `audience`".to_owned(), help));
    }
    let keys = match (jwks, jwks_url) {
        (Some(file), None) => KeySet::File(file),
        (None, Some(url)) => KeySet::Url(url),
        (_, _) => {
            let help = "give `jwks`, a file, or `jwks_url`: the `jwks_uri` of its `/.well-known/openid-configuration`";
            return Err(Invalid::with_help(format!("the issuer `{issuer}` under `tokens:` needs exactly one place of its keys"), help));
        }
    };
    Ok(TokenIssuer { issuer, audience, keys, is_cluster: kubernetes })
}

/// One issuer, one set of keys: of two it would be chance which one is asked.
fn once(issuers: &[TokenIssuer]) -> Result<(), Invalid> {
    let mut names: Vec<_> = issuers.iter().map(|issuer| &issuer.issuer).collect();
    names.sort_unstable();
    match names.windows(2).find_map(|pair| (pair.first() == pair.last()).then(|| pair.first()).flatten()) {
        Some(twice) => Err(Invalid::with_help(format!("the issuer `{twice}` stands twice under `tokens:`"), "keep one of the two")),
        None => Ok(()),
    }
}

pub(super) fn brokers(file: BTreeMap<String, file::Broker>) -> Result<Vec<Broker>, Invalid> {
    file.into_iter().map(|(name, broker)| self::broker(name, broker)).collect()
}

fn broker(name: String, file: file::Broker) -> Result<Broker, Invalid> {
    let file::Broker { url, spiffe_id, certificate, key, ca } = file;
    let parsed = url.strip_prefix("https://").map(|rest| parse_authority(rest.strip_suffix('/').unwrap_or(rest)));
    let Some(Ok((host, port))) = parsed else {
        let help = "write `https://HOST:PORT`, where its `mtls` listener is";
        return Err(Invalid::with_help(format!("broker `{name}`: `{url}` is not where a broker can be"), help));
    };
    Ok(Broker { name, host, port: port.unwrap_or(443), spiffe_id, files: Files { certificate, key, ca } })
}
