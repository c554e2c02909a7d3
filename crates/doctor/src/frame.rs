//! Ethernet frames, as far as the doctor reads them: VRRP, ARP and neighbour advertisements.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// A MAC address that is written as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MacText(pub [u8; 6]);

impl MacText {
    /// Whether it is a virtual router's (RFC 9568 §7.3).
    pub const fn is_virtual_router(self) -> bool {
        matches!(self.0, [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _])
    }
}

impl fmt::Display for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for MacText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts
                .next()
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| format!("`{text}` is no MAC address; write it as 02:00:00:00:00:01"))?;
        }
        if parts.next().is_some() {
            return Err(format!("`{text}` is no MAC address; it has more than six parts"));
        }
        Ok(Self(bytes))
    }
}

impl Serialize for MacText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A frame that says something to the doctor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// IP protocol 112.
    Vrrp {
        /// Ethernet source.
        mac: MacText,
        /// Sent by this host.
        own: bool,
        /// IP source.
        source: IpAddr,
        /// IP destination.
        destination: IpAddr,
        /// TTL or hop limit.
        ttl: u8,
        /// The VRRP message, padding included.
        payload: &'a [u8],
    },
    /// Somebody says that an address is its own: ARP (answer or announcement), or a neighbour advertisement.
    Claim {
        /// The link-layer address that it gives.
        mac: MacText,
        /// Sent by this host.
        own: bool,
        /// The address.
        address: IpAddr,
        /// It was asked for.
        answered: bool,
    },
}

fn mac_at(bytes: &[u8], at: usize) -> Option<MacText> {
    bytes.get(at..at + 6)?.try_into().ok().map(MacText)
}

fn ipv4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

fn ipv6_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets))
}

/// Reads an Ethernet frame; `None` if it is nothing of these.
pub fn read(frame: &[u8], own: bool) -> Option<Frame<'_>> {
    let mac = mac_at(frame, 6)?;
    let (ethertype, body) = frame.get(12..)?.split_first_chunk::<2>()?;
    match u16::from_be_bytes(*ethertype) {
        ETHERTYPE_ARP => read_arp(body, own),
        ETHERTYPE_IPV4 => read_ipv4(body, mac, own),
        ETHERTYPE_IPV6 => read_ipv6(body, mac, own),
        _ => None,
    }
}

fn read_arp(arp: &[u8], own: bool) -> Option<Frame<'_>> {
    if arp.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let operation = u16::from_be_bytes(arp.get(6..8)?.try_into().ok()?);
    let (mac, sender) = (mac_at(arp, 8)?, ipv4_at(arp, 14)?);
    let target = ipv4_at(arp, 24)?;
    if sender.is_unspecified() {
        return None;
    }
    // A request for somebody else's address claims nothing; RFC 5227 §3: one for its own is an announcement.
    let announcement = sender == target;
    (announcement || operation == 2).then_some(Frame::Claim {
        mac,
        own,
        address: IpAddr::V4(sender),
        answered: !announcement,
    })
}

fn read_ipv4(packet: &[u8], mac: MacText, own: bool) -> Option<Frame<'_>> {
    let first = *packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header < 20 || *packet.get(9)? != vrrp::IP_PROTOCOL {
        return None;
    }
    let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    Some(Frame::Vrrp {
        mac,
        own,
        source: IpAddr::V4(ipv4_at(packet, 12)?),
        destination: IpAddr::V4(ipv4_at(packet, 16)?),
        ttl: *packet.get(8)?,
        payload: packet.get(header..total.min(packet.len()))?,
    })
}

fn read_ipv6(packet: &[u8], mac: MacText, own: bool) -> Option<Frame<'_>> {
    if packet.first()? >> 4 != 6 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?));
    let payload = packet.get(40..packet.len().min(40 + length))?;
    match *packet.get(6)? {
        vrrp::IP_PROTOCOL => Some(Frame::Vrrp {
            mac,
            own,
            source: IpAddr::V6(ipv6_at(packet, 8)?),
            destination: IpAddr::V6(ipv6_at(packet, 24)?),
            ttl: *packet.get(7)?,
            payload,
        }),
        ICMPV6 if *payload.first()? == NEIGHBOR_ADVERTISEMENT => {
            let solicited = payload.get(4)? & 0x40 != 0;
            // The option of the target's link-layer address; the frame's source where it is left out.
            let option = payload
                .get(24..)
                .and_then(|rest| (rest.get(..2)? == [2, 1]).then_some(()))
                .and(mac_at(payload, 26));
            Some(Frame::Claim {
                mac: option.unwrap_or(mac),
                own,
                address: IpAddr::V6(ipv6_at(payload, 8)?),
                answered: solicited,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn an_advert_and_who_sent_it() {
        let frame = bytes(
            "01005e000012 020000000001 0800 45c0 0020 0001 0000 ff70 d099 0a000001 e0000012 \
             3133c801006411a50a000032 0000 0000",
        );
        let Some(Frame::Vrrp { mac, ttl, source, payload, .. }) = read(&frame, false) else { panic!() };
        assert_eq!(
            (mac.to_string().as_str(), ttl, source.to_string().as_str()),
            ("02:00:00:00:00:01", 255, "10.0.0.1")
        );
        assert_eq!(payload.len(), 12, "padding is left out");
    }

    #[test]
    fn arp_claims_are_told_from_questions() {
        let question = bytes(
            "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000032",
        );
        assert_eq!(read(&question, false), None);
        let announcement = bytes(
            "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000032 ffffffffffff 0a000032",
        );
        assert!(matches!(read(&announcement, false), Some(Frame::Claim { answered: false, .. })));
        let answer = bytes(
            "020000000003 020000000001 0806 0001080006040002 020000000001 0a000032 020000000003 0a000003",
        );
        assert!(matches!(read(&answer, false), Some(Frame::Claim { answered: true, .. })));
    }

    #[test]
    fn no_bytes_are_too_few_or_too_odd() {
        for length in 0..80 {
            for fill in [0_u8, 0x45, 0x60, 0xff] {
                let mut frame = vec![fill; length];
                for ethertype in [[8, 0], [8, 6], [0x86, 0xdd]] {
                    if let Some(place) = frame.get_mut(12..14) {
                        place.copy_from_slice(&ethertype);
                    }
                    let _ = read(&frame, true);
                }
            }
        }
    }
}
