//! Cinder: a volume and its snapshot from nothing to gone.

use std::collections::BTreeMap;

use openstack::volume::{SnapshotCreate, VolumeCreate};
use openstack::{Client, Deletion, ErrorKind, OrNone, Query};

use crate::lab::{AtTheEnd, client, unique, wait_for};

fn wait_for_volume(client: &Client, id: &str, status: &str) {
    wait_for(&format!("volume {status}"), || {
        let volume = client.volume().volume(id)?;
        assert!(!volume.status.starts_with("error"), "{volume:?}");
        Ok((volume.status == status).then_some(()))
    });
}

#[test]
fn a_volume_grows_is_described_copied_and_removed() {
    let Some(client) = client() else { return };
    let cinder = client.volume();
    let name = unique("volume");
    let create = VolumeCreate { name: Some(name.clone()), size: 1, ..VolumeCreate::default() };
    let volume = cinder.create_volume(&create).unwrap();
    let _end = AtTheEnd(|| drop(cinder.delete_volume(&volume.id)));
    wait_for_volume(&client, &volume.id, "available");
    cinder.extend_volume(&volume.id, 2, false).unwrap();
    wait_for("the larger size", || {
        let volume = cinder.volume(&volume.id)?;
        Ok((volume.size == 2 && volume.status == "available").then_some(()))
    });
    let smaller = cinder.extend_volume(&volume.id, 1, false).unwrap_err();
    assert_eq!((smaller.kind(), smaller.code()), (ErrorKind::BadRequest, Some("badRequest")), "{smaller}");
    cinder.set_volume_metadata(&volume.id, &BTreeMap::from([("deployment".into(), "cf".into())])).unwrap();
    assert_eq!(cinder.volume(&volume.id).unwrap().metadata["deployment"], "cf");
    assert_eq!(cinder.volumes_named(&name).unwrap().len(), 1);

    let snapshot_name = unique("snapshot");
    let create = SnapshotCreate {
        volume_id: volume.id.clone(),
        name: snapshot_name.clone(),
        force: true,
        ..SnapshotCreate::default()
    };
    let snapshot = cinder.create_snapshot(&create).unwrap();
    wait_for("the snapshot", || Ok((cinder.snapshot(&snapshot.id)?.status == "available").then_some(())));
    cinder.set_snapshot_metadata(&snapshot.id, &BTreeMap::from([("k".into(), "v".into())])).unwrap();
    assert_eq!(cinder.snapshots_named(&snapshot_name).unwrap().len(), 1);
    let used = cinder.delete_volume(&volume.id).unwrap_err();
    assert_eq!(used.kind(), ErrorKind::BadRequest, "a volume with a snapshot: {used}");
    assert_eq!(cinder.delete_snapshot(&snapshot.id).unwrap(), Deletion::Accepted);
    wait_for("the snapshot's end", || Ok(cinder.snapshot(&snapshot.id).or_none()?.is_none().then_some(())));
    assert_eq!(cinder.delete_snapshot(&snapshot.id).unwrap(), Deletion::Gone);

    assert_eq!(cinder.delete_volume(&volume.id).unwrap(), Deletion::Accepted);
    wait_for("the volume's end", || Ok(cinder.volume(&volume.id).or_none()?.is_none().then_some(())));
    assert_eq!(cinder.delete_volume(&volume.id).unwrap(), Deletion::Gone);
}

#[test]
fn types_zones_attachments_and_refusals() {
    let Some(client) = client() else { return };
    let cinder = client.volume();
    let types: Vec<String> = cinder.volume_types().unwrap().into_iter().map(|kind| kind.name).collect();
    assert!(types.contains(&"fast".to_owned()), "{types:?}");
    assert!(
        cinder.availability_zones().unwrap().iter().any(|zone| zone.name == "nova" && zone.state.available)
    );
    cinder.attachments(&Query::new()).unwrap();
    let create =
        VolumeCreate { size: 1, volume_type: Some("no-such-type".into()), ..VolumeCreate::default() };
    let error = cinder.create_volume(&create).unwrap_err();
    assert!(error.message().contains("no-such-type"), "{error}");
    assert!(error.request_id().is_some() && !error.is_ambiguous(), "{error:?}");
    let error = cinder.volume("00000000-0000-0000-0000-000000000000").unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("itemNotFound")), "{error}");
}
