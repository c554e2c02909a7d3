//! The frames that ask a link who has an address: an ARP request and a neighbour solicitation.

use std::net::{Ipv4Addr, Ipv6Addr};

use vrrp::MacAddress;

use crate::announcement_frame::icmpv6_checksum;

/// Who has `target`? Asked by `sender`.
pub fn arp_request(mac: MacAddress, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].copy_from_slice(&MacAddress::BROADCAST.0);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&[0x08, 0x06]);
    // Ethernet, IPv4, their address lengths, request.
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac.0);
    frame[28..32].copy_from_slice(&sender.octets());
    frame[38..42].copy_from_slice(&target.octets());
    frame
}

/// Who has `target`? Asked by `source`, of the target's solicited-node group (RFC 4861 §4.3).
pub fn neighbor_solicitation(mac: MacAddress, source: Ipv6Addr, target: Ipv6Addr) -> [u8; 86] {
    let [.., a, b, c] = target.octets();
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&[a, b, c]);
    let mut frame = [0; 86];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0xff, a, b, c]);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    // Version 6; payload length; next header ICMPv6; hop limit 255 (RFC 4861 §7.1.1).
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&32_u16.to_be_bytes());
    frame[20] = 58;
    frame[21] = 255;
    frame[22..38].copy_from_slice(&source.octets());
    frame[38..54].copy_from_slice(&group);
    // Neighbor Solicitation (135), target, source link-layer address option.
    frame[54] = 135;
    frame[62..78].copy_from_slice(&target.octets());
    frame[78] = 1;
    frame[79] = 1;
    frame[80..86].copy_from_slice(&mac.0);
    let sum = icmpv6_checksum(&frame[22..54], &frame[54..86]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}
