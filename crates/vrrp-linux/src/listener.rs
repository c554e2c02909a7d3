//! Hearing what is said about virtual addresses on one link: VRRP, ARP and neighbour advertisements, our own
//! included. For diagnosis; the agent has sockets of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::SockFilter;
use vrrp::IfIndex;

use crate::packet_socket::{self, EVERY_PROTOCOL};
use crate::socket_option::op;

/// The longest frame that is looked at.
const FRAME_MAX: usize = 4400;

/// The packet socket.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Opens it on one interface, non-blocking.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the interface does not exist.
    pub fn open(interface: IfIndex) -> io::Result<Self> {
        packet_socket::open(EVERY_PROTOCOL, Some(interface), &filter()).map(Self)
    }

    /// What becomes readable when something was heard.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Hands over every frame heard since the last call, from the Ethernet header on, and whether this host
    /// sent it.
    pub fn read(&mut self, each: &mut dyn FnMut(&[u8], bool)) {
        let mut frame = [0; FRAME_MAX];
        while let Some((_, kind, length)) = packet_socket::receive(&self.0, &mut frame) {
            if let Some(bytes) = frame.get(..length) {
                each(bytes, kind == libc::PACKET_OUTGOING);
            }
        }
    }
}

/// ARP; IPv4 of protocol 112; IPv6 of next header 112, or a neighbour advertisement.
fn filter() -> [SockFilter; 12] {
    let half = op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS);
    let byte = op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
    let equal = op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    let vrrp = u32::from(vrrp::IP_PROTOCOL);
    [
        SockFilter::new(half, 0, 0, 12),
        SockFilter::new(equal, 8, 0, 0x0806),
        SockFilter::new(equal, 0, 2, 0x0800),
        SockFilter::new(byte, 0, 0, 23),
        SockFilter::new(equal, 5, 6, vrrp),
        SockFilter::new(equal, 0, 5, 0x86dd),
        SockFilter::new(byte, 0, 0, 20),
        SockFilter::new(equal, 2, 0, vrrp),
        SockFilter::new(byte, 0, 0, 54),
        SockFilter::new(equal, 0, 1, 136),
        SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
        SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
    ]
}
