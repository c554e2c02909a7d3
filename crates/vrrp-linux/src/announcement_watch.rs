//! Hearing others announce an address: gratuitous ARP and unsolicited Neighbor Advertisement.
//!
//! Open only while it is needed: as long as it is, the kernel looks at every IPv6 frame of the host for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::SockFilter;
use vrrp::{IfIndex, MacAddress};

use crate::packet_socket;
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

/// The packet sockets.
#[derive(Debug)]
pub struct AnnouncementWatch {
    arp: OwnedFd,
    neighbor: OwnedFd,
}

/// Long enough for what is looked at.
const FRAME_MAX: usize = 128;
const ETHERNET: usize = 14;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

impl AnnouncementWatch {
    /// Opens it, for all interfaces, non-blocking.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            arp: packet_socket::open(libc::ETH_P_ARP, None, &arp_filter())?,
            neighbor: packet_socket::open(libc::ETH_P_IPV6, None, &neighbor_filter())?,
        })
    }

    /// What becomes readable when something was heard.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.arp.as_fd(), self.neighbor.as_fd()]
    }

    /// Hands over everything heard since the last call.
    pub fn read(&mut self, each: &mut dyn FnMut(Heard)) {
        for (socket, parse) in
            [(&self.arp, parse_arp as fn(&[u8]) -> Option<(IpAddr, MacAddress)>), (&self.neighbor, parse_na)]
        {
            let mut frame = [0; FRAME_MAX];
            while let Some((interface, _, length)) = packet_socket::receive(socket, &mut frame) {
                if let Some((address, mac)) = frame.get(..length).and_then(parse) {
                    each(Heard { interface, address, mac });
                }
            }
        }
    }
}

/// ARP of either operation whose sender and target address are the same.
fn arp_filter() -> [SockFilter; 6] {
    let word = op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
    [
        SockFilter::new(word, 0, 0, 38),
        SockFilter::new(op(libc::BPF_MISC | libc::BPF_TAX), 0, 0, 0),
        SockFilter::new(word, 0, 0, 28),
        SockFilter::new(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_X), 0, 1, 0),
        SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
        SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
    ]
}

/// Neighbor Advertisement right behind the IPv6 header.
fn neighbor_filter() -> [SockFilter; 6] {
    let byte = op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
    let equal = op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    [
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
