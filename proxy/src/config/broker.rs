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
        if let Some(file) = file {
            if addresses.is_empty() {
                addresses = file.address;
            }
            let of_file = [file.certificate, file.key, file.ca];
            files =
                files.into_iter().zip(of_file).map(|(flag, file)| flag.or(Some(file))).collect::<Vec<_>>().try_into().unwrap_or_default();
        }
        match (addresses.is_empty(), files) {
            (true, [None, None, None]) => Ok(None),
            (false, [Some(certificate), Some(key), Some(ca)]) => Ok(Some(Mutual { addresses, files: Files { certificate, key, ca } })),
            (_, _) => {
                let help = "give `--mtls`, `--mtls-certificate`, `--mtls-key` and `--mtls-ca`, or all four under `listen: { mtls: … }`";
                Err(Invalid::with_help("the listener over mutual TLS is incomplete".to_owned(), help))
            }
        }
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
