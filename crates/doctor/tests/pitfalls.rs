//! One test for each pitfall, from facts as they were recorded: what Neutron and Nova answered (the shapes of
//! `openstack port list --long -f json` and the like), what an agent's status said, what was on the wire.
//!
//! These are recorded answers, a stand-in for a cloud in that condition. The pitfalls that the lab can produce
//! are produced there and found in the lab's own tests.
#![cfg(test)]

use std::net::IpAddr;

use control::AgentStatus;
use doctor::catalogue::{self, Pitfall};
use doctor::cloud::Cloud;
use doctor::wire::{Advertiser, Checksum, Claim, Wire};
use doctor::{Facts, Finding, Fix, examine};
use keepalived_conf::Severity;
use serde_json::{Value, json};

const VIP: &str = "10.0.0.100";

fn vip() -> IpAddr {
    VIP.parse().unwrap()
}

fn port(id: &str, address: &str, more: &Value) -> Value {
    let mut port = json!({
        "id": id, "name": "", "network_id": "net", "status": "ACTIVE", "mac_address": format!("fa:16:3e:00:00:{id}"),
        "fixed_ips": [{ "subnet_id": "sub", "ip_address": address }],
        "allowed_address_pairs": [{ "ip_address": VIP, "mac_address": format!("fa:16:3e:00:00:{id}") }],
        "device_id": format!("server-{id}"), "device_owner": "compute:nova", "security_groups": ["group"],
        "port_security_enabled": true, "project_id": "project", "revision_number": 3,
    });
    for (key, value) in more.as_object().unwrap() {
        port[key] = value.clone();
    }
    port
}

fn reserved(more: &Value) -> Value {
    let mut all = json!({ "status": "DOWN", "device_id": "", "device_owner": "vrrp:reserved", "allowed_address_pairs": [], "name": "vrrp" });
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    port("33", VIP, &all)
}

fn vrrp_rule() -> Value {
    json!({ "id": "r", "security_group_id": "group", "direction": "ingress", "ethertype": "IPv4", "protocol": "112", "remote_group_id": "group" })
}

fn egress_rule() -> Value {
    json!({ "id": "e", "security_group_id": "group", "direction": "egress", "ethertype": "IPv4" })
}

struct Recorded {
    network: Value,
    ports: Vec<Value>,
    rules: Vec<Value>,
    servers: Vec<Value>,
    floating_ips: Vec<Value>,
    elsewhere: Vec<Value>,
}

impl Default for Recorded {
    fn default() -> Self {
        Self {
            network: json!({ "id": "net", "name": "my-net", "project_id": "project", "port_security_enabled": true }),
            ports: vec![
                port("11", "10.0.0.11", &json!({})),
                port("12", "10.0.0.12", &json!({})),
                reserved(&json!({})),
            ],
            rules: vec![vrrp_rule(), egress_rule()],
            servers: vec![
                json!({ "id": "server-11", "name": "lb-0", "hostId": "aa" }),
                json!({ "id": "server-12", "name": "lb-1", "hostId": "bb" }),
            ],
            floating_ips: Vec::new(),
            elsewhere: Vec::new(),
        }
    }
}

fn each<T: serde::de::DeserializeOwned>(values: Vec<Value>) -> Vec<T> {
    values.into_iter().map(|value| serde_json::from_value(value).unwrap()).collect()
}

impl Recorded {
    fn facts(self) -> Facts {
        let group = json!({ "id": "group", "name": "lb", "security_group_rules": self.rules });
        let cloud = Cloud {
            name: "recorded".into(),
            project_id: Some("project".into()),
            network: serde_json::from_value(self.network).unwrap(),
            subnets: each(vec![json!({
                "id": "sub", "name": "my-subnet", "network_id": "net", "cidr": "10.0.0.0/24", "ip_version": 4,
                "gateway_ip": "10.0.0.1", "allocation_pools": [{ "start": "10.0.0.10", "end": "10.0.0.199" }],
            })]),
            ports: each(self.ports),
            elsewhere: each(self.elsewhere),
            members: vec!["11".into(), "12".into()],
            servers: each(self.servers),
            server_groups: Vec::new(),
            security_groups: [("group".to_owned(), serde_json::from_value(group).unwrap())].into(),
            floating_ips: each(self.floating_ips),
            refused: Vec::new(),
        };
        Facts { addresses: vec![vip()], cloud: Some(cloud), ..Facts::default() }
    }
}

fn found<'a>(findings: &'a [Finding], pitfall: &Pitfall) -> &'a Finding {
    findings.iter().find(|f| f.pitfall.id == pitfall.id).unwrap_or_else(|| {
        panic!("{} not among {:#?}", pitfall.id, findings.iter().map(|f| f.pitfall.id).collect::<Vec<_>>())
    })
}

/// The one finding that is expected, checked for being complete.
fn only(facts: &Facts, pitfall: &Pitfall) -> Finding {
    let findings = examine(facts);
    let finding = found(&findings, pitfall);
    assert!(findings.iter().all(|f| f.pitfall.id == pitfall.id), "others too: {findings:#?}");
    assert!(!finding.evidence.is_empty() && !finding.mends.is_empty(), "{finding:#?}");
    finding.clone()
}

#[test]
fn a_healthy_pair_of_members_has_no_finding() {
    assert_eq!(examine(&Recorded::default().facts()), []);
}

#[test]
fn pitfall_1_security_groups_without_protocol_112() {
    let facts = Recorded { rules: vec![egress_rule()], ..Recorded::default() }.facts();
    let finding = only(&facts, &catalogue::VRRP_BLOCKED);
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(
        finding.mends[0].command,
        "openstack security group rule create --ingress --ethertype IPv4 --protocol 112 --remote-group group group"
    );
    assert_eq!(
        finding.mends[0].fix,
        Some(Fix::AllowVrrp { security_group_id: "group".into(), ethertype: "IPv4".into() })
    );
    // Without an egress rule the sender is told, not the receiver.
    let facts = Recorded { rules: vec![vrrp_rule()], ..Recorded::default() }.facts();
    assert!(only(&facts, &catalogue::VRRP_BLOCKED).mends[0].command.contains("--egress"));
    // A rule for any protocol, as the default group has, is as good.
    let any = json!({ "direction": "ingress", "ethertype": "IPv4", "remote_group_id": "group" });
    assert_eq!(examine(&Recorded { rules: vec![any, egress_rule()], ..Recorded::default() }.facts()), []);
    // One from another network is not.
    let other = json!({ "direction": "ingress", "ethertype": "IPv4", "protocol": "vrrp", "remote_ip_prefix": "10.9.0.0/24" });
    only(
        &Recorded { rules: vec![other, egress_rule()], ..Recorded::default() }.facts(),
        &catalogue::VRRP_BLOCKED,
    );
}

#[test]
fn the_rule_for_protocol_112_goes_into_the_group_that_is_for_it() {
    let with = |own: Vec<Value>, broad: Vec<Value>| {
        let mut recorded = Recorded { rules: own, ..Recorded::default() };
        for member in &mut recorded.ports[..2] {
            member["security_groups"] = json!(["broad", "group"]);
        }
        let mut facts = recorded.facts();
        let group = json!({ "id": "broad", "name": "bosh", "security_group_rules": broad });
        let groups = &mut facts.cloud.as_mut().unwrap().security_groups;
        groups.insert("broad".to_owned(), serde_json::from_value(group).unwrap());
        let fix = only(&facts, &catalogue::VRRP_BLOCKED).mends[0].fix.clone();
        let Some(Fix::AllowVrrp { security_group_id, .. }) = fix else { panic!("{fix:?}") };
        security_group_id
    };
    let tcp = || json!({ "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp" });
    assert_eq!(with(vec![egress_rule()], vec![egress_rule(), tcp()]), "group", "it has fewer rules");
    let of_ipv6 = json!({ "direction": "ingress", "ethertype": "IPv6", "protocol": "112" });
    let spoken = vec![egress_rule(), tcp(), of_ipv6];
    assert_eq!(with(spoken, vec![egress_rule()]), "group", "it speaks of VRRP already");
}

#[test]
fn pitfall_2_pair_on_one_member_only() {
    let mut recorded = Recorded::default();
    recorded.ports[1]["allowed_address_pairs"] = json!([]);
    let finding = only(&recorded.facts(), &catalogue::PAIR_MISSING);
    assert!(finding.cause.contains("lb-1"), "{}", finding.cause);
    assert_eq!(finding.mends[0].command, "openstack port set --allowed-address ip-address=10.0.0.100 12");
}

#[test]
fn pitfall_2_pair_on_no_port_at_all() {
    let mut facts = Recorded::default().facts();
    facts.cloud.as_mut().unwrap().members.clear();
    assert!(only(&facts, &catalogue::PAIR_MISSING).cause.contains("no VM on network my-net"));
}

#[test]
fn pitfall_3_network_of_another_project() {
    let mut recorded = Recorded::default();
    recorded.network["project_id"] = json!("provider");
    recorded.network["shared"] = json!(true);
    only(&recorded.facts(), &catalogue::PAIRS_NOT_PERMITTED);
}

#[test]
fn pitfall_4_port_security_off() {
    let mut recorded = Recorded::default();
    recorded.ports[0]["port_security_enabled"] = json!(false);
    recorded.ports[0]["allowed_address_pairs"] = json!([]);
    assert_eq!(only(&recorded.facts(), &catalogue::PAIRS_WITHOUT_PORT_SECURITY).severity, Severity::Note);
}

#[test]
fn pitfall_5_no_reservation_inside_the_pool() {
    let mut recorded = Recorded::default();
    recorded.ports.pop();
    let finding = only(&recorded.facts(), &catalogue::NOT_RESERVED);
    assert!(finding.cause.contains("allocation pool"), "{}", finding.cause);
    assert_eq!(finding.mends[0].command, "standfast reserve 10.0.0.100 --network net");
    // Another VM got it.
    let mut recorded = Recorded::default();
    recorded.ports[2] = port("44", VIP, &json!({ "allowed_address_pairs": [] }));
    only(&recorded.facts(), &catalogue::ADDRESS_TAKEN);
}

#[test]
fn pitfall_6_a_reservation_that_old_cpis_delete() {
    let mut recorded = Recorded::default();
    recorded.ports[2]["device_owner"] = json!("");
    let finding = only(&recorded.facts(), &catalogue::RESERVATION_UNPROTECTED);
    assert_eq!(finding.mends[0].command, "openstack port set --device-owner vrrp:reserved 33");
}

#[test]
fn pitfall_7_a_bound_reservation() {
    let mut recorded = Recorded::default();
    recorded.ports[2]["device_id"] = json!("some-device");
    only(&recorded.facts(), &catalogue::RESERVATION_BOUND);
}

#[test]
fn pitfall_8_a_prefix_where_ovn_needs_the_address() {
    let mut recorded = Recorded::default();
    recorded.ports.push(port(
        "99",
        "10.0.0.2",
        &json!({ "device_owner": "network:distributed", "allowed_address_pairs": [] }),
    ));
    for member in 0..2 {
        recorded.ports[member]["allowed_address_pairs"] = json!([{ "ip_address": "10.0.0.96/28" }]);
    }
    assert_eq!(only(&recorded.facts(), &catalogue::PAIR_IS_PREFIX).severity, Severity::Warning);
    // On another network.
    let mut recorded = Recorded::default();
    let mut elsewhere = recorded.ports.pop().unwrap();
    elsewhere["network_id"] = json!("other-net");
    recorded.elsewhere.push(elsewhere);
    only(&recorded.facts(), &catalogue::RESERVATION_ELSEWHERE);
}

#[test]
fn pitfall_8_the_virtual_port_follows_another_host() {
    let mut recorded = Recorded::default();
    recorded.ports[0]["binding:host_id"] = json!("compute-1");
    recorded.ports[1]["binding:host_id"] = json!("compute-2");
    recorded.ports[2]["binding:vif_details"] = json!({ "parent_hostname": "compute-2" });
    let mut facts = recorded.facts();
    facts.wire = Some(wire(vec![advertiser("10.0.0.11", 200)]));
    only(&facts, &catalogue::PARENT_DIFFERS);
}

#[test]
fn pitfall_12_a_floating_ip_on_a_member() {
    let recorded = Recorded {
        floating_ips: vec![
            json!({ "id": "f", "floating_ip_address": "172.24.0.9", "port_id": "11", "fixed_ip_address": "10.0.0.11" }),
        ],
        ..Recorded::default()
    };
    let finding = only(&recorded.facts(), &catalogue::FLOATING_IP_ON_MEMBER);
    assert_eq!(finding.mends[0].command, "openstack floating ip set --port 33 172.24.0.9");
}

#[test]
fn pitfall_13_as_many_pairs_as_allowed() {
    let mut recorded = Recorded::default();
    let mut pairs: Vec<Value> =
        (1..10).map(|n| json!({ "ip_address": format!("10.0.0.{}", 200 + n) })).collect();
    pairs.push(json!({ "ip_address": VIP }));
    recorded.ports[0]["allowed_address_pairs"] = json!(pairs);
    only(&recorded.facts(), &catalogue::TOO_MANY_PAIRS);
}

#[test]
fn pitfall_14_a_virtual_mac_that_no_pair_allows() {
    let mut facts = Recorded::default().facts();
    let mut sender = advertiser("10.0.0.11", 200);
    sender.mac = "00:00:5e:00:01:33".parse().unwrap();
    facts.wire = Some(wire(vec![sender]));
    only(&facts, &catalogue::VIRTUAL_MAC_DROPPED);
}

#[test]
fn pitfall_15_both_on_one_hypervisor() {
    let mut recorded = Recorded::default();
    recorded.servers[1]["hostId"] = json!("aa");
    only(&recorded.facts(), &catalogue::SAME_HYPERVISOR);
}

#[test]
fn pitfall_16_outside_the_subnet_or_the_gateways() {
    let mut facts = Recorded::default().facts();
    facts.addresses = vec!["192.168.9.9".parse().unwrap()];
    found(&examine(&facts), &catalogue::ADDRESS_OUTSIDE_SUBNET);
    facts.addresses = vec!["10.0.0.1".parse().unwrap()];
    found(&examine(&facts), &catalogue::ADDRESS_HAS_OTHER_USE);
}

#[test]
fn pitfall_17_pairs_of_the_other_family() {
    let mut facts = Recorded::default().facts();
    facts.addresses = vec!["fe80::64".parse().unwrap()];
    let findings = examine(&facts);
    found(&findings, &catalogue::FAMILY_MISMATCH);
    // And protocol 112 has to pass for that family as well.
    assert!(found(&findings, &catalogue::VRRP_BLOCKED).mends[0].command.contains("IPv6"));
}

#[test]
fn pitfall_18_other_groups_after_a_partial_redeployment() {
    let mut recorded = Recorded::default();
    recorded.ports[1]["security_groups"] = json!(["group", "extra"]);
    only(&recorded.facts(), &catalogue::SECURITY_GROUPS_DIFFER);
}

#[test]
fn pitfall_19_ovn_without_port_security() {
    let mut recorded = Recorded::default();
    recorded.ports.push(port(
        "99",
        "10.0.0.2",
        &json!({ "device_owner": "network:distributed", "allowed_address_pairs": [] }),
    ));
    recorded.ports[0]["port_security_enabled"] = json!(false);
    recorded.ports[0]["allowed_address_pairs"] = json!([]);
    assert_eq!(only(&recorded.facts(), &catalogue::OVN_WITHOUT_PAIR).severity, Severity::Warning);
}

#[test]
fn a_pair_of_everything() {
    let mut recorded = Recorded::default();
    recorded.ports[0]["allowed_address_pairs"] =
        json!([{ "ip_address": VIP }, { "ip_address": "0.0.0.0/0" }]);
    only(&recorded.facts(), &catalogue::PAIR_OPENS_EVERYTHING);
}

fn advertiser(source: &str, priority: u8) -> Advertiser {
    Advertiser {
        source: source.parse().unwrap(),
        mac: format!("02:00:00:00:00:{}", source.rsplit('.').next().unwrap()).parse().unwrap(),
        own: false,
        destination: "224.0.0.18".parse().unwrap(),
        ttl: 255,
        version: 3,
        vrid: 51,
        priority,
        interval_ms: 1000,
        checksum: Checksum::PseudoHeader,
        authenticated: false,
        addresses: vec![vip()],
        count: 4,
        releases: 0,
        first_ms: 10,
        last_ms: 3900,
    }
}

fn wire(advertisers: Vec<Advertiser>) -> Wire {
    Wire { interface: "eth0".into(), listened_ms: 4000, advertisers, ..Wire::default() }
}

fn heard(advertisers: Vec<Advertiser>) -> Facts {
    Facts { addresses: vec![vip()], wire: Some(wire(advertisers)), ..Facts::default() }
}

#[test]
fn pitfall_9_somebody_else_answers() {
    let mut facts = heard(vec![advertiser("10.0.0.11", 200)]);
    let wire = facts.wire.as_mut().unwrap();
    wire.asked = vec![vip()];
    wire.claims = vec![Claim {
        address: vip(),
        mac: "02:00:00:00:00:77".parse().unwrap(),
        answered: true,
        own: false,
        count: 3,
    }];
    only(&facts, &catalogue::STALE_NEIGHBOURS);
    // Nobody at all: the cloud drops it.
    facts.wire.as_mut().unwrap().claims.clear();
    only(&facts, &catalogue::PAIR_MISSING);
}

#[test]
fn pitfall_10_vrid_collision() {
    let mut stranger = advertiser("10.0.0.77", 100);
    stranger.addresses = vec!["10.0.0.200".parse().unwrap()];
    let finding = only(&heard(vec![advertiser("10.0.0.11", 200), stranger]), &catalogue::VRID_COLLISION);
    assert_eq!(finding.mends[0].command, "virtual_router_id 255");
}

#[test]
fn two_actives_and_what_they_disagree_on() {
    let two = vec![advertiser("10.0.0.11", 200), advertiser("10.0.0.12", 100)];
    only(&heard(two.clone()), &catalogue::TWO_ACTIVES);
    let mut of_two_versions = two;
    of_two_versions[1].version = 2;
    let facts = heard(of_two_versions);
    let findings = examine(&facts);
    assert!(found(&findings, &catalogue::MEMBERS_DISAGREE).cause.contains("VRRPv3 and VRRPv2"));
    // One that has fallen silent is no second Active: a handover was heard.
    let mut handed_over = vec![advertiser("10.0.0.11", 200), advertiser("10.0.0.12", 100)];
    handed_over[0].last_ms = 900;
    assert_eq!(examine(&heard(handed_over)), []);
}

#[test]
fn broken_packets_are_told_with_their_sender() {
    let mut bad = advertiser("10.0.0.66", 255);
    bad.checksum = Checksum::Wrong;
    only(&heard(vec![bad]), &catalogue::BAD_PACKETS);
    let mut far = advertiser("10.0.0.66", 100);
    far.ttl = 254;
    only(&heard(vec![far]), &catalogue::BAD_PACKETS);
}

fn agent(more: &Value) -> AgentStatus {
    let mut router = json!({
        "name": "web", "interface": "eth0", "vrid": 51, "family": "ipv4", "version": 3, "state": "active", "holds": [],
        "since-ms": 1000, "last-event": "the Active fell silent", "priority": 100, "effective-priority": 100,
        "priority-changes": [], "active-address": "10.0.0.11", "active-priority": 100, "last-advert-ms": 500,
        "advertise-interval-ms": 1000, "active-advertise-interval-ms": 1000, "active-down-interval-ms": 3609.0,
        "skew-time-ms": 609.0, "handed-over": false,
        "addresses": [{ "address": "10.0.0.100/24", "interface": "eth0", "installed": true, "foreign": false }],
        "statistics": {
            "new-active-transitions": 1, "advertisement-rcvd": 10, "advertisement-sent": 10, "discarded": 0,
            "priority-zero-pkts-rcvd": 0, "priority-zero-pkts-sent": 0, "address-list-errors": 0,
            "checksum-pseudo-header": 10, "checksum-message-only": 0,
        },
        "discards": [],
    });
    for (key, value) in more.as_object().unwrap() {
        router[key] = value.clone();
    }
    serde_json::from_value(json!({
        "version": "0.1.0", "pid": 1, "configuration": "/etc/keepalived/keepalived.conf",
        "configuration-loaded-at": "2026-01-01T00:00:00Z", "last-reload-error": null, "network-namespace": 1,
        "lateness": { "p50-us": 5, "p99-us": 20, "max-us": 50 }, "receive-overflows": 0, "unclaimed": [],
        "virtual-routers": [router], "tracks": [],
    }))
    .unwrap()
}

fn told(more: &Value) -> Facts {
    Facts { addresses: vec![vip()], agents: vec![agent(more)], ..Facts::default() }
}

#[test]
fn a_healthy_agent_has_no_finding() {
    assert_eq!(examine(&told(&json!({}))), []);
}

#[test]
fn an_agent_that_is_held_or_lost_its_address() {
    let facts = told(&json!({ "state": "initialize", "holds": ["interface-down"] }));
    assert_eq!(only(&facts, &catalogue::AGENT_HELD).mends[0].command, "ip link set eth0 up");
    let facts = told(
        &json!({ "addresses": [{ "address": "10.0.0.100/24", "interface": "eth0", "installed": false, "foreign": false }] }),
    );
    only(&facts, &catalogue::ADDRESS_NOT_INSTALLED);
}

#[test]
fn dropped_adverts_name_reason_and_peer() {
    let drop = |reason: &str| json!({ "discards": [{ "reason": reason, "peer": "10.0.0.12", "count": 7, "explanation": "…" }] });
    only(&told(&drop("version-mismatch")), &catalogue::ADVERTS_DROPPED);
    only(&told(&drop("checksum-error")), &catalogue::BAD_PACKETS);
}

#[test]
fn an_agent_that_hears_nobody() {
    let mut facts = told(&json!({ "last-advert-ms": null }));
    facts.agents[0].virtual_routers[0].statistics.advertisement_rcvd = 0;
    only(&facts, &catalogue::MULTICAST_NOT_DELIVERED);
}

#[test]
fn a_failed_reload_and_no_agent_at_all() {
    let mut facts = told(&json!({}));
    facts.agents[0].last_reload_error = Some("line 3".into());
    only(&facts, &catalogue::RELOAD_FAILED);
    only(&Facts { agent_absent: true, ..Facts::default() }, &catalogue::AGENT_ABSENT);
    let silent = Facts { wire: Some(wire(Vec::new())), ..told(&json!({ "state": "backup" })) };
    only(&silent, &catalogue::NOBODY_ACTIVE);
}

struct Text(String);

impl keepalived_conf::FileLoader for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn expand(&self, _: &str, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

fn configured(garp: &str) -> Facts {
    let text = format!(
        "vrrp_instance web {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n 10.0.0.100/24\n }}\n{garp}\n}}\n"
    );
    Facts {
        configuration: Some(doctor::gather::configuration("keepalived.conf".as_ref(), &Text(text))),
        ..Facts::default()
    }
}

#[test]
fn pitfalls_9_and_20_announcements() {
    only(&configured("garp_master_refresh 0\n garp_master_delay 0"), &catalogue::ANNOUNCED_TOO_SELDOM);
    only(&configured("garp_master_repeat 1\n garp_master_refresh 0"), &catalogue::ANNOUNCEMENT_IGNORED);
    assert_eq!(examine(&configured("")), []);
}

#[test]
fn a_configuration_with_an_error() {
    let finding = only(&configured("priorty 100"), &catalogue::CONFIGURATION_WRONG);
    assert!(finding.evidence[0].text.contains("keepalived.conf:7"), "{:?}", finding.evidence);
}

#[test]
fn the_catalogue_is_complete_and_the_page_is_written_from_it() {
    for pitfall in catalogue::ALL {
        for text in [pitfall.title, pitfall.symptom, pitfall.explanation, pitfall.mend, pitfall.seen_by] {
            assert!(!text.is_empty(), "{}", pitfall.id);
        }
        assert_eq!(catalogue::ALL.iter().filter(|other| other.id == pitfall.id).count(), 1, "{}", pitfall.id);
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md");
    assert!(
        std::fs::read_to_string(page).unwrap() == catalogue::page(),
        "docs/troubleshooting.md is out of date: cargo run -p doctor --example troubleshooting"
    );
}
