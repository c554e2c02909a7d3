//! Routes and rules as the kernel has them, in network namespaces that end with the test. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::IpAddr;
use std::process::Command;

use vrrp::IfIndex;
use vrrp_linux::netlink::{KernelEvent, Monitor, Netlink};
use vrrp_linux::route::{Placement, ROUTE_PROTOCOL, RouteFilter, RouteHop, RouteKind, RouteSpec};
use vrrp_linux::rule::{RuleAction, RuleSpec};

/// Runs `ip` in this thread's namespace.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A namespace of this thread's own, which ends with it, with two links that have a carrier.
fn alone() -> (Netlink, IfIndex, IfIndex) {
    // SAFETY: no descriptor is unshared, and this thread has none of the old namespace.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
    ip("link set lo up");
    for (name, far, network) in [("v0", "f0", 1), ("v1", "f1", 2)] {
        ip(&format!("link add {name} type veth peer name {far}"));
        ip(&format!("link set {far} up"));
        ip(&format!("link set {name} up"));
        ip(&format!("address add 10.{network}.0.1/24 dev {name}"));
        ip(&format!("address add fd0{network}::1/64 dev {name} nodad"));
    }
    let mut netlink = Netlink::open().unwrap();
    let links = netlink.links().unwrap();
    let index = |name: &str| links.iter().find(|link| link.name == name).unwrap().index;
    (netlink, index("v0"), index("v1"))
}

fn hop(gateway: Option<&str>, interface: Option<IfIndex>) -> RouteHop {
    RouteHop { gateway: gateway.map(|g| g.parse().unwrap()), interface, onlink: false, weight: 1 }
}

fn route(destination: &str, hops: Vec<RouteHop>) -> RouteSpec {
    let (address, length) = destination.split_once('/').unwrap();
    RouteSpec {
        destination: (address.parse().unwrap(), length.parse().unwrap()),
        kind: RouteKind::Unicast,
        table: 77,
        metric: 0,
        service: 0,
        scope: 0,
        protocol: ROUTE_PROTOCOL,
        source: None,
        hops,
        metrics: Vec::new(),
    }
}

fn rule(from: (&str, u8), priority: u32) -> RuleSpec {
    let address: IpAddr = from.0.parse().unwrap();
    RuleSpec {
        ipv6: address.is_ipv6(),
        action: RuleAction::Table(77),
        priority,
        inverted: false,
        from: Some((address, from.1)),
        to: None,
        input: None,
        output: None,
        mark: None,
        service: 0,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        users: None,
        suppressed_length: None,
        protocol: ROUTE_PROTOCOL,
    }
}

#[track_caller]
fn good(results: Vec<Result<(), vrrp_linux::netlink::NetlinkError>>) {
    for result in results {
        result.unwrap();
    }
}

#[test]
fn routes_of_both_families_are_set_seen_and_removed() {
    let (mut netlink, v0, v1) = alone();
    let routes = [
        RouteSpec {
            source: Some("10.1.0.1".parse().unwrap()),
            scope: 253,
            ..route("10.1.0.0/24", vec![hop(None, Some(v0))])
        },
        route("0.0.0.0/0", vec![RouteHop { onlink: true, ..hop(Some("10.99.0.1"), Some(v0)) }]),
        route("10.8.0.0/16", vec![hop(Some("10.2.0.9"), None)]),
        route(
            "10.7.0.0/16",
            vec![RouteHop { weight: 3, ..hop(Some("10.1.0.9"), Some(v0)) }, hop(Some("10.2.0.9"), Some(v1))],
        ),
        RouteSpec { kind: RouteKind::Blackhole, metric: 9, ..route("10.6.0.0/16", Vec::new()) },
        RouteSpec {
            metrics: vec![(2, 1400, true), (8, 1000, false)],
            ..route("10.5.0.0/16", vec![hop(None, Some(v1))])
        },
        RouteSpec {
            source: Some("fd01::1".parse().unwrap()),
            ..route("fd08::/64", vec![hop(Some("fd01::9"), Some(v0))])
        },
        route("fd07::/64", vec![hop(Some("fd01::9"), Some(v0)), hop(Some("fd02::9"), Some(v1))]),
        RouteSpec { kind: RouteKind::Unreachable, ..route("fd06::/64", Vec::new()) },
    ];
    good(netlink.add_routes(&routes, Placement::Alone));
    assert_eq!(
        ip("-4 route show table 77"),
        "default via 10.99.0.1 dev v0 proto 112 onlink\n\
         10.1.0.0/24 dev v0 proto 112 scope link src 10.1.0.1\n\
         10.5.0.0/16 dev v1 proto 112 mtu lock 1400 advmss 1000\n\
         blackhole 10.6.0.0/16 proto 112 metric 9\n\
         10.7.0.0/16 proto 112\n\
         \tnexthop via 10.1.0.9 dev v0 weight 3\n\
         \tnexthop via 10.2.0.9 dev v1 weight 1\n\
         10.8.0.0/16 via 10.2.0.9 dev v1 proto 112"
    );
    assert_eq!(
        ip("-6 route show table 77"),
        "unreachable fd06::/64 dev lo proto 112 metric 1024 pref medium\n\
         fd07::/64 proto 112 metric 1024 pref medium\n\
         \tnexthop via fd01::9 dev v0 weight 1\n\
         \tnexthop via fd02::9 dev v1 weight 1\n\
         fd08::/64 via fd01::9 dev v0 proto 112 src fd01::1 metric 1024 pref medium"
    );
    let there = netlink.routes(RouteFilter { table: 77, protocol: 0 }).unwrap();
    assert_eq!(there.len(), routes.len());
    for route in &routes {
        let found = there.iter().find(|there| route.same_place(there)).unwrap();
        assert!(route.leads_as(found), "{route:?}\n{found:?}");
        assert_eq!(route.key(), found.key());
    }
    assert_eq!(netlink.routes(RouteFilter { table: 78, protocol: 0 }).unwrap(), []);
    assert_eq!(netlink.routes(RouteFilter { table: 0, protocol: 112 }).unwrap(), there);
    // A second time each is there already.
    for answer in netlink.add_routes(&routes, Placement::Alone) {
        assert!(answer.unwrap_err().is_exists());
    }
    good(netlink.remove_routes(&routes));
    assert_eq!(ip("-4 route show table 77") + &ip("-6 route show table 77"), "");
    for answer in netlink.remove_routes(&routes) {
        assert!(answer.unwrap_err().is_not_found());
    }
}

#[test]
fn routes_of_others_stay_behind_and_are_never_removed() {
    let (mut netlink, v0, _) = alone();
    for (destination, gateway) in [("10.8.0.0/16", "10.1.0.9"), ("fd08::/64", "fd01::9")] {
        let foreign = format!("{destination} via {gateway} dev v0 proto static");
        ip(&format!("route add {foreign} table 77"));
        let same = route(destination, vec![hop(Some(gateway), Some(v0))]);
        assert!(
            netlink.add_routes(std::slice::from_ref(&same), Placement::Alone)[0]
                .as_ref()
                .unwrap_err()
                .is_exists()
        );
        assert!(netlink.remove_routes(&[same])[0].as_ref().unwrap_err().is_not_found());
        let family = if destination.contains(':') { "-6" } else { "-4" };
        let there = ip(&format!("{family} route show table 77"));
        assert!(there.starts_with(&foreign), "{there}");
    }
    // With another way ours comes first while it is there.
    let other = route("10.8.0.0/16", vec![hop(Some("10.1.0.8"), Some(v0))]);
    good(netlink.add_routes(std::slice::from_ref(&other), Placement::Prepend));
    assert_eq!(
        ip("-4 route show table 77"),
        "10.8.0.0/16 via 10.1.0.8 dev v0 proto 112\n10.8.0.0/16 via 10.1.0.9 dev v0 proto static"
    );
    good(netlink.remove_routes(std::slice::from_ref(&other)));
    good(netlink.add_routes(std::slice::from_ref(&other), Placement::Append));
    assert_eq!(
        ip("-4 route show table 77"),
        "10.8.0.0/16 via 10.1.0.9 dev v0 proto static\n10.8.0.0/16 via 10.1.0.8 dev v0 proto 112"
    );
    good(netlink.remove_routes(&[other]));
    assert_eq!(ip("-4 route show table 77"), "10.8.0.0/16 via 10.1.0.9 dev v0 proto static");
}

#[test]
fn rules_are_set_and_removed_beside_those_of_others() {
    let (mut netlink, ..) = alone();
    let full = RuleSpec {
        input: Some("v0".into()),
        output: Some("v1".into()),
        mark: Some((24, 12)),
        service: 16,
        inverted: true,
        ip_protocol: Some(17),
        source_ports: Some((10, 20)),
        destination_ports: Some((53, 53)),
        users: Some((1, 2)),
        suppressed_length: Some(0),
        to: Some(("10.9.0.0".parse().unwrap(), 16)),
        ..rule(("10.1.0.0", 24), 200)
    };
    let refused = RuleSpec { action: RuleAction::Prohibit, ..rule(("fd01::", 64), 300) };
    let rules = [rule(("10.1.0.50", 32), 100), full, refused];
    ip("rule add from 10.1.0.50 table 77 priority 100 protocol static");
    good(netlink.add_rules(&rules));
    for answer in netlink.add_rules(&rules) {
        assert!(answer.unwrap_err().is_exists());
    }
    let there = netlink.rules().unwrap();
    for rule in &rules {
        assert!(there.contains(rule), "{rule:?}\n{there:?}");
    }
    assert_eq!(
        ip("-4 rule show"),
        "0:\tfrom all lookup local\n\
         100:\tfrom 10.1.0.50 lookup 77 proto static\n\
         100:\tfrom 10.1.0.50 lookup 77 proto 112\n\
         200:\tnot from 10.1.0.0/24 to 10.9.0.0/16 tos 0x10 fwmark 0x18/0xc iif v0 oif v1 uidrange 1-2 ipproto udp sport 10-20 dport 53 lookup 77 suppress_prefixlength 0 proto 112\n\
         32766:\tfrom all lookup main\n\
         32767:\tfrom all lookup default"
    );
    assert_eq!(ip("-6 rule show priority 300"), "300:\tfrom fd01::/64 prohibit proto 112");
    good(netlink.remove_rules(&rules));
    for answer in netlink.remove_rules(&rules) {
        assert!(answer.unwrap_err().is_not_found());
    }
    assert_eq!(ip("-4 rule show priority 100"), "100:\tfrom 10.1.0.50 lookup 77 proto static");
    assert_eq!(ip("-6 rule show priority 300"), "");
}

#[test]
fn what_others_remove_is_told() {
    let (mut netlink, v0, _) = alone();
    let mut monitor = Monitor::open().unwrap();
    monitor.watch_routes().unwrap();
    let routes =
        ["10.8.0.0/16", "fd08::/64"].map(|destination| route(destination, vec![hop(None, Some(v0))]));
    let rules = [rule(("10.1.0.50", 32), 100), rule(("fd01::50", 128), 101)];
    good(netlink.add_routes(&routes, Placement::Alone));
    good(netlink.add_rules(&rules));
    ip("route del 10.8.0.0/16 table 77");
    ip("route del fd08::/64 table 77");
    ip("rule del priority 100");
    ip("-6 rule del priority 101");
    let removed: Vec<String> = monitor
        .read_events()
        .unwrap()
        .into_iter()
        .filter_map(|event| match event {
            KernelEvent::RouteRemoved(route) => Some(route.key()),
            KernelEvent::RuleRemoved(rule) => Some(rule.key()),
            _ => None,
        })
        .collect();
    let expected: Vec<String> =
        routes.iter().map(RouteSpec::key).chain(rules.iter().map(RuleSpec::key)).collect();
    assert_eq!(removed, expected);
}
