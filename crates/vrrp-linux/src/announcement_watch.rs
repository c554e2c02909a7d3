//! What others announce: gratuitous ARP and unsolicited Neighbor Advertisement, told from all other frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::SockFilter;
use vrrp::{IfIndex, MacAddress};

use crate::socket_option::op;

/// An announcement that was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Where.
    pub interface: IfIndex,
    /// The address announced.
    pub address: IpAddr,
    /// Whose Ethernet address is announced for it.
    pub mac: MacAddress,
}

/// Long enough for what is looked at.
pub(crate) const FRAME_MAX: usize = 128;
const ETHERNET: usize = 14;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// What a frame announces, if it does.
pub(crate) fn parse(interface: IfIndex, frame: &[u8]) -> Option<Heard> {
    let (address, mac) = match frame.get(12..ETHERNET)? {
        [0x08, 0x06] => parse_arp(frame),
        [0x86, 0xdd] => parse_na(frame),
        _ => None,
    }?;
    Some(Heard { interface, address, mac })
}

/// ARP of either operation whose sender and target address are the same; Neighbor Advertisement right behind
/// the IPv6 header.
pub(crate) fn filter() -> [SockFilter; 13] {
    let word = op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
    let half = op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS);
    let byte = op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
    let equal = op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    [
        SockFilter::new(half, 0, 0, 12),
        SockFilter::new(equal, 0, 4, 0x0806),
        SockFilter::new(word, 0, 0, 38),
        SockFilter::new(op(libc::BPF_MISC | libc::BPF_TAX), 0, 0, 0),
        SockFilter::new(word, 0, 0, 28),
        SockFilter::new(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_X), 5, 6, 0),
        SockFilter::new(equal, 0, 5, 0x86dd),
        SockFilter::new(byte, 0, 0, 20),
        SockFilter::new(equal, 0, 3, 58),
        SockFilter::new(byte, 0, 0, 54),
        SockFilter::new(equal, 0, 1, u32::from(NEIGHBOR_ADVERTISEMENT)),
        SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
        SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
    ]
}

fn parse_arp(frame: &[u8]) -> Option<(IpAddr, MacAddress)> {
    let arp: &[u8; 28] = frame.get(ETHERNET..)?.first_chunk()?;
    // Ethernet and IPv4 with their address lengths; the operation does not matter.
    let [0, 1, 8, 0, 6, 4, ..] = *arp else { return None };
    let (sender, target) = (&arp[14..18], &arp[24..28]);
    let address: [u8; 4] = sender.try_into().ok()?;
    let mac = arp[8..14].try_into().ok()?;
    (sender == target).then(|| (IpAddr::V4(Ipv4Addr::from(address)), MacAddress(mac)))
}

/// An advertisement with the Override flag and a target link-layer address option (RFC 4861 §7.2.6).
fn parse_na(frame: &[u8]) -> Option<(IpAddr, MacAddress)> {
    let ip = frame.get(ETHERNET..)?;
    let (header, message) = (ip.first_chunk::<40>()?, ip.get(40..)?);
    let fixed: &[u8; 24] = message.first_chunk()?;
    if header[0] >> 4 != 6 || header[6] != 58 || header[7] != 255 || fixed[0] != NEIGHBOR_ADVERTISEMENT {
        return None;
    }
    let option: &[u8; 8] = message.get(24..)?.first_chunk()?;
    if fixed[4] & 0x20 == 0 || option[..2] != [2, 1] {
        return None;
    }
    let address: [u8; 16] = fixed[8..24].try_into().ok()?;
    Some((IpAddr::V6(Ipv6Addr::from(address)), MacAddress(option[2..8].try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement_frame::{gratuitous_arp, unsolicited_na};

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 7]);

    #[test]
    fn our_own_announcements_are_understood() {
        let v4 = Ipv4Addr::new(10, 0, 0, 50);
        assert_eq!(parse_arp(&gratuitous_arp(MAC, v4)), Some((IpAddr::V4(v4), MAC)));
        let v6: Ipv6Addr = "fd00::50".parse().unwrap();
        let na = unsolicited_na(MAC, "fe80::1".parse().unwrap(), v6, true);
        assert_eq!(parse_na(&na), Some((IpAddr::V6(v6), MAC)));
    }

    #[test]
    fn questions_and_cut_frames_are_no_announcements() {
        let mut question = gratuitous_arp(MAC, Ipv4Addr::new(10, 0, 0, 50));
        question[41] = 51;
        assert_eq!(parse_arp(&question), None);
        let na = unsolicited_na(MAC, "fe80::1".parse().unwrap(), "fd00::50".parse().unwrap(), false);
        for length in 0..na.len() {
            assert_eq!(parse_na(&na[..length]), None);
        }
    }
}
