//! `create_network` and `delete_network`: networks that the director makes for subnets with a `name`.

use openstack::Query;
use openstack::network::{NetworkCreate, SubnetCreate};
use serde_json::{Map, Value, json};

use super::Arguments;
use crate::cloud::Cloud;
use crate::error::{CpiError, Result};
use crate::fields::{FieldError, Fields, Read, Warnings};
use crate::network::address::Range;
use crate::undo::Made;
use crate::unique_name;

/// What the director asks for.
struct Definition {
    range: String,
    ip_version: u8,
    gateway: Option<String>,
    dns: Vec<String>,
    name: Option<String>,
    enable_dhcp: Option<bool>,
    port_security_enabled: Option<bool>,
    cloud_properties: Map<String, Value>,
}

impl Definition {
    fn read(value: &Value, warnings: &Warnings) -> Read<Self> {
        let fields = Fields::of("subnet_definition", value, warnings)?;
        fields.has("type");
        fields.has("netmask_bits");
        let range = fields.string("range")?.ok_or_else(|| {
            let by_size = if fields.has("netmask_bits") {
                " (netmask_bits alone needs a subnet pool, which is not supported)"
            } else {
                ""
            };
            fields.error("range", format!("missing key; give the subnet a range like 10.0.0.0/24{by_size}"))
        })?;
        let parsed = Range::parse(&range)
            .filter(|range| range.host().is_none())
            .ok_or_else(|| fields.error("range", format!("'{range}' is no CIDR like 10.0.0.0/24")))?;
        let gateway = fields.string("gateway")?;
        if let Some(gateway) = &gateway {
            let address =
                gateway.parse().map_err(|_| fields.error("gateway", format!("'{gateway}' is no address")))?;
            if !parsed.contains(address) {
                return Err(fields.error("gateway", format!("{gateway} lies outside {range}")));
            }
        }
        let cloud_properties = fields.map("cloud_properties")?.cloned().unwrap_or_default();
        let mut definition = Self {
            range,
            ip_version: if parsed.to_string().contains(':') { 6 } else { 4 },
            gateway,
            dns: fields.strings("dns")?.unwrap_or_default(),
            name: None,
            enable_dhcp: None,
            port_security_enabled: None,
            cloud_properties,
        };
        if let Some(properties) = fields.fields("cloud_properties")? {
            definition.name = properties.string("name")?;
            definition.enable_dhcp = properties.boolean("enable_dhcp")?;
            definition.port_security_enabled = properties.boolean("port_security_enabled")?;
            for key in ["security_groups", "vrrp_port_check", "allowed_address_pairs"] {
                properties.has(key);
            }
            if properties.has("net_id") {
                return Err(FieldError::new(
                    properties.path_of("net_id"),
                    "a network that is to be made has no id yet",
                ));
            }
            properties.finish();
        }
        fields.finish();
        Ok(definition)
    }
}

/// Makes a network with one subnet. The answer: its id, its addresses, and the cloud properties of the subnet.
pub(super) fn create(cloud: &Cloud, arguments: &Arguments<'_>, warnings: &Warnings) -> Result<Value> {
    let definition = Definition::read(arguments.value(0), warnings).map_err(CpiError::argument)?;
    let name = match &definition.name {
        Some(name) => name.clone(),
        None => format!("bosh-{}", unique_name::uuid()?),
    };
    // Names of networks are not unique: the description is.
    let description = format!("made by openstack_cpi: {}", unique_name::uuid()?);
    let request = NetworkCreate {
        name,
        description: Some(description.clone()),
        port_security_enabled: definition.port_security_enabled,
        ..NetworkCreate::default()
    };
    let network = cloud
        .make(
            Made::NetworkDescribed(description.clone()),
            |client| client.network().create_network(&request),
            |client| client.network().networks(&Query::new().filter("description", &description)),
            |network| Made::Network(network.id.clone()),
        )
        .map_err(|error| error.into_cpi_error(cloud))?;
    let subnet = SubnetCreate {
        network_id: network.id.clone(),
        cidr: definition.range.clone(),
        ip_version: definition.ip_version,
        gateway_ip: definition.gateway.clone().map(Some),
        enable_dhcp: definition.enable_dhcp,
        dns_nameservers: definition.dns.clone(),
        ..SubnetCreate::default()
    };
    // It goes with its network, should anything fail.
    let subnet = cloud
        .client
        .create_or_find(
            || cloud.client.network().create_subnet(&subnet),
            || cloud.client.network().subnets(&Query::new().filter("network_id", &network.id)),
        )
        .map_err(|error| cloud.error(&error))?
        .made;
    let mut properties = definition.cloud_properties;
    for key in ["name", "enable_dhcp", "port_security_enabled"] {
        properties.shift_remove(key);
    }
    properties.insert("net_id".into(), json!(network.id));
    let gateway = definition.gateway.or(subnet.gateway_ip);
    let addresses = json!({"range": definition.range, "gateway": gateway, "reserved": []});
    Ok(json!([network.id, addresses, properties]))
}

/// Deletes a network with its subnets; one that is not there is deleted already.
pub(super) fn delete(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "network_cid")?;
    if cloud.ask(|client| client.network().delete_network(id))? == openstack::Deletion::Gone {
        cloud.say(format!("Network `{id}' not found. Skipping."));
    }
    Ok(Value::Null)
}
