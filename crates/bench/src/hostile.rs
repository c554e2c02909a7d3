//! Invalid packets with our VRID, and a configuration with a mistake.

use std::time::Duration;

use anyhow::Result;
use testbed::flood::CraftedAdvert;
use testbed::{Host, Kind, PacketFlood, Probe, VirtualRouter};

use crate::scene::Scene;

/// How a packet is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Checksum,
    Ttl,
    Length,
    Count,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Checksum, Self::Ttl, Self::Length, Self::Count];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Checksum => "wrong checksum",
            Self::Ttl => "TTL 254",
            Self::Length => "too short",
            Self::Count => "wrong address count",
        }
    }

    fn frame(self, from: &Host, vr: &VirtualRouter) -> Vec<u8> {
        let good = CraftedAdvert::new(from, vr);
        match self {
            Self::Checksum => good.bad_checksum(),
            Self::Ttl => good.ttl(254),
            Self::Length => good.truncated(6),
            Self::Count => good.count(7),
        }
        .frame()
    }
}

/// What a flood did.
pub(crate) struct Flooded {
    /// Adverts that the Active sent, in percent of what was due.
    pub(crate) adverts: f64,
    /// Adverts of the Backup: it believed that the Active is gone.
    pub(crate) takeovers: f64,
    /// In percent.
    pub(crate) pings_lost: f64,
    /// Of the Active, in percent of a core.
    pub(crate) cpu: f64,
    /// Of the Active's log, in KiB.
    pub(crate) log: f64,
}

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(2);

/// Sends invalid packets from a third host.
pub(crate) fn flood(kind: Kind, fault: Fault, rate: u32) -> Result<Flooded> {
    let scene = Scene::new("flood")?;
    let attacker = scene.lan.host("d")?;
    let vr = VirtualRouter::v3_ipv4(Duration::from_millis(100));
    let (on_a, on_b) = (vr.clone().priority(200), vr.clone().priority(100));
    let (mut a, _b) = scene.start((kind, &on_a), (kind, &on_b))?;
    let frame = fault.frame(&attacker, &vr.priority(150));
    let (log_before, cpu_before) = (a.log().len(), a.daemon().cpu_time());
    let probe = Probe::ping(&scene.client, on_a.address(), 200)?;
    let from = testbed::Moment::now();
    let flood = PacketFlood::start(&attacker, frame, rate)?;
    std::thread::sleep(FLOOD);
    let to = testbed::Moment::now();
    drop(flood);
    let cpu = a.daemon().cpu_time().saturating_sub(cpu_before);
    let report = probe.finish();
    let during = |host: &str| {
        scene.capture.adverts_of(host).iter().filter(|advert| advert.at >= from && advert.at < to).count()
    };
    let spent = to.since(from).as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
    let (adverts, takeovers, lost, sent, log) = (
        during("a") as f64,
        during("b") as f64,
        report.lost() as f64,
        report.sent() as f64,
        a.log().len().saturating_sub(log_before) as f64,
    );
    Ok(Flooded {
        // One less than the quotient may lie in a window, wherever it begins.
        adverts: 100.0 * (adverts + 1.0).min(spent / 0.1) / (spent / 0.1),
        takeovers,
        pings_lost: 100.0 * lost / sent.max(1.0),
        cpu: 100.0 * cpu.as_secs_f64() / spent,
        log: log / 1024.0,
    })
}

/// Whether the address still answers and adverts go on three seconds after a reload with a mistake.
pub(crate) fn bad_reload(kind: Kind) -> Result<bool> {
    let scene = Scene::new("bad reload")?;
    let vr = VirtualRouter::v3_ipv4(Duration::from_millis(100));
    let (on_a, on_b) = (vr.clone().priority(200), vr.priority(100));
    let (mut a, _b) = scene.start((kind, &on_a), (kind, &on_b))?;
    a.reload(&on_a.keepalived_conf().replace("virtual_router_id 51", "virtual_router_id 300"))?;
    std::thread::sleep(Duration::from_secs(2));
    let from = testbed::Moment::now();
    std::thread::sleep(Duration::from_secs(1));
    let goes_on = scene.capture.adverts_of("a").iter().any(|advert| advert.at > from);
    Ok(a.daemon().is_running() && goes_on)
}
