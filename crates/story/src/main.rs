//! `make story`: the page on VRRP with the OpenStack CPI, from the first command to the last, on the lab.
//!
//! The reserved port is made by `standfast reserve`, two VMs by `bin/cpi`; in each the job `keepalived` of our
//! release runs beside real HAProxy. A client asks through the virtual address without a pause while the Active
//! is drained, cut off, killed and recreated. Then everything is done wrong on purpose, and the doctor has to
//! say what.
//!
//! Usage, inside the lab: `story BIN_DIRECTORY [--keep] [--busy]`. With `--keep` a failure leaves all in place to be looked
//! at. With `--busy`, for a machine that does other things as well, what a step costs is told as ever, and only what is
//! worse by more than two seconds fails.
#![forbid(unsafe_code)]

mod deployment;
mod lab;
mod steps;
mod timeline;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use openstack::{Client, Query};
use serde_json::json;
use testbed::Host;

use crate::deployment::{cloud_properties, instances, read};
use crate::lab::Lab;
use crate::steps::{Goal, LONG, Stage};
use crate::timeline::{Sample, Timeline};

/// The virtual address, as the samples of the documentation have it.
const VIP: &str = "10.10.0.240";
/// What the story makes by name.
const GROUP: &str = "story-vrrp-members";
const SERVER_GROUP: &str = "story-lb";

/// Three advertisement intervals of 0.2 s, the skew of priority 102 and 10 ms; the address answers then, and a
/// request may have to be sent a second time by TCP (1 s after the first).
const CUT_FLOOR: Duration = Duration::from_millis(3 * 200 + 121 + 10);

/// What a machine that is busy with other things may add to a step.
const BUSY: Duration = Duration::from_secs(2);

pub(crate) fn say(text: &str) {
    // Nobody left to read it is no reason to leave things behind.
    let _ = writeln!(io::stdout(), "{text}");
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let usage = "usage: story BIN_DIRECTORY [--keep] [--busy]";
    let mut arguments = std::env::args_os().skip(1);
    let bin = arguments.next().context(usage)?;
    let (mut keep, mut allowance) = (false, Duration::ZERO);
    for option in arguments {
        match option.to_str() {
            Some("--keep") => keep = true,
            Some("--busy") => allowance = BUSY,
            _ => bail!("{usage}"),
        }
    }
    let lab = Lab::new(Path::new(&bin))?;
    let client = lab.client()?;
    let started = Instant::now();
    clean(&lab, &client)?;
    let outcome = tell(&lab, &client, allowance);
    if keep && outcome.is_err() {
        say("==> everything is left as it is; the next story clears it away");
        return outcome;
    }
    say("==> cleaning up");
    lab.remove_hook();
    let cleaned = clean(&lab, &client);
    outcome?;
    cleaned?;
    say(&format!(
        "==> done in {:.0} s; pictures and logs: {}",
        started.elapsed().as_secs_f64(),
        lab.output.display()
    ));
    Ok(())
}

fn tell(lab: &Lab, client: &Client, allowance: Duration) -> Result<()> {
    let mut timeline = Timeline::new();
    timeline.note(format!("the lab's back-end is {}", lab.back_end));
    lab.install_cpi()?;
    lab.install_hook()?;

    // The operator prepares the cloud.
    let neutron = client.network();
    neutron.create_security_group(GROUP, "members of the story's load balancers")?;
    let server_group = client.compute().create_server_group(SERVER_GROUP, "anti-affinity")?;
    let network = neutron.networks(&Query::new().filter("name", "prov"))?.pop().context("no network prov")?;
    let (code, said) = lab.standfast(&["reserve", VIP, "--network", "prov", "--security-group", GROUP])?;
    ensure!(code == 0, "standfast reserve: {said}");
    timeline.note(format!("standfast reserve: {}", said.lines().next().unwrap_or_default()));

    let variables =
        [("net_id", network.id.as_str()), ("server_group", &server_group.id), ("vrrp_group", GROUP)];
    let cloud_config = read(include_str!("../../../docs/example/cloud-config.yml"), &variables)?;
    let manifest = read(include_str!("../../../docs/example/manifest.yml"), &[])?;
    let instance_group = manifest["instance_groups"][0].clone();
    let image = client.image().images_named("tiny-raw")?.pop().context("no image tiny-raw")?;
    let stemcell = lab.cpi("create_stemcell", &json!(["/nowhere", { "image_id": image.id }]))?;
    let vip: IpAddr = VIP.parse()?;
    let mut stage = Stage {
        lab,
        client,
        cloud_properties: cloud_properties(&cloud_config, &instance_group)?,
        instances: instances(&instance_group)?,
        cloud_config,
        group: instance_group,
        stemcell: stemcell.as_str().context("create_stemcell gave no id")?.to_owned(),
        machines: Arc::default(),
        vip,
        client_host: Host::of_namespace("cli", Path::new("/run"))?,
        timeline,
        samples: Arc::default(),
    };
    deploy(&mut stage)?;
    let watch = Watch::start(&stage);
    let told = fail_over(&mut stage).and_then(|()| counter_proofs(&mut stage));
    watch.stop();
    let samples = stage.samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
    stage.timeline.samples = samples;
    for machine in stage.machines.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        machine.keep_logs(lab, "keepalived");
    }
    let lanes: Vec<&str> = stage.instances.iter().map(|instance| instance.address.as_str()).collect();
    std::fs::write(lab.output.join("timeline.txt"), stage.timeline.text())?;
    std::fs::write(lab.output.join("timeline.svg"), stage.timeline.svg(&lanes))?;
    say(&format!("\n{}", stage.timeline.table()));
    told?;
    let missed: Vec<&str> = stage
        .timeline
        .steps
        .iter()
        .filter(|step| !step.reached && (allowance.is_zero() || step.outage > step.limit + allowance))
        .map(|step| step.name.as_str())
        .collect();
    ensure!(missed.is_empty(), "not reached: {}", missed.join("; "));
    Ok(())
}

/// Two VMs by the CPI, the job applied in each, as `bosh deploy` would.
fn deploy(stage: &mut Stage<'_>) -> Result<()> {
    stage.timeline.note("create_vm for both instances (waiting for Nova to have them ACTIVE)");
    // One after the other: two members of a server group that are scheduled at once may be put on one hypervisor,
    // and Nova then gives one of them up.
    let machines = stage.instances.iter().map(|i| stage.create(i)).collect::<Result<Vec<_>>>()?;
    for machine in &machines {
        let port = stage.client.network().port(&machine.port_id)?;
        ensure!(
            port.allowed_address_pairs.iter().any(|pair| pair.ip_address == VIP),
            "port {} has not the pair {VIP}",
            port.id
        );
        stage.timeline.note(format!(
            "VM {} is {}, its port {} has the pair {VIP}",
            machine.address, machine.server_id, port.id
        ));
    }
    *stage.machines.lock().unwrap_or_else(PoisonError::into_inner) = machines;
    stage.wait_holder(0, LONG)?;
    testbed::wait::until("the address answers", LONG, || stage.answers().is_ok_and(|answers| answers))?;
    stage.timeline.note(format!("{VIP} answers; it is with {}", stage.machine(0)?.address));
    let findings = stage.doctor(&[])?;
    ensure!(findings.is_empty(), "the doctor finds fault with a good deployment: {findings:?}");
    stage.timeline.note("standfast doctor: no error, no warning");
    Ok(())
}

/// The Active is drained, cut off, killed and recreated while a client asks.
fn fail_over(stage: &mut Stage<'_>) -> Result<()> {
    let second = Duration::from_secs(1);
    stage.step("drain the Active", second, &Goal::NoneLost { moves: 1 }, |stage| {
        stage.machine(0)?.drain()?;
        stage.wait_holder(1, LONG)
    })?;
    stage.step("start it again: it preempts", second, &Goal::NoneLost { moves: 1 }, |stage| {
        stage.machine(0)?.start()?;
        stage.wait_holder(0, LONG)
    })?;
    stage.step("cut the Active off", second * 2, &Goal::OutageUpTo(CUT_FLOOR), |stage| {
        stage.machine(0)?.set_link(false)?;
        testbed::wait::until("the other has the address", LONG, || stage.holders().contains(&1)).map(drop)
    })?;
    stage.step("mend its link: it preempts", second * 3, &Goal::Seen, |stage| {
        stage.machine(0)?.set_link(true)?;
        stage.wait_holder(0, LONG)
    })?;
    stage.step(
        "kill the Active (its processes, at once)",
        second * 2,
        &Goal::OutageUpTo(CUT_FLOOR),
        |stage| {
            // Power loss: the machine's processes die and its network with it.
            let machine = stage.machine(0)?;
            machine.set_link(false)?;
            machine.shell("pkill -KILL -x standfastd; pkill -KILL -x haproxy; true")?;
            testbed::wait::until("the other has the address", LONG, || stage.holders().contains(&1)).map(drop)
        },
    )?;
    stage.step(
        "recreate it: delete_vm, create_vm with another port",
        second,
        &Goal::NoneLost { moves: 1 },
        |stage| {
            let machine = stage.machine(0)?;
            stage.lab.cpi("delete_vm", &json!([machine.server_id]))?;
            replace(stage, 0)?;
            stage.wait_holder(0, LONG)
        },
    )?;
    stage.step(
        "recreate the Active as BOSH does: drain, stop, delete_vm, create_vm",
        second,
        &Goal::NoneLost { moves: 2 },
        |stage| {
            let machine = stage.machine(0)?;
            machine.drain()?;
            machine.keep_logs(stage.lab, "before-recreate");
            stage.lab.cpi("delete_vm", &json!([machine.server_id]))?;
            replace(stage, 0)?;
            stage.wait_holder(0, LONG)
        },
    )
}

fn replace(stage: &mut Stage<'_>, index: usize) -> Result<()> {
    let before = stage.machine(index)?.port_id;
    let machine = stage.create(&stage.instances[index].clone())?;
    ensure!(machine.port_id != before, "the port is the same");
    if let Some(place) = stage.machines.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
        *place = machine;
    }
    Ok(())
}

/// Everything done wrong on purpose: it has to fail, and the doctor has to say why and to mend it.
fn counter_proofs(stage: &mut Stage<'_>) -> Result<()> {
    stage.timeline.note("==> counter-proofs");
    without_pair(stage)?;
    without_rule(stage)?;
    wrong_reservation(stage)?;
    address_as_own(stage)
}

fn expect(findings: &[String], wanted: &str) -> Result<()> {
    ensure!(findings.iter().any(|id| id == wanted), "the doctor found {findings:?}, not {wanted}");
    Ok(())
}

fn without_pair(stage: &mut Stage<'_>) -> Result<()> {
    stage.timeline.note("--> without the pair");
    for index in 0..2 {
        stage.set_pairs(&stage.machine(index)?, &[])?;
    }
    testbed::wait::until("the address no longer answers", LONG, || stage.answers().is_ok_and(|yes| !yes))?;
    expect(&stage.doctor(&[])?, "pair-missing")?;
    stage.timeline.note("    the address does not answer; the doctor: pair-missing");
    stage.doctor(&["--fix"])?;
    testbed::wait::until("the address answers again", LONG, || stage.answers().is_ok_and(|yes| yes))?;
    ensure!(stage.doctor(&[])?.is_empty(), "doctor --fix left something");
    stage.timeline.note("    doctor --fix added the pairs; the address answers");
    Ok(())
}

fn without_rule(stage: &mut Stage<'_>) -> Result<()> {
    // Unicast adverts are answers to the firewall's connection tracking once both have sent some: they pass without
    // a rule. Multicast ones never are.
    stage.timeline.note("--> without the rule for protocol 112, with multicast");
    let mut group = stage.group.clone();
    group["jobs"][0]["properties"]["keepalived"]["mode"] = json!("multicast");
    for index in [1, 0] {
        let rendering = deployment::rendering(&group, &stage.instances, &stage.instances[index])?;
        stage.machine(index)?.reconfigure(stage.lab, &rendering)?;
    }
    stage.wait_holder(0, LONG)?;
    let neutron = stage.client.network();
    let group = neutron.security_groups(&Query::new().filter("name", GROUP))?.pop().context("no group")?;
    for rule in group.security_group_rules.iter().filter(|rule| rule.direction == "ingress") {
        neutron.delete_security_group_rule(&rule.id)?;
    }
    testbed::wait::until("both are Active", LONG, || stage.holders() == [0, 1])?;
    expect(&stage.doctor(&[])?, "vrrp-blocked-by-security-group")?;
    stage.timeline.note("    both are Active; the doctor: vrrp-blocked-by-security-group");
    stage.doctor(&["--fix"])?;
    let group = neutron.security_group(&group.id)?;
    let mended = group.security_group_rules.iter().any(|rule| rule.protocol.as_deref() == Some("112"));
    ensure!(mended, "doctor --fix put the rule somewhere else than into {GROUP}");
    stage.wait_holder(0, LONG)?;
    testbed::wait::until("the address answers again", LONG, || stage.answers().is_ok_and(|yes| yes))?;
    stage.timeline.note("    doctor --fix added the rule; one Active again");
    Ok(())
}

fn wrong_reservation(stage: &mut Stage<'_>) -> Result<()> {
    stage.timeline.note("--> with a pair that nobody reserved");
    let mut properties = stage.cloud_properties.clone();
    properties["allowed_address_pairs"] = json!("10.10.0.241");
    let mut instance = stage.instances[1].clone();
    "10.10.0.233".clone_into(&mut instance.address);
    let began = Instant::now();
    let Err(error) = stage.create_only(&instance, &properties) else {
        bail!("create_vm accepted a pair that no port reserves");
    };
    let text = format!("{error:#}");
    ensure!(text.contains("Configured VRRP port with ip '10.10.0.241' does not exist."), "{text}");
    stage.timeline.note(format!("    create_vm failed after {:.1} s: {text}", began.elapsed().as_secs_f64()));
    Ok(())
}

fn address_as_own(stage: &mut Stage<'_>) -> Result<()> {
    stage.timeline.note("--> with the virtual address as a VM's own");
    let neutron = stage.client.network();
    let before = neutron.ports(&Query::new().fixed_ip(VIP))?;
    let mut instance = stage.instances[1].clone();
    VIP.clone_into(&mut instance.address);
    let Err(error) = stage.create_only(&instance, &json!({ "instance_type": "m1.tiny" })) else {
        bail!("create_vm gave the virtual address to a VM");
    };
    let after = neutron.ports(&Query::new().fixed_ip(VIP))?;
    ensure!(
        before.len() == 1 && after.iter().map(|p| &p.id).eq(before.iter().map(|p| &p.id)),
        "the reserved port did not survive"
    );
    ensure!(stage.answers()?, "the address no longer answers");
    stage
        .timeline
        .note(format!("    create_vm refused ({error:#}); the reserved port survived, the address answers"));
    Ok(())
}

/// Looks who holds the address, ten times a second.
struct Watch {
    end: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start(stage: &Stage<'_>) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let (stop, machines, samples) =
            (Arc::clone(&end), Arc::clone(&stage.machines), Arc::clone(&stage.samples));
        let (vip, started) = (stage.vip, stage.timeline.started());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let all = machines.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let sample = Sample {
                    at: started.elapsed(),
                    holds: all.iter().map(|machine| machine.has(vip)).collect(),
                };
                samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { end, thread }
    }

    fn stop(self) {
        self.end.store(true, Ordering::Relaxed);
        // A watcher that panicked has nothing more to say.
        let _ = self.thread.join();
    }
}

/// Removes what this story, or an interrupted earlier one, made.
fn clean(lab: &Lab, client: &Client) -> Result<()> {
    let neutron = client.network();
    let groups = neutron.security_groups(&Query::new().filter("name", GROUP))?;
    // Whoever has our group is a VM of the story's.
    for port in neutron.ports(&Query::new())? {
        if !port.security_groups.iter().any(|id| groups.iter().any(|group| group.id == *id)) {
            continue;
        }
        if !port.device_id.is_empty() {
            client.compute().delete_server(&port.device_id)?;
            testbed::wait::until("a server is gone", LONG, || {
                client.compute().server(&port.device_id).is_err_and(|error| error.is_not_found())
            })?;
        }
        neutron.delete_port(&port.id)?;
    }
    let (_, said) = lab.standfast(&["reserve", VIP, "--network", "prov", "--release", "--force"])?;
    say(said.lines().next().unwrap_or_default());
    for group in client.compute().server_groups()?.into_iter().filter(|g| g.name == SERVER_GROUP) {
        client.compute().delete_server_group(&group.id)?;
    }
    for group in groups {
        testbed::wait::until("the security group is free", LONG, || {
            neutron.delete_security_group(&group.id).is_ok()
        })?;
    }
    Ok(())
}
