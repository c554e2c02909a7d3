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
use vrrp_linux::clock;
use vrrp_linux::poll::{Poller, Waker};

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
    Remove {
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
    pub(crate) quiescent: bool,
    pub(crate) unclaimed: Vec<(vrrp::DiscardReason, u64)>,
    pub(crate) lateness: Lateness,
    pub(crate) receive_overflows: u64,
}

/// What the protocol thread tells: events with their time.
pub(crate) type TimedEvent = (Instant, Event);

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
    pub(crate) events: Sender<TimedEvent>,
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
}

/// Makes the thread's sockets, so that what is refused is refused to the caller; then starts it.
///
/// # Errors
/// If a raw socket is refused: that takes `CAP_NET_RAW`.
pub(crate) fn spawn(
    families: &[Family],
    capacity: usize,
    outlets: Outlets,
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
    };
    let join =
        std::thread::Builder::new().name("protocol".into()).stack_size(256 * 1024).spawn(move || {
            thread.run();
        })?;
    Ok((handle, join))
}

impl ProtocolThread {
    fn run(&mut self) {
        loop {
            let deadline = self.router.poll_timeout().map(|(at, _, _)| self.quantised(at));
            if let Err(error) = self.poller.wait(deadline) {
                crate::journal::error(&format!(
                    "the protocol thread cannot wait for packets: {error}; it ends"
                ));
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
        }
    }

    fn quantised(&self, at: Instant) -> Instant {
        if self.router.slots() < QUANTUM_FROM { at } else { at.max(self.last_wake + WAKE_QUANTUM) }
    }

    fn receive(&mut self, now: Instant) {
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
                if !outcome.is_ok_and(|batch| batch.more) {
                    break;
                }
            }
        }
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
                Command::Remove { vr } => {
                    self.router.remove(vr);
                    self.set_filters();
                }
                Command::Groups(groups) => self.router.set_groups(groups, now),
                Command::Source { vr, source } => self.router.set_source(vr, source, now),
                Command::Link { vr, up } => self.router.set_link(vr, up, now),
                Command::Tracking { vr, delta, failed } => self.router.set_tracking(vr, delta, failed, now),
                Command::AddressesFailed { vr } => self.router.addresses_failed(vr, now),
                Command::Release { vr, stop } => self.router.release(vr, stop, now),
                Command::TakeBack { vr } => self.router.take_back(vr),
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
            quiescent: self.router.is_quiescent(),
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
                crate::journal::info(&format!("no packet filter for {family}: {error}"));
            }
        }
    }

    fn transmit(&mut self) {
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
                    let line = format!(
                        "advert of VRID {} to {} not sent: {error} ({} so far)",
                        advert.payload.get(1).copied().unwrap_or(0),
                        advert.destination,
                        self.send_errors
                    );
                    crate::journal::warning(&line);
                }
            }
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
            events |= self.outlets.events.send((self.last_wake, event)).is_ok();
        }
        if events {
            self.outlets.events_waker.wake();
        }
    }
}
