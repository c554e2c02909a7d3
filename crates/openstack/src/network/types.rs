//! What Neutron answers, and what it is asked to make.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Network {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// `ACTIVE`, `DOWN`.
    pub status: String,
    /// Whether it is switched on.
    pub admin_state_up: bool,
    /// Whether other projects may use it; pairs on it need the network's owner (policy).
    pub shared: bool,
    /// Whether floating IPs come from it.
    #[serde(rename = "router:external")]
    pub external: bool,
    /// The default of its ports; none if the extension is off.
    pub port_security_enabled: Option<bool>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// The ids of its subnets.
    pub subnets: Vec<String>,
    /// Its owner.
    pub project_id: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// `flat`, `vxlan`, `geneve`; shown to administrators.
    #[serde(rename = "provider:network_type")]
    pub provider_network_type: Option<String>,
    /// Shown to administrators.
    #[serde(rename = "provider:physical_network")]
    pub provider_physical_network: Option<String>,
}

/// A network to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NetworkCreate {
    /// Its name.
    pub name: String,
    /// Whether it is switched on (Neutron's default: yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_state_up: Option<bool>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The default of its ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_security_enabled: Option<bool>,
    /// Anything else, by its API name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A subnet.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Subnet {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// Its network.
    pub network_id: String,
    /// `10.0.0.0/24`.
    pub cidr: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// None without a gateway.
    pub gateway_ip: Option<String>,
    /// Whether Neutron answers DHCP.
    pub enable_dhcp: bool,
    /// What Neutron hands out by itself.
    pub allocation_pools: Vec<AllocationPool>,
    /// Given out by DHCP.
    pub dns_nameservers: Vec<String>,
    /// `slaac`, `dhcpv6-stateful`, `dhcpv6-stateless`.
    pub ipv6_address_mode: Option<String>,
    /// As above, for router advertisements.
    pub ipv6_ra_mode: Option<String>,
    /// Its owner.
    pub project_id: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A range of addresses, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AllocationPool {
    /// The first.
    pub start: String,
    /// The last.
    pub end: String,
}

/// A subnet to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SubnetCreate {
    /// Its network.
    pub network_id: String,
    /// `10.0.0.0/24`.
    pub cidr: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Some(None)` asks for a subnet without a gateway; none leaves it to Neutron (the first address).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<Option<String>>,
    /// Whether Neutron answers DHCP (its default: yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dhcp: Option<bool>,
    /// What Neutron hands out by itself (its default: everything but the gateway).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allocation_pools: Vec<AllocationPool>,
    /// Given out by DHCP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_nameservers: Vec<String>,
    /// Anything else, by its API name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Port {
    /// UUID.
    pub id: String,
    /// Not unique, often empty.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Its network.
    pub network_id: String,
    /// `ACTIVE`, `DOWN`, `BUILD`, `N/A`.
    pub status: String,
    /// `fa:16:3e:…`.
    pub mac_address: String,
    /// Its own addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// What it may send from besides.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// The server or router it belongs to; empty if none: a reserved port.
    pub device_id: String,
    /// `compute:nova`, `network:dhcp`, free text, or empty.
    pub device_owner: String,
    /// Whether it is switched on.
    pub admin_state_up: bool,
    /// The ids of its security groups.
    pub security_groups: Vec<String>,
    /// None if the extension is off.
    pub port_security_enabled: Option<bool>,
    /// Its owner.
    pub project_id: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Counts its changes, for conditional updates.
    pub revision_number: Option<u64>,
    /// `normal`, `direct`.
    #[serde(rename = "binding:vnic_type")]
    pub vnic_type: Option<String>,
    /// The hypervisor; shown to administrators.
    #[serde(rename = "binding:host_id")]
    pub host_id: Option<String>,
    /// `ovs`, `bridge`, `unbound`; shown to administrators.
    #[serde(rename = "binding:vif_type")]
    pub vif_type: Option<String>,
    /// Shown to administrators; `parent_hostname` of an OVN virtual port stands here.
    #[serde(rename = "binding:vif_details")]
    pub vif_details: Option<Map<String, Value>>,
    /// ISO 8601.
    pub created_at: Option<String>,
    /// ISO 8601.
    pub updated_at: Option<String>,
}

impl Port {
    /// Whether one of its own addresses is this one (as text, the way Neutron writes it).
    pub fn has_fixed_ip(&self, address: &str) -> bool {
        self.fixed_ips.iter().any(|ip| ip.ip_address.as_deref() == Some(address))
    }
}

/// One of a port's own addresses; in a request either part may be left to Neutron.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct FixedIp {
    /// The subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

impl FixedIp {
    /// This address, in whichever subnet it lies.
    pub fn address(address: impl Into<String>) -> Self {
        Self { subnet_id: None, ip_address: Some(address.into()) }
    }

    /// Any address of this subnet.
    pub fn subnet(subnet_id: impl Into<String>) -> Self {
        Self { subnet_id: Some(subnet_id.into()), ip_address: None }
    }
}

/// An address (or CIDR) that a port may send from besides its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AddressPair {
    /// Address or CIDR, IPv4 or IPv6.
    pub ip_address: String,
    /// The port's own MAC if not given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac_address: Option<String>,
}

impl AddressPair {
    /// A pair with the port's own MAC.
    pub fn address(address: impl Into<String>) -> Self {
        Self { ip_address: address.into(), mac_address: None }
    }
}

/// A port to be made. What is none is not sent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PortCreate {
    /// Its network.
    pub network_id: String,
    /// Its own addresses; none: Neutron chooses one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_ips: Option<Vec<FixedIp>>,
    /// The ids of its security groups; none: the project's default group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// What it may send from besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free text that says what it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_owner: Option<String>,
    /// What it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Its MAC (needs the network's owner).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Whether Neutron guards it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_security_enabled: Option<bool>,
    /// Whether it is switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_state_up: Option<bool>,
    /// `normal`, `direct`.
    #[serde(rename = "binding:vnic_type", skip_serializing_if = "Option::is_none")]
    pub vnic_type: Option<String>,
    /// Tags at creation, where the cloud has the extension `tag-ports-during-bulk-creation`; else
    /// [`set_tags`](super::NetworkApi::set_tags) afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Anything else, by its API name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Changes to a port. What is none stays; lists replace the whole list.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PortUpdate {
    /// Its own addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_ips: Option<Vec<FixedIp>>,
    /// The ids of its security groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// What it may send from besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free text that says what it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_owner: Option<String>,
    /// What it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Whether Neutron guards it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_security_enabled: Option<bool>,
    /// Whether it is switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_state_up: Option<bool>,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SecurityGroup {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Its owner.
    pub project_id: Option<String>,
    /// Its rules (not in a listing with `fields` that leave them out).
    pub security_group_rules: Vec<SecurityGroupRule>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A rule: what may pass.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SecurityGroupRule {
    /// UUID.
    pub id: String,
    /// Its group.
    pub security_group_id: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` or `IPv6`.
    pub ethertype: String,
    /// `tcp`, `vrrp`, `112`; none: any.
    pub protocol: Option<String>,
    /// First port, or ICMP type.
    pub port_range_min: Option<u32>,
    /// Last port, or ICMP code.
    pub port_range_max: Option<u32>,
    /// The other end, as CIDR.
    pub remote_ip_prefix: Option<String>,
    /// The other end, as the members of a group.
    pub remote_group_id: Option<String>,
    /// Free text.
    pub description: Option<String>,
}

/// A rule to be added.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SecurityGroupRuleCreate {
    /// Its group.
    pub security_group_id: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` (Neutron's default) or `IPv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ethertype: Option<String>,
    /// `tcp`, `vrrp`, `112`; none: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// First port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range_min: Option<u32>,
    /// Last port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range_max: Option<u32>,
    /// The other end, as CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip_prefix: Option<String>,
    /// The other end, as the members of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_group_id: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A floating IP.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FloatingIp {
    /// UUID.
    pub id: String,
    /// The address seen from outside.
    pub floating_ip_address: String,
    /// Where it comes from.
    pub floating_network_id: String,
    /// The address it is translated to.
    pub fixed_ip_address: Option<String>,
    /// The port it points at.
    pub port_id: Option<String>,
    /// The router that translates.
    pub router_id: Option<String>,
    /// `ACTIVE`, `DOWN`.
    pub status: String,
    /// Its owner.
    pub project_id: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A floating IP to be allocated.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FloatingIpCreate {
    /// The external network.
    pub floating_network_id: String,
    /// A certain address (needs the permission).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floating_ip_address: Option<String>,
    /// The port it shall point at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_id: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A router.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Router {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// `ACTIVE`.
    pub status: String,
    /// Whether it is distributed (DVR); shown to administrators.
    pub distributed: Option<bool>,
    /// Whether it is highly available; shown to administrators.
    pub ha: Option<bool>,
    /// Its owner.
    pub project_id: Option<String>,
}

/// Something the cloud's Neutron can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extension {
    /// `allowed-address-pairs`.
    pub alias: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
}

/// How much of a resource is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct QuotaUse {
    /// -1: unlimited.
    pub limit: i64,
    /// In use.
    pub used: i64,
    /// Held by requests under way.
    pub reserved: i64,
}

/// What has tags in Neutron.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// A port.
    Port,
    /// A network.
    Network,
    /// A subnet.
    Subnet,
    /// A security group.
    SecurityGroup,
    /// A floating IP.
    FloatingIp,
}

impl Tagged {
    pub(crate) fn collection(self) -> &'static str {
        match self {
            Self::Port => "ports",
            Self::Network => "networks",
            Self::Subnet => "subnets",
            Self::SecurityGroup => "security-groups",
            Self::FloatingIp => "floatingips",
        }
    }
}
