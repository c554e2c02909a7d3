//! Two load balancers, one address, and what can go wrong: haproxy-boshrelease's `keepalived` job with our agent in
//! the place of keepalived, real HAProxy before two web servers, and a client that never stops asking.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the demo is what it prints")]

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::boshrelease::KeepalivedJob;
use testbed::moment::Millis;
use testbed::{Capture, HaProxy, Host, Lan, Moment, Probe, WebServer, enclosure, wait};

/// Requests in a second.
const RATE: u32 = 200;
/// A request that takes longer is lost.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The release's file does not name one, so it is keepalived's.
const INTERVAL: Duration = Duration::from_secs(1);
/// VRRPv2 at 1 s needs 3.6 s, a check 2 s; a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 80;

fn main() -> ExitCode {
    match enclosure::enter().and_then(|()| demo()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One load balancer.
struct Balancer {
    host: Host,
    job: KeepalivedJob,
    haproxy: Option<HaProxy>,
    servers: Vec<SocketAddr>,
}

impl Balancer {
    fn start_haproxy(&mut self) -> Result<()> {
        self.haproxy = Some(HaProxy::start(&self.host, PORT, &self.servers)?);
        Ok(())
    }
}

/// One row of the table.
struct Row {
    what: String,
    holder: String,
    took: Duration,
    asked: usize,
    lost: usize,
}

struct Demo {
    began: Moment,
    lan: Lan,
    vip: IpAddr,
    balancers: [Balancer; 2],
    capture: Capture,
    probe: Probe,
    rows: Vec<Row>,
}

fn demo() -> Result<()> {
    let began = Moment::now();
    let vip = IpAddr::from([10, 0, 0, 100]);
    println!(
        "\n  client 10.0.0.5 --- {RATE} requests/s ---> {vip}    one address: on lb1, or on lb2\n\
         \x20                                          |\n\
         \x20            lb1 10.0.0.1 (HAProxy, agent)   lb2 10.0.0.2 (HAProxy, agent)\n\
         \x20                                          |\n\
         \x20            web1 10.0.0.3                   web2 10.0.0.4\n\n\
         Five hosts, a network namespace each. The agents are installed under the name `keepalived` and run the\n\
         configuration that haproxy-boshrelease's job renders: VRRPv2, an advert each second, `killall -0 haproxy`.\n\
         In theory a silent Active is replaced after 3.6 s, and nothing that is planned loses a packet.\n"
    );
    let lan = Lan::new("demo")?;
    let hosts = [lan.host("lb1")?, lan.host("lb2")?];
    let webs = [lan.host("web1")?, lan.host("web2")?];
    let client = lan.host("client")?;
    let capture = Capture::start(&lan)?;
    let servers: Vec<_> = webs.iter().map(|web| SocketAddr::new(web.ipv4().into(), 8080)).collect();
    let mut pages = Vec::new();
    for (web, address) in webs.iter().zip(&servers) {
        pages.push(WebServer::start(web, *address, &format!("a page of {}\n", web.name()))?);
    }
    let mut bootstrap = true;
    let balancers = hosts.map(|host| -> Result<Balancer> {
        // `killall -0 haproxy` is to find the HAProxy of this host only.
        host.isolate_processes()?;
        let job = KeepalivedJob::install(&host, vip, std::mem::take(&mut bootstrap))?;
        let mut balancer = Balancer { host, job, haproxy: None, servers: servers.clone() };
        balancer.start_haproxy()?;
        balancer.job.control("start")?;
        Ok(balancer)
    });
    let [first, second] = balancers;
    let balancers = [first?, second?];
    say(began, "HAProxy and the agent run on lb1 and lb2");
    wait::until("lb1 is Active and its check has passed", PATIENCE, || {
        balancers[0].host.has_address(vip)
            && capture.adverts_of("lb1").last().is_some_and(|a| a.priority > 101)
    })
    .with_context(|| balancers[0].job.log())?;
    let probe = Probe::http(&client, SocketAddr::new(vip, PORT), RATE, TIMEOUT)?;
    wait::until("the client gets its page", PATIENCE, || {
        probe.so_far().questions.iter().filter(|q| q.answered.is_some()).count() > 50
    })?;
    say(began, &format!("lb1 holds {vip}; the client gets its page {RATE} times a second"));
    let mut demo = Demo { began, lan, vip, balancers, capture, probe, rows: Vec::new() };
    demo.everything()?;
    demo.table();
    Ok(())
}

fn say(began: Moment, text: &str) {
    println!("[{:6.2} s] {text}", Moment::now().since(began).as_secs_f64());
}

impl Demo {
    fn everything(&mut self) -> Result<()> {
        self.step("kill HAProxy on lb1", 1, |demo| {
            demo.balancers[0].haproxy.take().context("HAProxy was not there")?.daemon().kill()
        })?;
        self.step("start HAProxy on lb1 again", 0, |demo| demo.balancers[0].start_haproxy())?;
        self.step("stop the agent on lb1 (keepalived_ctl stop)", 1, |demo| {
            demo.balancers[0].job.control("stop")
        })?;
        self.step("start the agent on lb1", 0, |demo| demo.balancers[0].job.control("start"))?;
        self.step("hand over on purpose (standfast handover)", 1, |demo| {
            demo.balancers[0].job.standfast(&["handover"]).map(drop)
        })?;
        self.step("take it back (standfast handover --take-back)", 0, |demo| {
            demo.balancers[0].job.standfast(&["handover", "--take-back"]).map(drop)
        })?;
        self.step("kill -9 the agent on lb1", 1, |demo| demo.balancers[0].job.signal("KILL"))?;
        self.step("start the agent on lb1", 0, |demo| demo.balancers[0].job.control("start"))?;
        self.step("cut the link of lb1", 1, |demo| demo.lan.cut(&demo.balancers[0].host))?;
        self.step("mend the link of lb1", 0, |demo| demo.lan.mend(&demo.balancers[0].host))?;
        self.step("split the network: lb1 | lb2 and all others", 1, |demo| {
            demo.lan.split(&[&demo.balancers[0].host])
        })?;
        self.step("heal the network", 0, |demo| demo.lan.heal(&[&demo.balancers[0].host]))
    }

    /// Does something, waits until `holder` alone serves the address, and tells.
    fn step(&mut self, what: &str, holder: usize, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        say(self.began, &format!("--> {what}"));
        let before = Moment::now();
        act(self)?;
        let name = self.balancers[holder].host.name().to_owned();
        let advert = wait::for_some(&format!("{name} takes over"), PATIENCE, || {
            self.capture.adverts_of(&name).into_iter().find(|a| a.at > before && a.priority > 0)
        })
        .with_context(|| self.logs())?;
        let took = advert.at.since(before);
        say(self.began, &format!("    {name} took over after {}", Millis(took)));
        wait::until(&format!("the client gets its page from {name}"), PATIENCE, || {
            self.balancers[holder].host.has_address(self.vip) && self.answers()
        })
        .with_context(|| self.logs())?;
        // The other may not have heard of it yet; and what was asked until then is lost only when its time is over.
        sleep(INTERVAL);
        let after = Moment::now();
        sleep(TIMEOUT + Duration::from_millis(100));
        let report = self.probe.so_far().between(before, after);
        say(
            self.began,
            &format!(
                "    {} of {} requests lost, {} of them connected and cut by the move; not served for {} at most",
                report.lost(),
                report.sent(),
                report.cut(),
                Millis(report.longest_outage())
            ),
        );
        self.rows.push(Row {
            what: what.to_owned(),
            holder: name,
            took,
            asked: report.sent(),
            lost: report.lost(),
        });
        Ok(())
    }

    fn answers(&self) -> bool {
        let questions = self.probe.so_far().questions;
        questions.iter().rev().skip(2).take(20).all(|q| q.answered.is_some())
    }

    fn logs(&self) -> String {
        let [first, second] = &self.balancers;
        format!(
            "{}---- lb1 ----\n{}---- lb2 ----\n{}",
            self.capture.timeline(),
            first.job.log(),
            second.job.log()
        )
    }

    fn table(&self) {
        println!(
            "\n{:<46} {:<9} {:>13} {:>14}",
            "what was done", "served by", "took over in", "requests lost"
        );
        for row in &self.rows {
            let lost = format!("{} of {}", row.lost, row.asked);
            println!("{:<46} {:<9} {:>13} {lost:>14}", row.what, row.holder, Millis(row.took).to_string());
        }
        println!(
            "\nWhere one or two are lost, the connection was open while the address moved: the other machine does not\n\
             know it. All that was asked before and after was answered. Nothing is left behind: the hosts go with\n\
             this process."
        );
    }
}
