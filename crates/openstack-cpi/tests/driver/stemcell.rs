//! Stemcells as bosh.io packs them.

use std::io::Read;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// Writes an archive whose file of this name is what the reader gives; its path.
pub(crate) fn archive(folder: &Path, mut image: impl Read, size: u64, name: &str) -> String {
    let path = folder.join("image");
    let encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, &mut image).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    path.to_str().unwrap().to_owned()
}

/// An archive with so many bytes of `root.img`, all the same.
pub(crate) fn plain(folder: &Path, size: u64) -> String {
    archive(folder, std::io::repeat(7).take(size), size, "root.img")
}

/// The properties that a stemcell cannot do without.
pub(crate) fn properties() -> Value {
    json!({"name": "s", "version": "1", "disk_format": "raw", "container_format": "bare"})
}
