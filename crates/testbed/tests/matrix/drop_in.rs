//! The agent in the place of keepalived in haproxy-boshrelease's job: nothing else changes.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Failed, Trial};
use testbed::boshrelease::KeepalivedJob;
use testbed::{Capture, HaProxy, Lan, Moment, Probe, WebServer, wait};

use crate::scene::{ALLOWANCE, PATIENCE};

const PORT: u16 = 80;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("drop-in/haproxy-boshrelease", || run().map_err(|e| Failed::from(format!("{e:#}"))))]
}

fn run() -> Result<()> {
    let vip = IpAddr::from([10, 0, 0, 100]);
    let lan = Lan::new("drop-in")?;
    let (a, b, client, web) = (lan.host("a")?, lan.host("b")?, lan.host("c")?, lan.host("w")?);
    let capture = Capture::start(&lan)?;
    let page = SocketAddr::new(web.ipv4().into(), PORT);
    let _page = WebServer::start(&web, page, "hello\n")?;
    let mut jobs = Vec::new();
    let mut balancers = Vec::new();
    for (host, bootstrap) in [(&a, true), (&b, false)] {
        // `killall -0 haproxy` shall not find the other's.
        host.isolate_processes()?;
        balancers.push(HaProxy::start(host, PORT, &[page])?);
        let job = KeepalivedJob::install(host, vip, bootstrap)?;
        job.control("start")?;
        jobs.push(job);
    }
    let evidence = |what: &str| {
        format!(
            "{what}\n{}\n---- a ----\n{}\n---- b ----\n{}",
            capture.timeline(),
            jobs[0].log(),
            jobs[1].log()
        )
    };
    // The check passes on both: 101 + 2 against 100 + 2.
    wait::until("a has the address with its check passed", PATIENCE, || {
        a.has_address(vip) && capture.adverts_of("a").last().is_some_and(|advert| advert.priority == 103)
    })
    .with_context(|| evidence("at the start"))?;
    for name in ["keepalived.pid", "vrrp.pid", "checkers.pid"] {
        for job in &jobs {
            let path = job.run_folder().join(name);
            ensure!(path.exists(), "{} was not written", path.display());
        }
    }
    let advert = capture.adverts_of("a").pop().context("a has not advertised")?;
    ensure!(
        (advert.version, advert.vrid, advert.interval) == (2, 1, Duration::from_secs(1)),
        "not what keepalived makes of this file: {advert}"
    );
    let notes = jobs[1].log();
    ensure!(notes.contains("SLAVE"), "what keepalived would have guessed is not said: {notes}");

    let probe = Probe::http(&client, SocketAddr::new(vip, PORT), 100, Duration::from_millis(500))?;
    wait::until("the page comes through the address", PATIENCE, || {
        probe.so_far().questions.iter().any(|q| q.answered.is_some())
    })?;

    // HAProxy dies: within two seconds the check fails, 101 against 102.
    let died = Moment::now();
    balancers[0].daemon().kill()?;
    wait::until("b has the address", Duration::from_secs(2 + 4) + ALLOWANCE, || {
        b.has_address(vip) && !a.has_address(vip)
    })
    .with_context(|| evidence("after HAProxy's death"))?;
    ensure!(
        capture.adverts_of("b").iter().any(|advert| advert.priority == 102),
        "{}",
        evidence("b's priority")
    );

    // It comes back, and so does the address.
    balancers[0] = HaProxy::start(&a, PORT, &[page])?;
    wait::until("a has the address again", PATIENCE, || a.has_address(vip) && !b.has_address(vip))
        .with_context(|| evidence("after HAProxy's return"))?;

    // monit stops the job: pid files gone, address moved, nothing lost.
    let stopped = Moment::now();
    jobs[0].control("stop").with_context(|| evidence("at the stop"))?;
    wait::until("b has the address", PATIENCE, || b.has_address(vip))
        .with_context(|| evidence("after the stop"))?;
    ensure!(!a.has_address(vip), "{}", evidence("the stopped agent left its address"));
    ensure!(fs::read_dir(jobs[0].run_folder())?.next().is_none(), "pid files were left");
    std::thread::sleep(Duration::from_secs(1));
    let report = probe.finish();
    let planned = report.between(stopped, Moment::now());
    // A connection that is open while the address moves is unknown to the other machine. Nothing else is lost.
    let announced = capture.announcements().into_iter().find(|a| &*a.from == "b" && a.at > stopped);
    let moved = announced.context("b has not announced itself")?.at;
    let open =
        planned.between(moved.minus(Duration::from_millis(200)), moved.plus(Duration::from_millis(100)));
    ensure!(
        planned.lost() == open.lost() && open.lost() <= 3,
        "the stop lost requests: {planned}\n{}",
        evidence("after the stop")
    );
    let crash = report.between(died, stopped);
    ensure!(crash.lost() > 0, "HAProxy's death was not noticed by anybody");
    Ok(())
}
