//! Make before break: the addresses stay until the successor has them.

use core::net::IpAddr;
use core::time::Duration;

use super::VirtualRouter;
use crate::outbox::{Effect, Event, Hold, Outbox, Reason, State};
use crate::timers::{Timer, TimerTable};
use crate::{Instant, Priority};

/// Where nobody looks for the successor's announcement, how long the addresses stay after its first advert.
/// It sends that advert before it has the address (keepalived needs 0.7 to 1.3 ms more, and then announces);
/// until its announcement has reached the clients, we are who they talk to.
const LINGER_UNWATCHED: Duration = Duration::from_millis(40);
/// Where its announcement is looked for, how long the addresses stay without one: a slow successor needs
/// some 100 ms for a thousand addresses, and nobody is harmed by our answering meanwhile.
const LINGER_UNANNOUNCED: Duration = Duration::from_millis(500);
/// From an announcement on: the clients got it when we did, and have to take it in. Every further one, of
/// another address, starts it anew. Longer than the winner of a tie waits before it announces again, since our
/// own announcement may come after its first.
const LINGER_ANNOUNCED: Duration = Duration::from_millis(30);
/// Beyond the successor's `Skew_Time`, how long a handover waits for its first advert.
const HANDOVER_MARGIN: Duration = Duration::from_millis(150);

/// What becomes of the addresses while the virtual router no longer, or not yet, is Active.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Linger {
    /// Left on the interface by an earlier process: they go when another Active is heard, and stay if we
    /// become Active.
    Inherited,
    /// Priority 0 was sent; they stay until the successor is heard, or the deadline.
    Handover {
        /// When it was sent.
        since: Instant,
        /// Whether we go on as Active if nobody comes.
        retake: bool,
    },
    /// The successor was heard or has announced; they go when its announcement must have arrived.
    Succeeded {
        /// From when on its announcements count.
        since: Instant,
        /// However often it announces, they go then.
        latest: Instant,
    },
}

impl VirtualRouter {
    /// Priority 0 is sent; the addresses go on answering until the successor is heard or the deadline passes
    /// (make before break). With `stop` the state is Initialize then, else Backup.
    pub(crate) fn release(&mut self, stop: bool, now: Instant, out: &mut Outbox) {
        if self.state != State::Active {
            if stop {
                self.set_hold(Hold::Stopped, true, now, out);
            }
            return;
        }
        self.send_release_and_linger(!stop, now, out);
        self.yielded = true;
        if stop {
            // Not through `set_hold`: that would take the addresses off.
            let linger = self.timers.get(Timer::Linger);
            self.timers = TimerTable::new();
            if let Some(at) = linger {
                self.timers.set(Timer::Linger, at);
            }
            self.holds |= 1 << Hold::Stopped as u8;
            self.enter(State::Initialize(Hold::Stopped), Reason::Held(Hold::Stopped), now, out);
        } else {
            self.become_backup(now, Reason::Handover, out);
        }
    }

    /// The member of a group that is Active leaves with the others: its peers need not wait for its silence.
    pub(crate) fn leave_with_group(&mut self, now: Instant, out: &mut Outbox) {
        self.send_release_and_linger(false, now, out);
        self.become_backup(now, Reason::SyncGroup, out);
    }

    fn send_release_and_linger(&mut self, retake: bool, now: Instant, out: &mut Outbox) {
        self.queue_adverts(true, now, out);
        self.linger = Some(Linger::Handover { since: now, retake });
        // The slowest successor has the lowest priority, and so the longest skew.
        let skew = self.config.interval.skew_time(self.config.version, Priority::LOWEST);
        self.timers.set(Timer::Linger, now + skew + HANDOVER_MARGIN);
    }

    /// After a handover: preempt again as configured.
    pub(crate) fn take_back(&mut self) {
        self.yielded = false;
    }

    /// The addresses are on the interface already, left by an earlier process of ours.
    pub(crate) fn inherit_addresses(&mut self) {
        self.installed = true;
        self.linger = Some(Linger::Inherited);
    }

    /// An Active other than us was heard.
    pub(super) fn note_successor(&mut self, at: Instant, peer: IpAddr, out: &mut Outbox) {
        match self.linger {
            Some(Linger::Handover { since, .. }) if at >= since => {
                out.event(Event::SuccessorHeard { vr: self.index, peer, after: at - since });
            }
            Some(Linger::Inherited) => {}
            Some(Linger::Handover { .. } | Linger::Succeeded { .. }) | None => return,
        }
        self.linger_for_successor(at);
    }

    /// Its first advert was received at `at`; its announcement follows.
    pub(super) fn linger_for_successor(&mut self, at: Instant) {
        let longest = if self.announcements_watched { LINGER_UNANNOUNCED } else { LINGER_UNWATCHED };
        self.linger = Some(Linger::Succeeded { since: at, latest: at + longest });
        self.timers.set(Timer::Linger, at + longest);
    }

    /// One of our addresses was announced with another MAC address.
    pub(crate) fn announced_elsewhere(&mut self, at: Instant) {
        let (since, latest) = match self.linger {
            // Its advert may be lost or late; whoever announces is Active.
            Some(Linger::Handover { since, .. }) => (since, at + LINGER_UNANNOUNCED),
            Some(Linger::Succeeded { since, latest }) => (since, latest),
            Some(Linger::Inherited) | None => return,
        };
        if at < since {
            return;
        }
        self.linger = Some(Linger::Succeeded { since, latest });
        self.timers.set(Timer::Linger, latest.min(at + LINGER_ANNOUNCED));
    }

    pub(super) fn linger_over(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(Linger::Handover { since, retake }) = self.linger {
            out.event(Event::NoSuccessor { vr: self.index, after: now - since });
            if retake && self.state == State::Backup {
                // Nobody came: better the address stays with us than with nobody.
                self.become_active(now, Reason::NoSuccessor, out);
                return;
            }
        }
        self.withdraw(out);
    }

    pub(super) fn withdraw(&mut self, out: &mut Outbox) {
        self.linger = None;
        self.timers.stop(Timer::Linger);
        if self.installed {
            self.installed = false;
            out.effects.push_back(Effect::Withdraw { vr: self.index });
        }
    }
}
