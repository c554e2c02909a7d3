//! `delete_vm`: the server, its ports, its pool memberships, its registry settings. A server that is gone may have
//! left all of these behind but itself.

use openstack::network::{Port, PortUpdate};
use openstack::{OrNone, Query};
use serde_json::Value;

use super::{Arguments, join, vm::REGISTRY_KEY};
use crate::cloud::{Cloud, is_terminated};
use crate::error::{CpiError, Result};
use crate::load_balancer;
use crate::ownership;
use crate::registry::RegistryClient;

/// Nova's task on a server that somebody asked to go before.
const BEING_DELETED: &str = "deleting";

/// Deletes a server and waits until it is gone.
pub(super) fn delete(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "vm_cid")?;
    let (server, ports) = std::thread::scope(|scope| {
        let ports =
            scope.spawn(|| cloud.ask(|client| client.network().ports(&Query::new().filter("device_id", id))));
        let server = cloud.ask(|client| client.compute().server(id).or_none());
        Ok((server?, join(ports)?))
    })?;
    let Some(server) = server.filter(|server| !is_terminated(&server.status)) else {
        cloud.say(format!("Server `{id}' not found; clearing what it may have left behind"));
        clear_after(cloud, id, ports)?;
        return Ok(Value::Null);
    };
    let mut errors = Errors::default();
    let mut ports = without_reservations(cloud, ports)?;
    let memberships = load_balancer::memberships_in(&server.metadata);
    let leaving = memberships.iter().map(|membership| load_balancer::leave(cloud, membership));
    errors.collect("Removing lbaas pool memberships", leaving.collect::<Result<Vec<()>>>());
    cloud.ask(|client| client.compute().delete_server(id))?;
    errors.collect("Wait for server deletion", cloud.wait_for_server_gone(id, true));
    if server.task_state.as_deref() == Some(BEING_DELETED) {
        // Nova may have unbound some of its ports before we looked.
        match left_ports(cloud, id) {
            Ok(mut left) => {
                left.retain(|port| ports.iter().all(|known| known.id != port.id));
                ports.extend(left);
            }
            Err(error) => errors.collect::<()>("Finding ports", Err(error)),
        }
    }
    errors.collect("Removing ports", delete_ports(cloud, &ports));
    if let Some(registry) = cloud.config.registry.as_ref().filter(|_| !cloud.is_registry_less()) {
        let key = server.metadata.get(REGISTRY_KEY).unwrap_or(&server.name);
        errors.collect("Deleting registry settings", RegistryClient::new(registry).delete(key));
    }
    errors.into_result()?;
    Ok(Value::Null)
}

/// Nova has forgotten which ports a server had; our tags on them have not. A port that another server uses by now is not
/// ours to clear. Whether it is up is not asked: Neutron says so for a moment after Nova let go of it.
fn left_ports(cloud: &Cloud, id: &str) -> Result<Vec<Port>> {
    let tags = format!("{},{}", ownership::TAG, ownership::server_tag(id));
    let mut ports = cloud.ask(|client| client.network().ports(&Query::new().filter("tags", tags)))?;
    ports.retain(|port| ownership::is_ours(port) && ownership::has_no_device(port));
    Ok(ports)
}

/// Removes what a server left that is gone.
fn clear_after(cloud: &Cloud, id: &str, bound: Vec<Port>) -> Result<()> {
    let bound = bound.into_iter().filter(ownership::is_ours);
    let mut ports: Vec<Port> = bound.chain(left_ports(cloud, id)?).collect();
    ports.dedup_by(|a, b| a.id == b.id);
    delete_ports(cloud, &ports)?;
    if let Err(error) = load_balancer::remove_members_of(cloud, id) {
        // Whether it was in a pool at all is not known: no reason to fail.
        cloud
            .progress
            .warn(format_args!("pools were not searched for members of server {id}: {}", error.message));
    }
    Ok(())
}

/// The ports of a server go with it, as they always did; but never one that reserves an address and was bound to
/// the server by hand. Nova itself would delete that one: it is unbound first.
fn without_reservations(cloud: &Cloud, ports: Vec<Port>) -> Result<Vec<Port>> {
    let (reserved, deletable): (Vec<Port>, Vec<Port>) =
        ports.into_iter().partition(ownership::is_reservation);
    for port in reserved {
        cloud
            .progress
            .warn(format_args!("port {} ('{}') reserves an address; it is kept", port.id, port.name));
        let unbound = PortUpdate { device_id: Some(String::new()), ..PortUpdate::default() };
        cloud.ask(|client| client.network().update_port(&port.id, &unbound, None))?;
    }
    Ok(deletable)
}

fn delete_ports(cloud: &Cloud, ports: &[Port]) -> Result<()> {
    std::thread::scope(|scope| {
        let deletions: Vec<_> = ports
            .iter()
            .map(|port| {
                scope.spawn(|| {
                    cloud.client.network().delete_port(&port.id).map_err(|error| cloud.error(&error))
                })
            })
            .collect();
        // Every port is tried, whatever became of the others.
        let outcomes: Vec<Result<_>> = deletions.into_iter().map(join).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    })
}

/// What went wrong after the server was asked to go: everything is tried, then everything is told.
#[derive(Default)]
struct Errors(Vec<String>);

impl Errors {
    fn collect<T>(&mut self, what: &str, outcome: Result<T>) {
        if let Err(error) = outcome {
            self.0.push(format!("{what}: {}", error.message));
        }
    }

    fn into_result(self) -> Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [one] => Err(CpiError::cloud(one.as_str())),
            several => {
                Err(CpiError::cloud(format!("Multiple cloud errors occurred:\n{}", several.join("\n"))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_together() {
        let mut errors = Errors::default();
        errors.collect("Removing ports", Ok(()));
        errors.collect::<()>("Wait for server deletion", Err(CpiError::cloud("timed out")));
        let two = |mut errors: Errors| {
            errors.collect::<()>("Removing ports", Err(CpiError::cloud("refused")));
            errors.into_result().unwrap_err()
        };
        let one = Errors(errors.0.clone()).into_result().unwrap_err();
        assert_eq!(one, CpiError::cloud("Wait for server deletion: timed out"));
        assert_eq!(
            two(errors).message,
            "Multiple cloud errors occurred:\nWait for server deletion: timed out\nRemoving ports: refused"
        );
    }
}
