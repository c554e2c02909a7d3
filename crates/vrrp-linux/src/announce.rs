//! Sending frames as they are, on any interface: one packet socket that never receives.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use vrrp::IfIndex;

/// A frame and the interface it leaves by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Where it goes out.
    pub interface: IfIndex,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

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
