//! Servers that are there: `has_vm`, `reboot_vm`, `set_vm_metadata`, and `ping`.

use openstack::OrNone;
use openstack::compute::{Reboot, Server};
use serde_json::{Map, Value};

use super::Arguments;
use crate::cloud::{Cloud, fault_of, is_terminated, state_of};
use crate::error::{CpiError, Result};
use crate::metadata::{self, text_of};
use crate::waiting::State;

/// The metadata item by which a server says that it may be renamed, and where its registry settings are.
pub(super) const REGISTRY_KEY: &str = "registry_key";

/// Finds a server that has to be there.
pub(super) fn server(cloud: &Cloud, id: &str) -> Result<Server> {
    cloud
        .find(|client| client.compute().server(id))?
        .ok_or_else(|| CpiError::cloud(format!("Server `{id}' not found")))
}

/// Keystone takes the credentials.
pub(super) fn ping(cloud: &Cloud) -> Result<Value> {
    cloud.ask(openstack::Client::session)?;
    Ok(Value::from("pong"))
}

/// Whether a server is there.
pub(super) fn has(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "vm_cid")?;
    let server = cloud.ask(|client| client.compute().server(id).or_none())?;
    Ok(Value::Bool(server.is_some_and(|server| !is_terminated(&server.status))))
}

/// Asks the operating system to restart, and waits.
pub(super) fn reboot(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "vm_cid")?;
    server(cloud, id)?;
    cloud.ask(|client| client.compute().reboot_server(id, Reboot::Soft))?;
    wait_until_active(cloud, id)?;
    Ok(Value::Null)
}

/// Waits until a server is up and Nova has nothing left to do with it.
pub(super) fn wait_until_active(cloud: &Cloud, id: &str) -> Result<()> {
    cloud.wait(format!("Server `{id}'"), "active").run(|| {
        let Some(server) = cloud.find(|client| client.compute().server(id))? else {
            return Ok(State::Missing);
        };
        Ok(match state_of(Some(server.status.clone()), "active") {
            State::Reached if server.task_state.is_some() => State::Pending,
            State::Failed { state, .. } => State::Failed { state, reason: fault_of(&server) },
            state => state,
        })
    })
}

/// Sets metadata, and gives the server a name that people understand where that was asked for.
pub(super) fn set_metadata(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "vm_cid")?;
    let given = arguments.map(1, "metadata")?;
    let server = server(cloud, id)?;
    let may_rename = (cloud.config.human_readable_vm_names && cloud.is_registry_less())
        || server.metadata.contains_key(REGISTRY_KEY);
    let name = if may_rename { name_from(given) } else { None };
    let items = metadata::of(given);
    std::thread::scope(|scope| {
        let renaming = name.filter(|name| *name != server.name).map(|name| {
            scope.spawn(move || {
                cloud.say(format!("Renaming server {id} to '{name}'"));
                cloud.ask(|client| client.compute().rename_server(id, &name))
            })
        });
        let tagging = if items.is_empty() {
            Ok(())
        } else {
            cloud.ask(|client| client.compute().set_server_metadata(id, &items))
        };
        if let Some(renaming) = renaming {
            super::join(renaming)?;
        }
        tagging
    })?;
    Ok(Value::Null)
}

fn name_from(metadata: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| metadata.get(key).filter(|value| !value.is_null()).map(text_of);
    let from_job = || Some(format!("{}/{}", text("job")?, text("index")?));
    let from_compiling = || Some(format!("compiling/{}", text("compiling")?));
    text("name").or_else(from_job).or_else(from_compiling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_name_comes_from_name_else_job_and_index_else_compiling() {
        let name = |value: Value| name_from(value.as_object().unwrap());
        assert_eq!(
            name(json!({"name": "router/1a", "job": "router", "index": 0})).as_deref(),
            Some("router/1a")
        );
        assert_eq!(name(json!({"name": null, "job": "router", "index": 0})).as_deref(), Some("router/0"));
        assert_eq!(name(json!({"job": "router", "compiling": "ruby"})).as_deref(), Some("compiling/ruby"));
        assert_eq!(name(json!({"director": "x"})), None);
    }
}
