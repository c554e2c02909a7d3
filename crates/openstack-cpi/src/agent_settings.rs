//! What the agent in the VM reads: the server's user data, or the registry for API version 1.

use serde_json::{Map, Value, json};

/// Device of the ephemeral disk; the agent finds out what the kernel calls it.
const EPHEMERAL_DEVICE: &str = "/dev/sdb";

/// Everything that the settings are made of.
#[derive(Debug)]
pub struct AgentSettings<'a> {
    /// The unique name of the server, `vm-<uuid>`.
    pub vm_name: &'a str,
    /// The agent's id.
    pub agent_id: &'a str,
    /// The networks of the request, with `mac` and `use_dhcp`: see [`networks_for_agent`].
    pub networks: &'a Map<String, Value>,
    /// The environment of the request.
    pub env: Option<&'a Value>,
    /// Whether the flavor has an ephemeral disk.
    pub has_ephemeral: bool,
    /// `mbus`, `ntp` and the like from the configuration.
    pub agent: &'a Map<String, Value>,
}

impl AgentSettings<'_> {
    /// The settings in the registry.
    pub fn for_registry(&self) -> Value {
        let mut settings = Map::new();
        settings.insert("vm".to_owned(), json!({"name": self.vm_name}));
        settings.insert("agent_id".to_owned(), json!(self.agent_id));
        settings.insert("networks".to_owned(), Value::Object(self.networks.clone()));
        let ephemeral = self.has_ephemeral.then_some(EPHEMERAL_DEVICE);
        settings.insert(
            "disks".to_owned(),
            json!({"system": "/dev/sda", "persistent": {}, "ephemeral": ephemeral}),
        );
        if let Some(env) = self.env.filter(|env| !env.is_null()) {
            settings.insert("env".to_owned(), env.clone());
        }
        for (key, value) in self.agent {
            settings.insert(key.clone(), value.clone());
        }
        Value::Object(settings)
    }

    /// The user data of a server whose agent needs no registry: all of the settings.
    pub fn user_data(&self) -> Value {
        let mut data = Map::new();
        data.insert("server".to_owned(), json!({"name": self.vm_name}));
        data.insert("networks".to_owned(), Value::Object(self.networks.clone()));
        insert_dns(&mut data, self.networks);
        if let Value::Object(settings) = self.for_registry() {
            data.extend(settings);
        }
        Value::Object(data)
    }

    /// The user data of a server whose agent asks the registry.
    pub fn user_data_with_registry(&self, endpoint: &str) -> Value {
        let mut data = Map::new();
        data.insert("registry".to_owned(), json!({"endpoint": endpoint}));
        data.insert("server".to_owned(), json!({"name": self.vm_name}));
        data.insert("networks".to_owned(), Value::Object(self.networks.clone()));
        insert_dns(&mut data, self.networks);
        Value::Object(data)
    }
}

/// The networks with what the agent needs: the MAC by which it finds the NIC, and whether to use DHCP.
pub fn networks_for_agent(
    networks: &Map<String, Value>,
    use_dhcp: bool,
    mac_of: impl Fn(&str) -> Option<String>,
) -> Map<String, Value> {
    let mut result = networks.clone();
    for (name, network) in &mut result {
        let Value::Object(network) = network else { continue };
        if network.get("type").and_then(Value::as_str) != Some("vip") {
            network.insert("use_dhcp".to_owned(), Value::Bool(use_dhcp));
        }
        if let Some(mac) = mac_of(name) {
            network.insert("mac".to_owned(), Value::String(mac));
        }
    }
    result
}

/// With several networks the last that names servers wins.
fn insert_dns(data: &mut Map<String, Value>, networks: &Map<String, Value>) {
    let servers = networks.values().filter_map(|network| network.get("dns")).rfind(|dns| !dns.is_null());
    if let Some(servers) = servers {
        data.insert("dns".to_owned(), json!({"nameserver": servers}));
    }
}
