//! Which virtual routers will behave alike: for the model check, which must not look at one twice.

use core::hash::{Hash, Hasher};

use super::VirtualRouter;
use super::handover::Linger;
use crate::Instant;

impl VirtualRouter {
    /// Feeds everything that what happens next can depend on, with times as distances from `now`: the state,
    /// timers, what is known of the Active, what lingers. Counters, peers and names are left out.
    pub fn hash_behaviour<H: Hasher>(&self, now: Instant, hasher: &mut H) {
        self.state.hash(hasher);
        self.holds.hash(hasher);
        (self.priority.get(), self.checksum, self.installed).hash(hasher);
        (self.yielded, self.listened_after_stall, self.wants_active).hash(hasher);
        (self.preempting, self.preempt_delay_passed).hash(hasher);
        (self.active, self.active_priority.get()).hash(hasher);
        self.active_interval.duration().hash(hasher);
        for deadline in self.timers.deadlines() {
            // Also how late it is, which decides whether it stalled.
            deadline.map(|at| at.as_nanos().wrapping_sub(now.as_nanos())).hash(hasher);
        }
        // Only whether they are older than so and so long is ever asked.
        let age = |at: Option<Instant>, most| at.map(|at| (now - at).min(most));
        age(self.followed_at, self.active_interval.duration() * 3 / 2).hash(hasher);
        age(self.last_advert_sent, self.config.interval.duration() / 16).hash(hasher);
        match self.linger {
            None => 0_u8.hash(hasher),
            Some(Linger::Inherited) => 1_u8.hash(hasher),
            // `since` is compared with what is received from now on, which is later.
            Some(Linger::Handover { retake, .. }) => (2_u8, retake).hash(hasher),
            Some(Linger::Succeeded { latest, .. }) => (3_u8, latest - now).hash(hasher),
        }
    }
}
