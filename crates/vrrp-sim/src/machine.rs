//! One machine: its kernel, which holds addresses and answers for them, and the agent's process, which may
//! stand still, be late, be killed, and finds its packets with the time at which they came.

use std::collections::VecDeque;
use std::rc::Rc;

use core::net::IpAddr;

use vrrp::{Effect, Event, Instant, PacketMeta, State, VrIndex, VrrpRouter};

use crate::scenario::{LINK, RouterPlan, source};

/// What a socket holds for a process that does not read; more is dropped.
const SOCKET_ROOM: usize = 256;

/// What the process reads.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A VRRP packet.
    Packet { from: IpAddr, destination: IpAddr, ttl: u8, bytes: Rc<[u8]> },
    /// An announcement of another machine for the address of this virtual router.
    Announcement { virtual_router: usize },
    /// `standfast handover`, or SIGTERM.
    Release { stop: bool },
    /// `standfast handover --take-back`.
    TakeBack,
    /// What tracking found.
    Tracking { delta: i32, failed: bool },
}

/// The agent.
#[derive(Debug)]
pub(crate) struct Process {
    router: VrrpRouter,
    virtual_routers: Vec<VrIndex>,
    inbox: VecDeque<(Instant, Input)>,
    /// What its other threads tell the protocol thread.
    commands: VecDeque<Input>,
    /// Effects that the kernel worker has not come to; the first is under way while `working`.
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) working: bool,
    /// SIGTERM was sent: it exits when nothing lingers.
    stopping: bool,
    /// Tells a process from an earlier one on the same machine.
    pub(crate) incarnation: u64,
    /// The deadline that its next turn is arranged for.
    pub(crate) wakes_for: Option<Instant>,
}

/// What a turn of the loop made.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) adverts: Vec<(IpAddr, Rc<[u8]>)>,
    pub(crate) events: Vec<Event>,
    /// The commands, and whether a virtual router was Active when each came.
    pub(crate) done: Vec<(Input, bool)>,
}

impl Process {
    pub(crate) fn start(
        number: usize,
        plan: &RouterPlan,
        held: &[bool],
        incarnation: u64,
        now: Instant,
    ) -> Result<Self, vrrp::AddError> {
        let mut router = VrrpRouter::with_capacity(plan.virtual_routers.len());
        router.watch_announcements(plan.watches);
        let mut virtual_routers = Vec::new();
        for (config, held) in plan.virtual_routers.iter().zip(held) {
            let vr = router.add(config.clone(), now)?;
            router.set_source(vr, Some(source(number)), now);
            if *held {
                router.inherit_addresses(vr, now);
            }
            virtual_routers.push(vr);
        }
        if virtual_routers.len() > 1 {
            router.set_groups(vec![virtual_routers.clone()], now);
        }
        for vr in &virtual_routers {
            router.start(*vr, now);
        }
        Ok(Self {
            router,
            virtual_routers,
            inbox: VecDeque::new(),
            commands: VecDeque::new(),
            effects: VecDeque::new(),
            working: false,
            stopping: false,
            incarnation,
            wakes_for: None,
        })
    }

    /// Puts something where the process will read it; answers whether there was room.
    pub(crate) fn deliver(&mut self, at: Instant, input: Input) -> bool {
        if !matches!(input, Input::Packet { .. } | Input::Announcement { .. }) {
            self.stopping |= matches!(input, Input::Release { stop: true });
            self.commands.push_back(input);
            return true;
        }
        let room = self.inbox.len() < SOCKET_ROOM;
        if room {
            self.inbox.push_back((at, input));
        }
        room
    }

    /// One turn of the agent's loop: read all there is, do as told, then let time pass, then send.
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        while let Some((at, input)) = self.inbox.pop_front() {
            match input {
                Input::Packet { from, destination, ttl, bytes } => {
                    let meta = PacketMeta { interface: LINK, source: from, destination, ttl };
                    self.router.handle_packet(at, now, &meta, &bytes);
                }
                Input::Announcement { virtual_router } => {
                    self.router.announced_elsewhere(self.virtual_routers[virtual_router], at, now);
                }
                Input::Release { .. } | Input::TakeBack | Input::Tracking { .. } => {}
            }
        }
        while let Some(command) = self.commands.pop_front() {
            let mut routers = self.virtual_routers.iter().filter_map(|vr| self.router.get(*vr));
            let was_active = routers.any(|vr| vr.state() == State::Active);
            match &command {
                Input::Release { stop } => {
                    // One is enough: a sync group is released as a whole.
                    self.router.release(self.virtual_routers[0], *stop, now);
                }
                Input::TakeBack => {
                    self.router.take_back(self.virtual_routers[0]);
                }
                Input::Tracking { delta, failed } => {
                    for vr in &self.virtual_routers {
                        self.router.set_tracking(*vr, *delta, *failed, now);
                    }
                }
                Input::Packet { .. } | Input::Announcement { .. } => {}
            }
            turn.done.push((command, was_active));
        }
        self.router.handle_timeouts(now, usize::MAX);
        while let Some(advert) = self.router.poll_transmit() {
            turn.adverts.push((advert.destination, Rc::from(advert.payload)));
        }
        while let Some(effect) = self.router.poll_effect() {
            self.take_in(effect);
        }
        turn.events.extend(std::iter::from_fn(|| self.router.poll_event()));
        turn
    }

    /// As the agent's kernel worker does: what was asked for and is not done yet is announced no more.
    fn take_in(&mut self, effect: Effect) {
        let Effect::Silence { vr } = effect else {
            self.effects.push_back(effect);
            return;
        };
        self.effects.retain(|waiting| !matches!(waiting, Effect::Announce { vr: of, .. } if *of == vr));
        for waiting in &mut self.effects {
            if let Effect::Install { vr: of, announce } = waiting
                && *of == vr
            {
                *announce = 0;
            }
        }
    }

    /// When it has to be looked after next.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if !self.inbox.is_empty() || !self.commands.is_empty() {
            return Some(now);
        }
        self.router.poll_timeout().map(|(at, _, _)| at)
    }

    /// Whether it was told to stop and has nothing left to do.
    pub(crate) fn exits(&self) -> bool {
        self.stopping && self.commands.is_empty() && self.router.is_quiescent() && self.effects.is_empty()
    }

    /// Whether it was told to stop.
    pub(crate) const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Which of the virtual routers that is.
    pub(crate) fn number_of(&self, vr: VrIndex) -> usize {
        self.virtual_routers.iter().position(|known| *known == vr).unwrap_or(0)
    }
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) powered: bool,
    pub(crate) frozen: bool,
    /// While frozen: whether its card keeps what arrives.
    pub(crate) card_keeps: bool,
    pub(crate) stopped: bool,
    pub(crate) process: Option<Process>,
    /// Which addresses its kernel holds.
    pub(crate) held: Vec<bool>,
}

impl Machine {
    pub(crate) fn new(virtual_routers: usize) -> Self {
        Self {
            powered: true,
            frozen: false,
            card_keeps: false,
            stopped: false,
            process: None,
            held: vec![false; virtual_routers],
        }
    }

    /// Whether its process can run.
    pub(crate) const fn runs(&self) -> bool {
        self.powered && !self.frozen && !self.stopped
    }
}
