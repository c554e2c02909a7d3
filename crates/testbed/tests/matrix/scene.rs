//! Two routers and a client on a LAN, and what everybody saw.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::{
    Advert, Capture, Checksum, ChecksumForm, Family, Host, Kind, Lan, Moment, Probe, Report, Router,
    VirtualRouter, enclosure, wait,
};

use crate::setup::{Role, Setup};

/// What a busy machine may add to what the standard says. Nothing is asserted that a slower machine breaks, but
/// for a machine that stands still for longer than this.
pub(crate) const ALLOWANCE: Duration = Duration::from_millis(1500);
/// No timer of ours may fire earlier than this before its time: the difference of two clocks' readings.
pub(crate) const EARLY: Duration = Duration::from_millis(2);
/// How long things are waited for that have no bound of their own (a program that starts).
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// Questions that the client asks in a second.
const RATE: u32 = 500;

/// Priorities of the two.
pub(crate) const HIGH: u8 = 200;
pub(crate) const LOW: u8 = 100;

/// Which of the two routers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// The one that is to be Active: priority 200.
    Active,
    /// The other: priority 100.
    Backup,
}

use Which::{Active, Backup};

impl Which {
    pub(crate) fn other(self) -> Self {
        if self == Active { Backup } else { Active }
    }
}

pub(crate) struct Scene {
    name: String,
    pub(crate) setup: Setup,
    kinds: [Kind; 2],
    routers: [Option<Router>; 2],
    hosts: [Host; 2],
    pub(crate) client: Host,
    pub(crate) capture: Capture,
    pub(crate) lan: Lan,
    priorities: [u8; 2],
    probe: Option<Probe>,
    report: Option<Report>,
}

impl Scene {
    pub(crate) fn new(name: &str, peer: Kind, setup: Setup, role: Role) -> Result<Self> {
        let kinds = match role {
            Role::OursActive => [Kind::Standfast, peer],
            Role::TheirsActive => [peer, Kind::Standfast],
        };
        let lan = Lan::new(name)?;
        // The lower address to the one that is to be Active, so that nothing but the priority makes it so.
        let hosts = [lan.host("a")?, lan.host("b")?];
        let client = lan.host("c")?;
        let capture = Capture::start(&lan)?;
        Ok(Self {
            name: name.to_owned(),
            setup,
            kinds,
            routers: [None, None],
            hosts,
            client,
            capture,
            lan,
            priorities: [HIGH, LOW],
            probe: None,
            report: None,
        })
    }

    // ---- Who and what ----

    pub(crate) fn kind(&self, which: Which) -> Kind {
        self.kinds[which as usize]
    }

    pub(crate) fn is_ours(&self, which: Which) -> bool {
        self.kind(which) == Kind::Standfast
    }

    pub(crate) fn has_frr(&self) -> bool {
        self.kinds.contains(&Kind::Frr)
    }

    /// Ours; of two, the one that is to be Active.
    pub(crate) fn ours(&self) -> Which {
        if self.is_ours(Active) { Active } else { Backup }
    }

    pub(crate) fn host(&self, which: Which) -> &Host {
        &self.hosts[which as usize]
    }

    pub(crate) fn router(&self, which: Which) -> Result<&Router> {
        self.routers[which as usize].as_ref().with_context(|| format!("{which:?} was not started"))
    }

    pub(crate) fn router_mut(&mut self, which: Which) -> Result<&mut Router> {
        self.routers[which as usize].as_mut().with_context(|| format!("{which:?} was not started"))
    }

    pub(crate) fn set_priorities(&mut self, active: u8, backup: u8) {
        self.priorities = [active, backup];
    }

    pub(crate) fn vr(&self, which: Which) -> VirtualRouter {
        self.setup.virtual_router(self.host(which), self.host(which.other()), self.priorities[which as usize])
    }

    pub(crate) fn interval(&self) -> Duration {
        self.vr(Active).interval()
    }

    pub(crate) fn down(&self, which: Which) -> Duration {
        self.vr(which).active_down_interval()
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.vr(Active).address()
    }

    /// Where its adverts come from.
    pub(crate) fn source(&self, which: Which) -> IpAddr {
        let host = self.host(which);
        match (self.setup.family, self.setup.unicast) {
            (Family::Ipv4, _) => host.ipv4().into(),
            (Family::Ipv6, true) => host.ipv6().into(),
            (Family::Ipv6, false) => host.link_local().into(),
        }
    }

    // ---- Acting ----

    pub(crate) fn start(&mut self, which: Which) -> Result<()> {
        let router = Router::start(self.kind(which), self.host(which), &self.vr(which))?;
        self.routers[which as usize] = Some(router);
        Ok(())
    }

    /// Both run, the one that is to be Active is, the other listens, and the client asks.
    pub(crate) fn up(&mut self) -> Result<()> {
        self.start(Active)?;
        self.advert_after(Active, self.capture.started(), self.down(Active) + PATIENCE)?;
        self.start(Backup)?;
        self.listens(Backup)?;
        self.probe()?;
        self.settled(Active)
    }

    /// Waits until a router that was started has become Backup.
    pub(crate) fn listens(&self, which: Which) -> Result<()> {
        let router = self.router(which)?;
        wait::until(&format!("{which:?} listens"), PATIENCE, || match router.kind() {
            Kind::Standfast => router.status().is_ok_and(|status| status.state() == "backup"),
            Kind::Keepalived => router.log().contains("Entering BACKUP STATE"),
            // It does not say. Its socket of protocol 112 does.
            Kind::Frr => router.host().run("ss", &["-Hwln"]).is_ok_and(|out| {
                String::from_utf8_lossy(&out.stdout).lines().any(|line| line.contains(":112"))
            }),
        })?;
        // It has to have heard the Active, too: ours says so, others had the time to.
        self.advert_after(which.other(), Moment::now(), self.interval() + PATIENCE)?;
        if self.is_ours(which) {
            wait::until(&format!("{which:?} has heard the Active"), ALLOWANCE, || {
                router.status().is_ok_and(|status| status.active_address().is_some())
            })?;
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Lets the client ask, and waits for its first answers.
    pub(crate) fn probe(&mut self) -> Result<()> {
        let probe = Probe::ping(&self.client, self.address(), RATE)?;
        wait::until("the client gets answers", self.down(Backup) + PATIENCE, || {
            let questions = probe.so_far().questions;
            questions.iter().rev().take(20).filter(|q| q.answered.is_some()).count() > 10
        })?;
        self.probe = Some(probe);
        Ok(())
    }

    /// Ends the client's questions; what it saw from `since` on.
    pub(crate) fn probed(&mut self, since: Moment) -> Result<Report> {
        let report = self.probe.take().context("nobody asks")?.finish();
        let part = report.between(since, Moment::now());
        self.report = Some(report);
        Ok(part)
    }

    // ---- Looking ----

    pub(crate) fn adverts(&self, which: Which) -> Vec<Advert> {
        self.capture.adverts_of(self.host(which).name())
    }

    /// The first advert of a router after `since` that is no farewell; waits for it.
    pub(crate) fn advert_after(&self, which: Which, since: Moment, limit: Duration) -> Result<Advert> {
        wait::for_some(&format!("{which:?} advertises"), limit, || {
            self.adverts(which).into_iter().find(|advert| advert.at > since && advert.priority > 0)
        })
    }

    /// The last advert of a router no later than `until`.
    pub(crate) fn last_advert(&self, which: Which, until: Moment) -> Result<Advert> {
        let last = self.adverts(which).into_iter().rfind(|advert| advert.at <= until);
        last.with_context(|| format!("{which:?} has not advertised"))
    }

    /// The Backup has taken over from an Active that fell silent between `before` and `after`: neither early, nor
    /// later than by the allowance. Gives its first advert.
    pub(crate) fn took_over(&self, before: Moment, after: Moment) -> Result<Advert> {
        let limit = self.down(Backup) + self.interval() + ALLOWANCE + PATIENCE;
        let first = self.advert_after(Backup, before, limit)?;
        let down = self.down(Backup);
        let most = first.at.since(self.last_advert(Active, before)?.at);
        let least = first.at.since(self.last_advert(Active, after)?.at);
        if self.is_ours(Backup) {
            ensure!(
                most + EARLY >= down,
                "took over {most:?} after the last advert, before {down:?} had passed"
            );
        }
        ensure!(
            least <= down + ALLOWANCE,
            "took over only {least:?} after the last advert; {down:?} were due"
        );
        Ok(first)
    }

    /// Waits until everybody agrees at the same time that `which` is Active and the other is not. How long that may
    /// take is for each event to say, by adverts and by what the client lost: two views taken one after the other
    /// may differ while a busy machine lets one router wait.
    pub(crate) fn settled(&self, which: Which) -> Result<()> {
        let limit = self.down(which) + self.interval() * 3 + ALLOWANCE + PATIENCE;
        wait::until_ok(&format!("all agree that only {which:?} is Active"), limit, || self.agreed(which))
    }

    fn agreed(&self, which: Which) -> Result<()> {
        let (host, other) = (self.host(which), self.host(which.other()));
        let now = Moment::now();
        let newest = |which| self.adverts(which).last().map(|advert| now.since(advert.at));
        let (own, others) = (newest(which), newest(which.other()));
        ensure!(own.is_some_and(|age| age < self.interval() * 2), "{which:?} advertised {own:?} ago");
        ensure!(others.is_none_or(|age| age > self.interval() * 2), "the other advertised {others:?} ago");
        // FRR's address is always there, on a link of its own.
        let has =
            |host: &Host| self.vr(which).advertised().into_iter().filter(|a| host.has_address(*a)).count();
        if self.kind(which) != Kind::Frr {
            ensure!(has(host) == self.vr(which).advertised().len(), "{} has not the address", host.name());
        }
        if self.kind(which.other()) != Kind::Frr {
            ensure!(has(other) == 0, "{} has the address", other.name());
        }
        if let Some(probe) = self.probe.as_ref().filter(|_| self.kind(which) != Kind::Frr) {
            let questions = probe.so_far().questions;
            let answered = questions.iter().rev().take(20).filter(|q| q.answered.is_some()).count();
            ensure!(answered > 10, "the client gets no answers");
        }
        for each in [Active, Backup] {
            if self.is_ours(each) && self.routers[each as usize].is_some() {
                self.status_agrees(each, each == which)?;
            }
        }
        Ok(())
    }

    /// Our own JSON says what the others saw.
    pub(crate) fn status_agrees(&self, which: Which, active: bool) -> Result<()> {
        let status = self.router(which)?.status()?;
        let expected = if active { "active" } else { "backup" };
        ensure!(status.state() == expected, "our JSON says {}, but it is {expected}", status.state());
        if active {
            ensure!(status.all_installed(), "our JSON does not see the addresses: {}", status.agent);
        } else {
            ensure!(status.none_installed(), "our JSON sees addresses: {}", status.agent);
        }
        let holder = if active { which } else { which.other() };
        let source = self.source(holder).to_string();
        // FRR sends IPv6 from its macvlan.
        if self.kind(holder) != Kind::Frr || self.setup.family == Family::Ipv4 {
            ensure!(
                status.active_address() == Some(&source),
                "our JSON has {:?}, not {source}",
                status.active_address()
            );
        }
        // While a link comes back, adverts may be there before the link's event.
        let discards = status.discards();
        let wrong: Vec<_> = discards.iter().filter(|reason| **reason != "not-running").collect();
        ensure!(wrong.is_empty(), "packets were discarded: {wrong:?}");
        Ok(())
    }

    /// Every advert that ours sent says what was configured.
    pub(crate) fn our_adverts_are_exact(&self) -> Result<()> {
        for which in [Active, Backup].into_iter().filter(|which| self.is_ours(*which)) {
            let vr = self.vr(which);
            let message_only = self.setup.version == 2 || self.setup.checksum == Some(ChecksumForm::Message);
            let expected = if message_only { Checksum::Message } else { Checksum::PseudoHeader };
            let destination = match (self.setup.unicast, self.setup.family) {
                (false, Family::Ipv4) => IpAddr::from([224, 0, 0, 18]),
                (false, Family::Ipv6) => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
                (true, _) => self.source(which.other()),
            };
            for advert in self.adverts(which) {
                let good = advert.version == vr.version()
                    && advert.vrid == vr.virtual_router_id()
                    && [0, vr.configured_priority()].contains(&advert.priority)
                    && advert.interval == vr.interval()
                    && advert.ttl == 255
                    && advert.source == self.source(which)
                    && advert.source_mac == self.host(which).mac()
                    && advert.destination == destination
                    && advert.addresses == vr.advertised()
                    && advert.checksum == expected;
                ensure!(good, "not as configured: {advert}; checksum {expected:?} to {destination} expected");
            }
        }
        Ok(())
    }

    /// The client lost nothing from `since` on. One thing is not ours: the kernel makes an IPv6 address answer
    /// some time after it has taken it, and keepalived announces without waiting for that; so what it announced
    /// may be lost, from its announcement on.
    pub(crate) fn nothing_lost(&self, report: &Report, since: Moment) -> Result<()> {
        if report.lost() == 0 {
            return Ok(());
        }
        let theirs = self.setup.family == Family::Ipv6 && !self.is_ours(Backup);
        let announced =
            self.capture.announcements().into_iter().find(|announcement| {
                announcement.at > since && &*announcement.from == self.host(Backup).name()
            });
        let excuse = announced.filter(|_| theirs).context("no excuse");
        let excuse = excuse.with_context(|| format!("the client lost something: {report}"))?;
        // A question may have been on its way.
        let earliest = excuse.at.minus(Duration::from_millis(50));
        let ours =
            report.outages().into_iter().find(|outage| outage.began < earliest || outage.length > ALLOWANCE);
        ensure!(ours.is_none(), "the client lost something that is not keepalived's fault: {report}");
        Ok(())
    }

    /// A Backup speaks only after a silence of `Active_Down_Interval`. Whether it did: on a machine that kept the
    /// Active waiting for so long, it has to.
    pub(crate) fn backup_spoke(&self, since: Moment) -> Result<bool> {
        let (down, active) = (self.down(Backup), self.adverts(Active));
        // FRR rounds its skew down to centiseconds.
        let early = if self.is_ours(Backup) { EARLY } else { Duration::from_millis(10) };
        let (said, said_since): (Vec<_>, Vec<_>) =
            self.adverts(Backup).into_iter().partition(|a| a.at <= since);
        let mut previous = said.last().map(|advert| advert.at);
        let spoke = !said_since.is_empty();
        for advert in said_since {
            let goes_on = previous.is_some_and(|at| advert.at.since(at) < down);
            let heard = active.iter().rfind(|heard| heard.at < advert.at);
            let silence = heard.map_or(Duration::MAX, |heard| advert.at.since(heard.at));
            ensure!(
                goes_on || silence + early >= down,
                "the Backup spoke {silence:?} after an advert of the Active, before {down:?} had passed: {advert}"
            );
            previous = Some(advert.at);
        }
        Ok(spoke)
    }

    /// Nothing happened that anybody may notice: the Backup had no reason to speak, and the client lost nothing.
    pub(crate) fn undisturbed(&self, report: &Report) -> Result<()> {
        let spoke = self.backup_spoke(self.capture.started())?;
        let bound = if spoke { ALLOWANCE } else { Duration::ZERO };
        ensure!(report.longest_outage() <= bound, "{report}");
        ensure!(spoke || report.lost() == 0, "{report}");
        Ok(())
    }

    /// Everything that helps to understand a failure.
    pub(crate) fn evidence(&self) -> String {
        let mut text = format!("---- on the wire, since the capture began ----\n{}", self.capture.timeline());
        if let Some(report) = self.report.clone().or_else(|| self.probe.as_ref().map(Probe::so_far)) {
            let began = report.questions.first().map(|q| q.asked.since(self.capture.started()));
            let _ = writeln!(text, "---- the client, from {began:?} on ----\n{report}");
        }
        for which in [Active, Backup] {
            let host = self.host(which);
            let _ = writeln!(text, "---- {} ({which:?}, {:?}) ----", host.name(), self.kind(which));
            let _ = writeln!(text, "addresses: {:?}", host.addresses().unwrap_or_default());
            let Ok(router) = self.router(which) else { continue };
            if let Ok(status) = router.status() {
                let _ = writeln!(text, "status: {}", status.agent);
            }
            text.push_str(&router.log());
        }
        if let Ok(path) = enclosure::evidence(&format!("{}.pcap", self.name.replace('/', "-"))) {
            let written = self.capture.write_pcap(&path);
            let _ = writeln!(text, "---- capture: {} ({written:?}) ----", path.display());
        }
        text
    }
}
