//! Announcing addresses, and hearing others announce them: one packet socket that sends frames as they are on
//! any interface, and receives only while it is asked to.
//!
//! One and not several: closing a packet socket takes the kernel some 20 ms, and an agent that stops waits.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use socket2::{SockFilter, SockRef};
use vrrp::IfIndex;

use crate::announcement_watch::{self, FRAME_MAX, Heard};
use crate::packet_socket::{self, EVERY_PROTOCOL};
use crate::socket_option::{op, set_int};

/// A frame and the interface it leaves by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Where it goes out.
    pub interface: IfIndex,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// IEEE 802 local experimental: nobody sends it, so nothing is ever queued. A packet socket cannot be bound to
/// nothing again.
const NO_PROTOCOL: i32 = 0x88b5;
/// `PACKET_IGNORE_OUTGOING` (Linux 4.20).
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// Frames sent by one system call.
const BATCH: usize = 64;

/// The packet socket.
#[derive(Debug)]
pub struct Announcer(OwnedFd);

impl Announcer {
    /// Opens it.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        // Protocol 0: nothing is ever received, so nothing is ever queued.
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just opened and that nobody else has.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Receives announcements of others from now on; until [`deafen`](Self::deafen) the kernel looks at every
    /// frame that comes in.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(&mut self) -> io::Result<()> {
        SockRef::from(&self.0).attach_filter(&announcement_watch::filter())?;
        // Older kernels hand over what we send, too: it is told by its kind.
        let _ = set_int(self.0.as_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
        packet_socket::bind(&self.0, EVERY_PROTOCOL, None)
    }

    /// Receives nothing any more. It takes the kernel some 20 ms.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn deafen(&mut self) -> io::Result<()> {
        let nothing = SockFilter::new(op(libc::BPF_RET | libc::BPF_K), 0, 0, 0);
        SockRef::from(&self.0).attach_filter(&[nothing])?;
        packet_socket::bind(&self.0, NO_PROTOCOL, None)
    }

    /// Hands over every announcement of others heard since the last call.
    pub fn read(&mut self, each: &mut dyn FnMut(Heard)) {
        let mut frame = [0; FRAME_MAX];
        while let Some((interface, kind, length)) = packet_socket::receive(&self.0, &mut frame) {
            if kind == libc::PACKET_OUTGOING {
                continue;
            }
            if let Some(heard) = frame.get(..length).and_then(|f| announcement_watch::parse(interface, f)) {
                each(heard);
            }
        }
    }

    /// Sends the frames in order.
    ///
    /// # Errors
    /// The first refusal; the frames behind it are tried all the same.
    pub fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut first_error = None;
        for batch in frames.chunks(BATCH) {
            let mut sent = 0;
            while sent < batch.len() {
                match self.send_batch(&batch[sent..]) {
                    Ok(count) => sent += count.max(1),
                    Err(error) => {
                        first_error.get_or_insert(error);
                        // The one that was refused is left out.
                        sent += 1;
                    }
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn send_batch(&self, frames: &[Frame]) -> io::Result<usize> {
        let mut names: Vec<libc::sockaddr_ll> = frames
            .iter()
            .map(|frame| {
                // SAFETY: all-zero is a valid sockaddr_ll.
                let mut name: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
                name.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
                name.sll_ifindex = i32::try_from(frame.interface.0).unwrap_or(0);
                name.sll_halen = 6;
                name
            })
            .collect();
        let mut vectors: Vec<libc::iovec> = frames
            .iter()
            .map(|f| libc::iovec { iov_base: f.bytes.as_ptr().cast_mut().cast(), iov_len: f.bytes.len() })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = names
            .iter_mut()
            .zip(&mut vectors)
            .map(|(name, vector)| {
                // SAFETY: all-zero is a valid mmsghdr; its pointers are set below or stay null.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
                header.msg_hdr.msg_namelen =
                    libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or(0);
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        let count = libc::c_uint::try_from(headers.len()).unwrap_or(0);
        // SAFETY: the headers point to names, vectors and frames that live across the call; the kernel only
        // reads the frames.
        let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl AsFd for Announcer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
