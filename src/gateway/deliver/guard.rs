//! Where call-backs may go: to public addresses, and to private ones that the topology names. An address
//! is checked after the name was looked up, and it is the one that is connected to: a name that changes
//! its mind in between gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, Default)]
pub struct Guard {
    networks: Vec<(IpAddr, u8)>,
    /// Hosts by name, whatever their addresses.
    names: Vec<String>,
}

/// A call-back's address, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
    /// With its query.
    pub path: String,
    /// Host and port as the Host header has them.
    pub authority: String,
}

impl Target {
    pub fn parse(url: &str) -> Result<Target, String> {
        let expected = || format!("`{url}` is no http:// or https:// address");
        let uri: http::Uri = url.parse().map_err(|_| expected())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(expected()),
        };
        let authority = uri.authority().ok_or_else(expected)?;
        if authority.as_str().contains('@') {
            return Err("a call-back's address holds no user and password: the call is signed".into());
        }
        let host = authority.host().trim_matches(['[', ']']).to_string();
        if host.is_empty() {
            return Err(expected());
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/".to_string(), ToString::to_string);
        Ok(Target { is_tls, host, port, path, authority: authority.to_string() })
    }
}

impl Guard {
    /// Addresses (`127.0.0.1`), networks (`10.0.0.0/8`) and names (`hooks.internal`).
    pub fn new(allowed: &[String]) -> Result<Guard, String> {
        let mut guard = Guard::default();
        for text in allowed {
            let (address, bits) = match text.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (text.as_str(), None),
            };
            let Ok(address) = address.parse::<IpAddr>() else {
                if bits.is_some() {
                    return Err(format!("`{text}` is no network such as 10.0.0.0/8"));
                }
                guard.names.push(text.to_ascii_lowercase());
                continue;
            };
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Ok(most), |bits| bits.parse::<u8>());
            let bits = bits.ok().filter(|bits| *bits <= most);
            guard
                .networks
                .push((address, bits.ok_or_else(|| format!("`{text}` is no network such as 10.0.0.0/8"))?));
        }
        Ok(guard)
    }

    /// Why a call-back may not go there.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), String> {
        let address = unmapped(address);
        let is_named = self.names.iter().any(|name| host.eq_ignore_ascii_case(name));
        if is_public(address) || is_named || self.networks.iter().any(|network| contains(*network, address)) {
            return Ok(());
        }
        Err(format!(
            "{address} is a private address; callbacks = [\"{address}\"] under [gateway] in the topology allows it"
        ))
    }
}

fn contains((network, bits): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

/// The IPv4 address that an IPv6 one stands for, if it does.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b) {
        // "This network", shared by carriers, protocol assignments, benchmarks, reserved and broadcast.
        (0, _) | (100, 64..=127) | (198, 18..=19) | (240..=255, _) => true,
        (192, 0) => c == 0,
        _ => false,
    };
    !(is_special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match parts {
        // NAT64 and 6to4 lead to the IPv4 address within.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Only 2000::/3 is given out; of that, documentation and benchmarks go nowhere.
        [0x2001, 0xdb8, ..] | [0x2001, 0x2, 0, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_must_be_named() {
        let guard = Guard::new(&[
            "127.0.0.1".into(),
            "10.1.0.0/16".into(),
            "hooks.internal".into(),
            "fd00::/8".into(),
        ])
        .unwrap();
        let may = |host: &str, address: &str| guard.check(host, address.parse().unwrap()).is_ok();
        for public in ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(may("x", public), "{public}");
        }
        for named in ["127.0.0.1", "10.1.2.3", "fd00::1", "::ffff:127.0.0.1"] {
            assert!(may("x", named), "{named}");
        }
        assert!(may("HOOKS.internal", "192.168.0.1"));
        for private in [
            "127.0.0.2",
            "10.2.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:10.2.0.1",
            "64:ff9b::a02:1",
            "2002:a02:1::1",
            "::10.2.0.1",
        ] {
            assert!(!may("x", private), "{private}");
        }
        assert!(Guard::new(&["10.0.0.0/33".into()]).is_err() && Guard::new(&["a/b".into()]).is_err());
    }

    #[test]
    fn addresses_are_taken_apart() {
        let target = Target::parse("http://127.0.0.1:3000/callback?a=1").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.path.as_str()),
            ("127.0.0.1", 3000, "/callback?a=1")
        );
        let target = Target::parse("https://[2606:4700::1111]").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.path.as_str(), target.is_tls),
            ("2606:4700::1111", 443, "/", true)
        );
        for bad in ["ftp://x/", "x", "http://", "http://u:p@h/", "file:///etc/passwd", ""] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
