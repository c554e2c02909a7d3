//! Stemcells: images in Glance. A heavy one is uploaded as it comes out of its archive, a light one is there already.

use std::collections::BTreeMap;
use std::path::Path;

use openstack::image::ImageCreate;
use serde_json::Value;

use super::Arguments;
use crate::cloud::{Cloud, state_of};
use crate::cloud_properties::stemcell::{StemcellProperties, tags};
use crate::error::{CpiError, Result};
use crate::fields::Warnings;
use crate::stemcell_archive::with_root_image;
use crate::undo::Made;
use crate::unique_name;

/// The end of a light stemcell's CID.
const LIGHT: &str = " light";

/// The image of a stemcell's CID; those of light stemcells from Ruby's time stay valid.
pub(super) fn image_id(cid: &str) -> &str {
    cid.strip_suffix(LIGHT).unwrap_or(cid)
}

/// Makes an image, or finds the one of a light stemcell.
pub(super) fn create(cloud: &Cloud, arguments: &Arguments<'_>, warnings: &Warnings) -> Result<Value> {
    let properties = StemcellProperties::read(arguments.value(1), warnings).map_err(CpiError::argument)?;
    let env = Some(arguments.value(2)).filter(|env| !env.is_null());
    let tags = tags(env).map_err(CpiError::argument)?;
    match &properties.image_id {
        Some(id) => light(cloud, id),
        None => heavy(cloud, Path::new(arguments.string(0, "image_path")?), &properties, tags),
    }
}

fn light(cloud: &Cloud, id: &str) -> Result<Value> {
    cloud.say(format!("Checking for image with id '{id}' referenced by light stemcell"));
    match cloud.find(|client| client.image().image(id))? {
        Some(image) if image.status == "active" => Ok(Value::from(format!("{}{LIGHT}", image.id))),
        _ => Err(CpiError::cloud(format!(
            "No active image with id '{id}' referenced by light stemcell found in OpenStack."
        ))),
    }
}

fn heavy(
    cloud: &Cloud,
    archive: &Path,
    properties: &StemcellProperties,
    tags: Vec<(String, String)>,
) -> Result<Value> {
    let missing = |key: &str| CpiError::argument(format_args!("cloud_properties.{key}: missing key"));
    let id = unique_name::uuid()?;
    let mut image_properties: BTreeMap<String, String> = tags.into_iter().collect();
    // What the stemcell says of itself counts more than a tag of the same name.
    image_properties.extend(properties.image_properties.iter().cloned());
    // The id is ours, so that the image is found again whatever becomes of the answer.
    image_properties.insert("id".into(), id.clone());
    let visibility = if cloud.config.stemcell_public_visibility { "public" } else { "private" };
    let request = ImageCreate {
        name: properties.image_name.clone(),
        disk_format: properties.disk_format.clone().ok_or_else(|| missing("disk_format"))?,
        container_format: properties.container_format.clone().ok_or_else(|| missing("container_format"))?,
        visibility: Some(visibility.to_owned()),
        min_disk: None,
        min_ram: None,
        tags: Vec::new(),
        properties: image_properties,
    };
    with_root_image(archive, |root_image, size| {
        cloud
            .make(
                Made::Image(id.clone()),
                |client| client.image().create_image(&request),
                |client| {
                    openstack::OrNone::or_none(client.image().image(&id))
                        .map(|found| found.into_iter().collect())
                },
                |image| Made::Image(image.id.clone()),
            )
            .map_err(|error| error.into_cpi_error(cloud))?;
        cloud.say(format!("Uploading {size} bytes to image '{id}'..."));
        let mut source = Interruptible { source: root_image, cloud };
        cloud.ask(|client| client.image().upload_image(&id, &mut source, size))?;
        cloud.interrupt.check()
    })?;
    cloud.wait(format!("Image `{id}'"), "active").run(|| {
        let image = cloud.find(|client| client.image().image(&id))?;
        Ok(state_of(image.map(|image| image.status), "active"))
    })?;
    Ok(Value::from(id))
}

/// Ends an upload when the call is interrupted.
struct Interruptible<'a, R> {
    source: &'a mut R,
    cloud: &'a Cloud,
}

impl<R: std::io::Read> std::io::Read for Interruptible<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.cloud.interrupt.check().map_err(|error| std::io::Error::other(error.message))?;
        self.source.read(buffer)
    }
}

/// Deletes the image of a stemcell; the operator's image behind a light one stays.
pub(super) fn delete(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let cid = arguments.string(0, "stemcell_cid")?;
    if cid.ends_with(LIGHT) {
        cloud.say(format!("NoOP: Deleting light stemcell '{cid}'"));
        return Ok(Value::Null);
    }
    if cloud.find(|client| client.image().image(cid))?.is_none() {
        cloud.say(format!("Stemcell `{cid}' not found. Skipping."));
        return Ok(Value::Null);
    }
    cloud.ask(|client| client.image().delete_image(cid))?;
    cloud.say(format!("Stemcell `{cid}' is now deleted"));
    Ok(Value::Null)
}
