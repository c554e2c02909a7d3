//! The frames that tell a link who has an address: gratuitous ARP and unsolicited Neighbor Advertisement.

use std::net::{Ipv4Addr, Ipv6Addr};

use vrrp::MacAddress;

/// Destination of unsolicited NA: all nodes (RFC 4861 §7.2.6), and the Ethernet group it maps to.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const NA_LEN: usize = 32;

/// An ARP request for `address` by `address` itself, broadcast (RFC 9568 §8.1.2; RFC 5227 §3).
pub fn gratuitous_arp(mac: MacAddress, address: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].copy_from_slice(&MacAddress::BROADCAST.0);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&ETHERTYPE_ARP);
    // Ethernet, IPv4, their address lengths, request.
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac.0);
    frame[28..32].copy_from_slice(&address.octets());
    frame[32..38].copy_from_slice(&MacAddress::BROADCAST.0);
    frame[38..42].copy_from_slice(&address.octets());
    frame
}

/// An unsolicited NA for `address`, Solicited clear, Override set, to all nodes (RFC 9568 §8.2.2).
///
/// `router` is the Router flag: it should be what the kernel itself says in its advertisements, or hosts see
/// the address change from router to host and back.
pub fn unsolicited_na(mac: MacAddress, source: Ipv6Addr, address: Ipv6Addr, router: bool) -> [u8; 86] {
    let mut frame = [0; 86];
    frame[..6].copy_from_slice(&ALL_NODES_MAC);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&ETHERTYPE_IPV6);
    // Version 6; payload length; next header ICMPv6; hop limit 255 (RFC 4861 §7.1.2).
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&32_u16.to_be_bytes());
    frame[20] = 58;
    frame[21] = 255;
    frame[22..38].copy_from_slice(&source.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    // Neighbor Advertisement (136), flags, target, target link-layer address option.
    frame[54] = 136;
    frame[58] = if router { 0xa0 } else { 0x20 };
    frame[62..78].copy_from_slice(&address.octets());
    frame[78] = 2;
    frame[79] = 1;
    frame[80..86].copy_from_slice(&mac.0);
    let sum = icmpv6_checksum(&frame[22..54], &frame[54..54 + NA_LEN]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

pub(crate) fn icmpv6_checksum(addresses: &[u8], message: &[u8]) -> u16 {
    // RFC 8200 §8.1: the pseudo-header's length and next header.
    let mut sum = u32::try_from(message.len()).unwrap_or(0) + 58;
    for pair in addresses.as_chunks::<2>().0.iter().chain(message.as_chunks::<2>().0) {
        sum += u32::from(u16::from_be_bytes(*pair));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

    #[test]
    fn rfc9568_8_1_2_gratuitous_arp_names_the_address_twice() {
        let frame = gratuitous_arp(MAC, Ipv4Addr::new(10, 0, 0, 50));
        assert_eq!(&frame[..14], [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6]);
        assert_eq!(frame[28..32], [10, 0, 0, 50]);
        assert_eq!(frame[38..42], [10, 0, 0, 50]);
    }

    #[test]
    fn rfc9568_8_2_2_unsolicited_na_is_well_formed_to_another_decoder() {
        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let frame = unsolicited_na(MAC, source, "fd00::50".parse().unwrap(), false);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv6(ip)) = packet.net else { panic!("{packet:?}") };
        assert_eq!(ip.header().hop_limit(), 255);
        let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else { panic!("no ICMPv6") };
        assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()));
        assert_eq!(icmp.type_u8(), 136);
    }
}
