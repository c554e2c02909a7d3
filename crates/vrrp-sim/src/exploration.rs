//! All histories of a small LAN, not one: breadth first over every state that two or three routers, running
//! the code that ships, can come into.
//!
//! Time moves in quarters of an interval. What a router sends in one quarter arrives in the next, in any order
//! and before or after the receiver looks at its timers, or is lost. So many losses, one partition, one pause
//! (its packets wait with their time of arrival) and one handover may come at any time and end at any time.
//!
//! What must hold, in every state: a started router is never in Initialize. Once for an `Active_Down_Interval`
//! and a round trip nothing was lost, parted or paused, at most one router is Active; after twice that, one
//! is, and it is the one that outranks the others (unless it handed over).

use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::time::Duration;
use std::collections::{HashSet, VecDeque};
use std::hash::DefaultHasher;
use std::rc::Rc;

use vrrp::{
    AdvertInterval, AnnouncementSchedule, Instant, PacketMeta, Priority, State, VirtualRouterConfig,
    VirtualRouterId, VrIndex, VrrpRouter,
};

use crate::scenario::{LINK, source};

/// A quarter of the interval of one second.
const QUARTER: Duration = Duration::from_millis(250);
/// Quarters in the longest `Active_Down_Interval`: three intervals and a whole skew.
const SILENCE: u8 = 16;
/// Quarters from an advert to the answer's arrival, and until a timer that a packet moved is looked at.
const ROUND_TRIP: u8 = 4;
/// Quarters that a pause may last: enough for a takeover meanwhile and for the stall to be noticed.
const LONGEST_PAUSE: u8 = SILENCE + 6;

/// What is explored.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// A priority per router.
    pub priorities: Vec<u8>,
    /// Whether they preempt.
    pub preempt: bool,
    /// Packets that may be lost.
    pub losses: u8,
    /// Partitions that may come.
    pub partitions: u8,
    /// Pauses of a process that may come.
    pub pauses: u8,
    /// Handovers that may be asked for.
    pub handovers: u8,
    /// States after which to stop, short of all of them.
    pub at_most: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: u64,
    /// Whether these are all there are.
    pub complete: bool,
    /// What did not hold, and how it came to that.
    pub violation: Option<(String, Vec<String>)>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Message {
    from: usize,
    to: usize,
    bytes: Rc<[u8]>,
}

/// What can happen next.
#[derive(Clone, Debug)]
enum Step {
    /// The message at this place arrives.
    Deliver(usize),
    /// It does not.
    Lose(usize),
    /// A router looks at its timers.
    Look(usize),
    /// The next quarter begins.
    Quarter,
    /// The first router is cut off; or no more.
    Part(bool),
    /// A process is paused; or no more.
    Pause(Option<usize>),
    /// A router is told to hand over.
    HandOver(usize),
}

#[derive(Clone)]
struct Lan {
    now: Instant,
    routers: Vec<VrrpRouter>,
    looked: Vec<bool>,
    /// Sent in an earlier quarter, to arrive in this one.
    arriving: Vec<Message>,
    /// Sent in this quarter.
    sent: Vec<Message>,
    parted: bool,
    paused: Option<usize>,
    /// Quarters that the pause has lasted.
    paused_for: u8,
    /// For the paused one, with the time of arrival.
    waiting: Vec<(Instant, Message)>,
    losses: u8,
    partitions: u8,
    pauses: u8,
    handovers: u8,
    /// Quarters since the last disturbance, as far as it matters.
    calm: u8,
}

const VR: VrIndex = VrIndex(0);

fn config(priority: u8, preempt: bool) -> VirtualRouterConfig {
    let vrid = VirtualRouterId::new(51).unwrap_or_else(|| unreachable!());
    let mut config = VirtualRouterConfig::new("VI", LINK, vrid, vec![IpAddr::from([10, 0, 0, 50])]);
    config.priority = Priority::new(priority);
    config.preempt = preempt;
    config.interval = AdvertInterval::DEFAULT;
    // Announcements are no part of the election.
    config.announcements = AnnouncementSchedule {
        repeat: 0,
        second_burst: Duration::ZERO,
        refresh: Duration::ZERO,
        refresh_repeat: 0,
        lower_priority_repeat: 0,
        lower_priority_delay: Duration::ZERO,
    };
    config
}

impl Lan {
    fn new(bounds: &Bounds) -> Self {
        let now = Instant::ZERO + Duration::from_hours(1);
        let routers = bounds.priorities.iter().enumerate().map(|(number, priority)| {
            let mut router = VrrpRouter::with_capacity(1);
            // Each is alone with its VRID, so it is added as the first.
            let _ = router.add(config(*priority, bounds.preempt), now);
            router.set_source(VR, Some(source(number)), now);
            router.start(VR, now);
            router
        });
        let routers: Vec<_> = routers.collect();
        let mut lan = Self {
            now,
            looked: vec![false; routers.len()],
            routers,
            arriving: Vec::new(),
            sent: Vec::new(),
            parted: false,
            paused: None,
            paused_for: 0,
            waiting: Vec::new(),
            losses: bounds.losses,
            partitions: bounds.partitions,
            pauses: bounds.pauses,
            handovers: bounds.handovers,
            calm: 0,
        };
        for number in 0..lan.routers.len() {
            lan.drain(number);
        }
        lan
    }

    fn state(&self, router: usize) -> State {
        self.routers[router].get(VR).map_or(State::Backup, vrrp::VirtualRouter::state)
    }

    fn fingerprint(&self) -> u128 {
        let mut halves = [0_u64; 2];
        for (salt, half) in halves.iter_mut().enumerate() {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            for router in &self.routers {
                if let Some(vr) = router.get(VR) {
                    vr.hash_behaviour(self.now, &mut hasher);
                }
            }
            (&self.looked, &self.arriving, &self.sent).hash(&mut hasher);
            (self.parted, self.paused, self.paused_for).hash(&mut hasher);
            for (at, message) in &self.waiting {
                (self.now - *at, message).hash(&mut hasher);
            }
            (self.losses, self.partitions, self.pauses, self.handovers, self.calm).hash(&mut hasher);
            *half = hasher.finish();
        }
        u128::from(halves[0]) << 64 | u128::from(halves[1])
    }

    /// What a router has to send goes on its way; the rest of what it wants is not part of this.
    fn drain(&mut self, from: usize) {
        let count = self.routers.len();
        let router = &mut self.routers[from];
        while let Some(advert) = router.poll_transmit() {
            let bytes: Rc<[u8]> = Rc::from(advert.payload);
            let to = (0..count).filter(|to| *to != from);
            self.sent.extend(to.map(|to| Message { from, to, bytes: Rc::clone(&bytes) }));
        }
        while router.poll_effect().is_some() {}
        while router.poll_event().is_some() {}
    }

    fn parts(&self, message: &Message) -> bool {
        self.parted && (message.from == 0) != (message.to == 0)
    }

    fn hand_in(&mut self, at: Instant, message: &Message) {
        let meta = PacketMeta {
            interface: LINK,
            source: source(message.from),
            destination: IpAddr::from([224, 0, 0, 18]),
            ttl: 255,
        };
        self.routers[message.to].handle_packet(at, self.now, &meta, &message.bytes);
        self.drain(message.to);
    }

    /// Who is next in this quarter. Nothing that one router does reaches another before the next quarter, so
    /// that taking them in turn loses no history.
    fn turn(&self) -> Option<usize> {
        (0..self.routers.len()).find(|router| {
            !self.looked[*router] && self.paused != Some(*router)
                || self.arriving.iter().any(|message| message.to == *router)
        })
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(router) = self.turn() {
            for (place, message) in self.arriving.iter().enumerate() {
                // Of equal ones the first will do.
                if message.to != router || self.arriving[..place].contains(message) {
                    continue;
                }
                steps.push(Step::Deliver(place));
                if self.losses > 0 && !self.parts(message) {
                    steps.push(Step::Lose(place));
                }
            }
            if !self.looked[router] && self.paused != Some(router) {
                steps.push(Step::Look(router));
            }
            return steps;
        }
        // Between two quarters, what is done to the LAN.
        if self.paused_for < LONGEST_PAUSE {
            steps.push(Step::Quarter);
        }
        if self.parted {
            steps.push(Step::Part(false));
        } else if self.partitions > 0 {
            steps.push(Step::Part(true));
        }
        match self.paused {
            Some(_) => steps.push(Step::Pause(None)),
            None if self.pauses > 0 => {
                steps.extend((0..self.routers.len()).map(|router| Step::Pause(Some(router))));
            }
            None => {}
        }
        if self.handovers > 0 {
            let active = (0..self.routers.len()).filter(|r| self.state(*r) == State::Active);
            steps.extend(active.filter(|r| self.paused != Some(*r)).map(Step::HandOver));
        }
        steps
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Deliver(place) => {
                let message = self.arriving.remove(place);
                if self.parts(&message) {
                    return;
                }
                if self.paused == Some(message.to) {
                    self.waiting.push((self.now, message));
                } else {
                    self.hand_in(self.now, &message);
                }
            }
            Step::Lose(place) => {
                self.arriving.remove(place);
                self.losses -= 1;
                self.calm = 0;
            }
            Step::Look(router) => {
                self.looked[router] = true;
                self.routers[router].handle_timeouts(self.now, usize::MAX);
                self.drain(router);
            }
            Step::Quarter => {
                self.now = self.now + QUARTER;
                self.looked.fill(false);
                self.arriving = core::mem::take(&mut self.sent);
                self.arriving.sort();
                self.paused_for += u8::from(self.paused.is_some());
                let disturbed = self.parted || self.paused.is_some();
                self.calm =
                    if disturbed { 0 } else { self.calm.saturating_add(1).min(2 * SILENCE + 2 * ROUND_TRIP) };
            }
            Step::Part(parted) => {
                self.parted = parted;
                self.partitions -= u8::from(parted);
                self.calm = 0;
            }
            Step::Pause(Some(router)) => {
                self.paused = Some(router);
                self.pauses -= 1;
                self.calm = 0;
            }
            Step::Pause(None) => {
                self.paused = None;
                self.paused_for = 0;
                self.calm = 0;
                // Receive before time.
                for (at, message) in core::mem::take(&mut self.waiting) {
                    self.hand_in(at, &message);
                }
            }
            Step::HandOver(router) => {
                self.handovers -= 1;
                self.calm = 0;
                self.routers[router].release(VR, false, self.now);
                self.drain(router);
            }
        }
    }

    fn wrong(&self, bounds: &Bounds) -> Option<String> {
        let count = self.routers.len();
        if let Some(held) = (0..count).find(|r| matches!(self.state(*r), State::Initialize(_))) {
            return Some(format!("router {held} is in Initialize"));
        }
        let active: Vec<usize> = (0..count).filter(|r| self.state(*r) == State::Active).collect();
        if self.calm >= SILENCE + ROUND_TRIP && active.len() > 1 {
            return Some(format!("routers {active:?} are Active"));
        }
        if self.calm < 2 * (SILENCE + ROUND_TRIP) {
            return None;
        }
        let [active] = active[..] else { return Some("nobody is Active".to_owned()) };
        let better = (0..count).find(|router| {
            let yielded = self.routers[*router].get(VR).is_some_and(vrrp::VirtualRouter::has_yielded);
            bounds.preempt && !yielded && bounds.priorities[*router] > bounds.priorities[active]
        });
        better.map(|better| format!("router {active} is Active, router {better} should be"))
    }
}

/// Explores them.
pub fn explore(bounds: &Bounds) -> Explored {
    let first = Lan::new(bounds);
    let mut seen = HashSet::from([first.fingerprint()]);
    // How each state was reached, for the story of a violation.
    let mut trail: Vec<(usize, Step)> = vec![(0, Step::Quarter)];
    let mut ahead = VecDeque::from([(0_usize, first)]);
    let mut steps = 0;
    while let Some((place, lan)) = ahead.pop_front() {
        if let Some(what) = lan.wrong(bounds) {
            let story = story(bounds, &trail, place);
            return Explored { states: seen.len(), steps, complete: false, violation: Some((what, story)) };
        }
        if seen.len() >= bounds.at_most {
            return Explored { states: seen.len(), steps, complete: false, violation: None };
        }
        for step in lan.steps() {
            let mut next = lan.clone();
            next.take(&step);
            steps += 1;
            if seen.insert(next.fingerprint()) {
                trail.push((place, step));
                ahead.push_back((trail.len() - 1, next));
            }
        }
    }
    Explored { states: seen.len(), steps, complete: true, violation: None }
}

/// Goes the way again and says what is seen on it.
fn story(bounds: &Bounds, trail: &[(usize, Step)], mut place: usize) -> Vec<String> {
    let mut steps = Vec::new();
    while place != 0 {
        let (before, step) = &trail[place];
        steps.push(step);
        place = *before;
    }
    let mut lan = Lan::new(bounds);
    let start = lan.now;
    let mut lines = Vec::new();
    for step in steps.into_iter().rev() {
        let what = match step {
            Step::Deliver(at) | Step::Lose(at) => {
                let message = &lan.arriving[*at];
                format!("{step:?}: router {} to {}, priority {}", message.from, message.to, message.bytes[2])
            }
            other => format!("{other:?}"),
        };
        lan.take(step);
        let states: Vec<&str> = (0..lan.routers.len()).map(|r| lan.state(r).name()).collect();
        lines.push(format!("{:>6} ms  {what:<44} {}", (lan.now - start).as_millis(), states.join(" ")));
    }
    lines
}
