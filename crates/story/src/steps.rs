//! The steps of the story: what is done to the Active while a client asks without a pause.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openstack::Client;
use openstack::network::PortUpdate;
use serde_json::{Value, json};
use testbed::{Host, Moment, Probe, Report};

use crate::deployment::{Instance, networks, rendering};
use crate::lab::{Lab, Machine};
use crate::timeline::{Sample, Step, Timeline};

/// Requests a second through the virtual address.
const RATE: u32 = 100;
/// After this a request is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than Neutron takes to change its rules.
pub(crate) const LONG: Duration = Duration::from_mins(3);

/// Everything the steps work on.
pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) client: &'a Client,
    pub(crate) cloud_config: Value,
    pub(crate) group: Value,
    pub(crate) cloud_properties: Value,
    pub(crate) stemcell: String,
    pub(crate) instances: Vec<Instance>,
    /// The VM of each instance; another thread looks who holds the address.
    pub(crate) machines: Arc<Mutex<Vec<Machine>>>,
    pub(crate) vip: IpAddr,
    pub(crate) client_host: Host,
    pub(crate) timeline: Timeline,
    pub(crate) samples: Arc<Mutex<Vec<Sample>>>,
}

impl Stage<'_> {
    pub(crate) fn machine(&self, index: usize) -> Result<Machine> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.get(index).cloned().with_context(|| format!("instance {index} has no VM"))
    }

    /// `create_vm` for one instance, and its job applied. Gives the VM.
    pub(crate) fn create(&self, instance: &Instance) -> Result<Machine> {
        let machine = self.create_only(instance, &self.cloud_properties)?;
        machine.apply(self.lab, &rendering(&self.group, &self.instances, instance)?)?;
        Ok(machine)
    }

    /// `create_vm` alone, with these cloud properties.
    pub(crate) fn create_only(&self, instance: &Instance, cloud_properties: &Value) -> Result<Machine> {
        let asked = networks(&self.cloud_config, &self.group, &instance.address)?;
        let name = &self.group["name"];
        let env = json!({ "bosh": { "group": name, "groups": [name] } });
        let arguments = json!([instance.id, self.stemcell, cloud_properties, asked, [], env]);
        let made = self.lab.create_vm(&arguments)?;
        let server_id = made[0].as_str().context("create_vm gave no id")?;
        let ports = self.client.network().ports(&openstack::Query::new().filter("device_id", server_id))?;
        let [port] = ports.as_slice() else { anyhow::bail!("{} ports instead of one", ports.len()) };
        let machine = Machine::new(self.lab, server_id, &port.id, &instance.address);
        testbed::wait::until("the VM has read its user data", LONG, || {
            machine.shell("test -e /var/vcap/bosh/ready").is_ok()
        })?;
        Ok(machine)
    }

    /// Who holds the address now, by instance.
    pub(crate) fn holders(&self) -> Vec<usize> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        machines.iter().enumerate().filter(|(_, m)| m.has(self.vip)).map(|(index, _)| index).collect()
    }

    pub(crate) fn wait_holder(&self, wanted: usize, limit: Duration) -> Result<()> {
        let what = format!("the address is with {}", self.machine(wanted)?.address);
        testbed::wait::until(&what, limit, || self.holders() == [wanted]).map(drop)
    }

    /// Whether a page comes through the address within three seconds.
    pub(crate) fn answers(&self) -> Result<bool> {
        let probe = Probe::http(&self.client_host, SocketAddr::new(self.vip, 80), 5, PATIENCE)?;
        std::thread::sleep(Duration::from_secs(3));
        let report = probe.finish();
        Ok(report.questions.iter().rev().take(5).any(|question| question.answered.is_some()))
    }

    /// Does something while the client asks, until `settled` more time has passed; judges by `goal`.
    pub(crate) fn step(
        &mut self,
        name: &str,
        settle: Duration,
        goal: &Goal,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.timeline.note(format!("--> {name}"));
        let began = self.timeline.now();
        let probe = Probe::http(&self.client_host, SocketAddr::new(self.vip, 80), RATE, PATIENCE)?;
        std::thread::sleep(Duration::from_millis(500));
        let from = Moment::now();
        let done = work(self);
        std::thread::sleep(settle);
        let report = probe.finish();
        done.with_context(|| format!("step `{name}`"))?;
        let ended = self.timeline.now();
        ensure!(
            report.questions.iter().take_while(|q| q.asked < from).any(|q| q.answered.is_some()),
            "step `{name}`: nobody answered before it began"
        );
        self.judge(name, began, ended, goal, &report);
        Ok(())
    }

    fn judge(&mut self, name: &str, began: Duration, ended: Duration, goal: &Goal, report: &Report) {
        let outage = report.longest_outage();
        let lost = report.lost().saturating_sub(report.cut());
        let reached = match goal {
            Goal::NoneLost { moves } => lost == 0 && report.cut() <= *moves,
            Goal::OutageUpTo(limit) => outage <= *limit,
            Goal::Seen => true,
        };
        let step = Step {
            name: name.to_owned(),
            began,
            ended,
            asked: report.sent(),
            lost,
            cut: report.cut(),
            outage,
            goal: goal.words(),
            limit: goal.limit(),
            reached,
        };
        let holders: Vec<String> = self
            .holders()
            .into_iter()
            .filter_map(|index| self.instances.get(index).map(|i| i.address.clone()))
            .collect();
        let cut = match step.cut {
            0 => String::new(),
            cut => format!(" and {cut} cut while under way"),
        };
        self.timeline.note(format!(
            "    {} of {} requests lost{cut}, longest outage {:.0} ms ({}{}); the address is with {}",
            step.lost,
            step.asked,
            outage.as_secs_f64() * 1000.0,
            step.goal,
            if reached { "" } else { ": NOT REACHED" },
            if holders.is_empty() { "nobody".to_owned() } else { holders.join(" and ") }
        ));
        self.timeline.steps.push(step);
    }

    /// Replaces the pairs of a member's port.
    pub(crate) fn set_pairs(&self, machine: &Machine, pairs: &[&str]) -> Result<()> {
        let pairs = pairs.iter().map(|ip| openstack::network::AddressPair::address(*ip)).collect();
        let change = PortUpdate { allowed_address_pairs: Some(pairs), ..PortUpdate::default() };
        self.client.network().update_port(&machine.port_id, &change, None)?;
        Ok(())
    }

    /// `standfast doctor` in the eyes of the operator: the ids of its findings.
    pub(crate) fn doctor(&self, more: &[&str]) -> Result<Vec<String>> {
        let vip = self.vip.to_string();
        let mut arguments =
            vec!["doctor", vip.as_str(), "--network", "prov", "--no-agent", "--no-wire", "--json"];
        arguments.extend(more);
        let servers: Vec<String> = self
            .machines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|machine| machine.server_id.clone())
            .collect();
        for server in &servers {
            arguments.extend(["--server", server.as_str()]);
        }
        let (_, text) = self.lab.standfast(&arguments)?;
        let json =
            text.find('{').and_then(|begin| text.get(begin..)).context("the doctor printed no JSON")?;
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
        let answer = values.next().context("no JSON")?.with_context(|| text.clone())?;
        Ok(answer["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|finding| finding["severity"] != "note")
            .filter_map(|finding| finding["pitfall"].as_str().map(str::to_owned))
            .collect())
    }
}

/// What a step is to cost.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    /// No request lost. A connection that is open when the address moves belongs to the HAProxy that had it, and is
    /// cut; at this rate, one a move at most.
    NoneLost {
        /// How often the address moves.
        moves: usize,
    },
    /// The client is without answers for no longer.
    OutageUpTo(Duration),
    /// Only shown.
    Seen,
}

impl Goal {
    /// The longest time without answers.
    const fn limit(&self) -> Duration {
        match self {
            Self::NoneLost { .. } => Duration::ZERO,
            Self::OutageUpTo(limit) => *limit,
            Self::Seen => Duration::from_hours(1),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::NoneLost { moves } => format!("no request lost, at most {moves} cut"),
            Self::OutageUpTo(limit) => format!("outage up to {:.0} ms", limit.as_secs_f64() * 1000.0),
            Self::Seen => "-".to_owned(),
        }
    }
}
