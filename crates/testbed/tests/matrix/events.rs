//! What happens, and what has to come of it. Bounds are the standard's timers plus one allowance; what ours
//! promises (nothing lost) has none.

use std::fmt;
use std::net::IpAddr;
use std::thread::sleep;

use anyhow::{Context, Result, ensure};
use testbed::flood::{self, CraftedAdvert};
use testbed::{ChecksumForm, Family, Kind, Moment, enclosure, tshark, wait};

use crate::scene::{ALLOWANCE, EARLY, LOW, PATIENCE, Scene, Which};
use crate::setup::Role;
use Which::{Active, Backup};

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Start,
    Kill,
    Terminate,
    Cut,
    Partition,
    Preempt,
    Tie,
    PriorityZero,
    PauseBackup,
    Reload,
    BadReload,
    Handover,
}

impl Event {
    pub(crate) const ALL: [Self; 12] = [
        Self::Start,
        Self::Kill,
        Self::Terminate,
        Self::Cut,
        Self::Partition,
        Self::Preempt,
        Self::Tie,
        Self::PriorityZero,
        Self::PauseBackup,
        Self::Reload,
        Self::BadReload,
        Self::Handover,
    ];

    /// Only ours can hand over.
    pub(crate) fn applies(self, role: Role) -> bool {
        self != Self::Handover || role == Role::OursActive
    }

    pub(crate) fn run(self, scene: &mut Scene) -> Result<()> {
        match self {
            Self::Start => start(scene),
            Self::Kill => kill(scene),
            Self::Terminate => terminate(scene),
            Self::Cut => cut(scene),
            Self::Partition => partition(scene),
            Self::Preempt => preempt(scene),
            Self::Tie => tie(scene),
            Self::PriorityZero => priority_zero(scene),
            Self::PauseBackup => pause_backup(scene),
            Self::Reload => reload(scene),
            Self::BadReload => bad_reload(scene),
            Self::Handover => handover(scene),
        }?;
        scene.our_adverts_are_exact()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Kill => "kill-9",
            Self::Terminate => "sigterm",
            Self::Cut => "link-cut",
            Self::Partition => "partition-and-heal",
            Self::Preempt => "preempt",
            Self::Tie => "tie",
            Self::PriorityZero => "priority-0",
            Self::PauseBackup => "pause-backup",
            Self::Reload => "reload",
            Self::BadReload => "bad-reload",
            Self::Handover => "handover",
        })
    }
}

/// A router alone becomes Active after `Active_Down_Interval` (RFC 9568 §6.4.1, §6.4.2); a second of lower
/// priority listens and says nothing. Wireshark finds nothing odd in what ours sent.
fn start(scene: &mut Scene) -> Result<()> {
    let began = Moment::now();
    scene.start(Active)?;
    let down = scene.down(Active);
    let first = scene.advert_after(Active, began, down + PATIENCE)?;
    if scene.is_ours(Active) {
        let took = first.at.since(began);
        ensure!(took + EARLY >= down, "Active {took:?} after its start, before {down:?} had passed");
    }
    scene.start(Backup)?;
    scene.listens(Backup)?;
    scene.probe()?;
    let both = Moment::now();
    scene.settled(Active)?;
    sleep(scene.down(Backup) + scene.interval());
    scene.settled(Active)?;
    let report = scene.probed(both)?;
    scene.undisturbed(&report)?;
    if scene.is_ours(Active) {
        wireshark_agrees(scene)?;
    }
    Ok(())
}

fn wireshark_agrees(scene: &Scene) -> Result<()> {
    let path = enclosure::evidence(&format!("wireshark-{}.pcap", scene.setup))?;
    scene.capture.write_pcap(&path)?;
    let form = scene.setup.checksum.unwrap_or(ChecksumForm::PseudoHeader);
    let complaints = tshark::complaints(&path, form)?;
    ensure!(complaints.is_empty(), "Wireshark complains: {complaints:#?}");
    if scene.setup.checksum.is_some() {
        // So that the judge is known to look at all.
        let other = match form {
            ChecksumForm::Message => ChecksumForm::PseudoHeader,
            ChecksumForm::PseudoHeader => ChecksumForm::Message,
        };
        ensure!(!tshark::complaints(&path, other)?.is_empty(), "Wireshark does not look at checksums");
    }
    std::fs::remove_file(path)?;
    Ok(())
}

/// A killed Active leaves its address to its kernel; the Backup takes over in time, and nobody who asks notices.
/// Started again, it takes the address back.
fn kill(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let before = Moment::now();
    scene.router_mut(Active)?.kill()?;
    let after = Moment::now();
    scene.took_over(before, after)?;
    if scene.kind(Active) != Kind::Frr {
        ensure!(scene.host(Active).has_address(scene.address()), "nobody was left to remove the address");
    }
    sleep(scene.interval());
    let returned = Moment::now();
    scene.router_mut(Active)?.restart()?;
    scene.advert_after(Active, returned, scene.down(Active) + PATIENCE)?;
    scene.settled(Active)?;
    let report = scene.probed(before)?;
    ensure!(report.longest_outage() <= ALLOWANCE, "{report}");
    // Both have the address all the time.
    scene.nothing_lost(&report.between(before, returned), before)
}

/// Told to stop, an Active says farewell, and the Backup follows after its skew. Ours goes on answering until
/// then.
fn terminate(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let before = Moment::now();
    scene.router(Active)?.terminate()?;
    let farewell = wait::for_some("priority 0 is sent", PATIENCE, || {
        scene.adverts(Active).into_iter().find(|advert| advert.priority == 0)
    })?;
    let first = scene.advert_after(Backup, before, scene.down(Backup) + PATIENCE)?;
    let (took, skew) = (first.at.since(farewell.at), scene.vr(Backup).skew_time());
    if scene.is_ours(Backup) {
        ensure!(took + EARLY >= skew, "took over {took:?} after the farewell, before {skew:?} had passed");
    }
    ensure!(took <= skew + ALLOWANCE, "took over only {took:?} after the farewell; {skew:?} were due");
    let (status, _) = scene.router_mut(Active)?.wait_exit(PATIENCE)?;
    ensure!(status.success(), "the exit status is {status}");
    sleep(scene.interval() * 2);
    if scene.kind(Active) != Kind::Frr {
        ensure!(!scene.host(Active).has_address(scene.address()), "it has ended, and left its address");
    }
    if scene.is_ours(Backup) {
        wait::until_ok("our JSON agrees", PATIENCE, || scene.status_agrees(Backup, true))?;
    }
    let after_farewell = scene.adverts(Active).into_iter().find(|advert| advert.at > farewell.at);
    if scene.is_ours(Active) {
        ensure!(after_farewell.is_none(), "adverts after the farewell: {after_farewell:?}");
    }
    let report = scene.probed(before)?;
    if scene.is_ours(Active) {
        scene.nothing_lost(&report, before)?;
    } else {
        ensure!(report.longest_outage() <= skew + ALLOWANCE, "{report}");
    }
    Ok(())
}

/// A cut Active is replaced in time, gives its address up, and takes it back when its link returns.
fn cut(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let before = Moment::now();
    scene.lan.cut(scene.host(Active))?;
    let after = Moment::now();
    let first = scene.took_over(before, after)?;
    if scene.is_ours(Active) {
        let state = scene.router(Active)?.status()?.state().to_owned();
        ensure!(state == "initialize", "the link is cut, and our JSON says {state}");
        ensure!(
            !scene.host(Active).has_address(scene.address()),
            "the link is cut, and the address is there"
        );
    }
    sleep(scene.interval() * 2);
    let mended = Moment::now();
    scene.lan.mend(scene.host(Active))?;
    scene.advert_after(Active, mended, scene.down(Active) + PATIENCE)?;
    scene.settled(Active)?;
    let report = scene.probed(before)?;
    let bound = first.at.since(before) + ALLOWANCE;
    if !scene.has_frr() {
        ensure!(report.lost() > 0, "a cut that nobody noticed is no cut");
        ensure!(report.longest_outage() <= bound, "{report}; at most {bound:?} were due");
    }
    // FRR goes on being Active behind a cut link, so it does not announce itself anew when the link returns, and
    // a client that believed the other waits for its own neighbour entry to age.
    let back = report.between(mended, Moment::now());
    if scene.kind(Active) != Kind::Frr {
        ensure!(back.longest_outage() <= ALLOWANCE, "after the link was mended: {back}");
    }
    Ok(())
}

/// On both sides of a partition there is an Active; healed, the one of higher priority stays, and the client
/// reaches it within an interval.
fn partition(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let before = Moment::now();
    scene.lan.split(&[scene.host(Active)])?;
    let after = Moment::now();
    scene.took_over(before, after)?;
    sleep(scene.interval() * 2);
    let both = Moment::now().minus(scene.interval() + ALLOWANCE);
    for which in [Active, Backup] {
        ensure!(
            scene.adverts(which).last().is_some_and(|a| a.at > both),
            "{which:?} is not Active on its side"
        );
    }
    let healed = Moment::now();
    scene.lan.heal(&[scene.host(Active)])?;
    scene.settled(Active)?;
    sleep(scene.interval());
    let report = scene.probed(before)?;
    let back = report.between(healed, Moment::now());
    let bound = scene.interval() + ALLOWANCE;
    ensure!(back.longest_outage() <= bound, "after the healing: {back}; at most {bound:?} were due");
    Ok(())
}

/// A router of higher priority takes over from one that serves, and the client hardly notices.
fn preempt(scene: &mut Scene) -> Result<()> {
    scene.start(Backup)?;
    scene.advert_after(Backup, scene.capture.started(), scene.down(Backup) + PATIENCE)?;
    scene.probe()?;
    let before = Moment::now();
    scene.start(Active)?;
    let first = scene.advert_after(Active, before, scene.down(Active) + PATIENCE)?;
    if scene.is_ours(Active) {
        let (took, down) = (first.at.since(before), scene.down(Active));
        ensure!(took + EARLY >= down, "Active {took:?} after its start, before {down:?} had passed");
    }
    scene.settled(Active)?;
    // What it had begun to say; from then on it needs a reason.
    scene.backup_spoke(first.at.plus(ALLOWANCE))?;
    let report = scene.probed(before)?;
    ensure!(report.longest_outage() <= ALLOWANCE, "{report}");
    Ok(())
}

/// Two Actives of one priority meet: the higher address stays (RFC 9568 §6.4.3). The one that is to be Active is
/// the other host here, since it has the lower address; so roles are told by addresses, not priorities.
fn tie(scene: &mut Scene) -> Result<()> {
    scene.set_priorities(LOW, LOW);
    scene.lan.split(&[scene.host(Active)])?;
    scene.start(Active)?;
    scene.start(Backup)?;
    for which in [Active, Backup] {
        // Not by the capture: a unicast peer without a neighbour entry is sent nothing.
        let limit = scene.down(which) + PATIENCE;
        wait::until("both are Active", limit, || scene.host(which).has_address(scene.address()))?;
    }
    scene.probe()?;
    sleep(scene.interval());
    let healed = Moment::now();
    scene.lan.heal(&[scene.host(Active)])?;
    scene.settled(Backup)?;
    sleep(scene.interval() * 2);
    scene.settled(Backup)?;
    let loser = scene.adverts(Active).into_iter().rfind(|advert| advert.at > healed);
    ensure!(
        loser.is_none_or(|advert| advert.at.since(healed) <= scene.interval() * 2 + ALLOWANCE),
        "the lower address went on advertising"
    );
    let report = scene.probed(healed)?;
    let bound = scene.interval() + ALLOWANCE;
    ensure!(report.longest_outage() <= bound, "{report}; at most {bound:?} were due");
    Ok(())
}

/// An Active that hears priority 0 from somebody else advertises at once (RFC 9568 §6.4.3); so no Backup takes
/// over, though its timer is down to the skew.
fn priority_zero(scene: &mut Scene) -> Result<()> {
    let stranger = scene.lan.host("x")?;
    scene.up()?;
    let vr = scene.setup.virtual_router(&stranger, scene.host(Active), 0);
    let mut crafted = CraftedAdvert::new(&stranger, &vr);
    if let Some(form) = scene.setup.checksum {
        crafted = crafted.checksum(form);
    }
    let frames: Vec<_> = if scene.setup.unicast {
        // The Backup first: what the Active answers shall be the last word that it hears.
        [Backup, Active].map(|which| crafted.clone().unicast(&stranger, scene.host(which)).frame()).into()
    } else {
        vec![crafted.frame()]
    };
    let before = Moment::now();
    let interval = scene.interval();
    let mut sent = 0;
    // A busy machine may send it when the next advert is due anyhow. That says nothing; then it is sent again.
    let gap = loop {
        ensure!(sent < 50, "this machine cannot send a packet within half an interval");
        let noticed = scene.advert_after(Active, Moment::now(), interval + PATIENCE)?;
        for frame in &frames {
            flood::send(&stranger, frame)?;
        }
        sent += 1;
        let zero = wait::for_some("priority 0 is on the wire", PATIENCE, || {
            scene.capture.adverts_of(stranger.name()).into_iter().rfind(|zero| zero.at > noticed.at)
        })?;
        let next = scene.advert_after(Active, zero.at, interval + PATIENCE)?;
        let previous = scene.last_advert(Active, zero.at)?;
        if zero.at.since(previous.at) < interval / 2 {
            break next.at.since(previous.at);
        }
    };
    sleep(interval * 3);
    // Without an answer it would be a whole interval, so anything well below it is one.
    ensure!(gap < interval * 9 / 10, "no advert in answer to priority 0: the next came after {gap:?}");
    if scene.is_ours(Active) {
        let heard = scene.router(Active)?.status()?.counter("priority-zero-pkts-rcvd");
        ensure!(heard == sent, "our JSON counts {heard} adverts with priority 0, {sent} were sent");
    }
    scene.settled(Active)?;
    let report = scene.probed(before)?;
    scene.undisturbed(&report)
}

/// A Backup that was stopped for longer than `Active_Down_Interval` finds adverts waiting when it goes on, and
/// ours reads them before it lets its timer fire.
fn pause_backup(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let before = Moment::now();
    scene.router(Backup)?.pause()?;
    sleep(scene.down(Backup) + scene.interval() * 2);
    scene.router(Backup)?.resume()?;
    sleep(scene.interval() * 3);
    scene.settled(Active)?;
    let report = scene.probed(before)?;
    if scene.is_ours(Backup) {
        return scene.undisturbed(&report);
    }
    ensure!(report.longest_outage() <= scene.interval() + ALLOWANCE, "{report}");
    Ok(())
}

/// The address that a reload adds. It is in no advert: keepalived 2.2 drops adverts whose list differs.
fn further(family: Family) -> (IpAddr, u8) {
    match family {
        Family::Ipv4 => (IpAddr::from([10, 0, 0, 60]), 24),
        Family::Ipv6 => (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 0x60]), 64),
    }
}

/// A reload changes what changed and nothing else: an address is added, no advert is missed, nothing lost.
fn reload(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let ours = scene.ours();
    let before = Moment::now();
    let transitions = scene.router(ours)?.status()?.counter("new-active-transitions");
    let (address, prefix) = further(scene.setup.family);
    scene.router(ours)?.reload(&scene.vr(ours).excluded(address, prefix).keepalived_conf())?;
    wait::until("our JSON has the new address", ALLOWANCE, || {
        scene
            .router(ours)
            .and_then(testbed::Router::status)
            .is_ok_and(|s| s.agent.to_string().contains(&address.to_string()))
    })?;
    if ours == Active {
        wait::until("the new address is there", ALLOWANCE, || scene.host(ours).has_address(address))?;
    }
    sleep(scene.down(Backup) + scene.interval());
    ensure!(ours == Active || !scene.host(ours).has_address(address), "a Backup has the new address");
    let status = scene.router(ours)?.status()?;
    ensure!(status.counter("new-active-transitions") == transitions, "it started anew: {}", status.agent);
    ensure!(status.last_reload_error().is_none(), "{:?}", status.last_reload_error());
    scene.settled(Active)?;
    let report = scene.probed(before)?;
    scene.undisturbed(&report)
}

/// A reload of a file with a mistake changes nothing, and says where it is and what was meant.
fn bad_reload(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let ours = scene.ours();
    let before = Moment::now();
    let bad = scene.vr(ours).keepalived_conf().replace("  priority", "  priorty");
    scene.router(ours)?.reload(&bad)?;
    wait::until("our JSON has the reason", ALLOWANCE, || {
        scene
            .router(ours)
            .and_then(testbed::Router::status)
            .is_ok_and(|status| status.last_reload_error().is_some_and(|reason| reason.contains("priorty")))
    })?;
    let log = scene.router(ours)?.log();
    let line = bad.lines().position(|line| line.contains("priorty")).context("no mistake was made")? + 1;
    ensure!(log.contains("did you mean `priority`"), "the log does not name the mend");
    ensure!(log.contains(&format!(":{line}:")), "the log does not name line {line}");
    sleep(scene.down(Backup) + scene.interval());
    scene.settled(Active)?;
    let report = scene.probed(before)?;
    scene.undisturbed(&report)
}

/// `standfast handover` moves the address and loses nothing; it stays moved until it is taken back.
fn handover(scene: &mut Scene) -> Result<()> {
    scene.up()?;
    let before = Moment::now();
    scene.router(Active)?.standfast(&["handover"])?;
    sleep(scene.down(Active) + scene.interval());
    scene.settled(Backup)?;
    let moved = scene.probed(before)?;
    scene.nothing_lost(&moved, before)?;
    scene.probe()?;
    let back = Moment::now();
    scene.router(Active)?.standfast(&["handover", "--take-back"])?;
    scene.advert_after(Active, back, scene.down(Active) + PATIENCE)?;
    scene.settled(Active)?;
    let report = scene.probed(back)?;
    ensure!(report.longest_outage() <= ALLOWANCE, "{report}");
    Ok(())
}
