//! The kernel worker's routes and rules: set right after the addresses of a virtual router, removed before them.
//!
//! What is ours is what we have set, in this run or (by the ledger and the mark) in an earlier one. A route or rule
//! that is there already belongs to somebody else: it is used while the virtual router is Active, and never
//! removed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use vrrp::{IfIndex, VrIndex};
use vrrp_linux::netlink::{Netlink, NetlinkError};
use vrrp_linux::route::{Placement, RouteFilter, RouteSpec};
use vrrp_linux::rule::RuleSpec;

use super::{Entry, RESTORES_PER_MINUTE, Report, Worker};

/// The routes and rules of a virtual router.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RouteSet {
    pub(crate) routes: Vec<MovingRoute>,
    pub(crate) rules: Vec<MovingRule>,
}

/// A route that moves with a virtual router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MovingRoute {
    pub(crate) spec: RouteSpec,
    pub(crate) placement: Placement,
    /// Put back if somebody removes it.
    pub(crate) tracked: bool,
}

/// A rule that moves with a virtual router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MovingRule {
    pub(crate) spec: RuleSpec,
    /// Put back if somebody removes it.
    pub(crate) tracked: bool,
}

impl RouteSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }

    /// What tells its routes and rules apart.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> {
        let routes = self.routes.iter().map(|route| route.spec.key());
        routes.chain(self.rules.iter().map(|rule| rule.spec.key()))
    }

    /// What is in this one and not in `other`.
    fn without(&self, other: &Self) -> Self {
        Self {
            routes: self.routes.iter().filter(|route| !other.routes.contains(route)).cloned().collect(),
            rules: self.rules.iter().filter(|rule| !other.rules.contains(rule)).cloned().collect(),
        }
    }

    fn with(&self, route: impl Fn(&MovingRoute) -> bool, rule: impl Fn(&MovingRule) -> bool) -> Self {
        Self {
            routes: self.routes.iter().filter(|r| route(r)).cloned().collect(),
            rules: self.rules.iter().filter(|r| rule(r)).cloned().collect(),
        }
    }
}

/// What is known of the routes and rules of a virtual router that has its addresses.
#[derive(Debug)]
pub(super) struct RouteState {
    /// Keys of those that somebody else has set.
    foreign: BTreeSet<String>,
    /// Those that could not be set, and why: tried again when something changes.
    failed: BTreeMap<String, String>,
    restores: u32,
    restores_since: Instant,
}

impl RouteState {
    pub(super) fn new() -> Self {
        Self {
            foreign: BTreeSet::new(),
            failed: BTreeMap::new(),
            restores: 0,
            restores_since: Instant::now(),
        }
    }
}

/// Routes and rules, and what the kernel said to each.
pub(super) struct Attempt {
    routes: Vec<(MovingRoute, Result<(), NetlinkError>)>,
    rules: Vec<(MovingRule, Result<(), NetlinkError>)>,
}

/// Tries to set routes and rules; [`Worker::settle`] sees to what was not that easy. Quick: it lies between the
/// addresses and their announcement.
pub(super) fn attempt(netlink: &mut Netlink, set: RouteSet) -> Attempt {
    let routes: Vec<RouteSpec> = set.routes.iter().map(|route| route.spec.clone()).collect();
    let rules: Vec<RuleSpec> = set.rules.iter().map(|rule| rule.spec.clone()).collect();
    let routes = netlink.add_routes(&routes, Placement::Alone);
    let rules = netlink.add_rules(&rules);
    Attempt {
        routes: set.routes.into_iter().zip(routes).collect(),
        rules: set.rules.into_iter().zip(rules).collect(),
    }
}

/// Who has set what is there already.
enum Found {
    Ours,
    Foreign,
    Failed(String),
}

impl Worker {
    /// Sees to what [`attempt`] met. Answers how many were set.
    pub(super) fn settle(&mut self, vr: VrIndex, attempt: Attempt) -> usize {
        let (mut set, mut there) = (0, Vec::new());
        let (mut foreign, mut failed) = (Vec::new(), Vec::new());
        for (route, result) in attempt.routes {
            match result {
                Ok(()) => {
                    set += 1;
                    self.own(vr, &route.spec.key());
                }
                Err(error) if error.is_exists() => there.push(route),
                Err(error) => failed.push((route.spec.key(), format!("route {}: {error}", route.spec))),
            }
        }
        if !there.is_empty() {
            let tables: BTreeSet<u32> = there.iter().map(|route| route.spec.table).collect();
            let mut all = Vec::new();
            for table in tables {
                match self.netlink.routes(RouteFilter { table, protocol: 0 }) {
                    Ok(routes) => all.extend(routes),
                    Err(error) => {
                        self.report(Report::Warning(format!("cannot ask for routes of {table}: {error}")));
                    }
                }
            }
            for route in there {
                let key = route.spec.key();
                match self.examine_route(&route, &all) {
                    Found::Ours => self.own(vr, &key),
                    Found::Foreign => foreign.push((key, format!("route {}", route.spec))),
                    Found::Failed(text) => failed.push((key, text)),
                }
            }
        }
        for (rule, result) in attempt.rules {
            let key = rule.spec.key();
            match result {
                Ok(()) => {
                    set += 1;
                    self.own(vr, &key);
                }
                Err(error) if error.is_exists() && self.ownership.known_routes.contains(&key) => {}
                Err(error) if error.is_exists() => foreign.push((key, format!("rule {}", rule.spec))),
                Err(error) => failed.push((key, format!("rule {}: {error}", rule.spec))),
            }
        }
        self.tell_routes(vr, foreign, failed);
        self.write_ledger();
        set
    }

    /// It is there, and we have set it.
    fn own(&mut self, vr: VrIndex, key: &str) {
        if let Some(entry) = self.entries.get_mut(&vr) {
            entry.routes.foreign.remove(key);
            entry.routes.failed.remove(key);
        }
        self.ownership.known_routes.insert(key.to_owned());
    }

    /// Tells what is new only.
    fn tell_routes(&mut self, vr: VrIndex, foreign: Vec<(String, String)>, failed: Vec<(String, String)>) {
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        let mut reports = Vec::new();
        for (key, text) in foreign {
            entry.routes.failed.remove(&key);
            if entry.routes.foreign.insert(key) {
                reports.push(Report::ForeignRoute { vr, text });
            }
        }
        // A source that is still looked for elsewhere may not be used yet.
        let waits = |key: &str| {
            let source = entry.set.moving.routes.iter().find(|r| r.spec.key() == key)?.spec.source?;
            entry.set.addresses.iter().find(|a| a.address == source && a.duplicate_detection)
        };
        for (key, text) in failed {
            let quiet = waits(&key).is_some();
            if entry.routes.failed.insert(key, text.clone()).as_ref() != Some(&text) && !quiet {
                reports.push(Report::RouteFailed { vr, text });
            }
        }
        for report in reports {
            self.report(report);
        }
    }

    /// A route could not be set because the kernel has one in its place.
    fn examine_route(&mut self, route: &MovingRoute, all: &[RouteSpec]) -> Found {
        let spec = &route.spec;
        let known = self.ownership.known_routes.contains(&spec.key());
        let same_place: Vec<&RouteSpec> = all.iter().filter(|there| spec.same_place(there)).collect();
        let like: Vec<&&RouteSpec> = same_place.iter().filter(|there| spec.leads_as(there)).collect();
        if like.iter().any(|there| there.protocol == spec.protocol) {
            return if known { Found::Ours } else { Found::Foreign };
        }
        if !like.is_empty() {
            return Found::Foreign;
        }
        // Ours with another way is of an earlier configuration; what others have there stays beside it.
        let (old, others): (Vec<&RouteSpec>, Vec<&RouteSpec>) = same_place
            .into_iter()
            .partition(|there| known && there.protocol == spec.protocol && !self.is_held(there));
        let old: Vec<RouteSpec> = old.into_iter().cloned().collect();
        self.netlink.remove_routes(&old);
        if route.placement == Placement::Alone && !others.is_empty() {
            return Found::Failed(format!(
                "route {spec}: somebody else has another one there; remove that, give this one another metric, or \
                 leave `add` out"
            ));
        }
        let added = self.netlink.add_routes(std::slice::from_ref(spec), route.placement);
        match added.into_iter().next() {
            Some(Err(error)) => Found::Failed(format!("route {spec}: {error}")),
            _ => Found::Ours,
        }
    }

    /// Whether a virtual router that has its addresses has this very route, as the kernel has it.
    fn is_held(&self, there: &RouteSpec) -> bool {
        let holds = |entry: &Entry| {
            entry.set.moving.routes.iter().any(|route| {
                let spec = &route.spec;
                spec.same_place(there) && spec.protocol == there.protocol && spec.leads_as(there)
            })
        };
        self.entries.values().any(|entry| entry.installed && holds(entry))
    }

    /// Left by an earlier process whose configuration had another way there: the ways of ours come with the next
    /// change to Active.
    pub(super) fn adopt_routes(&mut self, set: &RouteSet) {
        let protocols: BTreeSet<u8> = set.routes.iter().map(|route| route.spec.protocol).collect();
        let mut old = Vec::new();
        for protocol in protocols {
            let there = self.netlink.routes(RouteFilter { protocol, table: 0 }).unwrap_or_default();
            old.extend(there.into_iter().filter(|there| {
                let places = || set.routes.iter().filter(|route| route.spec.same_place(there));
                places().next().is_some()
                    && places().all(|route| !route.spec.leads_as(there))
                    && self.ownership.known_routes.contains(&there.key())
            }));
        }
        self.netlink.remove_routes(&old);
    }

    /// Removes what we have set, but for what another virtual router has by now. Rules first: none leads into an
    /// empty table.
    pub(super) fn remove_routes(&mut self, set: &RouteSet) {
        if set.is_empty() {
            return;
        }
        let known = |key: &str| self.ownership.known_routes.contains(key);
        let installed = || self.entries.values().filter(|entry| entry.installed).map(|e| &e.set.moving);
        let set = set.with(
            |route| {
                known(&route.spec.key())
                    && !installed().any(|other| other.routes.iter().any(|r| r.spec == route.spec))
            },
            |rule| {
                known(&rule.spec.key())
                    && !installed().any(|other| other.rules.iter().any(|r| r.spec == rule.spec))
            },
        );
        let still: BTreeSet<String> = installed().flat_map(RouteSet::keys).collect();
        let rules: Vec<RuleSpec> = set.rules.iter().map(|rule| rule.spec.clone()).collect();
        let routes: Vec<RouteSpec> = set.routes.iter().map(|route| route.spec.clone()).collect();
        self.remove_set(&routes, &rules);
        for key in set.keys().filter(|key| !still.contains(key)) {
            self.ownership.known_routes.remove(&key);
        }
    }

    /// Removes routes and rules that are ours.
    pub(super) fn remove_set(&mut self, routes: &[RouteSpec], rules: &[RuleSpec]) {
        let mut texts = Vec::new();
        let mut note = |what: String, result: Result<(), NetlinkError>| {
            // With the address that it had as its source, the kernel has removed a route by itself.
            if let Err(error) = result
                && !error.is_not_found()
            {
                texts.push(format!("{what} could not be removed: {error}"));
            }
        };
        for (result, rule) in self.netlink.remove_rules(rules).into_iter().zip(rules) {
            note(format!("rule {rule}"), result);
        }
        for (result, route) in self.netlink.remove_routes(routes).into_iter().zip(routes) {
            note(format!("route {route}"), result);
        }
        for text in texts {
            self.report(Report::Warning(text));
        }
    }

    /// A virtual router that has its addresses gets other routes and rules: those that it no longer has go.
    pub(super) fn drop_routes(&mut self, vr: VrIndex, before: &RouteSet) {
        let Some(entry) = self.entries.get_mut(&vr) else { return };
        let gone = before.without(&entry.set.moving);
        for key in gone.keys() {
            entry.routes.failed.remove(&key);
            entry.routes.foreign.remove(&key);
        }
        self.remove_routes(&gone);
    }

    /// As [`Self::drop_routes`]; those that are new come.
    pub(super) fn change_routes(&mut self, vr: VrIndex, before: &RouteSet) {
        self.drop_routes(vr, before);
        let Some(entry) = self.entries.get(&vr) else { return };
        let new = entry.set.moving.without(before);
        self.set_again(vr, new);
    }

    /// Sets what is not there.
    fn set_again(&mut self, vr: VrIndex, set: RouteSet) -> usize {
        if set.is_empty() {
            return 0;
        }
        let attempt = attempt(&mut self.netlink, set);
        self.settle(vr, attempt)
    }

    fn set_again_where(&mut self, which: impl Fn(&Entry) -> RouteSet) {
        let all: Vec<(VrIndex, RouteSet)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.installed)
            .map(|(vr, entry)| (*vr, which(entry)))
            .collect();
        for (vr, set) in all {
            self.set_again(vr, set);
        }
    }

    /// With a link the kernel takes its routes, and does not tell of each.
    pub(super) fn link_returned_for_routes(&mut self, interface: IfIndex) {
        self.set_again_where(|entry| {
            let by = |route: &MovingRoute| {
                route.spec.hops.iter().any(|hop| hop.interface.is_none_or(|index| index == interface))
            };
            let failed = |key: String| entry.routes.failed.contains_key(&key);
            entry.set.moving.with(|r| by(r) || failed(r.spec.key()), |r| failed(r.spec.key()))
        });
    }

    /// What could not be set may be possible now: a gateway may be reachable, an address usable.
    pub(super) fn try_failed_routes(&mut self) {
        if self.entries.values().all(|entry| entry.routes.failed.is_empty()) {
            return;
        }
        self.set_again_where(|entry| {
            let failed = |key: String| entry.routes.failed.contains_key(&key);
            entry.set.moving.with(|r| failed(r.spec.key()), |r| failed(r.spec.key()))
        });
    }

    /// Events were lost: any of them may be gone.
    pub(super) fn check_routes(&mut self) {
        self.set_again_where(|entry| entry.set.moving.with(|r| r.tracked, |r| r.tracked));
    }

    pub(super) fn route_removed(&mut self, removed: &RouteSpec) {
        self.restore_routes(|entry| {
            entry.set.moving.with(|route| route.tracked && route.spec.same_place(removed), |_| false)
        });
    }

    pub(super) fn rule_removed(&mut self, removed: &RuleSpec) {
        self.restore_routes(|entry| {
            entry.set.moving.with(|_| false, |rule| rule.tracked && rule.spec == *removed)
        });
    }

    /// A route or rule was taken away: it is put back at once. Whether it is gone, the attempt tells: the event
    /// may be of a removal of ours.
    fn restore_routes(&mut self, which: impl Fn(&Entry) -> RouteSet) {
        let holders: Vec<(VrIndex, RouteSet)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.installed)
            .map(|(vr, entry)| (*vr, which(entry)))
            .filter(|(_, set)| !set.is_empty())
            .collect();
        for (vr, set) in holders {
            // What goes with a link that is down comes back with it.
            let links = self.netlink.links().unwrap_or_default();
            let down = |hop: Option<IfIndex>| links.iter().any(|l| Some(l.index) == hop && !l.carries);
            if set.routes.iter().flat_map(|r| &r.spec.hops).any(|hop| down(hop.interface)) {
                continue;
            }
            let Some(entry) = self.entries.get_mut(&vr) else { continue };
            let state = &mut entry.routes;
            if state.restores_since.elapsed() > Duration::from_mins(1) {
                (state.restores, state.restores_since) = (0, Instant::now());
            }
            if state.restores > RESTORES_PER_MINUTE {
                continue;
            }
            let names = set.routes.iter().map(|r| format!("route {}", r.spec));
            let name = names.chain(set.rules.iter().map(|r| format!("rule {}", r.spec))).next();
            let name = name.unwrap_or_default();
            let foreign = set.keys().any(|key| state.foreign.contains(&key));
            if self.set_again(vr, set) == 0 {
                continue;
            }
            let Some(entry) = self.entries.get_mut(&vr) else { continue };
            entry.routes.restores += 1;
            let restores = entry.routes.restores;
            self.report(Report::Warning(if foreign {
                format!("{name} of somebody else is gone; ours is set")
            } else if restores <= RESTORES_PER_MINUTE {
                format!("somebody removed {name}; it is set again")
            } else {
                format!(
                    "{name} was removed {restores} times within a minute; the next time it stays away: find who \
                     manages the routes here"
                )
            }));
        }
    }
}
