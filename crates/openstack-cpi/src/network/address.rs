//! An address or a range, as Neutron takes them for an allowed address pair.

use std::fmt;
use std::net::IpAddr;

/// An address with a prefix length. Host bits may be set: Neutron does not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    address: IpAddr,
    prefix: u8,
}

impl Range {
    /// Reads `10.0.0.9`, `10.0.0.0/24`, `2001:db8::9` or `2001:db8::/64`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(prefix))
            }
            Some(_) => return None,
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = longest_prefix(address);
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest)?,
        };
        Some(Self { address, prefix })
    }

    /// The one address, if it is one.
    pub fn host(self) -> Option<IpAddr> {
        (self.prefix == longest_prefix(self.address)).then_some(self.address)
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        match (bits(self.address), bits(address)) {
            ((own, 32), (other, 32)) => same_prefix(own << 96, other << 96, self.prefix),
            ((own, 128), (other, 128)) => same_prefix(own, other, self.prefix),
            _ => false,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

fn longest_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

fn same_prefix(a: u128, b: u128, prefix: u8) -> bool {
    prefix == 0 || (a ^ b) >> (128 - u32::from(prefix)) == 0
}

/// Reads a MAC address in any of the usual spellings and writes it as Neutron does.
pub fn parse_mac(text: &str) -> Option<String> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let octets: Vec<u8> = text
        .split(separator)
        .map(|octet| if octet.len() <= 2 { u8::from_str_radix(octet, 16).ok() } else { None })
        .collect::<Option<_>>()?;
    let octets: [u8; 6] = octets.try_into().ok()?;
    Some(octets.map(|octet| format!("{octet:02x}")).join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_both_families() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let range = |text: &str| Range::parse(text).unwrap();
        assert_eq!(range("10.0.0.9").host(), Some(address("10.0.0.9")));
        assert_eq!(range("10.0.0.9/32").host(), Some(address("10.0.0.9")));
        assert_eq!(range("2001:db8::9/128").host(), Some(address("2001:db8::9")));
        assert_eq!(range("10.0.0.0/24").host(), None);
        assert!(range("10.0.0.77/24").contains(address("10.0.0.1")), "host bits may be set");
        assert!(!range("10.0.0.0/24").contains(address("10.0.1.1")));
        assert!(range("1.1.1.1/0").contains(address("255.0.0.1")));
        assert!(!range("1.1.1.1/0").contains(address("::1")), "families do not mix");
        assert!(range("2001:db8::/64").contains(address("2001:db8::ffff")));
        assert!(range("::/0").contains(address("2001:db8::ffff")));
    }

    #[test]
    fn what_is_no_range() {
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/", "vip", "10.0.0.1/+8"]
        {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn macs() {
        assert_eq!(parse_mac("00:00:5E:00:01:0A").as_deref(), Some("00:00:5e:00:01:0a"));
        assert_eq!(parse_mac("0-0-5e-0-1-a").as_deref(), Some("00:00:5e:00:01:0a"));
        assert_eq!(parse_mac("00:00:5e:00:01"), None);
        assert_eq!(parse_mac("00:00:5e:00:01:zz"), None);
    }
}
