//! Nova: flavors, servers and what hangs on them, key pairs, server groups, availability zones.

mod types;

pub use types::*;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{Deletion, Result};
use crate::query::{Query, encode};
use crate::request::{Method, Repeat, Request};
use crate::secret::Secret;
use crate::service::Service;

/// Nova's calls: [`Client::compute`]. The microversion is 2.1 unless a method says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct ComputeApi<'a> {
    pub(crate) client: &'a Client,
}

const NOVA: Service = Service::Compute;

/// Server groups with soft policies.
const SOFT_POLICIES: &str = "2.15";

fn server_path(id: &str) -> String {
    format!("/servers/{}", encode(id))
}

impl ComputeApi<'_> {
    // Flavors.

    /// All flavors with their sizes.
    pub fn flavors(&self) -> Result<Vec<Flavor>> {
        self.client.list(NOVA, "/flavors/detail", "flavors", &Query::new())
    }

    /// One flavor by its id.
    pub fn flavor(&self, id: &str) -> Result<Flavor> {
        self.client.get(NOVA, format!("/flavors/{}", encode(id)), "flavor")
    }

    // Servers.

    /// Servers that match, in full. `name` is a regular expression in Nova: `^vm-1$`.
    pub fn servers(&self, query: &Query) -> Result<Vec<Server>> {
        self.client.list(NOVA, "/servers/detail", "servers", query)
    }

    /// Servers with exactly this name.
    pub fn servers_named(&self, name: &str) -> Result<Vec<Server>> {
        let query = Query::new().filter("name", format!("^{}$", escape_regex(name)));
        let mut servers = self.servers(&query)?;
        servers.retain(|server| server.name == name);
        Ok(servers)
    }

    /// One server.
    pub fn server(&self, id: &str) -> Result<Server> {
        self.client.get(NOVA, server_path(id), "server")
    }

    /// Asks for a server; it is `BUILD` at first. Names are not unique: use a name of your own making and
    /// [`Client::create_or_find`] with [`servers_named`](Self::servers_named).
    pub fn create_server(&self, server: &ServerCreate) -> Result<ServerCreated> {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            server: &'a ServerCreate,
            #[serde(rename = "os:scheduler_hints", skip_serializing_if = "Option::is_none")]
            hints: &'a Option<serde_json::Map<String, Value>>,
        }
        let mut request =
            Request::new(NOVA, Method::Post, "/servers").hide(&server.user_data).hide(&server.admin_pass);
        if let Some(version) = server.microversion {
            request = request.microversion(version);
        }
        let request = request.json(&Body { server, hints: &server.scheduler_hints })?;
        self.client.object(request, "server")
    }

    /// Gives a server another name.
    pub fn rename_server(&self, id: &str, name: &str) -> Result<Server> {
        let request = Request::new(NOVA, Method::Put, server_path(id));
        self.client.send_object(request, "server", &json!({ "name": name }))
    }

    /// Asks for a server's removal; it is gone when [`server`](Self::server) answers 404.
    pub fn delete_server(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NOVA, server_path(id))
    }

    /// Restarts a server; a conflict in a state that does not allow it.
    pub fn reboot_server(&self, id: &str, how: Reboot) -> Result<()> {
        let how = match how {
            Reboot::Soft => "SOFT",
            Reboot::Hard => "HARD",
        };
        self.server_action(id, &json!({ "reboot": { "type": how } })).map(drop)
    }

    /// Switches a server off.
    pub fn stop_server(&self, id: &str) -> Result<()> {
        self.server_action(id, &json!({ "os-stop": null })).map(drop)
    }

    /// Switches a server on.
    pub fn start_server(&self, id: &str) -> Result<()> {
        self.server_action(id, &json!({ "os-start": null })).map(drop)
    }

    /// Any other action; the answer's bytes may be empty.
    pub fn server_action(&self, id: &str, action: &Value) -> Result<Vec<u8>> {
        let request = Request::new(NOVA, Method::Post, format!("{}/action", server_path(id))).json(action)?;
        Ok(self.client.send(request)?.body)
    }

    // Metadata.

    /// All metadata of a server.
    pub fn server_metadata(&self, id: &str) -> Result<BTreeMap<String, String>> {
        self.client.get(NOVA, format!("{}/metadata", server_path(id)), "metadata")
    }

    /// One item; a 404 if there is none.
    pub fn server_metadata_item(&self, id: &str, key: &str) -> Result<String> {
        let path = format!("{}/metadata/{}", server_path(id), encode(key));
        let item: BTreeMap<String, String> = self.client.get(NOVA, path, "meta")?;
        Ok(item.into_values().next().unwrap_or_default())
    }

    /// Sets these items and leaves the others. Keys and values have 255 characters at most.
    pub fn set_server_metadata(&self, id: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
        let request = Request::new(NOVA, Method::Post, format!("{}/metadata", server_path(id)))
            .repeat(Repeat::Safe)
            .json(&json!({ "metadata": metadata }))?;
        self.client.send(request).map(drop)
    }

    /// Removes one item.
    pub fn delete_server_metadata(&self, id: &str, key: &str) -> Result<Deletion> {
        self.client.delete(NOVA, format!("{}/metadata/{}", server_path(id), encode(key)))
    }

    // Volumes and interfaces of a server.

    /// The volumes of a server, with the devices that Nova gave them.
    pub fn volume_attachments(&self, server_id: &str) -> Result<Vec<VolumeAttachment>> {
        let path = format!("{}/os-volume_attachments", server_path(server_id));
        self.client.list(NOVA, path, "volumeAttachments", &Query::new())
    }

    /// Attaches a volume; without a device Nova chooses. A volume can be attached once, so that after an
    /// ambiguous failure [`volume_attachments`](Self::volume_attachments) tells.
    pub fn attach_volume(
        &self,
        server_id: &str,
        volume_id: &str,
        device: Option<&str>,
    ) -> Result<VolumeAttachment> {
        let mut attachment = json!({ "volumeId": volume_id });
        if let Some(device) = device {
            attachment["device"] = json!(device);
        }
        let path = format!("{}/os-volume_attachments", server_path(server_id));
        self.client.create(NOVA, path, "volumeAttachment", &attachment)
    }

    /// Detaches a volume; Cinder shows it `available` when that is done.
    pub fn detach_volume(&self, server_id: &str, volume_id: &str) -> Result<Deletion> {
        let path = format!("{}/os-volume_attachments/{}", server_path(server_id), encode(volume_id));
        self.client.delete(NOVA, path)
    }

    /// The ports of a server, as Nova knows them.
    pub fn interfaces(&self, server_id: &str) -> Result<Vec<InterfaceAttachment>> {
        let path = format!("{}/os-interface", server_path(server_id));
        self.client.list(NOVA, path, "interfaceAttachments", &Query::new())
    }

    // Key pairs.

    /// The user's key pairs.
    pub fn keypairs(&self) -> Result<Vec<Keypair>> {
        #[derive(Deserialize)]
        struct Entry {
            keypair: Keypair,
        }
        let entries: Vec<Entry> = self.client.list(NOVA, "/os-keypairs", "keypairs", &Query::new())?;
        Ok(entries.into_iter().map(|entry| entry.keypair).collect())
    }

    /// One key pair by its name.
    pub fn keypair(&self, name: &str) -> Result<Keypair> {
        self.client.get(NOVA, format!("/os-keypairs/{}", encode(name)), "keypair")
    }

    /// Hands a public key to Nova.
    pub fn import_keypair(&self, name: &str, public_key: &str) -> Result<Keypair> {
        let keypair = json!({ "name": name, "public_key": public_key });
        self.client.create(NOVA, "/os-keypairs", "keypair", &keypair)
    }

    /// Removes a key pair.
    pub fn delete_keypair(&self, name: &str) -> Result<Deletion> {
        self.client.delete(NOVA, format!("/os-keypairs/{}", encode(name)))
    }

    // Server groups (microversion 2.15).

    /// The project's server groups.
    pub fn server_groups(&self) -> Result<Vec<ServerGroup>> {
        let request = Request::new(NOVA, Method::Get, "/os-server-groups").microversion(SOFT_POLICIES);
        self.client.object(request, "server_groups")
    }

    /// One server group.
    pub fn server_group(&self, id: &str) -> Result<ServerGroup> {
        let request = Request::new(NOVA, Method::Get, format!("/os-server-groups/{}", encode(id)))
            .microversion(SOFT_POLICIES);
        self.client.object(request, "server_group")
    }

    /// Makes a server group. Policies: `anti-affinity`, `soft-anti-affinity`, `affinity`, `soft-affinity`.
    pub fn create_server_group(&self, name: &str, policy: &str) -> Result<ServerGroup> {
        let request = Request::new(NOVA, Method::Post, "/os-server-groups").microversion(SOFT_POLICIES);
        self.client.send_object(request, "server_group", &json!({ "name": name, "policies": [policy] }))
    }

    /// Removes a server group.
    pub fn delete_server_group(&self, id: &str) -> Result<Deletion> {
        self.client.delete(NOVA, format!("/os-server-groups/{}", encode(id)))
    }

    /// The availability zones for servers.
    pub fn availability_zones(&self) -> Result<Vec<AvailabilityZone>> {
        self.client.get(NOVA, "/os-availability-zone", "availabilityZoneInfo")
    }

    /// The last lines of a server's console; none where the hypervisor has none.
    pub fn console_output(&self, id: &str, lines: u32) -> Result<Secret> {
        #[derive(Deserialize)]
        struct Output {
            #[serde(default)]
            output: Secret,
        }
        let request = Request::new(NOVA, Method::Post, format!("{}/action", server_path(id)))
            .repeat(Repeat::Safe)
            .json(&json!({ "os-getConsoleOutput": { "length": lines } }))?;
        let output: Output = self.client.decoded(request)?;
        Ok(output.output)
    }
}

/// Escapes what the database's regular expressions would read otherwise.
fn escape_regex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_searched_literally() {
        assert_eq!(escape_regex("vm-1.a(b)"), r"vm-1\.a\(b\)");
    }
}
