//! What OpenStack has, as far as an address is concerned.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use openstack::compute::{Server, ServerGroup};
use openstack::network::{FloatingIp, Network, Port, SecurityGroup, Subnet};

/// The `device_owner` that `standfast reserve` writes: it keeps the Ruby and the Go CPI from deleting the port.
pub const RESERVED_DEVICE_OWNER: &str = "vrrp:reserved";

/// Neutron's default of `max_allowed_address_pair`.
pub const PAIRS_MAX: usize = 10;

/// Which back-end Neutron uses, as far as a plain project can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackEnd {
    /// OVN: its metadata port is on the network.
    Ovn,
    /// Open vSwitch or linuxbridge with agents.
    Agents,
    /// It cannot be told.
    Unknown,
}

/// What was read.
#[derive(Clone, Default, Debug)]
pub struct Cloud {
    /// The cloud's name in `clouds.yaml`, or its Keystone.
    pub name: String,
    /// The project that asks.
    pub project_id: Option<String>,
    /// The network of the members.
    pub network: Network,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
    /// Its ports, those that the project may see.
    pub ports: Vec<Port>,
    /// Ports on other networks that hold an address that is asked about.
    pub elsewhere: Vec<Port>,
    /// The members' ports, by id.
    pub members: Vec<String>,
    /// The members' servers.
    pub servers: Vec<Server>,
    /// Server groups of the project.
    pub server_groups: Vec<ServerGroup>,
    /// The members' security groups, with rules.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Floating IPs of the project.
    pub floating_ips: Vec<FloatingIp>,
    /// Calls that the cloud refused, with its words.
    pub refused: Vec<String>,
}

impl Cloud {
    /// The members' ports.
    pub fn member_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| self.members.contains(&port.id))
    }

    /// How a member is called: its server's name, else the port's, else the port's id.
    pub fn name_of(&self, port: &Port) -> String {
        let server = self.servers.iter().find(|server| server.id == port.device_id).map(|s| s.name.as_str());
        match server {
            Some(name) if !name.is_empty() => format!("{name} (port {})", port.id),
            _ if !port.name.is_empty() => format!("port {} ({})", port.name, port.id),
            _ => format!("port {}", port.id),
        }
    }

    /// The ports that hold this address on the members' network.
    pub fn holders(&self, address: IpAddr) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(move |port| holds(port, address))
    }

    /// The subnet that contains it.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets
            .iter()
            .find(|subnet| subnet.cidr.parse::<IpNet>().is_ok_and(|prefix| prefix.contains(&address)))
    }

    /// What Neutron is built on.
    pub fn back_end(&self) -> BackEnd {
        let vif = |kind: &str| self.ports.iter().any(|p| p.vif_type.as_deref() == Some(kind));
        if self.ports.iter().any(|port| port.device_owner == "network:distributed") {
            BackEnd::Ovn
        } else if self.ports.iter().any(|port| port.device_owner == "network:dhcp") || vif("bridge") {
            BackEnd::Agents
        } else {
            BackEnd::Unknown
        }
    }

    /// Whether the project that asks owns the network.
    pub fn owns_network(&self) -> bool {
        match (&self.project_id, &self.network.project_id) {
            (Some(own), Some(owner)) => own == owner,
            _ => true,
        }
    }
}

/// Whether a port holds an address itself.
pub fn holds(port: &Port, address: IpAddr) -> bool {
    port.fixed_ips
        .iter()
        .filter_map(|fixed| fixed.ip_address.as_deref()?.parse::<IpAddr>().ok())
        .any(|own| own == address)
}

/// Whether a port guards its addresses.
pub fn guards(port: &Port) -> bool {
    port.port_security_enabled != Some(false)
}

/// How a pair covers an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cover {
    /// It is the address.
    Exact,
    /// It is a prefix that contains it.
    Prefix,
}

/// How the pairs of a port cover an address, the port's own MAC being used.
pub fn cover(port: &Port, address: IpAddr) -> Option<Cover> {
    let mut best = None;
    for pair in &port.allowed_address_pairs {
        let other_mac =
            pair.mac_address.as_ref().is_some_and(|mac| !mac.eq_ignore_ascii_case(&port.mac_address));
        if other_mac {
            continue;
        }
        match prefix(&pair.ip_address) {
            Some(prefix) if prefix.addr() == address && prefix.prefix_len() == prefix.max_prefix_len() => {
                return Some(Cover::Exact);
            }
            Some(prefix) if prefix.contains(&address) => best = Some(Cover::Prefix),
            _ => {}
        }
    }
    best
}

/// An address or prefix as Neutron writes it.
pub fn prefix(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Whether the security groups of `port` let VRRP pass in `direction` to or from `peer`.
pub fn passes_vrrp(
    groups: &BTreeMap<String, SecurityGroup>,
    port: &Port,
    peer: &Port,
    direction: &str,
    ipv6: bool,
) -> bool {
    if !guards(port) {
        return true;
    }
    let ethertype = if ipv6 { "IPv6" } else { "IPv4" };
    port.security_groups.iter().filter_map(|id| groups.get(id)).flat_map(|g| &g.security_group_rules).any(
        |rule| {
            let protocol = rule.protocol.as_deref().map(str::to_ascii_lowercase);
            let of_vrrp = matches!(protocol.as_deref(), None | Some("any" | "0" | "vrrp" | "112"));
            rule.direction == direction
                && rule.ethertype == ethertype
                && of_vrrp
                && rule.remote_group_id.as_ref().is_none_or(|group| peer.security_groups.contains(group))
                && rule.remote_ip_prefix.as_deref().is_none_or(|text| {
                    prefix(text).is_some_and(|prefix| {
                        prefix.prefix_len() == 0
                            || peer
                                .fixed_ips
                                .iter()
                                .filter_map(|f| f.ip_address.as_deref()?.parse::<IpAddr>().ok())
                                .any(|own| prefix.contains(&own))
                    })
                })
        },
    )
}
