//! How many events one virtual router may tell: packets from outside must not write the log.

use core::time::Duration;

use crate::Instant;

/// So many at once, and then one for each `refill` that passes.
#[derive(Clone, Debug)]
pub(crate) struct EventBudget {
    left: u8,
    burst: u8,
    refill: Duration,
    filled_at: Instant,
}

impl EventBudget {
    pub(crate) const fn new(burst: u8, refill: Duration) -> Self {
        Self { left: burst, burst, refill, filled_at: Instant::ZERO }
    }

    /// Whether one more may be told; if so it is taken off.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        while self.left < self.burst && now - self.filled_at >= self.refill {
            self.left += 1;
            self.filled_at = self.filled_at + self.refill;
        }
        if self.left == self.burst {
            self.filled_at = now;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_per_refill() {
        let second = Duration::from_secs(1);
        let mut budget = EventBudget::new(3, second);
        let start = Instant::ZERO + Duration::from_hours(1);
        let told = |budget: &mut EventBudget, at| (0..100).filter(|_| budget.allows(at)).count();
        assert_eq!(told(&mut budget, start), 3);
        assert_eq!(told(&mut budget, start + second / 2), 0);
        assert_eq!(told(&mut budget, start + second), 1);
        assert_eq!(told(&mut budget, start + second * 3), 2);
        assert_eq!(told(&mut budget, start + second * 1000), 3);
    }
}
