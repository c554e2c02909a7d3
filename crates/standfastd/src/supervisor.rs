//! The supervisor: configuration, signals, tracking, control socket, log. It starts the other threads and
//! ends them.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use control::Response;
use keepalived_conf::Configuration;
use tracking::{Fact, Tracking};
use vrrp::{Event, Family, Instant, VrIndex};
use vrrp_linux::clock;
use vrrp_linux::netlink::{ADDRESS_PROTOCOL, KernelEvent, Netlink};
use vrrp_linux::poll::{Poller, Waker};
use vrrp_linux::signals::Signals;

use crate::command_line::CommandLine;
use crate::hooks::Hooks;
use crate::kernel_worker::{self, Ownership, Report, Request as KernelRequest};
use crate::notification::{Notifications, Word};
use crate::operator::{Pending, Question, rfc3339, start_server};
use crate::plan::{self, Host, Plan};
use crate::protocol_thread::{self, Command, Outlets, ProtocolHandle, Told};
use crate::reconciliation::{Legacies, Running};
use crate::rights::Rights;
use crate::{Failure, journal, narrate, rights};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
pub(crate) const SIGUSR1: i32 = 10;
pub(crate) const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
/// keepalived's `SIGRTMIN + 2`.
pub(crate) const SIGJSON: i32 = 36;
/// How long a stop waits at most, whatever happens: keepalived's users wait 25 s before they kill.
const STOP_AT_MOST: Duration = Duration::from_secs(10);
/// How long it waits then for notify scripts.
const HOOKS_AT_MOST: Duration = Duration::from_secs(2);

pub(crate) struct Supervisor<'a> {
    pub(crate) line: &'a CommandLine,
    pub(crate) protocol: ProtocolHandle,
    kernel: Sender<KernelRequest>,
    kernel_waker: Arc<Waker>,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
    netlink: Netlink,
    pub(crate) host: Host,
    pub(crate) marks: bool,
    pub(crate) plan: Plan,
    pub(crate) configuration: Configuration,
    pub(crate) loaded_at: SystemTime,
    pub(crate) last_reload_error: Option<String>,
    pub(crate) running: BTreeMap<String, Running>,
    /// No longer configured, but their addresses are not gone yet.
    pub(crate) leaving: BTreeMap<VrIndex, Running>,
    /// When virtual routers may start (`vrrp_startup_delay`); `None` once they may.
    pub(crate) start_at: Option<Instant>,
    pub(crate) tracking: Option<Tracking>,
    pub(crate) facts_in: Sender<Fact>,
    pub(crate) found: BTreeMap<String, Fact>,
    pub(crate) notifications: Notifications,
    pub(crate) subscribers: Vec<Sender<Response>>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) namespace: u64,
    pub(crate) rights: Rights,
    quiescent: bool,
}

/// What the other threads send.
struct Mailboxes {
    told: Receiver<Told>,
    reports: Receiver<Report>,
    facts: Receiver<Fact>,
    questions: Receiver<Question>,
}

/// Runs the agent until it is told to stop; `ready` is called when it runs.
///
/// # Errors
/// If it cannot start.
pub(crate) fn run(
    line: &CommandLine,
    configuration: Configuration,
    ready: impl FnOnce(),
) -> Result<ExitCode, Failure> {
    let fatal = |what: &str| {
        let what = what.to_owned();
        move |e: std::io::Error| {
            Failure::fatal(format!("{what}: {e}; standfastd needs CAP_NET_ADMIN and CAP_NET_RAW"))
        }
    };
    let signals =
        Signals::block(&[SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM, SIGJSON]).map_err(fatal("signals"))?;
    let poller = Poller::new().map_err(fatal("epoll"))?;
    let waker = Arc::new(Waker::new().map_err(fatal("eventfd"))?);
    poller.add(waker.as_fd(), 0).map_err(fatal("epoll"))?;
    poller.add(signals.as_fd(), 1).map_err(fatal("epoll"))?;
    let namespace = vrrp_linux::process::network_namespace_id().map_err(fatal("network namespace"))?;

    let mut netlink = Netlink::open().map_err(fatal("netlink"))?;
    let host = Host::ask(&mut netlink).map_err(fatal("netlink"))?;
    let plan = plan::make(&configuration, &host).map_err(Failure::configuration)?;
    let rights = Rights::needed(&plan, line);
    let marks = vrrp_linux::netlink::marks_addresses(&host.addresses);
    let (ledger, legacies) = Legacies::find(line, namespace, &host, marks, &mut netlink);

    let (told_in, told) = channel();
    let (kernel, kernel_requests) = channel();
    let kernel_waker = Arc::new(Waker::new().map_err(fatal("eventfd"))?);
    let outlets = Outlets {
        effects: kernel.clone(),
        effects_waker: Arc::clone(&kernel_waker),
        events: told_in,
        events_waker: Arc::clone(&waker),
    };
    // First, while everything is allowed: it may become real-time.
    let (protocol, protocol_thread) = protocol_thread::spawn(
        &[Family::Ipv4, Family::Ipv6],
        configuration.instances.len(),
        outlets,
        plan::scheduling(&configuration),
        rights::of_the_protocol_thread,
    )
    .map_err(fatal("raw sockets"))?;
    let (report_in, reports) = channel();
    let ownership = Ownership {
        marks,
        known: legacies.own.iter().copied().collect(),
        known_routes: legacies.route_keys().collect(),
        ledger,
    };
    let kernel_thread = kernel_worker::spawn(
        kernel_requests,
        Arc::clone(&kernel_waker),
        report_in,
        Arc::clone(&waker),
        ownership,
        rights::of_the_kernel_worker,
    )
    .map_err(fatal("netlink and packet sockets"))?;
    if configuration.global.no_swap
        && let Err(error) = vrrp_linux::process::lock_memory()
    {
        journal::warning(&format!("vrrp_no_swap is not granted: {error}; raise RLIMIT_MEMLOCK"));
    }
    rights.settle();

    let (facts_in, facts) = channel();
    let (question_in, questions) = channel();
    let wake: Arc<dyn Fn() + Send + Sync> = {
        let waker = Arc::clone(&waker);
        Arc::new(move || waker.wake())
    };
    let server = start_server(line, namespace, question_in, Arc::clone(&wake));
    let start_delay = configuration.global.startup_delay;
    let mut supervisor = Supervisor {
        line,
        protocol,
        kernel,
        kernel_waker,
        wake,
        netlink,
        host,
        marks,
        plan: Plan::default(),
        configuration,
        loaded_at: SystemTime::now(),
        last_reload_error: None,
        running: BTreeMap::new(),
        leaving: BTreeMap::new(),
        start_at: (!start_delay.is_zero()).then(|| clock::monotonic_now() + start_delay),
        tracking: None,
        facts_in,
        found: BTreeMap::new(),
        notifications: Notifications::new(Hooks::new(rights::of_who_starts_programs)),
        subscribers: Vec::new(),
        pending: Vec::new(),
        namespace,
        rights,
        quiescent: false,
    };
    supervisor.apply(plan, Some(&legacies));
    ready();
    journal::notice(&format!(
        "standfastd {} runs {} virtual router(s) of {}",
        env!("CARGO_PKG_VERSION"),
        supervisor.running.len(),
        line.configuration.display()
    ));
    let mailboxes = Mailboxes { told, reports, facts, questions };
    let mut stop_by: Option<Instant> = None;
    loop {
        let deadline = [stop_by, supervisor.start_at].into_iter().flatten().min();
        poller.wait(deadline).map_err(fatal("epoll"))?;
        waker.drain();
        while let Some(signal) = signals.next() {
            match signal {
                SIGHUP => supervisor.reload(),
                SIGUSR1 | SIGUSR2 | SIGJSON => supervisor.dump(signal),
                _ if stop_by.is_none() => {
                    stop_by = Some(clock::monotonic_now() + STOP_AT_MOST);
                    supervisor.release_all();
                }
                _ => {}
            }
        }
        supervisor.read(&mailboxes);
        let now = clock::monotonic_now();
        if supervisor.start_at.is_some_and(|at| at <= now) {
            supervisor.start_all();
        }
        if stop_by.is_some_and(|limit| supervisor.quiescent || now >= limit) {
            break;
        }
    }
    supervisor.read(&mailboxes);
    if !supervisor.quiescent {
        supervisor.withdraw_all();
    }
    supervisor.tracking = None;
    supervisor.notifications.hooks.finish(HOOKS_AT_MOST);
    supervisor.protocol.send(Command::Quit);
    // A thread that ended badly has said why; so below.
    let _ = protocol_thread.join();
    // The kernel worker has every withdrawal in its queue before this request.
    supervisor.tell_kernel(KernelRequest::Quit);
    let _ = kernel_thread.join();
    supervisor.read(&mailboxes);
    drop(server);
    journal::notice("stopped");
    Ok(ExitCode::SUCCESS)
}

impl Supervisor<'_> {
    fn read(&mut self, mailboxes: &Mailboxes) {
        while let Ok(told) = mailboxes.told.try_recv() {
            match told {
                Told::Event(event) => self.event(&event),
                Told::Retired(vr) => self.retired(vr),
                Told::Quiescent => self.quiescent = true,
                Told::Log(severity, text) => journal::write(severity, &text),
            }
        }
        let mut host_changed = false;
        while let Ok(report) = mailboxes.reports.try_recv() {
            host_changed |= self.report(report);
        }
        if host_changed {
            self.host_changed();
        }
        while let Ok(fact) = mailboxes.facts.try_recv() {
            self.fact(fact);
        }
        while let Ok(question) = mailboxes.questions.try_recv() {
            self.answer(question);
        }
    }

    pub(crate) fn tell_kernel(&self, request: KernelRequest) {
        // It ends only when we tell it to.
        if self.kernel.send(request).is_ok() {
            self.kernel_waker.wake();
        }
    }

    pub(crate) fn refresh_host(&mut self) {
        match Host::ask(&mut self.netlink) {
            Ok(host) => self.host = host,
            Err(error) => journal::warning(&format!("cannot ask the kernel for its interfaces: {error}")),
        }
    }

    // ---- What happened ----

    /// Answers whether links or addresses changed.
    fn report(&mut self, report: Report) -> bool {
        match report {
            Report::Installed { vr, took } => {
                let (name, micros) = (self.name_of(vr), took.as_micros());
                journal::info(&format!("({name}) addresses answer and are announced after {micros} us"));
            }
            Report::InstallFailed { vr, text } => {
                let text = format!("({}) address not set: {text}", self.name_of(vr));
                journal::error(&text);
                self.tell_subscribers("address-failed", Some(self.name_of(vr)), &text);
                self.protocol.send(Command::AddressesFailed { vr });
            }
            Report::Foreign { vr, address } => {
                let text = format!(
                    "({}) {address} is on the interface already, configured by somebody else: it is announced \
                     while Active and never removed, so two hosts may answer for it. Leave it out of the \
                     system's network configuration",
                    self.name_of(vr)
                );
                journal::warning(&text);
                self.tell_subscribers("foreign-address", Some(self.name_of(vr)), &text);
            }
            Report::RouteFailed { vr, text } => {
                let text = format!("({}) not set: {text}; it is Active without", self.name_of(vr));
                journal::write_limited(journal::Severity::Error, "route-failed", &text);
                self.tell_subscribers("route-failed", Some(self.name_of(vr)), &text);
            }
            Report::ForeignRoute { vr, text } => {
                let text = format!(
                    "({}) {text} is there already, set by somebody else: it is used and never removed",
                    self.name_of(vr)
                );
                journal::write_limited(journal::Severity::Warning, "foreign-route", &text);
                self.tell_subscribers("foreign-route", Some(self.name_of(vr)), &text);
            }
            Report::AnnouncedElsewhere { vr, at } => {
                self.protocol.send(Command::AnnouncedElsewhere { vr, at });
            }
            Report::CannotListen(text) => {
                journal::warning(&format!("a successor's announcement cannot be heard: {text}"));
                self.protocol.send(Command::CannotListen);
            }
            Report::Warning(text) => journal::warning(&text),
            Report::Kernel(KernelEvent::AddressAdded(a) | KernelEvent::AddressRemoved(a)) => {
                // Our own are not news, where they can be told.
                return !self.marks || a.protocol != ADDRESS_PROTOCOL;
            }
            Report::Kernel(_) => return true,
        }
        false
    }

    fn host_changed(&mut self) {
        let before = std::mem::take(&mut self.host);
        self.refresh_host();
        if before.links != self.host.links {
            self.plan_again();
        }
        let names: Vec<String> = self.running.keys().cloned().collect();
        for name in names {
            self.tell_place(&name);
        }
        self.settle_tracks(None);
    }

    pub(crate) fn name_of(&self, vr: VrIndex) -> String {
        let found = self.running.values().find(|r| r.index == vr).or_else(|| self.leaving.get(&vr));
        found.map_or_else(|| "?".to_owned(), |r| r.planned.config.name.clone())
    }

    fn event(&mut self, event: &Event) {
        let vr = event.vr();
        let found = self.running.values().find(|r| r.index == vr).or_else(|| self.leaving.get(&vr));
        let Some(running) = found else { return };
        let (severity, kind, text) = narrate::narrate(event, &running.planned.config);
        let name = running.planned.config.name.clone();
        // One that leaves has been told of already.
        let leaves = self.leaving.contains_key(&vr);
        if let Some(word) = Word::of(event).filter(|_| !leaves) {
            let (priority, hooks) = (running.planned.config.priority.get(), running.planned.hooks.clone());
            self.notifications.tell(&name, word, priority, &hooks, &self.plan.groups);
        }
        journal::write_limited(severity, kind, &text);
        self.tell_subscribers(kind, Some(name), &text);
        self.handover_event(event, &text);
    }

    pub(crate) fn tell_subscribers(&mut self, kind: &str, name: Option<String>, text: &str) {
        if self.subscribers.is_empty() {
            return;
        }
        let event = control::Event {
            at: rfc3339(SystemTime::now()),
            kind: kind.to_owned(),
            virtual_router: name,
            text: text.to_owned(),
        };
        self.subscribers.retain(|subscriber| subscriber.send(Response::Event(event.clone())).is_ok());
    }

    // ---- The end ----

    /// Nobody came in time: what is still here goes.
    fn withdraw_all(&self) {
        journal::warning("nobody took over in time; the addresses are removed");
        let leaving = self.leaving.keys().copied();
        for vr in self.running.values().map(|running| running.index).chain(leaving) {
            self.tell_kernel(KernelRequest::Forget { vr });
        }
    }

    fn release_all(&mut self) {
        if self.line.keep_addresses {
            journal::notice("stopping; the addresses stay (--dont-release-vrrp)");
            self.quiescent = true;
            return;
        }
        journal::notice("stopping: handing over");
        for running in self.running.values() {
            self.protocol.send(Command::Release { vr: running.index, stop: true });
        }
        self.protocol.send(Command::AwaitQuiescence);
    }
}
