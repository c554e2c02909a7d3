//! Neutron: ports with pairs, tags and conditions; pages; groups; floating IPs; its errors in its own words.

use std::sync::atomic::Ordering;

use openstack::network::{
    AddressPair, FixedIp, FloatingIpCreate, PortCreate, PortUpdate, SecurityGroupRuleCreate, Tagged,
};
use openstack::{Deletion, ErrorKind, OrNone, Query, Service};

use crate::lab::{AtTheEnd, OwnNetwork, client, config, counting, unique};

#[test]
fn a_port_lives_with_its_pairs_and_tags() {
    let Some(client) = client() else { return };
    let own = OwnNetwork::new(&client, "10.91.0.0/24");
    let neutron = client.network();
    let name = unique("port");
    let port = neutron
        .create_port(&PortCreate {
            network_id: own.network.id.clone(),
            name: Some(name.clone()),
            fixed_ips: Some(vec![FixedIp::address("10.91.0.50")]),
            allowed_address_pairs: Some(vec![AddressPair::address("10.91.0.100")]),
            device_owner: Some("vrrp:reserved".into()),
            ..PortCreate::default()
        })
        .unwrap();
    assert!(port.has_fixed_ip("10.91.0.50") && port.device_id.is_empty());
    assert_eq!(port.allowed_address_pairs[0].ip_address, "10.91.0.100");
    assert_eq!(port.allowed_address_pairs[0].mac_address.as_deref(), Some(port.mac_address.as_str()));
    assert_eq!((port.port_security_enabled, port.security_groups.len()), (Some(true), 1));

    let found = neutron
        .ports(
            &Query::new()
                .fixed_ip("10.91.0.50")
                .filter("network_id", &own.network.id)
                .fields(&["id", "allowed_address_pairs"]),
        )
        .unwrap();
    assert_eq!(found.iter().map(|port| port.id.as_str()).collect::<Vec<_>>(), [port.id.as_str()]);
    assert_eq!(
        (found[0].name.as_str(), found[0].allowed_address_pairs.len()),
        ("", 1),
        "only the fields asked for"
    );

    neutron.set_tags(Tagged::Port, &port.id, &["standfast", "a b:c"]).unwrap();
    neutron.add_tag(Tagged::Port, &port.id, "third").unwrap();
    assert_eq!(
        neutron.remove_tag(Tagged::Port, &port.id, "a b:c").map_err(|error| error.kind()),
        Ok(Deletion::Accepted)
    );
    let mut tags = neutron.port(&port.id).unwrap().tags;
    tags.sort();
    assert_eq!(tags, ["standfast", "third"]);
    assert_eq!(
        neutron.ports(&Query::new().filter("tags", "standfast,third").filter("name", &name)).unwrap().len(),
        1
    );

    let read = neutron.port(&port.id).unwrap();
    let pairs = vec![AddressPair::address("10.91.0.100"), AddressPair::address("fd00:91::/64")];
    let change = PortUpdate { allowed_address_pairs: Some(pairs), ..PortUpdate::default() };
    let changed = neutron.update_port(&port.id, &change, read.revision_number).unwrap();
    assert_eq!(changed.allowed_address_pairs.len(), 2);
    let overtaken = neutron.update_port(&port.id, &change, read.revision_number).unwrap_err();
    assert_eq!((overtaken.kind(), overtaken.status()), (ErrorKind::Conflict, Some(412)), "{overtaken}");

    assert_eq!(neutron.delete_port(&port.id).unwrap(), Deletion::Accepted);
    assert_eq!(neutron.delete_port(&port.id).unwrap(), Deletion::Gone);
    assert_eq!(neutron.port(&port.id).or_none().unwrap(), None);
}

#[test]
fn all_pages_are_fetched() {
    let Some(config) = config("lab") else { return };
    let (client, requests) = counting(config);
    let own = OwnNetwork::new(&client, "fd00:92::/64");
    let neutron = client.network();
    for _ in 0..5 {
        neutron
            .create_port(&PortCreate { network_id: own.network.id.clone(), ..PortCreate::default() })
            .unwrap();
    }
    let before = requests.load(Ordering::SeqCst);
    let query = Query::new().filter("network_id", &own.network.id).page_size(2);
    let mut ids: Vec<String> = neutron.ports(&query).unwrap().into_iter().map(|port| port.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    assert_eq!(requests.load(Ordering::SeqCst) - before, 3, "pages of two");
}

#[test]
fn refusals_come_in_neutrons_words() {
    let Some(client) = client() else { return };
    let own = OwnNetwork::new(&client, "10.93.0.0/24");
    let neutron = client.network();
    let port = |address: &str, pairs: Vec<AddressPair>| PortCreate {
        network_id: own.network.id.clone(),
        fixed_ips: Some(vec![FixedIp::address(address)]),
        allowed_address_pairs: Some(pairs),
        ..PortCreate::default()
    };
    neutron.create_port(&port("10.93.0.9", vec![])).unwrap();
    let refused = |port: &PortCreate| neutron.create_port(port).unwrap_err();

    let error = refused(&port("10.93.0.9", vec![]));
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Conflict, Some("IpAddressAlreadyAllocated")),
        "{error}"
    );
    assert_eq!(
        error.message(),
        format!("IP address 10.93.0.9 already allocated in subnet {}", own.subnet.id)
    );
    assert!(error.request_id().is_some() && !error.is_ambiguous());
    assert_eq!(
        (error.service(), error.method(), error.path()),
        (Some(Service::Network), "POST", "/v2.0/ports")
    );

    let error = refused(&port("172.31.0.9", vec![]));
    assert_eq!((error.kind(), error.status()), (ErrorKind::BadRequest, Some(400)), "{error}");
    assert!(error.code().is_some_and(|code| code.starts_with("InvalidIpForNetwork")), "{error}");

    // Neutron's default is 10; the lab may allow up to a hundred.
    let many = (1..=101).map(|last| AddressPair::address(format!("10.93.1.{last}"))).collect();
    let error = refused(&port("10.93.0.10", many));
    assert!(error.message().contains("exceeds the maximum"), "{error}");

    let unguarded = PortCreate {
        port_security_enabled: Some(false),
        ..port("10.93.0.11", vec![AddressPair::address("10.93.0.100")])
    };
    let error = refused(&unguarded);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().contains("Port Security must be enabled"), "{error}");

    let error = neutron.port("00000000-0000-0000-0000-000000000000").unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("PortNotFound")), "{error}");

    let error = refused(&PortCreate { network_id: own.subnet.id.clone(), ..PortCreate::default() });
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::NotFound, Some("NetworkNotFound")),
        "a subnet's id: {error}"
    );
}

#[test]
fn a_group_has_rules_once_and_is_kept_while_used() {
    let Some(client) = client() else { return };
    let own = OwnNetwork::new(&client, "10.94.0.0/24");
    let neutron = client.network();
    let group = neutron.create_security_group(&unique("group"), "of a test").unwrap();
    let _end = AtTheEnd(|| {
        for port in neutron.ports(&Query::new().filter("network_id", &own.network.id)).unwrap() {
            neutron.delete_port(&port.id).unwrap();
        }
        neutron.delete_security_group(&group.id).unwrap();
    });
    let rule = SecurityGroupRuleCreate {
        security_group_id: group.id.clone(),
        direction: "ingress".into(),
        ethertype: Some("IPv4".into()),
        protocol: Some("112".into()),
        remote_group_id: Some(group.id.clone()),
        ..SecurityGroupRuleCreate::default()
    };
    let made = neutron.create_security_group_rule(&rule).unwrap();
    assert_eq!(made.protocol.as_deref(), Some("112"));
    let again = neutron.create_security_group_rule(&rule).unwrap_err();
    assert_eq!(
        (again.kind(), again.code()),
        (ErrorKind::Conflict, Some("SecurityGroupRuleExists")),
        "{again}"
    );
    let read = neutron.security_group(&group.id).unwrap();
    assert!(read.security_group_rules.contains(&made));
    assert_eq!(neutron.security_groups(&Query::new().filter("name", &group.name)).unwrap().len(), 1);

    let port = PortCreate {
        network_id: own.network.id.clone(),
        security_groups: Some(vec![group.id.clone()]),
        ..PortCreate::default()
    };
    neutron.create_port(&port).unwrap();
    let used = neutron.delete_security_group(&group.id).unwrap_err();
    assert_eq!((used.kind(), used.code()), (ErrorKind::Conflict, Some("SecurityGroupInUse")), "{used}");
    assert_eq!(neutron.delete_security_group_rule(&made.id).unwrap(), Deletion::Accepted);
    assert_eq!(neutron.delete_security_group_rule(&made.id).unwrap(), Deletion::Gone);
}

#[test]
fn a_floating_ip_points_at_a_port_and_at_nothing() {
    let Some(client) = client() else { return };
    let neutron = client.network();
    let one = |name: &str| neutron.networks(&Query::new().filter("name", name)).unwrap().remove(0);
    let (public, private) = (one("public"), one("private"));
    assert!(public.external && !private.external);
    let port = neutron
        .create_port(&PortCreate {
            network_id: private.id,
            name: Some(unique("fip")),
            ..PortCreate::default()
        })
        .unwrap();
    let floating_ip = neutron
        .create_floating_ip(&FloatingIpCreate {
            floating_network_id: public.id,
            ..FloatingIpCreate::default()
        })
        .unwrap();
    let _end = AtTheEnd(|| {
        neutron.delete_floating_ip(&floating_ip.id).unwrap();
        neutron.delete_port(&port.id).unwrap();
    });
    let pointed = neutron.associate_floating_ip(&floating_ip.id, Some(&port.id)).unwrap();
    assert_eq!(pointed.port_id.as_deref(), Some(port.id.as_str()));
    assert_eq!(pointed.fixed_ip_address, port.fixed_ips[0].ip_address);
    let found = neutron
        .floating_ips(&Query::new().filter("floating_ip_address", &floating_ip.floating_ip_address))
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(neutron.associate_floating_ip(&floating_ip.id, None).unwrap().port_id, None);
    assert_eq!(neutron.routers(&Query::new().filter("name", "router")).unwrap().len(), 1);
}

#[test]
fn extensions_and_quotas_are_read() {
    let Some(client) = client() else { return };
    let neutron = client.network();
    let all = neutron.extensions().unwrap();
    for alias in ["allowed-address-pairs", "port-security"] {
        assert!(all.iter().any(|extension| extension.alias == alias), "{alias}");
        assert_eq!(neutron.extension(alias).unwrap().alias, alias);
    }
    assert_eq!(neutron.extension("no-such-thing").or_none().unwrap(), None);
    let quota = neutron.quota().unwrap();
    assert!(quota["port"].used > 0 && quota.contains_key("security_group"), "{quota:?}");
}
