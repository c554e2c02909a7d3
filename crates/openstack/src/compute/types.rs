//! What Nova answers, and what it is asked to make.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::secret::{Secret, expose_in_body};

/// A flavor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Flavor {
    /// Its id.
    pub id: String,
    /// Its name, unique.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// MiB.
    pub ram: u64,
    /// Root disk, GiB; 0: as large as the image, or a volume is needed.
    pub disk: u64,
    /// Ephemeral disk, GiB.
    #[serde(rename = "OS-FLV-EXT-DATA:ephemeral")]
    pub ephemeral: u64,
    /// MiB (Nova writes an empty string for none).
    #[serde(deserialize_with = "number_or_empty")]
    pub swap: u64,
    /// Whether new servers may have it.
    #[serde(rename = "OS-FLV-DISABLED:disabled")]
    pub disabled: bool,
    /// Whether every project sees it.
    #[serde(rename = "os-flavor-access:is_public")]
    pub is_public: bool,
}

fn number_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().unwrap_or(0),
        Value::String(text) => text.parse().unwrap_or(0),
        _ => 0,
    })
}

/// A server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Server {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// `BUILD`, `ACTIVE`, `ERROR`, `SHUTOFF`, `DELETED`.
    pub status: String,
    /// What Nova is doing with it.
    #[serde(rename = "OS-EXT-STS:task_state")]
    pub task_state: Option<String>,
    /// `active`, `building`, `error`.
    #[serde(rename = "OS-EXT-STS:vm_state")]
    pub vm_state: Option<String>,
    /// Why it is in `ERROR`.
    pub fault: Option<ServerFault>,
    /// Its flavor.
    pub flavor: FlavorReference,
    /// Its image; none if it boots from a volume.
    #[serde(deserialize_with = "reference_or_empty")]
    pub image: Option<String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its addresses, by the network's name.
    pub addresses: BTreeMap<String, Vec<ServerAddress>>,
    /// Its key pair.
    pub key_name: Option<String>,
    /// Its availability zone.
    #[serde(rename = "OS-EXT-AZ:availability_zone")]
    pub availability_zone: Option<String>,
    /// A hash of host and project: equal for two servers of a project on one host.
    #[serde(rename = "hostId")]
    pub host_id: String,
    /// The host; shown to administrators.
    #[serde(rename = "OS-EXT-SRV-ATTR:host")]
    pub host: Option<String>,
    /// Its security groups, by name, once per port.
    pub security_groups: Vec<Named>,
    /// Its volumes.
    #[serde(rename = "os-extended-volumes:volumes_attached")]
    pub volumes_attached: Vec<VolumeReference>,
    /// ISO 8601.
    pub created: String,
    /// ISO 8601.
    pub updated: String,
    /// Its project.
    pub tenant_id: String,
}

/// What a server's `image` holds: an object with an id, or an empty string.
fn reference_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.get("id").and_then(Value::as_str).map(str::to_owned))
}

/// Why a server is in `ERROR`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerFault {
    /// As HTTP.
    pub code: u32,
    /// One sentence.
    pub message: String,
    /// A trace, shown to administrators.
    pub details: Option<String>,
}

/// The flavor of a server, as of microversion 2.1 to 2.46.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FlavorReference {
    /// Its id.
    pub id: String,
}

/// The id of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VolumeReference {
    /// Its id.
    pub id: String,
}

/// Something with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// One address of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerAddress {
    /// The address.
    pub addr: String,
    /// 4 or 6.
    pub version: u8,
    /// `fixed` or `floating`.
    #[serde(rename = "OS-EXT-IPS:type")]
    pub kind: String,
    /// The MAC of its port.
    #[serde(rename = "OS-EXT-IPS-MAC:mac_addr")]
    pub mac: String,
}

/// A server to be made. What is none is not sent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServerCreate {
    /// Its name.
    pub name: String,
    /// The id of its flavor.
    #[serde(rename = "flavorRef")]
    pub flavor_ref: String,
    /// The id of its image; none if it boots from a volume.
    #[serde(rename = "imageRef", skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Its disks where they are not the flavor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_device_mapping_v2: Option<Vec<BlockDevice>>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose_in_body")]
    pub user_data: Option<Secret>,
    /// Its key pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// By name or id; only for networks without a port of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<Named>>,
    /// Its networks and ports, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<ServerNetwork>>,
    /// Whether a config drive is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_drive: Option<bool>,
    /// Its metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// The password of its administrator; Nova makes one up otherwise.
    #[serde(
        rename = "adminPass",
        skip_serializing_if = "Option::is_none",
        serialize_with = "expose_in_body"
    )]
    pub admin_pass: Option<Secret>,
    /// Anything else, by its API name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// `os:scheduler_hints`, which stands beside the server in the request.
    #[serde(skip)]
    pub scheduler_hints: Option<Map<String, Value>>,
    /// What `more` needs, as `2.52` for tags.
    #[serde(skip)]
    pub microversion: Option<&'static str>,
}

/// A network of a server to be made: a port, or a network on which Nova makes one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServerNetwork {
    /// The network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// A port made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// An address on that network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_ip: Option<String>,
}

/// A disk of a server to be made. Keys and values are Nova's (`source_type`, `boot_index`); older clients send
/// numbers as strings, and Nova takes both.
pub type BlockDevice = Map<String, Value>;

/// What Nova answers to a request for a server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServerCreated {
    /// UUID.
    pub id: String,
    /// The password it made up.
    #[serde(rename = "adminPass")]
    pub admin_pass: Option<Secret>,
}

/// How a server is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// Its operating system is asked to.
    Soft,
    /// Its power is cut.
    Hard,
}

/// A volume of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VolumeAttachment {
    /// Equal to the volume's id.
    pub id: String,
    /// The server.
    #[serde(rename = "serverId")]
    pub server_id: String,
    /// The volume.
    #[serde(rename = "volumeId")]
    pub volume_id: String,
    /// The device that Nova gave it, as `/dev/vdb`.
    pub device: Option<String>,
}

/// A port of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct InterfaceAttachment {
    /// The port.
    pub port_id: String,
    /// The network.
    pub net_id: String,
    /// Its MAC.
    pub mac_addr: String,
    /// `ACTIVE`, `DOWN`.
    pub port_state: String,
    /// Its addresses.
    pub fixed_ips: Vec<crate::network::FixedIp>,
}

/// A key pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Keypair {
    /// Its name, unique per user.
    pub name: String,
    /// `SHA256:…` or MD5 hex.
    pub fingerprint: String,
    /// `ssh-ed25519 …`.
    pub public_key: String,
}

/// A server group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerGroup {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// `anti-affinity` and the like.
    pub policies: Vec<String>,
    /// The ids of its servers.
    pub members: Vec<String>,
}

/// An availability zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AvailabilityZone {
    /// Its name.
    #[serde(rename = "zoneName")]
    pub name: String,
    /// Whether it takes servers.
    #[serde(rename = "zoneState")]
    pub state: ZoneState,
}

/// Whether a zone takes servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ZoneState {
    /// It does.
    pub available: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_boots_from_a_volume_has_no_image() {
        let server: Server =
            serde_json::from_str(r#"{"id":"a","image":"","fault":{"code":500,"message":"m"}}"#).unwrap();
        assert_eq!(server.image, None);
        let server: Server = serde_json::from_str(r#"{"id":"a","image":{"id":"i","links":[]}}"#).unwrap();
        assert_eq!(server.image.as_deref(), Some("i"));
    }

    #[test]
    fn swap_may_be_an_empty_string() {
        let flavor: Flavor =
            serde_json::from_str(r#"{"name":"f","swap":"","OS-FLV-EXT-DATA:ephemeral":3}"#).unwrap();
        assert_eq!((flavor.swap, flavor.ephemeral), (0, 3));
        let flavor: Flavor = serde_json::from_str(r#"{"swap":512}"#).unwrap();
        assert_eq!(flavor.swap, 512);
    }

    #[test]
    fn user_data_is_in_the_body_and_nowhere_else() {
        let server =
            ServerCreate { name: "vm".into(), user_data: Some("c2VjcmV0".into()), ..ServerCreate::default() };
        assert!(serde_json::to_string(&server).unwrap().contains(r#""user_data":"c2VjcmV0""#));
        assert!(!format!("{server:?}").contains("c2VjcmV0"));
    }
}
