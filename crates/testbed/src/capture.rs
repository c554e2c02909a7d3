//! What is on the wire: adverts and announcements, with the kernel's time and the host they came from.
//!
//! A packet socket sees every port of the bridge; a frame counts where it enters, so one of a host that is
//! on the other side of a partition is seen too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike as _};
use socket2::{SockFilter, SockRef};

use crate::frame::{Advert, Announcement, Seen, decode};
use crate::host::Host;
use crate::lan::Lan;
use crate::moment::{Millis, Moment};

/// How long the reader sleeps at most before it looks whether it shall end.
const PATIENCE: TimeVal = TimeVal::new(0, 100_000);

#[derive(Debug)]
struct Frame {
    at: Moment,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Record {
    frames: Vec<Frame>,
    seen: Vec<Seen>,
}

/// A capture of one LAN, from its start until it is dropped.
#[derive(Debug)]
pub struct Capture {
    record: Arc<Mutex<Record>>,
    end: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    started: Moment,
}

impl Capture {
    /// Begins.
    ///
    /// # Errors
    /// If the kernel refuses the socket.
    pub fn start(lan: &Lan) -> Result<Self> {
        Self::of(lan.switch.inside(open)??, Arc::clone(&lan.ports))
    }

    /// A capture of what comes in by one more interface of a host; what it hears counts as from "peer".
    ///
    /// # Errors
    /// If there is no such interface, or the kernel refuses the socket.
    pub fn on(host: &Host, interface: &str) -> Result<Self> {
        let (socket, index) = host.inside(|| (open(), nix::net::if_::if_nametoindex(interface)))?;
        let index = index.with_context(|| format!("no {interface} on {}", host.name()))?;
        let ports = Arc::new(Mutex::new(BTreeMap::from([(index, Arc::from("peer"))])));
        Self::of(socket?, ports)
    }

    fn of(socket: OwnedFd, ports: Arc<Mutex<BTreeMap<u32, Arc<str>>>>) -> Result<Self> {
        let record = Arc::new(Mutex::new(Record::default()));
        let end = Arc::new(AtomicBool::new(false));
        let (into, stop) = (Arc::clone(&record), Arc::clone(&end));
        let reader = thread::Builder::new().spawn(move || read(&socket, &ports, &into, &stop))?;
        Ok(Self { record, end, reader: Some(reader), started: Moment::now() })
    }

    /// All adverts until now, in the order of their coming.
    pub fn adverts(&self) -> Vec<Advert> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record
            .seen
            .iter()
            .filter_map(|s| if let Seen::Advert(a) = s { Some(a.clone()) } else { None })
            .collect()
    }

    /// The adverts of one host.
    pub fn adverts_of(&self, host: &str) -> Vec<Advert> {
        self.adverts().into_iter().filter(|advert| &*advert.from == host).collect()
    }

    /// All announcements until now.
    pub fn announcements(&self) -> Vec<Announcement> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record
            .seen
            .iter()
            .filter_map(|s| if let Seen::Announcement(a) = s { Some(a.clone()) } else { None })
            .collect()
    }

    /// Writes what was captured as a pcap file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_pcap(&self, path: &Path) -> Result<()> {
        // Magic for nanoseconds, version 2.4, no zone, no accuracy, 64 KiB at most, Ethernet.
        let mut out = Vec::new();
        for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65535, 1_u32] {
            out.extend_from_slice(&word.to_ne_bytes());
        }
        for frame in &self.record.lock().unwrap_or_else(PoisonError::into_inner).frames {
            let (seconds, nanoseconds) = frame.at.parts();
            let length = u32::try_from(frame.bytes.len())?;
            for word in [u32::try_from(seconds)?, nanoseconds, length, length] {
                out.extend_from_slice(&word.to_ne_bytes());
            }
            out.extend_from_slice(&frame.bytes);
        }
        fs::write(path, out).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What happened, a line for each change: adverts that repeat one another are one line.
    pub fn timeline(&self) -> String {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let mut last: BTreeMap<String, (String, usize)> = BTreeMap::new();
        let at = |moment: Moment| Millis(moment.since(self.started)).to_string();
        for seen in &record.seen {
            let (moment, from, what, key) = match seen {
                Seen::Advert(a) => (a.at, &a.from, format!("advert {a}"), format!("{} adverts", a.from)),
                Seen::Announcement(a) => {
                    let what = format!("announces {}", a.address);
                    (a.at, &a.from, what.clone(), format!("{} {what}", a.from))
                }
            };
            match last.get_mut(&key) {
                Some((before, count)) if *before == what => *count += 1,
                previous => {
                    let repeated = match previous {
                        Some((_, count)) if *count > 0 => format!(" (the one before {count} times more)"),
                        _ => String::new(),
                    };
                    let _ = writeln!(text, "{:>12}  {from}: {what}{repeated}", at(moment));
                    last.insert(key, (what, 0));
                }
            }
        }
        for (key, (_, count)) in last {
            if count > 0 {
                let _ = writeln!(text, "              {key}: the last {count} times more");
            }
        }
        text
    }

    /// When it began.
    pub fn started(&self) -> Moment {
        self.started
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn open() -> Result<OwnedFd> {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .context("cannot open a packet socket")?;
    SockRef::from(&socket).attach_filter(&filter()).context("cannot filter packets")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
    // 100 000 packets a second shall not push the few that count out of the queue. More than the limit takes
    // a privilege that a user namespace does not have; then the default has to do.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20));
    Ok(socket)
}

/// Incoming ARP, protocol 112, and neighbour advertisements.
fn filter() -> Vec<SockFilter> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const EQUALS: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // The kernel's SKF_AD_OFF + SKF_AD_PKTTYPE, and PACKET_OUTGOING.
    const PACKET_TYPE: u32 = 0xffff_f004;
    const OUTGOING: u32 = 4;
    let step = |code, yes, no, k| SockFilter::new(code, yes, no, k);
    vec![
        step(LOAD_BYTE, 0, 0, PACKET_TYPE),
        step(EQUALS, 11, 0, OUTGOING), // 1 -> 13 refuse
        step(LOAD_HALF, 0, 0, 12),     // 2
        step(EQUALS, 8, 0, 0x0806),    // 3 -> 12 accept
        step(EQUALS, 0, 2, 0x0800),    // 4 -> 5, or 7
        step(LOAD_BYTE, 0, 0, 23),     // 5
        step(EQUALS, 5, 6, 112),       // 6 -> 12, or 13
        step(EQUALS, 0, 5, 0x86dd),    // 7 -> 8, or 13
        step(LOAD_BYTE, 0, 0, 20),     // 8
        step(EQUALS, 2, 0, 112),       // 9 -> 12
        step(LOAD_BYTE, 0, 0, 54),     // 10 type of ICMPv6
        step(EQUALS, 0, 1, 136),       // 11 -> 12, or 13
        step(RETURN, 0, 0, 65535),     // 12 accept
        step(RETURN, 0, 0, 0),         // 13 refuse
    ]
}

fn read(socket: &OwnedFd, ports: &Mutex<BTreeMap<u32, Arc<str>>>, record: &Mutex<Record>, end: &AtomicBool) {
    let mut buffer = vec![0_u8; 65536];
    let mut control = cmsg_space!(TimeSpec);
    while !end.load(Ordering::Relaxed) {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let Ok(message) =
            recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
        else {
            continue;
        };
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|c| if let ControlMessageOwned::ScmTimestampns(at) = c { Some(at) } else { None })
        });
        let at = stamp.map_or_else(Moment::now, |stamp| {
            Moment::since_epoch(Duration::from_nanos(u64::try_from(stamp.num_nanoseconds()).unwrap_or(0)))
        });
        let (length, port) = (message.bytes, message.address.map(|address| address.ifindex()));
        let Some(port) = port.and_then(|index| u32::try_from(index).ok()) else { continue };
        // Not a port: the bridge's own copy.
        let Some(from) = ports.lock().unwrap_or_else(PoisonError::into_inner).get(&port).cloned() else {
            continue;
        };
        let bytes = buffer[..length].to_vec();
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.seen.extend(decode(at, &from, &bytes));
        record.frames.push(Frame { at, bytes });
    }
}
