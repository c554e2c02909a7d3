//! The properties of a stemcell: `stemcell.MF`'s `cloud_properties`.

use serde_json::{Map, Value};

use crate::fields::{FieldError, Fields, Read, Warnings};

/// Properties that become properties of the image under the same name, as strings.
const IMAGE_PROPERTIES: [&str; 14] = [
    "version",
    "os_type",
    "os_distro",
    "architecture",
    "auto_disk_config",
    "hw_vif_model",
    "hw_disk_bus_model",
    "hw_scsi_model",
    "hw_disk_bus",
    "hw_vif_multiqueue_enabled",
    "vmware_adaptertype",
    "vmware_disktype",
    "vmware_linked_clone",
    "vmware_ostype",
];

/// Properties of stemcells that are not for us.
const IGNORED: [&str; 4] = ["infrastructure", "disk", "root_device_name", "kernel_file"];

/// What a stemcell says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StemcellProperties {
    /// A light stemcell: the image is there already.
    pub image_id: Option<String>,
    /// The name of the image: `<name>/<version>`.
    pub image_name: String,
    /// `qcow2` or `raw`.
    pub disk_format: Option<String>,
    /// `bare`.
    pub container_format: Option<String>,
    /// The properties of the image.
    pub image_properties: Vec<(String, String)>,
}

impl StemcellProperties {
    /// Reads them.
    pub fn read(value: &Value, warnings: &Warnings) -> Read<Self> {
        let fields = Fields::of("cloud_properties", value, warnings)?;
        for key in IGNORED {
            fields.has(key);
        }
        let text = |key| fields.value(key).map(|value| scalar(&fields.path_of(key), value)).transpose();
        let mut image_properties = Vec::new();
        for key in IMAGE_PROPERTIES {
            if let Some(value) = text(key)? {
                image_properties.push((key.to_owned(), value));
            }
        }
        if let Some(value) = text("hypervisor")? {
            image_properties.push(("hypervisor_type".to_owned(), value));
        }
        let (name, version) = (text("name")?.unwrap_or_default(), text("version")?.unwrap_or_default());
        let properties = Self {
            image_id: fields.string("image_id")?,
            image_name: format!("{name}/{version}"),
            disk_format: fields.string("disk_format")?,
            container_format: fields.string("container_format")?,
            image_properties,
        };
        fields.finish();
        Ok(properties)
    }
}

/// The tags of the third argument (API version 3), as properties of the image.
pub fn tags(env: Option<&Value>) -> Read<Vec<(String, String)>> {
    let Some(tags) = env.and_then(|env| env.get("tags")).filter(|tags| !tags.is_null()) else {
        return Ok(Vec::new());
    };
    let Some(tags) = tags.as_object() else {
        return Err(FieldError::new("env.tags", "expected a hash"));
    };
    pairs_of("env.tags", tags)
}

fn pairs_of(path: &str, map: &Map<String, Value>) -> Read<Vec<(String, String)>> {
    map.iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| Ok((key.clone(), scalar(&format!("{path}.{key}"), value)?)))
        .collect()
}

/// A string, number or boolean as a string.
fn scalar(path: &str, value: &Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(FieldError::new(path, "expected a string, a number or a boolean")),
    }
}
