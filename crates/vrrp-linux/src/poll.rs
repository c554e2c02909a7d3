//! Waiting for descriptors until a deadline, to the microsecond, and being woken by another thread.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use vrrp::Instant;

/// An epoll instance. Level-triggered: who is ready is found by trying.
///
/// Its deadline is a timerfd and not epoll's own timeout, which the kernel lets be late by a thousandth of it
/// (3.6 ms of an `Active_Down_Interval` of 3.6 s) unless the thread is real-time.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// When the timer fires, or has fired.
    armed: Cell<Option<Instant>>,
}

impl Poller {
    /// A new one, empty.
    pub fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let poller =
            Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, timer, armed: Cell::new(None) };
        poller.add(poller.timer.as_fd(), u64::MAX)?;
        Ok(poller)
    }

    /// Waits for `fd` to be readable, too; it must stay open as long as the poller is used.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Returns when something is readable, at the deadline, or after an interruption.
    ///
    /// # Errors
    /// Only if the epoll instance or the timer itself is broken.
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        // One that has fired and is asked for again is readable still.
        if self.armed.get() != deadline {
            self.arm(deadline)?;
        }
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 8];
        match epoll::wait(&self.epoll, &mut events[..], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn arm(&self, deadline: Option<Instant>) -> io::Result<()> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = deadline.map_or(never, |at| Timespec {
            tv_sec: i64::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX),
            // Zero would be never.
            tv_nsec: i64::try_from(at.as_nanos() % 1_000_000_000).unwrap_or(0).max(1),
        });
        let timer = Itimerspec { it_interval: never, it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &timer)?;
        self.armed.set(deadline);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;

    #[test]
    fn a_deadline_ends_the_wait_again_and_again_and_a_waker_ends_it_before() {
        let (poller, waker) = (Poller::new().unwrap(), Waker::new().unwrap());
        poller.add(waker.as_fd(), 0).unwrap();
        for _ in 0..3 {
            let at = clock::monotonic_now() + Duration::from_millis(5);
            poller.wait(Some(at)).unwrap();
            assert!(clock::monotonic_now() >= at);
            // Past already: at once.
            poller.wait(Some(at)).unwrap();
            poller.wait(Some(Instant::from_nanos(1))).unwrap();
        }
        waker.wake();
        poller.wait(None).unwrap();
        poller.wait(Some(clock::monotonic_now() + Duration::from_hours(1))).unwrap();
        waker.drain();
    }
}
