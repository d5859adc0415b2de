use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::http::uri::{PathAndQuery, Scheme, Uri};
use rustls::pki_types::ServerName;

use super::Fault;

/// Addresses at which clouds tell about the machine; beside the link-local ones.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Of them, those that hand out credentials: on machines, in containers and in pods. Only a provider that is made for one calls it.
const HANDING_OUT_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(169, 254, 170, 2), Ipv4Addr::new(169, 254, 170, 23)];
const HANDING_OUT_V6: [Ipv6Addr; 2] = [METADATA_V6, Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)];

/// The name of the metadata server on Google's machines.
const METADATA_NAME: &str = "metadata.google.internal";

/// Where a provider calls: an URL that was read once, when the policy was loaded or before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Endpoint {
    pub(super) tls: bool,
    pub(super) host: String,
    port: u16,
    pub(super) authority: String,
    pub(super) path: PathAndQuery,
    reach: Reach,
}

/// Which addresses an endpoint may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Any but link-local and metadata addresses.
    Issuer,
    /// Those that hand out credentials of the machine, and loopback.
    Metadata,
}

impl Endpoint {
    /// Reads an URL.
    ///
    /// # Errors
    /// What is wrong with it, as (message, help).
    pub(in super::super) fn parse(text: &str) -> Result<Self, (String, String)> {
        Self::read(text, Reach::Issuer)
    }

    /// Reads an URL of an endpoint that hands out credentials of the machine, container or pod: plain `http` is usual there.
    ///
    /// # Errors
    /// As [`Endpoint::parse`]; and where its host is something else.
    pub(in super::super) fn metadata(text: &str) -> Result<Self, (String, String)> {
        Self::read(text, Reach::Metadata)
    }

    /// The same place with another path and query.
    ///
    /// # Errors
    /// Where that is no path.
    pub(in super::super) fn at(&self, path: &str) -> Result<Self, (String, String)> {
        let parsed = path.starts_with('/').then(|| path.parse().ok()).flatten();
        let path = parsed.ok_or_else(|| (format!("`{path}` is not a path"), "write a path such as `/v1/secret`".to_owned()))?;
        Ok(Self { path, ..self.clone() })
    }

    /// Its path without the query, and without a slash at the end.
    pub(in super::super) fn base(&self) -> &str {
        self.path.path().trim_end_matches('/')
    }

    fn read(text: &str, reach: Reach) -> Result<Self, (String, String)> {
        let wrong = |what: &str| (format!("`{text}` {what}"), "write an URL such as `https://issuer.example.com/token`".to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong("is not an URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(wrong("is not a whole URL")) };
        if text.contains('#') || authority.as_str().contains('@') {
            return Err(wrong("holds a user or a fragment"));
        }
        let tls = *scheme == Scheme::HTTPS;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(wrong("has no host that can be called"));
        }
        if reach == Reach::Metadata && !hands_out(&host) {
            return Err(wrong("is not the address of a metadata server"));
        }
        if !tls && (*scheme != Scheme::HTTP || reach == Reach::Issuer && !is_loopback(&host)) {
            return Err(wrong("is not `https`: a secret goes there, so only loopback may be plain `http`"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) | None => authority.port_u16().filter(|port| *port > 0).ok_or_else(|| wrong("has no valid port"))?,
        };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { tls, host, port, authority: authority.to_string(), path, reach })
    }

    /// Resolves once and looks at every address: one that must not be called refuses all.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, Fault> {
        let addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(|_| Fault::Unresolved)?.collect();
        for address in &addresses {
            let ip = address.ip().to_canonical();
            self.reach.admit(ip)?;
            if !self.tls && self.reach == Reach::Issuer && !ip.is_loopback() {
                return Err(Fault::PlainOutside);
            }
        }
        Ok(addresses)
    }
}

impl Reach {
    fn admit(self, ip: IpAddr) -> Result<(), Fault> {
        let may = match self {
            Self::Issuer => !is_forbidden(ip),
            Self::Metadata => ip.is_loopback() || hands_out_at(ip),
        };
        if may { Ok(()) } else { Err(Fault::Forbidden(ip)) }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn hands_out(host: &str) -> bool {
    host == METADATA_NAME || is_loopback(host) || host.parse().is_ok_and(|ip: IpAddr| hands_out_at(ip.to_canonical()))
}

fn hands_out_at(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => HANDING_OUT_V4.contains(&ip),
        IpAddr::V6(ip) => HANDING_OUT_V6.contains(&ip),
    }
}

fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0 || METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => {
            let embedded = match ip.segments() {
                // NAT64 and the deprecated v4-compatible form carry an IPv4 address.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
                [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some((high, low)),
                _ => None,
            };
            embedded.is_some_and(|(high, low)| is_forbidden(IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))))
                || ip.is_unicast_link_local()
                || ip.is_multicast()
                || ip.is_unspecified()
                || HANDING_OUT_V6.contains(&ip)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> String {
        Endpoint::parse(url).unwrap_err().0
    }

    #[test]
    fn an_url_is_read_into_where_to_call() {
        let endpoint = Endpoint::parse("https://Issuer.test/oauth/token?v=2").unwrap();
        assert_eq!((endpoint.tls, endpoint.host.as_str(), endpoint.port), (true, "issuer.test", 443));
        assert_eq!(endpoint.path, "/oauth/token?v=2");
        assert_eq!(Endpoint::parse("http://127.0.0.1:8080/t").unwrap().port, 8080);
        assert_eq!(Endpoint::parse("http://localhost").unwrap().port, 80);
        assert_eq!(Endpoint::parse("https://[::1]:8443/").unwrap().host, "::1");
    }

    #[test]
    fn an_url_that_would_carry_a_secret_in_the_clear_is_refused() {
        assert!(fault("http://issuer.test/token").contains("only loopback may be plain `http`"));
        assert!(fault("http://10.0.0.1/token").contains("only loopback may be plain `http`"));
        assert!(fault("ftp://127.0.0.1/token").contains("is not `https`"));
    }

    #[test]
    fn an_url_that_can_be_read_in_two_ways_is_refused() {
        assert!(fault("https://user:word@issuer.test/").contains("holds a user or a fragment"));
        assert!(fault("https://issuer.test/#x").contains("holds a user or a fragment"));
        assert!(fault("https://issuer.test:99999/").contains("port") || fault("https://issuer.test:99999/").contains("is not an URL"));
        for url in ["", "issuer.test", "/token", "https://", "https://issuer.test:0/"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn link_local_and_metadata_addresses_are_never_called() {
        for ip in [
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "::",
            "ff02::1",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "::169.254.169.254",
        ] {
            assert!(is_forbidden(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!is_forbidden(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_metadata_server_is_called_by_the_provider_that_is_made_for_it_alone() {
        for url in ["http://169.254.169.254/latest", "http://169.254.170.23/v1", "http://[fd00:ec2::254]/", "http://127.0.0.1:9/"] {
            let endpoint = Endpoint::metadata(url).unwrap();
            assert!(endpoint.resolve().await.is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1/", "https://issuer.test/", "http://169.254.1.1/", "http://[fe80::1]/"] {
            assert!(Endpoint::metadata(url).unwrap_err().0.contains("metadata server"), "{url}");
        }
        let renamed = Endpoint { host: "192.0.2.1".to_owned(), ..Endpoint::metadata("http://metadata.google.internal/").unwrap() };
        assert_eq!(renamed.resolve().await.unwrap_err(), Fault::Forbidden("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn another_path_is_asked_for_at_the_same_place() {
        let bao = Endpoint::parse("https://bao.test:8200/base/").unwrap();
        assert_eq!(bao.base(), "/base");
        let secret = bao.at("/base/v1/secret?version=2").unwrap();
        assert_eq!((secret.path.as_str(), secret.authority.as_str()), ("/base/v1/secret?version=2", "bao.test:8200"));
        assert!(bao.at("v1 secret").is_err());
    }
}
