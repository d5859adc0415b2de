//! Which addresses may be dialled: one bad address refuses the whole answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Link-local and metadata addresses: never, whatever the policy says.
    Never,
    /// Private, loopback, shared or reserved: only where `allow_ips` names it.
    Private,
}

/// Checks one resolved address against what the rule permits.
///
/// # Errors
/// [`Bad`].
pub fn check(address: IpAddr, allow: &[IpNet]) -> Result<(), Bad> {
    if is_never(address) {
        return Err(Bad::Never);
    }
    if is_public(address) || allow.iter().any(|net| net.contains(&address)) {
        return Ok(());
    }
    Err(Bad::Private)
}

/// Link-local (and with it 169.254.169.254 and fe80::), the IPv6 metadata addresses of AWS and GCP, and the IPv4 ones outside link-local.
fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == Ipv4Addr::new(168, 63, 129, 16) || v4 == Ipv4Addr::new(100, 100, 100, 200),
        IpAddr::V6(v6) => {
            (v6.segments()[0] & 0xffc0) == 0xfe80
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || v6 == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)
                || embedded_v4(v6).is_some_and(|v4| is_never(IpAddr::V4(v4)))
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(a == 0
                || a == 10
                || (a == 100 && (64..128).contains(&b))
                || a == 127
                || (a == 172 && (16..32).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 168)
                || (a == 198 && (b == 18 || b == 19))
                || a >= 224)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            !(v6.is_unspecified()
                || v6.is_loopback()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfec0
                || (first & 0xff00) == 0xff00
                || v6.segments()[..6].iter().all(|segment| *segment == 0) // v4-compatible
                || v6.to_ipv4_mapped().is_some()
                || (first == 0x64 && second == 0xff9b) // NAT64, RFC 6052 and RFC 8215
                || first == 0x2002 // 6to4
                || (first == 0x2001 && second == 0)) // Teredo
        }
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, _, _, _, high, low] = v6.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (first, second) {
        (0x64, 0xff9b) => Some(from(high, low)),
        (0x2002, _) => Some(from(second, third)),
        _ => v6.to_ipv4(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_refused_ranges() {
        for private in [
            "0.0.0.1",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
            "ff02::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "2002:808:808::1",
            "2001::1",
        ] {
            assert_eq!(check(private.parse().unwrap(), &[]), Err(Bad::Private), "{private}");
        }
        for never in [
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            let all = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
            assert_eq!(check(never.parse().unwrap(), &all), Err(Bad::Never), "{never}");
        }
        for public in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860::1",
        ] {
            assert_eq!(check(public.parse().unwrap(), &[]), Ok(()), "{public}");
        }
    }

    #[test]
    fn allow_ips_permits_what_it_names_and_nothing_else() {
        let allow = ["127.0.0.0/8".parse().unwrap()];
        assert_eq!(check("127.0.0.1".parse().unwrap(), &allow), Ok(()));
        assert_eq!(check("10.0.0.1".parse().unwrap(), &allow), Err(Bad::Private));
    }
}
