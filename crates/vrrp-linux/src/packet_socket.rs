//! Opening a packet socket that receives what a filter lets through, and nothing before the filter is there.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use socket2::SockFilter;
use vrrp::IfIndex;

use crate::socket_option;

/// Every protocol, outgoing frames included.
pub(crate) const EVERY_PROTOCOL: i32 = libc::ETH_P_ALL;

/// A non-blocking packet socket of one Ethernet protocol, on one interface or on all.
///
/// # Errors
/// Without `CAP_NET_RAW`, or if the interface does not exist.
pub(crate) fn open(protocol: i32, interface: Option<IfIndex>, filter: &[SockFilter]) -> io::Result<OwnedFd> {
    // Protocol 0 first: nothing is received before the filter is there.
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just opened and that nobody else has.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    socket2::SockRef::from(&fd).attach_filter(filter)?;
    bind(&fd, protocol, interface)?;
    Ok(fd)
}

/// Lets a packet socket receive one Ethernet protocol, on one interface or on all.
///
/// # Errors
/// If the interface does not exist.
pub(crate) fn bind(fd: &OwnedFd, protocol: i32, interface: Option<IfIndex>) -> io::Result<()> {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut name: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    name.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
    name.sll_protocol = u16::try_from(protocol).unwrap_or(0).to_be();
    name.sll_ifindex = interface.map_or(0, |index| i32::try_from(index.0).unwrap_or(0));
    let length = socket_option::length_of::<libc::sockaddr_ll>();
    // SAFETY: the pointer and length describe `name`, which lives across the call.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads one frame into `frame`; `None` if none is there. Answers its interface, its kind
/// (`libc::PACKET_OUTGOING` and the like) and how much of it was kept.
pub(crate) fn receive(socket: &OwnedFd, frame: &mut [u8]) -> Option<(IfIndex, u8, usize)> {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut name: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut length = socket_option::length_of::<libc::sockaddr_ll>();
    // SAFETY: pointers and lengths describe `frame` and `name`, which live across the call.
    let received = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            frame.as_mut_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
            (&raw mut name).cast(),
            &raw mut length,
        )
    };
    // Nothing there and an error are the same to the caller: there is a deadline without us.
    let received = usize::try_from(received).ok()?;
    Some((IfIndex(u32::try_from(name.sll_ifindex).ok()?), name.sll_pkttype, received.min(frame.len())))
}
