//! The clocks of this machine, as the protocol's [`Instant`].

use rustix::time::{ClockId, clock_gettime};
use vrrp::Instant;

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// `CLOCK_MONOTONIC`: what every deadline is measured by.
pub fn monotonic_now() -> Instant {
    Instant::from_nanos(nanos(ClockId::Monotonic))
}

/// Sleeps until then, whatever happens meanwhile.
pub fn sleep_until(at: Instant) {
    let seconds = i64::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
    let nanos = i64::try_from(at.as_nanos() % 1_000_000_000).unwrap_or(0);
    let at = rustix::time::Timespec { tv_sec: seconds, tv_nsec: nanos };
    // A signal ends it early, which is as good.
    let _ = rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &at);
}

/// Turns the kernel's receive times, which are of `CLOCK_REALTIME`, into monotonic ones.
///
/// The offset is read anew for each batch and the result never lies after `now` nor before `not_before`: a
/// step of the wall clock cannot move a deadline by more than the time since the last batch.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveClock {
    now: Instant,
    not_before: Instant,
    realtime_now: u64,
}

impl ReceiveClock {
    /// For packets read at `now`, the last having been read at `not_before`.
    pub fn new(now: Instant, not_before: Instant) -> Self {
        let monotonic = monotonic_now();
        let realtime = nanos(ClockId::Realtime);
        // `now` was read some microseconds ago.
        let realtime_now = realtime - monotonic.as_nanos().saturating_sub(now.as_nanos());
        Self { now, not_before, realtime_now }
    }

    /// When a packet with this stamp was received.
    pub fn monotonic(&self, stamp_nanos: u64) -> Instant {
        let age = self.realtime_now.saturating_sub(stamp_nanos);
        Instant::from_nanos(self.now.as_nanos().saturating_sub(age))
            .clamp(self.not_before.min(self.now), self.now)
    }
}
