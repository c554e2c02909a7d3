//! Disks of a VM: `attach_disk`, `detach_disk`, `get_disks`.

use openstack::compute::{Flavor, Server, VolumeAttachment};
use openstack::{Identified, OrNone};
use serde_json::{Map, Value, json};

use super::vm::{REGISTRY_KEY, server};
use super::{Arguments, join};
use crate::cloud::Cloud;
use crate::config::ConfigDrive;
use crate::error::{CpiError, Result};
use crate::registry::RegistryClient;
use crate::undo::Made;

/// Attaches a volume; attached already is good. The answer is the device that Nova says it is.
pub(super) fn attach(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let server_id = arguments.string(0, "vm_cid")?;
    let volume_id = arguments.string(1, "disk_cid")?;
    let (server, attachments) = std::thread::scope(|scope| {
        let volume = scope.spawn(|| {
            cloud
                .find(|client| client.volume().volume(volume_id))?
                .ok_or_else(|| CpiError::cloud(format!("Volume `{volume_id}' not found")))
        });
        let attachments =
            scope.spawn(|| cloud.ask(|client| client.compute().volume_attachments(server_id).or_none()));
        let server = server(cloud, server_id);
        // In Ruby's order: the server first, then the volume.
        let (volume, attachments) = (join(volume), join(attachments));
        let server = server?;
        volume?;
        Ok((server, attachments?.unwrap_or_default()))
    })?;
    let device = match attachments.iter().find(|attachment| attachment.volume_id == volume_id) {
        Some(attachment) => {
            let device = attachment.device.clone().unwrap_or_default();
            cloud.say(format!(
                "Volume `{volume_id}' is already attached to server `{server_id}' in `{device}'. Skipping."
            ));
            device
        }
        None => attach_new(cloud, &server, volume_id, &attachments)?,
    };
    update_registry(cloud, &server, |persistent| {
        persistent.insert(volume_id.to_owned(), json!(device));
    })?;
    Ok(if cloud.api_version >= 2 { json!(device) } else { Value::Null })
}

fn attach_new(
    cloud: &Cloud,
    server: &Server,
    volume_id: &str,
    attachments: &[VolumeAttachment],
) -> Result<String> {
    let flavor = match server.flavor.id.as_str() {
        "" => None,
        id => cloud.find(|client| client.compute().flavor(id))?,
    };
    let wanted = free_device(first_letter(flavor.as_ref(), cloud.config.config_drive), attachments)
        .ok_or_else(|| CpiError::cloud("Server has too many disks attached"))?;
    cloud.say(format!("Attaching volume `{volume_id}' to server `{}', device name is `{wanted}'", server.id));
    let expected = Made::Attachment { server_id: server.id.clone(), volume_id: volume_id.to_owned() };
    let attachment = cloud
        .make(
            expected.clone(),
            |client| client.compute().attach_volume(&server.id, volume_id, Some(&wanted)).map(Attached),
            |client| {
                let mut attachments = client.compute().volume_attachments(&server.id)?;
                attachments.retain(|attachment| attachment.volume_id == volume_id);
                Ok(attachments.into_iter().map(Attached).collect())
            },
            |_| expected.clone(),
        )
        .map_err(|error| error.into_cpi_error(cloud))?;
    cloud.wait_for_volume(volume_id, "in-use")?;
    // A hypervisor may choose another name than the one that was asked for.
    Ok(attachment.0.device.filter(|device| !device.is_empty()).unwrap_or(wanted))
}

/// The id of an attachment is that of its volume, since a volume is attached to a server once.
struct Attached(VolumeAttachment);

impl Identified for Attached {
    fn id(&self) -> &str {
        &self.0.id
    }
}

/// The first letter for persistent disks: behind the root disk, and what the flavor and the config drive add.
fn first_letter(flavor: Option<&Flavor>, config_drive: Option<ConfigDrive>) -> u8 {
    let Some(flavor) = flavor else { return b'b' };
    b'b' + u8::from(flavor.ephemeral > 0)
        + u8::from(flavor.swap > 0)
        + u8::from(config_drive == Some(ConfigDrive::Disk))
}

/// The first name that is free. Kernels rename `sdX` to `vdX` or `xvdX`; the agent looks for all of them.
fn free_device(first: u8, attachments: &[VolumeAttachment]) -> Option<String> {
    let is_taken = |letter: char| {
        attachments
            .iter()
            .filter_map(|attachment| attachment.device.as_deref())
            .any(|device| ["sd", "vd", "xvd"].iter().any(|kind| device == format!("/dev/{kind}{letter}")))
    };
    (first..=b'z').map(char::from).find(|letter| !is_taken(*letter)).map(|letter| format!("/dev/sd{letter}"))
}

/// Detaches a volume; neither attached nor there is good.
pub(super) fn detach(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let server_id = arguments.string(0, "vm_cid")?;
    let volume_id = arguments.string(1, "disk_cid")?;
    let (server, volume, attachments) = std::thread::scope(|scope| {
        let volume = scope.spawn(|| cloud.find(|client| client.volume().volume(volume_id)));
        let attachments =
            scope.spawn(|| cloud.ask(|client| client.compute().volume_attachments(server_id).or_none()));
        let server = server(cloud, server_id);
        let (volume, attachments) = (join(volume), join(attachments));
        Ok((server?, volume?, attachments?.unwrap_or_default()))
    })?;
    let is_attached = attachments.iter().any(|attachment| attachment.volume_id == volume_id);
    if volume.is_none() {
        cloud.say(format!("Disk `{volume_id}' not found while trying to detach it from vm `{server_id}'..."));
    } else if is_attached {
        cloud.ask(|client| client.compute().detach_volume(server_id, volume_id))?;
        cloud.wait_for_volume(volume_id, "available")?;
    } else {
        cloud.say(format!("Disk `{volume_id}' is not attached to server `{server_id}'. Skipping."));
    }
    update_registry(cloud, &server, |persistent| {
        persistent.remove(volume_id);
    })?;
    Ok(Value::Null)
}

/// The volumes of a server, without its root disk.
pub(super) fn list(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let server_id = arguments.string(0, "vm_cid")?;
    let attachments = cloud
        .find(|client| client.compute().volume_attachments(server_id))?
        .ok_or_else(|| CpiError::cloud(format!("Server `{server_id}' not found")))?;
    let is_root = |attachment: &VolumeAttachment| {
        attachment
            .device
            .as_deref()
            .is_some_and(|device| ["/dev/sda", "/dev/vda", "/dev/xvda"].contains(&device))
    };
    Ok(attachments
        .into_iter()
        .filter(|attachment| !is_root(attachment))
        .map(|found| found.volume_id)
        .collect())
}

/// Where agents ask the registry, it has to know.
fn update_registry(
    cloud: &Cloud,
    server: &Server,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<()> {
    let Some(registry) = cloud.config.registry.as_ref().filter(|_| !cloud.is_registry_less()) else {
        return Ok(());
    };
    let key = server.metadata.get(REGISTRY_KEY).unwrap_or(&server.name);
    let client = RegistryClient::new(registry);
    let mut settings = client.read(key)?;
    let object = settings.as_object_mut().ok_or_else(|| {
        CpiError::cloud(format!("The registry has no settings for '{key}' that are a hash"))
    })?;
    let disks = object.entry("disks").or_insert_with(|| json!({}));
    if let Some(disks) = disks.as_object_mut() {
        let persistent = disks.entry("persistent").or_insert_with(|| json!({}));
        if let Some(persistent) = persistent.as_object_mut() {
            change(persistent);
        }
    }
    client.update(key, &settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(devices: &[&str]) -> Vec<VolumeAttachment> {
        devices
            .iter()
            .map(|device| VolumeAttachment {
                device: Some((*device).to_owned()),
                ..VolumeAttachment::default()
            })
            .collect()
    }

    #[test]
    fn letters_are_counted_as_ruby_did() {
        let flavor = Flavor { ephemeral: 10, swap: 512, ..Flavor::default() };
        assert_eq!(first_letter(None, Some(ConfigDrive::Disk)), b'b');
        assert_eq!(first_letter(Some(&Flavor::default()), Some(ConfigDrive::Cdrom)), b'b');
        assert_eq!(first_letter(Some(&flavor), None), b'd');
        assert_eq!(first_letter(Some(&flavor), Some(ConfigDrive::Disk)), b'e');
    }

    #[test]
    fn a_letter_is_taken_under_any_name() {
        assert_eq!(free_device(b'b', &attached(&[])).as_deref(), Some("/dev/sdb"));
        assert_eq!(free_device(b'b', &attached(&["/dev/vdb", "/dev/xvdc"])).as_deref(), Some("/dev/sdd"));
        let all: Vec<String> = (b'b'..=b'z').map(|letter| format!("/dev/vd{}", char::from(letter))).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(free_device(b'b', &attached(&all)), None);
    }
}
