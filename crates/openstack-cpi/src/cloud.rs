//! One call's view of OpenStack: the client, the configuration, what was made so far, and whether to go on.

use std::sync::Arc;
use std::time::Duration;

use openstack::{Client, Deletion, Identified, OrNone};

use crate::config::Config;
use crate::error::{CpiError, Result};
use crate::interrupt::Interrupt;
use crate::ownership;
use crate::progress::Progress;
use crate::registry::RegistryClient;
use crate::request::Request;
use crate::translate;
use crate::undo::{Made, UndoList};
use crate::waiting::{State, Wait, is_final_failure};

/// How often, and how far apart, something is looked for that may be about to appear.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(700);

/// Everything that a method needs.
pub struct Cloud {
    /// The configuration with the context merged over it.
    pub config: Config,
    /// The client: one token for all services and threads.
    pub client: Client,
    /// What is said on stderr.
    pub progress: Arc<Progress>,
    /// What was made.
    pub undo: UndoList,
    /// Whether to stop.
    pub interrupt: Arc<Interrupt>,
    /// The director that asks.
    pub director_uuid: String,
    /// The version of the protocol.
    pub api_version: u64,
    /// The version of the stemcell's.
    pub stemcell_api_version: u64,
}

impl Cloud {
    /// The view of a request.
    pub fn new(
        config: Config,
        client: Client,
        request: &Request,
        progress: Arc<Progress>,
        interrupt: Arc<Interrupt>,
    ) -> Self {
        Self {
            config,
            client,
            progress,
            undo: UndoList::default(),
            interrupt,
            director_uuid: request.director_uuid().to_owned(),
            api_version: request.api_version,
            stemcell_api_version: request.stemcell_api_version(),
        }
    }

    /// Whether the agent gets its settings from the user data alone.
    pub fn is_registry_less(&self) -> bool {
        self.api_version >= 2 && self.stemcell_api_version >= 2
    }

    /// Says what is done.
    pub fn say(&self, step: impl Into<String>) {
        self.progress.say(step);
    }

    /// An error of a request as an error of the call.
    pub fn error(&self, error: &openstack::Error) -> CpiError {
        translate::cloud_error(&self.config.auth_url, error)
    }

    /// Makes a request, unless the call was interrupted.
    pub fn ask<T>(&self, request: impl FnOnce(&Client) -> openstack::Result<T>) -> Result<T> {
        self.interrupt.check()?;
        request(&self.client).map_err(|error| self.error(&error))
    }

    /// Makes a request whose "not found" is an answer.
    pub fn find<T>(&self, request: impl FnOnce(&Client) -> openstack::Result<T>) -> Result<Option<T>> {
        self.ask(|client| request(client).or_none())
    }

    /// Makes something that is to be undone if the call fails. `expected` stands for it until the answer is there:
    /// when nobody knows whether it was made, `find` looks for it by its unique name.
    pub fn make<T: Identified>(
        &self,
        expected: Made,
        mut create: impl FnMut(&Client) -> openstack::Result<T>,
        mut find: impl FnMut(&Client) -> openstack::Result<Vec<T>>,
        made: impl Fn(&T) -> Made,
    ) -> std::result::Result<T, MakeError> {
        self.interrupt.check().map_err(MakeError::Call)?;
        let ticket = self.undo.expect(expected);
        match self.client.create_or_find(|| create(&self.client), || find(&self.client)) {
            Ok(creation) => {
                let thing = creation.made;
                let kept = made(&thing);
                for surplus in creation.surplus.iter().map(&made) {
                    self.say(format!("A lost request made one more: removing {surplus}"));
                    if let Err(error) = self.remove(&surplus) {
                        self.progress.warn(format_args!("{surplus} could not be removed: {}", error.message));
                    }
                }
                self.undo.confirm(ticket, kept);
                Ok(thing)
            }
            Err(error) => {
                // What may have been made stays on the list.
                if !error.is_ambiguous() {
                    self.undo.forget(ticket);
                }
                Err(MakeError::Request(error))
            }
        }
    }

    fn look_repeatedly<T>(
        &self,
        find: impl Fn(&Client) -> openstack::Result<Option<T>>,
    ) -> openstack::Result<Option<T>> {
        for look in 1.. {
            let found = find(&self.client)?;
            if found.is_some() || look >= LOOKS {
                return Ok(found);
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(None)
    }

    /// A wait that SIGTERM ends.
    pub fn wait(&self, what: String, target: &'static str) -> Wait<'_> {
        Wait { cloud: self, what, target, is_gone_good: false, is_interruptible: true }
    }

    /// Removes everything that was made, last thing first. Answers what could not be removed.
    pub fn undo_all(&self) -> Vec<String> {
        let mut left = Vec::new();
        for made in self.undo.take() {
            self.say(format!("Undoing: removing {made}"));
            if let Err(error) = self.remove(&made) {
                self.progress.warn(format_args!("{made} could not be removed: {}", error.message));
                left.push(made.to_string());
            }
        }
        left
    }

    fn remove(&self, made: &Made) -> Result<()> {
        match made {
            Made::Server(id) => self.delete_server_and_wait(id, false),
            Made::ServerNamed(name) => self.remove_found(
                |client| client.compute().servers_named(name),
                |server| Made::Server(server.id),
            ),
            Made::Port(id) => self.delete(|client| client.network().delete_port(id)),
            Made::PortNamed { network_id, name } => {
                self.remove_found(|client| ports_named(client, network_id, name), |port| Made::Port(port.id))
            }
            Made::Image(id) => self.delete(|client| client.image().delete_image(id)),
            Made::Volume(id) => self.delete_volume_and_wait(id),
            Made::VolumeNamed(name) => self
                .remove_found(|client| client.volume().volumes_named(name), |volume| Made::Volume(volume.id)),
            Made::Snapshot(id) => self.delete_snapshot_and_wait(id),
            Made::SnapshotNamed(name) => self.remove_found(
                |client| client.volume().snapshots_named(name),
                |found| Made::Snapshot(found.id),
            ),
            Made::PoolMember(membership) => crate::load_balancer::leave(self, membership),
            Made::PoolMemberNamed { pool_id, name } => {
                crate::load_balancer::remove_members_named(self, pool_id, name)
            }
            Made::FloatingIp { id, previous_port } => self
                .client
                .network()
                .associate_floating_ip(id, previous_port.as_deref())
                .map(drop)
                .map_err(|error| self.error(&error)),
            Made::Attachment { server_id, volume_id } => {
                // A volume that is being attached cannot be detached yet.
                let is_settled = |status: &str| !matches!(status, "reserved" | "attaching" | "detaching");
                self.wait_for_volume_state(volume_id, false, "attached", is_settled)?;
                self.delete(|client| client.compute().detach_volume(server_id, volume_id))?;
                self.wait_for_volume_state(volume_id, false, "detached", is_settled)
            }
            Made::RegistrySettings(key) => match &self.config.registry {
                Some(registry) => RegistryClient::new(registry).delete(key),
                None => Ok(()),
            },
            Made::Network(id) => self.delete(|client| client.network().delete_network(id)),
            Made::NetworkDescribed(text) => self.remove_found(
                |client| client.network().networks(&openstack::Query::new().filter("description", text)),
                |network| Made::Network(network.id),
            ),
        }
    }

    fn delete(&self, request: impl FnOnce(&Client) -> openstack::Result<Deletion>) -> Result<()> {
        request(&self.client).map(drop).map_err(|error| self.error(&error))
    }

    fn remove_found<T>(
        &self,
        find: impl Fn(&Client) -> openstack::Result<Vec<T>>,
        made: impl Fn(T) -> Made,
    ) -> Result<()> {
        let found = self
            .look_repeatedly(|client| find(client).map(|list| (!list.is_empty()).then_some(list)))
            .map_err(|error| self.error(&error))?;
        for thing in found.into_iter().flatten() {
            self.remove(&made(thing))?;
        }
        Ok(())
    }

    /// Deletes a server and waits until it is gone.
    pub fn delete_server_and_wait(&self, id: &str, is_interruptible: bool) -> Result<()> {
        self.delete(|client| client.compute().delete_server(id))?;
        self.wait_for_server_gone(id, is_interruptible)
    }

    /// Waits until a server is gone.
    pub fn wait_for_server_gone(&self, id: &str, is_interruptible: bool) -> Result<()> {
        let what = format!("Server `{id}'");
        Wait { cloud: self, what, target: "terminated, deleted", is_gone_good: true, is_interruptible }.run(
            || {
                let server =
                    self.client.compute().server(id).or_none().map_err(|error| self.error(&error))?;
                Ok(match server {
                    None => State::Missing,
                    Some(server) if is_terminated(&server.status) => State::Reached,
                    // A server that was in ERROR before goes on being so until it is gone.
                    Some(server) if server.status == "ERROR" && server.task_state.is_none() => {
                        State::Failed { state: "error".into(), reason: fault_of(&server) }
                    }
                    Some(_) => State::Pending,
                })
            },
        )
    }

    fn delete_volume_and_wait(&self, id: &str) -> Result<()> {
        // A volume that is being made or detached cannot be deleted yet.
        self.wait_for_volume_state(id, false, "deletable", |status| {
            !matches!(status, "creating" | "detaching" | "attaching" | "extending")
        })?;
        self.delete(|client| client.volume().delete_volume(id))?;
        self.wait_for_volume_gone(id, false)
    }

    fn delete_snapshot_and_wait(&self, id: &str) -> Result<()> {
        // One that is being made cannot be deleted yet.
        self.wait_for_snapshot(id, "deletable", false, |status| {
            status.map_or(State::Missing, |status| match status.as_str() {
                "creating" => State::Pending,
                _ => State::Reached,
            })
        })?;
        self.delete(|client| client.volume().delete_snapshot(id))?;
        self.wait_for_snapshot_gone(id, false)
    }

    /// Waits until a volume is gone. Cinder may still refuse to delete what it has taken on.
    pub fn wait_for_volume_gone(&self, id: &str, is_interruptible: bool) -> Result<()> {
        let what = format!("Volume `{id}'");
        Wait { cloud: self, what, target: "deleted", is_gone_good: true, is_interruptible }.run(|| {
            let volume = self.client.volume().volume(id).or_none().map_err(|error| self.error(&error))?;
            Ok(state_of(volume.map(|volume| volume.status), "deleted"))
        })
    }

    /// Waits until a snapshot is gone.
    pub fn wait_for_snapshot_gone(&self, id: &str, is_interruptible: bool) -> Result<()> {
        self.wait_for_snapshot(id, "deleted", is_interruptible, |status| state_of(status, "deleted"))
    }

    fn wait_for_snapshot(
        &self,
        id: &str,
        target: &'static str,
        is_interruptible: bool,
        judge: impl Fn(Option<String>) -> State,
    ) -> Result<()> {
        let what = format!("Snapshot `{id}'");
        Wait { cloud: self, what, target, is_gone_good: true, is_interruptible }.run(|| {
            let snapshot = self.client.volume().snapshot(id).or_none().map_err(|error| self.error(&error))?;
            Ok(judge(snapshot.map(|snapshot| snapshot.status)))
        })
    }

    fn wait_for_volume_state(
        &self,
        id: &str,
        is_interruptible: bool,
        target: &'static str,
        is_reached: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let what = format!("Volume `{id}'");
        Wait { cloud: self, what, target, is_gone_good: true, is_interruptible }.run(|| {
            let volume = self.client.volume().volume(id).or_none().map_err(|error| self.error(&error))?;
            Ok(match volume {
                None => State::Missing,
                Some(volume) if is_reached(&volume.status) => State::Reached,
                Some(_) => State::Pending,
            })
        })
    }

    /// Waits until a volume is in a state. The states that end a wait are Ruby's: error, failed, killed.
    pub fn wait_for_volume(&self, id: &str, target: &'static str) -> Result<()> {
        self.wait(format!("Volume `{id}'"), target).run(|| {
            let volume = self.find(|client| client.volume().volume(id))?;
            Ok(state_of(volume.map(|volume| volume.status), target))
        })
    }
}

/// Why something was not made.
#[derive(Debug)]
pub enum MakeError {
    /// The request failed.
    Request(openstack::Error),
    /// It was not even sent.
    Call(CpiError),
}

impl MakeError {
    /// As an error of the call.
    pub fn into_cpi_error(self, cloud: &Cloud) -> CpiError {
        match self {
            Self::Request(error) => cloud.error(&error),
            Self::Call(error) => error,
        }
    }
}

/// The ports with this name on this network.
pub fn ports_named(
    client: &Client,
    network_id: &str,
    name: &str,
) -> openstack::Result<Vec<openstack::network::Port>> {
    let query = openstack::Query::new().filter("network_id", network_id).filter("name", name);
    let mut ports = client.network().ports(&query)?;
    ports.retain(|port| port.name == name && ownership::is_ours(port));
    Ok(ports)
}

/// What a status says about a wait for `target`.
pub fn state_of(status: Option<String>, target: &str) -> State {
    match status {
        None => State::Missing,
        Some(status) if status.eq_ignore_ascii_case(target) => State::Reached,
        Some(status) if is_final_failure(&status) => {
            State::Failed { state: status.to_ascii_lowercase(), reason: String::new() }
        }
        Some(_) => State::Pending,
    }
}

/// Whether a server with this status counts as gone.
pub fn is_terminated(status: &str) -> bool {
    status.eq_ignore_ascii_case("deleted") || status.eq_ignore_ascii_case("terminated")
}

/// Nova's reason for an ERROR: message and, where it is shown, details.
pub fn fault_of(server: &openstack::compute::Server) -> String {
    server.fault.as_ref().map_or_else(String::new, |fault| {
        format!("{}{}", fault.message, fault.details.as_deref().unwrap_or_default())
    })
}
