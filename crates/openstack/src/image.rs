//! Glance v2: images and their data.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::error::{Deletion, Result};
use crate::query::{Query, encode};
use crate::request::{Method, Request};
use crate::service::Service;

/// Glance's calls: [`Client::image`].
#[derive(Debug, Clone, Copy)]
pub struct ImageApi<'a> {
    pub(crate) client: &'a Client,
}

const GLANCE: Service = Service::Image;

fn image_path(id: &str) -> String {
    format!("/images/{}", encode(id))
}

impl ImageApi<'_> {
    /// Images that match.
    pub fn images(&self, query: &Query) -> Result<Vec<Image>> {
        self.client.list(GLANCE, "/images", "images", query)
    }

    /// Images with exactly this name.
    pub fn images_named(&self, name: &str) -> Result<Vec<Image>> {
        // A value with a comma or colon has to be quoted for Glance's `in:` and operator syntax; a plain `name=`
        // is matched as it is.
        self.images(&Query::new().filter("name", name))
    }

    /// One image.
    pub fn image(&self, id: &str) -> Result<Image> {
        self.client.decoded(Request::new(GLANCE, Method::Get, image_path(id)))
    }

    /// Makes an image without data (`queued`).
    pub fn create_image(&self, image: &ImageCreate) -> Result<Image> {
        self.client.decoded(Request::new(GLANCE, Method::Post, "/images").json(image)?)
    }

    /// Sends an image's data as it is read, with a `Content-Length`; `length` must be exact. Sent once: after a
    /// failure the image is `queued` or `saving`, and is best deleted.
    pub fn upload_image(&self, id: &str, data: &mut dyn Read, length: u64) -> Result<()> {
        let request = Request::new(GLANCE, Method::Put, format!("{}/file", image_path(id))).stream(
            data,
            length,
            "application/octet-stream",
        );
        self.client.send(request).map(drop)
    }

    /// Removes an image and its data.
    pub fn delete_image(&self, id: &str) -> Result<Deletion> {
        self.client.delete(GLANCE, image_path(id))
    }

    /// Sets properties (adds or replaces them).
    pub fn set_image_properties(&self, id: &str, properties: &BTreeMap<String, String>) -> Result<Image> {
        let changes: Vec<Value> = properties
            .iter()
            .map(|(key, value)| {
                let path = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                json!({ "op": "add", "path": path, "value": value })
            })
            .collect();
        let request = Request::new(GLANCE, Method::Patch, image_path(id))
            .json(&changes)?
            .content_type("application/openstack-images-v2.1-json-patch")
            .repeat(crate::request::Repeat::Safe);
        self.client.decoded(request)
    }
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Image {
    /// UUID.
    pub id: String,
    /// Not unique, may be missing.
    pub name: Option<String>,
    /// `queued`, `saving`, `importing`, `active`, `killed`, `deleted`, `deactivated`.
    pub status: String,
    /// `public`, `private`, `shared`, `community`.
    pub visibility: String,
    /// Bytes; none while there is no data.
    pub size: Option<u64>,
    /// `raw`, `qcow2`.
    pub disk_format: Option<String>,
    /// `bare`.
    pub container_format: Option<String>,
    /// GiB.
    pub min_disk: u64,
    /// MiB.
    pub min_ram: u64,
    /// Its project.
    pub owner: Option<String>,
    /// Whether it may not be deleted.
    pub protected: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// ISO 8601.
    pub created_at: Option<String>,
    /// MD5, hex.
    pub checksum: Option<String>,
    /// Its properties (`os_type`, `hw_vif_model`), and what Glance adds.
    #[serde(flatten)]
    pub properties: Map<String, Value>,
}

/// An image to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImageCreate {
    /// Its name.
    pub name: String,
    /// `raw`, `qcow2`.
    pub disk_format: String,
    /// `bare`.
    pub container_format: String,
    /// `private`, `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_disk: Option<u64>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ram: Option<u64>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its properties.
    #[serde(flatten)]
    pub properties: BTreeMap<String, String>,
}
