//! What must hold. The checker sees packets, addresses, what the client got, and what was done to the
//! machines. It reads the packets with a reader of its own and asks the protocol's code nothing.

use core::time::Duration;

use vrrp::{Instant, Version, VirtualRouterConfig};

use crate::Violation;
use crate::machine::Input;
use crate::scenario::{Episode, Fault, Scenario};

/// How often each check was made, so that one that never applies is seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    /// Takeovers, each against the adverts that had arrived.
    pub takeovers: u64,
    /// Takeovers that had a deadline.
    pub deadlines: u64,
    /// Quiet LANs in which one Active, the right one, was looked for.
    pub settled: u64,
    /// Healed partitions with two Actives.
    pub heals: u64,
    /// Episodes in which no request may be lost.
    pub lossless: u64,
    /// Requests of the client that were judged.
    pub requests: u64,
    /// Addresses looked at, each against the adverts of its holder.
    pub addresses: u64,
}

impl core::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        self.takeovers += other.takeovers;
        self.deadlines += other.deadlines;
        self.settled += other.settled;
        self.heals += other.heals;
        self.lossless += other.lossless;
        self.requests += other.requests;
        self.addresses += other.addresses;
    }
}

/// An advert as far as the checker reads it.
#[derive(Clone, Copy, Debug)]
struct Read {
    virtual_router: usize,
    priority: u8,
    interval: Duration,
}

/// An advert that reached a router's socket and keeps it from taking over.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    at: Instant,
    from: usize,
    interval: Duration,
    priority: u8,
    /// When the same router's priority fell below the hearer's: as good as a release.
    fell: Option<Instant>,
}

/// What is known of one virtual router on one machine.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Its last advert that was no release.
    advert: Option<Instant>,
    /// Its last release.
    release: Option<Instant>,
    /// It advertises, as far as its packets say.
    active: bool,
    arrived: Option<Arrived>,
    held: bool,
}

/// What is known of one machine.
#[derive(Clone, Debug)]
struct Known {
    priority: u8,
    preempt: bool,
    interval: Duration,
    v2: bool,
    preempt_delay: Duration,
    delta: i32,
    failed: bool,
    running: bool,
    halted: bool,
    yielded: bool,
    started: Instant,
    resumed: Instant,
    seen: Vec<Seen>,
}

impl Known {
    fn new(config: &VirtualRouterConfig, virtual_routers: usize, now: Instant) -> Self {
        Self {
            priority: config.priority.get(),
            preempt: config.preempt,
            interval: config.interval.duration(),
            v2: config.version == Version::V2,
            preempt_delay: config.preempt_delay,
            delta: 0,
            failed: false,
            running: false,
            halted: false,
            yielded: false,
            started: now,
            resumed: now,
            seen: vec![Seen::default(); virtual_routers],
        }
    }

    /// RFC 9568 §6.1, with tracking.
    fn effective(&self) -> u8 {
        if self.priority == 255 {
            return 255;
        }
        u8::try_from((i32::from(self.priority) + self.delta).clamp(1, 254)).unwrap_or(1)
    }

    fn skew(&self, interval: Duration) -> Duration {
        let unit = if self.v2 { Duration::from_secs(1) } else { interval };
        unit * (256 - u32::from(self.effective())) / 256
    }
}

/// A request of the client.
#[derive(Clone, Copy, Debug)]
struct Request {
    at: Instant,
    by: Option<usize>,
}

/// Two Actives met.
#[derive(Clone, Copy, Debug)]
struct Heal {
    at: Instant,
    winner: usize,
}

/// Somebody must take over from `from` until `until`.
#[derive(Clone, Copy, Debug)]
struct Expected {
    from: usize,
    until: Instant,
}

/// The checker.
#[derive(Debug)]
pub struct Checker {
    known: Vec<Known>,
    virtual_routers: usize,
    slack: Duration,
    longest_interval: Duration,
    shortest_interval: Duration,
    longest_skew: Duration,
    settling: Duration,
    refreshes: bool,
    requests: Vec<Request>,
    first_request: usize,
    episode: Option<Episode>,
    /// Since when no request may be lost.
    lossless_since: Option<Instant>,
    /// A partition alone, that long, with both sides settled.
    split: Option<Vec<u8>>,
    heal: Option<Heal>,
    expected: Option<Expected>,
    client_may_be_misled: bool,
    client_well: bool,
    in_order: bool,
    checked: Checked,
    violation: Option<Violation>,
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario, now: Instant) -> Self {
        let known = scenario
            .routers
            .iter()
            .map(|plan| Known::new(&plan.virtual_routers[0], scenario.virtual_routers, now))
            .collect();
        Self {
            known,
            virtual_routers: scenario.virtual_routers,
            slack: scenario.slack(),
            longest_interval: scenario.longest_interval(),
            shortest_interval: scenario.shortest_interval(),
            longest_skew: scenario.longest_skew(),
            settling: scenario.settling_time(),
            refreshes: scenario
                .routers
                .iter()
                .all(|plan| !plan.virtual_routers[0].announcements.refresh.is_zero()),
            requests: Vec::new(),
            first_request: 0,
            episode: None,
            lossless_since: None,
            split: None,
            heal: None,
            expected: None,
            client_may_be_misled: false,
            client_well: false,
            in_order: false,
            checked: Checked::default(),
            violation: None,
        }
    }

    pub(crate) const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    pub(crate) const fn checked(&self) -> Checked {
        self.checked
    }

    pub(crate) fn fail(&mut self, at: Instant, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { at, what });
        }
    }

    /// The checker's own reader of what it needs; `None` for what must be discarded.
    fn read(&self, bytes: &[u8]) -> Option<Read> {
        let [version_type, vrid, priority, count, fourth, fifth, ..] = *bytes else { return None };
        let virtual_router = usize::from(vrid.checked_sub(51)?);
        if virtual_router >= self.virtual_routers || bytes.len() < 8 + 4 * usize::from(count) {
            return None;
        }
        let interval = match version_type {
            0x31 => Duration::from_millis(10) * u32::from(u16::from_be_bytes([fourth & 0x0f, fifth])),
            0x21 => Duration::from_secs(u64::from(fifth)),
            _ => return None,
        };
        Some(Read { virtual_router, priority, interval })
    }

    // ---- Packets ----

    pub(crate) fn advert_sent(&mut self, router: usize, bytes: &[u8], now: Instant) {
        let Some(read) = self.read(bytes) else {
            self.fail(now, format!("router {router} sends what nobody can read: {bytes:02x?}"));
            return;
        };
        let v = read.virtual_router;
        let seen = self.known[router].seen[v];
        if read.priority == 0 {
            self.known[router].seen[v].release = Some(now);
            self.known[router].seen[v].active = false;
            return;
        }
        let limit = self.known[router].interval + self.known[router].interval / 2 + self.slack;
        let goes_on = seen.active
            && seen.advert.is_some_and(|last| now - last.max(self.known[router].resumed) <= limit);
        if !goes_on {
            self.takeover(router, v, now);
        }
        let seen = &mut self.known[router].seen[v];
        seen.advert = Some(now);
        seen.active = true;
    }

    /// No router becomes Active while it receives the adverts of one that it may not preempt; and if the
    /// Active is gone, somebody does in time.
    fn takeover(&mut self, router: usize, v: usize, now: Instant) {
        self.checked.takeovers += 1;
        let known = &self.known[router];
        let seen = known.seen[v];
        // After a handover to nobody it goes on.
        let linger = self.longest_skew + Duration::from_millis(160) + self.slack;
        let retakes = seen.release.is_some_and(|at| now - at <= linger);
        if let Some(arrived) = seen.arrived
            && !retakes
            && known.effective() != 255
        {
            // Who bears a lower priority for a while adopts its interval as well.
            let borne = if known.preempt_delay.is_zero() { arrived.interval } else { self.shortest_interval };
            let interval = if known.v2 { known.interval } else { borne.min(arrived.interval) };
            let silence = now - arrived.at;
            let relieved = arrived.fell.is_some_and(|fell| now - fell >= known.skew(interval));
            if silence < interval * 3 && !relieved {
                self.fail(
                    now,
                    format!(
                        "router {router} takes VRID {} over {silence:?} after router {}'s advert reached it",
                        v + 51,
                        arrived.from
                    ),
                );
            }
        }
        if let Some(expected) = self.expected
            && expected.from != router
        {
            self.checked.deadlines += 1;
            if now > expected.until {
                self.fail(now, format!("router {router} takes over {:?} too late", now - expected.until));
            }
            self.expected = None;
        }
        self.known[router].yielded = false;
    }

    pub(crate) fn advert_arrived(&mut self, router: usize, from: usize, ttl: u8, bytes: &[u8], now: Instant) {
        let spoilt = self
            .episode
            .as_ref()
            .is_some_and(|episode| episode.faults.iter().any(|(_, fault)| matches!(fault, Fault::Garbage)));
        let Some(read) = self.read(bytes).filter(|read| ttl == 255 && !(spoilt && read.priority == 255))
        else {
            return;
        };
        let known = &mut self.known[router];
        let own = known.effective();
        let seen = &mut known.seen[read.virtual_router];
        if read.priority == 0 {
            // Who bears a lower priority for a while follows that one, and loses it.
            let borne = !known.preempt_delay.is_zero();
            if seen.arrived.is_some_and(|a| borne || a.from == from || now - a.at > a.interval * 13 / 10) {
                seen.arrived = None;
            }
        } else if read.priority >= own || !known.preempt || known.yielded {
            let (interval, priority) = (read.interval, read.priority);
            seen.arrived = Some(Arrived { at: now, from, interval, priority, fell: None });
        } else if known.preempt_delay.is_zero()
            && let Some(arrived) = &mut seen.arrived
            && arrived.from == from
            && read.priority < arrived.priority
            && arrived.fell.is_none()
        {
            arrived.fell = Some(now);
        }
    }

    // ---- Machines ----

    pub(crate) fn address(&mut self, router: usize, v: usize, held: bool) {
        self.known[router].seen[v].held = held;
    }

    pub(crate) fn started(&mut self, router: usize, now: Instant) {
        let known = &mut self.known[router];
        known.running = true;
        known.yielded = false;
        known.delta = 0;
        known.failed = false;
        known.started = now;
        for seen in &mut known.seen {
            *seen = Seen { held: seen.held, ..Seen::default() };
        }
    }

    pub(crate) fn ended(&mut self, router: usize) {
        let known = &mut self.known[router];
        known.running = false;
        known.halted = false;
        for seen in &mut known.seen {
            seen.active = false;
        }
    }

    pub(crate) fn halted(&mut self, router: usize, _now: Instant) {
        self.known[router].halted = true;
    }

    pub(crate) fn resumed(&mut self, router: usize, now: Instant) {
        self.known[router].halted = false;
        self.known[router].resumed = now;
    }

    /// The process did as it was told, Active when it came or not.
    pub(crate) fn obeyed(&mut self, router: usize, input: &Input, was_active: bool, now: Instant) {
        // What it sent in the same turn is known already: its release, if it was Active. One that a sync group sent
        // before is none.
        let released = was_active
            && !self.known[router].failed
            && self.known[router].seen.iter().any(|seen| seen.release == Some(now));
        match input {
            Input::Release { stop } => {
                self.known[router].yielded |= released;
                if *stop {
                    self.known[router].running = false;
                }
                if released && self.in_order {
                    let skew = self.quickest_skew_without(router, self.known[router].interval);
                    self.expected =
                        skew.map(|skew| Expected { from: router, until: now + skew + self.slack });
                }
            }
            Input::TakeBack => {
                self.known[router].yielded = false;
            }
            Input::Tracking { delta, failed } => {
                let known = &mut self.known[router];
                known.delta = *delta;
                if known.failed && !failed {
                    // It begins anew, with its own interval (RFC 9568 §6.4.1).
                    known.seen.iter_mut().for_each(|seen| seen.arrived = None);
                }
                known.failed = *failed;
            }
            Input::Packet { .. } | Input::Announcement { .. } => {}
        }
    }

    fn quickest_skew_without(&self, router: usize, interval: Duration) -> Option<Duration> {
        let others = self.known.iter().enumerate().filter(|(i, known)| *i != router && known.running);
        others.map(|(_, known)| known.skew(interval)).min()
    }

    /// Who advertises, as far as the packets of the last interval say.
    fn advertising(&self, v: usize, now: Instant) -> Vec<usize> {
        let within = |known: &Known| {
            let last = known.seen[v].advert.filter(|_| known.seen[v].active);
            last.is_some_and(|last| now - last <= known.interval + self.slack)
        };
        (0..self.known.len()).filter(|i| within(&self.known[*i])).collect()
    }

    // ---- Episodes ----

    pub(crate) fn begin(&mut self, episode: &Episode, now: Instant) {
        self.first_request = self.requests.len();
        self.lossless_since = None;
        self.split = None;
        self.heal = None;
        self.expected = None;
        let client = self.known.len();
        self.client_may_be_misled = !self.refreshes
            && (!self.client_well
                || episode.faults.len() > 1
                || episode.faults.iter().any(|(_, fault)| match fault {
                    // The client misses what is announced on the other side.
                    Fault::Partition(parts) => parts.iter().any(|part| *part != parts[client]),
                    Fault::Noise { .. } | Fault::Freeze(..) => true,
                    _ => false,
                }));
        let planned = episode.faults.iter().all(|(_, fault)| {
            matches!(
                fault,
                Fault::Handover(_)
                    | Fault::TakeBack(_)
                    | Fault::Terminate(_)
                    | Fault::Track(..)
                    | Fault::Kill(_)
                    | Fault::Stop(_)
                    | Fault::Garbage
            )
        });
        let only_one = episode.faults.len() == 1
            || matches!(episode.faults[..], [(_, Fault::Handover(_)), (_, Fault::TakeBack(_))]);
        if planned && only_one && self.client_well {
            self.lossless_since = Some(now);
        }
        self.episode = Some(episode.clone());
    }

    pub(crate) fn struck(&mut self, fault: &Fault, now: Instant) {
        let alone = self.episode.as_ref().is_some_and(|episode| episode.faults.len() == 1);
        let active = self.advertising(0, now);
        if let (true, [active]) = (alone && self.in_order, &active[..]) {
            // A sync group follows the member that its Active was heard of last.
            let last = self.known[*active].seen.iter().filter_map(|seen| seen.advert).max();
            let active = *active;
            let cut_off = match fault {
                Fault::Partition(parts) => {
                    // A whole side must be left without it, and that side is then judged.
                    let left = (0..self.known.len()).filter(|i| parts[*i] != parts[active]);
                    left.map(|i| self.known[i].skew(self.known[active].interval)).min()
                }
                Fault::PowerOff(router) | Fault::Kill(router) if *router == active => {
                    self.quickest_skew_without(active, self.known[active].interval)
                }
                _ => None,
            };
            // A router that is not mended in time need not be replaced.
            let outage =
                self.episode.as_ref().map(|e| e.mended.saturating_sub(e.faults[0].0)).unwrap_or_default();
            if let (Some(skew), Some(last)) = (cut_off, last)
                && outage > self.settling
            {
                let until = last + self.known[active].interval * 3 + skew + self.slack;
                self.expected = Some(Expected { from: active, until });
            }
            if let Fault::Partition(parts) = fault {
                self.split = Some(parts.clone());
            }
        }
        self.in_order = false;
    }

    pub(crate) fn mended(&mut self, parts: &[u8], now: Instant) {
        self.look(now);
        let active = self.advertising(0, now);
        if self.split.as_deref() == Some(parts)
            && active.len() == 2
            && active.iter().all(|a| self.in_order_alone(*a))
        {
            let winner = active.iter().copied().max_by_key(|a| (self.known[*a].effective(), *a));
            self.heal = winner.map(|winner| Heal { at: now, winner });
        }
        for known in &mut self.known {
            known.resumed = now;
        }
    }

    fn in_order_alone(&self, router: usize) -> bool {
        self.known[router].running && !self.known[router].halted
    }

    // ---- The client ----

    pub(crate) fn asked(&mut self, now: Instant) -> usize {
        self.requests.push(Request { at: now, by: None });
        self.requests.len() - 1
    }

    pub(crate) fn answered(&mut self, id: usize, by: usize) {
        self.requests[id].by = Some(by);
    }

    fn requests_since(&self, since: Instant, now: Instant) -> impl Iterator<Item = Request> {
        // The youngest may still be on their way.
        let until = now.saturating_sub(Duration::from_millis(5));
        let from = self.first_request;
        self.requests[from..].iter().copied().filter(move |r| r.at >= since && r.at <= until)
    }

    // ---- Looking ----

    /// At any time: who holds an address advertises, or did a while ago.
    pub(crate) fn look(&mut self, now: Instant) {
        if let Some(expected) = self.expected
            && now > expected.until
        {
            self.checked.deadlines += 1;
            self.fail(now, format!("nobody has taken over from router {}", expected.from));
        }
        let linger = self.longest_skew + Duration::from_millis(650);
        for router in 0..self.known.len() {
            for v in 0..self.virtual_routers {
                let known = &self.known[router];
                let seen = known.seen[v];
                if !seen.held || !known.running || known.halted {
                    continue;
                }
                self.checked.addresses += 1;
                // An address found at the start may stay until it is clear who is Active.
                let inherited = known.started + (self.longest_interval * 3 + self.longest_skew) * 2;
                let last = seen.advert.max(seen.release).unwrap_or(known.started);
                let since = last.max(inherited).max(known.resumed);
                let limit = known.interval.max(linger) + self.slack;
                if now - since > limit {
                    self.fail(
                        now,
                        format!("router {router} holds the address of VRID {} and is not Active", v + 51),
                    );
                }
            }
        }
    }

    /// After a quiet time that was long enough: one Active, the right one, with the addresses, and the client
    /// knows it.
    pub(crate) fn settled(&mut self, now: Instant) {
        self.checked.settled += 1;
        self.look(now);
        if let Some(down) = (0..self.known.len()).find(|i| !self.known[*i].running) {
            self.fail(now, format!("router {down} does not run"));
            return;
        }
        let mut actives = Vec::new();
        for v in 0..self.virtual_routers {
            let active = self.advertising(v, now);
            let [active] = active[..] else {
                self.fail(now, format!("VRID {}: routers {active:?} are Active, not one", v + 51));
                return;
            };
            let holders: Vec<usize> = (0..self.known.len()).filter(|i| self.known[*i].seen[v].held).collect();
            if holders != [active] {
                self.fail(
                    now,
                    format!("VRID {}: router {active} is Active, the address is at {holders:?}", v + 51),
                );
                return;
            }
            actives.push(active);
        }
        if actives.iter().any(|active| *active != actives[0]) {
            self.fail(now, format!("the sync group is torn apart: its Actives are {actives:?}"));
            return;
        }
        let active = actives[0];
        for (router, known) in self.known.iter().enumerate() {
            let preempts = known.effective() == 255 || known.preempt && !known.yielded;
            if preempts && known.effective() > self.known[active].effective() {
                self.fail(now, format!("router {active} is Active, router {router} should be"));
                return;
            }
        }
        let window = self.longest_interval.max(Duration::from_millis(100));
        let recent: Vec<Request> = self.requests_since(now.saturating_sub(window), now).collect();
        self.checked.requests += recent.len() as u64;
        let astray = recent.iter().find(|request| request.by != Some(active));
        self.client_well = astray.is_none();
        if let Some(astray) = astray.filter(|_| !self.client_may_be_misled) {
            let by = astray.by;
            self.fail(now, format!("the client is answered by {by:?}, router {active} is Active"));
            return;
        }
        self.judge_lossless(now);
        self.judge_heal(now);
        self.in_order = true;
    }

    fn judge_lossless(&mut self, now: Instant) {
        let Some(since) = self.lossless_since else { return };
        self.checked.lossless += 1;
        let requests: Vec<Request> = self.requests_since(since, now).collect();
        self.checked.requests += requests.len() as u64;
        let lost: Vec<Instant> = requests.iter().filter(|r| r.by.is_none()).map(|r| r.at).collect();
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            self.fail(
                now,
                format!("{} requests of {} are lost, from {first:?} to {last:?}", lost.len(), requests.len()),
            );
        }
    }

    /// Within one interval of the heal, the client reaches the winner and nobody else. Between its two first
    /// announcements one of the loser's may come, which goes on answering; nothing is lost by that.
    fn judge_heal(&mut self, now: Instant) {
        let Some(Heal { at, winner }) = self.heal else { return };
        // A third one that is better but has a delay may come later.
        let better = self.known.iter().any(|known| {
            known.effective() > self.known[winner].effective() && !known.preempt_delay.is_zero()
        });
        if better {
            return;
        }
        self.checked.heals += 1;
        let since = at + self.longest_interval + self.slack;
        for request in self.requests_since(since, now).collect::<Vec<_>>() {
            self.checked.requests += 1;
            let between = request.at - since <= Duration::from_millis(21);
            if request.by != Some(winner) && !(between && request.by.is_some()) {
                self.fail(
                    now,
                    format!(
                        "{:?} after the heal the client is answered by {:?}, the winner is router {winner}",
                        request.at - at,
                        request.by
                    ),
                );
                return;
            }
        }
    }
}
