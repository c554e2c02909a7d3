//! Frames, understood: adverts and announcements. Written from the standards and apart from the code under
//! test, so that a mistake there is not repeated here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Moment;

/// Protocol 112.
pub(crate) const VRRP: u8 = 112;

/// What a frame was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A VRRP advertisement.
    Advert(Advert),
    /// Gratuitous ARP or an unsolicited neighbour advertisement.
    Announcement(Announcement),
}

/// Which checksum a VRRP packet has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Over the message only: VRRPv2, and VRRPv3 over IPv4 by RFC 9568 §5.2.8.
    Message,
    /// Over a pseudo-header too: VRRPv3 over IPv6, and over IPv4 as keepalived sends it.
    PseudoHeader,
    /// Neither.
    Wrong,
}

/// An advertisement on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advert {
    /// When the kernel saw it enter the bridge.
    pub at: Moment,
    /// The host that sent it.
    pub from: Arc<str>,
    /// Of the Ethernet header.
    pub source_mac: [u8; 6],
    /// Of the IP header.
    pub source: IpAddr,
    /// Of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// 2 or 3, or what else it claims.
    pub version: u8,
    /// VRID.
    pub vrid: u8,
    /// Priority.
    pub priority: u8,
    /// Of the Advertisement interval field.
    pub interval: Duration,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Which form its checksum has.
    pub checksum: Checksum,
}

/// Gratuitous ARP or an unsolicited neighbour advertisement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// When the kernel saw it enter the bridge.
    pub at: Moment,
    /// The host that sent it.
    pub from: Arc<str>,
    /// What is announced.
    pub address: IpAddr,
    /// Where it is said to be.
    pub mac: [u8; 6],
}

impl fmt::Display for Advert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "v{} VRID {} prio {:<3} each {:?} {} -> {} ttl {} checksum {:?} {:?}",
            self.version,
            self.vrid,
            self.priority,
            self.interval,
            self.source,
            self.destination,
            self.ttl,
            self.checksum,
            self.addresses
        )
    }
}

/// Understands an Ethernet frame; `None` for what is neither of both.
pub fn decode(at: Moment, from: &Arc<str>, frame: &[u8]) -> Option<Seen> {
    let (ethernet, packet) = frame.split_at_checked(14)?;
    let source_mac: [u8; 6] = ethernet[6..12].try_into().ok()?;
    match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
        0x0806 => arp(at, from, packet),
        0x0800 => {
            let length: usize = u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]).into();
            let header = usize::from(packet.first()? & 15) * 4;
            if *packet.get(9)? != VRRP {
                return None;
            }
            let source = IpAddr::V4(ipv4(packet.get(12..16)?)?);
            let destination = IpAddr::V4(ipv4(packet.get(16..20)?)?);
            let (ttl, message) = (*packet.get(8)?, packet.get(header..length)?);
            advert(at, from, source_mac, source, destination, ttl, message)
        }
        0x86dd => {
            let length: usize = u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]).into();
            let (next, hops) = (*packet.get(6)?, *packet.get(7)?);
            let source = IpAddr::V6(ipv6(packet.get(8..24)?)?);
            let destination = IpAddr::V6(ipv6(packet.get(24..40)?)?);
            let message = packet.get(40..40 + length)?;
            match next {
                VRRP => advert(at, from, source_mac, source, destination, hops, message),
                58 => neighbour_advertisement(at, from, source_mac, message),
                _ => None,
            }
        }
        _ => None,
    }
}

fn ipv4(octets: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?))
}

fn ipv6(octets: &[u8]) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?))
}

fn arp(at: Moment, from: &Arc<str>, packet: &[u8]) -> Option<Seen> {
    let (sender, target) = (ipv4(packet.get(14..18)?)?, ipv4(packet.get(24..28)?)?);
    let mac = packet.get(8..14)?.try_into().ok()?;
    (sender == target).then(|| {
        Seen::Announcement(Announcement { at, from: Arc::clone(from), address: IpAddr::V4(sender), mac })
    })
}

fn neighbour_advertisement(at: Moment, from: &Arc<str>, source_mac: [u8; 6], message: &[u8]) -> Option<Seen> {
    // Type 136 without the Solicited flag (RFC 4861 §4.4), target link-layer address option if it is there.
    if *message.first()? != 136 || message.get(4)? & 0x40 != 0 {
        return None;
    }
    let address = IpAddr::V6(ipv6(message.get(8..24)?)?);
    let option = message.get(24..32).filter(|o| o[0] == 2 && o[1] == 1);
    let mac = option.and_then(|o| o[2..8].try_into().ok()).unwrap_or(source_mac);
    Some(Seen::Announcement(Announcement { at, from: Arc::clone(from), address, mac }))
}

fn advert(
    at: Moment,
    from: &Arc<str>,
    source_mac: [u8; 6],
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    message: &[u8],
) -> Option<Seen> {
    let (head, rest) = message.split_first_chunk::<8>()?;
    let version = head[0] >> 4;
    let interval = if version == 2 {
        Duration::from_secs(head[5].into())
    } else {
        Duration::from_millis(10 * u64::from(u16::from_be_bytes([head[4], head[5]]) & 0x0fff))
    };
    let count = usize::from(head[3]);
    let addresses = match source {
        IpAddr::V4(_) => rest.chunks_exact(4).take(count).filter_map(ipv4).map(IpAddr::V4).collect(),
        IpAddr::V6(_) => rest.chunks_exact(16).take(count).filter_map(ipv6).map(IpAddr::V6).collect(),
    };
    // Summed with the checksum that is in it, a good packet gives zero.
    let alone = checksum(&[message]) == 0;
    let with_header = checksum(&[&pseudo_header(source, destination, message.len()), message]) == 0;
    let checksum = match (alone, with_header) {
        (true, _) if source.is_ipv4() => Checksum::Message,
        (_, true) if version == 3 => Checksum::PseudoHeader,
        _ => Checksum::Wrong,
    };
    Some(Seen::Advert(Advert {
        at,
        from: Arc::clone(from),
        source_mac,
        source,
        destination,
        ttl,
        version,
        vrid: head[1],
        priority: head[2],
        interval,
        addresses,
        checksum,
    }))
}

/// The pseudo-header of IPv4 (RFC 793) or IPv6 (RFC 8200 §8.1) for a VRRP message.
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    for address in [source, destination] {
        match address {
            IpAddr::V4(a) => header.extend_from_slice(&a.octets()),
            IpAddr::V6(a) => header.extend_from_slice(&a.octets()),
        }
    }
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    if source.is_ipv4() {
        header.extend_from_slice(&[0, VRRP, length[0], length[1]]);
    } else {
        header.extend_from_slice(&[0, 0, length[0], length[1], 0, 0, 0, VRRP]);
    }
    header
}

/// The Internet checksum over parts of which all but the last have even lengths.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn only_advert(frame: &str) -> Advert {
        match decode(Moment::now(), &"a".into(), &bytes(frame)) {
            Some(Seen::Advert(advert)) => advert,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_v2_frame_of_keepalived() {
        let advert = only_advert(
            "01005e000012 020000000001 0800 45c0 0028 0001 0000 ff70 d091 0a000001 e0000012
             21 33 c8 01 00 01 0c98 0a000032 0000000000000000",
        );
        assert_eq!((advert.version, advert.vrid, advert.priority, advert.ttl), (2, 51, 200, 255));
        assert_eq!((advert.interval, advert.checksum), (Duration::from_secs(1), Checksum::Message));
        assert_eq!(advert.addresses, ["10.0.0.50".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn both_checksum_forms_of_v3_over_ipv4_and_a_wrong_one() {
        let with = |sum: &str| {
            only_advert(&format!(
                "01005e000012 020000000001 0800 45c0 0020 0001 0000 ff70 d099 0a000001 e0000012
                 31 33 c8 01 0064 {sum} 0a000032 0000 0000 0000 0000 0000"
            ))
        };
        assert_eq!(with("11a5").checksum, Checksum::PseudoHeader);
        assert_eq!(with("fc34").checksum, Checksum::Message);
        assert_eq!(with("1234").checksum, Checksum::Wrong);
        // Ethernet padding is not part of the message.
        assert_eq!(with("11a5").addresses.len(), 1);
        assert_eq!(with("11a5").interval, Duration::from_secs(1));
    }
}
