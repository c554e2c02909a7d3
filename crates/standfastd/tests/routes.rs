//! Routes and rules that move along with the addresses, and the configurations that Octavia and Neutron write,
//! started as these start keepalived. Needs root, or user namespaces.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab;

use lab::run;

/// Shell functions that the scripts below use.
const ROUTES: &str = r#"
# routes HOST TABLE: of both families, without what the kernel makes
routes() { { ip -n "$1" -4 route show table "$2"; ip -n "$1" -6 route show table "$2"; } 2>/dev/null | grep -v 'proto kernel' | sed 's/ *$//; s/ pref medium//' || true; }
# rules HOST: those that are not the kernel's own
rules() { { ip -n "$1" -4 rule show; ip -n "$1" -6 rule show; } | grep -vE '^(0|32766|32767):' | sed 's/ *$//' || true; }
has_route() { routes "$1" "$2" | grep -F -e "$3" >/dev/null; }
lacks_route() { ! has_route "$@"; }
has_rule() { rules "$1" | grep -F -e "$2" >/dev/null; }
lacks_rule() { ! has_rule "$@"; }
"#;

fn routes(name: &str, script: &str) -> Vec<String> {
    run(name, &format!("{ROUTES}\n{script}"))
}

/// A file as Octavia's amphora agent writes it: host a or b of two, its priority and its peer.
const OCTAVIA: &str = r"
octavia() {
  cat <<END
vrrp_script check_script {
  script $T/check.sh
  interval 5
  fall 2
  rise 2
}

vrrp_instance 0f6a4e7dc2b1 {
  state $1
  interface eth0
  virtual_router_id 1
  priority $2
  nopreempt
  accept
  garp_master_refresh 5
  garp_master_refresh_repeat 2
  advert_int 1
  authentication {
    auth_type PASS
    auth_pass 0f6a4e7
  }

  unicast_src_ip 10.0.0.$3
  unicast_peer {
    10.0.0.$4
  }

  virtual_ipaddress {
    10.0.0.50
  }

  virtual_routes {
    10.0.0.0/24 dev eth0 src 10.0.0.50 scope link table 1
    default via 10.0.0.3 dev eth0 onlink table 1
  }

  virtual_rules {
    from 10.0.0.50/32 table 1 priority 100
  }

  track_script {
    check_script
  }
}
END
}
printf '#!/bin/sh\nexit 0\n' > $T/check.sh; chmod 755 $T $T/check.sh
";

/// A file as Neutron's L3 agent writes it, the same on both hosts, and the links of a router's namespace.
const NEUTRON: &str = r"
neutron() {
  cat <<END
global_defs {
    notification_email_from neutron@openstack.local
    router_id neutron
}
vrrp_instance VR_7 {
    state BACKUP
    interface eth0
    virtual_router_id 7
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 2
    authentication {
        auth_type PASS
        auth_pass Zq81kfP0
    }
    track_interface {
        eth0
    }
    virtual_ipaddress {
        169.254.0.7/24 dev eth0
    }
    virtual_ipaddress_excluded {
        10.20.0.1/24 dev qr-1 no_track
        203.0.113.9/24 dev qg-1 no_track
        2001:db8::9/64 dev qg-1 no_track
        fe80::f816:3eff:fe01:2/64 dev qr-1 scope link no_track
    }
    virtual_routes {
        0.0.0.0/0 via 203.0.113.1 dev qg-1 no_track protocol static
        ::/0 via 2001:db8::1 dev qg-1 no_track protocol static
        10.30.0.0/16 via 10.20.0.99 no_track protocol static
        203.0.114.0/24 dev qg-1 scope link no_track protocol static
    }
}
END
}
for h in a b; do
  for link in qr-1 qg-1; do
    ip -n $h link add $link type veth peer name far-$link
    ip netns exec $h sysctl -qw net.ipv6.conf.$link.accept_dad=0
    ip -n $h link set far-$link up; ip -n $h link set $link up
  done
done
";

const OCTAVIA_ROUTES: [&str; 2] = [
    "default via 10.0.0.3 dev eth0 proto 112 onlink",
    "10.0.0.0/24 dev eth0 proto 112 scope link src 10.0.0.50",
];

#[test]
fn octavia_s_configuration_runs_as_its_service_starts_it_and_leaves_nothing() {
    let out = routes(
        "octavia",
        &format!(
            r"{OCTAVIA}
octavia MASTER 100 1 2 > $T/a.conf
# Of others, in the same table and beside the same rule.
ip -n a route add 10.77.0.0/16 dev eth0 proto static table 1
ip -n a rule add from 10.0.0.50 table 1 priority 99
ip netns exec a $SF --log-facility=1 -f $T/a.conf -p /run/a.pid -r /run/a-vrrp.pid -c /run/a-check.pid
A=$(cat /run/a.pid)
wait_holder 10.0.0.50 a 10
wait_for has_rule a 100:
routes a 1
rules a
ip netns exec a $CTL status | grep -o ' active '
kill $A; wait_for test ! -e /run/a.pid
holder 10.0.0.50
routes a 1
rules a
"
        ),
    );
    let foreign = "10.77.0.0/16 dev eth0 proto static scope link";
    let rule = "from 10.0.0.50 lookup 1";
    let (theirs, ours) = (format!("99:\t{rule}"), format!("100:\t{rule} proto 112"));
    assert_eq!(
        out,
        [OCTAVIA_ROUTES[0], OCTAVIA_ROUTES[1], foreign, &theirs, &ours, " active ", "", foreign, &theirs]
    );
}

#[test]
fn neutron_s_configuration_runs_as_its_agent_starts_it_and_leaves_nothing() {
    let out = routes(
        "neutron",
        &format!(
            r"{NEUTRON}
neutron > $T/a.conf
ip -n a route add 10.66.0.0/16 dev eth0 proto static
ip netns exec a $SF -P -f $T/a.conf -p /run/a.pid -r /run/a.pid-vrrp -D
A=$(cat /run/a.pid-vrrp)
wait_holder 169.254.0.7 a 15
wait_for has_route a main 203.0.114.0/24
routes a main
ip -n a -o address show dev qr-1 | grep -oE '(10.20.0.1|fe80::f816:3eff:fe01:2)/[0-9]+'
kill $A; wait_for test ! -e /run/a.pid-vrrp
routes a main
ip -n a -o address show dev qg-1 | grep -c '203.0.113.9' || true
"
        ),
    );
    assert_eq!(
        out,
        [
            "default via 203.0.113.1 dev qg-1 proto static",
            "10.30.0.0/16 via 10.20.0.99 dev qr-1 proto static",
            "10.66.0.0/16 dev eth0 proto static scope link",
            "203.0.114.0/24 dev qg-1 proto static scope link",
            "default via 2001:db8::1 dev qg-1 proto static metric 1024",
            "10.20.0.1/24",
            "fe80::f816:3eff:fe01:2/64",
            "10.66.0.0/16 dev eth0 proto static scope link",
            "0",
        ]
    );
}

/// Neutron takes a link away before it writes the file without it.
#[test]
fn a_neutron_router_goes_on_without_a_link_of_what_is_not_tracked() {
    let out = routes(
        "neutron-link",
        &format!(
            r#"{NEUTRON}
neutron > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 169.254.0.7 a 15; wait_for has_route a main 203.0.114.0/24
ip -n a link del qr-1
wait_log $T/a.conf.log "(VR_7) goes on without interface qr-1: what is not tracked there is left out"
wait_for lacks_route a main 10.30
ip netns exec a $CTL status | grep -o ' active '
ip -n a link add qr-1 type veth peer name far-qr-1
ip -n a link set far-qr-1 up; ip -n a link set qr-1 up
wait_for has_route a main "10.30.0.0/16 via 10.20.0.99 dev qr-1"
grep -c 'VR_7.* -> ' $T/a.conf.log
kill $A; wait $A
routes a main
# Nor does a start need it.
ip -n a link del qr-1
start a $SF $T/a.conf; A=$started
wait_holder 169.254.0.7 a 15; wait_for has_route a main 203.0.114.0/24
kill $A; wait $A
"#
        ),
    );
    // It became Backup and Active, and nothing since.
    assert_eq!(out, [" active ", "2"]);
}

#[test]
fn octavia_s_pair_with_keepalived_moves_routes_and_rules_both_ways() {
    let out = routes(
        "octavia-pair",
        &format!(
            r#"{OCTAVIA}
octavia MASTER 100 1 2 > $T/a.conf; octavia BACKUP 90 2 1 > $T/b.conf
at() {{ echo "$(holder 10.0.0.50) $(for h in a b; do routes $h 1 | grep -c . || true; rules $h | grep -c . || true; done | tr '\n' ' ')"; }}
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 10; wait_for has_rule a 100:
start b $KA $T/b.conf; B=$started
wait_log $T/b.conf.log "Entering BACKUP STATE"
at
kill $A; wait $A
wait_holder 10.0.0.50 b 10; wait_for has_rule b 100:; wait_for has_route b 1 default
at
start a $SF $T/a.conf; A=$started
wait_log $T/a.conf.log "backup"
kill $B; wait $B || true
wait_holder 10.0.0.50 a 10; wait_for has_rule a 100:
at
routes a 1
kill $A; wait $A
at
"#
        ),
    );
    let expected =
        ["a 2 1 0 0 ", "b 0 0 2 1 ", "a 2 1 0 0 ", OCTAVIA_ROUTES[0], OCTAVIA_ROUTES[1], " 0 0 0 0 "];
    assert_eq!(out, expected);
}

#[test]
fn neutron_s_pair_with_keepalived_moves_the_way_out_both_ways() {
    let out = routes(
        "neutron-pair",
        &format!(
            r#"{NEUTRON}
neutron > $T/a.conf; cp $T/a.conf $T/b.conf
at() {{ echo "$(holder 169.254.0.7) $(for h in a b; do routes $h main | grep -c . || true; done | tr '\n' ' ')"; }}
start a $SF $T/a.conf; A=$started
wait_holder 169.254.0.7 a 15; wait_for has_route a main 203.0.114.0/24
start b $KA $T/b.conf; B=$started
wait_log $T/b.conf.log "Entering BACKUP STATE"
at
kill $A; wait $A
wait_holder 169.254.0.7 b 15; wait_for has_route b main 203.0.114.0/24
at
start a $SF $T/a.conf; A=$started
wait_log $T/a.conf.log "backup"
# That it is heard.
sleep 2.5
kill $B; wait $B || true
wait_holder 169.254.0.7 a 15; wait_for has_route a main 203.0.114.0/24
at
kill $A; wait $A
at
"#
        ),
    );
    assert_eq!(out, ["a 4 0 ", "b 0 4 ", "a 4 0 ", " 0 0 "]);
}

#[test]
fn a_reload_changes_the_routes_that_changed_and_no_others() {
    let out = routes(
        "routes-reload",
        r#"
with() { instance VI_1 51 255 10.0.0.50/24 "
  virtual_routes {
    10.61.0.0/16 via 10.0.0.3 table 5
    $1
    fd61::/64 dev eth0 table 5
  }
  virtual_rules {
    from 10.0.0.50 table 5 priority 50
    $2
  }" > $T/a.conf; }
with "10.62.0.0/16 via 10.0.0.3 table 5
    10.63.0.0/16 dev eth0 table 5 mtu 1400" "from 10.0.0.51 table 5 priority 51"
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 10; wait_for has_route a 5 fd61::/64
routes a 5; rules a
ip -n a -o monitor route rule > $T/changes & M=$!
sleep 0.3
with "10.62.0.0/16 via 10.0.0.4 table 5
    10.63.0.0/16 dev eth0 table 5 mtu 1300
    10.64.0.0/16 dev eth0 table 5" "to 10.0.0.51 table 5 priority 52"
kill -HUP $A
wait_for has_route a 5 10.64.0.0/16; wait_for has_rule a 52:
echo changed
sleep 0.3; kill $M
routes a 5; rules a
grep -cE '10\.61|fd61|from 10.0.0.50' $T/changes || true
# Without any.
instance VI_1 51 255 10.0.0.50/24 > $T/a.conf
kill -HUP $A
wait_for lacks_route a 5 10.61; wait_for lacks_rule a 50:
holder 10.0.0.50
routes a 5; rules a
kill $A; wait $A
"#,
    );
    let route = |text: &str| format!("{text} proto 112");
    let before = [
        "10.61.0.0/16 via 10.0.0.3 dev eth0 proto 112".to_owned(),
        "10.62.0.0/16 via 10.0.0.3 dev eth0 proto 112".to_owned(),
        "10.63.0.0/16 dev eth0 proto 112 mtu 1400".to_owned(),
        "fd61::/64 dev eth0 proto 112 metric 1024".to_owned(),
        route("50:\tfrom 10.0.0.50 lookup 5"),
        route("51:\tfrom 10.0.0.51 lookup 5"),
        "changed".to_owned(),
        "10.61.0.0/16 via 10.0.0.3 dev eth0 proto 112".to_owned(),
        "10.62.0.0/16 via 10.0.0.4 dev eth0 proto 112".to_owned(),
        "10.63.0.0/16 dev eth0 proto 112 mtu 1300".to_owned(),
        "10.64.0.0/16 dev eth0 proto 112".to_owned(),
        "fd61::/64 dev eth0 proto 112 metric 1024".to_owned(),
        route("50:\tfrom 10.0.0.50 lookup 5"),
        route("52:\tfrom all to 10.0.0.51 lookup 5"),
        "0".to_owned(),
        "a".to_owned(),
    ];
    assert_eq!(out, before);
}

#[test]
fn what_others_remove_is_put_back_and_what_the_link_takes_comes_back_with_it() {
    let out = routes(
        "routes-restore",
        r#"
ip -n a link add x0 type veth peer name y0; ip -n a link set y0 up; ip -n a link set x0 up
ip -n a address add 10.9.0.1/24 dev x0
instance VI_1 51 255 10.0.0.50/24 "
  virtual_routes {
    10.61.0.0/16 via 10.0.0.3 table 5
    10.62.0.0/16 via 10.0.0.3 table 5 no_track
    10.63.0.0/16 dev x0 table 5
    fd63::/64 dev x0 table 5
  }
  virtual_rules {
    from 10.0.0.50 table 5 priority 50
    from 10.0.0.51 table 5 priority 51 no_track
  }" > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 10; wait_for has_rule a 51:
ip -n a rule del priority 51; ip -n a rule del priority 50
ip -n a route del 10.62.0.0/16 table 5; ip -n a route del 10.61.0.0/16 table 5
wait_log $T/a.conf.log "somebody removed route 10.61.0.0/16 via 10.0.0.3 table 5; it is set again"
wait_log $T/a.conf.log "somebody removed rule 50: from 10.0.0.50/32 table 5; it is set again"
wait_for has_rule a 50:
routes a 5; rules a
ip -n a link set x0 down
wait_for lacks_route a 5 10.63; wait_for lacks_route a 5 fd63
echo down
ip -n a link set x0 up
wait_for has_route a 5 10.63; wait_for has_route a 5 fd63
grep -c 'somebody removed route 10.63' $T/a.conf.log || true
# Two times it was put back so far, and ten are the most.
for n in $(seq 3 11); do ip -n a route del 10.61.0.0/16 table 5; wait_for has_route a 5 10.61; done
wait_log $T/a.conf.log "route 10.61.0.0/16 via 10.0.0.3 table 5 was removed 11 times within a minute"
ip -n a route del 10.61.0.0/16 table 5
sleep 0.5
has_route a 5 10.61 || echo given up
kill $A; wait $A
routes a 5; rules a
"#,
    );
    assert_eq!(
        out,
        [
            "10.61.0.0/16 via 10.0.0.3 dev eth0 proto 112",
            "10.63.0.0/16 dev x0 proto 112",
            "fd63::/64 dev x0 proto 112 metric 1024",
            "50:\tfrom 10.0.0.50 lookup 5 proto 112",
            "down",
            "0",
            "given up",
        ]
    );
}

#[test]
fn what_a_killed_process_left_is_taken_over_or_removed() {
    let out = routes(
        "routes-killed",
        r#"
with() { instance VI_1 51 255 10.0.0.50/24 "
  virtual_routes {
    10.61.0.0/16 via 10.0.0.3 table 5
    $1
  }
  virtual_rules {
    from 10.0.0.50 table 5 priority 50
    $2
  }" > $T/a.conf; }
with "10.62.0.0/16 via 10.0.0.3 table 5
    10.63.0.0/16 dev eth0 table 5 protocol static" "from 10.0.0.51 table 5 priority 51"
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 10; wait_for has_rule a 51:
# Of others, with the same mark as one of ours was asked to have.
ip -n a route add 10.65.0.0/16 dev eth0 proto static table 5
wait_log $T/a.conf.log "addresses answer"
sleep 0.2
kill -KILL $A; wait $A || true
routes a 5 | wc -l
with "10.62.0.0/16 via 10.0.0.4 table 5" ""
start a $SF $T/a.conf; A=$started
wait_log $T/a.conf.log "route 10.63.0.0/16 table 5 was left by an earlier process and is removed"
wait_log $T/a.conf.log "rule 51: from 10.0.0.51/32 table 5 was left by an earlier process and is removed"
wait_for has_route a 5 10.0.0.4
routes a 5; rules a
grep -c 'set by somebody else' $T/a.conf.log || true
# Killed, and the next one is not Active: nothing stays.
kill -KILL $A; wait $A || true
instance VI_2 52 200 10.0.0.59/24 > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 "" 5; wait_for lacks_route a 5 10.61; wait_for lacks_rule a 50:
routes a 5; rules a
kill $A; wait $A
"#,
    );
    let foreign = "10.65.0.0/16 dev eth0 proto static scope link";
    assert_eq!(
        out,
        [
            "4",
            "10.61.0.0/16 via 10.0.0.3 dev eth0 proto 112",
            "10.62.0.0/16 via 10.0.0.4 dev eth0 proto 112",
            foreign,
            "50:\tfrom 10.0.0.50 lookup 5 proto 112",
            "0",
            foreign,
        ]
    );
}

#[test]
fn what_somebody_else_has_set_is_used_and_stays_and_what_fails_is_tried_again() {
    let out = routes(
        "routes-foreign",
        r#"
ip -n a route add 10.61.0.0/16 via 10.0.0.3 proto static table 5
ip -n a route add 10.62.0.0/16 via 10.0.0.3 proto static table 5
ip -n a route add 10.64.0.0/16 via 10.0.0.3 proto static table 5
instance VI_1 51 255 10.0.0.50/24 "
  virtual_routes {
    10.61.0.0/16 via 10.0.0.3 dev eth0 table 5
    10.62.0.0/16 via 10.0.0.4 dev eth0 table 5
    10.63.0.0/16 via 10.8.0.9 table 5
    10.64.0.0/16 via 10.0.0.3 dev eth0 table 5 protocol static
  }" > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 10
wait_log $T/a.conf.log "(VI_1) route 10.61.0.0/16 via 10.0.0.3 table 5 is there already, set by somebody else"
wait_log $T/a.conf.log "(VI_1) not set: route 10.63.0.0/16 via 10.8.0.9 table 5: Network is unreachable"
routes a 5
ip -n a address add 10.8.0.1/24 dev eth0
wait_for has_route a 5 10.63
ip netns exec a $CTL status | grep -o ' active '
# Once somebody else's is gone, ours comes.
ip -n a route del 10.61.0.0/16 table 5
wait_for has_route a 5 "10.61.0.0/16 via 10.0.0.3 dev eth0 proto 112"
wait_log $T/a.conf.log "route 10.61.0.0/16 via 10.0.0.3 table 5 of somebody else is gone; ours is set"
ip -n a route add 10.61.0.0/16 via 10.0.0.4 proto static table 5 metric 7
kill $A; wait $A
routes a 5
"#,
    );
    let foreign = "10.62.0.0/16 via 10.0.0.3 dev eth0 proto static";
    let same = "10.64.0.0/16 via 10.0.0.3 dev eth0 proto static";
    assert_eq!(
        out,
        [
            "10.61.0.0/16 via 10.0.0.3 dev eth0 proto static",
            "10.62.0.0/16 via 10.0.0.4 dev eth0 proto 112",
            foreign,
            same,
            " active ",
            "10.61.0.0/16 via 10.0.0.4 dev eth0 proto static metric 7",
            foreign,
            same,
        ]
    );
}

#[test]
fn octavia_s_configuration_for_ipv6_runs_too() {
    let out = routes(
        "octavia-ipv6",
        &format!(
            r#"{OCTAVIA}
ipv6() {{ sed -e 's/10\.0\.0\.0.24/fd00::\/64/; s/10\.0\.0\.50.32/fd00::50\/128/; s/10\.0\.0\./fd00::/g' "$1" > "$2"; }}
octavia MASTER 100 1 2 > $T/4.conf; ipv6 $T/4.conf $T/a.conf
octavia BACKUP 90 2 1 > $T/4.conf; ipv6 $T/4.conf $T/b.conf
start a $SF $T/a.conf; A=$started
wait_holder fd00::50 a 10; wait_for has_rule a 100:
routes a 1; rules a
grep -c 'not set' $T/a.conf.log || true
start b $KA $T/b.conf; B=$started
wait_log $T/b.conf.log "Entering BACKUP STATE"
kill $A; wait $A
wait_holder fd00::50 b 10; wait_for has_rule b 100:; wait_for has_route b 1 default
routes a 1; rules a
kill $B; wait $B || true
"#
        ),
    );
    assert_eq!(
        out,
        [
            "fd00::/64 dev eth0 proto 112 src fd00::50 metric 1024",
            "default via fd00::3 dev eth0 proto 112 metric 1024 onlink",
            "100:\tfrom fd00::50 lookup 1 proto 112",
            "0",
        ]
    );
}

#[test]
fn they_come_right_after_the_addresses_and_leave_right_before_them() {
    let out = routes(
        "routes-order",
        r#"
instance VI_1 51 255 10.0.0.50/24 "
  virtual_routes {
    10.61.0.0/16 dev eth0 src 10.0.0.50 table 5
  }
  virtual_rules {
    from 10.0.0.50 table 5 priority 50
  }" > $T/a.conf
ip -n a -o monitor address route rule label > $T/events & M=$!
sleep 0.3
start a $SF $T/a.conf; A=$started
wait_for has_rule a 50:
kill $A; wait $A
wait_for grep -F 'Deleted' $T/events; wait_for grep -E 'ADDR.Deleted' $T/events
kill $M
# The kernel's own of the address are left out.
grep -v 'table local' $T/events | grep -E '10\.0\.0\.50|10\.61' | grep -oE '^.(ADDR|ROUTE|RULE).(Deleted)?'
"#,
    );
    let came = ["[ADDR]", "[ROUTE]", "[RULE]"];
    let left = ["[RULE]Deleted", "[ROUTE]Deleted", "[ADDR]Deleted"];
    assert_eq!(out, [came, left].concat());
}

#[test]
fn a_route_with_another_way_that_a_killed_process_left_goes_with_the_addresses() {
    let out = routes(
        "routes-backup",
        r#"
with() { instance VI_1 51 200 10.0.0.50/24 "
  virtual_routes {
    10.61.0.0/16 via $1 table 5
    10.62.0.0/16 via 10.0.0.3 table 5
  }" > $T/a.conf; }
with 10.0.0.3
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 10; wait_for has_route a 5 10.62
kill -KILL $A; wait $A || true
instance VI_1 51 255 10.0.0.50/24 > $T/b.conf
start b $SF $T/b.conf; B=$started
wait_holder 10.0.0.50 ab 10
routes a 5 | grep -c .
with 10.0.0.4
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 b 10
wait_for lacks_route a 5 10.62
routes a 5
kill $A $B; wait $A $B
"#,
    );
    assert_eq!(out, ["2"]);
}

#[test]
fn a_route_from_an_address_that_is_still_looked_for_elsewhere_comes_when_it_answers() {
    let out = routes(
        "routes-dad",
        r#"
ip netns exec a sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=1
instance VI_1 51 255 "fd00::50/64 -nodad" "
  virtual_routes {
    fd61::/64 dev eth0 src fd00::50 table 5
  }" > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_for has_route a 5 "fd61::/64 dev eth0 proto 112 src fd00::50"
grep -c 'not set' $T/a.conf.log || true
kill $A; wait $A
routes a 5
"#,
    );
    assert_eq!(out, ["0"]);
}
