//! The properties of a disk type.

use serde_json::Value;

use crate::fields::{Fields, Read, Warnings};

/// What a disk type says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DiskProperties {
    /// The volume type. `Some(None)` is a `type` of null: no type is sent, not even the default one.
    pub volume_type: Option<Option<String>>,
}

impl DiskProperties {
    /// Reads them.
    pub fn read(value: &Value, warnings: &Warnings) -> Read<Self> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let fields = Fields::of("cloud_properties", value, warnings)?;
        let volume_type = if fields.has("type") { Some(fields.string("type")?) } else { None };
        fields.finish();
        Ok(Self { volume_type })
    }

    /// The type that is sent, with the configured default for a disk that says nothing.
    pub fn volume_type_or(self, default: Option<&str>) -> Option<String> {
        self.volume_type.unwrap_or_else(|| default.map(str::to_owned))
    }
}
