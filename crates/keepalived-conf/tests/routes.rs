//! `virtual_routes` and `virtual_rules`: what is read from a line, and what is said of one that cannot be meant.

mod memory;

use keepalived_conf::{Outcome, Placement, RouteKind, RuleAction, VirtualRoute, VirtualRule};
use memory::{Memory, said};
use proptest::prelude::*;
use vrrp::Family;

fn file(block: &str, lines: &str) -> Outcome {
    let text = format!(
        "vrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {{\n10.0.0.50/24\n}}\n{block} {{\n{lines}\n}}\n}}\n"
    );
    Memory::default()
        .with("/etc/k.conf", &text)
        .with("/etc/iproute2/rt_tables", "# numbers and names\n255\tlocal\n\n0x20 blue # the blue one\n")
        .with("/etc/iproute2/rt_tables.d/site.conf", "44 site\n")
        .read_main(None)
}

#[track_caller]
fn route(line: &str) -> VirtualRoute {
    let outcome = file("virtual_routes", line);
    assert_eq!(said(&outcome), [""; 0], "{line}");
    let mut routes = outcome.configuration.unwrap_or_default().instances.remove(0).routes;
    assert_eq!(routes.len(), 1, "{line}");
    routes.remove(0)
}

#[track_caller]
fn rule(line: &str) -> VirtualRule {
    let outcome = file("virtual_rules", line);
    assert_eq!(said(&outcome), [""; 0], "{line}");
    let mut rules = outcome.configuration.unwrap_or_default().instances.remove(0).rules;
    assert_eq!(rules.len(), 1, "{line}");
    rules.remove(0)
}

/// What is said of a line that stands in the eighth line of the file.
#[track_caller]
fn refused(block: &str, line: &str, expected: &str) {
    let outcome = file(block, line);
    assert_eq!(said(&outcome), [format!("8:{expected}")], "{line}");
    assert!(outcome.configuration.is_none(), "{line}");
}

fn to(route: &VirtualRoute) -> String {
    format!("{}/{}", route.destination.0, route.destination.1)
}

#[test]
fn what_the_manual_shows() {
    let full = route("src 192.168.100.1 to 192.168.109.0/24 via 192.168.200.254 dev eth1");
    assert_eq!(to(&full), "192.168.109.0/24");
    assert_eq!(full.source, Some("192.168.100.1".parse().unwrap()));
    let hop = &full.nexthops[0];
    assert_eq!(hop.gateway, Some("192.168.200.254".parse().unwrap()));
    assert_eq!((hop.interface.as_deref(), hop.onlink, hop.weight), (Some("eth1"), false, 1));
    assert_eq!((full.table, full.scope, full.metric, full.protocol), (254, 0, None, None));
    assert_eq!((full.kind, full.placement, full.tracked), (RouteKind::Unicast, Placement::Prepend, true));

    assert!(!route("192.168.111.0/24 dev eth1 no_track").tracked);
    assert_eq!(route("192.168.112.0/24 via 192.168.100.254").nexthops[0].interface, None);
    let nothing = route("blackhole 192.168.114.0/24");
    assert_eq!((nothing.kind, nothing.nexthops.len()), (RouteKind::Blackhole, 0));
    assert_eq!(route("0.0.0.0/0 gw 192.168.0.1 table 100").table, 100);

    let many = route(
        "192.168.100.0/24 table 6909 nexthop via 192.168.101.1 dev eth0 onlink weight 1 nexthop via 192.168.101.2 dev eth1 weight 2",
    );
    let hops: Vec<_> = many.nexthops.iter().map(|h| (h.interface.as_deref(), h.onlink, h.weight)).collect();
    assert_eq!(hops, [(Some("eth0"), true, 1), (Some("eth1"), false, 2)]);

    let details = route(
        "192.168.200.0/24 dev eth0 table 6909 tos 0x04 protocol bird scope link priority 12 mtu lock 1000 hoplimit 100 advmss 101 append",
    );
    assert_eq!((details.service, details.protocol, details.scope), (4, Some(12), 253));
    assert_eq!((details.metric, details.placement), (Some(12), Placement::Append));
    let metrics: Vec<_> = details.metrics.iter().map(|m| (m.number, m.value, m.locked)).collect();
    assert_eq!(metrics, [(2, 1000, true), (10, 100, false), (8, 101, false)]);
}

#[test]
fn families_are_those_of_the_addresses_or_said() {
    assert_eq!(route("default via fd00::1 dev eth0").family, Family::Ipv6);
    assert_eq!(to(&route("default via fd00::1 dev eth0")), "::/0");
    assert_eq!(to(&route("default dev eth0")), "0.0.0.0/0");
    assert_eq!(to(&route("inet6 default dev eth0")), "::/0");
    assert_eq!(to(&route("2001:db8::4 dev eth0")), "2001:db8::4/128");
    assert_eq!(to(&route("10.9.0.1 dev eth0")), "10.9.0.1/32");
    assert_eq!(rule("inet6 iif eth0 table 5 priority 1").family, Family::Ipv6);
    assert_eq!(rule("from fd00::/64 table 5 priority 1").family, Family::Ipv6);
}

#[test]
fn tables_have_names() {
    assert_eq!(route("10.9.0.0/16 dev eth0 table main").table, 254);
    assert_eq!(route("10.9.0.0/16 dev eth0 table blue").table, 32);
    assert_eq!(route("10.9.0.0/16 dev eth0 table site").table, 44);
    assert_eq!(rule("from 10.9.0.0/16 lookup blue priority 7").action, RuleAction::Table(32));
}

#[test]
fn rules_of_the_manual() {
    let full = rule(
        "from 192.168.28.0/24 to 192.168.29.0/26 table 9 iif eth0 oif eth1 tos 22 fwmark 24/12 preference 39",
    );
    assert_eq!(full.from, Some(("192.168.28.0".parse().unwrap(), 24)));
    assert_eq!(full.to, Some(("192.168.29.0".parse().unwrap(), 26)));
    assert_eq!((full.input.as_deref(), full.output.as_deref()), (Some("eth0"), Some("eth1")));
    assert_eq!((full.service, full.mark, full.priority), (22, Some((24, 12)), 39));
    assert_eq!((full.action, full.protocol, full.tracked), (RuleAction::Table(9), None, true));
    let ports =
        rule("not to 10.8.0.0/16 prohibit priority 5 ipproto UDP sport 10-20 dport 53 uidrange 1-2 no_track");
    assert_eq!((ports.action, ports.ip_protocol, ports.inverted), (RuleAction::Prohibit, Some(17), true));
    assert_eq!((ports.source_ports, ports.destination_ports), (Some((10, 20)), Some((53, 53))));
    assert_eq!((ports.users, ports.tracked), (Some((1, 2)), false));
    assert_eq!(rule("from all table 5 priority 0x10 suppress_prefixlength 0").suppressed_length, Some(0));
}

#[test]
fn a_rule_without_a_priority_gets_one_and_that_is_said() {
    let outcome =
        file("virtual_rules", "from 10.9.0.0/16 table 5\nfrom 10.8.0.0/16 table 5\nfrom fd00::/64 table 5");
    let help = "write `priority N`: the least is asked first, and main has 32766";
    assert_eq!(
        said(&outcome),
        [("8", 16384), ("9", 16383), ("10", 16384)].map(|(line, priority)| format!(
            "{line}:1: warning[no-priority]: a rule without a priority gets {priority}, as with keepalived; {help}"
        ))
    );
    let rules = &outcome.configuration.unwrap().instances[0].rules;
    assert_eq!(rules.iter().map(|r| r.priority).collect::<Vec<_>>(), [16384, 16383, 16384]);
}

#[test]
fn what_is_not_tracked_may_lack_its_interface() {
    let help = "did you mean `eth0`? There are eth0, eth1";
    for (block, line, column) in [
        ("virtual_routes", "10.9.0.0/16 dev eth9 no_track", 17),
        ("virtual_routes", "10.9.0.0/16 nexthop via 10.0.0.1 dev eth9 no_track", 38),
        ("virtual_rules", "iif eth9 table 1 priority 1 no_track", 5),
        ("virtual_ipaddress_excluded", "10.9.0.1/16 dev eth9 no_track", 1),
    ] {
        let outcome = file(block, line);
        let expected =
            format!("8:{column}: warning[no-interface]: there is no interface `eth9` on this host; {help}");
        assert_eq!(said(&outcome), [expected], "{line}");
        assert!(outcome.configuration.is_some(), "{line}");
    }
}

/// The kernel takes them in IPv6 routes and in rules.
#[test]
fn bits_behind_a_prefix_do_not_count() {
    let behind = "has bits behind its first 64, which do not count";
    let outcome = file("virtual_routes", "fd00::5/64 dev eth0");
    let mend = "write fd00::/64, or fd00::5/128 for the one address";
    assert_eq!(said(&outcome), [format!("8:1: warning[bits-behind-prefix]: `fd00::5/64` {behind}; {mend}")]);
    let route = outcome.configuration.unwrap_or_default().instances.remove(0).routes.remove(0);
    assert_eq!(to(&route), "fd00::/64");
    let outcome = file("virtual_rules", "from 10.9.0.5/16 table 1 priority 1");
    assert_eq!(said(&outcome).len(), 1);
    let rule = outcome.configuration.unwrap_or_default().instances.remove(0).rules.remove(0);
    assert_eq!(rule.from, Some(("10.9.0.0".parse().unwrap(), 16)));
}

#[test]
fn mistakes_in_routes() {
    for (line, expected) in [
        (
            "10.9.0.0/16 vai 10.0.0.1",
            "13: error[extra-value]: `vai` is not known in a route; did you mean `via`?",
        ),
        (
            "defualt via 10.0.0.1",
            "1: error[extra-value]: `defualt` is not known in a route; did you mean `default`?",
        ),
        (
            "10.9.0.0/16",
            "1: error[missing-value]: a route that says neither `via` nor `dev`; add `via GATEWAY`, `dev INTERFACE`, or both",
        ),
        (
            "via 10.0.0.1",
            "1: error[missing-value]: a route without a destination; write `ADDRESS/LENGTH via GATEWAY dev INTERFACE`, or `default via ...`",
        ),
        ("10.9.0.0/16 via", "13: error[missing-value]: `via` needs a value; write it behind the keyword"),
        (
            "10.9.0.1/16 dev eth0",
            "1: error[bad-address]: `10.9.0.1/16` has bits behind its first 16: the kernel refuses it; write 10.9.0.0/16, or 10.9.0.1/32 for the one address",
        ),
        (
            "10.9.0.0/33 dev eth0",
            "1: error[value-out-of-range]: `10.9.0.0/33` has no length from 0 to 32; write ADDRESS/LENGTH",
        ),
        (
            "10.9.0/16 dev eth0",
            "1: error[bad-address]: `10.9.0/16` is no address; write ADDRESS/LENGTH, or `default`",
        ),
        (
            "10.9.0.0/16 via fd00::1 dev eth0",
            "17: error[mixed-families]: IPv6 in a line that is IPv4 so far; write one line for IPv4 and one for IPv6",
        ),
        (
            "10.9.0.0/16 dev eht0",
            "17: error[no-interface]: there is no interface `eht0` on this host; did you mean `eth0`? There are eth0, eth1",
        ),
        (
            "10.9.0.0/16 dev eth0 table bleu",
            "28: error[unknown-name]: no routing table is called `bleu`; did you mean `blue`?",
        ),
        (
            "10.9.0.0/16 dev eth0 table green",
            "28: error[unknown-name]: no routing table is called `green`; write its number, or name it in /etc/iproute2/rt_tables",
        ),
        (
            "10.9.0.0/16 dev eth0 table 0",
            "28: error[value-out-of-range]: `0` is no number of a routing table; 1 to 4294967295",
        ),
        (
            "10.9.0.0/16 dev eth0 metric -1",
            "29: error[value-out-of-range]: `-1` is no value for `metric`; a whole number from 0 to 4294967295 is needed",
        ),
        (
            "10.9.0.0/16 dev eth0 realms 1/2",
            "22: error[not-built]: `realms` in a route is known but not built; leave it out, or mark packets with the firewall",
        ),
        (
            "10.9.0.0/16 via 10.0.0.1 or 10.0.0.2",
            "26: error[not-built]: `or` in a route is known but not built; write `nexthop via ADDRESS nexthop via ADDRESS`, as keepalived asks too",
        ),
        (
            "10.9.0.0/16 dev eth0 10.8.0.0/16",
            "22: error[extra-value]: `10.8.0.0/16` is a second destination; each route needs a line of its own",
        ),
        (
            "10.9.0.0/16 via 10.0.0.1 onlink",
            "1: error[missing-value]: `onlink` without `dev`: on which link is 10.0.0.1?; add `dev INTERFACE`",
        ),
        (
            "blackhole 10.9.0.0/16 dev eth0",
            "11: error[extra-value]: a route that sends nothing on has no way; remove `via` and `dev`, or the word before the destination",
        ),
        (
            "10.9.0.0/16 dev eth0 nexthop via 10.0.0.1",
            "1: error[extra-value]: a route with a way of its own and with `nexthop`; write every way behind a `nexthop` of its own",
        ),
        (
            "10.9.0.0/16 dev eth0 weight 2",
            "22: error[extra-value]: `weight` belongs behind a `nexthop`; write `nexthop via ADDRESS weight N nexthop via ADDRESS weight N`",
        ),
    ] {
        refused("virtual_routes", line, expected);
    }
}

#[test]
fn mistakes_in_rules() {
    for (line, expected) in [
        (
            "form 10.9.0.0/16 table 1",
            "1: error[extra-value]: `form` is not known in a rule; did you mean `from`?",
        ),
        (
            "from 10.9.0.0/16 priority 1",
            "1: error[missing-value]: a rule that says neither a table nor what else to do; add `table N`, or blackhole, unreachable or prohibit",
        ),
        (
            "from 10.9.0.0/16 table 1 blackhole priority 1",
            "26: error[extra-value]: `blackhole` is a second thing to do; each rule has one of table, blackhole, unreachable and prohibit",
        ),
        (
            "from 10.9.0.0/16 to fd00::/64 table 1",
            "21: error[mixed-families]: IPv6 in a line that is IPv4 so far; write one line for IPv4 and one for IPv6",
        ),
        ("fwmark x table 1", "8: error[value-out-of-range]: `x` is no mark; write NUMBER or NUMBER/MASK"),
        (
            "sport 9-8 table 1",
            "7: error[value-out-of-range]: `9-8` is no range for `sport`; write FIRST-LAST, or one number",
        ),
        (
            "ipproto tpc table 1",
            "9: error[value-out-of-range]: `tpc` is no IP protocol; tcp, udp, icmp, icmpv6, sctp or a number",
        ),
        (
            "from 10.9.0.0/16 goto 4 priority 1",
            "18: error[not-built]: `goto` in a rule is known but not built; write the rules in the order of their priorities instead",
        ),
        (
            "iif eth9 table 1 priority 1",
            "5: error[no-interface]: there is no interface `eth9` on this host; did you mean `eth0`? There are eth0, eth1",
        ),
        (
            "from all prohibit suppress_prefixlength 0",
            "1: error[missing-value]: `suppress_prefixlength` without a table; add `table N`",
        ),
    ] {
        refused("virtual_rules", line, expected);
    }
}

/// Words of both languages, values that fit and that do not.
fn word() -> impl Strategy<Value = String> {
    let words = vec![
        "to",
        "from",
        "via",
        "dev",
        "oif",
        "iif",
        "src",
        "table",
        "lookup",
        "metric",
        "priority",
        "scope",
        "protocol",
        "tos",
        "mtu",
        "lock",
        "hoplimit",
        "onlink",
        "nexthop",
        "weight",
        "no_track",
        "inet",
        "inet6",
        "blackhole",
        "throw",
        "prohibit",
        "append",
        "add",
        "not",
        "fwmark",
        "sport",
        "uidrange",
        "ipproto",
        "suppress_prefixlength",
        "default",
        "all",
        "10.9.0.0/16",
        "10.9.0.1",
        "0.0.0.0/0",
        "::/0",
        "fd00::/64",
        "fd00::1/128",
        "10.0.0.1/0",
        "eth0",
        "eth9",
        "blue",
        "main",
        "static",
        "1",
        "0",
        "255",
        "256",
        "0x10",
        "4294967295",
        "4294967296",
        "1-2",
        "2-1",
        "1/2",
        "-1",
        "tcp",
        "or",
        "realms",
    ];
    prop_oneof![20 => proptest::sample::select(words).prop_map(str::to_owned), 1 => "[a-z0-9:./-]{1,8}"]
}

proptest! {
    /// What a line is, it ends in a route or a rule, or in an error.
    #[test]
    fn no_line_is_silently_left_out(words in proptest::collection::vec(word(), 1..10), rules: bool) {
        let block = if rules { "virtual_rules" } else { "virtual_routes" };
        let outcome = file(block, &words.join(" "));
        let read = outcome.configuration.as_ref().map(|c| {
            let instance = &c.instances[0];
            instance.routes.len() + instance.rules.len()
        });
        prop_assert_eq!(read.unwrap_or(1), 1);
        prop_assert_eq!(read.is_none(), outcome.has_errors());
    }
}
