//! Disks: volumes in Cinder.

use openstack::volume::{Volume, VolumeCreate};
use openstack::{ErrorKind, OrNone};
use serde_json::Value;

use super::Arguments;
use crate::cloud::{Cloud, MakeError};
use crate::cloud_properties::disk::DiskProperties;
use crate::error::{CpiError, Result};
use crate::fields::Warnings;
use crate::metadata;
use crate::undo::Made;
use crate::unique_name;
use crate::waiting::State;

const MIB_PER_GIB: u64 = 1024;

/// Makes a volume, in the availability zone of the server it is for.
pub(super) fn create(cloud: &Cloud, arguments: &Arguments<'_>, warnings: &Warnings) -> Result<Value> {
    let size = size_mib(arguments.value(0))?;
    if size < MIB_PER_GIB {
        return Err(CpiError::cloud("Minimum disk size is 1 GiB"));
    }
    let properties = DiskProperties::read(arguments.value(1), warnings).map_err(CpiError::argument)?;
    let availability_zone = match arguments.value(2) {
        Value::Null => None,
        _ if cloud.config.ignore_server_availability_zone => None,
        _ => {
            let server_id = arguments.string(2, "vm_cid")?;
            cloud
                .find(|client| client.compute().server(server_id))?
                .and_then(|server| server.availability_zone)
        }
    };
    let name = format!("volume-{}", unique_name::uuid()?);
    let request = VolumeCreate {
        name: Some(name.clone()),
        description: Some(String::new()),
        size: size.div_ceil(MIB_PER_GIB),
        volume_type: properties.volume_type_or(cloud.config.default_volume_type.as_deref()),
        availability_zone: availability_zone.filter(|zone| !zone.is_empty()),
        ..VolumeCreate::default()
    };
    let made = cloud.make(
        Made::VolumeNamed(name.clone()),
        |client| client.volume().create_volume(&request),
        |client| client.volume().volumes_named(&name),
        |volume| Made::Volume(volume.id.clone()),
    );
    let volume = made.map_err(|error| match error {
        MakeError::Request(error) if error.kind() == ErrorKind::OverQuota => {
            CpiError::no_disk_space(cloud.error(&error).message)
        }
        other => other.into_cpi_error(cloud),
    })?;
    cloud.say(format!("Creating new volume `{}'...", volume.id));
    cloud.wait_for_volume(&volume.id, "available")?;
    Ok(Value::from(volume.id))
}

/// Ruby took integers only here.
fn size_mib(value: &Value) -> Result<u64> {
    value.as_u64().ok_or_else(|| CpiError::argument("Disk size needs to be an integer"))
}

/// Deletes a volume; one that is not there is deleted already.
pub(super) fn delete(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "disk_cid")?;
    let Some(volume) = cloud.find(|client| client.volume().volume(id))? else {
        cloud.say(format!("Volume `{id}' not found. Skipping."));
        return Ok(Value::Null);
    };
    match volume.status.as_str() {
        "available" => drop(cloud.ask(|client| client.volume().delete_volume(id))?),
        // An earlier call was not waited for.
        "deleting" => {}
        state => return Err(CpiError::cloud(format!("Cannot delete volume `{id}', state is {state}"))),
    }
    cloud.wait_for_volume_gone(id, true)?;
    Ok(Value::Null)
}

/// Whether a volume is there.
pub(super) fn has(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "disk_cid")?;
    let volume = cloud.ask(|client| client.volume().volume(id).or_none())?;
    Ok(Value::Bool(volume.is_some()))
}

/// Makes a volume larger.
pub(super) fn resize(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "disk_cid")?;
    let size = size_mib(arguments.value(1))?.div_ceil(MIB_PER_GIB);
    let volume = volume_to_resize(cloud, id)?;
    extend(cloud, &volume, size)?;
    Ok(Value::Null)
}

/// Makes a volume larger and gives it another type.
pub(super) fn update(cloud: &Cloud, arguments: &Arguments<'_>, warnings: &Warnings) -> Result<Value> {
    let id = arguments.string(0, "disk_cid")?;
    let size = size_mib(arguments.value(1))?.div_ceil(MIB_PER_GIB);
    let properties = DiskProperties::read(arguments.value(2), warnings).map_err(CpiError::argument)?;
    let wanted_type = properties.volume_type_or(cloud.config.default_volume_type.as_deref());
    let volume = volume_to_resize(cloud, id)?;
    extend(cloud, &volume, size)?;
    if let Some(wanted) = wanted_type.filter(|wanted| volume.volume_type.as_deref() != Some(wanted)) {
        refuse_attached(&volume)?;
        cloud.say(format!("Changing the type of volume `{id}' to '{wanted}'"));
        cloud.ask(|client| client.volume().retype_volume(id, &wanted, "on-demand"))?;
        cloud.wait(format!("Volume `{id}'"), "available").run(|| {
            let volume = cloud.find(|client| client.volume().volume(id))?;
            let has_type =
                volume.as_ref().is_some_and(|volume| volume.volume_type.as_deref() == Some(&wanted));
            Ok(match crate::cloud::state_of(volume.map(|volume| volume.status), "available") {
                State::Reached if !has_type => State::Failed {
                    state: "available".into(),
                    reason: format!("Cinder did not change its type to '{wanted}'"),
                },
                state => state,
            })
        })?;
    }
    Ok(Value::from(id))
}

fn volume_to_resize(cloud: &Cloud, id: &str) -> Result<Volume> {
    cloud
        .find(|client| client.volume().volume(id))?
        .ok_or_else(|| CpiError::cloud(format!("Cannot resize volume because volume with {id} not found")))
}

fn refuse_attached(volume: &Volume) -> Result<()> {
    match volume.attachments.len() {
        0 => Ok(()),
        count => Err(CpiError::cloud(format!(
            "Cannot resize volume '{}' it still has {count} attachment(s)",
            volume.id
        ))),
    }
}

fn extend(cloud: &Cloud, volume: &Volume, size: u64) -> Result<()> {
    let (id, actual) = (&volume.id, volume.size);
    if actual == size {
        cloud.say(format!("Skipping resize of disk {id}: it has {size} GiB already"));
        return Ok(());
    }
    if actual > size {
        return Err(CpiError::not_supported(format!(
            "Cannot resize volume to a smaller size from {actual} GiB to {size} GiB"
        )));
    }
    refuse_attached(volume)?;
    cloud.say(format!("Resizing {id} from {actual} GiB to {size} GiB"));
    cloud.ask(|client| client.volume().extend_volume(id, size, false))?;
    cloud.wait(format!("Volume `{id}'"), "available").run(|| {
        let volume = cloud.find(|client| client.volume().volume(id))?;
        let status = volume.map(|volume| volume.status);
        Ok(match status.as_deref() {
            Some("error_extending") => {
                State::Failed { state: "error_extending".into(), reason: "Cinder could not extend it".into() }
            }
            _ => crate::cloud::state_of(status, "available"),
        })
    })
}

/// Sets metadata.
pub(super) fn set_metadata(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let id = arguments.string(0, "disk_cid")?;
    let items = metadata::of(arguments.map(1, "metadata")?);
    if cloud.find(|client| client.volume().volume(id))?.is_none() {
        return Err(CpiError::cloud(format!("Disk `{id}' not found")));
    }
    if !items.is_empty() {
        cloud.ask(|client| client.volume().set_volume_metadata(id, &items))?;
    }
    Ok(Value::Null)
}
