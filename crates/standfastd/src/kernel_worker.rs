//! The kernel worker: puts addresses on interfaces with the routes and rules that go along, takes them off,
//! announces them, listens for others that announce them, and tells what the kernel did by itself. It may wait for
//! the kernel; the protocol thread goes on meanwhile.
//!
//! An address that was there already and is not marked as ours belongs to somebody else: it is announced while
//! the virtual router is Active, and never taken off.

mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use vrrp::{Effect, IfIndex, MacAddress, VrIndex};
use vrrp_linux::announce::{Announcer, Frame};
use vrrp_linux::announcement_frame::{gratuitous_arp, unsolicited_na};
use vrrp_linux::clock;
use vrrp_linux::netlink::{ADDRESS_PROTOCOL, AddressSpec, InterfaceAddress, KernelEvent, Monitor, Netlink};
use vrrp_linux::poll::{Poller, Waker};
use vrrp_linux::route::RouteSpec;
use vrrp_linux::rule::RuleSpec;

use crate::address_ledger::{AddressLedger, Place};
pub(crate) use routes::{MovingRoute, MovingRule, RouteSet};
use routes::{RouteState, attempt};

/// An address that others keep taking away is put back this often a minute; then we say so and stop.
const RESTORES_PER_MINUTE: u32 = 10;

/// How long after the last handover others are listened to.
const DEAF_AFTER: Duration = Duration::from_secs(2);

/// How long an IPv6 address is waited for before it is announced in any case.
const ANSWERS_WITHIN: Duration = Duration::from_millis(20);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// What the addresses of a virtual router are, what their announcements are made from, and what moves along.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AddressSet {
    pub(crate) addresses: Vec<AddressSpec>,
    pub(crate) links: BTreeMap<IfIndex, LinkFacts>,
    pub(crate) moving: RouteSet,
}

/// What an announcement says of the link it leaves by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinkFacts {
    pub(crate) mac: MacAddress,
    /// Source of unsolicited NA, if the address announced is not link-local itself.
    pub(crate) link_local: Option<Ipv6Addr>,
    /// What the kernel says of itself in its own NA.
    pub(crate) is_router: bool,
}

/// What the worker is asked.
pub(crate) enum Request {
    /// From the protocol thread.
    Effect(Effect),
    /// A virtual router's addresses, new or changed. Those that are no longer among them are removed if they
    /// are installed.
    Define {
        vr: VrIndex,
        set: AddressSet,
    },
    /// The addresses are on the interface already, left by an earlier process of ours.
    Adopt {
        vr: VrIndex,
    },
    /// A virtual router is gone; its addresses are removed.
    Forget {
        vr: VrIndex,
    },
    /// From the protocol thread: whether addresses are on their way to another router, whose announcement is
    /// listened for.
    Listen(bool),
    /// What is ours and no virtual router's.
    RemoveStray {
        addresses: Vec<AddressSpec>,
        routes: Vec<RouteSpec>,
        rules: Vec<RuleSpec>,
    },
    Quit,
}

/// What the worker tells.
pub(crate) enum Report {
    /// The addresses answer.
    Installed { vr: VrIndex, took: Duration },
    /// An address could not be set, or does not answer.
    InstallFailed { vr: VrIndex, text: String },
    /// An address was there already, configured by somebody else.
    Foreign { vr: VrIndex, address: IpAddr },
    /// A route or rule could not be set: the virtual router is Active without it.
    RouteFailed { vr: VrIndex, text: String },
    /// A route or rule was there already, set by somebody else.
    ForeignRoute { vr: VrIndex, text: String },
    /// Another router announced an address of this virtual router.
    AnnouncedElsewhere { vr: VrIndex, at: vrrp::Instant },
    /// Announcements of others cannot be heard, and why.
    CannotListen(String),
    /// Something to log.
    Warning(String),
    /// The kernel's links or addresses changed.
    Kernel(KernelEvent),
}

struct Entry {
    set: AddressSet,
    frames: Vec<Frame>,
    installed: bool,
    /// Whether its addresses only linger: another router announces them.
    silent: bool,
    /// Addresses that somebody else configured.
    foreign: BTreeSet<Place>,
    /// Addresses that the kernel still looks for elsewhere: announced again when they answer.
    tentative: BTreeSet<Place>,
    /// On the interface still, as an earlier configuration had them: with another prefix, label or scope.
    outdated: Vec<AddressSpec>,
    restores: u32,
    restores_since: Instant,
    routes: RouteState,
}

impl Entry {
    fn has(&self, place: Place) -> bool {
        self.set.addresses.iter().any(|spec| of(spec) == place)
    }
}

fn of(spec: &AddressSpec) -> Place {
    (spec.interface, spec.address)
}

/// What the kernel tells IPv4 addresses apart by.
fn same_key(a: &AddressSpec, b: &AddressSpec) -> bool {
    of(a) == of(b) && a.prefix_len == b.prefix_len
}

/// How this agent knows its own addresses.
pub(crate) struct Ownership {
    /// Whether the kernel keeps our mark.
    pub(crate) marks: bool,
    /// Those that an earlier process of ours left.
    pub(crate) known: BTreeSet<Place>,
    /// Keys of the routes and rules that we have set, and of those that an earlier process of ours left.
    pub(crate) known_routes: BTreeSet<String>,
    pub(crate) ledger: Option<AddressLedger>,
}

impl Ownership {
    fn is_ours(&self, address: &InterfaceAddress) -> bool {
        if self.marks {
            address.protocol == ADDRESS_PROTOCOL
        } else {
            self.known.contains(&(address.interface, address.address))
        }
    }
}

struct Worker {
    netlink: Netlink,
    announcer: Announcer,
    listening: bool,
    /// When to stop listening, since the kernel takes its time for that.
    deaf_at: Option<vrrp::Instant>,
    monitor: Monitor,
    poller: Poller,
    waker: Arc<Waker>,
    requests: Receiver<Request>,
    reports: Sender<Report>,
    reports_waker: Arc<Waker>,
    entries: BTreeMap<VrIndex, Entry>,
    ownership: Ownership,
    /// Whether the kernel tells of routes and rules.
    watches_routes: bool,
    /// Links without a carrier: what the kernel took with it is set again when they return.
    down: BTreeSet<IfIndex>,
}

const TOKEN_WAKER: u64 = 0;
const TOKEN_MONITOR: u64 = 1;
const TOKEN_ANNOUNCER: u64 = 2;

/// Starts the worker; `prepare` is called in its thread first.
///
/// # Errors
/// If a netlink or packet socket is refused: that takes `CAP_NET_ADMIN` and `CAP_NET_RAW`.
pub(crate) fn spawn(
    requests: Receiver<Request>,
    waker: Arc<Waker>,
    reports: Sender<Report>,
    reports_waker: Arc<Waker>,
    ownership: Ownership,
    prepare: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    let poller = Poller::new()?;
    let monitor = Monitor::open()?;
    poller.add(waker.as_fd(), TOKEN_WAKER)?;
    poller.add(monitor.as_fd(), TOKEN_MONITOR)?;
    let announcer = Announcer::open()?;
    poller.add(announcer.as_fd(), TOKEN_ANNOUNCER)?;
    let mut worker = Worker {
        netlink: Netlink::open()?,
        announcer,
        listening: false,
        deaf_at: None,
        monitor,
        poller,
        waker,
        requests,
        reports,
        reports_waker,
        entries: BTreeMap::new(),
        ownership,
        watches_routes: false,
        down: BTreeSet::new(),
    };
    std::thread::Builder::new().name("kernel".into()).stack_size(128 * 1024).spawn(move || {
        prepare();
        worker.run();
    })
}

/// Leaves out what a later withdrawal of the same virtual router makes void, and the announcements that it is to make no
/// more: one that is late takes the clients away from the router that has the addresses by then.
fn without_superseded(requests: Vec<Request>) -> Vec<Request> {
    let (mut withdrawn, mut silenced) = (BTreeSet::new(), BTreeSet::new());
    let mut kept: Vec<Request> = requests
        .into_iter()
        .rev()
        .filter_map(|request| match request {
            Request::Effect(Effect::Withdraw { vr }) => {
                withdrawn.insert(vr);
                Some(request)
            }
            Request::Effect(Effect::Silence { vr }) => {
                silenced.insert(vr);
                Some(request)
            }
            Request::Effect(Effect::Install { vr, .. } | Effect::Announce { vr, .. })
                if withdrawn.contains(&vr) =>
            {
                None
            }
            Request::Effect(Effect::Announce { vr, .. }) if silenced.contains(&vr) => None,
            Request::Effect(Effect::Install { vr, .. }) if silenced.contains(&vr) => {
                Some(Request::Effect(Effect::Install { vr, announce: 0 }))
            }
            _ => Some(request),
        })
        .collect();
    kept.reverse();
    kept
}

impl Worker {
    fn run(&mut self) {
        loop {
            if let Err(error) = self.poller.wait(self.deaf_at) {
                self.report(Report::Warning(format!("the kernel worker cannot wait: {error}; it ends")));
                return;
            }
            self.waker.drain();
            for request in without_superseded(self.requests.try_iter().collect()) {
                match request {
                    Request::Effect(Effect::Install { vr, announce }) => {
                        self.set_silent(vr, announce == 0);
                        self.install(vr, announce);
                    }
                    Request::Effect(Effect::Withdraw { vr }) => self.withdraw(vr),
                    Request::Effect(Effect::Silence { vr }) => self.set_silent(vr, true),
                    Request::Effect(Effect::Announce { vr, repeat }) => self.announce(vr, repeat),
                    Request::Define { vr, set } => self.define(vr, set),
                    Request::Adopt { vr } => self.adopt(vr),
                    Request::Forget { vr } => {
                        self.withdraw(vr);
                        self.entries.remove(&vr);
                    }
                    Request::Listen(true) => self.listen(),
                    Request::Listen(false) => self.deaf_at = Some(clock::monotonic_now() + DEAF_AFTER),
                    Request::RemoveStray { addresses, routes, rules } => {
                        self.remove_set(&routes, &rules);
                        self.remove(&addresses);
                    }
                    Request::Quit => return,
                }
            }
            self.hear();
            self.watch();
            self.deafen_if_due();
        }
    }

    fn report(&self, report: Report) {
        // The supervisor outlives this thread; if it is gone, so is everybody who could read.
        if self.reports.send(report).is_ok() {
            self.reports_waker.wake();
        }
    }

    // ---- Addresses ----

    fn set_silent(&mut self, vr: VrIndex, silent: bool) {
        if let Some(entry) = self.entries.get_mut(&vr) {
            entry.silent = silent;
        }
    }

    fn install(&mut self, vr: VrIndex, announce: u8) {
        let started = Instant::now();
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        entry.installed = true;
        // With the same prefix the kernel would take the new one for the old one.
        let (first, last): (Vec<_>, Vec<_>) =
            std::mem::take(&mut entry.outdated).into_iter().partition(|old| {
                old.address.is_ipv6() || entry.set.addresses.iter().any(|new| same_key(old, new))
            });
        if !first.is_empty() {
            self.netlink.remove_addresses(&first);
        }
        let results = self.netlink.add_addresses(&entry.set.addresses);
        let added = results.iter().zip(&entry.set.addresses).filter(|(result, _)| result.is_ok());
        let soon = added.filter_map(|(_, spec)| match spec.address {
            IpAddr::V6(address) if !spec.duplicate_detection => Some(address),
            _ => None,
        });
        await_answering(&mut self.netlink, soon.collect());
        let routes = attempt(&mut self.netlink, entry.set.moving.clone());
        // What is there is announced even if one failed: the protocol decides what becomes of it.
        let repeat = if entry.silent { 0 } else { announce };
        let sent = send_repeated(&mut self.announcer, &entry.frames, repeat);
        let took = started.elapsed();
        let (mut failed, mut present) = (None, Vec::new());
        for (result, spec) in results.into_iter().zip(&entry.set.addresses) {
            match result {
                Ok(()) => {
                    entry.foreign.remove(&of(spec));
                    self.ownership.known.insert(of(spec));
                    if spec.duplicate_detection && spec.address.is_ipv6() {
                        entry.tentative.insert(of(spec));
                    }
                }
                Err(error) if error.is_exists() => present.push(spec.clone()),
                Err(error) => {
                    failed.get_or_insert_with(|| format!("{}/{}: {error}", spec.address, spec.prefix_len));
                }
            }
        }
        if !last.is_empty() {
            self.netlink.remove_addresses(&last);
        }
        if let Err(error) = sent {
            self.report(Report::Warning(format!("announcement not sent: {error}")));
        }
        if !present.is_empty()
            && let Err(text) = self.examine(vr, &present)
        {
            failed.get_or_insert(text);
        }
        match failed {
            None => self.report(Report::Installed { vr, took }),
            Some(text) => self.report(Report::InstallFailed { vr, text }),
        }
        // Writes the ledger too.
        self.settle(vr, routes);
    }

    /// Whose the addresses are that were there already.
    fn examine(&mut self, vr: VrIndex, present: &[AddressSpec]) -> Result<(), String> {
        let addresses = self.netlink.addresses().map_err(|e| format!("cannot ask for addresses: {e}"))?;
        let mut result = Ok(());
        for spec in present {
            let place = of(spec);
            let Some(there) = addresses.iter().find(|a| (a.interface, a.address) == place) else { continue };
            if !self.ownership.is_ours(there) {
                self.note_foreign(vr, place);
            } else if there.duplicate {
                result = Err(duplicate(place.1));
            } else if there.prefix_len != spec.prefix_len {
                // Ours, from a configuration that has changed since. IPv6 has an address only once.
                let old = AddressSpec::new(spec.interface, spec.address, there.prefix_len);
                self.netlink.remove_addresses(&[old]);
                let added = self.netlink.add_addresses(std::slice::from_ref(spec));
                if let Some(Err(error)) = added.into_iter().next() {
                    result = Err(format!("{}/{}: {error}", spec.address, spec.prefix_len));
                }
            }
        }
        result
    }

    fn note_foreign(&mut self, vr: VrIndex, place: Place) {
        if self.entries.get_mut(&vr).is_some_and(|entry| entry.foreign.insert(place)) {
            self.ownership.known.remove(&place);
            self.report(Report::Foreign { vr, address: place.1 });
        }
    }

    fn adopt(&mut self, vr: VrIndex) {
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        entry.installed = true;
        let moving = entry.set.moving.clone();
        self.adopt_routes(&moving);
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        let Ok(addresses) = self.netlink.addresses() else { return };
        for place in entry.set.addresses.iter().map(of) {
            match addresses.iter().find(|a| (a.interface, a.address) == place) {
                Some(there) if self.ownership.is_ours(there) => {
                    self.ownership.known.insert(place);
                }
                Some(_) => {
                    entry.foreign.insert(place);
                }
                None => {}
            }
        }
        self.write_ledger();
    }

    fn withdraw(&mut self, vr: VrIndex) {
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        entry.installed = false;
        entry.tentative.clear();
        entry.routes = RouteState::new();
        let moving = entry.set.moving.clone();
        let outdated = std::mem::take(&mut entry.outdated);
        let foreign = std::mem::take(&mut entry.foreign);
        let ours: Vec<AddressSpec> = entry
            .set
            .addresses
            .iter()
            .filter(|s| !foreign.contains(&of(s)))
            .cloned()
            .chain(outdated)
            .collect();
        self.remove_routes(&moving);
        self.remove(&ours);
    }

    /// Takes addresses off, but for those that another virtual router has by now.
    fn remove(&mut self, specs: &[AddressSpec]) {
        let free: Vec<AddressSpec> = specs
            .iter()
            .filter(|spec| !self.entries.values().any(|entry| entry.installed && entry.has(of(spec))))
            .cloned()
            .collect();
        for (result, spec) in self.netlink.remove_addresses(&free).into_iter().zip(&free) {
            self.ownership.known.remove(&of(spec));
            if let Err(error) = result
                && !error.is_not_found()
            {
                self.report(Report::Warning(format!(
                    "{}/{} could not be removed: {error}",
                    spec.address, spec.prefix_len
                )));
            }
        }
        self.write_ledger();
    }

    fn announce(&mut self, vr: VrIndex, repeat: u8) {
        let Some(entry) = self.entries.get(&vr).filter(|entry| entry.installed && !entry.silent) else {
            return;
        };
        if let Err(error) = send_repeated(&mut self.announcer, &entry.frames, repeat) {
            self.report(Report::Warning(format!("announcement not sent: {error}")));
        }
    }

    fn define(&mut self, vr: VrIndex, set: AddressSet) {
        self.watch_routes_of(&set);
        let frames = frames(&set);
        let Some(entry) = self.entries.get_mut(&vr) else {
            let entry = Entry {
                set,
                frames,
                installed: false,
                silent: false,
                foreign: BTreeSet::new(),
                tentative: BTreeSet::new(),
                outdated: Vec::new(),
                restores: 0,
                restores_since: Instant::now(),
                routes: RouteState::new(),
            };
            self.entries.insert(vr, entry);
            return;
        };
        let before = std::mem::replace(&mut entry.set, set);
        entry.frames = frames;
        if !entry.installed {
            return;
        }
        if before.addresses == entry.set.addresses {
            self.change_routes(vr, &before.moving);
            return;
        }
        let dropped = before
            .addresses
            .into_iter()
            .filter(|old| !entry.set.addresses.contains(old) && !entry.foreign.contains(&of(old)));
        let (outdated, gone): (Vec<_>, Vec<_>) =
            dropped.partition(|old| entry.set.addresses.iter().any(|new| of(new) == of(old)));
        entry.outdated.extend(outdated);
        self.drop_routes(vr, &before.moving);
        self.remove(&gone);
        self.install(vr, 1);
    }

    /// The kernel tells of routes and rules from the first virtual router on that has some.
    fn watch_routes_of(&mut self, set: &AddressSet) {
        if self.watches_routes || set.moving.is_empty() {
            return;
        }
        self.watches_routes = true;
        if let Err(error) = self.monitor.watch_routes() {
            self.report(Report::Warning(format!(
                "cannot watch routes: {error}; what others remove is not put back"
            )));
        }
    }

    fn write_ledger(&mut self) {
        let Some(ledger) = &mut self.ownership.ledger else { return };
        let installed = self.entries.values().filter(|entry| entry.installed);
        let ours = installed
            .flat_map(|e| e.set.addresses.iter().map(of).filter(|place| !e.foreign.contains(place)))
            .filter(|place| self.ownership.known.contains(place));
        let installed = self.entries.values().filter(|entry| entry.installed);
        let routes = installed
            .flat_map(|entry| entry.set.moving.keys())
            .filter(|key| self.ownership.known_routes.contains(key));
        if let Err(error) = ledger.write(ours, routes) {
            self.ownership.ledger = None;
            self.report(Report::Warning(format!(
                "cannot write which addresses are ours: {error}; after a kill only the kernel's mark tells"
            )));
        }
    }

    // ---- Hearing others ----

    fn listen(&mut self) {
        self.deaf_at = None;
        if self.listening {
            return;
        }
        match self.announcer.listen() {
            Ok(()) => self.listening = true,
            Err(error) => self.report(Report::CannotListen(error.to_string())),
        }
    }

    fn deafen_if_due(&mut self) {
        if self.deaf_at.is_some_and(|at| at <= clock::monotonic_now()) {
            self.deaf_at = None;
            self.listening = false;
            if let Err(error) = self.announcer.deafen() {
                self.report(Report::Warning(format!("cannot stop listening: {error}")));
            }
        }
    }

    fn hear(&mut self) {
        if !self.listening {
            return;
        }
        let mut heard = Vec::new();
        self.announcer.read(&mut |announcement| heard.push(announcement));
        let at = clock::monotonic_now();
        for announcement in heard {
            let place = (announcement.interface, announcement.address);
            let whose = self.entries.iter().find(|(_, entry)| {
                let own_mac = entry.set.links.get(&announcement.interface).map(|facts| facts.mac);
                entry.installed && entry.has(place) && own_mac != Some(announcement.mac)
            });
            if let Some((vr, _)) = whose {
                self.report(Report::AnnouncedElsewhere { vr: *vr, at });
            }
        }
    }

    // ---- What the kernel did ----

    fn watch(&mut self) {
        let events = match self.monitor.read_events() {
            Ok(events) => events,
            Err(error) => {
                self.report(Report::Warning(format!("cannot watch the kernel's addresses: {error}")));
                return;
            }
        };
        for event in events {
            match &event {
                KernelEvent::AddressRemoved(removed) => {
                    self.restore((removed.interface, removed.address));
                }
                KernelEvent::AddressAdded(added) => {
                    self.appeared(added);
                    self.try_failed_routes();
                }
                KernelEvent::LinkChanged(link) if link.carries => {
                    self.link_returned(link.index);
                    if self.down.remove(&link.index) {
                        self.link_returned_for_routes(link.index);
                    }
                    self.try_failed_routes();
                }
                KernelEvent::LinkChanged(link) => {
                    self.down.insert(link.index);
                }
                KernelEvent::LinkGone(link) => {
                    self.down.remove(&link.index);
                }
                KernelEvent::RouteRemoved(removed) => {
                    self.route_removed(removed);
                    continue;
                }
                KernelEvent::RuleRemoved(removed) => {
                    self.rule_removed(removed);
                    continue;
                }
                KernelEvent::Overrun => self.check_routes(),
            }
            self.report(Report::Kernel(event));
        }
    }

    fn holder(&self, place: Place) -> Option<VrIndex> {
        self.entries.iter().find(|(_, entry)| entry.installed && entry.has(place)).map(|(vr, _)| *vr)
    }

    /// An address appeared or changed: ours may answer only now, or be another host's.
    fn appeared(&mut self, address: &InterfaceAddress) {
        let place = (address.interface, address.address);
        let Some(vr) = self.holder(place) else { return };
        if address.duplicate {
            self.report(Report::InstallFailed { vr, text: duplicate(place.1) });
        } else if !self.ownership.is_ours(address) {
            // The event may be older than our own address in that place.
            let still = self.netlink.addresses().is_ok_and(|all| {
                all.iter().any(|a| (a.interface, a.address) == place && !self.ownership.is_ours(a))
            });
            if still {
                self.note_foreign(vr, place);
            }
        } else if !address.tentative
            && self.entries.get_mut(&vr).is_some_and(|entry| entry.tentative.remove(&place))
        {
            self.announce(vr, 1);
        }
    }

    /// The kernel takes IPv6 addresses away with the carrier.
    fn link_returned(&mut self, interface: IfIndex) {
        let incomplete: Vec<VrIndex> = {
            let Ok(addresses) = self.netlink.addresses() else { return };
            let there = |spec: &AddressSpec| {
                addresses.iter().any(|a| (a.interface, a.address) == (spec.interface, spec.address))
            };
            self.entries
                .iter()
                .filter(|(_, e)| {
                    e.installed && e.set.addresses.iter().any(|s| s.interface == interface && !there(s))
                })
                .map(|(vr, _)| *vr)
                .collect()
        };
        for vr in incomplete {
            self.install(vr, 1);
        }
    }

    /// An address of ours was taken away: it is put back at once.
    fn restore(&mut self, place: Place) {
        let Some(vr) = self.holder(place) else { return };
        // The event may be of a removal of ours that has been undone since; and what goes with a link that is
        // down or gone comes back with it.
        let there = self
            .netlink
            .addresses()
            .is_ok_and(|all| all.iter().any(|a| (a.interface, a.address) == place && !a.duplicate));
        let carries =
            self.netlink.links().is_ok_and(|all| all.iter().any(|l| l.index == place.0 && l.carries));
        if there || !carries {
            return;
        }
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        if entry.restores_since.elapsed() > Duration::from_mins(1) {
            entry.restores = 0;
            entry.restores_since = Instant::now();
        }
        entry.restores += 1;
        let (restores, address) = (entry.restores, place.1);
        if restores <= RESTORES_PER_MINUTE {
            self.report(Report::Warning(format!("somebody removed {address}; put back and announced again")));
            self.install(vr, 1);
        } else if restores == RESTORES_PER_MINUTE + 1 {
            self.report(Report::InstallFailed {
                vr,
                text: format!(
                    "{address} was removed {restores} times within a minute; find who manages this interface \
                     (a network manager, another agent) and exclude the address there"
                ),
            });
        }
    }
}

fn duplicate(address: IpAddr) -> String {
    format!(
        "{address}: another host answers for it (duplicate address detection); find that host, or remove \
         `-nodad`"
    )
}

/// Waits until the kernel answers for IPv6 addresses that it has just taken.
fn await_answering(netlink: &mut Netlink, mut open: Vec<Ipv6Addr>) {
    let deadline = Instant::now() + ANSWERS_WITHIN;
    loop {
        // What cannot be asked is announced at once.
        open.retain(|address| !netlink.answers_for(*address).unwrap_or(true));
        if open.is_empty() || Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn send_repeated(announcer: &mut Announcer, frames: &[Frame], repeat: u8) -> io::Result<()> {
    for _ in 0..repeat {
        announcer.send(frames)?;
    }
    Ok(())
}

fn frames(set: &AddressSet) -> Vec<Frame> {
    let of = |spec: &AddressSpec| {
        let link = set.links.get(&spec.interface)?;
        let bytes = match spec.address {
            IpAddr::V4(address) => gratuitous_arp(link.mac, address).to_vec(),
            IpAddr::V6(address) => {
                let source = if address.is_unicast_link_local() { Some(address) } else { link.link_local };
                unsolicited_na(link.mac, source?, address, link.is_router).to_vec()
            }
        };
        Some(Frame { interface: spec.interface, bytes })
    };
    set.addresses.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_withdrawal_makes_void_is_left_out() {
        let (a, b) = (VrIndex(1), VrIndex(2));
        let install = |vr| Request::Effect(Effect::Install { vr, announce: 5 });
        let announce = |vr| Request::Effect(Effect::Announce { vr, repeat: 1 });
        let withdraw = |vr| Request::Effect(Effect::Withdraw { vr });
        let silence = |vr| Request::Effect(Effect::Silence { vr });
        let word = |request: &Request| match request {
            Request::Effect(Effect::Install { vr, announce: 0 }) => format!("only install {}", vr.0),
            Request::Effect(Effect::Install { vr, .. }) => format!("install {}", vr.0),
            Request::Effect(Effect::Silence { vr }) => format!("silence {}", vr.0),
            Request::Effect(Effect::Announce { vr, .. }) => format!("announce {}", vr.0),
            Request::Effect(Effect::Withdraw { vr }) => format!("withdraw {}", vr.0),
            _ => "other".to_owned(),
        };
        let queue = vec![install(a), announce(a), announce(b), withdraw(a), install(a), announce(a)];
        let kept: Vec<String> = without_superseded(queue).iter().map(word).collect();
        assert_eq!(kept, ["announce 2", "withdraw 1", "install 1", "announce 1"]);

        let queue = vec![install(a), announce(a), announce(b), silence(a), install(a), announce(a)];
        let kept: Vec<String> = without_superseded(queue).iter().map(word).collect();
        assert_eq!(kept, ["only install 1", "announce 2", "silence 1", "install 1", "announce 1"]);
    }
}
