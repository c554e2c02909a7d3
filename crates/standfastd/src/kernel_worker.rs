//! The kernel worker: puts addresses on interfaces, takes them off, announces them, and tells what the
//! kernel did by itself. It may wait for the kernel; the protocol thread goes on meanwhile.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use vrrp::{Effect, IfIndex, MacAddress, VrIndex};
use vrrp_linux::announce::{Announcer, Frame};
use vrrp_linux::announcement_frame::{gratuitous_arp, unsolicited_na};
use vrrp_linux::netlink::{AddressSpec, KernelEvent, Monitor, Netlink};
use vrrp_linux::poll::{Poller, Waker};

/// An address that others keep taking away is put back this often a minute; then we say so and stop.
const RESTORES_PER_MINUTE: u32 = 10;

/// What the addresses of a virtual router are, and what their announcements are made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AddressSet {
    pub(crate) addresses: Vec<AddressSpec>,
    pub(crate) links: BTreeMap<IfIndex, LinkFacts>,
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
    /// A virtual router is gone; its addresses are removed.
    Forget {
        vr: VrIndex,
    },
    /// Addresses with our mark that no virtual router owns.
    RemoveStray(Vec<AddressSpec>),
    Quit,
}

/// What the worker tells.
pub(crate) enum Report {
    /// The addresses answer.
    Installed { vr: VrIndex, took: Duration },
    /// An address could not be set.
    InstallFailed { vr: VrIndex, text: String },
    /// Something to log.
    Warning(String),
    /// The kernel's links or addresses changed.
    Kernel(KernelEvent),
}

struct Entry {
    set: AddressSet,
    frames: Vec<Frame>,
    installed: bool,
    restores: u32,
    restores_since: Instant,
}

struct Worker {
    netlink: Netlink,
    announcer: Announcer,
    monitor: Monitor,
    poller: Poller,
    waker: Arc<Waker>,
    requests: Receiver<Request>,
    reports: Sender<Report>,
    reports_waker: Arc<Waker>,
    entries: BTreeMap<VrIndex, Entry>,
}

const TOKEN_WAKER: u64 = 0;
const TOKEN_MONITOR: u64 = 1;

/// Starts the worker.
///
/// # Errors
/// If a netlink or packet socket is refused: that takes `CAP_NET_ADMIN` and `CAP_NET_RAW`.
pub(crate) fn spawn(
    requests: Receiver<Request>,
    waker: Arc<Waker>,
    reports: Sender<Report>,
    reports_waker: Arc<Waker>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let poller = Poller::new()?;
    let monitor = Monitor::open()?;
    poller.add(waker.as_fd(), TOKEN_WAKER)?;
    poller.add(monitor.as_fd(), TOKEN_MONITOR)?;
    let mut worker = Worker {
        netlink: Netlink::open()?,
        announcer: Announcer::open()?,
        monitor,
        poller,
        waker,
        requests,
        reports,
        reports_waker,
        entries: BTreeMap::new(),
    };
    std::thread::Builder::new().name("kernel".into()).stack_size(256 * 1024).spawn(move || worker.run())
}

impl Worker {
    fn run(&mut self) {
        loop {
            if let Err(error) = self.poller.wait(None) {
                self.report(Report::Warning(format!("the kernel worker cannot wait: {error}; it ends")));
                return;
            }
            self.waker.drain();
            while let Ok(request) = self.requests.try_recv() {
                match request {
                    Request::Effect(Effect::Install { vr, announce }) => self.install(vr, announce),
                    Request::Effect(Effect::Withdraw { vr }) => self.withdraw(vr),
                    Request::Effect(Effect::Announce { vr, repeat }) => self.announce(vr, repeat),
                    Request::Define { vr, set } => self.define(vr, set),
                    Request::Forget { vr } => {
                        self.withdraw(vr);
                        self.entries.remove(&vr);
                    }
                    Request::RemoveStray(specs) => self.remove(&specs),
                    Request::Quit => return,
                }
            }
            self.watch();
        }
    }

    fn report(&self, report: Report) {
        // The supervisor outlives this thread; if it is gone, so is everybody who could read.
        if self.reports.send(report).is_ok() {
            self.reports_waker.wake();
        }
    }

    fn install(&mut self, vr: VrIndex, announce: u8) {
        let started = Instant::now();
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        entry.installed = true;
        let failed = self
            .netlink
            .add_addresses(&entry.set.addresses)
            .into_iter()
            .zip(&entry.set.addresses)
            .find_map(|(result, spec)| result.err().map(|error| (spec.address, spec.prefix_len, error)));
        // What is there is announced even if one failed: the protocol decides what becomes of it.
        let sent = send_repeated(&mut self.announcer, &entry.frames, announce);
        let took = started.elapsed();
        if let Err(error) = sent {
            self.report(Report::Warning(format!("announcement not sent: {error}")));
        }
        match failed {
            None => self.report(Report::Installed { vr, took }),
            Some((address, prefix_len, error)) => {
                self.report(Report::InstallFailed { vr, text: format!("{address}/{prefix_len}: {error}") });
            }
        }
    }

    fn withdraw(&mut self, vr: VrIndex) {
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        entry.installed = false;
        let specs = entry.set.addresses.clone();
        self.remove(&specs);
    }

    fn remove(&mut self, specs: &[AddressSpec]) {
        for (result, spec) in self.netlink.remove_addresses(specs).into_iter().zip(specs) {
            match result {
                Err(error) if !error.is_not_found() => {
                    self.report(Report::Warning(format!(
                        "{}/{} could not be removed: {error}",
                        spec.address, spec.prefix_len
                    )));
                }
                _ => {}
            }
        }
    }

    fn announce(&mut self, vr: VrIndex, repeat: u8) {
        let Some(entry) = self.entries.get(&vr).filter(|entry| entry.installed) else { return };
        if let Err(error) = send_repeated(&mut self.announcer, &entry.frames, repeat) {
            self.report(Report::Warning(format!("announcement not sent: {error}")));
        }
    }

    fn define(&mut self, vr: VrIndex, set: AddressSet) {
        let frames = frames(&set);
        match self.entries.get_mut(&vr) {
            None => {
                let entry =
                    Entry { set, frames, installed: false, restores: 0, restores_since: Instant::now() };
                self.entries.insert(vr, entry);
            }
            Some(entry) => {
                let dropped: Vec<AddressSpec> =
                    entry.set.addresses.iter().filter(|old| !set.addresses.contains(old)).cloned().collect();
                entry.set = set;
                entry.frames = frames;
                if entry.installed {
                    self.remove(&dropped);
                }
            }
        }
    }

    /// What the kernel did. Addresses of ours that somebody took away are put back at once.
    fn watch(&mut self) {
        let events = match self.monitor.read_events() {
            Ok(events) => events,
            Err(error) => {
                self.report(Report::Warning(format!("cannot watch the kernel's addresses: {error}")));
                return;
            }
        };
        for event in events {
            if let KernelEvent::AddressRemoved(removed) = &event {
                self.restore(removed.interface, removed.address);
            }
            self.report(Report::Kernel(event));
        }
    }

    fn restore(&mut self, interface: IfIndex, address: IpAddr) {
        let Some((vr, entry)) = self.entries.iter_mut().find(|(_, entry)| {
            entry.installed
                && entry.set.addresses.iter().any(|s| s.interface == interface && s.address == address)
        }) else {
            return;
        };
        // The event may be of a removal of ours that has been undone since.
        if self.netlink.has_address(interface, address).unwrap_or(false) {
            return;
        }
        if entry.restores_since.elapsed() > Duration::from_mins(1) {
            entry.restores = 0;
            entry.restores_since = Instant::now();
        }
        entry.restores += 1;
        let (vr, restores) = (*vr, entry.restores);
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
