//! From what runs to what shall run: by difference. A virtual router whose configuration did not change does
//! not notice.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tracking::{Fact, Spec, Tracking, Weighted};
use vrrp::{Transport, VrIndex};
use vrrp_linux::membership::Membership;
use vrrp_linux::netlink::{ADDRESS_PROTOCOL, AddressSpec, Netlink};
use vrrp_linux::route::{ROUTE_PROTOCOL, RouteFilter, RouteSpec};
use vrrp_linux::rule::RuleSpec;

use crate::address_ledger::{AddressLedger, Legacy, Place};
use crate::command_line::CommandLine;
use crate::configuration::{self, Told};
use crate::journal;
use crate::kernel_worker::{AddressSet, Request as KernelRequest};
use crate::notification::Word;
use crate::plan::{self, Host, Plan, Planned};
use crate::protocol_thread::Command;
use crate::rights;
use crate::supervisor::Supervisor;

/// A virtual router that runs.
pub(crate) struct Running {
    pub(crate) planned: Planned,
    pub(crate) index: VrIndex,
    membership: Option<Membership>,
    /// What tracking changed, in words.
    pub(crate) changes: Vec<String>,
    /// What the protocol and the kernel worker were told last: they are told changes only.
    /// The source; without one it begins.
    told_source: Option<IpAddr>,
    told_link: Option<bool>,
    told_tracking: Option<(i32, bool)>,
    told_set: AddressSet,
}

/// Addresses that were on interfaces before us and may be an earlier process's of ours.
#[derive(Debug, Default)]
pub(crate) struct Legacies {
    /// Ours to adopt or to remove.
    pub(crate) own: BTreeSet<Place>,
    /// The same of routes and rules.
    routes: Vec<RouteSpec>,
    rules: Vec<RuleSpec>,
}

impl Legacies {
    /// Tells them by the kernel's mark and by the ledger, where there is one; neither takes an address from
    /// an agent that lives.
    pub(crate) fn find(
        line: &CommandLine,
        namespace: u64,
        host: &Host,
        marks: bool,
        netlink: &mut Netlink,
    ) -> (Option<AddressLedger>, Self) {
        let directory = control::runtime_directory();
        let (ledger, legacy) = match AddressLedger::open(&directory, namespace, &line.pid_file) {
            Ok((ledger, legacy)) => (Some(ledger), legacy),
            Err(error) => {
                journal::info(&format!("no list of our addresses in {}: {error}", directory.display()));
                (None, Legacy::default())
            }
        };
        let others = control::discover(&control::Target::Here).unwrap_or_default();
        let alone = others.is_empty();
        let ours = |place: &Place, protocol: u8| {
            let listed = legacy.own.contains(place);
            let elsewhere = legacy.others.iter().any(|(other, _)| other == place);
            if marks { protocol == ADDRESS_PROTOCOL && (listed || alone && !elsewhere) } else { listed }
        };
        let own = host
            .addresses
            .iter()
            .map(|a| ((a.interface, a.address), a.protocol))
            .filter(|(place, protocol)| ours(place, *protocol))
            .map(|(place, _)| place)
            .collect();
        // Routes and rules always keep a mark; those that were asked to have another one are in the ledger.
        let ours = |key: &String, protocol: u8| {
            let listed = legacy.own_routes.contains(key);
            let elsewhere = legacy.others_routes.contains(key);
            listed || protocol == ROUTE_PROTOCOL && alone && !elsewhere
        };
        let marked = format!("proto {ROUTE_PROTOCOL}");
        let only_marked = legacy.own_routes.iter().all(|key| key.ends_with(&marked));
        let protocol = if only_marked { ROUTE_PROTOCOL } else { 0 };
        let (mut routes, mut rules) = (Vec::new(), Vec::new());
        match netlink
            .routes(RouteFilter { protocol, table: 0 })
            .and_then(|routes| Ok((routes, netlink.rules()?)))
        {
            Ok((all_routes, all_rules)) => {
                routes.extend(all_routes.into_iter().filter(|route| ours(&route.key(), route.protocol)));
                rules.extend(all_rules.into_iter().filter(|rule| ours(&rule.key(), rule.protocol)));
            }
            Err(error) => journal::warning(&format!("cannot ask the kernel for its routes: {error}")),
        }
        (ledger, Self { own, routes, rules })
    }

    /// Whether an earlier process has left addresses of this virtual router.
    fn has_addresses_of(&self, planned: &Planned) -> bool {
        planned.addresses.iter().any(|spec| self.own.contains(&place(spec)))
    }

    /// Keys of the routes and rules.
    pub(crate) fn route_keys(&self) -> impl Iterator<Item = String> {
        self.routes.iter().map(RouteSpec::key).chain(self.rules.iter().map(RuleSpec::key))
    }
}

fn place(spec: &AddressSpec) -> Place {
    (spec.interface, spec.address)
}

impl Supervisor<'_> {
    // ---- Configuration ----

    /// Makes what runs what the plan says. `legacies` at the start only.
    pub(crate) fn apply(&mut self, plan: Plan, legacies: Option<&Legacies>) {
        self.follow_renames(&plan);
        let wanted = |name: &str| {
            plan.routers.iter().any(|p| p.config.name == name) || plan.absent.iter().any(|a| a.name == name)
        };
        let gone: Vec<String> = self.running.keys().filter(|name| !wanted(name)).cloned().collect();
        let moved: Vec<String> = plan
            .routers
            .iter()
            .filter(|p| self.running.get(&p.config.name).is_some_and(|r| !same_place(&r.planned, p)))
            .map(|p| p.config.name.clone())
            .collect();
        if !gone.is_empty() || !moved.is_empty() {
            // What leaves alone must not take its group along.
            let staying = |name: &String| !gone.contains(name) && !moved.contains(name);
            self.send_groups(&plan, &staying);
        }
        for name in gone {
            self.retire(&name, true);
        }
        for name in moved {
            self.retire(&name, false);
        }
        for planned in &plan.routers {
            if self.running.contains_key(&planned.config.name) {
                self.change(planned);
            } else {
                self.add(planned, legacies);
            }
        }
        for absent in plan.absent.iter().filter(|absent| !self.plan.absent.contains(absent)) {
            journal::warning(&format!("({}) waits for interface {}", absent.name, absent.interface));
        }
        for absent in plan.left_out.iter().filter(|absent| !self.plan.left_out.contains(absent)) {
            journal::warning(&format!(
                "({}) goes on without interface {}: what is not tracked there is left out",
                absent.name, absent.interface
            ));
        }
        if let Some(legacies) = legacies {
            self.remove_stray(&plan, legacies);
        }
        self.send_groups(&plan, &|_| true);
        self.notifications
            .set_fifo(self.configuration.global.notify_fifo.as_ref(), plan.fifo_reader.as_ref());
        self.watch_tracks(&plan);
        self.plan = plan;
        self.settle_tracks(None);
        if self.start_at.is_none() {
            self.start_all();
        }
    }

    /// Starts everything that may not have been started; who runs does not notice.
    pub(crate) fn start_all(&mut self) {
        self.start_at = None;
        for running in self.running.values() {
            self.protocol.send(Command::Start { vr: running.index });
        }
    }

    /// A virtual router in the same place under another name is the same one.
    fn follow_renames(&mut self, plan: &Plan) {
        for planned in &plan.routers {
            let name = &planned.config.name;
            let free = |old: &str| {
                !plan.routers.iter().any(|p| p.config.name == old)
                    && !plan.absent.iter().any(|a| a.name == old)
            };
            let old = self
                .running
                .iter()
                .find(|(old, running)| free(old) && same_place(&running.planned, planned))
                .map(|(old, _)| old.clone());
            if let Some(old) = old.filter(|_| !self.running.contains_key(name))
                && let Some(running) = self.running.remove(&old)
            {
                journal::notice(&format!("({old}) is called {name} now"));
                self.running.insert(name.clone(), running);
            }
        }
    }

    fn send_groups(&self, plan: &Plan, counts: &dyn Fn(&String) -> bool) {
        let index = |name: &String| self.running.get(name).filter(|_| counts(name)).map(|r| r.index);
        let groups = plan.groups.iter().map(|g| g.members.iter().filter_map(index).collect()).collect();
        self.protocol.send(Command::Groups(groups));
    }

    fn add(&mut self, planned: &Planned, legacies: Option<&Legacies>) {
        let config = planned.config.clone();
        let name = config.name.clone();
        let added = self.protocol.ask(|reply| Command::Add { config: Box::new(config), reply });
        let index = match added {
            Some(Ok(index)) => index,
            other => {
                journal::error(&format!("({name}) cannot run: {other:?}"));
                return;
            }
        };
        // The number of one that was retired may be given anew before we are told that it is free.
        self.retired(index);
        let set = plan::address_set(planned, &self.host);
        self.tell_kernel(KernelRequest::Define { vr: index, set: set.clone() });
        if legacies.is_some_and(|legacies| legacies.has_addresses_of(planned)) {
            journal::notice(&format!(
                "({name}) addresses of an earlier process are there; they stay until another Active is heard"
            ));
            self.tell_kernel(KernelRequest::Adopt { vr: index });
            self.protocol.send(Command::InheritAddresses { vr: index });
        }
        let running = Running {
            planned: planned.clone(),
            index,
            membership: None,
            changes: Vec::new(),
            told_source: None,
            told_link: None,
            told_tracking: None,
            told_set: set,
        };
        self.running.insert(name.clone(), running);
        self.join(&name);
        self.tell_place(&name);
    }

    /// Joins the group of a virtual router, if it has one and is no member.
    fn join(&mut self, name: &str) {
        let Some(running) = self.running.get_mut(name) else { return };
        let Transport::Multicast { group } = running.planned.config.transport else {
            running.membership = None;
            return;
        };
        if running.membership.is_some() {
            return;
        }
        match Membership::join(running.planned.config.interface, group) {
            Ok(membership) => running.membership = Some(membership),
            Err(error) => journal::warning(&format!(
                "({name}) cannot join {group} on {}: {error}; adverts of others are not heard",
                running.planned.interface_name
            )),
        }
    }

    /// Tells what the kernel has for a virtual router: source address, carrier, and what announcements need.
    pub(crate) fn tell_place(&mut self, name: &str) {
        self.join(name);
        let host = &self.host;
        let Some(running) = self.running.get_mut(name) else { return };
        let config = &running.planned.config;
        let there = |source: &IpAddr| host.addresses.iter().any(|a| a.address == *source);
        let source = match running.planned.source {
            Some(source) => Some(source).filter(there),
            None => host.primary(config.interface, config.family, &running.planned.addresses),
        };
        let up = host.links.iter().any(|l| l.index == config.interface && l.carries);
        let set = plan::address_set(&running.planned, host);
        let vr = running.index;
        if std::mem::replace(&mut running.told_source, source) != source {
            self.protocol.send(Command::Source { vr, source });
        }
        if running.told_link.replace(up) != Some(up) {
            self.protocol.send(Command::Link { vr, up });
        }
        if running.told_set != set {
            running.told_set.clone_from(&set);
            self.tell_kernel(KernelRequest::Define { vr, set });
        }
    }

    fn change(&mut self, planned: &Planned) {
        let name = &planned.config.name;
        let Some(running) = self.running.get_mut(name) else { return };
        if running.planned == *planned {
            return;
        }
        journal::notice(&format!("({name}) its configuration changed"));
        let vr = running.index;
        if running.planned.config.transport != planned.config.transport {
            running.membership = None;
        }
        running.planned = planned.clone();
        let config = Box::new(planned.config.clone());
        if let Some(Err(error)) = self.protocol.ask(|reply| Command::Reconfigure { vr, config, reply }) {
            journal::error(&format!("({name}) cannot be changed: {error:?}"));
        }
        self.tell_place(name);
    }

    /// Releases a virtual router; it is forgotten when its addresses are gone.
    fn retire(&mut self, name: &str, deleted: bool) {
        let Some(running) = self.running.remove(name) else { return };
        if deleted {
            journal::notice(&format!("({name}) is no longer configured: handing over"));
            let hooks = running.planned.hooks.clone();
            let priority = running.planned.config.priority.get();
            let word = if hooks.deleted.is_some() { Word::Deleted } else { Word::Fault };
            self.notifications.tell(name, word, priority, &hooks, &[]);
        } else {
            journal::notice(&format!("({name}) has another interface, family or VRID: it starts anew"));
        }
        self.protocol.send(Command::Retire { vr: running.index });
        self.leaving.insert(running.index, running);
    }

    /// The addresses of a retired virtual router are gone.
    pub(crate) fn retired(&mut self, vr: VrIndex) {
        if self.leaving.remove(&vr).is_some() {
            self.tell_kernel(KernelRequest::Forget { vr });
        }
    }

    /// What an earlier process left and no virtual router has, or none that has its addresses.
    fn remove_stray(&self, plan: &Plan, legacies: &Legacies) {
        let wanted: BTreeSet<Place> = plan.routers.iter().flat_map(|p| &p.addresses).map(place).collect();
        let addresses: Vec<AddressSpec> = self
            .host
            .addresses
            .iter()
            .filter(|a| {
                let place = (a.interface, a.address);
                legacies.own.contains(&place) && !wanted.contains(&place)
            })
            .map(|a| AddressSpec::new(a.interface, a.address, a.prefix_len))
            .collect();
        let adopted = plan.routers.iter().filter(|p| legacies.has_addresses_of(p));
        let wanted: BTreeSet<String> = adopted.flat_map(|p| p.moving.keys()).collect();
        let stray = |key: String| !wanted.contains(&key);
        let routes: Vec<_> = legacies.routes.iter().filter(|route| stray(route.key())).cloned().collect();
        let rules: Vec<_> = legacies.rules.iter().filter(|rule| stray(rule.key())).cloned().collect();
        let of_addresses = addresses.iter().map(|spec| format!("{}/{}", spec.address, spec.prefix_len));
        let of_routes = routes.iter().map(|route| format!("route {route}"));
        let of_rules = rules.iter().map(|rule| format!("rule {rule}"));
        for what in of_addresses.chain(of_routes).chain(of_rules) {
            journal::notice(&format!("{what} was left by an earlier process and is removed"));
        }
        if !(addresses.is_empty() && routes.is_empty() && rules.is_empty()) {
            self.tell_kernel(KernelRequest::RemoveStray { addresses, routes, rules });
        }
    }

    pub(crate) fn reload(&mut self) {
        journal::notice(&format!("reloading {}", self.line.configuration.display()));
        self.refresh_host();
        let made = configuration::read(self.line, Told::InTheLog).and_then(|configuration| {
            let plan = plan::make(&configuration, &self.host)?;
            self.rights.suffice(&plan)?;
            Ok((plan, configuration))
        });
        match made {
            Ok((plan, configuration)) => {
                for text in only_at_start(&self.configuration, &configuration) {
                    journal::warning(&text);
                }
                self.configuration = configuration;
                self.loaded_at = SystemTime::now();
                self.last_reload_error = None;
                self.apply(plan, None);
                journal::notice("reloaded");
                self.tell_subscribers("reloaded", None, "configuration reloaded");
            }
            Err(text) => {
                let text = format!("nothing was changed: {text}");
                journal::error(&text);
                self.tell_subscribers("reload-failed", None, &text);
                self.last_reload_error = Some(text);
            }
        }
    }

    /// Links came, went or got another number.
    pub(crate) fn plan_again(&mut self) {
        match plan::make(&self.configuration, &self.host) {
            Ok(plan) if plan != self.plan => self.apply(plan, None),
            Ok(_) => {}
            Err(text) => journal::error(&format!("the configuration no longer fits this host: {text}")),
        }
    }

    // ---- Tracking ----

    fn watch_tracks(&mut self, plan: &Plan) {
        if plan.trackers == self.plan.trackers {
            return;
        }
        let known = &self.plan.trackers;
        for (name, spec) in plan.trackers.iter().filter(|(name, spec)| known.get(*name) != Some(*spec)) {
            if let (Some(script), Spec::Process(process)) = (name.strip_prefix("script "), spec) {
                let process = process.process.join(" ");
                journal::notice(&format!(
                    "vrrp_script {script} asks for {process}: the process itself is watched"
                ));
            }
        }
        self.found
            .retain(|name, _| plan.trackers.get(name).is_some_and(|spec| known.get(name) == Some(spec)));
        if self.tracking.is_none() {
            let (facts, wake) = (self.facts_in.clone(), Arc::clone(&self.wake));
            match Tracking::start(facts, wake, rights::of_who_starts_programs) {
                Ok(tracking) => self.tracking = Some(tracking),
                Err(error) => journal::error(&format!("nothing can be tracked: {error}")),
            }
        }
        if let Some(tracking) = &self.tracking {
            tracking.watch(plan.trackers.clone());
        }
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        // What is no longer watched may have had a last word.
        if !self.plan.trackers.contains_key(&fact.name) {
            return;
        }
        let text = format!("{}: {} ({})", fact.name, state_word(fact.state), fact.detail);
        journal::write_limited(journal::Severity::Notice, &fact.name, &text);
        self.tell_subscribers("track", None, &text);
        let name = fact.name.clone();
        self.found.insert(name.clone(), fact);
        self.settle_tracks(Some(&name));
    }

    pub(crate) fn track_state(&self, name: &str) -> tracking::State {
        match name.strip_prefix("interface ") {
            Some(link) if self.host.link(link).is_some_and(|l| l.carries) => tracking::State::Up,
            Some(_) => tracking::State::Down,
            None => self.found.get(name).map_or(tracking::State::Unknown, |f| f.state),
        }
    }

    pub(crate) fn settle_tracks(&mut self, only: Option<&str>) {
        let mut accounts = Vec::new();
        for (key, running) in &self.running {
            let tracks = &running.planned.tracks;
            if only.is_some_and(|name| !tracks.iter().any(|(n, _, _)| n == name)) {
                continue;
            }
            let weighted: Vec<Weighted> = tracks
                .iter()
                .map(|(name, weight, reverse)| Weighted {
                    name: name.clone(),
                    state: self.track_state(name),
                    weight: *weight,
                    reverse: *reverse,
                })
                .collect();
            accounts.push((key.clone(), tracking::account(&weighted)));
        }
        for (key, account) in accounts {
            let Some(running) = self.running.get_mut(&key) else { continue };
            running.changes = account.words;
            let told = (account.delta, account.failed);
            if running.told_tracking.replace(told) != Some(told) {
                let (delta, failed) = told;
                self.protocol.send(Command::Tracking { vr: running.index, delta, failed });
            }
        }
    }
}

/// In words for the log and the command.
pub(crate) fn state_word(state: tracking::State) -> String {
    match state {
        tracking::State::Unknown => "unknown".into(),
        tracking::State::Up => "up".into(),
        tracking::State::Down => "down".into(),
        tracking::State::Value(value) => value.to_string(),
    }
}

fn same_place(a: &Planned, b: &Planned) -> bool {
    let key = |p: &Planned| (p.config.interface, p.config.family, p.config.vrid);
    key(a) == key(b)
}

/// What a reload cannot change, in words.
fn only_at_start(
    before: &keepalived_conf::Configuration,
    after: &keepalived_conf::Configuration,
) -> Vec<String> {
    let mut texts = Vec::new();
    let mut compare = |keyword: &str, same: bool| {
        if !same {
            texts.push(format!("{keyword} changed: that takes effect when standfastd is started anew"));
        }
    };
    compare(
        "scheduling (vrrp_rt_priority and its like)",
        plan::scheduling(before) == plan::scheduling(after),
    );
    compare("vrrp_no_swap", before.global.no_swap == after.global.no_swap);
    compare("net_namespace", before.global.network_namespace == after.global.network_namespace);
    texts
}
