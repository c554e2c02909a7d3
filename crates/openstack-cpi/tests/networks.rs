//! Networks and address pairs (reference §1.7, §2.2, §3): which NICs follow, and which pairs are on which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

use openstack_cpi::error::Result;
use openstack_cpi::fields::Warnings;
use openstack_cpi::network::pairs;
use openstack_cpi::network::plan::{NetworkPlan, Nic};
use openstack_cpi::network::spec::NetworkSpec;
use serde_json::{Value, json};

/// What a plan comes to, and what was said about it.
fn plan_with(networks: &Value, pairs: &Value, check: Option<bool>) -> (Result<NetworkPlan>, Vec<String>) {
    let warnings = Warnings::default();
    let plan = (|| {
        let specs = NetworkSpec::read_all(networks.as_object().unwrap(), &warnings)?;
        let mut plan = NetworkPlan::of(&specs)?;
        let requests = match pairs {
            Value::Null => Vec::new(),
            value => pairs::read("cloud_properties.allowed_address_pairs", value, &warnings)
                .map_err(openstack_cpi::error::CpiError::argument)?,
        };
        plan.place_pairs(&requests, check, &specs, &warnings)?;
        Ok(plan)
    })();
    (plan, warnings.into_vec())
}

#[track_caller]
fn plan(networks: Value, pairs: Value) -> NetworkPlan {
    let (plan, warnings) = plan_with(&networks, &pairs, None);
    assert!(warnings.is_empty(), "{warnings:?}");
    plan.unwrap()
}

#[track_caller]
fn error(networks: Value, pairs: Value) -> String {
    plan_with(&networks, &pairs, None).0.unwrap_err().message
}

/// The addresses of a NIC's pairs, and whether each is checked.
fn pairs_of(nic: &Nic) -> Vec<(&str, bool)> {
    nic.pairs.iter().map(|pair| (pair.ip_address.as_str(), pair.is_checked)).collect()
}

fn manual(ip: &str, net_id: &str, more: Value) -> Value {
    let mut network = json!({"ip": ip, "netmask": "255.255.255.0", "gateway": "10.0.0.1",
                             "cloud_properties": {"net_id": net_id}});
    for (key, value) in more.as_object().unwrap() {
        network[key] = value.clone();
    }
    network
}

fn one() -> Value {
    json!({"private": manual("10.0.0.5", "net-1", json!({"nic_group": "1"}))})
}

fn two(default_on_second: bool) -> Value {
    let default = |yes: bool| if yes { json!({"default": ["dns", "gateway"]}) } else { json!({}) };
    json!({
        "first": manual("10.0.0.5", "net-1", default(false)),
        "second": manual("10.1.0.5", "net-2", default(default_on_second)),
    })
}

#[test]
fn a_network_without_a_type_is_manual() {
    let plan = plan(one(), Value::Null);
    assert_eq!(plan.nics.len(), 1);
    assert_eq!(plan.nics[0].ips(), ["10.0.0.5".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(plan.gateway, Some(0));
    assert!(plan.nics[0].needs_port());
}

#[test]
fn rubys_texts_for_networks_that_do_not_go_together() {
    let dynamic = |net_id: &str| json!({"type": "dynamic", "cloud_properties": {"net_id": net_id}});
    let vip = json!({"type": "vip", "ip": "172.24.0.9"});
    for (networks, text) in [
        (json!({}), "At least one dynamic or manual network should be defined"),
        (json!({"v": vip}), "At least one dynamic or manual network should be defined"),
        (
            json!({"a": dynamic("n"), "b": dynamic("m")}),
            "Only one dynamic network per instance should be defined",
        ),
        (
            json!({"a": manual("10.0.0.5", "n", json!({})), "b": dynamic("n")}),
            "Dynamic network with id n is already defined",
        ),
        (
            json!({"a": manual("10.0.0.5", "n", json!({})), "b": manual("10.0.0.6", "n", json!({}))}),
            "Manual network with id n is already defined",
        ),
        (json!({"a": {"ip": "10.0.0.5"}}), "Manual network must have net_id"),
        (
            json!({"v": vip, "w": vip, "a": manual("10.0.0.5", "n", json!({}))}),
            "Only one VIP network per instance should be defined",
        ),
        (
            json!({"a": {"type": "astral"}}),
            "Invalid network type `astral': OpenStack CPI can only handle `dynamic', 'manual' or `vip' network types",
        ),
    ] {
        assert_eq!(error(networks.clone(), Value::Null), text, "{networks}");
    }
}

#[test]
fn several_nics_need_a_config_drive_and_no_dhcp() {
    let plan = plan(two(true), Value::Null);
    assert_eq!(plan.gateway, Some(1));
    plan.check_preconditions(false, true).unwrap();
    for (use_dhcp, config_drive) in [(true, true), (false, false)] {
        let error = plan.check_preconditions(use_dhcp, config_drive).unwrap_err();
        assert_eq!((error.kind.as_str(), error.ok_to_retry), ("Bosh::Clouds::VMCreationFailed", false));
        let text = "Multiple manual networks can only be used with 'openstack.use_dhcp=false' and \
                    'openstack.config_drive=cdrom|disk'";
        assert_eq!(error.message, text);
    }
}

#[test]
fn networks_of_one_nic_group_share_a_nic() {
    let group = json!({"nic_group": "0"});
    let networks = json!({
        "v4": manual("10.0.0.5", "net-1", group.clone()),
        "v6": manual("fd00::5", "net-1", group),
    });
    let plan = plan(networks, Value::Null);
    assert_eq!(plan.nics.len(), 1);
    assert_eq!(plan.nics[0].names, ["v4", "v6"]);
    assert_eq!(plan.nics[0].ips().len(), 2);
    assert_eq!(plan.gateway, Some(0));
}

#[test]
fn security_groups_are_the_sorted_union() {
    let with = |groups: Value| json!({"cloud_properties": {"net_id": "n", "security_groups": groups}});
    let networks = json!({
        "a": manual("10.0.0.5", "n", with(json!(["web", "bosh"]))),
        "v": {"type": "vip", "ip": "172.24.0.9", "cloud_properties": {"security_groups": ["admin", "bosh"]}},
    });
    assert_eq!(plan(networks, Value::Null).security_groups, ["admin", "bosh", "web"]);
    let networks = json!({"a": manual("10.0.0.5", "n", with(json!("web")))});
    let text = error(networks, Value::Null);
    assert!(
        text.contains("security groups must be an Array; see networks.a.cloud_properties.security_groups"),
        "{text}"
    );
}

#[test]
fn bad_addresses_are_named_with_their_path() {
    let networks = json!({"a": manual("10.0.0.5.1", "n", json!({}))});
    assert!(error(networks, Value::Null).contains("networks.a.ip: '10.0.0.5.1' is no IPv4 or IPv6 address"));
    let networks = json!({"a": {"cloud_properties": {"net_id": "n"}}});
    assert!(error(networks, Value::Null).contains("networks.a.ip: missing key"));
    for (pairs, text) in [
        (
            json!("10.0.0"),
            "cloud_properties.allowed_address_pairs: '10.0.0' is no IPv4 or IPv6 address, nor a CIDR",
        ),
        (json!(""), "cloud_properties.allowed_address_pairs: '' is no"),
        (
            json!(7),
            "cloud_properties.allowed_address_pairs: expected an address, a CIDR, a hash with ip_address, or",
        ),
        (json!(["10.0.0.9", 7]), "cloud_properties.allowed_address_pairs[1]: expected an address"),
        (json!({"ip": "10.0.0.9"}), "cloud_properties.allowed_address_pairs.ip_address: missing key"),
        (
            json!([{"ip_address": "10.0.0.0/99"}]),
            "cloud_properties.allowed_address_pairs[0].ip_address: '10.0.0.0/99'",
        ),
        (
            json!({"ip_address": "10.0.0.9", "mac_address": "00:zz"}),
            "allowed_address_pairs.mac_address: '00:zz' is no MAC",
        ),
    ] {
        let message = error(one(), pairs.clone());
        assert!(message.contains(text), "{pairs}: {message}");
    }
}

#[test]
fn a_string_goes_to_the_default_network_and_is_checked() {
    let plan = plan(two(true), json!("10.1.0.100"));
    assert!(plan.nics[0].pairs.is_empty());
    assert_eq!(pairs_of(&plan.nics[1]), [("10.1.0.100", true)]);
}

#[test]
fn a_string_without_a_default_network_goes_nowhere_but_not_silently() {
    let (plan, warnings) = plan_with(&two(false), &json!("10.1.0.100"), None);
    assert!(plan.unwrap().nics.iter().all(|nic| nic.pairs.is_empty()));
    assert!(warnings[0].contains("no network is the default one, so the pair is on none"), "{warnings:?}");
    let message = error(two(false), json!(["10.1.0.100"]));
    assert!(message.contains("no network is the default one; give one of the networks"), "{message}");
}

#[test]
fn old_directors_write_defaults() {
    let mut networks = two(false);
    networks["first"]["defaults"] = json!(["gateway"]);
    assert_eq!(plan(networks, Value::Null).gateway, Some(0));
}

#[test]
fn a_dynamic_default_network_keeps_the_old_error() {
    let networks = json!({"d": {"type": "dynamic", "cloud_properties": {"net_id": "net-1"}}});
    let text = "Network with id 'net-1' is a dynamic network. VRRP is not supported for dynamic networks";
    for pairs in [json!("10.0.0.100"), json!(["10.0.0.100"])] {
        let message = error(networks.clone(), pairs);
        assert!(message.starts_with(text), "{message}");
    }
    let named = plan(networks.clone(), json!({"ip_address": "10.0.0.100", "network": "d"}));
    assert!(named.nics[0].needs_port(), "whoever names it gets a port");
    let mut own = networks;
    own["d"]["cloud_properties"]["allowed_address_pairs"] = json!("10.0.0.100");
    assert_eq!(pairs_of(&plan(own, Value::Null).nics[0]), [("10.0.0.100", true)]);
    let without_id = json!({"d": {"type": "dynamic", "cloud_properties": {}}});
    let message = error(without_id, json!({"ip_address": "10.0.0.100", "network": "d"}));
    assert!(message.contains("network 'd' has no net_id"), "{message}");
}

#[test]
fn lists_cidrs_ipv6_and_macs() {
    let plan = plan(
        one(),
        json!(["10.0.0.100", "10.0.0.64/28", "fd00::9",
               {"ip_address": "10.0.0.101", "mac_address": "00:00:5E:00:01:0A"}, "1.1.1.1/0"]),
    );
    assert_eq!(
        pairs_of(&plan.nics[0]),
        [
            ("10.0.0.100", true),
            ("10.0.0.64/28", false),
            ("fd00::9", true),
            ("10.0.0.101", true),
            ("1.1.1.1/0", false)
        ]
    );
    assert_eq!(plan.nics[0].pairs[3].mac_address.as_deref(), Some("00:00:5e:00:01:0a"));
}

#[test]
fn a_cidr_as_a_string_goes_only_without_the_check() {
    let message = error(one(), json!("10.0.0.64/28"));
    let text = "Configured VRRP port with ip '10.0.0.64/28' does not exist. It is a range";
    assert!(message.starts_with(text), "{message}");
    let (unchecked, _) = plan_with(&one(), &json!("1.1.1.1/0"), Some(false));
    assert_eq!(pairs_of(&unchecked.unwrap().nics[0]), [("1.1.1.1/0", false)], "sent as it was written");
}

#[test]
fn the_network_decides_about_the_check_before_the_vm_does() {
    let network = |check: Value| json!({"private": manual("10.0.0.5", "n", json!({"cloud_properties": {"net_id": "n", "vrrp_port_check": check}}))});
    let is_checked = |networks: Value, vm: Option<bool>| {
        let (plan, _) = plan_with(&networks, &json!("10.0.0.100"), vm);
        plan.unwrap().nics[0].pairs[0].is_checked
    };
    assert!(is_checked(one(), None));
    assert!(!is_checked(one(), Some(false)));
    assert!(!is_checked(network(json!(false)), None));
    assert!(is_checked(network(json!(true)), Some(false)));
    assert!(!is_checked(network(json!(false)), Some(true)));
}

#[test]
fn pairs_by_network() {
    let mut networks = two(true);
    networks["first"]["cloud_properties"]["allowed_address_pairs"] = json!(["10.0.0.100"]);
    let plan =
        plan(networks.clone(), json!([{"ip_address": "10.0.0.101", "network": "first"}, "10.1.0.100"]));
    assert_eq!(pairs_of(&plan.nics[0]), [("10.0.0.101", true), ("10.0.0.100", true)]);
    assert_eq!(pairs_of(&plan.nics[1]), [("10.1.0.100", true)]);
    let message = error(networks.clone(), json!({"ip_address": "10.0.0.101", "network": "frist"}));
    assert!(
        message
            .contains("network 'frist' is none of this VM's networks (first, second); did you mean 'first'?"),
        "{message}"
    );
    networks["v"] = json!({"type": "vip", "ip": "172.24.0.9"});
    let message = error(networks.clone(), json!({"ip_address": "10.0.0.101", "network": "v"}));
    assert!(message.contains("network 'v' is a vip network"), "{message}");
    networks["first"]["cloud_properties"]["allowed_address_pairs"] =
        json!({"ip_address": "10.0.0.9", "network": "second"});
    assert!(
        error(networks, Value::Null)
            .contains("network 'second' is another one; the pairs here are for 'first'")
    );
}

#[test]
fn the_vms_own_address_is_no_vrrp_ip() {
    let message = error(one(), json!("10.0.0.5"));
    let text = "Configured VRRP port with ip '10.0.0.5' does not exist. It is this VM's own address in network 'private'";
    assert!(message.starts_with(text), "{message}");
}

#[test]
fn a_pair_twice_is_sent_once() {
    let (plan, warnings) = plan_with(&one(), &json!(["10.0.0.100", "10.0.0.100/32"]), None);
    assert_eq!(plan.unwrap().nics[0].pairs.len(), 1);
    assert!(warnings[0].contains("is there already"), "{warnings:?}");
}

#[test]
fn unknown_keys_of_a_subnets_cloud_properties_are_warnings() {
    let networks = json!({"a": manual("10.0.0.5", "n", json!({"cloud_properties": {"net_id": "n", "vrrp_port_chek": false}}))});
    let (plan, warnings) = plan_with(&networks, &Value::Null, None);
    plan.unwrap();
    let text =
        "networks.a.cloud_properties.vrrp_port_chek: unknown key, ignored; did you mean 'vrrp_port_check'?";
    assert_eq!(warnings, [text]);
}
