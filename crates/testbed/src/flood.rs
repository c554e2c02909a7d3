//! Crafted packets at a rate, from a packet socket.

use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};

use crate::frame::{VRRP, checksum, pseudo_header};
use crate::host::{Host, INTERFACE};
use crate::virtual_router::{ChecksumForm, Family, VirtualRouter};

/// A VRRP packet to be made, right unless told to be wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CraftedAdvert {
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    message: Vec<u8>,
    pseudo_header: bool,
    spoil: u16,
}

impl CraftedAdvert {
    /// An advert for this virtual router from `host`, by multicast.
    pub fn new(host: &Host, vr: &VirtualRouter) -> Self {
        let (source, destination, destination_mac) = match vr.family() {
            Family::Ipv4 => {
                (host.ipv4().into(), IpAddr::from([224, 0, 0, 18]), [0x01, 0x00, 0x5e, 0x00, 0x00, 0x12])
            }
            Family::Ipv6 => (
                host.link_local().into(),
                IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
                [0x33, 0x33, 0, 0, 0, 0x12],
            ),
        };
        let addresses = vr.advertised();
        let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
        let mut message =
            vec![vr.version() << 4 | 1, vr.virtual_router_id(), vr.configured_priority(), count];
        if vr.version() == 2 {
            message.extend_from_slice(&[0, u8::try_from(vr.interval().as_secs()).unwrap_or(u8::MAX)]);
        } else {
            let centiseconds = u16::try_from(vr.interval().as_millis() / 10).unwrap_or(0x0fff);
            message.extend_from_slice(&centiseconds.to_be_bytes());
        }
        message.extend_from_slice(&[0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(a) => message.extend_from_slice(&a.octets()),
                IpAddr::V6(a) => message.extend_from_slice(&a.octets()),
            }
        }
        if vr.version() == 2 {
            message.extend_from_slice(&[0; 8]);
        }
        Self {
            source_mac: host.mac(),
            destination_mac,
            source,
            destination,
            ttl: 255,
            message,
            pseudo_header: vr.version() == 3,
            spoil: 0,
        }
    }

    /// To one host instead of the group, from the address that unicast peers know.
    #[must_use]
    pub fn unicast(mut self, from: &Host, to: &Host) -> Self {
        self.destination_mac = to.mac();
        (self.source, self.destination) = match self.source {
            IpAddr::V4(_) => (from.ipv4().into(), to.ipv4().into()),
            IpAddr::V6(_) => (from.ipv6().into(), to.ipv6().into()),
        };
        self
    }

    /// With the checksum form (VRRPv3 over IPv4).
    #[must_use]
    pub fn checksum(mut self, form: ChecksumForm) -> Self {
        self.pseudo_header = self.source.is_ipv6() || form == ChecksumForm::PseudoHeader;
        self
    }

    /// With another TTL or hop limit.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// With a checksum that is wrong.
    #[must_use]
    pub fn bad_checksum(mut self) -> Self {
        self.spoil = 0x5555;
        self
    }

    /// Claiming this many addresses, whatever follows.
    #[must_use]
    pub fn count(mut self, count: u8) -> Self {
        self.message[3] = count;
        self
    }

    /// Claiming this version.
    #[must_use]
    pub fn version(mut self, version: u8) -> Self {
        self.message[0] = version << 4 | 1;
        self
    }

    /// Only the first bytes of the message.
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.message.truncate(length);
        self
    }

    /// The Ethernet frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut message = self.message.clone();
        if message.len() >= 8 {
            let header = pseudo_header(self.source, self.destination, message.len());
            let parts: &[&[u8]] = if self.pseudo_header { &[&header, &message] } else { &[&message] };
            let sum = checksum(parts) ^ self.spoil;
            message[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        let mut frame = [self.destination_mac, self.source_mac].concat();
        let length = u16::try_from(message.len()).unwrap_or(0);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = (length + 20).to_be_bytes();
                let mut header = vec![0x45, 0xc0, total[0], total[1], 0, 0, 0, 0, self.ttl, VRRP, 0, 0];
                header.extend_from_slice(&source.octets());
                header.extend_from_slice(&destination.octets());
                let sum = checksum(&[&header]).to_be_bytes();
                header[10..12].copy_from_slice(&sum);
                frame.extend_from_slice(&[0x08, 0x00]);
                frame.extend_from_slice(&header);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let length = length.to_be_bytes();
                frame.extend_from_slice(&[0x86, 0xdd, 0x6c, 0, 0, 0, length[0], length[1], VRRP, self.ttl]);
                frame.extend_from_slice(&source.octets());
                frame.extend_from_slice(&destination.octets());
            }
            // Both are made from one virtual router.
            _ => {}
        }
        frame.extend_from_slice(&message);
        frame
    }
}

/// Sends once.
///
/// # Errors
/// If the kernel refuses.
pub fn send(host: &Host, frame: &[u8]) -> Result<()> {
    let (socket, link) = host.inside(open)??;
    sendto(socket.as_raw_fd(), frame, &link, MsgFlags::empty()).context("cannot send the frame")?;
    Ok(())
}

/// Frames at a steady rate until dropped.
#[derive(Debug)]
pub struct PacketFlood {
    end: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<()>>,
}

impl PacketFlood {
    /// Sends `frame` from `host`, `rate` times a second, in lots of a millisecond.
    ///
    /// # Errors
    /// If the kernel refuses the socket.
    pub fn start(host: &Host, frame: Vec<u8>, rate: u32) -> Result<Self> {
        let (socket, link) = host.inside(open)??;
        let end = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (stop, count) = (Arc::clone(&end), Arc::clone(&sent));
        let sender = thread::spawn(move || {
            let started = Instant::now();
            let mut done = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "positive and small"
                )]
                let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                // A sender that was kept waiting for long does not make up for all of it in one burst.
                done = done.max(due.saturating_sub(u64::from(rate) / 20 + 1));
                while done < due {
                    // A full queue is a frame less.
                    let gone = sendto(socket.as_raw_fd(), &frame, &link, MsgFlags::MSG_DONTWAIT).is_ok();
                    count.fetch_add(u64::from(gone), Ordering::Relaxed);
                    done += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Ok(Self { end, sent, sender: Some(sender) })
    }

    /// How many were sent until now.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for PacketFlood {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let _ = sender.join();
        }
    }
}

/// A packet socket, and the link it sends by.
fn open() -> Result<(OwnedFd, LinkAddr)> {
    let link = getifaddrs()?
        .filter(|interface| interface.interface_name == INTERFACE)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .with_context(|| format!("there is no {INTERFACE}"))?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot open a packet socket")?;
    Ok((socket, link))
}
