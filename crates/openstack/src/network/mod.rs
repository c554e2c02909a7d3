//! Neutron: networks, subnets, ports, security groups, floating IPs, quotas, extensions.

mod types;

pub use types::*;

use std::collections::BTreeMap;

use serde_json::json;

use crate::client::Client;
use crate::error::{Deletion, Result};
use crate::query::{Query, encode};
use crate::request::{Method, Repeat, Request};
use crate::service::Service;

/// Neutron's calls: [`Client::network`].
#[derive(Debug, Clone, Copy)]
pub struct NetworkApi<'a> {
    pub(crate) client: &'a Client,
}

const NEUTRON: Service = Service::Network;

impl NetworkApi<'_> {
    // Networks and subnets.

    /// Networks that match.
    pub fn networks(&self, query: &Query) -> Result<Vec<Network>> {
        self.client.list(NEUTRON, "/networks", "networks", query)
    }

    /// One network.
    pub fn network(&self, id: &str) -> Result<Network> {
        self.client.get(NEUTRON, format!("/networks/{}", encode(id)), "network")
    }

    /// Makes a network. Neutron does not keep names unique: see [`Client::create_or_find`].
    pub fn create_network(&self, network: &NetworkCreate) -> Result<Network> {
        self.client.create(NEUTRON, "/networks", "network", network)
    }

    /// Removes a network.
    pub fn delete_network(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/networks/{}", encode(id)))
    }

    /// Subnets that match.
    pub fn subnets(&self, query: &Query) -> Result<Vec<Subnet>> {
        self.client.list(NEUTRON, "/subnets", "subnets", query)
    }

    /// One subnet.
    pub fn subnet(&self, id: &str) -> Result<Subnet> {
        self.client.get(NEUTRON, format!("/subnets/{}", encode(id)), "subnet")
    }

    /// Makes a subnet.
    pub fn create_subnet(&self, subnet: &SubnetCreate) -> Result<Subnet> {
        self.client.create(NEUTRON, "/subnets", "subnet", subnet)
    }

    /// Removes a subnet.
    pub fn delete_subnet(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/subnets/{}", encode(id)))
    }

    // Ports.

    /// Ports that match. `allowed_address_pairs` is no filter key in Neutron: filter those yourself.
    pub fn ports(&self, query: &Query) -> Result<Vec<Port>> {
        self.client.list(NEUTRON, "/ports", "ports", query)
    }

    /// One port.
    pub fn port(&self, id: &str) -> Result<Port> {
        self.client.get(NEUTRON, format!("/ports/{}", encode(id)), "port")
    }

    /// Makes a port.
    pub fn create_port(&self, port: &PortCreate) -> Result<Port> {
        self.client.create(NEUTRON, "/ports", "port", port)
    }

    /// Changes a port; lists are replaced whole. With `revision` the change fails with a 412 (kind `Conflict`)
    /// if somebody changed the port since it was read.
    pub fn update_port(&self, id: &str, port: &PortUpdate, revision: Option<u64>) -> Result<Port> {
        let mut request = Request::new(NEUTRON, Method::Put, format!("/ports/{}", encode(id)));
        if let Some(revision) = revision {
            // A repeated conditional change would fail on its own success.
            request = request
                .header("If-Match", format!("revision_number={revision}"))
                .repeat(Repeat::OnlyIfUndelivered);
        }
        self.client.send_object(request, "port", port)
    }

    /// Removes a port.
    pub fn delete_port(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/ports/{}", encode(id)))
    }

    // Tags, of any resource that has them.

    /// Replaces all tags of a resource.
    pub fn set_tags(&self, of: Tagged, id: &str, tags: &[&str]) -> Result<()> {
        let request = Request::new(NEUTRON, Method::Put, format!("/{}/{}/tags", of.collection(), encode(id)))
            .json(&json!({ "tags": tags }))?;
        self.client.send(request).map(drop)
    }

    /// Adds one tag, leaving the others.
    pub fn add_tag(&self, of: Tagged, id: &str, tag: &str) -> Result<()> {
        let path = format!("/{}/{}/tags/{}", of.collection(), encode(id), encode(tag));
        self.client.send(Request::new(NEUTRON, Method::Put, path)).map(drop)
    }

    /// Removes one tag. Neutron cannot find one with a slash in it this way.
    pub fn remove_tag(&self, of: Tagged, id: &str, tag: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/{}/{}/tags/{}", of.collection(), encode(id), encode(tag)))
    }

    // Security groups.

    /// Security groups that match.
    pub fn security_groups(&self, query: &Query) -> Result<Vec<SecurityGroup>> {
        self.client.list(NEUTRON, "/security-groups", "security_groups", query)
    }

    /// One security group with its rules.
    pub fn security_group(&self, id: &str) -> Result<SecurityGroup> {
        self.client.get(NEUTRON, format!("/security-groups/{}", encode(id)), "security_group")
    }

    /// Makes a security group; Neutron adds the two egress rules.
    pub fn create_security_group(&self, name: &str, description: &str) -> Result<SecurityGroup> {
        let group = json!({ "name": name, "description": description });
        self.client.create(NEUTRON, "/security-groups", "security_group", &group)
    }

    /// Removes a security group; a conflict while a port uses it.
    pub fn delete_security_group(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/security-groups/{}", encode(id)))
    }

    /// Rules that match.
    pub fn security_group_rules(&self, query: &Query) -> Result<Vec<SecurityGroupRule>> {
        self.client.list(NEUTRON, "/security-group-rules", "security_group_rules", query)
    }

    /// Adds a rule; a conflict (`SecurityGroupRuleExists`) if there is one like it, so that repeating is safe.
    pub fn create_security_group_rule(&self, rule: &SecurityGroupRuleCreate) -> Result<SecurityGroupRule> {
        self.client.create(NEUTRON, "/security-group-rules", "security_group_rule", rule)
    }

    /// Removes a rule.
    pub fn delete_security_group_rule(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/security-group-rules/{}", encode(id)))
    }

    // Floating IPs.

    /// Floating IPs that match.
    pub fn floating_ips(&self, query: &Query) -> Result<Vec<FloatingIp>> {
        self.client.list(NEUTRON, "/floatingips", "floatingips", query)
    }

    /// One floating IP.
    pub fn floating_ip(&self, id: &str) -> Result<FloatingIp> {
        self.client.get(NEUTRON, format!("/floatingips/{}", encode(id)), "floatingip")
    }

    /// Allocates a floating IP.
    pub fn create_floating_ip(&self, floating_ip: &FloatingIpCreate) -> Result<FloatingIp> {
        self.client.create(NEUTRON, "/floatingips", "floatingip", floating_ip)
    }

    /// Points a floating IP at a port, or at nothing.
    pub fn associate_floating_ip(&self, id: &str, port_id: Option<&str>) -> Result<FloatingIp> {
        let request = Request::new(NEUTRON, Method::Put, format!("/floatingips/{}", encode(id)));
        self.client.send_object(request, "floatingip", &json!({ "port_id": port_id }))
    }

    /// Gives a floating IP back.
    pub fn delete_floating_ip(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NEUTRON, format!("/floatingips/{}", encode(id)))
    }

    // Routers, as far as a network of ours needs them.

    /// Routers that match.
    pub fn routers(&self, query: &Query) -> Result<Vec<Router>> {
        self.client.list(NEUTRON, "/routers", "routers", query)
    }

    // What the cloud can do and allows.

    /// All extensions.
    pub fn extensions(&self) -> Result<Vec<Extension>> {
        self.client.list(NEUTRON, "/extensions", "extensions", &Query::new())
    }

    /// One extension by its alias, as `allowed-address-pairs`; a 404 if the cloud has it not.
    pub fn extension(&self, alias: &str) -> Result<Extension> {
        self.client.get(NEUTRON, format!("/extensions/{}", encode(alias)), "extension")
    }

    /// Limits and use per resource (`port`, `floatingip`, `security_group`), of this token's project.
    pub fn quota(&self) -> Result<BTreeMap<String, QuotaUse>> {
        let project = self.client.session()?.project_id.clone().unwrap_or_default();
        self.client.get(NEUTRON, format!("/quotas/{}/details.json", encode(&project)), "quota")
    }
}
