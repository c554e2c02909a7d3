//! Stages two and three of one try in one availability zone: ports, then the server; then, when it is up, what
//! points at it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openstack::compute::{Named, Server, ServerCreate, ServerNetwork};
use openstack::network::Port;
use openstack::{Error, ErrorKind, Query, Secret};
use serde_json::{Map, Value, json};

use super::Wanted;
use super::look_up::Found;
use crate::agent_settings::{AgentSettings, networks_for_agent};
use crate::cloud::{Cloud, MakeError};
use crate::error::{CpiError, Result};
use crate::load_balancer::{self, Membership, cannot_attach};
use crate::methods::join;
use crate::methods::vm::{REGISTRY_KEY, wait_until_active};
use crate::ports;
use crate::registry::RegistryClient;
use crate::undo::Made;

/// One try.
pub(super) struct Attempt<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) found: &'a Found,
    pub(super) name: &'a str,
    pub(super) zone: Option<&'a str>,
}

/// What it made.
pub(super) struct MadeVm {
    pub(super) server_id: String,
    /// The ports in the order of the NICs; none where Nova makes it.
    ports: Vec<Option<Port>>,
}

impl MadeVm {
    /// The MAC of the NIC that a network of the manifest has.
    pub(super) fn mac_of(&self, wanted: &Wanted<'_>, network: &str) -> Option<String> {
        mac_of(&self.ports, wanted, network)
    }
}

fn mac_of(ports: &[Option<Port>], wanted: &Wanted<'_>, network: &str) -> Option<String> {
    let index = wanted.plan.nics.iter().position(|nic| nic.names.iter().any(|name| name == network))?;
    ports.get(index)?.as_ref().map(|port| port.mac_address.clone())
}

impl Attempt<'_> {
    pub(super) fn run(&self) -> Result<MadeVm> {
        let ports = self.make_ports()?;
        let server_id = self.make_server(&ports)?;
        self.wait(&server_id, &ports)?;
        self.finish(&server_id, &ports)?;
        Ok(MadeVm { server_id, ports })
    }

    fn make_ports(&self) -> Result<Vec<Option<Port>>> {
        let groups: Option<Vec<String>> = self
            .found
            .security_groups
            .as_ref()
            .map(|groups| groups.iter().map(|group| group.id.clone()).collect());
        let groups = groups.as_deref();
        std::thread::scope(|scope| {
            let making: Vec<_> = self
                .wanted
                .plan
                .nics
                .iter()
                .map(|nic| {
                    nic.needs_port()
                        .then(|| scope.spawn(move || ports::create(self.cloud, nic, self.name, groups)))
                })
                .collect();
            // All are waited for, so that every port is on the undo list before any error goes up.
            let made: Vec<Result<Option<Port>>> =
                making.into_iter().map(|handle| handle.map(join).transpose()).collect();
            made.into_iter().collect()
        })
    }

    fn make_server(&self, ports: &[Option<Port>]) -> Result<String> {
        let request = self.server_request(ports)?;
        let made = self.cloud.make(
            Made::ServerNamed(self.name.to_owned()),
            |client| client.compute().create_server(&request).map(|server| server.id),
            |client| {
                let servers = client.compute().servers_named(self.name)?;
                Ok(servers.into_iter().map(|server| server.id).collect())
            },
            |id| Made::Server(id.clone()),
        );
        match made {
            Ok(id) => {
                self.cloud.say(format!("Creating new server `{id}'..."));
                Ok(id)
            }
            Err(MakeError::Call(error)) => Err(error),
            Err(MakeError::Request(error)) => Err(self.refused(&error)),
        }
    }

    fn server_request(&self, ports: &[Option<Port>]) -> Result<ServerCreate> {
        let (config, found) = (&self.cloud.config, self.found);
        let networks: Vec<ServerNetwork> = self
            .wanted
            .plan
            .nics
            .iter()
            .zip(ports)
            .filter(|(nic, port)| nic.net_id.is_some() || port.is_some())
            .map(|(nic, port)| ServerNetwork {
                uuid: nic.net_id.clone(),
                port: port.as_ref().map(|port| port.id.clone()),
                fixed_ip: None,
            })
            .collect();
        let registry_key = BTreeMap::from([(REGISTRY_KEY.to_owned(), self.name.to_owned())]);
        Ok(ServerCreate {
            name: self.name.to_owned(),
            flavor_ref: found.flavor.id.clone(),
            image_ref: found.boot_volume_gib.is_none().then(|| found.image_id.clone()),
            block_device_mapping_v2: found
                .boot_volume_gib
                .map(|size| vec![boot_volume(&found.image_id, size)]),
            availability_zone: self.zone.map(str::to_owned),
            user_data: Some(self.user_data(ports)?),
            key_name: Some(found.key_name.clone()),
            security_groups: found
                .security_groups
                .as_ref()
                .map(|groups| groups.iter().map(|group| Named { name: group.name.clone() }).collect()),
            networks: (!networks.is_empty()).then_some(networks),
            config_drive: config.config_drive.map(|_| true),
            metadata: config.human_readable_vm_names.then_some(registry_key),
            scheduler_hints: self.wanted.properties.scheduler_hints.clone(),
            ..ServerCreate::default()
        })
    }

    fn networks(&self, ports: &[Option<Port>]) -> Map<String, Value> {
        networks_for_agent(self.wanted.networks, self.cloud.config.use_dhcp, |network| {
            mac_of(ports, self.wanted, network)
        })
    }

    fn with_settings<T>(&self, ports: &[Option<Port>], use_them: impl FnOnce(AgentSettings<'_>) -> T) -> T {
        let networks = self.networks(ports);
        use_them(AgentSettings {
            vm_name: self.name,
            agent_id: self.wanted.agent_id,
            networks: &networks,
            env: self.wanted.env,
            has_ephemeral: self.found.flavor.ephemeral > 0,
            agent: &self.cloud.config.agent,
        })
    }

    fn user_data(&self, ports: &[Option<Port>]) -> Result<Secret> {
        let cloud = self.cloud;
        let data = if cloud.is_registry_less() {
            self.with_settings(ports, |settings| settings.user_data())
        } else {
            let registry = cloud.config.required_registry(cloud.api_version, cloud.stemcell_api_version)?;
            self.with_settings(ports, |settings| settings.user_data_with_registry(&registry.endpoint))
        };
        Ok(Secret::new(STANDARD.encode(data.to_string())))
    }

    /// What Nova's refusal means.
    fn refused(&self, error: &Error) -> CpiError {
        let (cloud, name) = (self.cloud, self.name);
        let message = error.message();
        if error.kind() == ErrorKind::Timeout {
            return CpiError::vm_creation_failed(
                false,
                format!(
                    "VM creation with name '{name}' received a timeout. The VM might still have been created by \
                     OpenStack.\nOriginal message: {error}"
                ),
            );
        }
        if matches!(error.kind(), ErrorKind::BadRequest | ErrorKind::NotFound) {
            let missing = self.missing_networks();
            if !missing.is_empty() {
                return CpiError::vm_creation_failed(
                    false,
                    format!(
                        "VM creation with name '{name}' failed. Following network IDs are not existing or not \
                         accessible from this project: '{}'. Make sure you do not use subnet IDs",
                        missing.join(",")
                    ),
                );
            }
            if message.contains("key_name") || message.to_lowercase().contains("keypair") {
                return CpiError::cloud(format!("Key-pair `{}' not found", self.found.key_name));
            }
        }
        if message.contains("Quota exceeded, too many servers in group") {
            return CpiError::cloud(format!(
                "You have reached your quota for members in a server group: use another group in scheduler_hints, or \
                 have the quota raised.\n{}",
                cloud.error(error).message
            ));
        }
        cloud.error(error)
    }

    fn missing_networks(&self) -> Vec<&str> {
        let is_missing =
            |id: &&str| matches!(self.cloud.find(|client| client.network().network(id)), Ok(None));
        self.wanted.plan.nics.iter().filter_map(|nic| nic.net_id.as_deref()).filter(is_missing).collect()
    }

    /// Waits for the server; its ports are marked meanwhile.
    fn wait(&self, server_id: &str, ports: &[Option<Port>]) -> Result<()> {
        std::thread::scope(|scope| {
            for port in ports.iter().flatten() {
                scope.spawn(|| ports::tag(self.cloud, &port.id, server_id));
            }
            self.retriable(wait_until_active(self.cloud, server_id))
        })
    }

    /// An error that the director may try again after; not when the call was interrupted.
    fn retriable<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| match self.cloud.interrupt.check() {
            Err(interrupted) => interrupted,
            Ok(()) => CpiError::vm_creation_failed(true, error.message),
        })
    }

    fn finish(&self, server_id: &str, ports: &[Option<Port>]) -> Result<()> {
        std::thread::scope(|scope| {
            let floating_ip = self.found.floating_ip.as_ref().map(|floating_ip| {
                scope.spawn(move || self.retriable(self.point(floating_ip, server_id, ports)))
            });
            let joined = if self.found.pools.is_empty() { Ok(()) } else { self.join_pools(server_id) };
            if let Some(floating_ip) = floating_ip {
                join(floating_ip)?;
            }
            joined
        })?;
        self.register(ports)
    }

    /// Points the floating IP at the gateway NIC's port. One request moves it from wherever it pointed before.
    fn point(
        &self,
        floating_ip: &openstack::network::FloatingIp,
        server_id: &str,
        ports: &[Option<Port>],
    ) -> Result<()> {
        let plan = &self.wanted.plan;
        let index = plan.gateway.ok_or_else(|| {
            CpiError::cloud(
                "No network of the VM is the default one for the gateway: a floating IP needs one",
            )
        })?;
        let port_id = match ports.get(index).and_then(Option::as_ref) {
            Some(port) => port.id.clone(),
            None => self.port_of(server_id, plan.nics[index].net_id.as_deref())?,
        };
        let (id, address) = (&floating_ip.id, &floating_ip.floating_ip_address);
        self.cloud
            .say(format!("Associating floating IP '{address}' with server '{} ({server_id})'", self.name));
        self.cloud.undo.push(Made::FloatingIp { id: id.clone(), previous_port: floating_ip.port_id.clone() });
        self.cloud.ask(|client| client.network().associate_floating_ip(id, Some(&port_id)))?;
        Ok(())
    }

    fn port_of(&self, server_id: &str, net_id: Option<&str>) -> Result<String> {
        let query = Query::new().filter("device_id", server_id).filter_if("network_id", net_id);
        let ports = self.cloud.ask(|client| client.network().ports(&query))?;
        ports.into_iter().next().map(|port| port.id).ok_or_else(|| {
            CpiError::cloud(format!("Server has no port in network '{}'", net_id.unwrap_or_default()))
        })
    }

    /// Joins the pools one after another (they may share a load balancer, which takes one change at a time), and
    /// remembers the memberships in the server's metadata, where `delete_vm` finds them.
    fn join_pools(&self, server_id: &str) -> Result<()> {
        let cloud = self.cloud;
        let first = self.found.pools.first().map(|pool| pool.name.as_str()).unwrap_or_default();
        let (ip, subnet) =
            self.pool_address(server_id).map_err(|error| cannot_attach(server_id, first, &error.message))?;
        let mut memberships: Vec<Membership> = Vec::new();
        for pool in &self.found.pools {
            let membership = load_balancer::join(cloud, pool, server_id, ip, &subnet)
                .map_err(|error| cannot_attach(server_id, &pool.name, &error.message))?;
            memberships.push(membership);
        }
        let items = load_balancer::metadata_of(&memberships).into_iter().collect();
        self.retriable(cloud.ask(|client| client.compute().set_server_metadata(server_id, &items)))
    }

    fn pool_address(&self, server_id: &str) -> Result<(IpAddr, String)> {
        let plan = &self.wanted.plan;
        let nic = plan.gateway.and_then(|index| plan.nics.get(index));
        if let (Some(ip), Some(subnet)) = (nic.and_then(|nic| nic.ips().first()), &self.found.pool_subnet) {
            return Ok((*ip, subnet.clone()));
        }
        let server: Server = self.cloud.ask(|client| client.compute().server(server_id))?;
        let address =
            server.addresses.values().flatten().next().and_then(|address| address.addr.parse().ok());
        let ip = address.ok_or_else(|| CpiError::cloud("The server has no address"))?;
        let net_id = nic.and_then(|nic| nic.net_id.as_deref()).unwrap_or_default();
        Ok((ip, load_balancer::find_subnet(self.cloud, net_id, ip)?))
    }

    fn register(&self, ports: &[Option<Port>]) -> Result<()> {
        let cloud = self.cloud;
        if cloud.is_registry_less() {
            return Ok(());
        }
        let registry = cloud.config.required_registry(cloud.api_version, cloud.stemcell_api_version)?;
        cloud.undo.push(Made::RegistrySettings(self.name.to_owned()));
        let settings = self.with_settings(ports, |settings| settings.for_registry());
        RegistryClient::new(registry)
            .update(self.name, &settings)
            .map_err(|error| CpiError::vm_creation_failed(false, error.message))
    }
}

/// Nova's words for a volume made from an image, as Ruby wrote them.
fn boot_volume(image_id: &str, size_gib: u64) -> Map<String, Value> {
    let device = json!({
        "uuid": image_id,
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": size_gib,
        "boot_index": "0",
        "delete_on_termination": "1",
        "device_name": "/dev/vda",
    });
    match device {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
