//! Waiting for descriptors until a deadline, to the nanosecond, and being woken by another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use vrrp::Instant;

use crate::clock;

/// An epoll instance. Level-triggered: who is ready is found by trying.
#[derive(Debug)]
pub struct Poller(OwnedFd);

impl Poller {
    /// A new one, empty.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Waits for `fd` to be readable, too; it must stay open as long as the poller is used.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        epoll::add(&self.0, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Returns when something is readable, at the deadline, or after an interruption.
    ///
    /// # Errors
    /// Only if the epoll instance itself is broken.
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|at| {
            let left = at - clock::monotonic_now();
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 8];
        match epoll::wait(&self.0, &mut events[..], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Wakes a [`Poller`] from another thread.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A new one.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes; many calls before the other side drains count as one.
    pub fn wake(&self) {
        // It can only fail when the counter is full, and then the other side is woken already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Forgets what was woken for.
    pub fn drain(&self) {
        // Empty already is as good.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
