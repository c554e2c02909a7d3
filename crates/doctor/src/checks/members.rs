//! The members' ports: pairs, port security, security groups, and where the VMs run.

use std::collections::BTreeSet;
use std::net::IpAddr;

use keepalived_conf::Severity;
use openstack::network::Port;

use super::reservation::prefixes;
use crate::cloud::{BackEnd, Cloud, Cover, PAIRS_MAX, cover, guards, passes_vrrp, prefix};
use crate::finding::{Fix, Source};
use crate::{Facts, Finding, catalogue};

pub(super) fn examine(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(cloud) = &facts.cloud else { return };
    let members: Vec<&Port> = cloud.member_ports().collect();
    for address in &facts.addresses {
        if members.is_empty() {
            nobody(cloud, *address, findings);
        }
        for member in &members {
            pair(cloud, *address, member, findings);
        }
    }
    for member in &members {
        pairs_of(cloud, member, findings);
        virtual_mac(facts, cloud, member, findings);
    }
    if !cloud.owns_network() {
        not_permitted(cloud, findings);
    }
    vrrp_rules(facts, cloud, &members, findings);
    same_groups(cloud, &members, findings);
    placement(cloud, &members, findings);
    parent(facts, cloud, findings);
}

fn pairs_in_words(port: &Port) -> String {
    if port.allowed_address_pairs.is_empty() {
        return "no pairs".to_owned();
    }
    let pairs: Vec<String> = port
        .allowed_address_pairs
        .iter()
        .map(|pair| match &pair.mac_address {
            Some(mac) if !mac.eq_ignore_ascii_case(&port.mac_address) => {
                format!("{} with {mac}", pair.ip_address)
            }
            _ => pair.ip_address.clone(),
        })
        .collect();
    format!("pairs {}", pairs.join(", "))
}

/// Nobody on the network may use the address, so nobody can be a member.
fn nobody(cloud: &Cloud, address: IpAddr, findings: &mut Vec<Finding>) {
    let network = &cloud.network.name;
    findings.push(
        Finding::new(
            &catalogue::PAIR_MISSING,
            address.to_string(),
            format!("no VM on network {network} may use {address}"),
        )
        .saying(
            Source::OpenStack,
            format!("{} ports on {network}: none of a VM lists {address} in its pairs", cloud.ports.len()),
        )
        .mended_by(
            "in a BOSH deployment: the vm_extension of the members' instance group, then recreate them",
            format!("cloud_properties: {{ allowed_address_pairs: {address} }}"),
        )
        .mended_by(
            "if there are members already, name them, and each is examined",
            format!("standfast doctor {address} --server NAME_OF_A_MEMBER"),
        ),
    );
}

fn pair(cloud: &Cloud, address: IpAddr, member: &Port, findings: &mut Vec<Finding>) {
    let name = cloud.name_of(member);
    if !guards(member) {
        let ovn = cloud.back_end() == BackEnd::Ovn;
        let pitfall =
            if ovn { &catalogue::OVN_WITHOUT_PAIR } else { &catalogue::PAIRS_WITHOUT_PORT_SECURITY };
        findings.push(
            Finding::new(
                pitfall,
                &name,
                format!("{name} has port security off: it needs no pair, and cannot have one"),
            )
            .as_severity(if ovn { Severity::Warning } else { Severity::Note })
            .saying(Source::OpenStack, format!("port {}: port_security_enabled false", member.id))
            .mended_by(
                "to guard the port again",
                format!(
                    "openstack port set --enable-port-security --security-group GROUP \
                         --allowed-address ip-address={address} {}",
                    member.id
                ),
            ),
        );
        return;
    }
    let add = format!("openstack port set --allowed-address ip-address={address} {}", member.id);
    let fix = Fix::AddPair { port_id: member.id.clone(), ip_address: address.to_string() };
    match cover(member, address) {
        Some(Cover::Exact) => {}
        Some(Cover::Prefix) => {
            let severity = if cloud.back_end() == BackEnd::Ovn { Severity::Warning } else { Severity::Note };
            findings.push(
                Finding::new(
                    &catalogue::PAIR_IS_PREFIX,
                    &name,
                    format!("{name} lists {address} only within a prefix"),
                )
                .as_severity(severity)
                .saying(Source::OpenStack, format!("port {}: {}", member.id, pairs_in_words(member)))
                .fixed_by("add the exact address", add, fix),
            );
        }
        None => {
            let same_family = member
                .allowed_address_pairs
                .iter()
                .filter_map(|p| prefix(&p.ip_address))
                .any(|p| p.addr().is_ipv4() == address.is_ipv4());
            let pitfall = if same_family || member.allowed_address_pairs.is_empty() {
                &catalogue::PAIR_MISSING
            } else {
                &catalogue::FAMILY_MISMATCH
            };
            findings.push(
                Finding::new(
                    pitfall,
                    &name,
                    format!("{name} may not use {address}: Neutron drops what it sends from there"),
                )
                .saying(Source::OpenStack, format!("port {}: {}", member.id, pairs_in_words(member)))
                .fixed_by("add the pair (until the next recreation of the VM)", add, fix)
                .mended_by(
                    "for good, in a BOSH deployment: the vm_extension of its instance group",
                    format!("cloud_properties: {{ allowed_address_pairs: {address} }}"),
                ),
            );
        }
    }
}

fn pairs_of(cloud: &Cloud, member: &Port, findings: &mut Vec<Finding>) {
    let name = cloud.name_of(member);
    let count = member.allowed_address_pairs.len();
    if count >= PAIRS_MAX {
        findings.push(
            Finding::new(&catalogue::TOO_MANY_PAIRS, &name, format!("{name} has {count} pairs"))
                .saying(Source::OpenStack, format!("port {}: {}", member.id, pairs_in_words(member)))
                .mended_by(
                    "one more may be refused; join neighbours into a prefix, or ask for a higher limit",
                    "max_allowed_address_pair in neutron.conf",
                ),
        );
    }
    for pair in &member.allowed_address_pairs {
        if prefix(&pair.ip_address).is_some_and(|prefix| prefix.prefix_len() == 0) {
            findings.push(
                Finding::new(
                    &catalogue::PAIR_OPENS_EVERYTHING,
                    &name,
                    format!("{name} has the pair {}", pair.ip_address),
                )
                .saying(Source::OpenStack, format!("port {}: {}", member.id, pairs_in_words(member)))
                .mended_by(
                    "replace it by the virtual address",
                    format!(
                        // Neutron filled the MAC in, and the pair is only found with it.
                        "openstack port unset --allowed-address ip-address={},mac-address={} {}",
                        pair.ip_address,
                        pair.mac_address.as_deref().unwrap_or(&member.mac_address),
                        member.id
                    ),
                ),
            );
        }
    }
    if !holds_any(cloud, member) {
        findings.push(
            Finding::new(
                &catalogue::ADDRESS_OUTSIDE_SUBNET,
                &name,
                format!("{name} has no address of its own on network {}", cloud.network.name),
            )
            .as_severity(Severity::Warning)
            .saying(Source::OpenStack, format!("port {} has no fixed IP in its subnets", member.id))
            .mended_by(
                "VRRP needs a source address",
                format!("openstack port set --fixed-ip subnet=SUBNET {}", member.id),
            ),
        );
    }
}

fn holds_any(cloud: &Cloud, member: &Port) -> bool {
    let prefixes = prefixes(cloud);
    member
        .fixed_ips
        .iter()
        .filter_map(|f| f.ip_address.as_deref()?.parse::<IpAddr>().ok())
        .any(|own| prefixes.iter().any(|prefix| prefix.contains(&own)))
}

fn virtual_mac(facts: &Facts, cloud: &Cloud, member: &Port, findings: &mut Vec<Finding>) {
    let Some(wire) = &facts.wire else { return };
    for sender in wire.advertisers.iter().filter(|a| a.mac.is_virtual_router()) {
        let of_member =
            member.fixed_ips.iter().any(|f| f.ip_address.as_deref() == Some(&sender.source.to_string()));
        let allowed = member.allowed_address_pairs.iter().any(|p| {
            p.mac_address.as_deref().is_some_and(|mac| mac.eq_ignore_ascii_case(&sender.mac.to_string()))
        });
        if of_member && guards(member) && !allowed {
            findings.push(
                Finding::new(
                    &catalogue::VIRTUAL_MAC_DROPPED,
                    cloud.name_of(member),
                    format!("it sends from {}, which no pair allows", sender.mac),
                )
                .saying(Source::Wire, sender.describe())
                .saying(Source::OpenStack, format!("port {}: {}", member.id, pairs_in_words(member)))
                .mended_by(
                    "leave use_vmac out, or add the MAC",
                    format!(
                        "openstack port set --allowed-address ip-address={},mac-address={} {}",
                        facts.addresses.first().map_or_else(|| "ADDRESS".to_owned(), ToString::to_string),
                        sender.mac,
                        member.id
                    ),
                ),
            );
        }
    }
}

fn not_permitted(cloud: &Cloud, findings: &mut Vec<Finding>) {
    findings.push(
        Finding::new(
            &catalogue::PAIRS_NOT_PERMITTED,
            &cloud.network.name,
            format!("network {} belongs to another project", cloud.network.name),
        )
        .saying(
            Source::OpenStack,
            format!(
                "network's project {}, ours {}, shared {}",
                cloud.network.project_id.as_deref().unwrap_or("?"),
                cloud.project_id.as_deref().unwrap_or("?"),
                cloud.network.shared
            ),
        )
        .mended_by(
            "ask the cloud's operator for the policy, or use a network of your own",
            "create_port:allowed_address_pairs and update_port:allowed_address_pairs in Neutron's policy.yaml",
        ),
    );
}

/// Pitfall 1: one finding for each family and pair of members of which one does not hear the other.
fn vrrp_rules(facts: &Facts, cloud: &Cloud, members: &[&Port], findings: &mut Vec<Finding>) {
    let families: BTreeSet<bool> = facts.addresses.iter().map(IpAddr::is_ipv6).collect();
    for ipv6 in families {
        let ethertype = if ipv6 { "IPv6" } else { "IPv4" };
        for to in members {
            for from in members {
                if to.id == from.id {
                    continue;
                }
                let blocked = if !passes_vrrp(&cloud.security_groups, to, from, "ingress", ipv6) {
                    ("ingress", to)
                } else if !passes_vrrp(&cloud.security_groups, from, to, "egress", ipv6) {
                    ("egress", from)
                } else {
                    continue;
                };
                findings.push(blocked_by(cloud, from, to, blocked.0, blocked.1, ethertype));
            }
        }
    }
}

fn blocked_by(
    cloud: &Cloud,
    from: &Port,
    to: &Port,
    direction: &str,
    port: &Port,
    ethertype: &str,
) -> Finding {
    let names: Vec<String> = port
        .security_groups
        .iter()
        .map(|id| cloud.security_groups.get(id).map_or_else(|| id.clone(), |g| g.name.clone()))
        .collect();
    let finding = Finding::new(
        &catalogue::VRRP_BLOCKED,
        cloud.name_of(to),
        format!(
            "it does not hear {}: no {direction} rule of its security groups lets {ethertype} protocol 112 pass",
            cloud.name_of(from)
        ),
    )
    .saying(
        Source::OpenStack,
        format!(
            "port {}: security groups {}",
            port.id,
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ),
    );
    let Some(group) = port.security_groups.first() else {
        return finding.mended_by(
            "give both ports a group that lets VRRP pass",
            format!("openstack port set --security-group GROUP {}", port.id),
        );
    };
    if direction == "egress" {
        return finding.mended_by(
            "let it out",
            format!(
                "openstack security group rule create --egress --ethertype {ethertype} --protocol 112 {group}"
            ),
        );
    }
    // The rule admits the members of the sender's group; where both share one it is that.
    let shared = from.security_groups.iter().filter(|id| port.security_groups.contains(id));
    let shared = shared.min_by_key(|id| breadth(cloud, id));
    let (into, remote) = shared.map_or((group, from.security_groups.first()), |id| (id, Some(id)));
    let remote = remote.unwrap_or(into);
    let command = format!(
        "openstack security group rule create --ingress --ethertype {ethertype} --protocol 112 \
         --remote-group {remote} {into}"
    );
    if remote == into {
        let fix = Fix::AllowVrrp { security_group_id: into.clone(), ethertype: ethertype.to_owned() };
        finding.fixed_by("let it in from the members of the group", command, fix)
    } else {
        finding.mended_by("let it in from the other member's group", command)
    }
}

/// Of several groups that the members share, the rule belongs into the one that is for this: that speaks of VRRP already,
/// or else has the fewest rules. A broad one may be on every VM of the project. The id makes the choice the same each time.
fn breadth<'a>(cloud: &Cloud, id: &'a str) -> (bool, usize, &'a str) {
    let rules = cloud.security_groups.get(id).map_or(&[][..], |group| &group.security_group_rules);
    let names_vrrp = rules.iter().any(|rule| {
        rule.protocol
            .as_deref()
            .is_some_and(|protocol| ["112", "vrrp"].contains(&protocol.to_lowercase().as_str()))
    });
    (!names_vrrp, rules.len(), id)
}

fn same_groups(cloud: &Cloud, members: &[&Port], findings: &mut Vec<Finding>) {
    let sets: Vec<BTreeSet<&String>> =
        members.iter().map(|port| port.security_groups.iter().collect()).collect();
    let Some((first, others)) = sets.split_first() else { return };
    for (set, port) in others.iter().zip(&members[1..]) {
        if set != first {
            findings.push(
                Finding::new(
                    &catalogue::SECURITY_GROUPS_DIFFER,
                    cloud.name_of(port),
                    format!("it has other security groups than {}", cloud.name_of(members[0])),
                )
                .saying(Source::OpenStack, format!("{}: {:?}", cloud.name_of(members[0]), first))
                .saying(Source::OpenStack, format!("{}: {set:?}", cloud.name_of(port)))
                .mended_by("recreate the VM that was left behind", "bosh recreate INSTANCE"),
            );
        }
    }
}

fn placement(cloud: &Cloud, members: &[&Port], findings: &mut Vec<Finding>) {
    let servers: Vec<_> = members
        .iter()
        .filter_map(|port| cloud.servers.iter().find(|server| server.id == port.device_id))
        .filter(|server| !server.host_id.is_empty())
        .collect();
    let hosts: BTreeSet<&str> = servers.iter().map(|s| s.host_id.as_str()).collect();
    if servers.len() < 2 || hosts.len() > 1 {
        return;
    }
    let names: Vec<&str> = servers.iter().map(|s| s.name.as_str()).collect();
    let grouped = cloud
        .server_groups
        .iter()
        .find(|group| servers.iter().all(|server| group.members.contains(&server.id)));
    let mut finding = Finding::new(
        &catalogue::SAME_HYPERVISOR,
        names.join(", "),
        format!("{} run on one hypervisor", names.join(" and ")),
    )
    .saying(Source::OpenStack, format!("hostId {} for all of them", servers[0].host_id));
    if let Some(group) = grouped {
        finding = finding.saying(Source::OpenStack, format!("they are in server group {}", group.name));
    }
    findings.push(finding.mended_by(
        "in the cloud-config of their instance group",
        "cloud_properties: { scheduler_hints: { group: ID_OF_A_SERVER_GROUP_WITH_ANTI_AFFINITY } }",
    ));
}

/// Pitfall 8, for administrators: the virtual port's parent against who advertises.
fn parent(facts: &Facts, cloud: &Cloud, findings: &mut Vec<Finding>) {
    let Some(wire) = &facts.wire else { return };
    for address in &facts.addresses {
        let Some(port) = cloud.holders(*address).find(|p| p.vif_details.is_some()) else { continue };
        let Some(parent) =
            port.vif_details.as_ref().and_then(|d| d.get("parent_hostname")).and_then(|v| v.as_str())
        else {
            continue;
        };
        let active = wire
            .advertisers
            .iter()
            .filter(|a| a.addresses.contains(address) && a.still_active(wire.listened()))
            .max_by_key(|a| a.priority);
        let host = active.and_then(|active| {
            cloud
                .member_ports()
                .find(|p| crate::cloud::holds(p, active.source))
                .and_then(|p| p.host_id.as_deref())
        });
        if let (Some(active), Some(host)) = (active, host)
            && host != parent
        {
            findings.push(
                Finding::new(
                    &catalogue::PARENT_DIFFERS,
                    address.to_string(),
                    format!("OVN has {parent} as the parent's host, and the Active is on {host}"),
                )
                .saying(Source::OpenStack, format!("port {}: parent_hostname {parent}", port.id))
                .saying(Source::Wire, active.describe())
                .mended_by(
                    "on the Active: announce again",
                    format!("arping -c 3 -U -I {} {address}", wire.interface),
                ),
            );
        }
    }
}
