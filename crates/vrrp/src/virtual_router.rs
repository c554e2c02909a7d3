//! One virtual router: the state machine of RFC 9568 §6.4 (and RFC 3768 §6.4), and beside it what the RFC
//! leaves to the router: holding, tracking, announcing, handing over.
//!
//! Nothing here reads a clock or does I/O. Methods take `now` and leave what they want done in the outbox.

use core::net::IpAddr;
use core::time::Duration;

use crate::advertisement::AdvertisementFields;
use crate::config::{Transport, VirtualRouterConfig};
use crate::discard::{DiscardReason, Remark};
use crate::outbox::{Effect, Event, Hold, Outbox, QueuedAdvert, Reason, State, VrIndex};
use crate::peers::{Peer, Peers};
use crate::receive::Accepted;
use crate::timers::{Timer, TimerTable};
use crate::{AdvertInterval, ChecksumForm, Instant, Priority, Version};

/// How long the addresses stay after the successor's first advert. The successor sends that advert before it
/// has the address (keepalived needs 0.7 to 1.3 ms more, and then announces); until its announcement has
/// reached the clients, we are who they talk to.
const LINGER_AFTER_SUCCESSOR: Duration = Duration::from_millis(40);
/// Beyond the successor's `Skew_Time`, how long a handover waits for its first advert.
const HANDOVER_MARGIN: Duration = Duration::from_millis(150);
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

/// The packets for one destination, ready to send.
#[derive(Clone, Debug)]
struct PreparedAdverts {
    destination: IpAddr,
    ordinary: Vec<u8>,
    release: Vec<u8>,
}

/// An advert to put on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit<'a> {
    /// Whose.
    pub vr: VrIndex,
    /// The interface to leave by.
    pub interface: crate::IfIndex,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message.
    pub payload: &'a [u8],
}

/// What becomes of the addresses while the virtual router no longer, or not yet, is Active.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Linger {
    /// Left on the interface by an earlier process: they go when another Active is heard, and stay if we
    /// become Active.
    Inherited,
    /// Priority 0 was sent; they stay until the successor is heard, or the deadline.
    Handover { since: Instant },
    /// The successor was heard; they go when its announcement must have arrived.
    Succeeded,
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
        matches!(self.linger, Some(Linger::Handover { .. } | Linger::Succeeded))
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

    pub(crate) fn is_held_by_itself(&self) -> bool {
        self.holds().any(|hold| hold != Hold::SyncGroup)
    }

    // ---- Packets ----

    /// (Re)makes the packets for every destination, in the buffers that are there.
    fn prepare(&mut self) {
        let peers: &[_] = match &self.config.transport {
            Transport::Unicast { peers, .. } => peers,
            Transport::Multicast { .. } => &[],
        };
        let group = match &self.config.transport {
            Transport::Multicast { group } => Some(*group),
            Transport::Unicast { .. } => None,
        };
        let count = peers.len() + usize::from(group.is_some());
        let source = self.source.unwrap_or(match self.config.family {
            crate::Family::Ipv4 => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            crate::Family::Ipv6 => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
        });
        self.prepared.truncate(count);
        for (i, destination) in peers.iter().map(|p| p.address).chain(group).enumerate() {
            if i == self.prepared.len() {
                self.prepared.push(PreparedAdverts {
                    destination,
                    ordinary: Vec::new(),
                    release: Vec::new(),
                });
            }
            let prepared = &mut self.prepared[i];
            prepared.destination = destination;
            let mut fields = AdvertisementFields {
                version: self.config.version,
                vrid: self.config.vrid,
                priority: self.priority,
                interval: self.config.interval,
                authentication: self.config.authentication,
                addresses: &self.config.addresses,
                checksum: self.checksum,
            };
            fields.encode_into(source, destination, &mut prepared.ordinary);
            fields.priority = Priority::RELEASE;
            fields.encode_into(source, destination, &mut prepared.release);
        }
    }

    pub(crate) fn transmit(&self, queued: QueuedAdvert) -> Option<Transmit<'_>> {
        let prepared = self.prepared.get(usize::from(queued.destination))?;
        Some(Transmit {
            vr: self.index,
            interface: self.config.interface,
            source: self.source?,
            destination: prepared.destination,
            ttl: self.config.transport.ttl(),
            payload: if queued.release { &prepared.release } else { &prepared.ordinary },
        })
    }

    fn queue_adverts(&mut self, release: bool, now: Instant, out: &mut Outbox) {
        for destination in 0..self.prepared.len() {
            out.adverts.push_back(QueuedAdvert {
                vr: self.index,
                destination: u16::try_from(destination).unwrap_or(u16::MAX),
                release,
            });
            self.statistics.advertisements_sent += 1;
            self.statistics.priority_zero_sent += u64::from(release);
        }
        self.last_advert_sent = Some(now);
    }

    /// Sends an advert now; the next is due one interval later.
    fn advertise(&mut self, now: Instant, out: &mut Outbox) {
        self.queue_adverts(false, now, out);
        self.timers.set(Timer::Adver, now + self.config.interval.duration());
    }

    // ---- Receiving ----

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
        if self.config.checksum.is_none() {
            self.checksum = form;
            self.prepare();
            out.event(Event::ChecksumFormLearnt { vr: self.index, form });
        }
    }

    /// RFC 9568 §6.4.2.
    fn backup_heard(&mut self, at: Instant, now: Instant, peer: IpAddr, advert: Accepted, out: &mut Outbox) {
        if advert.priority == Priority::RELEASE {
            // Only the Active we follow, or one we have not met, can leave us without one.
            if self.active.is_none_or(|active| active == peer) {
                self.active_priority = Priority::RELEASE;
                self.timers.set(Timer::ActiveDown, at + self.skew_time());
            }
            return;
        }
        let outranks = advert.priority >= self.priority;
        if !outranks && self.may_preempt() {
            self.preempting = true;
            return;
        }
        self.preempting = false;
        self.follow(at, peer, advert, out);
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
        if self.linger == Some(Linger::Inherited) {
            self.withdraw(out);
        }
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

    fn follow(&mut self, at: Instant, peer: IpAddr, advert: Accepted, out: &mut Outbox) {
        if self.active != Some(peer) {
            self.active = Some(peer);
            out.event(Event::NewActive { vr: self.index, active: peer, priority: advert.priority });
        }
        self.active_priority = advert.priority;
        if self.config.version == Version::V3 && advert.interval != self.active_interval {
            self.active_interval = advert.interval;
            if advert.interval != self.config.interval {
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
        if advert.priority == Priority::RELEASE {
            self.advertise(now, out);
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
            self.become_backup(now, Reason::OutrankedBy(peer), out);
            self.follow(at, peer, advert, out);
            return;
        }
        out.event(Event::SecondActive { vr: self.index, peer, priority: advert.priority });
        if self.config.answer_lower_priority && self.may_answer(now) {
            self.advertise(now, out);
        }
        let schedule = self.config.announcements;
        if schedule.lower_priority_repeat > 0 && self.timers.get(Timer::LowerPriorityBurst).is_none() {
            out.effects
                .push_back(Effect::Announce { vr: self.index, repeat: schedule.lower_priority_repeat });
            // The other Active may have announced after us: once more when it has certainly yielded.
            let again = if schedule.lower_priority_delay.is_zero() {
                self.config.interval.duration()
            } else {
                schedule.lower_priority_delay.min(self.config.interval.duration())
            };
            self.timers.set(Timer::LowerPriorityBurst, now + again);
        }
    }

    /// Two routers that each believe to outrank the other would answer one another without end; a sixteenth
    /// of the interval bounds that.
    fn may_answer(&self, now: Instant) -> bool {
        self.last_advert_sent.is_none_or(|sent| now - sent >= self.config.interval.duration() / 16)
    }

    // ---- Transitions ----

    fn enter(&mut self, state: State, reason: Reason, now: Instant, out: &mut Outbox) {
        let from = self.state;
        self.reason = reason;
        if from == state {
            return;
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
        self.active_interval = self.config.interval;
        self.statistics.new_active_transitions += 1;
        self.advertise(now, out);
        let schedule = self.config.announcements;
        self.installed = true;
        out.effects.push_back(Effect::Install { vr: self.index, announce: schedule.repeat });
        if !schedule.second_burst.is_zero() {
            self.timers.set(Timer::SecondBurst, now + schedule.second_burst);
        }
        if !schedule.refresh.is_zero() {
            self.timers.set(Timer::Refresh, now + schedule.refresh);
        }
        self.enter(State::Active, reason, now, out);
    }

    /// To Backup; from Active the addresses go, unless they linger.
    pub(crate) fn become_backup(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        let retry = self.timers.get(Timer::Retry);
        self.timers = TimerTable::new();
        if let Some(at) = retry {
            self.timers.set(Timer::Retry, at);
        }
        if self.installed && self.linger.is_none() {
            self.withdraw(out);
        }
        self.wants_active = false;
        self.preempting = false;
        self.preempt_delay_passed = false;
        self.active = None;
        self.active_interval = self.config.interval;
        self.timers.set(Timer::ActiveDown, now + self.active_down_interval());
        self.enter(State::Backup, reason, now, out);
    }

    /// The member of a group that is Active leaves with the others: its peers need not wait for its silence.
    pub(crate) fn leave_with_group(&mut self, now: Instant, out: &mut Outbox) {
        self.queue_adverts(true, now, out);
        self.become_backup(now, Reason::SyncGroup, out);
    }

    fn withdraw(&mut self, out: &mut Outbox) {
        self.linger = None;
        self.timers.stop(Timer::Linger);
        if self.installed {
            self.installed = false;
            out.effects.push_back(Effect::Withdraw { vr: self.index });
        }
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
        if !matches!(self.state, State::Initialize(_)) {
            let linger = self.timers.get(Timer::Linger);
            self.timers = TimerTable::new();
            if let Some(at) = linger {
                self.timers.set(Timer::Linger, at);
            }
            if hold == Hold::AddressFailed {
                self.timers.set(Timer::Retry, now + RETRY_ADDRESSES);
            }
        }
        if self.linger.is_none_or(|linger| linger == Linger::Inherited) && hold != Hold::Startup {
            self.withdraw(out);
        }
        self.active = None;
        self.wants_active = false;
        self.enter(State::Initialize(hold), Reason::Held(hold), now, out);
    }

    // ---- Handover ----

    /// Priority 0 is sent; the addresses go on answering until the successor is heard or the deadline passes
    /// (make before break). With `stop` the state is Initialize then, else Backup.
    pub(crate) fn release(&mut self, stop: bool, now: Instant, out: &mut Outbox) {
        if self.state == State::Active {
            self.queue_adverts(true, now, out);
            self.linger = Some(Linger::Handover { since: now });
            self.yielded = true;
            if !stop {
                self.become_backup(now, Reason::Handover, out);
            }
            // The slowest successor has the lowest priority, and so the longest skew.
            let skew = self.config.interval.skew_time(self.config.version, Priority::LOWEST);
            self.timers.set(Timer::Linger, now + skew + HANDOVER_MARGIN);
        }
        if stop {
            // Queued above: `initialize` must not send the release a second time.
            if self.state == State::Active {
                let linger = self.timers.get(Timer::Linger);
                self.timers = TimerTable::new();
                if let Some(at) = linger {
                    self.timers.set(Timer::Linger, at);
                }
                self.holds |= 1 << Hold::Stopped as u8;
                self.enter(State::Initialize(Hold::Stopped), Reason::Held(Hold::Stopped), now, out);
            } else {
                self.set_hold(Hold::Stopped, true, now, out);
            }
        }
    }

    /// After a handover: preempt again as configured.
    pub(crate) fn take_back(&mut self) {
        self.yielded = false;
    }

    fn note_successor(&mut self, at: Instant, peer: IpAddr, out: &mut Outbox) {
        if let Some(Linger::Handover { since }) = self.linger
            && at >= since
        {
            out.event(Event::SuccessorHeard { vr: self.index, peer, after: at - since });
            self.linger = Some(Linger::Succeeded);
            self.timers.set(Timer::Linger, at + LINGER_AFTER_SUCCESSOR);
        }
    }

    fn linger_over(&mut self, now: Instant, out: &mut Outbox) {
        let waited = match self.linger {
            Some(Linger::Handover { since }) => Some(now - since),
            _ => None,
        };
        if let Some(after) = waited {
            out.event(Event::NoSuccessor { vr: self.index, after });
            if self.state == State::Backup {
                // Nobody came: better the address stays with us than with nobody.
                self.become_active(now, Reason::NoSuccessor, out);
                return;
            }
        }
        self.withdraw(out);
    }

    /// The addresses are on the interface already, left by an earlier process of ours.
    pub(crate) fn inherit_addresses(&mut self) {
        self.installed = true;
        self.linger = Some(Linger::Inherited);
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
                Timer::LowerPriorityBurst => {
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
        self.priority_delta = delta;
        self.update_priority(out);
        // RFC 9568 §6.1: nothing takes the addresses from their owner but itself.
        self.set_hold(Hold::TrackFailed, failed && !self.config.priority.is_owner(), now, out);
    }

    fn update_priority(&mut self, out: &mut Outbox) {
        let to = self.config.priority.adjusted(self.priority_delta);
        let from = self.priority;
        if from != to {
            self.priority = to;
            self.prepare();
            out.event(Event::PriorityChanged { vr: self.index, from, to });
        }
    }

    /// Takes a changed configuration without leaving its state. The VRID, family and interface are the same.
    pub(crate) fn reconfigure(&mut self, config: VirtualRouterConfig, now: Instant, out: &mut Outbox) {
        let before = core::mem::replace(&mut self.config, config);
        if before == self.config {
            return;
        }
        self.checksum = self.config.checksum.unwrap_or(self.checksum);
        self.priority = self.config.priority.adjusted(self.priority_delta);
        self.prepare();
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
            out.effects.push_back(Effect::Install { vr: self.index, announce: 1 });
        }
    }

    pub(crate) fn addresses_failed(&mut self, now: Instant, out: &mut Outbox) {
        if self.installed {
            self.set_hold(Hold::AddressFailed, true, now, out);
        }
    }
}
