//! The LAN, the machines on it, a client, and time, which jumps from one thing that happens to the next.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use vrrp::{Effect, Instant};

use crate::checker::Checker;
use crate::machine::{Input, Machine, Process};
use crate::random::Random;
use crate::scenario::{Episode, Fault, Scenario, source};
use crate::{Outcome, Violation};

/// What travels.
#[derive(Clone, Debug)]
enum Frame {
    /// A VRRP packet.
    Advert { from: usize, destination: IpAddr, ttl: u8, bytes: Rc<[u8]> },
    /// A gratuitous ARP.
    Announcement { from: usize, virtual_router: usize },
    /// Who has the address?
    Query,
    /// I have.
    Answer { from: usize },
    /// The client wants something of the address's holder.
    Request { id: usize },
    /// It got it.
    Reply { id: usize, from: usize },
}

/// What is going to happen.
#[derive(Debug)]
enum Happening {
    /// A process gets the processor.
    Wake { router: usize, incarnation: u64, deadline: Instant },
    /// A frame is there. The client is the member after the last router.
    Arrive { member: usize, frame: Frame },
    /// The kernel worker is through with an effect.
    Kernel { router: usize, incarnation: u64 },
    /// The client asks.
    Ask,
    /// Something is done to the LAN.
    Strike(Fault),
    /// All of it is mended.
    Mend,
    /// The quiet time is over.
    Settled,
    /// A process begins.
    Boot { router: usize },
    /// Somebody sends packets that must be discarded.
    Spoil { until: Instant },
    /// The checker looks.
    Look,
}

/// Frames in disorder.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    loss: u64,
    double: u64,
    delay: Duration,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    random: Random,
    now: Instant,
    agenda: BTreeMap<(Instant, u64), Happening>,
    order: u64,
    machines: Vec<Machine>,
    /// While frozen, what the card keeps.
    cards: Vec<VecDeque<Frame>>,
    parts: Vec<u8>,
    noise: Noise,
    episodes: VecDeque<Episode>,
    /// Whom the client believes to have the address.
    neighbour: Option<usize>,
    ask_every: Duration,
    incarnations: u64,
    checker: Checker,
    trace: Option<Vec<String>>,
    steps: u64,
    over: bool,
}

macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if $world.trace.is_some() {
            let line = format!($($text)*);
            $world.note(&line);
        }
    };
}

impl World {
    /// Before anything has happened.
    pub fn new(scenario: Scenario, trace: bool) -> Self {
        let routers = scenario.routers.len();
        let now = Instant::ZERO + Duration::from_hours(1);
        let ask_every =
            (scenario.longest_interval() / 20).clamp(Duration::from_micros(1500), Duration::from_millis(20));
        Self {
            random: Random::new(scenario.seed ^ 0x5eed),
            now,
            agenda: BTreeMap::new(),
            order: 0,
            machines: (0..routers).map(|_| Machine::new(scenario.virtual_routers)).collect(),
            cards: vec![VecDeque::new(); routers],
            parts: vec![0; routers + 1],
            noise: Noise::default(),
            episodes: scenario.episodes.clone().into(),
            neighbour: None,
            ask_every,
            incarnations: 0,
            checker: Checker::new(&scenario, now),
            trace: trace.then(Vec::new),
            steps: 0,
            over: false,
            scenario,
        }
    }

    /// Lets everything happen.
    pub fn run(mut self) -> Outcome {
        for router in 0..self.machines.len() {
            let within = self.scenario.longest_interval() * 2;
            let after = self.random.between(Duration::ZERO, within);
            self.plan(after, Happening::Boot { router });
            if self.trace.is_some() {
                let plan = &self.scenario.routers[router];
                let config = &plan.virtual_routers[0];
                let line = format!(
                    "router {router}: {}, {:?}, every {}, preempt {} after {:?}, watches {}, latency {:?}, kernel {:?}",
                    config.version,
                    config.priority,
                    config.interval,
                    config.preempt,
                    config.preempt_delay,
                    plan.watches,
                    plan.latency,
                    plan.kernel
                );
                self.note(&line);
            }
        }
        let settled = self.scenario.longest_interval() * 2 + self.scenario.settling_time();
        self.plan(settled, Happening::Settled);
        self.plan(Duration::ZERO, Happening::Ask);
        self.plan(self.scenario.longest_interval() / 3, Happening::Look);
        while !self.over {
            let Some(((at, _), happening)) = self.agenda.pop_first() else { break };
            self.now = at;
            self.steps += 1;
            self.happen(happening);
            if self.checker.violation().is_some() {
                break;
            }
        }
        let violation = self.checker.violation().cloned();
        if let Some(Violation { what, .. }) = &violation {
            say!(self, "VIOLATION: {what}");
        }
        Outcome {
            violation,
            trace: self.trace.unwrap_or_default(),
            steps: self.steps,
            checked: self.checker.checked(),
        }
    }

    fn note(&mut self, line: &str) {
        let millis = (self.now - (Instant::ZERO + Duration::from_hours(1))).as_secs_f64() * 1000.0;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{millis:12.3} ms  {line}"));
        }
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.order += 1;
        self.agenda.insert((self.now + after, self.order), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake { router, incarnation, deadline } => self.wake(router, incarnation, deadline),
            Happening::Arrive { member, frame } => self.arrive(member, frame),
            Happening::Kernel { router, incarnation } => self.kernel_done(router, incarnation),
            Happening::Ask => self.ask(),
            Happening::Strike(fault) => self.strike(fault),
            Happening::Mend => self.mend(),
            Happening::Settled => self.settled(),
            Happening::Boot { router } => self.boot(router),
            Happening::Spoil { until } => self.spoil(until),
            Happening::Look => {
                self.checker.look(self.now);
                self.plan(self.scenario.longest_interval() / 3, Happening::Look);
            }
        }
    }

    // ---- Frames ----

    const fn client(&self) -> usize {
        self.machines.len()
    }

    fn connected(&self, a: usize, b: usize) -> bool {
        self.parts[a] == self.parts[b]
    }

    fn send(&mut self, from: usize, to: usize, frame: &Frame) {
        if !self.connected(from, to) {
            return;
        }
        let copies = 1 + usize::from(self.random.percent(self.noise.double));
        for _ in 0..copies {
            if self.random.percent(self.noise.loss) {
                continue;
            }
            let wire = self.random.between(Duration::from_micros(20), Duration::from_micros(200));
            let delay = wire + self.random.between(Duration::ZERO, self.noise.delay);
            self.plan(delay, Happening::Arrive { member: to, frame: frame.clone() });
        }
    }

    fn broadcast(&mut self, from: usize, frame: &Frame) {
        for to in 0..=self.machines.len() {
            if to != from {
                self.send(from, to, frame);
            }
        }
    }

    fn arrive(&mut self, member: usize, frame: Frame) {
        if member == self.client() {
            match frame {
                Frame::Announcement { from, virtual_router: 0 } | Frame::Answer { from } => {
                    if self.neighbour != Some(from) {
                        say!(self, "client: the address is at router {from}");
                    }
                    self.neighbour = Some(from);
                }
                Frame::Reply { id, from } => self.checker.answered(id, from),
                _ => {}
            }
            return;
        }
        let machine = &mut self.machines[member];
        if !machine.powered {
            return;
        }
        if machine.frozen {
            if machine.card_keeps && self.cards[member].len() < 64 {
                self.cards[member].push_back(frame);
            }
            return;
        }
        match frame {
            Frame::Request { id } if machine.held[0] => {
                self.send(member, self.client(), &Frame::Reply { id, from: member });
            }
            Frame::Query if machine.held[0] => {
                self.send(member, self.client(), &Frame::Answer { from: member });
            }
            Frame::Advert { from, destination, ttl, bytes } => {
                let input = Input::Packet { from: source(from), destination, ttl, bytes: Rc::clone(&bytes) };
                if self.give(member, input) {
                    self.checker.advert_arrived(member, from, ttl, &bytes, self.now);
                }
            }
            Frame::Announcement { virtual_router, .. } if self.scenario.routers[member].watches => {
                self.give(member, Input::Announcement { virtual_router });
            }
            _ => {}
        }
    }

    /// Something for a process to read.
    fn give(&mut self, router: usize, input: Input) -> bool {
        let now = self.now;
        let Some(process) = &mut self.machines[router].process else { return false };
        let taken = process.deliver(now, input);
        self.arrange_wake(router);
        taken
    }

    // ---- Processes ----

    fn arrange_wake(&mut self, router: usize) {
        if !self.machines[router].runs() {
            return;
        }
        let now = self.now;
        let Some(process) = &mut self.machines[router].process else { return };
        let Some(deadline) = process.deadline(now) else { return };
        let deadline = deadline.max(now);
        if process.wakes_for.is_some_and(|earlier| earlier <= deadline) {
            return;
        }
        process.wakes_for = Some(deadline);
        let latency = self.scenario.routers[router].latency;
        let after = (deadline - now) + self.random.between(Duration::from_micros(2), latency);
        let incarnation = process.incarnation;
        self.plan(after, Happening::Wake { router, incarnation, deadline });
    }

    fn wake(&mut self, router: usize, incarnation: u64, deadline: Instant) {
        let now = self.now;
        let machine = &mut self.machines[router];
        let runs = machine.runs();
        let Some(process) = machine.process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        // It has been woken since, for something earlier.
        if process.wakes_for != Some(deadline) || !runs {
            return;
        }
        process.wakes_for = None;
        let turn = process.turn(now);
        let exits = process.exits();
        for event in &turn.events {
            say!(self, "router {router}: {event:?}");
        }
        for (destination, bytes) in turn.adverts {
            say!(self, "router {router}: advert, VRID {} priority {}", bytes[1], bytes[2]);
            self.checker.advert_sent(router, &bytes, now);
            let frame = Frame::Advert { from: router, destination, ttl: 255, bytes };
            if destination.is_multicast() {
                self.broadcast(router, &frame);
            } else if let Some(to) = (0..self.machines.len()).find(|peer| source(*peer) == destination) {
                self.send(router, to, &frame);
            }
        }
        for (input, was_active) in &turn.done {
            say!(self, "router {router}: {input:?}");
            self.checker.obeyed(router, input, *was_active, now);
        }
        if exits {
            say!(self, "router {router}: process exits");
            self.machines[router].process = None;
            self.checker.ended(router);
            return;
        }
        self.work(router);
        self.arrange_wake(router);
    }

    /// The kernel worker takes the next effect.
    fn work(&mut self, router: usize) {
        let machine = &mut self.machines[router];
        if !machine.runs() {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        if process.working || process.effects.is_empty() {
            return;
        }
        process.working = true;
        let incarnation = process.incarnation;
        let most = self.scenario.routers[router].kernel;
        let after = self.random.between(Duration::from_micros(50), most);
        self.plan(after, Happening::Kernel { router, incarnation });
    }

    fn kernel_done(&mut self, router: usize, incarnation: u64) {
        let machine = &mut self.machines[router];
        let runs = machine.runs();
        let Some(process) = machine.process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        process.working = false;
        if !runs {
            return;
        }
        if let Some(effect) = process.effects.pop_front() {
            let (Effect::Install { vr, .. }
            | Effect::Withdraw { vr }
            | Effect::Silence { vr }
            | Effect::Announce { vr, .. }) = effect;
            let virtual_router = process.number_of(vr);
            say!(self, "router {router}: kernel did {effect:?}");
            let announce = match effect {
                Effect::Install { announce, .. } => {
                    self.hold(router, virtual_router, true);
                    announce
                }
                Effect::Withdraw { .. } => {
                    self.hold(router, virtual_router, false);
                    0
                }
                Effect::Announce { repeat, .. } if self.machines[router].held[virtual_router] => repeat,
                Effect::Announce { .. } | Effect::Silence { .. } => 0,
            };
            for _ in 0..announce {
                self.broadcast(router, &Frame::Announcement { from: router, virtual_router });
            }
        }
        self.work(router);
        // It may have waited for this to exit.
        if self.machines[router].process.as_ref().is_some_and(Process::exits) {
            self.wake_now(router);
        }
    }

    fn wake_now(&mut self, router: usize) {
        let deadline = self.now;
        let Some(process) = &mut self.machines[router].process else { return };
        process.wakes_for = Some(deadline);
        let incarnation = process.incarnation;
        self.plan(Duration::ZERO, Happening::Wake { router, incarnation, deadline });
    }

    fn hold(&mut self, router: usize, virtual_router: usize, held: bool) {
        self.machines[router].held[virtual_router] = held;
        self.checker.address(router, virtual_router, held);
    }

    fn boot(&mut self, router: usize) {
        if !self.machines[router].powered || self.machines[router].process.is_some() {
            return;
        }
        self.incarnations += 1;
        let started = Process::start(
            router,
            &self.scenario.routers[router],
            &self.machines[router].held,
            self.incarnations,
            self.now,
        );
        match started {
            Ok(process) => self.machines[router].process = Some(process),
            Err(error) => {
                self.checker.fail(self.now, format!("router {router} refuses its configuration: {error:?}"));
                return;
            }
        }
        say!(self, "router {router}: process starts");
        self.checker.started(router, self.now);
        self.wake_now(router);
    }

    fn kill(&mut self, router: usize) {
        self.machines[router].process = None;
        self.checker.ended(router);
    }

    fn resume(&mut self, router: usize) {
        let was_halted = self.machines[router].frozen || self.machines[router].stopped;
        self.machines[router].frozen = false;
        self.machines[router].stopped = false;
        if !was_halted {
            return;
        }
        self.checker.resumed(router, self.now);
        // A card's frames get the time at which the kernel comes to them.
        for frame in std::mem::take(&mut self.cards[router]) {
            self.arrive(router, frame);
        }
        if let Some(process) = &mut self.machines[router].process {
            process.wakes_for = None;
            process.working = false;
        }
        self.work(router);
        self.arrange_wake(router);
    }

    // ---- The client ----

    fn ask(&mut self) {
        let id = self.checker.asked(self.now);
        match self.neighbour {
            Some(router) => self.send(self.client(), router, &Frame::Request { id }),
            None => self.broadcast(self.client(), &Frame::Query),
        }
        self.plan(self.ask_every, Happening::Ask);
    }

    // ---- Trouble ----

    fn strike(&mut self, fault: Fault) {
        say!(self, "* {fault:?}");
        self.checker.struck(&fault, self.now);
        match fault {
            Fault::Noise { loss, double, delay } => self.noise = Noise { loss, double, delay },
            Fault::Partition(parts) => self.parts = parts,
            Fault::Stop(router) => self.halt(router, false),
            Fault::Freeze(router, card_keeps) => {
                self.machines[router].card_keeps = card_keeps;
                self.halt(router, true);
            }
            Fault::Kill(router) => self.kill(router),
            Fault::PowerOff(router) => {
                self.kill(router);
                self.machines[router].powered = false;
                for virtual_router in 0..self.scenario.virtual_routers {
                    self.hold(router, virtual_router, false);
                }
            }
            Fault::Terminate(router) => drop(self.give(router, Input::Release { stop: true })),
            Fault::Handover(router) => drop(self.give(router, Input::Release { stop: false })),
            Fault::TakeBack(router) => drop(self.give(router, Input::TakeBack)),
            Fault::Track(router, delta) => {
                self.give(router, Input::Tracking { delta, failed: false });
            }
            Fault::Fail(router) => drop(self.give(router, Input::Tracking { delta: 0, failed: true })),
            Fault::Garbage => {
                let until = self.now + self.scenario.longest_interval() * 4;
                self.plan(Duration::ZERO, Happening::Spoil { until });
            }
        }
    }

    fn halt(&mut self, router: usize, machine: bool) {
        if machine {
            self.machines[router].frozen = true;
        } else {
            self.machines[router].stopped = true;
        }
        self.checker.halted(router, self.now);
    }

    /// Packets of priority 255 from the first router's address: damaged, from far away, of another VRID.
    fn spoil(&mut self, until: Instant) {
        let config = &self.scenario.routers[0].virtual_routers[0];
        let (addresses, interval, version) = (config.addresses.clone(), config.interval, config.version);
        let (vrid, authentication) = (config.vrid, config.authentication);
        for to in 0..self.machines.len() {
            let from = (to + 1) % self.machines.len();
            let destination = match &self.scenario.routers[to].virtual_routers[0].transport {
                vrrp::Transport::Multicast { group } => *group,
                vrrp::Transport::Unicast { .. } => source(to),
            };
            let mut bytes = Vec::new();
            vrrp::advertisement::AdvertisementFields {
                version,
                vrid,
                priority: vrrp::Priority::OWNER,
                interval,
                authentication,
                addresses: &addresses,
                checksum: vrrp::ChecksumForm::MessageOnly,
            }
            .encode_into(source(from), destination, &mut bytes);
            match self.random.below(3) {
                0 => bytes[7] ^= 0x10,
                1 => bytes[1] = 99,
                _ => bytes.truncate(9),
            }
            let frame = Frame::Advert { from, destination, ttl: 255, bytes: Rc::from(bytes) };
            self.plan(Duration::from_micros(30), Happening::Arrive { member: to, frame });
        }
        if self.now < until {
            self.plan(self.scenario.longest_interval() / 50, Happening::Spoil { until });
        }
    }

    fn mend(&mut self) {
        say!(self, "* all is mended");
        self.noise = Noise::default();
        self.checker.mended(&self.parts, self.now);
        self.parts.fill(0);
        for router in 0..self.machines.len() {
            self.machines[router].powered = true;
            self.resume(router);
            self.give(router, Input::Tracking { delta: 0, failed: false });
            if self.machines[router].process.as_ref().is_some_and(|p| !p.is_stopping()) {
                continue;
            }
            // One that stops is let go first: a supervisor starts it when it has exited.
            let after = if self.machines[router].process.is_some() {
                self.scenario.longest_skew() + Duration::from_millis(700)
            } else {
                Duration::ZERO
            };
            self.plan(after, Happening::Boot { router });
        }
        let settled =
            self.scenario.settling_time() + self.scenario.longest_skew() + Duration::from_millis(700);
        self.plan(settled, Happening::Settled);
    }

    fn settled(&mut self) {
        say!(self, "* time to be in order");
        self.checker.settled(self.now);
        let Some(episode) = self.episodes.pop_front() else {
            self.over = true;
            return;
        };
        self.checker.begin(&episode, self.now);
        for (after, fault) in episode.faults {
            self.plan(after, Happening::Strike(fault));
        }
        self.plan(episode.mended, Happening::Mend);
    }
}
