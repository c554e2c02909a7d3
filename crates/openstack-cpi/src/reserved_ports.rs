//! The check that a reserved port holds each VRRP IP, limited to the network of the NIC, and the diagnosis when
//! none does. The verdicts are pure; only the two look-ups ask Neutron.

use std::net::IpAddr;

use openstack::Query;
use openstack::network::{Network, Port, Subnet};

use crate::cloud::Cloud;
use crate::error::{CpiError, Result};
use crate::network::address::Range;
use crate::network::plan::{Nic, Pair, missing_port};

const FIELDS: [&str; 8] =
    ["id", "name", "network_id", "status", "device_id", "device_owner", "fixed_ips", "tags"];

/// Checks every pair of a NIC that is to be checked: one request, and more only to explain a failure.
pub fn check(cloud: &Cloud, nic: &Nic) -> Result<()> {
    let addresses: Vec<(&Pair, IpAddr)> = nic
        .pairs
        .iter()
        .filter(|pair| pair.is_checked)
        .filter_map(|pair| Some((pair, pair.range.host()?)))
        .collect();
    let Some(net_id) = nic.net_id.as_deref().filter(|_| !addresses.is_empty()) else { return Ok(()) };
    let mut query = Query::new().filter("network_id", net_id);
    for (_, address) in &addresses {
        query = query.fixed_ip(&address.to_string());
    }
    let ports = cloud.ask(|client| client.network().ports(&query.clone().fields(&FIELDS)))?;
    for (pair, address) in addresses {
        match holder_of(&ports, net_id, address) {
            None => return Err(diagnose(cloud, net_id, pair, address)),
            Some(port) => {
                if let Some(reason) = why_not_reserved(port) {
                    return Err(CpiError::cloud(format!("{} {reason}", missing_port(&pair.ip_address))));
                }
                cloud.say(format!("Reserved port {} holds {address}", port.id));
            }
        }
    }
    Ok(())
}

fn holder_of<'a>(ports: &'a [Port], net_id: &str, address: IpAddr) -> Option<&'a Port> {
    ports.iter().find(|port| port.network_id == net_id && holds(port, address))
}

fn holds(port: &Port, address: IpAddr) -> bool {
    port.fixed_ips
        .iter()
        .filter_map(|fixed| fixed.ip_address.as_deref()?.parse::<IpAddr>().ok())
        .any(|own| own == address)
}

/// A reserved port belongs to nothing. (An owner in free text without a device, as `vrrp:reserved`, is fine.)
fn why_not_reserved(port: &Port) -> Option<String> {
    if port.device_id.is_empty() && !is_somebodys(&port.device_owner) {
        return None;
    }
    let (id, device, owner) = (&port.id, &port.device_id, &port.device_owner);
    let mend = "Choose an address that nothing uses, reserve it with a port that is attached to nothing, or set \
                vrrp_port_check: false on the network";
    Some(if owner.starts_with("compute:") {
        format!(
            "The port {id} that holds it is bound to server '{device}': that server has it as its own address, and OVN \
             would not move it. {mend}."
        )
    } else if owner.starts_with("network:") {
        format!(
            "The port {id} that holds it belongs to Neutron itself ({owner}: a router, DHCP or floating IP). {mend}."
        )
    } else {
        format!("The port {id} that holds it belongs to device '{device}' (owner '{owner}'). {mend}.")
    })
}

fn is_somebodys(device_owner: &str) -> bool {
    device_owner.starts_with("compute:") || device_owner.starts_with("network:")
}

/// Why no port of the network holds the address. What cannot be found out is left out: the first sentence stands.
fn diagnose(cloud: &Cloud, net_id: &str, pair: &Pair, address: IpAddr) -> CpiError {
    let network = match cloud.find(|client| client.network().network(net_id)) {
        Ok(None) => {
            return CpiError::cloud(format!(
                "{} {}",
                missing_port(&pair.ip_address),
                no_network(cloud, net_id)
            ));
        }
        Ok(found) => found,
        Err(_) => None,
    };
    let elsewhere = cloud
        .ask(|client| client.network().ports(&Query::new().fixed_ip(&address.to_string()).fields(&FIELDS)))
        .unwrap_or_default();
    let subnets = cloud
        .ask(|client| client.network().subnets(&Query::new().filter("network_id", net_id)))
        .unwrap_or_default();
    CpiError::cloud(explain(pair, address, net_id, network.as_ref(), &elsewhere, &subnets))
}

fn explain(
    pair: &Pair,
    address: IpAddr,
    net_id: &str,
    network: Option<&Network>,
    elsewhere: &[Port],
    subnets: &[Subnet],
) -> String {
    let name = match network {
        Some(network) if !network.name.is_empty() => format!("'{}' ({net_id})", network.name),
        _ => net_id.to_owned(),
    };
    let ranges: Vec<&str> = subnets.iter().map(|subnet| subnet.cidr.as_str()).collect();
    let is_outside = !subnets.is_empty()
        && !ranges.iter().filter_map(|cidr| Range::parse(cidr)).any(|range| range.contains(address));
    let where_it_is = match elsewhere.iter().find(|port| holds(port, address)) {
        Some(port) => format!(
            " A port on another network has this address: port {} on network {}. The VM's NIC is on network {name}; the \
             reserved port has to be there.",
            port.id, port.network_id
        ),
        None if is_outside => String::new(),
        None => format!(" No port on network {name} has this address."),
    };
    let mend = if is_outside {
        format!(
            " It lies outside every subnet of network {name} ({}); choose an address inside, or name the pair's network.",
            ranges.join(", ")
        )
    } else {
        format!(
            " Reserve it with a port that is attached to nothing: `openstack port create --network {net_id} --fixed-ip \
             ip-address={address} vrrp-{address}`, and keep it in the subnet's `reserved` range."
        )
    };
    let note = match network.and_then(|network| network.port_security_enabled) {
        Some(false) => {
            " Port security is off on this network, so that no pair is needed there (nor allowed)."
        }
        _ => "",
    };
    format!("{}{where_it_is}{mend}{note}", missing_port(&pair.ip_address))
}

/// Why there is no such network: above all because the id is a subnet's.
pub fn no_network(cloud: &Cloud, net_id: &str) -> String {
    match cloud.find(|client| client.network().subnet(net_id)) {
        Ok(Some(subnet)) => format!(
            "net_id {net_id} is the id of a subnet ('{}', {}); use the id of its network, {}.",
            subnet.name, subnet.cidr, subnet.network_id
        ),
        _ => format!(
            "Network {net_id} does not exist or is not accessible from this project; see net_id in the network's cloud_properties."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(ip: &str) -> Pair {
        Pair {
            path: "cloud_properties.allowed_address_pairs".into(),
            ip_address: ip.into(),
            range: Range::parse(ip).unwrap(),
            mac_address: None,
            is_checked: true,
        }
    }

    fn port(network_id: &str, ip: &str, device_id: &str, device_owner: &str) -> Port {
        Port {
            id: "port-1".into(),
            network_id: network_id.into(),
            fixed_ips: vec![openstack::network::FixedIp::address(ip)],
            device_id: device_id.into(),
            device_owner: device_owner.into(),
            ..Port::default()
        }
    }

    fn subnet(cidr: &str) -> Subnet {
        Subnet { cidr: cidr.into(), ..Subnet::default() }
    }

    fn explained(elsewhere: &[Port], subnets: &[Subnet], network: Option<&Network>) -> String {
        explain(&pair("10.0.0.100"), "10.0.0.100".parse().unwrap(), "net-1", network, elsewhere, subnets)
    }

    #[test]
    fn every_failure_begins_with_the_sentence_that_operators_know() {
        let sentence = "Configured VRRP port with ip '10.0.0.100' does not exist.";
        for text in [
            explained(&[], &[], None),
            explained(&[], &[subnet("10.0.0.0/24")], None),
            explained(&[], &[subnet("10.1.0.0/24")], None),
            explained(&[port("net-2", "10.0.0.100", "", "")], &[subnet("10.0.0.0/24")], None),
        ] {
            assert!(text.starts_with(sentence), "{text}");
        }
    }

    #[test]
    fn nowhere_elsewhere_and_outside_are_told_apart() {
        assert!(
            explained(&[], &[subnet("10.0.0.0/24")], None)
                .contains("No port on network net-1 has this address")
        );
        let text = explained(&[port("net-2", "10.0.0.100", "", "")], &[subnet("10.0.0.0/24")], None);
        assert!(text.contains("port port-1 on network net-2"), "{text}");
        let text = explained(&[], &[subnet("10.1.0.0/24"), subnet("fd00::/64")], None);
        assert!(text.contains("outside every subnet of network net-1 (10.1.0.0/24, fd00::/64)"), "{text}");
        let open = Network { port_security_enabled: Some(false), name: "prov".into(), ..Network::default() };
        let text = explained(&[], &[subnet("10.0.0.0/24")], Some(&open));
        assert!(text.contains("'prov' (net-1)") && text.contains("Port security is off"), "{text}");
    }

    #[test]
    fn a_port_that_belongs_to_something_reserves_nothing() {
        assert_eq!(why_not_reserved(&port("net-1", "10.0.0.100", "", "")), None);
        assert_eq!(why_not_reserved(&port("net-1", "10.0.0.100", "", "vrrp:reserved")), None);
        assert!(
            why_not_reserved(&port("net-1", "a", "srv-1", "compute:nova"))
                .unwrap()
                .contains("bound to server 'srv-1'")
        );
        assert!(
            why_not_reserved(&port("net-1", "a", "dhcp", "network:dhcp")).unwrap().contains("network:dhcp")
        );
        assert!(why_not_reserved(&port("net-1", "a", "lb-1", "Octavia")).unwrap().contains("device 'lb-1'"));
    }

    #[test]
    fn ipv6_addresses_are_compared_as_addresses() {
        let ports = [port("net-1", "fd00:0:0::9", "", "")];
        assert!(holder_of(&ports, "net-1", "fd00::9".parse().unwrap()).is_some());
        assert!(holder_of(&ports, "net-2", "fd00::9".parse().unwrap()).is_none());
    }
}
