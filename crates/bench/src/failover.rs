//! Takeovers: how exact, how soon the address answers, and what a planned one loses.

use std::time::Duration;

use anyhow::{Context, Result};
use testbed::{Kind, Moment, Probe, VirtualRouter, wait};

use crate::scene::Scene;

/// What is seen of a takeover.
pub(crate) struct Takeover {
    /// From the Active's last advert to the Backup's first, beyond `Active_Down_Interval`.
    pub(crate) beyond_theory: f64,
    /// From the Backup's first advert to its first announcement, in milliseconds.
    pub(crate) to_announcement: f64,
    /// From the Backup's first advert to the first question that it answered, in milliseconds.
    pub(crate) to_answer: Option<f64>,
}

/// The signed difference `later - earlier` in milliseconds.
fn ms_between(earlier: Moment, later: Moment) -> f64 {
    (later.since(earlier).as_secs_f64() - earlier.since(later).as_secs_f64()) * 1000.0
}

/// Cuts the Active's link. With `ask` the client's neighbour entry is already that of the Backup, so that the
/// first answer tells when the address answers, not when the client was told.
pub(crate) fn cut(kind: Kind, interval: Duration, ask: bool) -> Result<Takeover> {
    let scene = Scene::new("cut")?;
    let vr = VirtualRouter::v3_ipv4(interval);
    // The owner of the address is Active at once; what counts is its Backup.
    let (on_a, on_b) = (vr.clone().priority(255), vr.priority(100));
    let (_a, _b) = scene.start((kind, &on_a), (kind, &on_b))?;
    let probe = if ask {
        let mac: Vec<String> = scene.b.mac().iter().map(|byte| format!("{byte:02x}")).collect();
        scene.client.ip(&format!(
            "neighbour replace {} lladdr {} dev eth0 nud permanent",
            on_b.address(),
            mac.join(":")
        ))?;
        Some(Probe::ping(&scene.client, on_b.address(), 5000)?)
    } else {
        None
    };
    scene.lan.cut(&scene.a)?;
    let limit = on_b.active_down_interval() * 2 + Duration::from_secs(2);
    wait::until("b announces", limit, || {
        scene.capture.announcements().iter().any(|seen| &*seen.from == "b")
    })?;
    std::thread::sleep(Duration::from_millis(50));
    let last = scene.capture.adverts_of("a").last().context("no advert of a")?.at;
    let first = scene.capture.adverts_of("b").first().context("no advert of b")?.at;
    let announced = scene
        .capture
        .announcements()
        .into_iter()
        .find(|seen| &*seen.from == "b")
        .context("no announcement of b")?
        .at;
    let answered = probe.map(Probe::finish).and_then(|report| {
        report.questions.iter().find(|question| question.answered.is_some()).map(|question| question.asked)
    });
    Ok(Takeover {
        beyond_theory: ms_between(last, first) - on_b.active_down_interval().as_secs_f64() * 1000.0,
        to_announcement: ms_between(first, announced),
        to_answer: answered.map(|asked| ms_between(first, asked)),
    })
}

/// How a planned takeover is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Planned {
    /// SIGTERM.
    Stop,
    /// `standfast handover`.
    Handover,
}

/// Pings lost, of 1000 a second, while `kind` gives the address to `successor` on purpose.
pub(crate) fn planned(kind: Kind, successor: Kind, interval: Duration, how: Planned) -> Result<f64> {
    let scene = Scene::new("planned")?;
    let vr = VirtualRouter::v3_ipv4(interval);
    let (on_a, on_b) = (vr.clone().priority(200), vr.priority(100));
    let (a, _b) = scene.start((kind, &on_a), (successor, &on_b))?;
    let probe = Probe::ping(&scene.client, on_a.address(), 1000)?;
    std::thread::sleep(Duration::from_millis(200));
    let from = Moment::now();
    match how {
        Planned::Stop => a.terminate()?,
        Planned::Handover => drop(a.standfast(&["handover"])?),
    }
    // Not what the hosts have: at 10 ms a successor that hesitates for 30 ms has lost it again before one looks.
    wait::until("b advertises", Duration::from_secs(10), || {
        scene.capture.adverts_of("b").iter().any(|advert| advert.at > from)
    })?;
    // Until the first has let go of it, and the client has got used to the second.
    std::thread::sleep(Duration::from_secs(1));
    let report = probe.finish();
    #[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
    Ok(report.lost() as f64)
}

/// How long the client finds nobody after a partition is healed, in milliseconds.
pub(crate) fn heal(kind: Kind, vr: &VirtualRouter) -> Result<f64> {
    let scene = Scene::new("heal")?;
    let (on_a, on_b) = (vr.clone().priority(200), vr.clone().priority(100));
    let (_a, _b) = scene.start((kind, &on_a), (kind, &on_b))?;
    let probe = Probe::ping(&scene.client, vr.address(), 200)?;
    scene.lan.split(&[&scene.a])?;
    wait::until("b has the address too", Duration::from_secs(15), || scene.b.has_address(vr.address()))?;
    std::thread::sleep(Duration::from_millis(300));
    scene.lan.heal(&[&scene.a])?;
    let healed = Moment::now();
    // keepalived's clients wait for up to 6.3 s.
    std::thread::sleep(Duration::from_secs(8));
    let report = probe.finish();
    Ok(report.last_lost().map_or(0.0, |lost| lost.since(healed).as_secs_f64() * 1000.0))
}
