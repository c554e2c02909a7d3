//! Address pairs on the real Neutron: what the check tells apart, what it lets through, and that no reserved port is
//! ever deleted.

use crate::driver::lab::{Lab, new_network, new_subnet};
use openstack::Query;
use openstack::network::{AddressPair, FixedIp, PortCreate, PortUpdate};
use serde_json::{Value, json};

/// Fails with the sentence that operators know, and then says why.
#[track_caller]
fn refused(lab: &Lab, properties: Value, networks: Value, ip: &str, why: &[&str]) {
    let before = lab.inventory();
    let answer = lab.call("create_vm", lab.vm(properties, networks));
    let message = answer.cloud_error();
    assert!(
        message.starts_with(&format!("Configured VRRP port with ip '{ip}' does not exist. ")),
        "{message}"
    );
    for why in why {
        assert!(message.contains(why), "'{why}' is missing in: {message}");
    }
    assert_eq!(lab.inventory(), before);
}

#[test]
fn the_check_tells_the_cases_apart() {
    let Some(lab) = Lab::open("vrrp-check") else { return };
    let own = lab.free_ip();
    let networks = lab.manual(&own);

    // Nowhere.
    let vip = lab.free_ip();
    let name = format!("No port on network '{}' ({}) has this address", lab.name(), lab.network_id);
    let mend = format!("openstack port create --network {} --fixed-ip ip-address={vip}", lab.network_id);
    refused(&lab, json!({"allowed_address_pairs": vip}), networks.clone(), &vip, &[&name, &mend]);

    // On another network (Ruby let it pass).
    let (other, _) = new_network(&lab.client, &format!("{}-other", lab.name()), "10.77.0.0/24");
    let port = PortCreate {
        network_id: other.clone(),
        fixed_ips: Some(vec![FixedIp::address(&vip)]),
        ..PortCreate::default()
    };
    let port = lab.client.network().create_port(&port).unwrap();
    let place = format!("port {} on network {other}", port.id);
    refused(&lab, json!({"allowed_address_pairs": vip}), networks.clone(), &vip, &[&place]);

    // Bound to a VM.
    let bound_ip = lab.free_ip();
    let vm = lab.made_vm(json!({}), &bound_ip);
    let bound = format!("is bound to server '{vm}'");
    refused(&lab, json!({"allowed_address_pairs": bound_ip}), networks.clone(), &bound_ip, &[&bound]);
    lab.call("delete_vm", json!([vm])).result();

    // The VM's own address.
    refused(&lab, json!({"allowed_address_pairs": own}), networks.clone(), &own, &["this VM's own address"]);

    // Outside every subnet.
    let outside =
        format!("outside every subnet of network '{}' ({}) (10.77.0.0/24)", lab.name(), lab.network_id);
    refused(&lab, json!({"allowed_address_pairs": "10.99.0.9"}), networks.clone(), "10.99.0.9", &[&outside]);

    // A range as a string.
    refused(
        &lab,
        json!({"allowed_address_pairs": "10.77.0.64/28"}),
        networks,
        "10.77.0.64/28",
        &["It is a range"],
    );
}

/// An IPv6 subnet on the lab's network, with a manual network in it.
fn with_ipv6(lab: &Lab) -> Value {
    new_subnet(&lab.client, &lab.network_id, "fd00:77::/64");
    json!({"six": {"type": "manual", "ip": "fd00:77::5", "prefix": "64", "gateway": "fd00:77::1", "dns": ["fd00:77::1"],
                   "default": ["dns", "gateway"], "cloud_properties": {"net_id": lab.network_id}}})
}

#[test]
fn the_check_knows_ipv6_however_it_is_written() {
    let Some(lab) = Lab::open("vrrp-6") else { return };
    let networks = with_ipv6(&lab);
    let pair = json!({"allowed_address_pairs": "FD00:0077:0::0064"});
    let none = format!("No port on network '{}' ({}) has this address", lab.name(), lab.network_id);
    refused(&lab, pair.clone(), networks.clone(), "FD00:0077:0::0064", &[&none]);
    let outside = format!("outside every subnet of network '{}' ({}) (", lab.name(), lab.network_id);
    let elsewhere = json!({"allowed_address_pairs": "fd00:78::64"});
    refused(&lab, elsewhere, networks.clone(), "fd00:78::64", &[&outside, "fd00:77::/64"]);
    // The VM's own address, in another spelling.
    let own = json!({"allowed_address_pairs": "fd00:77:0:0::5"});
    refused(&lab, own, networks.clone(), "fd00:77:0:0::5", &["this VM's own address"]);

    let reserved = lab.reserve("fd00:77::64");
    let before = lab.inventory();
    // Past the check, Neutron makes the port; the key pair is not there, so that no server is made.
    let pair = json!({"allowed_address_pairs": "FD00:0077:0::0064", "key_name": "no-such-key"});
    let answer = lab.call("create_vm", lab.vm(pair, networks));
    assert_eq!(answer.cloud_error(), "Key-pair `no-such-key' not found");
    assert!(lab.sequence().contains(&"POST /v2.0/ports".to_owned()));
    assert_eq!(lab.inventory(), before);
    lab.assert_untouched(&reserved);
}

#[test]
fn a_nic_group_is_one_port_with_both_addresses_and_pairs() {
    let Some(lab) = Lab::open("dual-stack") else { return };
    let mut networks = with_ipv6(&lab);
    let four = lab.manual(&lab.free_ip());
    networks["private"] = four["private"].clone();
    networks["six"]["nic_group"] = networks["private"]["nic_group"].clone();
    networks["six"].as_object_mut().unwrap().remove("default");
    let vip = lab.free_ip();
    lab.reserve(&vip);
    lab.reserve("fd00:77::64");
    let pairs = json!({"allowed_address_pairs": [vip, {"ip_address": "fd00:77::64", "network": "six"}]});
    let answer = lab.call("create_vm", lab.vm(pairs, networks.clone()));
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    let ports = lab.ports_of(&vm);
    assert_eq!(ports.len(), 1, "{ports:?}");
    let port = &ports[0];
    assert!(port.has_fixed_ip("fd00:77::5"), "{:?}", port.fixed_ips);
    assert!(port.has_fixed_ip(four["private"]["ip"].as_str().unwrap()), "{:?}", port.fixed_ips);
    let mut pairs: Vec<&str> = port.allowed_address_pairs.iter().map(|pair| &*pair.ip_address).collect();
    pairs.sort_unstable();
    assert_eq!(pairs, [vip.as_str(), "fd00:77::64"]);
    // The agent sees two networks on one NIC.
    let data = lab.user_data(&vm);
    for network in ["private", "six"] {
        assert_eq!(data["networks"][network]["mac"], json!(port.mac_address));
        assert_eq!(answer.result()[1][network]["mac"], json!(port.mac_address));
        assert_eq!(data["networks"][network]["ip"], networks[network]["ip"]);
    }
    lab.call("delete_vm", json!([vm])).result();

    // Without the group it is the same network twice.
    networks["six"]["nic_group"] = json!("1");
    let answer = lab.call("create_vm", lab.vm(json!({}), networks));
    let text = format!("Manual network with id {} is already defined", lab.network_id);
    assert_eq!(answer.cloud_error(), text);
}

#[test]
fn neutrons_refusals_are_explained() {
    let Some(lab) = Lab::open("vrrp-refusals") else { return };
    let networks = lab.manual(&lab.free_ip());
    let fails = |properties: Value, networks: &Value| {
        let before = lab.inventory();
        let answer = lab.call("create_vm", lab.vm(properties, networks.clone()));
        let message = answer.cloud_error().to_owned();
        assert_eq!(lab.inventory(), before, "{message}");
        message
    };
    let unchecked = |pairs: Value| json!({"allowed_address_pairs": pairs, "vrrp_port_check": false});

    // More pairs than the cloud allows; Neutron's default is ten.
    let many: Vec<String> = (100..111).map(|host| format!("10.77.1.{host}")).collect();
    let message = fails(unchecked(json!(many)), &networks);
    assert!(message.contains("The port has 11 pairs; the cloud allows fewer"), "{message}");

    // Port security off.
    let network = openstack::network::NetworkCreate {
        name: format!("{}-open", lab.name()),
        port_security_enabled: Some(false),
        ..Default::default()
    };
    let open = lab.client.network().create_network(&network).unwrap();
    let subnet = openstack::network::SubnetCreate {
        network_id: open.id.clone(),
        cidr: "10.80.0.0/24".into(),
        ip_version: 4,
        enable_dhcp: Some(false),
        ..Default::default()
    };
    lab.client.network().create_subnet(&subnet).unwrap();
    let on = |net_id: &str, ip: &str| json!({"private": {"ip": ip, "cloud_properties": {"net_id": net_id}}});
    let message = fails(unchecked(json!("10.80.0.9")), &on(&open.id, "10.80.0.5"));
    let text = format!("Port security is off on network {}", open.id);
    assert!(message.starts_with("OpenStack API Conflict ") && message.contains(&text), "{message}");

    // A shared network of somebody else.
    let (shared, _) = new_network(lab.admin(), &format!("{}-shared", lab.name()), "10.81.0.0/24");
    let share = openstack::Request::new(
        openstack::Service::Network,
        openstack::Method::Put,
        format!("/networks/{shared}"),
    )
    .json(&json!({"network": {"shared": true}}))
    .unwrap();
    lab.admin().send(share).unwrap();
    let message = fails(unchecked(json!("10.81.0.9")), &on(&shared, "10.81.0.5"));
    lab.admin().network().delete_network(&shared).unwrap();
    assert!(message.starts_with("OpenStack API Forbidden "), "{message}");
    assert!(message.contains("only its owner and administrators may set"), "{message}");
}

#[test]
fn a_reserved_port_is_never_deleted() {
    let Some(lab) = Lab::open("vrrp-reserved") else { return };
    let vip = lab.free_ip();
    let reserved = lab.reserve(&vip);
    let before = lab.inventory();
    // Reference §3.4: both older CPIs delete it here.
    let answer = lab.call("create_vm", lab.vm(json!({}), lab.manual(&vip)));
    let message = answer.cloud_error();
    assert!(message.starts_with("OpenStack API Conflict Neutron POST /v2.0/ports (IP address "), "{message}");
    let text =
        format!("Port {} '{}' holds the address and was not made by this CPI", reserved.id, reserved.name);
    assert!(message.contains(&text), "{message}");
    assert_eq!(lab.inventory(), before);
    // Nameless, as one that Terraform made may be: still not ours.
    let nameless = PortUpdate { name: Some(String::new()), ..PortUpdate::default() };
    lab.client.network().update_port(&reserved.id, &nameless, None).unwrap();
    lab.call("create_vm", lab.vm(json!({}), lab.manual(&vip))).cloud_error();
    assert_eq!(lab.inventory(), before);
    assert!(!lab.sequence().iter().any(|request| request.starts_with("DELETE")), "{:?}", lab.sequence());
}

#[test]
fn a_port_that_an_earlier_vm_of_ours_left_is_cleared() {
    let Some(lab) = Lab::open("vrrp-own") else { return };
    let ip = lab.free_ip();
    // What a killed create_vm leaves: a port with our name and description, without a server.
    let left = PortCreate {
        network_id: lab.network_id.clone(),
        fixed_ips: Some(vec![FixedIp::address(&ip)]),
        name: Some("vm-1".into()),
        description: Some(openstack_cpi::ownership::description_of("vm-1")),
        ..PortCreate::default()
    };
    let left = lab.client.network().create_port(&left).unwrap();
    let vm = lab.made_vm(json!({}), &ip);
    assert!(lab.client.network().port(&left.id).unwrap_err().is_not_found());
    lab.call("delete_vm", json!([vm])).result();
}

#[test]
fn every_form_of_a_pair_arrives_on_its_port() {
    let Some(lab) = Lab::open("vrrp-forms") else { return };
    let (second, _) = new_network(&lab.client, &format!("{}-2", lab.name()), "10.79.0.0/24");
    let (a, b) = (lab.free_ip(), lab.free_ip());
    lab.reserve(&a);
    lab.reserve(&b);
    let mut networks = lab.manual(&lab.free_ip());
    networks["second"] = json!({
        "ip": "10.79.0.9", "netmask": "255.255.255.0",
        "cloud_properties": {"net_id": second, "vrrp_port_check": false, "allowed_address_pairs": ["10.79.0.100"]},
    });
    let pairs = json!([
        a,
        {"ip_address": b, "mac_address": "00:00:5e:00:01:0a"},
        "10.77.0.192/26",
        {"ip_address": "fd00::9", "network": "second"},
    ]);
    let answer = lab.call("create_vm", lab.vm(json!({"allowed_address_pairs": pairs}), networks));
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    let pairs_on = |network: &str| -> Vec<AddressPair> {
        let port = lab.ports_of(&vm).into_iter().find(|port| port.network_id == network).unwrap();
        let mac = port.mac_address.clone();
        let mut pairs = port.allowed_address_pairs;
        pairs.sort_by(|x, y| x.ip_address.cmp(&y.ip_address));
        pairs
            .into_iter()
            .map(|pair| AddressPair { mac_address: pair.mac_address.filter(|own| *own != mac), ..pair })
            .collect()
    };
    let with_mac = AddressPair { ip_address: b.clone(), mac_address: Some("00:00:5e:00:01:0a".into()) };
    let mut expected = vec![AddressPair::address("10.77.0.192/26"), AddressPair::address(&a), with_mac];
    expected.sort_by(|x, y| x.ip_address.cmp(&y.ip_address));
    assert_eq!(pairs_on(&lab.network_id), expected);
    assert_eq!(pairs_on(&second), [AddressPair::address("10.79.0.100"), AddressPair::address("fd00::9")]);
    lab.call("delete_vm", json!([vm])).result();
}

#[test]
fn dynamic_networks_keep_the_old_error_or_get_a_port() {
    let Some(lab) = Lab::open("vrrp-dynamic") else { return };
    let vip = lab.free_ip();
    lab.reserve(&vip);
    let before = lab.inventory();
    let networks = json!({"d": {"type": "dynamic", "cloud_properties": {"net_id": lab.network_id}}});
    let answer = lab.call("create_vm", lab.vm(json!({"allowed_address_pairs": vip}), networks.clone()));
    let text = format!(
        "Network with id '{}' is a dynamic network. VRRP is not supported for dynamic networks",
        lab.network_id
    );
    assert!(answer.cloud_error().starts_with(&text), "{}", answer.cloud_error());
    assert!(lab.requests().is_empty());

    let pair = json!({"allowed_address_pairs": {"ip_address": vip, "network": "d"}});
    let answer = lab.call("create_vm", lab.vm(pair, networks));
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    let ports = lab.ports_of(&vm);
    assert_eq!(ports[0].allowed_address_pairs[0].ip_address, vip);
    assert_eq!(answer.result()[1]["d"]["mac"], json!(ports[0].mac_address));
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before, "the port that was made for it went with it");
}

#[test]
fn a_reserved_port_that_was_bound_to_a_vm_by_hand_outlives_the_vm() {
    let Some(lab) = Lab::open("vrrp-bound") else { return };
    let vm = lab.made_vm(json!({}), &lab.free_ip());
    let vip = lab.free_ip();
    let reserved = lab.reserve(&vip);
    lab.client.network().set_tags(openstack::network::Tagged::Port, &reserved.id, &["vrrp-vip"]).unwrap();
    let bind = PortUpdate { device_id: Some(vm.clone()), ..PortUpdate::default() };
    lab.client.network().update_port(&reserved.id, &bind, None).unwrap();
    let answer = lab.call("delete_vm", json!([vm]));
    answer.result();
    let left = lab.client.network().ports(&Query::new().filter("network_id", &lab.network_id)).unwrap();
    assert_eq!(left.iter().map(|port| &port.id).collect::<Vec<_>>(), [&reserved.id]);
    assert!(answer.stderr.contains("reserves an address; it is kept"), "{}", answer.stderr);
}
