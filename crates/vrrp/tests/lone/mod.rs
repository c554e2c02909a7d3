//! One virtual router alone with the test: the test is its network, its clock and its kernel.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of several test executables")]

use std::net::IpAddr;
use std::time::Duration;

use vrrp::advertisement::{Advertisement, AdvertisementFields, Password};
use vrrp::{
    AdvertInterval, ChecksumForm, Effect, Event, Family, IfIndex, Instant, PacketMeta, Priority, Received,
    State, Timer, Transport, Version, VirtualRouter, VirtualRouterConfig, VirtualRouterId, VrIndex,
    VrrpRouter,
};

/// The link of every test.
pub const LINK: IfIndex = IfIndex(2);

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn interval(millis: u16) -> AdvertInterval {
    AdvertInterval::from_centiseconds(millis / 10).unwrap()
}

/// VRID 51 for 10.0.0.50, one second, VRRPv3.
pub fn config(priority: u8) -> VirtualRouterConfig {
    let vrid = VirtualRouterId::new(51).unwrap();
    let mut config = VirtualRouterConfig::new("VI_1", LINK, vrid, vec![ip("10.0.0.50")]);
    config.priority = Priority::new(priority);
    config
}

/// The same over IPv6.
pub fn config_ipv6(priority: u8) -> VirtualRouterConfig {
    let vrid = VirtualRouterId::new(51).unwrap();
    let mut config = VirtualRouterConfig::new("VI_6", LINK, vrid, vec![ip("fe80::50"), ip("fd00::50")]);
    config.priority = Priority::new(priority);
    config
}

/// The same in VRRPv2.
pub fn config_v2(priority: u8) -> VirtualRouterConfig {
    VirtualRouterConfig { version: Version::V2, ..config(priority) }
}

/// What another router sends; each test changes what it is about.
#[derive(Clone)]
pub struct Sent {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub interface: IfIndex,
    pub version: Version,
    pub vrid: u8,
    pub priority: u8,
    pub interval: AdvertInterval,
    pub authentication: Option<Password>,
    pub addresses: Vec<IpAddr>,
    pub checksum: ChecksumForm,
}

impl Sent {
    pub fn packet(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        AdvertisementFields {
            version: self.version,
            vrid: VirtualRouterId::new(self.vrid).unwrap(),
            priority: Priority::new(self.priority),
            interval: self.interval,
            authentication: self.authentication,
            addresses: &self.addresses,
            checksum: self.checksum,
        }
        .encode_into(self.source, self.destination, &mut packet);
        packet
    }

    pub fn meta(&self) -> PacketMeta {
        PacketMeta {
            interface: self.interface,
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
        }
    }
}

/// An advert that left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// Since the start of the test.
    pub at: Duration,
    pub priority: u8,
    pub form: Option<ChecksumForm>,
    pub destination: IpAddr,
}

pub struct Lone {
    pub router: VrrpRouter,
    pub vr: VrIndex,
    pub now: Instant,
    origin: Instant,
    pub left: Vec<Left>,
    pub effects: Vec<Effect>,
    pub events: Vec<Event>,
}

impl Lone {
    /// Ready to be started; its address is `10.0.0.2` or `fe80::2`.
    pub fn held(config: VirtualRouterConfig) -> Self {
        let origin = Instant::ZERO + Duration::from_hours(1);
        let mut router = VrrpRouter::with_capacity(1);
        let source = match config.family {
            Family::Ipv4 => ip("10.0.0.2"),
            Family::Ipv6 => ip("fe80::2"),
        };
        let vr = router.add(config, origin).unwrap();
        router.set_source(vr, Some(source), origin);
        let (left, effects, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { router, vr, now: origin, origin, left, effects, events }
    }

    /// Started.
    pub fn started(config: VirtualRouterConfig) -> Self {
        let mut lone = Self::held(config);
        lone.router.start(lone.vr, lone.now);
        lone.drain();
        lone
    }

    /// Active, because nobody was heard or because it is the owner; nothing collected yet.
    pub fn active(config: VirtualRouterConfig) -> Self {
        let mut lone = Self::started(config);
        if lone.state() != State::Active {
            lone.pass(lone.get().active_down_interval());
        }
        assert_eq!(lone.state(), State::Active);
        lone.forget();
        lone
    }

    pub fn get(&self) -> &VirtualRouter {
        self.router.get(self.vr).unwrap()
    }

    pub fn state(&self) -> State {
        self.get().state()
    }

    /// Time since the start of the test.
    pub fn elapsed(&self) -> Duration {
        self.now - self.origin
    }

    /// The next deadline, from now, and whose.
    pub fn next(&self) -> (Duration, Timer) {
        let (at, _, timer) = self.router.poll_timeout().unwrap();
        (at - self.now, timer)
    }

    /// Lets time pass, waking at every deadline as a driver does.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _, _)) = self.router.poll_timeout().filter(|(at, _, _)| *at <= until) {
            self.now = self.now.max(at);
            self.router.handle_timeouts(self.now, usize::MAX);
            self.drain();
        }
        self.now = until;
    }

    /// Time passes without the router being looked after.
    pub fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// The router looks at its timers.
    pub fn wake(&mut self) {
        self.router.handle_timeouts(self.now, usize::MAX);
        self.drain();
    }

    pub fn forget(&mut self) {
        self.left.clear();
        self.effects.clear();
        self.events.clear();
    }

    pub fn drain(&mut self) {
        let at = self.elapsed();
        while let Some(advert) = self.router.poll_transmit() {
            let read = Advertisement::decode(Family::of(advert.destination), advert.payload).unwrap();
            self.left.push(Left {
                at,
                priority: read.priority.get(),
                form: read.checksum_form(advert.source, advert.destination),
                destination: advert.destination,
            });
        }
        self.effects.extend(std::iter::from_fn(|| self.router.poll_effect()));
        self.events.extend(std::iter::from_fn(|| self.router.poll_event()));
    }

    /// What a well-configured peer, `10.0.0.1` or `fe80::1`, sends.
    pub fn peer_sends(&self, priority: u8) -> Sent {
        let config = self.get().config();
        let source = match config.family {
            Family::Ipv4 => ip("10.0.0.1"),
            Family::Ipv6 => ip("fe80::1"),
        };
        let destination = match &config.transport {
            Transport::Multicast { group } => *group,
            Transport::Unicast { .. } => self.get().source().unwrap(),
        };
        Sent {
            source,
            destination,
            ttl: 255,
            interface: LINK,
            version: config.version,
            vrid: config.vrid.get(),
            priority,
            interval: config.interval,
            authentication: config.authentication,
            addresses: config.addresses.clone(),
            checksum: ChecksumForm::PseudoHeader,
        }
    }

    pub fn hear(&mut self, sent: &Sent) -> Received {
        self.hear_bytes(&sent.meta(), &sent.packet())
    }

    pub fn hear_bytes(&mut self, meta: &PacketMeta, packet: &[u8]) -> Received {
        let received = self.router.handle_packet(self.now, self.now, meta, packet);
        self.drain();
        received
    }

    /// An advert of the well-configured peer.
    pub fn hear_priority(&mut self, priority: u8) {
        let sent = self.peer_sends(priority);
        assert_eq!(self.hear(&sent), Received::Accepted(self.vr));
    }

    /// The priorities of the adverts that left.
    pub fn priorities(&self) -> Vec<u8> {
        self.left.iter().map(|left| left.priority).collect()
    }

    pub fn withdrew(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Withdraw { .. }))
    }

    pub fn announced(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Announce { .. }))
    }

    pub fn silenced(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Silence { .. }))
    }

    pub fn installed(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Install { announce: 1.., .. }))
    }
}
