//! From the configuration and what the kernel has to what the agent shall run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use keepalived_conf::{
    Configuration, Fallibility, Nexthop, Notify, NotifyScript, Track, VirtualAddress, VirtualRoute,
    VirtualRule, VrrpInstance,
};
use tracking::{FileSpec, ProcessSpec, ScriptSpec, Spec, process_looked_for};
use vrrp::{AnnouncementSchedule, Family, IfIndex, Transport, UnicastPeer, VirtualRouterConfig};
use vrrp_linux::netlink::{ADDRESS_PROTOCOL, AddressSpec, InterfaceAddress, Link, Netlink};
use vrrp_linux::route::{Placement, ROUTE_PROTOCOL, RouteHop, RouteKind, RouteSpec};
use vrrp_linux::rule::{RuleAction, RuleSpec};

use crate::hooks::Hook;
use crate::kernel_worker::{AddressSet, LinkFacts, MovingRoute, MovingRule, RouteSet};
use crate::notification::{Group, NotifyHooks};
use crate::protocol_thread::Scheduling;

/// What the kernel has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<InterfaceAddress>,
}

impl Host {
    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Asks the kernel.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn ask(netlink: &mut Netlink) -> std::io::Result<Self> {
        Ok(Self { links: netlink.links()?, addresses: netlink.addresses()? })
    }

    /// The address that adverts of a family leave from: IPv6 needs a link-local one (RFC 9568 §5.1.2.1).
    /// Virtual addresses do not count, but for one that somebody else configured where there is no other: the
    /// address owner's.
    pub(crate) fn primary(
        &self,
        interface: IfIndex,
        family: Family,
        virtual_addresses: &[AddressSpec],
    ) -> Option<IpAddr> {
        let fits = |address: &IpAddr| match address {
            IpAddr::V4(_) => family == Family::Ipv4,
            IpAddr::V6(a) => family == Family::Ipv6 && a.is_unicast_link_local(),
        };
        let usable = || {
            self.addresses
                .iter()
                .filter(|a| {
                    a.interface == interface && a.protocol != ADDRESS_PROTOCOL && !a.duplicate && !a.tentative
                })
                .map(|a| a.address)
                .filter(fits)
        };
        let is_virtual = |address: &IpAddr| virtual_addresses.iter().any(|spec| spec.address == *address);
        usable().find(|address| !is_virtual(address)).or_else(|| usable().next())
    }

    fn facts(&self, interface: IfIndex) -> Option<LinkFacts> {
        let link = self.links.iter().find(|link| link.index == interface)?;
        let link_local = match self.primary(interface, Family::Ipv6, &[]) {
            Some(IpAddr::V6(address)) => Some(address),
            _ => None,
        };
        let forwarding = format!("/proc/sys/net/ipv6/conf/{}/forwarding", link.name);
        let is_router = std::fs::read_to_string(forwarding).is_ok_and(|text| text.trim() != "0");
        Some(LinkFacts { mac: link.mac?, link_local, is_router })
    }
}

/// One virtual router as it shall run.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Planned {
    pub(crate) config: VirtualRouterConfig,
    pub(crate) interface_name: String,
    pub(crate) source: Option<IpAddr>,
    pub(crate) addresses: Vec<AddressSpec>,
    /// Routes and rules that move along.
    pub(crate) moving: RouteSet,
    /// Name, weight, reverse; the kind is part of the name.
    pub(crate) tracks: Vec<(String, i32, bool)>,
    pub(crate) hooks: NotifyHooks,
}

/// A virtual router whose interface does not exist (yet).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Absent {
    pub(crate) name: String,
    pub(crate) interface: String,
}

/// Everything the agent shall run.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) routers: Vec<Planned>,
    pub(crate) absent: Vec<Absent>,
    /// Virtual routers that go on without an interface: what they have there is not tracked.
    pub(crate) left_out: Vec<Absent>,
    pub(crate) groups: Vec<Group>,
    /// The program that reads the notify FIFO.
    pub(crate) fifo_reader: Option<Hook>,
    pub(crate) trackers: BTreeMap<String, Spec>,
}

impl Plan {
    /// Whether a program is started: somebody must be allowed to start it then.
    pub(crate) fn runs_programs(&self) -> bool {
        let hooks = self.routers.iter().map(|r| &r.hooks).chain(self.groups.iter().map(|g| &g.hooks));
        self.trackers.values().any(|spec| matches!(spec, Spec::Script(_)))
            || hooks.flat_map(NotifyHooks::iter).chain(&self.fifo_reader).next().is_some()
    }

    /// Whether one is started with the agent's own rights, or with root's.
    pub(crate) fn runs_programs_as_root(&self) -> bool {
        let root = |user: Option<(u32, u32)>| user.is_none_or(|(uid, _)| uid == 0);
        let hooks = self.routers.iter().map(|r| &r.hooks).chain(self.groups.iter().map(|g| &g.hooks));
        rustix::process::geteuid().is_root()
            && (self.trackers.values().any(|spec| matches!(spec, Spec::Script(s) if root(s.user)))
                || hooks.flat_map(NotifyHooks::iter).chain(&self.fifo_reader).any(|hook| root(hook.user)))
    }
}

/// Makes the plan.
///
/// # Errors
/// One line: a user that does not exist.
pub(crate) fn make(configuration: &Configuration, host: &Host) -> Result<Plan, String> {
    let mut plan = Plan {
        trackers: trackers(configuration)?,
        fifo_reader: hook(configuration.global.notify_fifo_script.as_ref(), configuration)?,
        ..Plan::default()
    };
    for instance in &configuration.instances {
        let missing = |name: &&String| host.link(name).is_none();
        let addresses = || instance.addresses.iter().chain(&instance.excluded);
        let tracked = addresses().filter(|a| a.tracked).filter_map(|a| a.interface.as_ref());
        let hops = |tracked| {
            let routes = instance.routes.iter().filter(move |r| r.tracked == tracked);
            routes.flat_map(|r| &r.nexthops).filter_map(|hop| hop.interface.as_ref())
        };
        let mut needed = [&instance.interface.0].into_iter().chain(tracked).chain(hops(true));
        let absent =
            |interface: &String| Absent { name: instance.name.clone(), interface: interface.clone() };
        if let Some(interface) = needed.find(missing) {
            plan.absent.push(absent(interface));
            continue;
        }
        let others = addresses().filter_map(|a| a.interface.as_ref()).chain(hops(false));
        let left_out: BTreeSet<&String> = others.filter(missing).collect();
        plan.left_out.extend(left_out.into_iter().map(absent));
        plan.routers.push(planned(instance, configuration, host)?);
    }
    for group in &configuration.sync_groups {
        plan.groups.push(Group {
            name: group.name.clone(),
            members: group.members.iter().map(|(name, _)| name.clone()).collect(),
            hooks: notify_hooks(&group.notify, configuration)?,
        });
    }
    Ok(plan)
}

/// How the protocol thread is to be scheduled.
pub(crate) fn scheduling(configuration: &Configuration) -> Scheduling {
    let global = &configuration.global;
    Scheduling {
        realtime: global.realtime_priority,
        nice: global.nice,
        processors: global.cpu_affinity.clone(),
    }
}

fn trackers(configuration: &Configuration) -> Result<BTreeMap<String, Spec>, String> {
    let mut trackers = BTreeMap::new();
    for script in &configuration.scripts {
        if let Some(process) = process_looked_for(&script.command) {
            let further = |runs: u32| script.interval * runs.saturating_sub(1);
            let spec = ProcessSpec {
                process: vec![process.to_owned()],
                quorum: 1,
                quorum_max: None,
                terminate_delay: further(script.fall),
                fork_delay: further(script.rise),
            };
            trackers.insert(format!("script {}", script.name), Spec::Process(spec));
            continue;
        }
        let user = script.user.as_ref().or(configuration.global.script_user.as_ref());
        let spec = ScriptSpec {
            command: script.command.clone(),
            interval: script.interval,
            timeout: script.timeout.unwrap_or(script.interval),
            rise: script.rise,
            fall: script.fall,
            init_fail: script.init_fail,
            user: unprivileged(user)?,
        };
        trackers.insert(format!("script {}", script.name), Spec::Script(spec));
    }
    for file in &configuration.track_files {
        let spec = FileSpec { path: PathBuf::from(&file.path), init: file.init };
        trackers.insert(format!("file {}", file.name), Spec::File(spec));
    }
    for process in &configuration.track_processes {
        let spec = ProcessSpec {
            process: process.process.clone(),
            quorum: process.quorum,
            quorum_max: process.quorum_max,
            terminate_delay: process.terminate_delay,
            fork_delay: process.fork_delay,
        };
        trackers.insert(format!("process {}", process.name), Spec::Process(spec));
    }
    Ok(trackers)
}

/// Notify scripts run as the user named, else as `keepalived_script` if there is one, else as the agent: they
/// change the system more often than not, unlike checks.
fn hook(script: Option<&NotifyScript>, configuration: &Configuration) -> Result<Option<Hook>, String> {
    let Some(script) = script else { return Ok(None) };
    let named = script.user.as_ref().or(configuration.global.script_user.as_ref());
    let user = match user(named)? {
        None if rustix::process::geteuid().is_root() => lookup("keepalived_script"),
        user => user,
    };
    Ok(Some(Hook { words: script.command.clone(), user }))
}

fn notify_hooks(notify: &Notify, configuration: &Configuration) -> Result<NotifyHooks, String> {
    let hook = |script: &Option<NotifyScript>| hook(script.as_ref(), configuration);
    Ok(NotifyHooks {
        active: hook(&notify.master)?,
        backup: hook(&notify.backup)?,
        fault: hook(&notify.fault)?,
        stop: hook(&notify.stop)?,
        deleted: hook(&notify.deleted)?,
        lower_priority: hook(&notify.master_rx_lower_pri)?,
        any: hook(&notify.any)?,
    })
}

fn planned(instance: &VrrpInstance, configuration: &Configuration, host: &Host) -> Result<Planned, String> {
    let interface_name = instance.interface.0.clone();
    let no_interface = |name: &str| format!("{}: there is no interface `{name}`", instance.name);
    let interface = host.link(&interface_name).ok_or_else(|| no_interface(&interface_name))?.index;
    let transport = match &instance.unicast_peers {
        Some(peers) => Transport::Unicast {
            peers: peers
                .iter()
                .map(|p| match p.ttl {
                    Some((min_ttl, max_ttl)) => UnicastPeer { address: p.address, min_ttl, max_ttl },
                    None => UnicastPeer::new(p.address),
                })
                .collect(),
            check_source: instance.check_unicast_src || peers.iter().any(|p| p.ttl.is_some()),
            ttl: instance.unicast_ttl,
        },
        None => Transport::Multicast { group: instance.multicast_group.unwrap_or(instance.family.group()) },
    };
    let default = AnnouncementSchedule::default();
    let garp = instance.garp;
    let config = VirtualRouterConfig {
        name: instance.name.clone(),
        interface,
        vrid: instance.virtual_router_id,
        family: instance.family,
        version: instance.version,
        priority: instance.priority,
        interval: instance.advert_int,
        missed_adverts: instance.down_timer_adverts,
        preempt: instance.preempt,
        preempt_delay: instance.preempt_delay,
        addresses: instance.addresses.iter().map(|a| a.address).collect(),
        transport,
        checksum: instance.checksum,
        checksum_fixed: instance.checksum_fixed,
        authentication: instance.authentication,
        announcements: AnnouncementSchedule {
            repeat: garp.repeat.unwrap_or(default.repeat),
            second_burst: garp.delay.unwrap_or(default.second_burst),
            refresh: garp.refresh.unwrap_or(default.refresh.max(instance.advert_int.duration())),
            refresh_repeat: garp.refresh_repeat.unwrap_or(default.refresh_repeat),
            lower_priority_repeat: garp.lower_prio_repeat.unwrap_or(default.lower_priority_repeat),
            lower_priority_delay: garp.lower_prio_delay.unwrap_or(default.lower_priority_delay),
        },
        answer_lower_priority: instance.answer_lower_priority,
        inform_winner: instance.higher_prio_send_advert,
        track_link: instance.link == Fallibility::TrackPrimary,
        owner_ignores_adverts: instance.owner_ignore_adverts,
    };
    // What is tracked has its interface; the rest is left out until it has.
    let spec = |address: &VirtualAddress| {
        let index = match &address.interface {
            Some(name) => host.link(name)?.index,
            None => interface,
        };
        Some(AddressSpec {
            interface: index,
            address: address.address,
            prefix_len: address.prefix_len,
            duplicate_detection: address.duplicate_detection,
            scope: address.scope,
            label: address.label.clone(),
            broadcast: address.broadcast,
        })
    };
    let addresses = instance.addresses.iter().chain(&instance.excluded).filter_map(spec).collect();
    let moving = RouteSet {
        routes: instance.routes.iter().filter_map(|route| moving_route(route, host)).collect(),
        rules: instance.rules.iter().map(moving_rule).collect(),
    };
    let tracks = tracks(instance, configuration);
    let hooks = notify_hooks(&instance.notify, configuration)?;
    Ok(Planned { config, interface_name, source: instance.source, addresses, moving, tracks, hooks })
}

/// `None` without its interface.
fn moving_route(route: &VirtualRoute, host: &Host) -> Option<MovingRoute> {
    let hop = |hop: &Nexthop| {
        let interface = match &hop.interface {
            Some(name) => Some(host.link(name)?.index),
            None => None,
        };
        Some(RouteHop { gateway: hop.gateway, interface, onlink: hop.onlink, weight: hop.weight })
    };
    let spec = RouteSpec {
        destination: route.destination,
        kind: match route.kind {
            keepalived_conf::RouteKind::Unicast => RouteKind::Unicast,
            keepalived_conf::RouteKind::Blackhole => RouteKind::Blackhole,
            keepalived_conf::RouteKind::Unreachable => RouteKind::Unreachable,
            keepalived_conf::RouteKind::Prohibit => RouteKind::Prohibit,
            keepalived_conf::RouteKind::Throw => RouteKind::Throw,
        },
        table: route.table,
        metric: route.metric.unwrap_or(0),
        service: route.service,
        scope: route.scope,
        protocol: route.protocol.unwrap_or(ROUTE_PROTOCOL),
        source: route.source,
        hops: route.nexthops.iter().map(hop).collect::<Option<_>>()?,
        metrics: route.metrics.iter().map(|m| (m.number, m.value, m.locked)).collect(),
    };
    let placement = match route.placement {
        keepalived_conf::Placement::Prepend => Placement::Prepend,
        keepalived_conf::Placement::Append => Placement::Append,
        keepalived_conf::Placement::Alone => Placement::Alone,
    };
    Some(MovingRoute { spec, placement, tracked: route.tracked })
}

fn moving_rule(rule: &VirtualRule) -> MovingRule {
    // A prefix without a length fits all.
    let some = |prefix: Option<(IpAddr, u8)>| prefix.filter(|(_, length)| *length > 0);
    let spec = RuleSpec {
        ipv6: rule.family == Family::Ipv6,
        action: match rule.action {
            keepalived_conf::RuleAction::Table(table) => RuleAction::Table(table),
            keepalived_conf::RuleAction::Blackhole => RuleAction::Blackhole,
            keepalived_conf::RuleAction::Unreachable => RuleAction::Unreachable,
            keepalived_conf::RuleAction::Prohibit => RuleAction::Prohibit,
        },
        priority: rule.priority,
        inverted: rule.inverted,
        from: some(rule.from),
        to: some(rule.to),
        input: rule.input.clone(),
        output: rule.output.clone(),
        mark: rule.mark,
        service: rule.service,
        ip_protocol: rule.ip_protocol,
        source_ports: rule.source_ports,
        destination_ports: rule.destination_ports,
        users: rule.users,
        suppressed_length: rule.suppressed_length,
        protocol: rule.protocol.unwrap_or(ROUTE_PROTOCOL),
    };
    MovingRule { spec, tracked: rule.tracked }
}

fn tracks(instance: &VrrpInstance, configuration: &Configuration) -> Vec<(String, i32, bool)> {
    let mut all = Vec::new();
    let groups =
        configuration.sync_groups.iter().filter(|g| g.members.iter().any(|(n, _)| *n == instance.name));
    for tracks in groups.map(|g| &g.tracks).chain([&instance.tracks]) {
        let mut add = |kind: &str, track: &Track, weight: i32, reverse: bool| {
            all.push((
                format!("{kind} {}", track.name),
                track.weight.unwrap_or(weight),
                track.reverse != reverse,
            ));
        };
        for track in &tracks.scripts {
            if let Some(s) = configuration.scripts.iter().find(|s| s.name == track.name) {
                add("script", track, s.weight, s.reverse);
            }
        }
        for track in &tracks.files {
            if let Some(f) = configuration.track_files.iter().find(|f| f.name == track.name) {
                add("file", track, f.weight, f.reverse);
            }
        }
        for track in &tracks.processes {
            if let Some(p) = configuration.track_processes.iter().find(|p| p.name == track.name) {
                add("process", track, p.weight, p.reverse);
            }
        }
        for track in &tracks.interfaces {
            add("interface", track, 0, false);
        }
    }
    all
}

/// The addresses of a virtual router and what announcing them needs.
pub(crate) fn address_set(planned: &Planned, host: &Host) -> AddressSet {
    let links =
        planned.addresses.iter().filter_map(|a| Some((a.interface, host.facts(a.interface)?))).collect();
    AddressSet { addresses: planned.addresses.clone(), links, moving: planned.moving.clone() }
}

/// The user that scripts run as: the one named, else `keepalived_script`, else nobody.
fn unprivileged(named: Option<&(String, Option<String>)>) -> Result<Option<(u32, u32)>, String> {
    if named.is_some() {
        return user(named);
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    Ok(lookup("keepalived_script").or_else(|| lookup("nobody")))
}

fn user(named: Option<&(String, Option<String>)>) -> Result<Option<(u32, u32)>, String> {
    let Some((name, group)) = named else { return Ok(None) };
    let (uid, gid) = lookup(name)
        .ok_or_else(|| format!("there is no user `{name}`; create it, or name another as script_user"))?;
    let gid = match group {
        None => gid,
        Some(group) => lookup_group(group).ok_or_else(|| format!("there is no group `{group}`"))?,
    };
    Ok(Some((uid, gid)))
}

/// A user's ids, from the file: a static program has no name service.
fn lookup(name: &str) -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let fields: Vec<&str> =
        passwd.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == name)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

fn lookup_group(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok())
}
