//! Glance: an image from nothing to gone.

use std::collections::BTreeMap;
use std::io::{self, Read};

use openstack::image::ImageCreate;
use openstack::{Deletion, ErrorKind, OrNone, Query};

use crate::lab::{AtTheEnd, client, unique};

/// Bytes made as they are read; how many were asked for at once is remembered.
struct Made {
    left: u64,
    largest: usize,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.largest = self.largest.max(buffer.len());
        let now = usize::try_from(self.left).unwrap().min(buffer.len());
        buffer[..now].fill(b'x');
        self.left -= now as u64;
        Ok(now)
    }
}

#[test]
fn an_image_is_made_filled_and_removed() {
    let Some(client) = client() else { return };
    let glance = client.image();
    let name = unique("image");
    let image = glance
        .create_image(&ImageCreate {
            name: name.clone(),
            disk_format: "raw".into(),
            container_format: "bare".into(),
            visibility: Some("private".into()),
            properties: BTreeMap::from([("hypervisor_type".into(), "qemu".into())]),
            ..ImageCreate::default()
        })
        .unwrap();
    let _end = AtTheEnd(|| drop(glance.delete_image(&image.id)));
    assert_eq!((image.status.as_str(), image.size), ("queued", None));
    assert_eq!(image.properties["hypervisor_type"], "qemu");

    let length = 8 * 1024 * 1024 + 1;
    let mut data = Made { left: length, largest: 0 };
    glance.upload_image(&image.id, &mut data, length).unwrap();
    assert!(data.largest <= 1 << 20, "read in pieces of {} bytes at most", data.largest);
    let full = glance.image(&image.id).unwrap();
    assert_eq!((full.status.as_str(), full.size), ("active", Some(length)));

    let twice = glance.upload_image(&image.id, &mut Made { left: 1, largest: 0 }, 1).unwrap_err();
    assert_eq!((twice.kind(), twice.status()), (ErrorKind::Conflict, Some(409)), "{twice}");
    let changed = glance
        .set_image_properties(&image.id, &BTreeMap::from([("os_type".into(), "linux".into())]))
        .unwrap();
    assert_eq!(changed.properties["os_type"], "linux");
    assert_eq!(glance.images_named(&name).unwrap().len(), 1);
    assert!(glance.images(&Query::new().page_size(1)).unwrap().len() >= 2, "all pages");

    assert_eq!(glance.delete_image(&image.id).unwrap(), Deletion::Accepted);
    assert_eq!(glance.delete_image(&image.id).unwrap(), Deletion::Gone);
    assert_eq!(glance.image(&image.id).or_none().unwrap(), None);
}

#[test]
fn refusals_come_in_glances_words() {
    let Some(client) = client() else { return };
    let glance = client.image();
    let error = glance.image("00000000-0000-0000-0000-000000000000").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("No image found with ID 00000000"), "{error}");
    assert!(error.request_id().is_some());
    let create = ImageCreate {
        name: "x".into(),
        disk_format: "floppy".into(),
        container_format: "bare".into(),
        ..ImageCreate::default()
    };
    let error = glance.create_image(&create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest);
    assert!(error.message().contains("floppy") && !error.message().contains('<'), "{error}");
}
