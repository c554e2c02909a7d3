//! Reading OpenStack: filtered and paged requests only, so that a project with thousands of ports is no slower
//! than its one network.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use openstack::network::{Network, Port, Subnet};
use openstack::{Client, Query, Result};

use crate::cloud::{Cloud, cover, holds};

/// What is asked about.
#[derive(Clone, Default, Debug)]
pub struct CloudQuestion {
    /// How the cloud is called.
    pub name: String,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The members' network, by name or id; else it is found by the addresses.
    pub network: Option<String>,
    /// Servers that are members, by name or id.
    pub servers: Vec<String>,
    /// Addresses of members that other sources know: who advertises, unicast peers, this host's own.
    pub member_addresses: Vec<IpAddr>,
}

/// What the doctor needs of a port; everything else stays in Neutron.
const PORT_FIELDS: [&str; 17] = [
    "id",
    "name",
    "network_id",
    "status",
    "mac_address",
    "fixed_ips",
    "allowed_address_pairs",
    "device_id",
    "device_owner",
    "security_groups",
    "port_security_enabled",
    "project_id",
    "tags",
    "revision_number",
    "binding:host_id",
    "binding:vif_type",
    "binding:vif_details",
];
/// Ports a page.
const PAGE: u32 = 500;

/// The network, its ports, and ports elsewhere that hold an address that is asked about.
///
/// # Errors
/// If the cloud cannot be reached, or no network can be told from the question.
pub fn places(client: &Client, question: &CloudQuestion) -> Result<Cloud> {
    let neutron = client.network();
    let session = client.session()?;
    let (network, subnets) = members_network(client, question)?;
    let of_network = Query::new().filter("network_id", &network.id).fields(&PORT_FIELDS).page_size(PAGE);
    let (ports, holding) = std::thread::scope(|scope| {
        let elsewhere = question.addresses.iter().map(|address| {
            let query = Query::new().fixed_ip(&address.to_string()).fields(&PORT_FIELDS);
            scope.spawn(move || neutron.ports(&query))
        });
        let elsewhere: Vec<_> = elsewhere.collect();
        let ports = neutron.ports(&of_network);
        (ports, elsewhere.into_iter().map(joined).collect::<Result<Vec<_>>>())
    });
    let mut elsewhere = holding?.concat();
    elsewhere.retain(|port| port.network_id != network.id);
    let cloud = Cloud {
        name: question.name.clone(),
        project_id: session.project_id.clone(),
        ports: ports?,
        elsewhere,
        network,
        subnets,
        ..Cloud::default()
    };
    Ok(cloud)
}

/// Who of these ports is a member, and what belongs to the members. What the cloud refuses is kept in
/// [`Cloud::refused`]; the rest still counts.
pub fn members(client: &Client, cloud: &mut Cloud, question: &CloudQuestion) {
    let named = named_servers(client, &question.servers, cloud);
    cloud.members =
        cloud.ports.iter().filter(|port| is_member(port, question, &named)).map(|p| p.id.clone()).collect();
    read_members(client, cloud);
}

fn is_member(port: &Port, question: &CloudQuestion, servers: &[String]) -> bool {
    let of_server = port.device_owner.starts_with("compute:");
    let by_server = servers.contains(&port.device_id);
    let by_pair = question.addresses.iter().any(|address| cover(port, *address).is_some());
    let by_address = question.member_addresses.iter().any(|address| holds(port, *address));
    of_server && (by_server || by_pair || by_address)
}

/// The network that is named; else the one whose subnet has the addresses, if there is just one.
fn members_network(client: &Client, question: &CloudQuestion) -> Result<(Network, Vec<Subnet>)> {
    let neutron = client.network();
    if let Some(wanted) = &question.network {
        let network = find_network(client, wanted)?;
        let subnets = neutron.subnets(&Query::new().filter("network_id", &network.id))?;
        return Ok((network, subnets));
    }
    let subnets = neutron.subnets(&Query::new())?;
    let containing: Vec<&Subnet> = subnets
        .iter()
        .filter(|subnet| {
            subnet
                .cidr
                .parse::<IpNet>()
                .is_ok_and(|prefix| question.addresses.iter().any(|address| prefix.contains(address)))
        })
        .collect();
    let networks: BTreeSet<&str> = containing.iter().map(|s| s.network_id.as_str()).collect();
    let ids: Vec<&str> = networks.into_iter().collect();
    match ids.as_slice() {
        [id] => {
            let of_network = subnets.iter().filter(|s| s.network_id == *id).cloned().collect();
            Ok((neutron.network(id)?, of_network))
        }
        [] => Err(unclear(
            "no subnet that this project sees contains the address; name the members' network with --network"
                .to_owned(),
        )),
        _ => Err(unclear(format!(
            "subnets of {} networks contain the address ({}); name the members' with --network",
            ids.len(),
            ids.join(", ")
        ))),
    }
}

/// The network of this name or id.
///
/// # Errors
/// If there is none or more than one.
pub fn find_network(client: &Client, wanted: &str) -> Result<Network> {
    let mut found = Vec::new();
    for key in ["name", "id"] {
        if found.is_empty() {
            found = client.network().networks(&Query::new().filter(key, wanted))?;
        }
    }
    match found.as_slice() {
        [network] => Ok(network.clone()),
        [] => Err(unclear(format!("no network is called `{wanted}`; `openstack network list` shows them"))),
        _ => Err(unclear(format!("{} networks are called `{wanted}`; give the id", found.len()))),
    }
}

fn unclear(text: String) -> openstack::Error {
    openstack::Error::new(openstack::ErrorKind::Config, text)
}

fn named_servers(client: &Client, servers: &[String], cloud: &mut Cloud) -> Vec<String> {
    let mut ids = Vec::new();
    for wanted in servers {
        match client.compute().servers_named(wanted) {
            Ok(found) if !found.is_empty() => ids.extend(found.into_iter().map(|s| s.id)),
            Ok(_) => ids.push(wanted.clone()),
            Err(error) => cloud.refused.push(format!("servers named {wanted}: {error}")),
        }
    }
    ids
}

/// Security groups, servers, floating IPs: asked for at the same time.
fn read_members(client: &Client, cloud: &mut Cloud) {
    let (neutron, nova) = (client.network(), client.compute());
    let groups: BTreeSet<String> = cloud.member_ports().flat_map(|p| p.security_groups.clone()).collect();
    let devices: BTreeSet<String> = cloud.member_ports().map(|p| p.device_id.clone()).collect();
    let query = groups.iter().fold(Query::new(), |query, id| query.filter("id", id));
    let asked = std::thread::scope(|scope| {
        let servers: Vec<_> = devices.iter().map(|device| scope.spawn(move || nova.server(device))).collect();
        let server_groups = scope.spawn(|| nova.server_groups());
        let floating_ips = scope.spawn(|| neutron.floating_ips(&Query::new()));
        // Without a filter every group of the project would come.
        let groups = if groups.is_empty() { Ok(Vec::new()) } else { neutron.security_groups(&query) };
        (
            groups,
            servers.into_iter().map(joined).collect::<Vec<_>>(),
            joined(server_groups),
            joined(floating_ips),
        )
    });
    let (groups, servers, server_groups, floating_ips) = asked;
    let mut refused = Vec::new();
    let groups = kept(groups, "security groups", &mut refused);
    cloud.security_groups = groups.into_iter().map(|group| (group.id.clone(), group)).collect();
    cloud.server_groups = kept(server_groups, "server groups", &mut refused);
    cloud.floating_ips = kept(floating_ips, "floating IPs", &mut refused);
    for (server, device) in servers.into_iter().zip(&devices) {
        match server {
            Ok(server) => cloud.servers.push(server),
            Err(error) => refused.push(format!("server {device}: {error}")),
        }
    }
    cloud.refused.extend(refused);
}

fn kept<T>(answer: Result<Vec<T>>, what: &str, refused: &mut Vec<String>) -> Vec<T> {
    answer.unwrap_or_else(|error| {
        refused.push(format!("{what}: {error}"));
        Vec::new()
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(unclear("a thread that asked OpenStack ended early".to_owned())))
}
