//! Cinder v3: volumes, snapshots, types, zones, attachments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::error::{Deletion, Result};
use crate::query::{Query, encode};
use crate::request::{Method, Repeat, Request};
use crate::service::Service;

/// Cinder's calls: [`Client::volume`]. The microversion is 3.0 unless a method says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct VolumeApi<'a> {
    pub(crate) client: &'a Client,
}

const CINDER: Service = Service::Volume;

/// Volumes in use can be extended.
const EXTEND_IN_USE: &str = "3.42";

/// `/attachments` exists.
const ATTACHMENTS: &str = "3.27";

fn volume_path(id: &str) -> String {
    format!("/volumes/{}", encode(id))
}

fn snapshot_path(id: &str) -> String {
    format!("/snapshots/{}", encode(id))
}

impl VolumeApi<'_> {
    // Volumes.

    /// Volumes that match, in full.
    pub fn volumes(&self, query: &Query) -> Result<Vec<Volume>> {
        self.client.list(CINDER, "/volumes/detail", "volumes", query)
    }

    /// Volumes with exactly this name.
    pub fn volumes_named(&self, name: &str) -> Result<Vec<Volume>> {
        self.volumes(&Query::new().filter("name", name))
    }

    /// One volume.
    pub fn volume(&self, id: &str) -> Result<Volume> {
        self.client.get(CINDER, volume_path(id), "volume")
    }

    /// Asks for a volume; it is `creating` at first. Names are not unique: see [`Client::create_or_find`].
    pub fn create_volume(&self, volume: &VolumeCreate) -> Result<Volume> {
        self.client.create(CINDER, "/volumes", "volume", volume)
    }

    /// Asks for a volume's removal; it is gone when [`volume`](Self::volume) answers 404.
    pub fn delete_volume(&self, id: &str) -> Result<Deletion> {
        self.client.delete(CINDER, volume_path(id))
    }

    /// Grows a volume to so many GiB. One that is attached needs `in_use` (microversion 3.42).
    pub fn extend_volume(&self, id: &str, new_size: u64, in_use: bool) -> Result<()> {
        let microversion = in_use.then_some(EXTEND_IN_USE);
        self.volume_action(id, &json!({ "os-extend": { "new_size": new_size } }), microversion).map(drop)
    }

    /// Gives a volume another type; `policy` is `never` or `on-demand` (may move the data).
    pub fn retype_volume(&self, id: &str, new_type: &str, policy: &str) -> Result<()> {
        let action = json!({ "os-retype": { "new_type": new_type, "migration_policy": policy } });
        self.volume_action(id, &action, None).map(drop)
    }

    /// Sets a volume's status by hand (for administrators).
    pub fn reset_volume_status(&self, id: &str, status: &str) -> Result<()> {
        self.volume_action(id, &json!({ "os-reset_status": { "status": status } }), None).map(drop)
    }

    /// Any other action; the answer's bytes may be empty.
    pub fn volume_action(
        &self,
        id: &str,
        action: &Value,
        microversion: Option<&'static str>,
    ) -> Result<Vec<u8>> {
        let mut request =
            Request::new(CINDER, Method::Post, format!("{}/action", volume_path(id))).json(action)?;
        if let Some(microversion) = microversion {
            request = request.microversion(microversion);
        }
        Ok(self.client.send(request)?.body)
    }

    /// Sets these items of a volume's metadata and leaves the others.
    pub fn set_volume_metadata(&self, id: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
        self.set_metadata(&volume_path(id), metadata)
    }

    // Snapshots.

    /// Snapshots that match, in full.
    pub fn snapshots(&self, query: &Query) -> Result<Vec<Snapshot>> {
        self.client.list(CINDER, "/snapshots/detail", "snapshots", query)
    }

    /// Snapshots with exactly this name.
    pub fn snapshots_named(&self, name: &str) -> Result<Vec<Snapshot>> {
        self.snapshots(&Query::new().filter("name", name))
    }

    /// One snapshot.
    pub fn snapshot(&self, id: &str) -> Result<Snapshot> {
        self.client.get(CINDER, snapshot_path(id), "snapshot")
    }

    /// Asks for a snapshot; it is `creating` at first.
    pub fn create_snapshot(&self, snapshot: &SnapshotCreate) -> Result<Snapshot> {
        self.client.create(CINDER, "/snapshots", "snapshot", snapshot)
    }

    /// Asks for a snapshot's removal.
    pub fn delete_snapshot(&self, id: &str) -> Result<Deletion> {
        self.client.delete(CINDER, snapshot_path(id))
    }

    /// Sets a snapshot's status by hand (for administrators).
    pub fn reset_snapshot_status(&self, id: &str, status: &str) -> Result<()> {
        let request = Request::new(CINDER, Method::Post, format!("{}/action", snapshot_path(id)))
            .json(&json!({ "os-reset_status": { "status": status } }))?;
        self.client.send(request).map(drop)
    }

    /// Sets these items of a snapshot's metadata and leaves the others.
    pub fn set_snapshot_metadata(&self, id: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
        self.set_metadata(&snapshot_path(id), metadata)
    }

    fn set_metadata(self, of: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
        let request = Request::new(CINDER, Method::Post, format!("{of}/metadata"))
            .repeat(Repeat::Safe)
            .json(&json!({ "metadata": metadata }))?;
        self.client.send(request).map(drop)
    }

    // What the cloud has.

    /// The volume types that the project may use.
    pub fn volume_types(&self) -> Result<Vec<VolumeType>> {
        self.client.list(CINDER, "/types", "volume_types", &Query::new())
    }

    /// The availability zones for volumes.
    pub fn availability_zones(&self) -> Result<Vec<crate::compute::AvailabilityZone>> {
        self.client.get(CINDER, "/os-availability-zone", "availabilityZoneInfo")
    }

    /// Attachments that match (microversion 3.27).
    pub fn attachments(&self, query: &Query) -> Result<Vec<Attachment>> {
        let request =
            Request::new(CINDER, Method::Get, "/attachments/detail").query(query).microversion(ATTACHMENTS);
        self.client.object(request, "attachments")
    }

    /// Removes an attachment that its server forgot (microversion 3.27).
    pub fn delete_attachment(&self, id: &str) -> Result<Deletion> {
        let request = Request::new(CINDER, Method::Delete, format!("/attachments/{}", encode(id)))
            .microversion(ATTACHMENTS);
        self.client.deletion(request)
    }
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `creating`, `available`, `in-use`, `extending`, `retyping`, `deleting`, `error`, `error_deleting`.
    pub status: String,
    /// GiB.
    pub size: u64,
    /// The name of its type.
    pub volume_type: Option<String>,
    /// Its availability zone.
    pub availability_zone: Option<String>,
    /// Where it is attached.
    pub attachments: Vec<AttachedTo>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// `"true"` or `"false"`.
    pub bootable: String,
    /// Whether its type encrypts.
    pub encrypted: bool,
    /// Whether several servers may have it.
    pub multiattach: bool,
    /// The snapshot it was made from.
    pub snapshot_id: Option<String>,
    /// ISO 8601.
    pub created_at: Option<String>,
}

/// Where a volume is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AttachedTo {
    /// The server.
    pub server_id: String,
    /// `/dev/vdb`.
    pub device: Option<String>,
    /// The attachment.
    pub attachment_id: Option<String>,
}

/// A volume to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VolumeCreate {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// GiB.
    pub size: u64,
    /// The name or id of its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// From this snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// From this image.
    #[serde(rename = "imageRef", skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Its metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Anything else, by its API name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Its volume.
    pub volume_id: String,
    /// `creating`, `available`, `deleting`, `error`, `error_deleting`.
    pub status: String,
    /// GiB.
    pub size: u64,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A snapshot to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SnapshotCreate {
    /// Its volume.
    pub volume_id: String,
    /// Its name.
    pub name: String,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Also while the volume is in use.
    pub force: bool,
    /// Its metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A volume type.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VolumeType {
    /// UUID.
    pub id: String,
    /// Its name, unique.
    pub name: String,
    /// Whether every project sees it.
    pub is_public: bool,
}

/// An attachment, as Cinder keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// UUID.
    pub id: String,
    /// `attached`, `reserved`.
    pub status: String,
    /// The volume.
    pub volume_id: String,
    /// The server.
    pub instance: Option<String>,
}
