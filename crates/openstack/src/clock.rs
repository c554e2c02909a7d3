//! Time and chance, as an argument: tests of retries need no waiting.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

/// What the client asks of the outside besides OpenStack.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Monotonic time since some fixed moment.
    fn now(&self) -> Duration;
    /// The wall clock, for a `Retry-After` that is a date.
    fn wall(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, duration: Duration);
    /// Uniform in 0..1, for the jitter of retries.
    fn chance(&self) -> f64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    seed: RandomState,
}

impl SystemClock {
    /// Starts at zero, now.
    pub fn new() -> Self {
        Self { start: Instant::now(), seed: RandomState::new() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn chance(&self) -> f64 {
        // The standard library's hasher is keyed at random per process: enough to spread retries.
        let mut hasher = self.seed.build_hasher();
        hasher.write_u128(self.start.elapsed().as_nanos());
        f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }
}
