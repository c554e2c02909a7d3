//! How late the protocol thread wakes: the figure that says which advertisement interval a machine can bear.

use std::time::Duration;

/// A histogram with one bucket per power of two of microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lateness {
    buckets: [u64; 32],
    max: Duration,
}

impl Lateness {
    pub(crate) fn record(&mut self, late: Duration) {
        let micros = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
        let bucket = (u32::BITS - micros.leading_zeros()).min(31);
        self.buckets[bucket as usize] += 1;
        self.max = self.max.max(late);
    }

    /// The upper bound of the bucket that holds the given share (in percent) of all wake-ups.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let all: u64 = self.buckets.iter().sum();
        let mut seen = 0;
        for (bucket, count) in (0_u32..).zip(self.buckets) {
            seen += count;
            if count > 0 && seen * 100 >= all * percent {
                return Duration::from_micros(1_u64 << bucket).min(self.max);
            }
        }
        Duration::ZERO
    }

    pub(crate) const fn max(&self) -> Duration {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_bound_what_was_recorded() {
        let mut lateness = Lateness::default();
        for micros in 1..=1000 {
            lateness.record(Duration::from_micros(micros));
        }
        assert_eq!(lateness.max(), Duration::from_millis(1));
        assert_eq!(lateness.percentile(50), Duration::from_micros(512));
        assert_eq!(lateness.percentile(100), Duration::from_millis(1));
    }
}
