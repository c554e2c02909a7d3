//! Routes of the kernel: set, removed, asked for. Numbers are those of `linux/rtnetlink.h`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use vrrp::IfIndex;

use crate::netlink::{Netlink, NetlinkError, family, ip_of, octets};
use crate::netlink_message as wire;
use crate::socket_option::set_int;

/// The mark (`rtm_protocol`, `FRA_PROTOCOL`) of every route and rule that we set, unless the configuration names
/// another. As [`crate::netlink::ADDRESS_PROTOCOL`]; keepalived's is 18.
pub const ROUTE_PROTOCOL: u8 = 112;

/// Metric of an IPv6 route for which none is given.
const DEFAULT_METRIC_IPV6: u32 = 1024;

const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTAX_LOCK: u16 = 1;
const RTNH_F_ONLINK: u8 = 4;
/// Any scope, where a route is removed.
const RT_SCOPE_NOWHERE: u8 = 255;
const NETLINK_GET_STRICT_CHK: i32 = 12;

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSpec {
    /// Address and length of the prefix that it leads to.
    pub destination: (IpAddr, u8),
    /// What becomes of a packet.
    pub kind: RouteKind,
    /// The table it stands in; 254 is main.
    pub table: u32,
    /// The least is used; for IPv6 0 stands for 1024.
    pub metric: u32,
    /// Type of service; IPv4 only.
    pub service: u8,
    /// 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// Its mark; [`ROUTE_PROTOCOL`] if nothing else is asked for.
    pub protocol: u8,
    /// The source that packets get by it.
    pub source: Option<IpAddr>,
    /// Its ways; none but for unicast.
    pub hops: Vec<RouteHop>,
    /// `RTAX_*` number, value, and whether the kernel may not change it.
    pub metrics: Vec<(u16, u32, bool)>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteKind {
    /// It is sent on.
    Unicast,
    /// It vanishes.
    Blackhole,
    /// It is refused as unreachable.
    Unreachable,
    /// It is refused as prohibited.
    Prohibit,
    /// Another table is asked.
    Throw,
}

/// A way of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteHop {
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// The link; the kernel finds it by the gateway if it is not given.
    pub interface: Option<IfIndex>,
    /// The gateway is on the link whatever the addresses say.
    pub onlink: bool,
    /// Its share among several, 1 to 256.
    pub weight: u16,
}

/// How a new route stands to those with the same destination, metric and type of service in its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Only if there is none; else [`NetlinkError::is_exists`].
    Alone,
    /// Before them.
    Prepend,
    /// Behind them.
    Append,
}

/// Which routes are asked for; 0 is any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RouteFilter {
    /// With this mark.
    pub protocol: u8,
    /// In this table.
    pub table: u32,
}

impl RouteKind {
    const ALL: [(Self, u8); 5] = [
        (Self::Unicast, 1),
        (Self::Blackhole, 6),
        (Self::Unreachable, 7),
        (Self::Prohibit, 8),
        (Self::Throw, 9),
    ];

    fn number(self) -> u8 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(1, |(_, number)| *number)
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == number).map(|(kind, _)| *kind)
    }
}

impl RouteSpec {
    fn real_metric(&self) -> u32 {
        if self.metric == 0 && self.destination.0.is_ipv6() { DEFAULT_METRIC_IPV6 } else { self.metric }
    }

    /// What tells it apart, with its mark, as one line: the same for the same route in every run.
    pub fn key(&self) -> String {
        let (address, length) = self.destination;
        let (table, service, metric, protocol) =
            (self.table, self.service, self.real_metric(), self.protocol);
        format!("route {address}/{length} table {table} tos {service} metric {metric} proto {protocol}")
    }

    /// Whether the kernel takes both for the same place, whoever has set them.
    pub fn same_place(&self, other: &Self) -> bool {
        let place = |r: &Self| (r.destination, r.table, r.service, r.real_metric());
        place(self) == place(other)
    }

    /// Whether packets fare by `there`, as the kernel has it, as they would by this one.
    pub fn leads_as(&self, there: &Self) -> bool {
        let same = |ours: &RouteHop, theirs: &RouteHop| {
            ours.gateway == theirs.gateway
                && (ours.interface.is_none() || ours.interface == theirs.interface)
                && (self.hops.len() == 1 || ours.weight == theirs.weight)
        };
        self.kind == there.kind
            && (self.source.is_none() || self.source == there.source)
            && self.hops.len() == there.hops.len()
            && self.hops.iter().all(|ours| there.hops.iter().any(|theirs| same(ours, theirs)))
    }
}

impl fmt::Display for RouteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, length) = self.destination;
        write!(f, "{address}/{length}")?;
        for gateway in self.hops.iter().filter_map(|hop| hop.gateway) {
            write!(f, " via {gateway}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        write!(f, " table {}", self.table)
    }
}

impl Netlink {
    /// Sets routes. An answer for each.
    pub fn add_routes(
        &mut self,
        routes: &[RouteSpec],
        placement: Placement,
    ) -> Vec<Result<(), NetlinkError>> {
        let flags = wire::NLM_F_CREATE
            | match placement {
                Placement::Alone => wire::NLM_F_EXCL,
                Placement::Prepend => 0,
                Placement::Append => wire::NLM_F_APPEND,
            };
        self.change(routes, wire::RTM_NEWROUTE, flags, write)
    }

    /// Removes routes: each with its mark and by its ways, so that no other is meant. An answer for each.
    pub fn remove_routes(&mut self, routes: &[RouteSpec]) -> Vec<Result<(), NetlinkError>> {
        self.change(routes, wire::RTM_DELROUTE, 0, |out, spec| {
            let start = out.len();
            write(out, &RouteSpec { metrics: Vec::new(), source: None, ..spec.clone() });
            out[start + 6] = RT_SCOPE_NOWHERE;
        })
    }

    /// Routes of both families. Older kernels tell all; what was not asked for is left out here then.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn routes(&mut self, filter: RouteFilter) -> io::Result<Vec<RouteSpec>> {
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            let mut header = vec![family, 0, 0, 0, 0, filter.protocol, 0, 0, 0, 0, 0, 0];
            if filter.table != 0 {
                wire::attribute(&mut header, RTA_TABLE, &filter.table.to_ne_bytes());
            }
            // Kernels before 4.20 filter nothing.
            let strict = set_int(self.as_fd(), libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1).is_ok();
            let asked = self.dump(wire::RTM_GETROUTE, wire::RTM_NEWROUTE, &header, |body| {
                parse(body).filter(|_| body.first() == Some(&family))
            });
            if strict {
                // It was switched on a moment ago: it can be switched off.
                let _ = set_int(self.as_fd(), libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, 0);
            }
            match asked {
                Ok(routes) => found.extend(routes),
                // The table does not exist (yet), or the host has no IPv6.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        found.retain(|route| {
            (filter.protocol == 0 || route.protocol == filter.protocol)
                && (filter.table == 0 || route.table == filter.table)
        });
        Ok(found)
    }
}

fn write(out: &mut Vec<u8>, spec: &RouteSpec) {
    let (address, length) = spec.destination;
    let table = u8::try_from(spec.table).unwrap_or(0);
    out.extend_from_slice(&[
        family(address),
        length,
        0,
        spec.service,
        table,
        spec.protocol,
        spec.scope,
        spec.kind.number(),
    ]);
    let single = if let [hop] = &spec.hops[..] { Some(hop) } else { None };
    let flags = if single.is_some_and(|hop| hop.onlink) { RTNH_F_ONLINK } else { 0 };
    out.extend_from_slice(&u32::from(flags).to_ne_bytes());
    if length > 0 {
        wire::attribute(out, wire::RTA_DST, &octets(address));
    }
    wire::attribute(out, RTA_TABLE, &spec.table.to_ne_bytes());
    if spec.real_metric() != 0 {
        wire::attribute(out, RTA_PRIORITY, &spec.real_metric().to_ne_bytes());
    }
    if let Some(source) = spec.source {
        wire::attribute(out, RTA_PREFSRC, &octets(source));
    }
    if let Some(hop) = single {
        if let Some(gateway) = hop.gateway {
            wire::attribute(out, RTA_GATEWAY, &octets(gateway));
        }
        if let Some(interface) = hop.interface {
            wire::attribute(out, RTA_OIF, &interface.0.to_ne_bytes());
        }
    } else if !spec.hops.is_empty() {
        let mut hops = Vec::new();
        for hop in &spec.hops {
            write_hop(&mut hops, hop);
        }
        wire::attribute(out, RTA_MULTIPATH, &hops);
    }
    if !spec.metrics.is_empty() {
        let mut metrics = Vec::new();
        let locked = spec.metrics.iter().filter(|(.., locked)| *locked);
        let locks = locked.fold(0_u32, |bits, (number, ..)| bits | 1_u32 << number);
        if locks != 0 {
            wire::attribute(&mut metrics, RTAX_LOCK, &locks.to_ne_bytes());
        }
        for (number, value, _) in &spec.metrics {
            wire::attribute(&mut metrics, *number, &value.to_ne_bytes());
        }
        wire::attribute(out, RTA_METRICS, &metrics);
    }
}

/// `struct rtnexthop` and what belongs to it.
fn write_hop(out: &mut Vec<u8>, hop: &RouteHop) {
    let start = out.len();
    let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    out.extend_from_slice(&[0, 0, if hop.onlink { RTNH_F_ONLINK } else { 0 }, weight]);
    out.extend_from_slice(&hop.interface.map_or(0, |index| index.0).to_ne_bytes());
    if let Some(gateway) = hop.gateway {
        wire::attribute(out, RTA_GATEWAY, &octets(gateway));
    }
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

/// A route of ours or of others; `None` for the kinds that we have no word for.
pub(crate) fn parse(body: &[u8]) -> Option<RouteSpec> {
    let [family, length, _, service, table, protocol, scope, kind] = *body.first_chunk::<8>()?;
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let flags = wire::u32_at(body, 8)?;
    let mut spec = RouteSpec {
        destination: (any, length),
        kind: RouteKind::of(kind)?,
        table: u32::from(table),
        metric: 0,
        service,
        scope,
        protocol,
        source: None,
        hops: Vec::new(),
        metrics: Vec::new(),
    };
    let onlink = flags & u32::from(RTNH_F_ONLINK) != 0;
    let mut single = RouteHop { gateway: None, interface: None, onlink, weight: 1 };
    for (kind, data) in wire::attributes(body.get(12..)?) {
        match kind {
            wire::RTA_DST => spec.destination.0 = ip_of(family, data)?,
            RTA_TABLE => spec.table = wire::u32_at(data, 0)?,
            RTA_PRIORITY => spec.metric = wire::u32_at(data, 0)?,
            RTA_PREFSRC => spec.source = ip_of(family, data),
            RTA_GATEWAY => single.gateway = ip_of(family, data),
            RTA_OIF => single.interface = wire::u32_at(data, 0).map(IfIndex),
            RTA_MULTIPATH => spec.hops = hops(family, data),
            _ => {}
        }
    }
    // The kernel names loopback for what is sent nowhere.
    if spec.kind == RouteKind::Unicast && spec.hops.is_empty() {
        spec.hops.push(single);
    }
    Some(spec)
}

fn hops(family: u8, mut bytes: &[u8]) -> Vec<RouteHop> {
    let mut hops = Vec::new();
    while let Some([low, high, flags, weight, ..]) = bytes.first_chunk::<8>().copied() {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(whole) = bytes.get(8..length) else { break };
        let gateway = wire::attributes(whole).find(|(kind, _)| *kind == RTA_GATEWAY);
        hops.push(RouteHop {
            gateway: gateway.and_then(|(_, data)| ip_of(family, data)),
            interface: wire::u32_at(bytes, 4).map(IfIndex),
            onlink: flags & RTNH_F_ONLINK != 0,
            weight: u16::from(weight) + 1,
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: &str, length: u8, hops: Vec<RouteHop>) -> RouteSpec {
        RouteSpec {
            destination: (destination.parse().unwrap(), length),
            kind: RouteKind::Unicast,
            table: 6909,
            metric: 12,
            service: 4,
            scope: 253,
            protocol: ROUTE_PROTOCOL,
            source: Some("10.0.0.50".parse().unwrap()),
            hops,
            metrics: Vec::new(),
        }
    }

    fn hop(gateway: &str, interface: u32, weight: u16) -> RouteHop {
        let gateway = Some(gateway.parse().unwrap());
        RouteHop { gateway, interface: Some(IfIndex(interface)), onlink: true, weight }
    }

    #[test]
    fn a_route_reads_as_it_was_written() {
        let mut odd = route("10.9.0.0", 16, vec![hop("10.0.0.7", 3, 1)]);
        for spec in [
            odd.clone(),
            route("10.9.0.0", 16, vec![hop("10.0.0.7", 3, 1), hop("10.0.0.8", 4, 256)]),
            RouteSpec { kind: RouteKind::Throw, ..route("0.0.0.0", 0, Vec::new()) },
        ] {
            let mut body = Vec::new();
            write(&mut body, &spec);
            assert_eq!(parse(&body), Some(spec));
        }
        // What the kernel does not say is not compared.
        odd.hops[0].interface = None;
        odd.source = None;
        assert!(odd.leads_as(&route("10.9.0.0", 16, vec![hop("10.0.0.7", 3, 1)])));
        assert!(!odd.leads_as(&route("10.9.0.0", 16, vec![hop("10.0.0.8", 3, 1)])));
    }

    #[test]
    fn a_ways_length_that_lies_ends_the_walk() {
        for length in [0_u16, 1, 7, 8, 9, 4000, u16::MAX] {
            let mut bytes = vec![0xff; 40];
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert!(hops(2, &bytes).len() <= 5);
        }
    }

    #[test]
    fn an_ipv6_route_without_a_metric_is_told_from_no_other() {
        let written = RouteSpec { metric: 0, ..route("fd00::", 64, Vec::new()) };
        let there = RouteSpec { metric: 1024, protocol: 4, ..route("fd00::", 64, Vec::new()) };
        assert!(written.same_place(&there));
        assert_eq!(written.key(), "route fd00::/64 table 6909 tos 4 metric 1024 proto 112");
    }
}
