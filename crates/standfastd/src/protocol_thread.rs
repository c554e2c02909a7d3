//! The protocol thread: receives, lets time pass, sends. It owns the [`VrrpRouter`]; everybody else sends
//! it messages and gets answers. It waits for nothing but packets, time and messages.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Duration;

use vrrp::{
    AddError, Event, Family, Instant, PacketMeta, VirtualRouter, VirtualRouterConfig, VirtualRouterId,
    VrIndex, VrrpRouter,
};
use vrrp_linux::advert_socket::{AdvertSocket, Outgoing};
use vrrp_linux::poll::{Poller, Waker};
use vrrp_linux::{clock, process};

use crate::journal::Severity;
use crate::lateness::Lateness;

/// With many virtual routers, timers that lie close together are served in one wake-up: 4000 timers of 10 ms
/// would otherwise take a whole core.
const WAKE_QUANTUM: Duration = Duration::from_micros(250);
/// Up to this many virtual routers every timer gets a wake-up of its own.
const QUANTUM_FROM: usize = 64;
/// Virtual routers served per wake-up before packets are looked at again.
const TIMEOUT_BUDGET: usize = 512;
/// Batches read per socket and wake-up; what is still queued then waits for the next turn of the loop.
const RECEIVE_BATCHES: usize = 16;
/// Packets within [`FLOOD_PERIOD`] from which on they are read at intervals instead of one by one.
const FLOOD_FROM: usize = 32;
const FLOOD_PERIOD: Duration = Duration::from_millis(2);
/// How long packets of a flood are left to gather; timers are not.
const FLOOD_QUANTUM: Duration = Duration::from_micros(500);

/// What others ask of the protocol thread.
pub(crate) enum Command {
    Add {
        config: Box<VirtualRouterConfig>,
        reply: SyncSender<Result<VrIndex, AddError>>,
    },
    Reconfigure {
        vr: VrIndex,
        config: Box<VirtualRouterConfig>,
        reply: SyncSender<Result<(), AddError>>,
    },
    InheritAddresses {
        vr: VrIndex,
    },
    Start {
        vr: VrIndex,
    },
    Groups(Vec<Vec<VrIndex>>),
    Source {
        vr: VrIndex,
        source: Option<IpAddr>,
    },
    Link {
        vr: VrIndex,
        up: bool,
    },
    Tracking {
        vr: VrIndex,
        delta: i32,
        failed: bool,
    },
    AddressesFailed {
        vr: VrIndex,
    },
    Release {
        vr: VrIndex,
        stop: bool,
    },
    TakeBack {
        vr: VrIndex,
    },
    /// Releases it, and forgets it when its addresses are gone.
    Retire {
        vr: VrIndex,
    },
    /// Others that announce an address cannot be heard.
    CannotListen,
    /// Another router announced an address of this virtual router.
    AnnouncedElsewhere {
        vr: VrIndex,
        at: Instant,
    },
    /// Tell when no address is left here.
    AwaitQuiescence,
    /// Clones the virtual routers of some slots, so that a thousand of them do not hold the thread at once.
    Snapshot {
        from: usize,
        count: usize,
        reply: SyncSender<Snapshot>,
    },
    Quit,
}

/// A part of what the router knows.
pub(crate) struct Snapshot {
    pub(crate) taken_at: Instant,
    pub(crate) virtual_routers: Vec<VirtualRouter>,
    /// Slots in all; the next part starts at `from + count` while that is less.
    pub(crate) slots: usize,
    pub(crate) unclaimed: Vec<(vrrp::DiscardReason, u64)>,
    pub(crate) lateness: Lateness,
    pub(crate) receive_overflows: u64,
}

/// What the protocol thread tells.
pub(crate) enum Told {
    Event(Event),
    /// A virtual router that was to be retired is gone.
    Retired(VrIndex),
    /// No address is left here.
    Quiescent,
    /// For the log, which this thread must not wait for.
    Log(Severity, String),
}

/// How the protocol thread is scheduled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Scheduling {
    pub(crate) realtime: Option<u8>,
    pub(crate) nice: Option<i8>,
    pub(crate) processors: Vec<u32>,
}

/// The end of the protocol thread that others hold.
#[derive(Clone)]
pub(crate) struct ProtocolHandle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl ProtocolHandle {
    /// Sends a command. A thread that is gone has said why; nothing is left to do then.
    pub(crate) fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }

    /// Sends a command and waits for its answer; `None` if the thread is gone.
    pub(crate) fn ask<T>(&self, make: impl FnOnce(SyncSender<T>) -> Command) -> Option<T> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.send(make(reply));
        answer.recv_timeout(Duration::from_secs(2)).ok()
    }
}

/// Where effects and events go.
pub(crate) struct Outlets {
    pub(crate) effects: Sender<crate::kernel_worker::Request>,
    pub(crate) effects_waker: Arc<Waker>,
    pub(crate) events: Sender<Told>,
    pub(crate) events_waker: Arc<Waker>,
}

const TOKEN_WAKER: u64 = 0;

struct ProtocolThread {
    router: VrrpRouter,
    sockets: Vec<(Family, AdvertSocket)>,
    poller: Poller,
    waker: Arc<Waker>,
    commands: Receiver<Command>,
    outlets: Outlets,
    lateness: Lateness,
    last_wake: Instant,
    send_errors: u64,
    listening: bool,
    retiring: Vec<VrIndex>,
    awaits_quiescence: bool,
    flood: Flood,
}

/// Many more packets than adverts: somebody floods, or a loop does.
#[derive(Default)]
struct Flood {
    since: Instant,
    packets: usize,
    lasts: bool,
}

impl Flood {
    fn count(&mut self, packets: usize, now: Instant) {
        self.packets += packets;
        if now - self.since >= FLOOD_PERIOD {
            self.lasts = self.packets >= FLOOD_FROM;
            self.since = now;
            self.packets = 0;
        }
    }
}

/// Makes the thread's sockets, so that what is refused is refused to the caller; then starts it.
///
/// # Errors
/// If a raw socket is refused: that takes `CAP_NET_RAW`.
pub(crate) fn spawn(
    families: &[Family],
    capacity: usize,
    outlets: Outlets,
    scheduling: Scheduling,
    prepare: impl FnOnce() + Send + 'static,
) -> io::Result<(ProtocolHandle, std::thread::JoinHandle<()>)> {
    let poller = Poller::new()?;
    let waker = Arc::new(Waker::new()?);
    poller.add(waker.as_fd(), TOKEN_WAKER)?;
    let mut sockets = Vec::new();
    for (token, family) in (1..).zip(families) {
        let socket = AdvertSocket::open(*family)?;
        poller.add(socket.as_fd(), token)?;
        sockets.push((*family, socket));
    }
    let (sender, commands) = std::sync::mpsc::channel();
    let handle = ProtocolHandle { commands: sender, waker: Arc::clone(&waker) };
    let mut thread = ProtocolThread {
        router: VrrpRouter::with_capacity(capacity),
        sockets,
        poller,
        waker,
        commands,
        outlets,
        lateness: Lateness::default(),
        last_wake: clock::monotonic_now(),
        send_errors: 0,
        listening: false,
        retiring: Vec::new(),
        awaits_quiescence: false,
        flood: Flood::default(),
    };
    let join =
        std::thread::Builder::new().name("protocol".into()).stack_size(256 * 1024).spawn(move || {
            thread.schedule(&scheduling);
            prepare();
            thread.run();
        })?;
    Ok((handle, join))
}

impl ProtocolThread {
    fn log(&self, severity: Severity, text: String) {
        if self.outlets.events.send(Told::Log(severity, text)).is_ok() {
            self.outlets.events_waker.wake();
        }
    }

    /// While it still may: what is refused is said and done without.
    fn schedule(&self, scheduling: &Scheduling) {
        process::set_precise_timers();
        let warn = |what: &str, result: io::Result<()>| {
            if let Err(error) = result {
                let text =
                    format!("{what} is not granted: {error}; it takes CAP_SYS_NICE or a resource limit");
                self.log(Severity::Warning, text);
            }
        };
        if !scheduling.processors.is_empty() {
            warn("vrrp_cpu_affinity", process::set_affinity(&scheduling.processors));
        }
        if let Some(nice) = scheduling.nice {
            warn("vrrp_priority", process::set_nice(nice));
        }
        if let Some(priority) = scheduling.realtime {
            warn("vrrp_rt_priority", process::set_realtime(priority));
        }
    }

    fn run(&mut self) {
        self.router.watch_announcements(true);
        loop {
            let deadline = self.router.poll_timeout().map(|(at, _, _)| self.quantised(at));
            let waited = if self.flood.lasts {
                let gathered = clock::monotonic_now() + FLOOD_QUANTUM;
                clock::sleep_until(deadline.map_or(gathered, |at| at.min(gathered)));
                Ok(())
            } else {
                self.poller.wait(deadline)
            };
            if let Err(error) = waited {
                self.log(
                    Severity::Error,
                    format!("the protocol thread cannot wait for packets: {error}; it ends"),
                );
                return;
            }
            let now = clock::monotonic_now();
            if let Some(deadline) = deadline
                && deadline <= now
            {
                self.lateness.record(now - deadline);
            }
            self.last_wake = now;
            // Receive before time: a peer must not be declared silent while its adverts wait in our socket.
            self.receive(now);
            self.waker.drain();
            if !self.obey(now) {
                return;
            }
            self.router.handle_timeouts(clock::monotonic_now(), TIMEOUT_BUDGET);
            self.transmit();
            self.hand_out();
            self.see_off();
        }
    }

    /// What is over is told: those that were to be retired, and the whole.
    fn see_off(&mut self) {
        let router = &self.router;
        let (over, still): (Vec<_>, Vec<_>) = std::mem::take(&mut self.retiring)
            .into_iter()
            .partition(|vr| router.get(*vr).is_none_or(|vr| !vr.holds_addresses() && !vr.is_lingering()));
        self.retiring = still;
        let mut told = false;
        for vr in over {
            self.router.remove(vr);
            self.set_filters();
            told |= self.outlets.events.send(Told::Retired(vr)).is_ok();
        }
        if self.awaits_quiescence && self.router.is_quiescent() {
            self.awaits_quiescence = false;
            told |= self.outlets.events.send(Told::Quiescent).is_ok();
        }
        if told {
            self.outlets.events_waker.wake();
        }
    }

    fn quantised(&self, at: Instant) -> Instant {
        if self.router.slots() < QUANTUM_FROM { at } else { at.max(self.last_wake + WAKE_QUANTUM) }
    }

    fn receive(&mut self, now: Instant) {
        let mut packets = 0;
        for (_, socket) in &mut self.sockets {
            for _ in 0..RECEIVE_BATCHES {
                let router = &mut self.router;
                let outcome = socket.receive_batch(now, &mut |datagram| {
                    let meta = PacketMeta {
                        interface: datagram.interface,
                        source: datagram.source,
                        destination: datagram.destination,
                        ttl: datagram.ttl.unwrap_or(0),
                    };
                    router.handle_packet(datagram.received_at, now, &meta, datagram.payload);
                });
                packets += outcome.as_ref().map_or(0, |batch| batch.received);
                if !outcome.is_ok_and(|batch| batch.more) {
                    break;
                }
            }
        }
        self.flood.count(packets, now);
    }

    /// Answers whether to go on.
    fn obey(&mut self, now: Instant) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add { config, reply } => {
                    let result = self.router.add(*config, now);
                    self.set_filters();
                    // Whoever asked may have given up.
                    let _ = reply.send(result);
                }
                Command::Reconfigure { vr, config, reply } => {
                    let _ = reply.send(self.router.reconfigure(vr, *config, now));
                }
                Command::InheritAddresses { vr } => self.router.inherit_addresses(vr, now),
                Command::Start { vr } => self.router.start(vr, now),
                Command::Groups(groups) => self.router.set_groups(groups, now),
                Command::Source { vr, source } => self.router.set_source(vr, source, now),
                Command::Link { vr, up } => self.router.set_link(vr, up, now),
                Command::Tracking { vr, delta, failed } => self.router.set_tracking(vr, delta, failed, now),
                Command::AddressesFailed { vr } => self.router.addresses_failed(vr, now),
                Command::Release { vr, stop } => self.router.release(vr, stop, now),
                Command::TakeBack { vr } => self.router.take_back(vr),
                Command::Retire { vr } => {
                    self.router.release(vr, true, now);
                    self.retiring.push(vr);
                }
                Command::CannotListen => self.router.watch_announcements(false),
                Command::AnnouncedElsewhere { vr, at } => self.router.announced_elsewhere(vr, at, now),
                Command::AwaitQuiescence => self.awaits_quiescence = true,
                Command::Snapshot { from, count, reply } => {
                    let _ = reply.send(self.snapshot(from, count, now));
                }
                Command::Quit => {
                    self.transmit();
                    self.hand_out();
                    return false;
                }
            }
        }
        true
    }

    fn snapshot(&self, from: usize, count: usize, now: Instant) -> Snapshot {
        let slots = self.router.slots();
        let indexes = (from..slots.min(from.saturating_add(count)))
            .map(|i| VrIndex(u32::try_from(i).unwrap_or(u32::MAX)));
        Snapshot {
            taken_at: now,
            virtual_routers: indexes.filter_map(|i| self.router.get(i).cloned()).collect(),
            slots,
            unclaimed: self.router.unclaimed().collect(),
            lateness: self.lateness.clone(),
            receive_overflows: self.sockets.iter().map(|(_, s)| u64::from(s.overflowed())).sum(),
        }
    }

    /// Packets of foreign VRIDs are dropped by the kernel. It is a saving, not a check: without the filter
    /// they are only counted.
    fn set_filters(&mut self) {
        for (family, socket) in &self.sockets {
            let vrids: Vec<VirtualRouterId> = self
                .router
                .iter()
                .filter(|vr| vr.config().family == *family)
                .map(|vr| vr.config().vrid)
                .collect();
            if let Err(error) = socket.set_filter(&vrids) {
                self.log(Severity::Info, format!("no packet filter for {family}: {error}"));
            }
        }
    }

    fn transmit(&mut self) {
        let mut refused = None;
        while let Some(advert) = self.router.poll_transmit() {
            let family = Family::of(advert.source);
            let Some((_, socket)) = self.sockets.iter_mut().find(|(f, _)| *f == family) else { continue };
            let sent = socket.send(&Outgoing {
                interface: advert.interface,
                source: advert.source,
                destination: advert.destination,
                ttl: advert.ttl,
                payload: advert.payload,
            });
            if let Err(error) = sent {
                self.send_errors += 1;
                // The first, then ever more rarely: a link that is down refuses every advert.
                if self.send_errors.is_power_of_two() {
                    let vrid = advert.payload.get(1).copied().unwrap_or(0);
                    refused = Some((vrid, advert.destination, error));
                }
            }
        }
        if let Some((vrid, destination, error)) = refused {
            let count = self.send_errors;
            let text = format!("advert of VRID {vrid} to {destination} not sent: {error} ({count} so far)");
            self.log(Severity::Warning, text);
        }
    }

    fn hand_out(&mut self) {
        let mut effects = false;
        while let Some(effect) = self.router.poll_effect() {
            effects |= self.outlets.effects.send(crate::kernel_worker::Request::Effect(effect)).is_ok();
        }
        if effects {
            self.outlets.effects_waker.wake();
        }
        let mut events = false;
        while let Some(event) = self.router.poll_event() {
            events |= self.outlets.events.send(Told::Event(event)).is_ok();
        }
        if events {
            self.outlets.events_waker.wake();
        }
        if effects || events {
            self.listen_while_lingering();
        }
    }

    /// While addresses are on their way to another router, its announcement is listened for.
    fn listen_while_lingering(&mut self) {
        let lingers = self.router.iter().any(VirtualRouter::is_lingering);
        if lingers == self.listening {
            return;
        }
        self.listening = lingers;
        if self.outlets.effects.send(crate::kernel_worker::Request::Listen(lingers)).is_ok() {
            self.outlets.effects_waker.wake();
        }
    }
}
