//! What a seed stands for.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use vrrp::{
    AdvertInterval, AnnouncementSchedule, ChecksumForm, IfIndex, Priority, Transport, UnicastPeer, Version,
    VirtualRouterConfig, VirtualRouterId,
};

use crate::random::Random;

/// One router of the LAN.
#[derive(Clone, Debug)]
pub struct RouterPlan {
    /// A configuration per virtual router.
    pub virtual_routers: Vec<VirtualRouterConfig>,
    /// Whether its driver looks for announcements of others.
    pub watches: bool,
    /// Longest time from being woken to running.
    pub latency: Duration,
    /// Longest time the kernel takes for an effect.
    pub kernel: Duration,
}

/// Something done to the LAN.
#[derive(Clone, Debug)]
pub enum Fault {
    /// From now on so many of a hundred frames are lost, doubled, and delayed so long at most.
    Noise {
        /// Lost, percent.
        loss: u64,
        /// Doubled, percent.
        double: u64,
        /// Longest additional delay; frames overtake one another.
        delay: Duration,
    },
    /// Each router, and the client last, is in one of the parts; frames stay within theirs.
    Partition(Vec<u8>),
    /// The process stands still (SIGSTOP); its kernel goes on.
    Stop(usize),
    /// The machine stands still (a paused VM). With `true` what arrives meanwhile waits in its card.
    Freeze(usize, bool),
    /// The process is killed; its kernel keeps the addresses.
    Kill(usize),
    /// The machine loses its power.
    PowerOff(usize),
    /// SIGTERM.
    Terminate(usize),
    /// `standfast handover`.
    Handover(usize),
    /// `standfast handover --take-back`.
    TakeBack(usize),
    /// Tracking moves the priority.
    Track(usize, i32),
    /// A tracked object without weight fails.
    Fail(usize),
    /// Somebody sends packets with our VRID that must be discarded.
    Garbage,
}

/// A time of trouble, and then a quiet one, after which everything must be in order.
#[derive(Clone, Debug)]
pub struct Episode {
    /// When after the episode's start, and what.
    pub faults: Vec<(Duration, Fault)>,
    /// When all of it is mended: links, machines and processes are back.
    pub mended: Duration,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its seed; drives everything that the plan leaves open.
    pub seed: u64,
    /// Two to five.
    pub routers: Vec<RouterPlan>,
    /// One, or two that move together.
    pub virtual_routers: usize,
    /// What happens, one after the other.
    pub episodes: Vec<Episode>,
}

/// The address that router `router` sends from.
pub fn source(router: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(router + 1).unwrap_or(u8::MAX)))
}

/// The link of every router.
pub const LINK: IfIndex = IfIndex(2);

impl Scenario {
    /// What the seed stands for.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.index(4);
        let virtual_routers = if random.percent(25) { 2 } else { 1 };
        let version = if random.percent(15) { Version::V2 } else { Version::V3 };
        let interval = match version {
            Version::V2 => AdvertInterval::DEFAULT,
            Version::V3 => centiseconds(random.pick(&[1, 10, 10, 100])),
        };
        let mixed_intervals = version == Version::V3 && random.percent(10);
        let unicast = random.percent(40);
        let one_form = random.percent(70);
        let refresh = if random.percent(60) { Duration::from_secs(1) } else { Duration::ZERO };
        let preempt = random.percent(70);
        let password = (version == Version::V2 && random.percent(50)).then_some(*b"secret\0\0");
        let routers: Vec<_> = (0..count)
            .map(|router| {
                let mut config = VirtualRouterConfig::new("VI", LINK, vrid(0), vec![virtual_address(0)]);
                config.version = version;
                config.interval =
                    if mixed_intervals { centiseconds(random.pick(&[5, 10, 20, 40])) } else { interval };
                config.priority = Priority::new(random.pick(&[1, 50, 100, 100, 150, 200, 254]));
                if router == 0 && random.percent(5) {
                    config.priority = Priority::OWNER;
                }
                config.preempt = if random.percent(80) { preempt } else { !preempt };
                if random.percent(15) {
                    config.preempt_delay =
                        config.interval.duration() * (1 + u32::try_from(random.below(4)).unwrap_or(0));
                }
                config.authentication = password;
                config.checksum = (!one_form && random.percent(50)).then_some(ChecksumForm::MessageOnly);
                config.announcements = AnnouncementSchedule { refresh, ..AnnouncementSchedule::default() };
                if unicast {
                    let peers = (0..count).filter(|peer| *peer != router);
                    config.transport = Transport::Unicast {
                        peers: peers.map(|peer| UnicastPeer::new(source(peer))).collect(),
                        check_source: true,
                        ttl: 255,
                    };
                }
                let configs = (0..virtual_routers).map(|number| VirtualRouterConfig {
                    vrid: vrid(number),
                    addresses: vec![virtual_address(number)],
                    ..config.clone()
                });
                RouterPlan {
                    virtual_routers: configs.collect(),
                    watches: random.percent(60),
                    latency: Duration::from_micros(random.pick(&[20, 100, 800])),
                    kernel: Duration::from_micros(random.pick(&[200, 1000, 4000])),
                }
            })
            .collect();
        let mut scenario = Self { seed, routers, virtual_routers, episodes: Vec::new() };
        for _ in 0..=random.index(4) {
            let episode = scenario.episode(&mut random);
            scenario.episodes.push(episode);
        }
        scenario
    }

    fn episode(&self, random: &mut Random) -> Episode {
        let router = random.index(self.routers.len());
        let settled = self.settling_time();
        let interval = self.longest_interval();
        let delay = random.between(Duration::ZERO, interval * 3);
        // One thing alone can be judged exactly; several at once show what nobody thought of.
        if random.percent(60) {
            let short = random.between(Duration::ZERO, interval * 8);
            let (fault, mended) = match random.below(12) {
                0 | 1 => (self.partition(random), settled + short),
                2 => (self.cut(router), settled + short),
                3 => (Fault::Stop(router), short),
                4 => (Fault::Freeze(router, random.percent(50)), short),
                5 => (Fault::Kill(router), if random.percent(50) { short } else { settled + short }),
                6 => (Fault::PowerOff(router), settled + short),
                7 => (Fault::Terminate(router), settled + short),
                8 | 9 => {
                    let mut faults = vec![(delay, Fault::Handover(router))];
                    if random.percent(70) {
                        faults.push((delay + settled, Fault::TakeBack(router)));
                    }
                    return Episode { faults, mended: delay + settled + short };
                }
                10 => (Fault::Track(router, random.pick(&[-150, -60, -1, 60])), settled + short),
                _ => (Fault::Garbage, short),
            };
            return Episode { faults: vec![(delay, fault)], mended: delay + mended };
        }
        let length = interval * 20;
        let faults = (0..=random.below(5))
            .map(|_| {
                let router = random.index(self.routers.len());
                let fault = match random.below(12) {
                    0 | 1 => Fault::Noise {
                        loss: random.pick(&[0, 5, 30, 60]),
                        double: random.pick(&[0, 20]),
                        delay: random.between(Duration::ZERO, interval / 2),
                    },
                    2 => self.partition(random),
                    3 => self.cut(router),
                    4 => Fault::Stop(router),
                    5 => Fault::Freeze(router, random.percent(50)),
                    6 => Fault::Kill(router),
                    7 => Fault::PowerOff(router),
                    8 => Fault::Terminate(router),
                    9 => Fault::Handover(router),
                    10 => Fault::Fail(router),
                    _ => Fault::Track(router, random.pick(&[-150, -60, 60])),
                };
                (random.between(Duration::ZERO, length), fault)
            })
            .collect();
        Episode { faults, mended: length + random.between(Duration::ZERO, interval) }
    }

    fn partition(&self, random: &mut Random) -> Fault {
        Fault::Partition((0..=self.routers.len()).map(|_| u8::from(random.percent(50))).collect())
    }

    fn cut(&self, router: usize) -> Fault {
        Fault::Partition((0..=self.routers.len()).map(|member| u8::from(member == router)).collect())
    }

    fn configs(&self) -> impl Iterator<Item = &VirtualRouterConfig> {
        self.routers.iter().map(|router| &router.virtual_routers[0])
    }

    /// The longest interval of any router.
    pub fn longest_interval(&self) -> Duration {
        self.configs().map(|config| config.interval.duration()).max().unwrap_or_default()
    }

    /// The shortest interval of any router.
    pub fn shortest_interval(&self) -> Duration {
        self.configs().map(|config| config.interval.duration()).min().unwrap_or_default()
    }

    /// Longest skew and longest silence of any router, with any interval learnt.
    pub fn longest_skew(&self) -> Duration {
        let longest = self.configs().max_by_key(|config| config.interval);
        longest.map(|c| c.interval.skew_time(c.version, Priority::LOWEST)).unwrap_or_default()
    }

    /// From being woken to having acted, at the longest.
    pub fn slack(&self) -> Duration {
        let slowest = self.routers.iter().map(|router| router.latency + router.kernel).max();
        slowest.unwrap_or_default() * 3 + Duration::from_millis(2)
    }

    /// When a connected LAN in which nothing happens must be in order, at the latest: a stalled Backup listens
    /// for an `Active_Down_Interval` and takes over after another, a better one preempts it after its delay and
    /// a third; a handover to nobody ends; a refresh has reached the client.
    pub fn settling_time(&self) -> Duration {
        let silence = self.longest_interval() * 3 + self.longest_skew();
        let delay = self.configs().map(|config| config.preempt_delay).max().unwrap_or_default();
        silence * 3 + delay * 2 + self.longest_skew() + Duration::from_millis(1700)
    }
}

fn centiseconds(value: u16) -> AdvertInterval {
    AdvertInterval::from_centiseconds(value).unwrap_or(AdvertInterval::DEFAULT)
}

fn vrid(number: usize) -> VirtualRouterId {
    u8::try_from(51 + number).ok().and_then(VirtualRouterId::new).unwrap_or(match VirtualRouterId::new(1) {
        Some(vrid) => vrid,
        None => unreachable!(),
    })
}

/// The address of a virtual router.
pub fn virtual_address(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(50 + number).unwrap_or(u8::MAX)))
}
