//! Links and addresses of the kernel: asked for, changed, watched. Routes and rules have modules of their own.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use rustix::system::uname;
use vrrp::{IfIndex, MacAddress};

use crate::netlink_message::{self as wire, Message};
use crate::route::{self, RouteSpec};
use crate::rule::{RuleSpec, parse_rule};
use crate::socket_option::set_int;

/// The mark (`IFA_PROTO`) of every address that we put on an interface: what carries it is ours to remove,
/// and nothing else is. 112 is the protocol number of VRRP; no other program is known to use it.
pub const ADDRESS_PROTOCOL: u8 = 112;

/// `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV4_RULE`, `RTNLGRP_IPV6_ROUTE`, `RTNLGRP_IPV6_RULE`.
const ROUTE_GROUPS: [i32; 4] = [7, 8, 11, 19];

/// Requests sent at once: their acknowledgements must fit into the socket's buffer.
const REQUESTS_AT_ONCE: usize = 64;
const BUFFER: usize = 64 << 10;

/// An address as it is put on an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressSpec {
    /// Where.
    pub interface: IfIndex,
    /// What.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix_len: u8,
    /// Whether IPv6 looks for duplicates first; a virtual address is one by design.
    pub duplicate_detection: bool,
    /// `ip addr`'s scope: 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// IPv4 label, at most 15 bytes, starting with the interface's name.
    pub label: Option<String>,
    /// IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
}

impl AddressSpec {
    /// An address with nothing special.
    pub const fn new(interface: IfIndex, address: IpAddr, prefix_len: u8) -> Self {
        Self {
            interface,
            address,
            prefix_len,
            duplicate_detection: false,
            scope: 0,
            label: None,
            broadcast: None,
        }
    }
}

/// Whether this kernel keeps the mark of an address (`IFA_PROTO`, since 5.18): some address has one (the
/// kernel marks those of loopback and those that it makes itself), or the release says so.
pub fn marks_addresses(addresses: &[InterfaceAddress]) -> bool {
    addresses.iter().any(|a| a.protocol != 0) || release_marks(&uname().release().to_string_lossy())
}

fn release_marks(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 18)
}

/// What the kernel refused, in its words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetlinkError {
    errno: i32,
    detail: Option<String>,
}

impl NetlinkError {
    /// The address is on that interface already, or the route or rule is there, set by us or by somebody else.
    pub const fn is_exists(&self) -> bool {
        self.errno == libc::EEXIST
    }

    /// The address, route or rule was not there.
    pub const fn is_not_found(&self) -> bool {
        matches!(self.errno, libc::EADDRNOTAVAIL | libc::ENODEV | libc::ESRCH | libc::ENOENT)
    }

    fn from_io(error: &io::Error) -> Self {
        Self { errno: error.raw_os_error().unwrap_or(libc::EIO), detail: None }
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.errno))?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NetlinkError {}

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: String,
    /// Whether it is up and has a carrier.
    pub carries: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<MacAddress>,
}

/// An address on an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceAddress {
    /// Where.
    pub interface: IfIndex,
    /// What.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix_len: u8,
    /// Its mark; [`ADDRESS_PROTOCOL`] if it is ours.
    pub protocol: u8,
    /// IPv6: still being looked for elsewhere, so it does not answer yet.
    pub tentative: bool,
    /// IPv6: found elsewhere, so it does not answer at all.
    pub duplicate: bool,
}

/// Something that changed in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KernelEvent {
    /// A link appeared or changed.
    LinkChanged(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address appeared or changed.
    AddressAdded(InterfaceAddress),
    /// An address is gone.
    AddressRemoved(InterfaceAddress),
    /// A route is gone; told after [`Monitor::watch_routes`] only.
    RouteRemoved(RouteSpec),
    /// A rule is gone; the same.
    RuleRemoved(Box<RuleSpec>),
    /// Events were lost: ask for everything anew.
    Overrun,
}

fn open(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC | flags,
        // NETLINK_ROUTE is protocol 0.
        None,
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// A socket for requests. Each waits for its answer.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let socket = open(0, SocketFlags::empty())?;
        // Older kernels lack these two; errors then come without words.
        let _ = set_int(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
        let _ = set_int(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Puts addresses on their interfaces, marked as ours. One that is there already stays as it is, whoever
    /// put it there, and answers [`NetlinkError::is_exists`]. An answer for each.
    pub fn add_addresses(&mut self, addresses: &[AddressSpec]) -> Vec<Result<(), NetlinkError>> {
        let flags = wire::NLM_F_CREATE | wire::NLM_F_EXCL;
        self.change(addresses, wire::RTM_NEWADDR, flags, |out, spec| {
            write_address(out, spec, wire::RTM_NEWADDR);
        })
    }

    /// Takes addresses off their interfaces. An answer for each.
    pub fn remove_addresses(&mut self, addresses: &[AddressSpec]) -> Vec<Result<(), NetlinkError>> {
        self.change(addresses, wire::RTM_DELADDR, 0, |out, spec| write_address(out, spec, wire::RTM_DELADDR))
    }

    /// A request of one kind for each of `specs`; `write` writes what comes behind the header.
    pub(crate) fn change<T>(
        &mut self,
        specs: &[T],
        kind: u16,
        flags: u16,
        write: impl Fn(&mut Vec<u8>, &T),
    ) -> Vec<Result<(), NetlinkError>> {
        let mut results = Vec::with_capacity(specs.len());
        for chunk in specs.chunks(REQUESTS_AT_ONCE) {
            let first = self.sequence.wrapping_add(1);
            let mut request = Vec::with_capacity(chunk.len() * 80);
            for spec in chunk {
                self.sequence = self.sequence.wrapping_add(1);
                let flags = wire::NLM_F_REQUEST | wire::NLM_F_ACK | flags;
                wire::message(&mut request, kind, flags, self.sequence, |out| write(out, spec));
            }
            results.extend(self.acknowledged(&request, first, chunk.len()));
        }
        results
    }

    /// Sends requests with consecutive numbers and collects their acknowledgements.
    fn acknowledged(&mut self, request: &[u8], first: u32, count: usize) -> Vec<Result<(), NetlinkError>> {
        let lost = Err(NetlinkError { errno: libc::EIO, detail: Some("no answer from the kernel".into()) });
        let mut results = vec![lost; count];
        if let Err(error) = send(&self.socket, request, SendFlags::empty()) {
            results.fill(Err(NetlinkError::from_io(&error.into())));
            return results;
        }
        let mut open = count;
        while open > 0 {
            let length = match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => {
                    results.fill(Err(NetlinkError::from_io(&error.into())));
                    return results;
                }
            };
            for message in wire::messages(&self.buffer[..length]) {
                let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if message.kind != wire::NLMSG_ERROR || index >= count {
                    continue;
                }
                open -= 1;
                if let Some((errno, detail)) = message.error() {
                    results[index] = if errno == 0 { Ok(()) } else { Err(NetlinkError { errno, detail }) };
                }
            }
        }
        results
    }

    /// All links.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        // AF_UNSPEC in the first byte; the fixed part of a link is 16 bytes.
        self.dump(wire::RTM_GETLINK, wire::RTM_NEWLINK, &[0; 16], parse_link)
    }

    /// All addresses of both families.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn addresses(&mut self) -> io::Result<Vec<InterfaceAddress>> {
        self.dump(wire::RTM_GETADDR, wire::RTM_NEWADDR, &[0; 8], parse_address)
    }

    /// Whether this host answers for an IPv6 address: the kernel acknowledges a new one, and tells of it, before
    /// it has the route that makes it answer.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn answers_for(&mut self, address: Ipv6Addr) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Vec::new();
        wire::message(&mut request, wire::RTM_GETROUTE, wire::NLM_F_REQUEST, self.sequence, |out| {
            // struct rtmsg: family, length of the destination, and nothing more.
            out.extend_from_slice(&[u8::try_from(libc::AF_INET6).unwrap_or(0), 128]);
            out.extend_from_slice(&[0; 10]);
            wire::attribute(out, wire::RTA_DST, &address.octets());
        });
        send(&self.socket, &request, SendFlags::empty())?;
        loop {
            let length = match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in wire::messages(&self.buffer[..length]) {
                match message.kind {
                    _ if message.sequence != self.sequence => {}
                    wire::RTM_NEWROUTE => return Ok(message.body.get(7) == Some(&wire::RTN_LOCAL)),
                    wire::NLMSG_ERROR => return Ok(false),
                    _ => {}
                }
            }
        }
    }

    /// Everything of a kind; `header` is what comes behind the message's own.
    pub(crate) fn dump<T>(
        &mut self,
        request: u16,
        answer: u16,
        header: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        wire::message(&mut bytes, request, wire::NLM_F_REQUEST | wire::NLM_F_DUMP, self.sequence, |out| {
            out.extend_from_slice(header);
        });
        send(&self.socket, &bytes, SendFlags::empty())?;
        let mut found = Vec::new();
        loop {
            let length = match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in wire::messages(&self.buffer[..length]) {
                match message.kind {
                    _ if message.sequence != self.sequence => {}
                    wire::NLMSG_DONE => return Ok(found),
                    wire::NLMSG_ERROR => {
                        let errno = message.error().map_or(libc::EIO, |(errno, _)| errno);
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    kind if kind == answer => found.extend(parse(message.body)),
                    _ => {}
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The kernel's number of an address's family.
pub(crate) fn family(address: IpAddr) -> u8 {
    u8::try_from(if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }).unwrap_or(0)
}

/// An address of a family as the kernel writes it.
pub(crate) fn ip_of(family: u8, data: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => <[u8; 4]>::try_from(data).ok().map(|o| IpAddr::V4(Ipv4Addr::from(o))),
        libc::AF_INET6 => <[u8; 16]>::try_from(data).ok().map(|o| IpAddr::V6(Ipv6Addr::from(o))),
        _ => None,
    }
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn write_address(out: &mut Vec<u8>, spec: &AddressSpec, kind: u16) {
    out.extend_from_slice(&[family(spec.address), spec.prefix_len, 0, spec.scope]);
    out.extend_from_slice(&spec.interface.0.to_ne_bytes());
    let address = octets(spec.address);
    wire::attribute(out, wire::IFA_LOCAL, &address);
    wire::attribute(out, wire::IFA_ADDRESS, &address);
    if kind == wire::RTM_DELADDR {
        return;
    }
    wire::attribute(out, wire::IFA_PROTO, &[ADDRESS_PROTOCOL]);
    if spec.address.is_ipv6() {
        let flags = if spec.duplicate_detection { 0 } else { wire::IFA_F_NODAD };
        wire::attribute(out, wire::IFA_FLAGS, &flags.to_ne_bytes());
        if spec.prefix_len == 128 {
            // Deprecated: it answers, but no connection of this host starts from it.
            let mut cache = [0; 16];
            cache[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
            wire::attribute(out, wire::IFA_CACHEINFO, &cache);
        }
    }
    if let Some(label) = &spec.label {
        let mut bytes = label.as_bytes().to_vec();
        bytes.push(0);
        wire::attribute(out, wire::IFA_LABEL, &bytes);
    }
    if let Some(broadcast) = spec.broadcast {
        wire::attribute(out, wire::IFA_BROADCAST, &broadcast.octets());
    }
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let index = wire::u32_at(body, 4)?;
    let flags = wire::u32_at(body, 8)?;
    let (mut name, mut mac) = (String::new(), None);
    for (kind, data) in wire::attributes(body.get(16..)?) {
        match kind {
            wire::IFLA_IFNAME => String::from_utf8_lossy(data).trim_end_matches('\0').clone_into(&mut name),
            wire::IFLA_ADDRESS => mac = data.try_into().ok().map(MacAddress),
            _ => {}
        }
    }
    let carries = flags & wire::IFF_UP != 0 && flags & wire::IFF_LOWER_UP != 0;
    Some(Link { index: IfIndex(index), name, carries, mac })
}

fn parse_address(body: &[u8]) -> Option<InterfaceAddress> {
    let [family, prefix_len, flags, _] = *body.first_chunk::<4>()?;
    let interface = IfIndex(wire::u32_at(body, 4)?);
    let ip = |data: &[u8]| ip_of(family, data);
    let (mut local, mut address, mut protocol, mut flags) = (None, None, 0, u32::from(flags));
    for (kind, data) in wire::attributes(body.get(8..)?) {
        match kind {
            wire::IFA_LOCAL => local = ip(data),
            wire::IFA_ADDRESS => address = ip(data),
            wire::IFA_PROTO => protocol = data.first().copied().unwrap_or(0),
            wire::IFA_FLAGS => flags = wire::u32_at(data, 0).unwrap_or(flags),
            _ => {}
        }
    }
    Some(InterfaceAddress {
        interface,
        // On a point-to-point link IFA_ADDRESS is the other end's.
        address: local.or(address)?,
        prefix_len,
        protocol,
        tentative: flags & wire::IFA_F_TENTATIVE != 0,
        duplicate: flags & wire::IFA_F_DADFAILED != 0,
    })
}

/// Watches links and addresses, without waiting.
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Opens it; what changes from now on is told.
    pub fn open() -> io::Result<Self> {
        // RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR.
        let socket = open(0x1 | 0x10 | 0x100, SocketFlags::NONBLOCK)?;
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Routes and rules from now on too: on a router there may be many.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch_routes(&self) -> io::Result<()> {
        for group in ROUTE_GROUPS {
            set_int(self.socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)?;
        }
        Ok(())
    }

    /// What has changed since the last call.
    ///
    /// # Errors
    /// What the kernel says; a lost event is [`KernelEvent::Overrun`].
    pub fn read_events(&mut self) -> io::Result<Vec<KernelEvent>> {
        let mut events = Vec::new();
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    events.extend(wire::messages(&self.buffer[..length]).filter_map(|m| event(&m)));
                }
                Err(Errno::AGAIN) => return Ok(events),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => events.push(KernelEvent::Overrun),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn event(message: &Message<'_>) -> Option<KernelEvent> {
    Some(match message.kind {
        wire::RTM_NEWLINK => KernelEvent::LinkChanged(parse_link(message.body)?),
        wire::RTM_DELLINK => KernelEvent::LinkGone(parse_link(message.body)?),
        wire::RTM_NEWADDR => KernelEvent::AddressAdded(parse_address(message.body)?),
        wire::RTM_DELADDR => KernelEvent::AddressRemoved(parse_address(message.body)?),
        wire::RTM_DELROUTE => KernelEvent::RouteRemoved(route::parse(message.body)?),
        wire::RTM_DELRULE => KernelEvent::RuleRemoved(Box::new(parse_rule(message.body)?)),
        _ => return None,
    })
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_attributes_whose_length_lies_end_the_walk() {
        for length in [0_u32, 3, 15, 17, 4000, u32::MAX] {
            let mut bytes = vec![0xff; 64];
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(wire::messages(&bytes).count() <= 4);
            assert!(wire::attributes(&bytes).count() <= 16);
        }
    }

    #[test]
    fn kernels_mark_addresses_since_5_18() {
        for (release, marks) in
            [("5.17.9", false), ("5.18.0-rc1", true), ("6.1", true), ("4.19.0", false), ("x", false)]
        {
            assert_eq!(release_marks(release), marks, "{release}");
        }
    }

    #[test]
    fn an_address_reads_as_it_was_written() {
        let spec = AddressSpec::new(IfIndex(9), "fd00::50".parse().unwrap(), 64);
        let mut body = Vec::new();
        write_address(&mut body, &spec, wire::RTM_NEWADDR);
        let read = parse_address(&body).unwrap();
        assert_eq!((read.interface, read.address, read.prefix_len), (spec.interface, spec.address, 64));
        assert_eq!(read.protocol, ADDRESS_PROTOCOL);
    }
}
