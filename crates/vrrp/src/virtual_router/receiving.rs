//! What an accepted advertisement does (RFC 9568 §6.4.2 and §6.4.3).

use core::net::IpAddr;
use core::time::Duration;

use super::VirtualRouter;
use crate::discard::{DiscardReason, Remark};
use crate::outbox::{Effect, Event, Outbox, Reason, State};
use crate::receive::Accepted;
use crate::timers::Timer;
use crate::{ChecksumForm, Instant, Priority, Version};

/// From the first burst against another Active to the second: longer than a kernel takes to set addresses,
/// shorter than the other one goes on answering.
const ECHO: Duration = Duration::from_millis(20);

impl VirtualRouter {
    pub(crate) fn count_discard(
        &mut self,
        reason: DiscardReason,
        peer: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.statistics.discarded += 1;
        if let Some(count) = self.peers.discarded(peer, reason, now) {
            out.event(Event::Discarded { vr: self.index, reason, peer, count });
        }
    }

    /// An advertisement that passed every check. `at` is when the kernel received it.
    pub(crate) fn handle_advertisement(
        &mut self,
        at: Instant,
        now: Instant,
        peer: IpAddr,
        advert: Accepted,
        out: &mut Outbox,
    ) {
        self.statistics.advertisements_received += 1;
        self.statistics.priority_zero_received += u64::from(advert.priority == Priority::RELEASE);
        self.last_advert_received = Some(at);
        self.peers.accepted(peer, advert.priority, advert.interval, at);
        for remark in advert.remarks() {
            self.statistics.address_list_errors += u64::from(remark == Remark::AddressList);
            if self.peers.remarked(peer, remark, now) {
                out.event(Event::Remarked { vr: self.index, remark, peer });
            }
        }
        self.learn_checksum_form(advert.form, peer, now, out);
        if advert.priority != Priority::RELEASE {
            self.note_successor(at, peer, out);
        }
        match self.state {
            State::Initialize(_) => {}
            State::Backup => self.backup_heard(at, now, peer, advert, out),
            State::Active => self.active_heard(at, now, peer, advert, out),
        }
    }

    /// A router takes, as far as is known, the form that it sends. keepalived before 2.3 knows no
    /// `v3_checksum_as_v2` and refuses the RFC's form for good: whoever goes on sending it is never heard,
    /// and both are Active.
    fn learn_checksum_form(&mut self, form: ChecksumForm, peer: IpAddr, now: Instant, out: &mut Outbox) {
        if self.config.version == Version::V2 || self.config.family == crate::Family::Ipv6 {
            return;
        }
        match form {
            ChecksumForm::PseudoHeader => self.statistics.checksum_pseudo_header += 1,
            ChecksumForm::MessageOnly => self.statistics.checksum_message_only += 1,
        }
        if form == self.checksum {
            return;
        }
        if self.peers.remarked(peer, Remark::OtherChecksumForm, now) {
            out.event(Event::Remarked { vr: self.index, remark: Remark::OtherChecksumForm, peer });
        }
        if !self.config.checksum_fixed {
            self.checksum = form;
            self.prepare();
            if self.news.allows(now) {
                out.event(Event::ChecksumFormLearnt { vr: self.index, form });
            }
        }
    }

    /// RFC 9568 §6.4.2.
    fn backup_heard(&mut self, at: Instant, now: Instant, peer: IpAddr, advert: Accepted, out: &mut Outbox) {
        if advert.priority == Priority::RELEASE {
            self.backup_heard_release(at, peer);
            return;
        }
        let outranks = advert.priority >= self.priority;
        if !outranks && self.may_preempt() {
            self.preempting = true;
            if self.active == Some(peer) && advert.priority < self.active_priority {
                self.active_fell(at, advert.priority);
            }
            return;
        }
        self.preempting = false;
        self.follow(at, now, peer, advert, out);
        if outranks {
            self.timers.stop(Timer::PreemptDelay);
            self.preempt_delay_passed = false;
        } else if !self.config.preempt_delay.is_zero()
            && self.config.preempt
            && !self.yielded
            && self.timers.get(Timer::PreemptDelay).is_none()
        {
            self.timers.set(Timer::PreemptDelay, now + self.config.preempt_delay);
        }
    }

    /// The Active stops: `Skew_Time` from now the next one comes. Stricter than the RFC in two ways: an Active
    /// that we follow and go on hearing has not left because another one did, and a repeated packet cannot
    /// put the takeover off.
    fn backup_heard_release(&mut self, at: Instant, peer: IpAddr) {
        let another_is_heard = self.active.is_some_and(|active| active != peer)
            && self.followed_at.is_some_and(|heard| at - heard < self.active_interval.duration() * 3 / 2);
        if another_is_heard {
            return;
        }
        self.active_priority = Priority::RELEASE;
        self.active_down_no_later_than(at + self.skew_time());
    }

    /// The Active that we follow has become lower than we are: its own checks failed, and it says so. The RFC has
    /// us ignore it from now on and take over when `Active_Down_Timer` ends; for three intervals clients would talk to
    /// a router that does not work. So it counts as a release: `Skew_Time` from now, unless the timer ends before.
    /// A router that was lower from the start, or than which we became higher, is preempted as the RFC says.
    fn active_fell(&mut self, at: Instant, to: Priority) {
        self.active_priority = to;
        self.active_down_no_later_than(at + self.skew_time());
    }

    /// We were about to relieve an Active that had become lower, and have become lower still: it is waited for as
    /// before, from its last advert on.
    pub(super) fn follow_again_if_outranked(&mut self) {
        let outranked = self.active_priority != Priority::RELEASE && self.active_priority >= self.priority;
        if self.state != State::Backup || !self.preempting || !outranked {
            return;
        }
        let heard = self.active.and_then(|active| self.peers.last_accepted(active));
        if let Some(heard) = heard {
            self.preempting = false;
            self.timers.set(Timer::ActiveDown, heard + self.active_down_interval());
        }
    }

    fn active_down_no_later_than(&mut self, due: Instant) {
        let due = self.timers.get(Timer::ActiveDown).map_or(due, |earlier| earlier.min(due));
        self.timers.set(Timer::ActiveDown, due);
    }

    /// Whether a lower-priority Active is left to time out. The owner always preempts (RFC 9568 §6.1,
    /// `Preempt_Mode`).
    fn may_preempt(&self) -> bool {
        if self.priority.is_owner() {
            return true;
        }
        if !self.config.preempt || self.yielded {
            return false;
        }
        // The delay runs from the first lower-priority advert on.
        self.config.preempt_delay.is_zero() || self.preempt_delay_passed
    }

    fn follow(&mut self, at: Instant, now: Instant, peer: IpAddr, advert: Accepted, out: &mut Outbox) {
        if self.active != Some(peer) {
            self.active = Some(peer);
            if self.news.allows(now) {
                out.event(Event::NewActive { vr: self.index, active: peer, priority: advert.priority });
            }
        }
        self.followed_at = Some(at);
        self.active_priority = advert.priority;
        if self.config.version == Version::V3 && advert.interval != self.active_interval {
            self.active_interval = advert.interval;
            if advert.interval != self.config.interval && self.news.allows(now) {
                out.event(Event::IntervalLearnt { vr: self.index, interval: advert.interval });
            }
        }
        self.listened_after_stall = false;
        self.wants_active = false;
        self.timers.set(Timer::ActiveDown, at + self.active_down_interval());
    }

    /// RFC 9568 §6.4.3.
    fn active_heard(&mut self, at: Instant, now: Instant, peer: IpAddr, advert: Accepted, out: &mut Outbox) {
        if self.priority.is_owner() && self.config.owner_ignores_adverts {
            return;
        }
        let interval = self.config.interval.duration();
        if advert.priority == Priority::RELEASE {
            // Every Backup waits for its `Skew_Time` now, the quickest for 2/256 of the interval: it has to
            // hear of us before.
            self.answer(interval / 256, now, out);
            self.announce_over_a_rival(now, out);
            return;
        }
        let outranked = advert.priority > self.priority
            || (advert.priority == self.priority && self.source.is_some_and(|own| peer > own));
        if outranked {
            if self.config.inform_winner {
                // The winner may not know of us: if it never hears a rival, it has no reason to announce the
                // addresses again, and the clients go on sending to us.
                self.queue_adverts(false, now, out);
            }
            // It sent its advert before it had the addresses: they stay until it has announced them. From now
            // on, however long ago that was: an announcement of ours may be under way.
            self.linger_for_successor(now);
            self.become_backup(now, Reason::OutrankedBy(peer), out);
            self.follow(at, now, peer, advert, out);
            return;
        }
        if self.news.allows(now) {
            out.event(Event::SecondActive { vr: self.index, peer, priority: advert.priority });
        }
        if self.config.answer_lower_priority {
            self.answer(interval / 16, now, out);
        }
        self.announce_over_a_rival(now, out);
    }

    /// There is, or was, another Active: the clients may go on sending to it.
    fn announce_over_a_rival(&mut self, now: Instant, out: &mut Outbox) {
        let schedule = self.config.announcements;
        if schedule.lower_priority_repeat == 0 || self.timers.get(Timer::LowerPriorityBurst).is_some() {
            return;
        }
        out.effects.push_back(Effect::Announce { vr: self.index, repeat: schedule.lower_priority_repeat });
        // It may announce after us: two that took over together are told apart before their kernels have the
        // addresses. Once more while it still answers, and once when it has certainly yielded.
        let interval = self.config.interval.duration();
        let delay = schedule.lower_priority_delay;
        let last = if delay.is_zero() { interval } else { delay.min(interval) };
        self.timers.set(Timer::LowerPriorityBurst, now + last);
        if last > ECHO {
            self.timers.set(Timer::LowerPriorityEcho, now + ECHO);
        }
    }
}
