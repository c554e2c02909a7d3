//! The raw socket of protocol 112: one for each family, for all interfaces.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use vrrp::{Family, IP_PROTOCOL, IfIndex, Instant, REQUIRED_TTL, VirtualRouterId};

use crate::clock::ReceiveClock;
use crate::socket_option::{op, set_int};

/// Datagrams read by one system call.
const BATCH: usize = 32;
/// The longest advertisement behind the longest IPv4 header.
const DATAGRAM_MAX: usize = vrrp::advertisement::MAX_LEN + 60;
/// Room for packet info, TTL, timestamp and drop counter.
const CONTROL_MAX: usize = 256;
/// What the kernel may queue while we do not run: a third of a second of 100 000 packets/s, lest a flood pushes
/// adverts out. It is taken only while something is queued.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Internetwork control (RFC 791), as routers mark it.
const TRAFFIC_CLASS: u32 = 0xc0;

/// A received packet of protocol 112.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it came in.
    pub interface: IfIndex,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit, if the kernel said it.
    pub ttl: Option<u8>,
    /// When the kernel received it.
    pub received_at: Instant,
    /// The VRRP message, without IP header and without padding.
    pub payload: &'a [u8],
}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where it goes out.
    pub interface: IfIndex,
    /// IP source, an address of this host.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message.
    pub payload: &'a [u8],
}

/// What one call of [`AdvertSocket::receive_batch`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Packets handed over.
    pub received: usize,
    /// Whether the socket may have more.
    pub more: bool,
}

#[repr(C, align(8))]
struct Control([u8; CONTROL_MAX]);

/// The buffers of a batch, allocated once.
struct Buffers {
    datagrams: Vec<[u8; DATAGRAM_MAX]>,
    controls: Vec<Control>,
    names: Vec<libc::sockaddr_storage>,
}

/// The raw socket of one family.
pub struct AdvertSocket {
    socket: Socket,
    family: Family,
    buffers: Buffers,
    last_read: Instant,
    overflowed: u32,
}

impl AdvertSocket {
    /// Opens it, non-blocking.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the kernel lacks the family.
    pub fn open(family: Family) -> io::Result<Self> {
        let protocol = Some(Protocol::from(i32::from(IP_PROTOCOL)));
        let socket = match family {
            Family::Ipv4 => Socket::new(Domain::IPV4, Type::RAW, protocol)?,
            Family::Ipv6 => Socket::new(Domain::IPV6, Type::RAW, protocol)?,
        };
        // Before anything is configured nothing is ours.
        attach_filter(&socket, family, &[])?;
        socket.set_nonblocking(true)?;
        let fd = socket.as_fd();
        // More than the system's limit if we may, else as much as it allows.
        if set_int(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX),
        )
        .is_err()
        {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        set_int(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        set_int(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
        match family {
            Family::Ipv4 => {
                set_int(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
                socket.set_tos_v4(TRAFFIC_CLASS)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(u32::from(REQUIRED_TTL))?;
            }
            Family::Ipv6 => {
                set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
                set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
                socket.set_tclass_v6(TRAFFIC_CLASS)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(u32::from(REQUIRED_TTL))?;
            }
        }
        Ok(Self {
            socket,
            family,
            buffers: Buffers {
                datagrams: vec![[0; DATAGRAM_MAX]; BATCH],
                controls: (0..BATCH).map(|_| Control([0; CONTROL_MAX])).collect(),
                names: vec![zeroed_name(); BATCH],
            },
            last_read: Instant::ZERO,
            overflowed: 0,
        })
    }

    /// Lets the kernel drop every packet whose VRID is not among these.
    ///
    /// # Errors
    /// If the kernel refuses the filter; the one before stays.
    pub fn set_filter(&self, vrids: &[VirtualRouterId]) -> io::Result<()> {
        attach_filter(&self.socket, self.family, vrids)
    }

    /// How many packets the kernel dropped because we did not read.
    pub const fn overflowed(&self) -> u32 {
        self.overflowed
    }

    /// Reads up to a batch of packets and hands each over. `now` is when the caller woke.
    ///
    /// # Errors
    /// What the kernel says, except that nothing is there.
    pub fn receive_batch(&mut self, now: Instant, each: &mut dyn FnMut(Datagram<'_>)) -> io::Result<Batch> {
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
        for i in 0..BATCH {
            vectors[i].write(libc::iovec {
                iov_base: self.buffers.datagrams[i].as_mut_ptr().cast(),
                iov_len: DATAGRAM_MAX,
            });
            // SAFETY: all-zero is a valid msghdr; every pointer is set below or stays null.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut self.buffers.names[i]).cast();
            header.msg_hdr.msg_namelen = name_len();
            header.msg_hdr.msg_iov = vectors[i].as_mut_ptr();
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = self.buffers.controls[i].0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_MAX;
            headers[i].write(header);
        }
        // SAFETY: all BATCH headers were written above; each points to buffers of this object, of the stated
        // sizes, that nothing else uses during the call.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                libc::c_uint::try_from(BATCH).unwrap_or(1),
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                    Ok(Batch { received: 0, more: false })
                }
                _ => Err(error),
            };
        };
        let clock = ReceiveClock::new(now, self.last_read);
        for (i, header) in headers.iter().enumerate().take(count) {
            // SAFETY: all headers were written before the call.
            let header = unsafe { header.assume_init_ref() };
            let length = usize::try_from(header.msg_len).unwrap_or(0).min(DATAGRAM_MAX);
            let control_len = header.msg_hdr.msg_controllen.min(CONTROL_MAX);
            let control = ControlFacts::read(&self.buffers.controls[i].0[..control_len]);
            if let Some(overflowed) = control.overflowed {
                self.overflowed = overflowed;
            }
            let bytes = &self.buffers.datagrams[i][..length];
            let received_at = control.stamp_nanos.map_or(now, |stamp| clock.monotonic(stamp));
            let datagram = match self.family {
                Family::Ipv4 => ipv4_datagram(bytes, &control, received_at),
                Family::Ipv6 => ipv6_datagram(bytes, &self.buffers.names[i], &control, received_at),
            };
            if let Some(datagram) = datagram {
                each(datagram);
            }
        }
        if count < BATCH {
            self.last_read = now;
        }
        Ok(Batch { received: count, more: count == BATCH })
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// What the kernel says: the link is down, the source is not ours, a filter refuses.
    pub fn send(&self, packet: &Outgoing<'_>) -> io::Result<()> {
        let mut control = Control([0; CONTROL_MAX]);
        let mut writer = ControlWriter { buffer: &mut control.0, used: 0 };
        let ttl = i32::from(packet.ttl).to_ne_bytes();
        let index = packet.interface.0;
        let name = match (packet.source, packet.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut info = [0; 12];
                info[..4].copy_from_slice(&index.to_ne_bytes());
                info[4..8].copy_from_slice(&source.octets());
                writer.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
                writer.push(libc::IPPROTO_IP, libc::IP_TTL, &ttl);
                SockAddr::from(std::net::SocketAddrV4::new(destination, 0))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&source.octets());
                info[16..].copy_from_slice(&index.to_ne_bytes());
                writer.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
                writer.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &ttl);
                SockAddr::from(std::net::SocketAddrV6::new(destination, 0, 0, index))
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let used = writer.used;
        let mut vector = libc::iovec {
            iov_base: packet.payload.as_ptr().cast_mut().cast(),
            iov_len: packet.payload.len(),
        };
        // SAFETY: all-zero is a valid msghdr; every pointer is set below or stays null.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = used;
        // SAFETY: the header points to the name, payload and control data above, which live across the call;
        // the kernel only reads them.
        let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for AdvertSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn name_len() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(libc::socklen_t::MAX)
}

fn zeroed_name() -> libc::sockaddr_storage {
    // SAFETY: all-zero is a valid sockaddr_storage (family AF_UNSPEC).
    unsafe { std::mem::zeroed() }
}

/// An IPv4 raw socket hands over the IP header, too. What is behind its total length is padding.
fn ipv4_datagram<'a>(bytes: &'a [u8], control: &ControlFacts, received_at: Instant) -> Option<Datagram<'a>> {
    let header = bytes.first_chunk::<20>()?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let payload = bytes.get(header_len..total_len.min(bytes.len()))?;
    Some(Datagram {
        interface: control.interface?,
        source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        ttl: Some(header[8]),
        received_at,
        payload,
    })
}

fn ipv6_datagram<'a>(
    bytes: &'a [u8],
    name: &libc::sockaddr_storage,
    control: &ControlFacts,
    received_at: Instant,
) -> Option<Datagram<'a>> {
    if i32::from(name.ss_family) != libc::AF_INET6 {
        return None;
    }
    // SAFETY: the kernel wrote a sockaddr_in6, as the family says, and sockaddr_storage is large enough and
    // aligned for one.
    let name = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
    Some(Datagram {
        interface: control.interface?,
        source: IpAddr::V6(Ipv6Addr::from(name.sin6_addr.s6_addr)),
        destination: IpAddr::V6(control.destination?),
        ttl: control.hop_limit,
        received_at,
        payload: bytes,
    })
}

/// What the control messages of a received packet say.
#[derive(Default, Debug, PartialEq, Eq)]
struct ControlFacts {
    interface: Option<IfIndex>,
    destination: Option<Ipv6Addr>,
    hop_limit: Option<u8>,
    stamp_nanos: Option<u64>,
    overflowed: Option<u32>,
}

const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

impl ControlFacts {
    /// Reads the messages as bytes: a length that lies cannot lead outside of them.
    fn read(mut bytes: &[u8]) -> Self {
        let mut facts = Self::default();
        let int = |data: &[u8]| data.first_chunk::<4>().map(|b| i32::from_ne_bytes(*b));
        while let Some(header) = bytes.first_chunk::<CONTROL_HEADER>() {
            let length = usize::from_ne_bytes(header[..8].try_into().unwrap_or_default());
            let Some(data) = bytes.get(CONTROL_HEADER..length) else { break };
            match (int(&header[8..12]), int(&header[12..16])) {
                (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => {
                    facts.interface = int(data).and_then(|i| u32::try_from(i).ok()).map(IfIndex);
                }
                (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) => {
                    facts.destination = data.first_chunk::<16>().map(|b| Ipv6Addr::from(*b));
                    facts.interface =
                        data.get(16..).and_then(int).and_then(|i| u32::try_from(i).ok()).map(IfIndex);
                }
                (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_HOPLIMIT)) => {
                    facts.hop_limit = int(data).and_then(|i| u8::try_from(i).ok());
                }
                (Some(libc::SOL_SOCKET), Some(libc::SCM_TIMESTAMPNS)) => {
                    let field = |at: usize| {
                        data.get(at..at + 8)
                            .and_then(|b| b.try_into().ok())
                            .and_then(|b| u64::try_from(i64::from_ne_bytes(b)).ok())
                    };
                    facts.stamp_nanos = field(0).zip(field(8)).map(|(s, ns)| s * 1_000_000_000 + ns);
                }
                (Some(libc::SOL_SOCKET), Some(libc::SO_RXQ_OVFL)) => {
                    facts.overflowed = data.first_chunk::<4>().map(|b| u32::from_ne_bytes(*b));
                }
                _ => {}
            }
            match bytes.get(aligned(length)..) {
                Some(rest) if length > 0 => bytes = rest,
                _ => break,
            }
        }
        facts
    }
}

struct ControlWriter<'a> {
    buffer: &'a mut [u8; CONTROL_MAX],
    used: usize,
}

impl ControlWriter<'_> {
    /// Appends a message; the two that are ever written fit.
    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let length = CONTROL_HEADER + data.len();
        let at = self.used;
        self.buffer[at..at + 8].copy_from_slice(&length.to_ne_bytes());
        self.buffer[at + 8..at + 12].copy_from_slice(&level.to_ne_bytes());
        self.buffer[at + 12..at + 16].copy_from_slice(&kind.to_ne_bytes());
        self.buffer[at + CONTROL_HEADER..at + length].copy_from_slice(data);
        self.used += aligned(length);
    }
}

/// A classic BPF program that takes packets of these VRIDs only. At a raw IPv4 socket it starts at the IP
/// header, at an IPv6 one behind it.
fn attach_filter(socket: &Socket, family: Family, vrids: &[VirtualRouterId]) -> io::Result<()> {
    let mut program = match family {
        Family::Ipv4 => vec![
            SockFilter::new(op(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH), 0, 0, 0),
            SockFilter::new(op(libc::BPF_LD | libc::BPF_B | libc::BPF_IND), 0, 0, 1),
        ],
        Family::Ipv6 => vec![SockFilter::new(op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS), 0, 0, 1)],
    };
    let mut wanted: Vec<u8> = vrids.iter().map(|vrid| vrid.get()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    for vrid in wanted {
        program.push(SockFilter::new(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, 1, u32::from(vrid)));
        program.push(SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX));
    }
    program.push(SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, 0));
    socket.attach_filter(&program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_are_read_as_written() {
        let mut buffer = [0; CONTROL_MAX];
        let mut writer = ControlWriter { buffer: &mut buffer, used: 0 };
        writer.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &{
            let mut info = [0; 20];
            info[15] = 1;
            info[16..].copy_from_slice(&7_u32.to_ne_bytes());
            info
        });
        writer.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &255_i32.to_ne_bytes());
        let used = writer.used;
        let facts = ControlFacts::read(&buffer[..used]);
        assert_eq!(facts.interface, Some(IfIndex(7)));
        assert_eq!(facts.destination, Some(Ipv6Addr::LOCALHOST));
        assert_eq!(facts.hop_limit, Some(255));
    }

    #[test]
    fn control_messages_whose_length_lies_are_left() {
        for length in [0_usize, 1, 15, 17, 4000, usize::MAX] {
            let mut buffer = [0xff; 64];
            buffer[..8].copy_from_slice(&length.to_ne_bytes());
            let _ = ControlFacts::read(&buffer);
        }
    }

    #[test]
    fn padding_behind_the_ip_length_is_cut() {
        let mut packet = vec![0x45, 0xc0, 0, 24, 0, 0, 0, 0, 255, 112, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18];
        packet.extend_from_slice(&[0x31, 1, 100, 0]);
        packet.extend_from_slice(&[0; 22]);
        let control = ControlFacts { interface: Some(IfIndex(3)), ..ControlFacts::default() };
        let datagram = ipv4_datagram(&packet, &control, Instant::ZERO).unwrap();
        assert_eq!(datagram.payload, [0x31, 1, 100, 0]);
        assert_eq!(datagram.ttl, Some(255));
    }
}
