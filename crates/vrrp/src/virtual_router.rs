//! One virtual router: the state machine of RFC 9568 §6.4 (and RFC 3768 §6.4), and beside it what the RFC
//! leaves to the router: holding, tracking, announcing, handing over.
//!
//! Here are its states, what moves it between them, and time; `receiving` has what an advert does, `adverts`
//! what is sent, `handover` how the addresses outlive the state. Nothing here reads a clock or does I/O. Methods take `now` and leave what they want done in the outbox.

mod adverts;
mod fingerprint;
mod handover;
mod receiving;

use core::net::IpAddr;
use core::time::Duration;

use self::adverts::PreparedAdverts;
pub use self::adverts::Transmit;
use self::handover::Linger;
use crate::config::VirtualRouterConfig;
use crate::event_budget::EventBudget;
use crate::outbox::{Effect, Event, Hold, Outbox, Reason, State, VrIndex};
use crate::peers::{Peer, Peers};
use crate::timers::{Timer, TimerTable};
use crate::{AdvertInterval, ChecksumForm, Instant, Priority, Version};

/// When addresses that the kernel refused are tried again.
const RETRY_ADDRESSES: Duration = Duration::from_secs(5);

/// Counters, named as RFC 8347 names them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Transitions to Active.
    pub new_active_transitions: u64,
    /// Adverts accepted.
    pub advertisements_received: u64,
    /// Adverts handed to the driver, one per destination.
    pub advertisements_sent: u64,
    /// Packets discarded, of any reason.
    pub discarded: u64,
    /// Accepted adverts of priority 0.
    pub priority_zero_received: u64,
    /// Adverts of priority 0 handed to the driver.
    pub priority_zero_sent: u64,
    /// Accepted adverts with another list of addresses.
    pub address_list_errors: u64,
    /// VRRPv3 IPv4 adverts accepted whose checksum covers a pseudo-header.
    pub checksum_pseudo_header: u64,
    /// VRRPv3 IPv4 adverts accepted whose checksum covers the message alone.
    pub checksum_message_only: u64,
}

/// One virtual router.
#[derive(Clone, Debug)]
pub struct VirtualRouter {
    index: VrIndex,
    config: VirtualRouterConfig,
    source: Option<IpAddr>,
    state: State,
    holds: u8,
    since: Instant,
    reason: Reason,
    priority_delta: i32,
    priority: Priority,
    checksum: ChecksumForm,
    prepared: Vec<PreparedAdverts>,
    timers: TimerTable,
    active: Option<IpAddr>,
    active_priority: Priority,
    active_interval: AdvertInterval,
    /// When the Active that we follow was last heard.
    followed_at: Option<Instant>,
    last_advert_received: Option<Instant>,
    last_advert_sent: Option<Instant>,
    installed: bool,
    linger: Option<Linger>,
    /// Handed over on purpose: takes back only from silence, or when told to.
    yielded: bool,
    /// The silence that runs was already given one more interval after a stall.
    listened_after_stall: bool,
    wants_active: bool,
    preempting: bool,
    preempt_delay_passed: bool,
    pub(crate) group: Option<u16>,
    /// Whether the driver tells of the announcements of others.
    pub(crate) announcements_watched: bool,
    /// Bounds the events that packets can cause by changing what we know.
    news: EventBudget,
    peers: Peers,
    statistics: Statistics,
}

impl VirtualRouter {
    pub(crate) fn new(index: VrIndex, config: VirtualRouterConfig, now: Instant) -> Self {
        let mut vr = Self {
            index,
            source: None,
            state: State::Initialize(Hold::Startup),
            holds: 1 << Hold::Startup as u8 | 1 << Hold::NoPrimaryAddress as u8,
            since: now,
            reason: Reason::Held(Hold::Startup),
            priority_delta: 0,
            priority: config.priority,
            checksum: config.checksum.unwrap_or(ChecksumForm::PseudoHeader),
            prepared: Vec::new(),
            timers: TimerTable::new(),
            active: None,
            active_priority: Priority::RELEASE,
            active_interval: config.interval,
            followed_at: None,
            last_advert_received: None,
            last_advert_sent: None,
            installed: false,
            linger: None,
            yielded: false,
            listened_after_stall: false,
            wants_active: false,
            preempting: false,
            preempt_delay_passed: false,
            group: None,
            announcements_watched: false,
            news: EventBudget::new(16, Duration::from_secs(1)),
            peers: Peers::new(),
            statistics: Statistics::default(),
            config,
        };
        vr.prepare();
        vr
    }

    // ---- What can be asked ----

    /// Its place in the router.
    pub const fn index(&self) -> VrIndex {
        self.index
    }

    /// What it is configured with.
    pub const fn config(&self) -> &VirtualRouterConfig {
        &self.config
    }

    /// The state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Since when it is in that state.
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Why it is in that state.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The priority that is sent and compared.
    pub const fn effective_priority(&self) -> Priority {
        self.priority
    }

    /// The address adverts come from.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Who is Active as far as we know: ourselves, the last router heard, or nobody.
    pub fn active_address(&self) -> Option<IpAddr> {
        if self.state == State::Active { self.source } else { self.active }
    }

    /// The priority that the Active last sent.
    pub fn active_priority(&self) -> Priority {
        if self.state == State::Active { self.priority } else { self.active_priority }
    }

    /// `Active_Adver_Interval`.
    pub const fn active_adver_interval(&self) -> AdvertInterval {
        self.active_interval
    }

    /// `Skew_Time`.
    pub fn skew_time(&self) -> Duration {
        self.active_interval.skew_time(self.config.version, self.priority)
    }

    /// `Active_Down_Interval`.
    pub fn active_down_interval(&self) -> Duration {
        self.active_interval.active_down_interval(
            self.config.version,
            self.priority,
            self.config.missed_adverts,
        )
    }

    /// When an advert was last accepted.
    pub const fn last_advert_received(&self) -> Option<Instant> {
        self.last_advert_received
    }

    /// When an advert was last handed to the driver.
    pub const fn last_advert_sent(&self) -> Option<Instant> {
        self.last_advert_sent
    }

    /// Whether the addresses are meant to be on the interface.
    pub const fn holds_addresses(&self) -> bool {
        self.installed
    }

    /// Whether a handover is under way: addresses still here, another router to come.
    pub const fn is_lingering(&self) -> bool {
        matches!(self.linger, Some(Linger::Handover { .. } | Linger::Succeeded { .. }))
    }

    /// Whether it handed over on purpose and will not preempt.
    pub const fn has_yielded(&self) -> bool {
        self.yielded
    }

    /// The checksum form that is sent.
    pub const fn checksum_form(&self) -> ChecksumForm {
        self.checksum
    }

    /// The routers that were heard.
    pub fn peers(&self) -> &[Peer] {
        self.peers.as_slice()
    }

    /// Counters.
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Everything that holds it, what explains most first.
    pub fn holds(&self) -> impl Iterator<Item = Hold> + use<> {
        let bits = self.holds;
        Hold::ALL.into_iter().filter(move |hold| bits & 1 << *hold as u8 != 0)
    }

    pub(crate) fn next_deadline(&self) -> (Instant, Timer) {
        self.timers.next()
    }

    pub(crate) const fn wants_active(&self) -> bool {
        self.wants_active
    }

    /// Whether the rest of its group has to wait for it. One that is only not started yet would not take over
    /// without the others anyway.
    pub(crate) fn is_held_by_itself(&self) -> bool {
        self.holds().any(|hold| !matches!(hold, Hold::SyncGroup | Hold::Startup))
    }

    // ---- Transitions ----

    fn enter(&mut self, state: State, reason: Reason, now: Instant, out: &mut Outbox) {
        let from = self.state;
        self.reason = reason;
        if from == state {
            return;
        }
        if from == State::Active && self.installed {
            out.effects.push_back(Effect::Silence { vr: self.index });
        }
        self.state = state;
        self.since = now;
        out.event(Event::StateChanged { vr: self.index, from, to: state, reason });
    }

    pub(crate) fn become_active(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        self.timers = TimerTable::new();
        self.linger = None;
        self.yielded = false;
        self.wants_active = false;
        self.preempting = false;
        self.preempt_delay_passed = false;
        self.listened_after_stall = false;
        self.active = None;
        self.followed_at = None;
        self.active_interval = self.config.interval;
        self.statistics.new_active_transitions += 1;
        self.advertise(now, out);
        let schedule = self.config.announcements;
        self.installed = true;
        out.effects.push_back(Effect::Install { vr: self.index, announce: schedule.repeat.max(1) });
        if !schedule.second_burst.is_zero() {
            self.timers.set(Timer::SecondBurst, now + schedule.second_burst);
        }
        if !schedule.refresh.is_zero() {
            self.timers.set(Timer::Refresh, now + schedule.refresh);
        }
        self.enter(State::Active, reason, now, out);
    }

    /// The end of a linger and the retry of addresses go on whatever the protocol's state.
    fn keep_only_timers_beside_the_state(&mut self) {
        let kept = [Timer::Linger, Timer::Retry].map(|timer| (timer, self.timers.get(timer)));
        self.timers = TimerTable::new();
        for (timer, at) in kept {
            if let Some(at) = at {
                self.timers.set(timer, at);
            }
        }
    }

    /// To Backup; from Active the addresses go, unless they linger.
    pub(crate) fn become_backup(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        self.keep_only_timers_beside_the_state();
        if self.installed && self.linger.is_none() {
            self.withdraw(out);
        }
        self.wants_active = false;
        self.preempting = false;
        self.preempt_delay_passed = false;
        self.listened_after_stall = false;
        self.active = None;
        self.followed_at = None;
        self.active_interval = self.config.interval;
        self.timers.set(Timer::ActiveDown, now + self.active_down_interval());
        self.enter(State::Backup, reason, now, out);
    }

    pub(crate) fn set_hold(&mut self, hold: Hold, on: bool, now: Instant, out: &mut Outbox) {
        let before = self.holds;
        if on {
            self.holds |= 1 << hold as u8;
        } else {
            self.holds &= !(1 << hold as u8);
        }
        if before == self.holds {
            return;
        }
        match self.holds().next() {
            Some(main) => self.initialize(main, now, out),
            None => self.start(now, out),
        }
    }

    /// RFC 9568 §6.4.1, Startup.
    fn start(&mut self, now: Instant, out: &mut Outbox) {
        if self.priority.is_owner() {
            self.become_active(now, Reason::AddressOwner, out);
        } else {
            self.become_backup(now, Reason::Started, out);
        }
    }

    fn initialize(&mut self, hold: Hold, now: Instant, out: &mut Outbox) {
        if self.state == State::Active {
            self.queue_adverts(true, now, out);
        }
        self.keep_only_timers_beside_the_state();
        let starts_yet = self.holds & 1 << Hold::Startup as u8 != 0;
        if self.linger.is_none_or(|linger| linger == Linger::Inherited) && !starts_yet {
            self.withdraw(out);
        }
        self.active = None;
        self.followed_at = None;
        self.wants_active = false;
        self.enter(State::Initialize(hold), Reason::Held(hold), now, out);
    }

    // ---- Time ----

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        // Each pass takes out one deadline that is due; what it sets anew lies in the future.
        while let Some((timer, due)) = self.timers.pop_due(now) {
            match timer {
                Timer::ActiveDown => self.active_down(due, now, out),
                Timer::Adver => {
                    self.queue_adverts(false, now, out);
                    // From the deadline, not from now: lateness must not add up. Behind by more than an
                    // interval, the missed adverts are not made up for.
                    let next = due + self.config.interval.duration();
                    let next = if next > now { next } else { now + self.config.interval.duration() };
                    self.timers.set(Timer::Adver, next);
                    if now - due >= self.active_down_interval() {
                        // We slept so long that another has taken over meanwhile: clients must hear of us.
                        out.event(Event::Stalled { vr: self.index, late: now - due });
                        let repeat = self.config.announcements.repeat.max(1);
                        out.effects.push_back(Effect::Announce { vr: self.index, repeat });
                    }
                }
                Timer::PreemptDelay => self.preempt_delay_passed = true,
                Timer::SecondBurst => {
                    let repeat = self.config.announcements.repeat;
                    out.effects.push_back(Effect::Announce { vr: self.index, repeat });
                }
                Timer::LowerPriorityEcho | Timer::LowerPriorityBurst => {
                    let repeat = self.config.announcements.lower_priority_repeat;
                    out.effects.push_back(Effect::Announce { vr: self.index, repeat });
                }
                Timer::Refresh => {
                    let schedule = self.config.announcements;
                    out.effects.push_back(Effect::Announce {
                        vr: self.index,
                        repeat: schedule.refresh_repeat.max(1),
                    });
                    let next = due + schedule.refresh;
                    self.timers.set(Timer::Refresh, if next > now { next } else { now + schedule.refresh });
                }
                Timer::Linger => self.linger_over(now, out),
                Timer::Retry => self.set_hold(Hold::AddressFailed, false, now, out),
            }
        }
    }

    fn active_down(&mut self, due: Instant, now: Instant, out: &mut Outbox) {
        let late = now - due;
        if late >= self.active_interval.duration() && !self.listened_after_stall {
            self.listened_after_stall = true;
            out.event(Event::Stalled { vr: self.index, late });
            self.timers.set(Timer::ActiveDown, now + self.active_down_interval());
            return;
        }
        if self.group.is_some() {
            // The group decides when all its members can; until then this one waits on.
            self.wants_active = true;
            self.timers.set(Timer::ActiveDown, now + self.active_down_interval());
            return;
        }
        let reason = self.takeover_reason();
        self.become_active(now, reason, out);
    }

    pub(crate) fn takeover_reason(&self) -> Reason {
        if self.preempting {
            Reason::Preempting
        } else if self.active.is_some() && self.active_priority == Priority::RELEASE {
            Reason::ActiveReleased
        } else {
            Reason::ActiveSilent
        }
    }

    // ---- Changes from outside ----

    pub(crate) fn set_source(&mut self, source: Option<IpAddr>, now: Instant, out: &mut Outbox) {
        if self.source != source {
            self.source = source;
            self.prepare();
        }
        self.set_hold(Hold::NoPrimaryAddress, source.is_none(), now, out);
    }

    pub(crate) fn set_link(&mut self, up: bool, now: Instant, out: &mut Outbox) {
        if self.config.track_link {
            self.set_hold(Hold::InterfaceDown, !up, now, out);
        } else if up {
            self.announce_now(out);
        }
    }

    /// The link may have forgotten us (it returned, or a partition healed): announce at once.
    pub(crate) fn announce_now(&mut self, out: &mut Outbox) {
        if self.state == State::Active {
            let repeat = self.config.announcements.repeat.max(1);
            out.effects.push_back(Effect::Announce { vr: self.index, repeat });
        }
    }

    pub(crate) fn set_tracking(&mut self, delta: i32, failed: bool, now: Instant, out: &mut Outbox) {
        let before = self.priority;
        self.priority_delta = delta;
        self.update_priority(out);
        if self.state == State::Active && self.priority < before && !failed {
            // A Backup that is higher now may come at once: it need not wait for the next interval to hear it.
            self.answer(self.config.interval.duration() / 256, now, out);
        }
        // RFC 9568 §6.1: nothing takes the addresses from their owner but itself.
        self.set_hold(Hold::TrackFailed, failed && !self.config.priority.is_owner(), now, out);
    }

    fn update_priority(&mut self, out: &mut Outbox) {
        let to = self.config.priority.adjusted(self.priority_delta);
        let from = self.priority;
        if from != to {
            self.priority = to;
            self.prepare();
            self.follow_again_if_outranked();
            out.event(Event::PriorityChanged { vr: self.index, from, to });
        }
    }

    /// Takes a changed configuration without leaving its state. The VRID, family and interface are the same.
    pub(crate) fn reconfigure(&mut self, config: VirtualRouterConfig, now: Instant, out: &mut Outbox) {
        let before = core::mem::replace(&mut self.config, config);
        if before == self.config {
            return;
        }
        if (before.checksum, before.checksum_fixed) != (self.config.checksum, self.config.checksum_fixed) {
            self.checksum = self.config.checksum.unwrap_or(ChecksumForm::PseudoHeader);
        }
        self.priority = self.config.priority.adjusted(self.priority_delta);
        self.prepare();
        self.follow_again_if_outranked();
        if before.interval != self.config.interval {
            match self.state {
                State::Active => {
                    self.active_interval = self.config.interval;
                    self.advertise(now, out);
                }
                State::Backup if self.config.version == Version::V2 || self.active.is_none() => {
                    self.active_interval = self.config.interval;
                    self.timers.set(Timer::ActiveDown, now + self.active_down_interval());
                }
                State::Backup | State::Initialize(_) => {}
            }
        }
        if self.state == State::Active {
            let schedule = self.config.announcements;
            if before.announcements.refresh != schedule.refresh {
                if schedule.refresh.is_zero() {
                    self.timers.stop(Timer::Refresh);
                } else {
                    self.timers.set(Timer::Refresh, now + schedule.refresh);
                }
            }
        }
        // What the kernel should have is the driver's to compare: it knows of addresses outside the advert.
        if self.installed {
            let announce = u8::from(self.state == State::Active);
            out.effects.push_back(Effect::Install { vr: self.index, announce });
        }
    }

    pub(crate) fn addresses_failed(&mut self, now: Instant, out: &mut Outbox) {
        if self.installed {
            self.timers.set(Timer::Retry, now + RETRY_ADDRESSES);
            self.set_hold(Hold::AddressFailed, true, now, out);
        }
    }
}
