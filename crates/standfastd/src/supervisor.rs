//! The supervisor: configuration, signals, tracking, control socket, log. It starts the other threads and
//! ends them.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use control::{HandoverResult, Request, Response};
use keepalived_conf::Configuration;
use tracking::{Fact, Tracker, Weighted};
use vrrp::{Event, Family, State, Transport, VrIndex};
use vrrp_linux::clock;
use vrrp_linux::membership::Membership;
use vrrp_linux::netlink::{ADDRESS_PROTOCOL, KernelEvent, Netlink};
use vrrp_linux::poll::{Poller, Waker};
use vrrp_linux::signals::Signals;

use crate::command_line::CommandLine;
use crate::configuration::{self, Told};
use crate::hooks::Hooks;
use crate::kernel_worker::{self, Report, Request as KernelRequest};
use crate::plan::{self, Host, Plan, Planned};
use crate::protocol_thread::{self, Command, Outlets, ProtocolHandle, Snapshot, TimedEvent};
use crate::{Failure, journal, narrate, status};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
/// How long a stop waits at most, whatever happens: keepalived's users wait 25 s before they kill.
const STOP_AT_MOST: Duration = Duration::from_secs(10);
/// Virtual routers copied at once for a status.
const SNAPSHOT_PART: usize = 256;

/// A question of the control socket and where its answers go.
struct Question {
    request: Request,
    answers: Sender<Response>,
}

/// A virtual router that runs.
struct Running {
    planned: Planned,
    index: VrIndex,
    membership: Option<Membership>,
    changes: Vec<String>,
}

/// A handover that somebody waits for.
struct Pending {
    open: Vec<VrIndex>,
    results: Vec<HandoverResult>,
    answers: Sender<Response>,
}

struct Supervisor<'a> {
    line: &'a CommandLine,
    protocol: ProtocolHandle,
    kernel: Sender<KernelRequest>,
    kernel_waker: Arc<Waker>,
    wake: Arc<dyn Fn() + Send + Sync>,
    netlink: Netlink,
    host: Host,
    plan: Plan,
    configuration: Configuration,
    loaded_at: SystemTime,
    last_reload_error: Option<String>,
    running: BTreeMap<String, Running>,
    trackers: BTreeMap<String, Tracker>,
    facts_in: Sender<Fact>,
    found: BTreeMap<String, Fact>,
    hooks: Hooks,
    subscribers: Vec<Sender<Response>>,
    pending: Vec<Pending>,
    namespace: u64,
}

fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub(crate) fn run(line: &CommandLine, configuration: Configuration) -> Result<ExitCode, Failure> {
    let fatal = |what: &str| {
        let what = what.to_owned();
        move |e: std::io::Error| {
            Failure::fatal(format!("{what}: {e}; standfastd needs CAP_NET_ADMIN and CAP_NET_RAW"))
        }
    };
    let signals = Signals::block(&[SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM]).map_err(fatal("signals"))?;
    let poller = Poller::new().map_err(fatal("epoll"))?;
    let waker = Arc::new(Waker::new().map_err(fatal("eventfd"))?);
    poller.add(waker.as_fd(), 0).map_err(fatal("epoll"))?;
    poller.add(signals.as_fd(), 1).map_err(fatal("epoll"))?;
    let kernel_waker = Arc::new(Waker::new().map_err(fatal("eventfd"))?);
    let (kernel, kernel_requests) = channel();
    let (report_in, reports) = channel();
    kernel_worker::spawn(kernel_requests, Arc::clone(&kernel_waker), report_in, Arc::clone(&waker))
        .map_err(fatal("netlink and packet sockets"))?;
    let (event_in, events) = channel();
    let families = [Family::Ipv4, Family::Ipv6];
    let outlets = Outlets {
        effects: kernel.clone(),
        effects_waker: Arc::clone(&kernel_waker),
        events: event_in,
        events_waker: Arc::clone(&waker),
    };
    let (protocol, protocol_thread) =
        protocol_thread::spawn(&families, configuration.instances.len(), outlets)
            .map_err(fatal("raw sockets"))?;
    let (facts_in, facts) = channel();
    let (question_in, questions) = channel::<Question>();
    let namespace = vrrp_linux::process::network_namespace_id().map_err(fatal("network namespace"))?;
    let wake: Arc<dyn Fn() + Send + Sync> = {
        let waker = Arc::clone(&waker);
        Arc::new(move || waker.wake())
    };
    let server = start_server(line, namespace, question_in, Arc::clone(&wake));
    let mut supervisor = Supervisor {
        line,
        protocol,
        kernel,
        kernel_waker,
        wake,
        netlink: Netlink::open().map_err(fatal("netlink"))?,
        host: Host::default(),
        plan: Plan::default(),
        configuration,
        loaded_at: SystemTime::now(),
        last_reload_error: None,
        running: BTreeMap::new(),
        trackers: BTreeMap::new(),
        facts_in,
        found: BTreeMap::new(),
        hooks: Hooks::spawn().map_err(fatal("threads"))?,
        subscribers: Vec::new(),
        pending: Vec::new(),
        namespace,
    };
    supervisor.refresh_host();
    let plan = plan::make(&supervisor.configuration, &supervisor.host).map_err(Failure::configuration)?;
    supervisor.apply(plan, true);
    journal::notice(&format!(
        "standfastd {} runs {} virtual router(s) of {}",
        env!("CARGO_PKG_VERSION"),
        supervisor.running.len(),
        line.configuration.display()
    ));
    let mut stop_by = None;
    loop {
        poller.wait(stop_by.map(|(next, _)| next)).map_err(fatal("epoll"))?;
        waker.drain();
        while let Some(signal) = signals.next() {
            match signal {
                SIGHUP => supervisor.reload(),
                SIGUSR1 | SIGUSR2 => supervisor.dump(signal),
                _ if stop_by.is_none() => {
                    let now = clock::monotonic_now();
                    supervisor.release_all();
                    stop_by = Some((now, now + STOP_AT_MOST));
                }
                _ => {}
            }
        }
        supervisor.read(&events, &reports, &facts, &questions);
        if let Some((next, limit)) = &mut stop_by {
            let now = clock::monotonic_now();
            let quiescent = supervisor.protocol.ask(|reply| Command::Snapshot { from: 0, count: 0, reply });
            if quiescent.is_none_or(|s| s.quiescent) || now >= *limit {
                break;
            }
            *next = now + Duration::from_millis(2);
        }
    }
    supervisor.stop(&events);
    // The kernel worker has every withdrawal in its queue before this request, and its end after them.
    drop(server);
    supervisor.protocol.send(Command::Quit);
    // The thread said why if it ended badly.
    let _ = protocol_thread.join();
    supervisor.finish_kernel(&reports);
    journal::notice("stopped");
    Ok(ExitCode::SUCCESS)
}

fn start_server(
    line: &CommandLine,
    namespace: u64,
    questions: Sender<Question>,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> Option<control::Server> {
    let pid_file = line.pid_file.display().to_string();
    let handler = move |request: Request, write: &mut dyn FnMut(&Response) -> std::io::Result<()>| {
        if request == Request::Identify {
            let identity = Response::Identity {
                protocol_version: control::PROTOCOL_VERSION,
                pid: std::process::id(),
                network_namespace: namespace,
                pid_file: pid_file.clone(),
            };
            // A client that left needs no answer.
            let _ = write(&identity);
            return;
        }
        let (answers, read) = channel();
        if questions.send(Question { request, answers }).is_err() {
            return;
        }
        wake();
        while let Ok(answer) = read.recv() {
            if write(&answer).is_err() {
                return;
            }
        }
    };
    match control::Server::start(&control::runtime_directory(), namespace, Arc::new(handler)) {
        Ok(server) => {
            journal::info(&format!("control socket {}", server.path().display()));
            Some(server)
        }
        Err(error) => {
            // The address matters more than the command.
            let directory = control::runtime_directory();
            journal::warning(&format!(
                "no control socket in {}: {error}; `standfast` cannot reach this agent. Set STANDFAST_RUNTIME_DIR \
                 to a directory that can be written",
                directory.display()
            ));
            None
        }
    }
}

impl Supervisor<'_> {
    fn read(
        &mut self,
        events: &Receiver<TimedEvent>,
        reports: &Receiver<Report>,
        facts: &Receiver<Fact>,
        questions: &Receiver<Question>,
    ) {
        while let Ok((_, event)) = events.try_recv() {
            self.event(&event);
        }
        let mut host_changed = false;
        while let Ok(report) = reports.try_recv() {
            host_changed |= self.report(report);
        }
        if host_changed {
            self.host_changed();
        }
        while let Ok(fact) = facts.try_recv() {
            self.fact(fact);
        }
        while let Ok(question) = questions.try_recv() {
            self.answer(question);
        }
    }

    fn tell_kernel(&self, request: KernelRequest) {
        // It ends only when we tell it to.
        if self.kernel.send(request).is_ok() {
            self.kernel_waker.wake();
        }
    }

    fn refresh_host(&mut self) {
        match self.netlink.links().and_then(|links| Ok((links, self.netlink.addresses()?))) {
            Ok((links, addresses)) => self.host = Host { links, addresses },
            Err(error) => journal::warning(&format!("cannot ask the kernel for its interfaces: {error}")),
        }
    }

    // ---- Configuration ----

    /// Makes what runs what the plan says. What did not change is left alone.
    fn apply(&mut self, plan: Plan, first: bool) {
        let gone: Vec<String> = self
            .running
            .keys()
            .filter(|n| !plan.routers.iter().any(|p| p.config.name == **n))
            .cloned()
            .collect();
        for name in gone {
            self.remove(&name);
        }
        for planned in &plan.routers {
            let name = &planned.config.name;
            let same_place = self.running.get(name).map(|r| {
                let (a, b) = (&r.planned.config, &planned.config);
                (a.interface, a.family, a.vrid) == (b.interface, b.family, b.vrid)
            });
            match same_place {
                Some(true) => self.change(planned),
                Some(false) => {
                    self.remove(name);
                    self.add(planned);
                }
                None => self.add(planned),
            }
        }
        if first {
            self.remove_stray(&plan);
        }
        let groups = plan
            .groups
            .iter()
            .map(|members| members.iter().filter_map(|m| self.running.get(m).map(|r| r.index)).collect())
            .collect();
        if plan.groups != self.plan.groups {
            self.protocol.send(Command::Groups(groups));
        }
        self.watch_tracks(&plan);
        self.plan = plan;
        self.settle_tracks(None);
        let delay = self.configuration.global.startup_delay;
        for running in self.running.values() {
            if first && !delay.is_zero() {
                let (protocol, vr) = (self.protocol.clone(), running.index);
                // A delayed start needs nobody to wait for it.
                let _ = std::thread::Builder::new().name("startup".into()).spawn(move || {
                    std::thread::sleep(delay);
                    protocol.send(Command::Start { vr });
                });
            } else {
                self.protocol.send(Command::Start { vr: running.index });
            }
        }
    }

    fn add(&mut self, planned: &Planned) {
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
        let membership = match &planned.config.transport {
            Transport::Multicast { group } => match Membership::join(planned.config.interface, *group) {
                Ok(membership) => Some(membership),
                Err(error) => {
                    journal::warning(&format!(
                        "({name}) cannot join {group} on {}: {error}; adverts of others are not heard",
                        planned.interface_name
                    ));
                    None
                }
            },
            Transport::Unicast { .. } => None,
        };
        self.tell_kernel(KernelRequest::Define { vr: index, set: plan::address_set(planned, &self.host) });
        let inherited = planned.addresses.iter().any(|spec| {
            self.host.addresses.iter().any(|a| {
                a.protocol == ADDRESS_PROTOCOL && a.interface == spec.interface && a.address == spec.address
            })
        });
        if inherited {
            journal::notice(&format!(
                "({name}) addresses of an earlier process are there; they stay until another Active is heard"
            ));
            self.protocol.send(Command::InheritAddresses { vr: index });
        }
        let running = Running { planned: planned.clone(), index, membership, changes: Vec::new() };
        self.running.insert(name.clone(), running);
        self.tell_place(&name);
    }

    /// Tells the protocol what the kernel has for a virtual router: source address and carrier.
    fn tell_place(&self, name: &str) {
        let Some(running) = self.running.get(name) else { return };
        let config = &running.planned.config;
        let there = |source: &std::net::IpAddr| self.host.addresses.iter().any(|a| a.address == *source);
        let source = match running.planned.source {
            Some(source) => Some(source).filter(there),
            None => self.host.primary(config.interface, config.family),
        };
        let up = self.host.links.iter().any(|l| l.index == config.interface && l.carries);
        self.protocol.send(Command::Source { vr: running.index, source });
        self.protocol.send(Command::Link { vr: running.index, up });
    }

    fn change(&mut self, planned: &Planned) {
        let Some(running) = self.running.get_mut(&planned.config.name) else { return };
        if running.planned == *planned {
            return;
        }
        journal::notice(&format!("({}) its configuration changed", planned.config.name));
        let vr = running.index;
        if running.planned.config.transport != planned.config.transport {
            running.membership = match &planned.config.transport {
                Transport::Multicast { group } => Membership::join(planned.config.interface, *group).ok(),
                Transport::Unicast { .. } => None,
            };
        }
        running.planned = planned.clone();
        let set = plan::address_set(planned, &self.host);
        self.tell_kernel(KernelRequest::Define { vr, set });
        let config = Box::new(planned.config.clone());
        if let Some(Err(error)) = self.protocol.ask(|reply| Command::Reconfigure { vr, config, reply }) {
            journal::error(&format!("({}) cannot be changed: {error:?}", planned.config.name));
        }
        self.tell_place(&planned.config.name);
    }

    fn remove(&mut self, name: &str) {
        let Some(running) = self.running.remove(name) else { return };
        journal::notice(&format!("({name}) is no longer configured"));
        self.protocol.send(Command::Release { vr: running.index, stop: true });
        self.protocol.send(Command::Remove { vr: running.index });
        self.tell_kernel(KernelRequest::Forget { vr: running.index });
    }

    /// Addresses with our mark that no virtual router here has: left by a killed process, and removed unless
    /// another agent of this namespace may own them.
    fn remove_stray(&self, plan: &Plan) {
        let others = control::discover(&control::Target::Here).unwrap_or_default();
        let own = format!("{}-{}.sock", self.namespace, std::process::id());
        if others.iter().any(|agent| agent.socket.file_name().is_some_and(|n| n.to_str() != Some(&own))) {
            return;
        }
        let stray: Vec<_> = self
            .host
            .addresses
            .iter()
            .filter(|a| a.protocol == ADDRESS_PROTOCOL)
            .filter(|a| {
                let mut specs = plan.routers.iter().flat_map(|p| &p.addresses);
                !specs.any(|s| s.interface == a.interface && s.address == a.address)
            })
            .map(|a| vrrp_linux::netlink::AddressSpec::new(a.interface, a.address, a.prefix_len))
            .collect();
        for spec in &stray {
            journal::notice(&format!(
                "{}/{} was left by an earlier process and is removed",
                spec.address, spec.prefix_len
            ));
        }
        if !stray.is_empty() {
            self.tell_kernel(KernelRequest::RemoveStray(stray));
        }
    }

    fn reload(&mut self) {
        journal::notice(&format!("reloading {}", self.line.configuration.display()));
        self.refresh_host();
        let made = configuration::read(self.line, Told::InTheLog)
            .and_then(|configuration| Ok((plan::make(&configuration, &self.host)?, configuration)));
        match made {
            Ok((plan, configuration)) => {
                self.configuration = configuration;
                self.loaded_at = SystemTime::now();
                self.last_reload_error = None;
                self.apply(plan, false);
                journal::notice("reloaded");
            }
            Err(text) => {
                journal::error(&format!("nothing was changed: {text}"));
                self.last_reload_error = Some(text);
            }
        }
    }

    // ---- Tracking ----

    fn watch_tracks(&mut self, plan: &Plan) {
        let unchanged =
            |name: &String| plan.trackers.get(name).is_some_and(|s| self.plan.trackers.get(name) == Some(s));
        let ended: Vec<String> = self.trackers.keys().filter(|n| !unchanged(n)).cloned().collect();
        for name in ended {
            self.trackers.remove(&name);
            self.found.remove(&name);
        }
        for (name, spec) in &plan.trackers {
            if self.trackers.contains_key(name) {
                continue;
            }
            match Tracker::start(name, spec.clone(), self.facts_in.clone(), Arc::clone(&self.wake)) {
                Ok(tracker) => drop(self.trackers.insert(name.clone(), tracker)),
                Err(error) => journal::error(&format!("{name} cannot be watched: {error}")),
            }
        }
    }

    fn fact(&mut self, fact: Fact) {
        // A tracker that was dropped may have had a last word.
        if !self.trackers.contains_key(&fact.name) {
            return;
        }
        journal::notice(&format!("{}: {:?} ({})", fact.name, fact.state, fact.detail));
        let name = fact.name.clone();
        self.found.insert(name.clone(), fact);
        self.settle_tracks(Some(&name));
    }

    fn settle_tracks(&mut self, only: Option<&str>) {
        for running in self.running.values_mut() {
            if only.is_some_and(|name| !running.planned.tracks.iter().any(|(n, _, _)| n == name)) {
                continue;
            }
            let weighted: Vec<Weighted> = running
                .planned
                .tracks
                .iter()
                .map(|(name, weight, reverse)| {
                    let state = match name.strip_prefix("interface ") {
                        Some(link) if self.host.link(link).is_some_and(|l| l.carries) => tracking::State::Up,
                        Some(_) => tracking::State::Down,
                        None => self.found.get(name).map_or(tracking::State::Unknown, |f| f.state),
                    };
                    Weighted { name: name.clone(), state, weight: *weight, reverse: *reverse }
                })
                .collect();
            let account = tracking::account(&weighted);
            running.changes.clone_from(&account.words);
            self.protocol.send(Command::Tracking {
                vr: running.index,
                delta: account.delta,
                failed: account.failed,
            });
        }
    }

    // ---- What happened ----

    /// Answers whether links or addresses changed.
    fn report(&mut self, report: Report) -> bool {
        match report {
            Report::Installed { vr, took } => {
                let name = self.name_of(vr);
                journal::info(&format!(
                    "({name}) addresses answer and are announced after {} us",
                    took.as_micros()
                ));
                false
            }
            Report::InstallFailed { vr, text } => {
                journal::error(&format!("({}) address not set: {text}", self.name_of(vr)));
                self.protocol.send(Command::AddressesFailed { vr });
                false
            }
            Report::Warning(text) => {
                journal::warning(&text);
                false
            }
            Report::Kernel(event) => match event {
                KernelEvent::AddressAdded(a) | KernelEvent::AddressRemoved(a) => {
                    a.protocol != ADDRESS_PROTOCOL
                }
                _ => true,
            },
        }
    }

    fn host_changed(&mut self) {
        let before = std::mem::take(&mut self.host);
        self.refresh_host();
        let names: Vec<String> = self.running.keys().cloned().collect();
        for name in names {
            if let Some(running) = self.running.get(&name) {
                let set = plan::address_set(&running.planned, &self.host);
                self.tell_kernel(KernelRequest::Define { vr: running.index, set });
            }
            self.tell_place(&name);
        }
        if before.links != self.host.links {
            self.settle_tracks(None);
        }
    }

    fn name_of(&self, vr: VrIndex) -> String {
        let found = self.running.values().find(|r| r.index == vr);
        found.map_or_else(|| "?".to_owned(), |r| r.planned.config.name.clone())
    }

    fn event(&mut self, event: &Event) {
        let vr = event.vr();
        let Some(running) = self.running.values().find(|r| r.index == vr) else { return };
        let (severity, kind, text) = narrate::narrate(event, &running.planned.config);
        journal::write(severity, &text);
        let name = running.planned.config.name.clone();
        self.subscribers.retain(|subscriber| {
            let event = control::Event {
                at: rfc3339(SystemTime::now()),
                kind: kind.to_owned(),
                virtual_router: Some(name.clone()),
                text: text.clone(),
            };
            subscriber.send(Response::Event(event)).is_ok()
        });
        self.notify(event, &name);
        let outcome = match event {
            Event::SuccessorHeard { after, .. } => Some((true, Some(after.as_secs_f64() * 1000.0))),
            Event::NoSuccessor { .. } => Some((false, None)),
            _ => None,
        };
        if let Some((done, took_ms)) = outcome {
            let result = HandoverResult { name, done, took_ms, text };
            for pending in &mut self.pending {
                if pending.open.contains(&vr) {
                    pending.open.retain(|open| *open != vr);
                    pending.results.push(result.clone());
                }
            }
            self.answer_handovers();
        }
    }

    fn answer_handovers(&mut self) {
        self.pending.retain_mut(|pending| {
            if pending.open.is_empty() {
                // Whoever asked may have gone.
                let _ = pending.answers.send(Response::Handover(std::mem::take(&mut pending.results)));
            }
            !pending.open.is_empty()
        });
    }

    /// keepalived's contract: `INSTANCE NAME STATE PRIORITY`, as arguments and as a line in the FIFO.
    fn notify(&self, event: &Event, name: &str) {
        let Some(running) = self.running.get(name) else { return };
        let hooks = &running.planned.hooks;
        let priority = running.planned.config.priority.to_string();
        let (word, own) = match event {
            Event::StateChanged { to: State::Active, .. } => ("MASTER", &hooks.active),
            Event::StateChanged { to: State::Backup, .. } => ("BACKUP", &hooks.backup),
            Event::StateChanged { to: State::Initialize(vrrp::Hold::Stopped), .. } => ("STOP", &hooks.stop),
            Event::StateChanged { to: State::Initialize(_), .. } => ("FAULT", &hooks.fault),
            Event::SecondActive { .. } => ("MASTER_RX_LOWER_PRI", &hooks.lower_priority),
            _ => return,
        };
        if let Some(hook) = own {
            self.hooks.run(hook, &["INSTANCE", name, word, &priority]);
        }
        if let Some(hook) = hooks.any.as_ref().filter(|_| word != "MASTER_RX_LOWER_PRI") {
            self.hooks.run(hook, &["INSTANCE", name, word, &priority]);
        }
        if let Some(fifo) = &self.configuration.global.notify_fifo {
            self.hooks.fifo(fifo.as_ref(), format!("INSTANCE \"{name}\" {word} {priority}\n"));
        }
    }

    // ---- The control socket ----

    fn answer(&mut self, question: Question) {
        match question.request {
            Request::Identify => {}
            Request::Status => {
                let response = match self.status() {
                    Some(status) => Response::Status(Box::new(status)),
                    None => Response::Error {
                        text: "the protocol thread does not answer; see the agent's log".into(),
                    },
                };
                // Whoever asked may have gone; so below.
                let _ = question.answers.send(response);
            }
            Request::Events => self.subscribers.push(question.answers),
            Request::Handover { name, take_back } => {
                self.handover(name.as_deref(), take_back, question.answers);
            }
        }
    }

    fn snapshots(&self) -> Option<Vec<Snapshot>> {
        let (mut parts, mut from) = (Vec::new(), 0);
        loop {
            let part = self.protocol.ask(|reply| Command::Snapshot { from, count: SNAPSHOT_PART, reply })?;
            from += SNAPSHOT_PART;
            let last = from >= part.slots;
            parts.push(part);
            if last {
                return Some(parts);
            }
        }
    }

    fn handover(&mut self, name: Option<&str>, take_back: bool, answers: Sender<Response>) {
        let wanted: Vec<&Running> =
            self.running.values().filter(|r| name.is_none_or(|n| r.planned.config.name == n)).collect();
        if wanted.is_empty() {
            let known: Vec<&str> = self.running.keys().map(String::as_str).collect();
            let text = format!(
                "no virtual router is named {}; there are: {}",
                name.unwrap_or("?"),
                known.join(", ")
            );
            let _ = answers.send(Response::Error { text });
            return;
        }
        let Some(parts) = self.snapshots() else { return };
        let mut pending = Pending { open: Vec::new(), results: Vec::new(), answers };
        for running in wanted {
            let name = running.planned.config.name.clone();
            let state = parts
                .iter()
                .flat_map(|p| &p.virtual_routers)
                .find(|vr| vr.index() == running.index)
                .map(vrrp::VirtualRouter::state);
            if take_back {
                self.protocol.send(Command::TakeBack { vr: running.index });
                let text = "preempts again as configured".to_owned();
                pending.results.push(HandoverResult { name, done: true, took_ms: None, text });
            } else if state == Some(State::Active) {
                pending.open.push(running.index);
                self.protocol.send(Command::Release { vr: running.index, stop: false });
            } else {
                let text = "is not Active: nothing to hand over".to_owned();
                pending.results.push(HandoverResult { name, done: true, took_ms: None, text });
            }
        }
        self.pending.push(pending);
        self.answer_handovers();
    }

    fn status(&mut self) -> Option<control::AgentStatus> {
        let parts = self.snapshots()?;
        self.refresh_host();
        let first = parts.first()?;
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let virtual_routers = self
            .plan
            .routers
            .iter()
            .filter_map(|planned| {
                let running = self.running.get(&planned.config.name)?;
                let part =
                    parts.iter().find(|p| p.virtual_routers.iter().any(|v| v.index() == running.index))?;
                let vr = part.virtual_routers.iter().find(|v| v.index() == running.index)?;
                Some(status::of(vr, planned, &running.changes, &self.host, part.taken_at))
            })
            .collect();
        let tracks = self.plan.trackers.keys().map(|full| {
            let (kind, name) = full.split_once(' ').unwrap_or(("?", full));
            let (state, detail) = match self.found.get(full) {
                None => ("unknown".to_owned(), "nothing found yet".to_owned()),
                Some(fact) => (format!("{:?}", fact.state).to_lowercase(), fact.detail.clone()),
            };
            control::TrackStatus { kind: kind.to_owned(), name: name.to_owned(), state, detail }
        });
        Some(control::AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            configuration: self.line.configuration.display().to_string(),
            configuration_loaded_at: rfc3339(self.loaded_at),
            last_reload_error: self.last_reload_error.clone(),
            network_namespace: self.namespace,
            lateness: control::Lateness {
                p50_us: micros(first.lateness.percentile(50)),
                p99_us: micros(first.lateness.percentile(99)),
                max_us: micros(first.lateness.max()),
            },
            receive_overflows: first.receive_overflows,
            unclaimed: first
                .unclaimed
                .iter()
                .map(|(reason, count)| control::Discard {
                    reason: reason.name().to_owned(),
                    peer: None,
                    count: *count,
                    explanation: reason.explanation().to_owned(),
                })
                .collect(),
            virtual_routers,
            tracks: tracks.collect(),
        })
    }

    /// SIGUSR1 and SIGUSR2: the status beside the pid file, where nobody else can have planted a link.
    fn dump(&mut self, signal: i32) {
        let Some(status) = self.status() else { return };
        let name = if signal == SIGUSR1 { "keepalived.data" } else { "keepalived.stats" };
        let path = control::runtime_directory().join(name);
        let text = format!("{status:#?}\n");
        match std::fs::write(&path, text) {
            Ok(()) => journal::notice(&format!("state written to {}", path.display())),
            Err(error) => journal::warning(&format!("cannot write {}: {error}", path.display())),
        }
    }

    // ---- The end ----

    fn release_all(&self) {
        if self.line.keep_addresses {
            journal::notice("stopping; the addresses stay (--dont-release-vrrp)");
            return;
        }
        journal::notice("stopping: handing over");
        for running in self.running.values() {
            self.protocol.send(Command::Release { vr: running.index, stop: true });
        }
    }

    fn stop(&mut self, events: &Receiver<TimedEvent>) {
        while let Ok((_, event)) = events.try_recv() {
            self.event(&event);
        }
        self.hooks.finish(Duration::from_secs(2));
    }

    fn finish_kernel(&self, reports: &Receiver<Report>) {
        self.tell_kernel(KernelRequest::Quit);
        // The worker drops its end when it is done with everything before.
        while let Ok(report) = reports.recv_timeout(Duration::from_secs(2)) {
            if let Report::Warning(text) = report {
                journal::warning(&text);
            }
        }
    }
}
