//! Where a request goes: schemes, hosts, ports, methods, canonical paths. Strings become these types at the edge.

use std::fmt;
use std::net::IpAddr;

/// The scheme of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`: plaintext.
    Http,
    /// `https`: TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A canonical host: a lower-case LDH name whose last label is not numeric, or a canonical IP literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name, lower case, without a trailing dot.
    Name(Box<str>),
    /// An address literal.
    Ip(IpAddr),
}

impl fmt::Display for Host {
    /// As it stands in an authority: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl Host {
    /// Parses a host as it stands in an authority (IPv6 in brackets); upper case ASCII is folded, nothing else is repaired.
    ///
    /// # Errors
    /// What is wrong with it, for a refusal or a problem.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        unimplemented!("{text}")
    }
}

/// Parses an authority `host[:port]`; the port is `[1-9][0-9]{0,4}` ≤ 65535.
///
/// # Errors
/// What is wrong with it: userinfo, an empty or padded port, a list, a bad host.
pub fn parse_authority(text: &str) -> Result<(Host, Option<u16>), &'static str> {
    unimplemented!("{text}")
}

/// Says what makes a path ambiguous (`..`, `%2F`, `//`, …), where anything does.
#[must_use]
pub fn path_ambiguity(path: &str) -> Option<&'static str> {
    unimplemented!("{path}")
}

/// Whether keygress carries this method.
#[must_use]
pub fn is_listed(method: &http::Method) -> bool {
    unimplemented!("{method}")
}
