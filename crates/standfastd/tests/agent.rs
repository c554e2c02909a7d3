//! What the agent does beside the protocol: addresses of others, reload, tracking, scripts, many agents, the
//! background, and what goes wrong on a host. Needs root, or user namespaces.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab;

use lab::run;

#[test]
fn an_address_of_somebody_else_is_used_and_never_removed() {
    let out = run(
        "foreign",
        r#"
ip -n a address add 10.0.0.50/24 dev eth0
instance VI_1 51 200 "10.0.0.50/24
    10.0.0.51/24" > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.51 a 5
wait_log $T/a.conf.log "configured by somebody else"
ip netns exec a $CTL status --json | grep -c '"foreign": true'
kill $A; wait $A
holder 10.0.0.50
holder 10.0.0.51
"#,
    );
    assert_eq!(out, ["1", "a", ""]);
}

#[test]
fn what_others_remove_is_put_back_and_a_foreign_address_that_takes_its_place_is_left() {
    let out = run(
        "restore",
        r#"
instance VI_1 51 200 10.0.0.50/24 > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 5
ip -n a address del 10.0.0.50/24 dev eth0
wait_log $T/a.conf.log "somebody removed 10.0.0.50"
wait_holder 10.0.0.50 a 5
ip -n a address show | grep -c "10.0.0.50/24.* proto 112" || ip -n a -d address show | grep -c 10.0.0.50
kill $A; wait $A
holder 10.0.0.50
"#,
    );
    assert_eq!(out.last().map(String::as_str), Some(""));
}

#[test]
fn a_reload_changes_what_changed_and_nothing_else() {
    let out = run(
        "reload",
        r#"
{ instance VI_1 51 200 10.0.0.50/24; instance VI_2 52 200 10.0.0.52/24; instance VI_3 53 200 10.0.0.53/24; } > $T/a.conf
start a $SF $T/a.conf; A=$started
for n in 50 52 53; do wait_holder 10.0.0.$n a 5; done
sockets() { ls -l /proc/$A/fd | grep -o 'socket:.*' | sort; }
sockets > $T/before
sent=$(stat_of VI_1 advert_sent); since=$(stat_of VI_1 last_transition); from=$(date +%s%N)
# VI_2 gets another address, VI_3 is called VI_4, VI_5 is new.
{ instance VI_1 51 200 10.0.0.50/24; instance VI_2 52 200 "10.0.0.52/24
    10.0.0.62/24"; instance VI_4 53 200 10.0.0.53/24; instance VI_5 55 200 10.0.0.55/24; } > $T/a.conf
kill -HUP $A
wait_log $T/a.conf.log "reloaded"
wait_holder 10.0.0.62 a 5
wait_holder 10.0.0.55 a 5
sleep 1
now=$(stat_of VI_1 advert_sent); took=$(( ($(date +%s%N) - from) / 1000000 ))
# An advert each 100 ms, none missed: the two readings may fall on either side of one, and take time.
due=$((took / 100)); missed=$((due - (now - sent)))
[ $missed -le 2 ] && echo "none missed" || echo "missed $missed of $due"
sockets > $T/after
comm -23 $T/before $T/after | wc -l
grep -c "(VI_1)" $T/a.conf.log
grep -c "(VI_3) is called VI_4 now" $T/a.conf.log
grep -c "(VI_4).*->" $T/a.conf.log || true
grep -c "(VI_1) its configuration changed" $T/a.conf.log || true
ip -n a -4 -o address | grep -o '10.0.0.[0-9]*/24' | sort -u | tr '\n' ' '; echo
# Without an address that it had.
instance VI_1 51 200 10.0.0.50/24 > $T/a.conf; instance VI_2 52 200 10.0.0.52/24 >> $T/a.conf
kill -HUP $A
wait_holder 10.0.0.62 "" 5; wait_holder 10.0.0.55 "" 5; wait_holder 10.0.0.53 "" 5
holder 10.0.0.52
ip netns exec a $CTL status --json | grep -c '"vrid"'
kill $A; wait $A
"#,
    );
    let addresses = "10.0.0.1/24 10.0.0.50/24 10.0.0.52/24 10.0.0.53/24 10.0.0.55/24 10.0.0.62/24 ";
    // VI_1: started, Active, its addresses.
    assert_eq!(out, ["none missed", "0", "3", "1", "0", "0", addresses, "a", "2"]);
}

#[test]
fn a_reload_that_removes_a_virtual_router_hands_it_over_without_loss() {
    let out = run(
        "reload-remove",
        r"
{ instance VI_1 51 200 10.0.0.50/24; instance VI_2 52 200 10.0.0.52/24; } > $T/a.conf
{ instance VI_1 51 100 10.0.0.50/24; instance VI_2 52 100 10.0.0.52/24; } > $T/b.conf
start a $SF $T/a.conf; A=$started
start b $KA $T/b.conf
wait_holder 10.0.0.50 a 5; wait_holder 10.0.0.52 a 5
ip netns exec c ping -c 1 -w 3 10.0.0.52 >/dev/null
ip netns exec c ping -i 0.002 -c 1500 -q 10.0.0.52 > $T/ping & P=$!
sleep 0.7
instance VI_1 51 200 10.0.0.50/24 > $T/a.conf
kill -HUP $A
wait_holder 10.0.0.52 b 5
wait $P || true
grep -oE '[0-9]+ received' $T/ping
holder 10.0.0.50
kill $A; wait $A
",
    );
    assert_eq!(out, ["1500 received", "a"]);
}

#[test]
fn without_n_it_goes_into_the_background_and_says_when_it_runs_or_why_not() {
    let out = run(
        "background",
        r#"
instance VI_1 51 255 10.0.0.50/24 > $T/a.conf
sf() { ip netns exec a $SF -P -D -f $T/a.conf -p /run/a.pid -r /run/a-vrrp.pid "$@"; }
# Whoever reads its output to the end must not wait for the agent.
sf 2>&1 | cat >/dev/null
A=$(cat /run/a.pid); cmp /run/a.pid /run/a-vrrp.pid && echo same
readlink /proc/$A/fd/1
wait_holder 10.0.0.50 a 5
sf -l >$T/second 2>&1 || echo "second: $?"
grep -c "another agent (pid $A) holds this pid file" $T/second
kill $A; wait_holder 10.0.0.50 "" 5
wait_for test ! -e /run/a.pid; find /run -name '*.pid' | wc -l
sed -i 's/eth0/eth7/' $T/a.conf
sf -l 2>/dev/null || echo "bad configuration: $?"
ip netns exec a $SF -t -f $T/a.conf 2>/dev/null || echo "-t bad: $?"
ip netns exec a $SF -t -f $T/none.conf 2>/dev/null || echo "-t missing: $?"
sed -i 's/eth7/eth0/' $T/a.conf
ip netns exec a $SF -t -f $T/a.conf && echo "-t good"
$SF -s a -t -f $T/a.conf && echo "-s good"
$SF --signum=JSON
"#,
    );
    let expected = [
        "same",
        "/dev/null",
        "second: 1",
        "1",
        "0",
        "bad configuration: 2",
        "-t bad: 5",
        "-t missing: 4",
        "-t good",
        "-s good",
        "36",
    ];
    assert_eq!(out, expected);
}

#[test]
fn many_agents_share_a_namespace_and_a_host() {
    let out = run(
        "many",
        r#"
agent() { ip netns exec $1 $SF -n -l -D -f $T/$2.conf -p /run/$2.pid >>$T/$2.log 2>&1 & eval "$2=$!"; }
for n in 1 2 3; do instance VI_$n 5$n 200 10.0.0.5$n/24 > $T/a$n.conf; agent a a$n; done
instance VI_4 61 200 10.0.0.61/24 > $T/b1.conf; agent b b1
for n in 1 2 3; do wait_holder 10.0.0.5$n a 5; done
wait_holder 10.0.0.61 b 5
ip netns exec a $CTL status --json | grep -c '"vrid"'
$CTL status --all --json | grep -c '"vrid"'
$CTL status --netns b --json | grep -o 'VI_[0-9]'
$CTL status --pid-file /run/a2.pid --json | grep -o 'VI_[0-9]'
# One is killed: its address stays, another that starts leaves it alone, and it finds it again.
kill -KILL $a1; wait $a1 || true
kill $a3; wait $a3
agent a a3
wait_holder 10.0.0.53 a 5
holder 10.0.0.51
grep -c "left by an earlier process" $T/a3.log || true
agent a a1
wait_log $T/a1.log "addresses of an earlier process are there"
# Killed, and started with another configuration: what it left is removed.
kill -KILL $a2; wait $a2 || true
instance VI_2 52 200 10.0.0.59/24 > $T/a2.conf
agent a a2
wait_log $T/a2.log "10.0.0.52/24 was left by an earlier process and is removed"
wait_holder 10.0.0.52 "" 5
wait_holder 10.0.0.59 a 5
ls /run/standfast | grep -c sock
kill $a1 $a2 $a3 $b1; wait
ls /run/standfast | wc -l
"#,
    );
    assert_eq!(out, ["3", "4", "VI_4", "VI_2", "a", "0", "4", "0"]);
}

#[test]
fn scripts_files_processes_and_interfaces_move_the_priority() {
    let out = run(
        "track",
        r#"
ip -n a link add eth9 type veth peer name far9; ip -n a link set eth9 up; ip -n a link set far9 up
cp /bin/sleep $T/sfworker; $T/sfworker 600 & W=$!
touch $T/good; chmod 755 $T
cat > $T/check.sh <<END
#!/bin/sh
id -u > $T/uid.new && mv $T/uid.new $T/uid
test -e $T/good
END
chmod 755 $T/check.sh; mkdir $T/w; 
sed -i "s|$T/uid|$T/w/uid|g" $T/check.sh; chmod 777 $T/w
cat > $T/a.conf <<END
vrrp_script chk {
  script "$T/check.sh"
  interval 0.1
  timeout 5
  weight -10
}
track_file load {
  file $T/load
  weight 1
}
vrrp_track_process worker {
  process $T/sfworker
  weight -20
}
END
instance VI_1 51 200 10.0.0.50/24 "
  track_script {
    chk
  }
  track_file {
    load
  }
  track_process {
    worker
  }
  track_interface {
    eth9 weight -40
  }" >> $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 5
priority() { stat_of VI_1 effective_priority; }
becomes() { for _ in $(seq 200); do [ "$(priority)" = "$1" ] && { echo "$1"; return 0; }; sleep 0.02; done; echo "$(priority) and not $1"; }
becomes 200
rm $T/good; becomes 190
touch $T/good; becomes 200
echo -5 > $T/load; becomes 195
rm $T/load; becomes 200
kill $W; becomes 180
$T/sfworker 600 & W=$!
becomes 200
ip -n a link set far9 down; becomes 160
ip -n a link set far9 up; becomes 200
cat $T/w/uid
ip netns exec a $CTL status | grep -c "^script chk: up"
kill $A; wait $A; kill $W
"#,
    );
    let nobody = "65534";
    assert_eq!(out, ["200", "190", "200", "195", "200", "180", "200", "160", "200", nobody, "1"]);
}

#[test]
fn a_sync_group_moves_together_and_tells_scripts_and_the_fifo() {
    let out = run(
        "group",
        r#"
chmod 755 $T
cat > $T/notify.sh <<END
#!/bin/sh
echo "\$*" >> $T/told
END
chmod 755 $T/notify.sh
{ cat <<END
global_defs {
  notify_fifo $T/fifo
}
vrrp_sync_group VG {
  group {
    VI_1
    VI_2
  }
  notify $T/notify.sh root
}
track_file bad {
  file $T/bad
  weight 0
}
END
instance VI_1 51 200 10.0.0.50/24 "  notify_master \"$T/notify.sh own\" root"
instance VI_2 52 200 10.0.0.52/24 "
  track_file {
    bad
  }"; } > $T/a.conf
mkfifo $T/fifo; cat $T/fifo > $T/lines & R=$!
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 5; wait_holder 10.0.0.52 a 5
echo 1 > $T/bad
wait_holder 10.0.0.50 "" 5; wait_holder 10.0.0.52 "" 5
echo 0 > $T/bad
wait_holder 10.0.0.50 a 5; wait_holder 10.0.0.52 a 5
kill $A; wait $A
cat $T/told
grep -c 'INSTANCE "VI_1" MASTER 200' $T/lines
grep -c 'GROUP "VG" FAULT 0' $T/lines
kill $R 2>/dev/null || true
"#,
    );
    let told: Vec<&str> = out.iter().filter(|l| l.starts_with("GROUP")).map(String::as_str).collect();
    let group = |state: &str| format!("GROUP VG {state} 0");
    let expected = ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"].map(group);
    assert_eq!(told, expected, "{out:?}");
    assert_eq!(out.iter().filter(|l| *l == "own").count(), 2, "{out:?}");
    assert_eq!(out[out.len() - 2..], ["2", "1"]);
}

#[test]
fn an_interface_that_goes_and_comes_back_with_another_number_is_followed() {
    let out = run(
        "interface",
        r#"
instance VI_1 51 200 "10.0.0.50/24
    10.0.0.51/24" > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_holder 10.0.0.50 a 5
ip -n lan link del to-a
wait_log $T/a.conf.log "interface-down"
for n in 1 2 3; do ip -n a link add x$n type veth peer name y$n; done
ip -n lan link add to-a type veth peer name eth0 netns a
ip -n lan link set to-a master br0 up
ip -n a address add 10.0.0.1/24 dev eth0
ip -n a link set eth0 up
wait_holder 10.0.0.50 a 10
ip netns exec c ping -c 1 -w 3 10.0.0.51 >/dev/null && echo reached
kill $A; wait $A
holder 10.0.0.50
"#,
    );
    assert_eq!(out, ["reached", ""]);
}

#[test]
fn an_interface_may_come_later_with_dynamic_interfaces() {
    let out = run(
        "dynamic",
        r#"
{ printf 'global_defs {\n  dynamic_interfaces\n}\n'; instance VI_1 51 255 10.9.0.50/24 | sed 's/eth0/eth5/'; } > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_log $T/a.conf.log "waits for interface eth5"
ip netns exec a $CTL status | grep -c "VI_1 .*initialize"
ip -n a link add eth5 type veth peer name far5
ip -n a address add 10.9.0.1/24 dev eth5
ip -n a link set far5 up; ip -n a link set eth5 up
wait_holder 10.9.0.50 a 10
kill $A; wait $A
"#,
    );
    assert_eq!(out, ["1"]);
}

#[test]
fn an_ipv6_address_that_another_host_has_is_a_fault_that_is_said() {
    let out = run(
        "dad",
        r#"
for h in a c; do ip netns exec $h sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=1; done
ip -n c address add fd00::50/64 dev eth0 nodad
instance VI_1 51 200 "fd00::50/64 -nodad" > $T/a.conf
start a $SF $T/a.conf; A=$started
wait_log $T/a.conf.log "another host answers for it"
wait_log $T/a.conf.log "initialize (address-failed)"
ip -n c address del fd00::50/64 dev eth0
wait_log $T/a.conf.log "initialize (address-failed) -> backup"
wait_holder fd00::50 a 10
kill $A; wait $A
"#,
    );
    assert_eq!(out, [""; 0]);
}
