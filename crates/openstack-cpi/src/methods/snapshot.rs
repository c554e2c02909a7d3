//! Snapshots of disks.

use openstack::volume::SnapshotCreate;
use serde_json::{Map, Value};

use super::Arguments;
use crate::cloud::{Cloud, state_of};
use crate::error::{CpiError, Result};
use crate::metadata::{self, text_of};
use crate::undo::Made;
use crate::unique_name;

/// Takes a snapshot, also of a disk that is in use.
pub(super) fn create(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let volume_id = arguments.string(0, "disk_cid")?;
    let nothing = Map::new();
    let given = if arguments.value(1).is_null() { &nothing } else { arguments.map(1, "metadata")? };
    let volume = cloud
        .find(|client| client.volume().volume(volume_id))?
        .ok_or_else(|| CpiError::cloud(format!("Volume `{volume_id}' not found")))?;
    let device = volume.attachments.iter().find_map(|attachment| attachment.device.as_deref());
    let name = format!("snapshot-{}", unique_name::uuid()?);
    let request = SnapshotCreate {
        volume_id: volume_id.to_owned(),
        name: name.clone(),
        description: Some(description(given, device)),
        force: true,
        metadata: None,
    };
    let snapshot = cloud
        .make(
            Made::SnapshotNamed(name.clone()),
            |client| client.volume().create_snapshot(&request),
            |client| client.volume().snapshots_named(&name),
            |snapshot| Made::Snapshot(snapshot.id.clone()),
        )
        .map_err(|error| error.into_cpi_error(cloud))?;
    let id = snapshot.id;
    cloud.say(format!("Creating new snapshot `{id}' for volume `{volume_id}'..."));
    cloud.wait(format!("Snapshot `{id}'"), "available").run(|| {
        let snapshot = cloud.find(|client| client.volume().snapshot(&id))?;
        Ok(state_of(snapshot.map(|snapshot| snapshot.status), "available"))
    })?;
    let items = metadata::of(&renamed(given));
    if !items.is_empty() {
        cloud.ask(|client| client.volume().set_snapshot_metadata(&id, &items))?;
    }
    Ok(Value::from(id))
}

/// `<deployment>/<job>/<index>/<device>`.
fn description(metadata: &Map<String, Value>, device: Option<&str>) -> String {
    let text =
        |key: &str| metadata.get(key).filter(|value| !value.is_null()).map(text_of).unwrap_or_default();
    let mut parts = vec![text("deployment"), text("job"), text("index")];
    parts.extend(device.and_then(|device| device.rsplit('/').next()).map(str::to_owned));
    parts.join("/")
}

/// The director's keys under the names that snapshots have for them.
fn renamed(metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut result = metadata.clone();
    let mut take = |key: &str| result.shift_remove(key).filter(|value| !value.is_null());
    let (director, index, job) = (take("director_name"), take("index"), take("job"));
    if let Some(director) = director {
        result.insert("director".into(), director);
    }
    if let Some(index) = index {
        result.insert("instance_index".into(), Value::String(text_of(&index)));
    }
    let instance = metadata.get("instance_id").filter(|value| !value.is_null());
    match (job, instance) {
        (Some(job), Some(instance)) => {
            let name = format!("{}/{}", text_of(&job), text_of(instance));
            result.insert("instance_name".into(), Value::String(name));
        }
        (Some(name), None) => {
            result.insert("instance_name".into(), name);
        }
        (None, _) => {}
    }
    result
}

/// Deletes a snapshot; one that is not there is deleted already.
pub(super) fn delete(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "snapshot_cid")?;
    let Some(snapshot) = cloud.find(|client| client.volume().snapshot(id))? else {
        cloud.say(format!("Snapshot `{id}' not found. Skipping."));
        return Ok(Value::Null);
    };
    match snapshot.status.as_str() {
        "available" => drop(cloud.ask(|client| client.volume().delete_snapshot(id))?),
        "deleting" => {}
        state => return Err(CpiError::cloud(format!("Cannot delete snapshot `{id}', state is {state}"))),
    }
    cloud.wait_for_snapshot_gone(id, true)?;
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_snapshot_says_of_its_disk() {
        let given = json!({"director_name": "dir", "deployment": "cf", "job": "db", "index": 0, "instance_id": "i-1",
                           "agent_id": "a"});
        let given = given.as_object().unwrap();
        assert_eq!(description(given, Some("/dev/sdc")), "cf/db/0/sdc");
        assert_eq!(description(given, None), "cf/db/0");
        let expected = json!({"director": "dir", "deployment": "cf", "instance_index": "0", "instance_name": "db/i-1",
                              "instance_id": "i-1", "agent_id": "a"});
        assert_eq!(Value::Object(renamed(given)), expected);
    }

    #[test]
    fn missing_metadata_is_no_crash() {
        assert_eq!(description(&Map::new(), Some("sdc")), "///sdc");
        assert!(renamed(&Map::new()).is_empty());
    }
}
