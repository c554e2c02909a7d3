//! The reserved port, and the address's place in the network.

use std::net::IpAddr;

use ipnet::IpNet;
use keepalived_conf::Severity;
use openstack::network::{Port, Subnet};

use crate::cloud::{BackEnd, Cloud, RESERVED_DEVICE_OWNER};
use crate::finding::{Fix, Source};
use crate::{Facts, Finding, catalogue};

pub(super) fn examine(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(cloud) = &facts.cloud else { return };
    for address in &facts.addresses {
        if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            // No subnet has it, and nobody can reserve it.
            continue;
        }
        let Some(subnet) = cloud.subnet_of(*address) else {
            outside(cloud, *address, findings);
            continue;
        };
        if !other_use(cloud, *address, subnet, findings) {
            reservation(cloud, *address, subnet, findings);
        }
    }
    floating_ips(facts, cloud, findings);
}

fn outside(cloud: &Cloud, address: IpAddr, findings: &mut Vec<Finding>) {
    let prefixes: Vec<&str> = cloud.subnets.iter().map(|s| s.cidr.as_str()).collect();
    findings.push(
        Finding::new(
            &catalogue::ADDRESS_OUTSIDE_SUBNET,
            address.to_string(),
            format!("{address} is in no subnet of network {}", cloud.network.name),
        )
        .saying(Source::OpenStack, format!("subnets of {}: {}", cloud.network.name, prefixes.join(", ")))
        .mended_by(
            "choose an address of one of these, outside its allocation pools",
            format!("standfast reserve ADDRESS --network {}", cloud.network.id),
        ),
    );
}

/// The gateway's, or a port's of the network itself. Answers whether it is.
fn other_use(cloud: &Cloud, address: IpAddr, subnet: &Subnet, findings: &mut Vec<Finding>) -> bool {
    let gateway = subnet.gateway_ip.as_deref().and_then(|g| g.parse::<IpAddr>().ok()) == Some(address);
    let service = cloud.holders(address).find(|port| port.device_owner.starts_with("network:"));
    if !gateway && service.is_none() {
        return false;
    }
    let what = match service {
        Some(port) => format!("a port of {} holds it", port.device_owner),
        None => format!("it is the gateway of subnet {}", subnet.name),
    };
    findings.push(
        Finding::new(&catalogue::ADDRESS_HAS_OTHER_USE, address.to_string(), format!("{address}: {what}"))
            .saying(Source::OpenStack, format!("subnet {} ({}): {what}", subnet.name, subnet.cidr))
            .mended_by(
                "choose another address",
                format!("standfast reserve ADDRESS --network {}", cloud.network.id),
            ),
    );
    true
}

fn in_pool(subnet: &Subnet, address: IpAddr) -> bool {
    subnet.allocation_pools.iter().any(|pool| {
        let (start, end) = (pool.start.parse::<IpAddr>(), pool.end.parse::<IpAddr>());
        matches!((start, end), (Ok(start), Ok(end)) if start <= address && address <= end)
    })
}

fn reservation(cloud: &Cloud, address: IpAddr, subnet: &Subnet, findings: &mut Vec<Finding>) {
    let holders: Vec<&Port> = cloud.holders(address).collect();
    let about = address.to_string();
    let Some(port) = holders.first() else {
        missing(cloud, address, subnet, findings);
        return;
    };
    if port.device_owner.starts_with("compute:") {
        let finding = if cloud.members.contains(&port.id) {
            Finding::new(
                &catalogue::RESERVATION_BOUND,
                about,
                format!("{} has {address} as its own address", cloud.name_of(port)),
            )
        } else {
            Finding::new(
                &catalogue::ADDRESS_TAKEN,
                about,
                format!("{} has {address} as its own address", cloud.name_of(port)),
            )
        };
        findings.push(
            finding
                .saying(Source::OpenStack, format!("port {} is bound to server {}", port.id, port.device_id))
                .mended_by(
                    "give that VM another address, then reserve this one",
                    format!("standfast reserve {address} --network {}", cloud.network.id),
                ),
        );
        return;
    }
    if !port.device_id.is_empty() {
        findings.push(
            Finding::new(
                &catalogue::RESERVATION_BOUND,
                about,
                format!("the reserved port {} belongs to device {}", port.id, port.device_id),
            )
            .saying(
                Source::OpenStack,
                format!("device_id {}, device_owner {}", port.device_id, port.device_owner),
            )
            .mended_by(
                "detach it from the VM",
                format!("openstack server remove port {} {}", port.device_id, port.id),
            ),
        );
    } else if port.device_owner.is_empty() {
        findings.push(
            Finding::new(
                &catalogue::RESERVATION_UNPROTECTED,
                about,
                format!("the reserved port {} has neither device_id nor device_owner", port.id),
            )
            .saying(Source::OpenStack, format!("port {} is {}, device_owner is empty", port.id, port.status))
            .fixed_by(
                "protect it",
                format!("openstack port set --device-owner {RESERVED_DEVICE_OWNER} {}", port.id),
                Fix::ProtectReservation { port_id: port.id.clone() },
            ),
        );
    }
}

fn missing(cloud: &Cloud, address: IpAddr, subnet: &Subnet, findings: &mut Vec<Finding>) {
    let about = address.to_string();
    let other: Vec<&Port> =
        cloud.elsewhere.iter().filter(|port| crate::cloud::holds(port, address)).collect();
    let reserve = format!("standfast reserve {address} --network {}", cloud.network.id);
    let fix = Fix::Reserve {
        network_id: cloud.network.id.clone(),
        subnet_id: subnet.id.clone(),
        ip_address: about.clone(),
    };
    if let Some(port) = other.first() {
        findings.push(
            Finding::new(
                &catalogue::RESERVATION_ELSEWHERE,
                about,
                format!("port {} holds {address}, but on network {}", port.id, port.network_id),
            )
            .saying(
                Source::OpenStack,
                format!("the members' network is {} ({})", cloud.network.name, cloud.network.id),
            )
            .fixed_by("reserve it on the members' network", reserve, fix),
        );
        return;
    }
    let pooled = in_pool(subnet, address);
    let why = if pooled {
        "it lies in an allocation pool, so Neutron may give it to any new port"
    } else {
        "it lies outside the allocation pools, so only somebody who asks for it gets it"
    };
    let finding = Finding::new(
        &catalogue::NOT_RESERVED,
        about,
        format!("no port holds {address} on network {}: {why}", cloud.network.name),
    );
    let finding = if cloud.back_end() == BackEnd::Ovn {
        finding.saying(
            Source::OpenStack,
            "the back-end is OVN, which binds the address to the Active by that port",
        )
    } else {
        finding
    };
    findings.push(
        finding
            .saying(
                Source::OpenStack,
                format!("subnet {} ({}), no port with that address", subnet.name, subnet.cidr),
            )
            .fixed_by("reserve it", reserve, fix),
    );
}

fn floating_ips(facts: &Facts, cloud: &Cloud, findings: &mut Vec<Finding>) {
    let reserved: Vec<&Port> = facts.addresses.iter().flat_map(|a| cloud.holders(*a)).collect();
    for floating in &cloud.floating_ips {
        let Some(member) = cloud.member_ports().find(|port| floating.port_id.as_deref() == Some(&port.id))
        else {
            continue;
        };
        // A floating IP that leads to the virtual address through a member's port is bound to that member.
        let by_address = floating
            .fixed_ip_address
            .as_deref()
            .and_then(|a| a.parse::<IpAddr>().ok())
            .is_some_and(|a| facts.addresses.contains(&a));
        let mend = reserved.first().map_or_else(
            || "openstack floating ip set --port RESERVED_PORT FLOATING_IP".to_owned(),
            |port| format!("openstack floating ip set --port {} {}", port.id, floating.floating_ip_address),
        );
        findings.push(
            Finding::new(
                &catalogue::FLOATING_IP_ON_MEMBER,
                &floating.floating_ip_address,
                format!("{} leads to {}", floating.floating_ip_address, cloud.name_of(member)),
            )
            .as_severity(if by_address { Severity::Error } else { Severity::Warning })
            .saying(
                Source::OpenStack,
                format!(
                    "floating IP {}: port {}, fixed address {}",
                    floating.floating_ip_address,
                    member.id,
                    floating.fixed_ip_address.as_deref().unwrap_or("-")
                ),
            )
            .mended_by("right if it is that VM's own; else let it lead to the reserved port", mend),
        );
    }
}

/// The prefix of a subnet, for members whose pairs are judged.
pub(super) fn prefixes(cloud: &Cloud) -> Vec<IpNet> {
    cloud.subnets.iter().filter_map(|subnet| subnet.cidr.parse().ok()).collect()
}
