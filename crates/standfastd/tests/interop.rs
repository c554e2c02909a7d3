//! The agent beside Debian's keepalived and beside itself, on a LAN of network namespaces. A client pings the
//! virtual address; what is lost is counted. Needs root, or user namespaces.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab;

use lab::lab;

/// a (ours, priority 200) is Active and is told to stop; b takes over. Returns the pings lost of 2000.
fn planned_stop(
    name: &str,
    version: u8,
    interval: &str,
    address: &str,
    successor: &str,
    extra: [&str; 2],
) -> u32 {
    let prefix = if address.contains(':') { 64 } else { 24 };
    let out = lab(
        name,
        &format!(
            r#"
router_conf 200 {version} {interval} "{address}/{prefix}" '{}' > $T/a.conf
router_conf 100 {version} {interval} "{address}/{prefix}" '{}' > $T/b.conf
start a $SF $T/a.conf; A=$started
start b {successor} $T/b.conf
wait_holder {address} a 12
ip netns exec c ping -c 1 -w 3 {address} >/dev/null
ip netns exec c ping -i 0.002 -c 2000 -q {address} > $T/ping & P=$!
sleep 0.7
kill -TERM $A; wait $A
wait_holder {address} b 5
wait $P || true
grep -oE '[0-9]+ received' $T/ping
"#,
            extra[0], extra[1]
        ),
    );
    let received: u32 = out.split_whitespace().next().unwrap().parse().unwrap();
    2000 - received
}

#[test]
fn planned_stop_loses_nothing_v3_ipv4_to_keepalived() {
    assert_eq!(planned_stop("v3-ka", 3, "0.1", "10.0.0.50", "$KA", ["", ""]), 0);
}

#[test]
fn planned_stop_loses_nothing_v2_ipv4_to_keepalived() {
    assert_eq!(planned_stop("v2-ka", 2, "1", "10.0.0.50", "$KA", ["", ""]), 0);
}

#[test]
fn planned_stop_loses_nothing_v3_ipv6_to_keepalived() {
    assert_eq!(planned_stop("v6-ka", 3, "0.1", "fd00::50", "$KA", ["", ""]), 0);
}

#[test]
fn planned_stop_loses_nothing_v3_to_standfastd() {
    assert_eq!(planned_stop("v3-sf", 3, "0.1", "10.0.0.50", "$SF", ["", ""]), 0);
}

#[test]
fn planned_stop_loses_nothing_unicast_to_keepalived() {
    let extra = [
        "  unicast_src_ip 10.0.0.1\n  unicast_peer {\n    10.0.0.2\n  }",
        "  unicast_src_ip 10.0.0.2\n  unicast_peer {\n    10.0.0.1\n  }",
    ];
    assert_eq!(planned_stop("uni-ka", 3, "0.1", "10.0.0.50", "$KA", extra), 0);
}

#[test]
fn cut_link_moves_the_address_and_it_comes_back() {
    lab(
        "cut",
        r"
router_conf 200 3 0.1 10.0.0.50/24 > $T/a.conf
router_conf 100 3 0.1 10.0.0.50/24 > $T/b.conf
start a $KA $T/a.conf
start b $SF $T/b.conf
wait_holder 10.0.0.50 a 5
ip -n lan link set to-a down
wait_holder 10.0.0.50 b 2
ip -n lan link set to-a up
wait_holder 10.0.0.50 a 5
",
    );
}

#[test]
fn a_stopped_backup_does_not_take_over_when_it_wakes() {
    let out = lab(
        "pause",
        r"
router_conf 200 3 0.1 10.0.0.50/24 > $T/a.conf
router_conf 100 3 0.1 10.0.0.50/24 > $T/b.conf
start a $KA $T/a.conf
start b $SF $T/b.conf; B=$started
wait_holder 10.0.0.50 a 5
sleep 0.5
before=$(grep -c 'backup -> active' $T/b.conf.log || true)
kill -STOP $B; sleep 2; kill -CONT $B; sleep 0.6
holder 10.0.0.50
echo $(($(grep -c 'backup -> active' $T/b.conf.log || true) - before))
",
    );
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["a", "0"]);
}

#[test]
fn a_killed_agent_finds_its_address_again_and_a_bad_reload_changes_nothing() {
    let out = lab(
        "kill",
        r"
router_conf 200 3 0.1 10.0.0.50/24 > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 5
kill -KILL $A; wait $A || true
cp $T/a.conf.log $T/first.log
start a $SF $T/a.conf; A=$started
sleep 1
grep -c 'earlier process' $T/a.conf.log
sed -i 's/priority 200/priorty 200/' $T/a.conf
kill -HUP $A; sleep 0.3
grep -c 'nothing was changed' $T/a.conf.log
grep -o 'did you mean `priority`' $T/a.conf.log | head -1
holder 10.0.0.50
",
    );
    assert_eq!(out.lines().collect::<Vec<_>>(), ["1", "1", "did you mean `priority`", "a"]);
}
