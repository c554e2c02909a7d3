//! Our agent with itself as the peer: all events in the form that Debian's peers do not know, what only we have,
//! groups, and many agents on one host.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Failed, Trial};
use testbed::{
    Capture, Checksum, ChecksumForm, Host, Kind, Lan, Moment, Probe, Router, VirtualRouter, programs, wait,
};

use crate::case;
use crate::events::Event;
use crate::scene::{ALLOWANCE, PATIENCE};
use crate::setup::{Role, Setup};

const INTERVAL: Duration = Duration::from_millis(300);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for setup in Setup::all() {
        // What keepalived cannot be asked for is tried here in full.
        let whole = setup.checksum == Some(ChecksumForm::Message);
        for event in Event::ALL {
            let ours_alone =
                [Event::Terminate, Event::Partition, Event::Tie, Event::Handover].contains(&event);
            if whole || ours_alone {
                trials.push(case(Kind::Standfast, setup, Role::OursActive, event));
            }
        }
    }
    let test = |name: &str, run: fn() -> Result<()>| {
        Trial::test(format!("standfast/{name}"), move || run().map_err(|e| Failed::from(format!("{e:#}"))))
    };
    trials.push(test("checksum-form-is-learnt", checksum_form_is_learnt));
    trials.push(test("group-moves-together", group_moves_together));
    trials.push(test("many-agents-on-one-host", many_agents_on_one_host));
    trials
}

/// One that is told no form takes the one its peer sends, and takes over with it.
fn checksum_form_is_learnt() -> Result<()> {
    let lan = Lan::new("learn")?;
    let (a, b) = (lan.host("a")?, lan.host("b")?);
    let capture = Capture::start(&lan)?;
    let vr = VirtualRouter::v3_ipv4(INTERVAL);
    let mut first =
        Router::start(Kind::Standfast, &a, &vr.clone().priority(200).checksum(ChecksumForm::Message))?;
    wait::until("a is Active", PATIENCE, || a.has_address(vr.address()))?;
    let second = Router::start(Kind::Standfast, &b, &vr.clone().priority(100))?;
    wait::until("b has heard a", PATIENCE, || {
        second.status().is_ok_and(|status| status.active_address() == Some("10.0.0.1"))
    })?;
    first.kill()?;
    let advert = wait::for_some("b advertises", PATIENCE, || capture.adverts_of("b").into_iter().next())?;
    ensure!(advert.checksum == Checksum::Message, "it did not learn the form: {advert}\n{}", second.log());
    Ok(())
}

/// Both families of one service move together, whichever of them fails.
fn group_moves_together() -> Result<()> {
    let lan = Lan::new("group")?;
    let (a, b, client) = (lan.host("a")?, lan.host("b")?, lan.host("c")?);
    let ipv4 = VirtualRouter::v3_ipv4(INTERVAL);
    let ipv6 = VirtualRouter::v3_ipv6(INTERVAL).vrid(52);
    let fault = |host: &Host| host.folder().join("fault");
    let configuration = |host: &Host, priority: u8| -> Result<String> {
        fs::write(fault(host), "0\n")?;
        // Both instances are called VI_1 by the builder.
        let instance = |vr: &VirtualRouter, name: &str, line: &str| {
            let vr = vr.clone().priority(priority);
            let vr = if line.is_empty() { vr } else { vr.line(line) };
            vr.keepalived_conf().replace("VI_1", name)
        };
        Ok(format!(
            "vrrp_track_file fault {{\n  file {}\n  weight 0\n}}\nvrrp_sync_group both {{\n  group {{\n    ipv4\n    \
             ipv6\n  }}\n}}\n{}{}",
            fault(host).display(),
            instance(&ipv4, "ipv4", ""),
            instance(&ipv6, "ipv6", "track_file {\n    fault\n  }"),
        ))
    };
    let _first = Router::start_with(Kind::Standfast, &a, &configuration(&a, 200)?)?;
    let _second = Router::start_with(Kind::Standfast, &b, &configuration(&b, 100)?)?;
    let addresses = [ipv4.address(), ipv6.address()];
    let both = |host: &Host| addresses.iter().all(|address| host.has_address(*address));
    let none = |host: &Host| !addresses.iter().any(|address| host.has_address(*address));
    wait::until("a has both", PATIENCE, || both(&a) && none(&b))?;
    let probes = [Probe::ping(&client, addresses[0], 200)?, Probe::ping(&client, addresses[1], 200)?];
    sleep(INTERVAL);
    // Only the IPv6 instance looks at the file.
    fs::write(fault(&a), "1\n")?;
    let limit = ipv4.clone().priority(100).active_down_interval() + ALLOWANCE;
    wait::until("b has both", limit, || both(&b) && none(&a))?;
    fs::write(fault(&a), "0\n")?;
    wait::until("a has both again", PATIENCE, || both(&a) && none(&b))?;
    for probe in probes {
        let report = probe.finish();
        ensure!(report.longest_outage() <= limit, "{report}");
    }
    Ok(())
}

/// As Neutron's L3 agent runs keepalived: a network namespace for each, nothing of its own but a configuration
/// and pid files. `standfast` finds each by namespace, by pid file, and all at once.
fn many_agents_on_one_host() -> Result<()> {
    const COUNT: u8 = 16;
    let lan = Lan::new("many")?;
    let mut routers = Vec::new();
    for number in 1..=COUNT {
        let host = lan.host(&format!("r{number}"))?;
        let vr = VirtualRouter::v3_ipv4(INTERVAL)
            .vrid(number)
            .addresses(&[(IpAddr::from([10, 0, 1, number]), 24)])
            .priority(255);
        routers.push(Router::start(Kind::Standfast, &host, &vr)?);
    }
    for (router, number) in routers.iter().zip(1..) {
        let address = IpAddr::from([10, 0, 1, number]);
        wait::until("each has its address", PATIENCE, || router.host().has_address(address))?;
        let vrid = router.status()?.agent["virtual-routers"][0]["vrid"].clone();
        ensure!(vrid == number, "the pid file of agent {number} led to VRID {vrid}");
        let of_namespace = standfast(&["status", "--json", "--netns", router.host().namespace()])?;
        let agents = of_namespace.as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(agents.len() == 1, "{} agents in one namespace", agents.len());
        ensure!(agents[0]["virtual-routers"][0]["vrid"] == number, "the namespace led to another agent");
    }
    // Other tests have agents, too.
    let all = standfast(&["status", "--json", "--all"])?;
    let found: BTreeSet<u64> =
        all.as_array().into_iter().flatten().filter_map(|a| a["pid"].as_u64()).collect();
    for router in &mut routers {
        let pid = u64::from(router.daemon().pid());
        ensure!(found.contains(&pid), "--all does not find {pid}: {found:?}");
    }
    // Nobody was disturbed by anybody.
    let since = Moment::now();
    let capture = Capture::start(&lan)?;
    sleep(INTERVAL * 4);
    for number in 1..=COUNT {
        let adverts = capture.adverts_of(&format!("r{number}"));
        ensure!(adverts.iter().any(|a| a.at > since), "r{number} has fallen silent");
        ensure!(adverts.iter().all(|a| a.vrid == number), "r{number} speaks for another");
    }
    Ok(())
}

fn standfast(args: &[&str]) -> Result<serde_json::Value> {
    let output = Command::new(programs::command()).args(args).output().context("cannot run standfast")?;
    ensure!(output.status.success(), "standfast {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
