//! The networks as the request gives them.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::pairs::{self, PairRequest};
use crate::error::{CpiError, Result};
use crate::fields::{Fields, Read, Warnings};

/// How a network gives addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkType {
    /// The manifest says which.
    Manual,
    /// OpenStack does.
    Dynamic,
    /// A floating IP on top of another network's port.
    Vip,
}

/// One network of the request.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// Its name in the manifest.
    pub name: String,
    /// How it gives addresses.
    pub network_type: NetworkType,
    /// The address of a manual network, or the floating IP of a vip network.
    pub ip: Option<IpAddr>,
    /// Neutron's id of the network.
    pub net_id: Option<String>,
    /// Security groups of the network.
    pub security_groups: Vec<String>,
    /// Whether reserved ports of pairs are checked.
    pub vrrp_port_check: Option<bool>,
    /// Pairs that are for this network.
    pub allowed_address_pairs: Vec<PairRequest>,
    /// Whether `default` (or, as old directors wrote, `defaults`) includes the gateway.
    pub is_gateway_default: bool,
    /// Networks of one group share a NIC.
    pub nic_group: Option<String>,
}

impl NetworkSpec {
    /// Reads every network, in the order of the request.
    pub fn read_all(networks: &Map<String, Value>, warnings: &Warnings) -> Result<Vec<Self>> {
        networks.iter().map(|(name, value)| Self::read(name, value, warnings)).collect()
    }

    fn read(name: &str, value: &Value, warnings: &Warnings) -> Result<Self> {
        let path = format!("networks.{name}");
        let fields = Fields::of(path, value, warnings).map_err(CpiError::argument)?;
        let network_type = match fields.string("type").map_err(CpiError::argument)?.as_deref() {
            None | Some("manual") => NetworkType::Manual,
            Some("dynamic") => NetworkType::Dynamic,
            Some("vip") => NetworkType::Vip,
            Some(other) => {
                return Err(CpiError::cloud(format!(
                    "Invalid network type `{other}': OpenStack CPI can only handle `dynamic', 'manual' or `vip' \
                     network types"
                )));
            }
        };
        Self::read_typed(name, network_type, &fields).map_err(|error| {
            // Ruby had a text of its own for this one.
            if error.path.ends_with(".security_groups") && !error.path.ends_with(']') {
                CpiError::argument(format_args!("security groups must be an Array; see {}", error.path))
            } else {
                CpiError::argument(error)
            }
        })
    }

    fn read_typed(name: &str, network_type: NetworkType, fields: &Fields<'_>) -> Read<Self> {
        let ip = match fields.string("ip")? {
            None => None,
            Some(text) if network_type == NetworkType::Dynamic && text.is_empty() => None,
            Some(text) => Some(text.parse().map_err(|_| {
                fields.error(
                    "ip",
                    format!("'{text}' is no IPv4 or IPv6 address; see the network's subnet in the manifest"),
                )
            })?),
        };
        if network_type == NetworkType::Manual && ip.is_none() {
            return Err(fields.error("ip", "missing key; a manual network gives its VM an address"));
        }
        let mut spec = Self {
            name: name.to_owned(),
            network_type,
            ip,
            net_id: None,
            security_groups: Vec::new(),
            vrrp_port_check: None,
            allowed_address_pairs: Vec::new(),
            is_gateway_default: names_gateway(fields.value("default"))
                || names_gateway(fields.value("defaults")),
            nic_group: fields.value("nic_group").map(|group| match group {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
        };
        if let Some(properties) = fields.fields("cloud_properties")? {
            spec.net_id = properties.string("net_id")?;
            spec.security_groups = properties.strings("security_groups")?.unwrap_or_default();
            spec.vrrp_port_check = properties.boolean("vrrp_port_check")?;
            if let Some(value) = properties.value("allowed_address_pairs") {
                let path = properties.path_of("allowed_address_pairs");
                spec.allowed_address_pairs = pairs::read(&path, value, properties.warnings())?;
                for pair in &mut spec.allowed_address_pairs {
                    pair.is_plain_string = false;
                    if pair.network.as_deref().is_some_and(|network| network != name) {
                        return Err(properties.error(
                            "allowed_address_pairs",
                            format!(
                                "network '{}' is another one; the pairs here are for '{name}'",
                                pair.network.as_deref().unwrap_or_default()
                            ),
                        ));
                    }
                    pair.network = Some(name.to_owned());
                }
            }
            properties.finish();
        }
        // The other keys are for the agent: they travel through, whatever they are.
        Ok(spec)
    }
}

fn names_gateway(defaults: Option<&Value>) -> bool {
    match defaults {
        Some(Value::Array(list)) => list.iter().any(|item| item == "gateway"),
        Some(Value::String(text)) => text == "gateway",
        _ => false,
    }
}
