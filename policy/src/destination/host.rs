use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Longest DNS name, in bytes, without a trailing dot (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// Longest label of a DNS name, in bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// A canonical host: a lower-case LDH name whose last label is not numeric, or a canonical IP literal. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name, lower case, without a trailing dot.
    Name(Arc<str>),
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
        if text.is_empty() {
            return Err("the host is empty");
        }
        if let Some(rest) = text.strip_prefix('[') {
            let literal = rest.strip_suffix(']').ok_or("the bracket of the IPv6 address is not closed")?;
            return parse_ipv6(literal);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(IpAddr::V4(ip)));
        }
        check_name(text)?;
        let is_folded = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        Ok(Self::Name(if is_folded { text.into() } else { text.to_ascii_lowercase().into() }))
    }
}

fn parse_ipv6(literal: &str) -> Result<Host, &'static str> {
    if literal.contains('%') {
        return Err("an IPv6 address with a zone id is not a destination");
    }
    let ip: Ipv6Addr = literal.parse().map_err(|_| "the brackets do not hold an IPv6 address")?;
    if ip.to_string() != literal.to_ascii_lowercase() {
        return Err("the IPv6 address is not in its canonical form");
    }
    Ok(Host::Ip(IpAddr::V6(ip)))
}

/// Checks an LDH name whose last label is not numeric. A name that is only `*.` away from one is checked by its suffix.
fn check_name(text: &str) -> Result<(), &'static str> {
    if text.len() > NAME_BYTES_MAX {
        return Err("the host is longer than 253 bytes");
    }
    text.split('.').try_for_each(check_label)?;
    let last = text.rsplit('.').next().unwrap_or(text);
    if is_numeric(last) {
        return Err("the host ends in a number but is not a canonical IPv4 address");
    }
    Ok(())
}

/// A punycode label without an extended part would decode to plain ASCII; it ends in a hyphen and is refused with the others
/// (RFC 3492, section 3.1).
fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("the host has an empty label");
    }
    if label.len() > LABEL_BYTES_MAX {
        return Err("the host has a label longer than 63 bytes");
    }
    if !label.is_ascii() {
        return Err("the host is not ASCII: write its `xn--` form");
    }
    if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("the host holds a character other than letters, digits, hyphens and dots");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("the host has a label that starts or ends with a hyphen");
    }
    if label.len() >= 4
        && label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
        && !label.get(4..).is_some_and(holds_extended_part)
    {
        return Err("the host has an `xn--` label that decodes to ASCII");
    }
    Ok(())
}

/// Whether punycode holds at least one code point beyond ASCII: something follows its last hyphen.
fn holds_extended_part(punycode: &str) -> bool {
    punycode.rsplit('-').next().is_some_and(|extended| !extended.is_empty())
}

/// A last label that address parsers read as a number: digits, or `0x` and hexadecimal digits.
fn is_numeric(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit()) || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Parses an authority `host[:port]`; the port is `[1-9][0-9]{0,4}` ≤ 65535.
///
/// # Errors
/// What is wrong with it: userinfo, an empty or padded port, a list, a bad host.
pub fn parse_authority(text: &str) -> Result<(Host, Option<u16>), &'static str> {
    if text.contains('@') {
        return Err("the authority holds user information");
    }
    let host_bytes = if text.starts_with('[') {
        text.find(']').map(|end| end.saturating_add(1)).ok_or("the bracket of the IPv6 address is not closed")?
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at_checked(host_bytes).ok_or("the host is not ASCII: write its `xn--` form")?;
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(parse_port(digits)?),
        None if rest.is_empty() => None,
        None => return Err("something other than a port follows the host"),
    };
    Ok((Host::parse(host)?, port))
}

/// Parses a port: `[1-9][0-9]{0,4}` ≤ 65535.
pub(crate) fn parse_port(digits: &str) -> Result<u16, &'static str> {
    const WRONG: &str = "the port is not a number from 1 to 65535 without leading zeros";
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if !plain {
        return Err(WRONG);
    }
    digits.parse().map_err(|_| WRONG)
}

/// An exact host, or `*.` one or more whole labels before a suffix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host only.
    Exact(Host),
    /// `*.` suffix: at least one more whole label; holds the suffix without the `*.`.
    Under(Arc<str>),
}

impl fmt::Display for HostPattern {
    /// As the policy spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Under(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl HostPattern {
    /// Parses a host or `*.` and a suffix.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(suffix) = text.strip_prefix("*.") else {
            if text.contains('*') {
                return Err("a wildcard stands for whole labels at the start, as in `*.example.com`");
            }
            return Host::parse(text).map(Self::Exact);
        };
        match Host::parse(suffix)? {
            Host::Name(name) => Ok(Self::Under(name)),
            Host::Ip(_) => Err("a wildcard cannot stand before an address"),
        }
    }

    /// Whether a host matches.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(own), _) => own == host,
            (Self::Under(suffix), Host::Name(name)) => is_under(name, suffix),
            (Self::Under(_), Host::Ip(_)) => false,
        }
    }

    /// Whether every host that `other` matches is matched by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Exact(_), Self::Under(_)) => false,
            (Self::Under(suffix), Self::Under(inner)) => inner == suffix || is_under(inner, suffix),
        }
    }

    /// Whether it is a wildcard over a public suffix, such as `*.com`, `*.co.uk` or `*.github.io`: hosts of owners that know nothing of each
    /// other. The suffix of a private network (`*.internal`, `*.test`) is none.
    #[must_use]
    pub fn spans_public_suffix(&self) -> bool {
        self.spans_suffix(|_| true)
    }

    /// As [`Self::spans_public_suffix`], for the suffixes of registries alone (`*.co.uk`), not those of a provider for its customers
    /// (`*.s3.amazonaws.com`).
    #[must_use]
    pub fn spans_registry(&self) -> bool {
        self.spans_suffix(|kind| kind == psl::Type::Icann)
    }

    /// The pattern for everything under its registrable domain (`api.example.co.uk` → `*.example.co.uk`), or under itself where it has none. An
    /// address stays as it is.
    ///
    /// The one other use of the list of public suffixes: a crate that asks it by itself carries another 700 KB of code.
    #[must_use]
    pub fn under_registrable_domain(&self) -> Self {
        match self {
            Self::Exact(Host::Ip(_)) => self.clone(),
            Self::Exact(Host::Name(name)) | Self::Under(name) => {
                let domain = psl::domain(name.as_bytes()).and_then(|domain| std::str::from_utf8(domain.trim().as_bytes()).ok());
                Self::Under(domain.unwrap_or(name).into())
            }
        }
    }

    fn spans_suffix(&self, counts: impl Fn(psl::Type) -> bool) -> bool {
        let Self::Under(suffix) = self else { return false };
        // The list has wildcards of its own: every label before `compute.amazonaws.com` makes a suffix.
        [suffix.to_string(), format!("label.{suffix}")].iter().any(|name| {
            psl::suffix(name.as_bytes()).is_some_and(|found| found.as_bytes() == name.as_bytes() && found.typ().is_some_and(&counts))
        })
    }
}

/// Whether a name has at least one more whole label before a suffix.
fn is_under(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_address_parsers_repair_is_refused() {
        for text in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.01",
            "1.2.3.4.5",
            "a.0x",
            "fe80::1",
            "[fe80::1%eth0]",
            "[::1%25lo]",
            "[::0001]",
            "[0:0:0:0:0:0:0:1]",
            "[::1",
            "::1]",
            "１２７.0.0.1",
            "bücher.example",
            "xn--",
            "xn--abc-",
            "XN--abc-.example",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a_b",
            "a b",
            "a,b",
            "a%2eb",
            "user@host",
            "a/b",
            "",
            "*",
            "*.a",
        ] {
            assert!(Host::parse(text).is_err(), "`{text}` was accepted");
        }
        assert!(Host::parse(&"a".repeat(64)).is_err());
        assert!(Host::parse(&["a"; 127].join(".")).is_ok());
        assert!(Host::parse(&["a"; 128].join(".")).is_err());
    }

    #[test]
    fn canonical_hosts_are_accepted_and_folded() {
        for (text, shown) in [
            ("API.Example.COM", "api.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn an_authority_has_at_most_one_canonical_port() {
        for text in [
            "x:99999",
            "x:0443",
            "x:",
            "x:+443",
            "x:-1",
            "x:0",
            "x:65536",
            "x:443:443",
            "user@x",
            "user:pass@x:443",
            "[::1]443",
            "[::1]:",
            "x:4 43",
            "x, y",
            "x:４",
            ":443",
            "[]:1",
        ] {
            assert!(parse_authority(text).is_err(), "`{text}` was accepted");
        }
        assert_eq!(parse_authority("x.test:65535").unwrap().1, Some(65535));
        assert_eq!(parse_authority("[::1]:8443").unwrap().1, Some(8443));
        assert_eq!(parse_authority("x.test").unwrap().1, None);
    }

    #[test]
    fn a_wildcard_stands_for_one_or_more_whole_labels() {
        let pattern = HostPattern::parse("*.Example.com").unwrap();
        for (host, matches) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("aexample.com", false),
            ("example.com.evil.test", false),
        ] {
            assert_eq!(pattern.matches(&Host::parse(host).unwrap()), matches, "{host}");
        }
        for text in ["*", "*.", "a.*.com", "*a.com", "**.a", "*.127.0.0.1", "*.*.com"] {
            assert!(HostPattern::parse(text).is_err(), "`{text}` was accepted");
        }
        assert!(HostPattern::parse("*.com").unwrap().spans_public_suffix());
        assert!(HostPattern::parse("*.co.uk").unwrap().spans_public_suffix());
        assert!(!HostPattern::parse("*.example.co.uk").unwrap().spans_public_suffix());
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_to_itself(text in "\\PC{0,40}|[a-zA-Z0-9.-]{1,40}|\\[[0-9a-f:]{1,20}\\]|[0-9]{1,3}(\\.[0-9]{1,3}){3}") {
            if let Ok(host) = Host::parse(&text) {
                let shown = host.to_string();
                prop_assert_eq!(Host::parse(&shown), Ok(host));
                prop_assert!(shown.eq_ignore_ascii_case(&text));
            }
        }

        #[test]
        fn every_address_parses_from_what_it_shows(four: [u8; 4], six: [u16; 8]) {
            for ip in [IpAddr::from(four), IpAddr::from(six)] {
                prop_assert_eq!(Host::parse(&Host::Ip(ip).to_string()), Ok(Host::Ip(ip)));
            }
        }

        #[test]
        fn an_authority_is_never_repaired(text in "\\PC{0,40}|[a-z0-9.@:\\[\\]-]{1,30}") {
            if let Ok((host, port)) = parse_authority(&text) {
                let shown = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
                prop_assert!(shown.eq_ignore_ascii_case(&text));
            }
        }
    }
}
