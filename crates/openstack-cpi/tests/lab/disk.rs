//! Disks and snapshots on the real Cinder and Nova.

use crate::driver::Request;
use crate::driver::lab::Lab;
use fault_proxy::{Fault, Rule};
use openstack::Query;
use serde_json::{Value, json};

const NOBODY: &str = "2b22b053-ffc3-4d5a-be30-407c624f6ce1";

#[test]
fn the_life_of_a_disk() {
    let Some(lab) = Lab::open("disk") else { return };
    let before = lab.inventory();
    let vm = lab.made_vm(json!({}), &lab.free_ip());

    let disk =
        lab.call("create_disk", json!([1025, {"type": "fast"}, vm])).result().as_str().unwrap().to_owned();
    let volume = lab.client.volume().volume(&disk).unwrap();
    assert_eq!((volume.size, volume.status.as_str()), (2, "available"), "1025 MiB are 2 GiB");
    assert_eq!(volume.volume_type.as_deref(), Some("fast"));
    assert_eq!(volume.availability_zone.as_deref(), Some("nova"));
    assert!(volume.name.unwrap().starts_with("volume-"));
    assert_eq!(lab.call("has_disk", json!([disk])).result(), &json!(true));

    for _ in 0..2 {
        lab.call("set_disk_metadata", json!([disk, {"deployment": "cf", "index": 0}])).result();
    }
    assert_eq!(lab.client.volume().volume(&disk).unwrap().metadata["deployment"], "cf");

    for size in [2048, 3072, 3072] {
        lab.call("resize_disk", json!([disk, size])).result();
    }
    assert_eq!(lab.client.volume().volume(&disk).unwrap().size, 3);
    let answer = lab.call("resize_disk", json!([disk, 1024]));
    let text = "Cannot resize volume to a smaller size from 3 GiB to 1 GiB";
    assert_eq!(answer.error(), ("Bosh::Clouds::NotSupported", text, false));

    let device = lab.call("attach_disk", json!([vm, disk])).result().as_str().unwrap().to_owned();
    assert!(device.starts_with("/dev/"), "{device}");
    assert_eq!(
        lab.call("attach_disk", json!([vm, disk])).result(),
        &json!(device),
        "attached already is good"
    );
    assert_eq!(lab.call("get_disks", json!([vm])).result(), &json!([disk]));
    let text = format!("Cannot resize volume '{disk}' it still has 1 attachment(s)");
    assert_eq!(lab.call("resize_disk", json!([disk, 4096])).cloud_error(), text);
    let text = format!("Cannot delete volume `{disk}', state is in-use");
    assert_eq!(lab.call("delete_disk", json!([disk])).cloud_error(), text);

    let metadata =
        json!({"director_name": "dir", "deployment": "cf", "job": "db", "index": 0, "instance_id": "i-1"});
    let snapshot = lab.call("snapshot_disk", json!([disk, metadata])).result().as_str().unwrap().to_owned();
    let found = lab.client.volume().snapshot(&snapshot).unwrap();
    assert_eq!(found.metadata["director"], "dir");
    assert_eq!(found.metadata["instance_index"], "0");
    assert_eq!(found.metadata["instance_name"], "db/i-1");
    assert!(found.description.unwrap().starts_with("cf/db/0/"));
    // The lab's Cinder is too quick to be seen at it.
    let body = format!(r#"{{"snapshot": {{"id": "{snapshot}", "status": "creating"}}}}"#);
    let creating = Rule::on("GET", "/snapshots/").fault(Fault::answer(200).body(&body));
    let delete = Request::new("delete_snapshot", json!([snapshot]));
    let answer = lab.call_with(json!({}), &delete, vec![creating]);
    let text = format!("Cannot delete snapshot `{snapshot}', state is creating");
    assert_eq!(answer.cloud_error(), text);
    lab.call("delete_snapshot", json!([snapshot])).result();
    lab.call("delete_snapshot", json!([snapshot])).result();

    lab.call("detach_disk", json!([vm, disk])).result();
    lab.call("detach_disk", json!([vm, disk])).result();
    assert_eq!(lab.call("get_disks", json!([vm])).result(), &json!([]));
    lab.call("delete_vm", json!([vm])).result();
    lab.call("delete_disk", json!([disk])).result();
    lab.call("delete_disk", json!([disk])).result();
    assert_eq!(lab.call("has_disk", json!([disk])).result(), &json!(false));
    assert_eq!(lab.inventory(), before);
}

#[test]
fn a_disk_without_a_vm_and_another_type_for_it() {
    let Some(lab) = Lab::open("disk-type") else { return };
    let disk = lab.call("create_disk", json!([1024, {}, null])).result().as_str().unwrap().to_owned();
    let size_and_type = || {
        let volume = lab.client.volume().volume(&disk).unwrap();
        (volume.size, volume.volume_type.unwrap(), volume.status)
    };
    assert_eq!(size_and_type(), (1, "default".into(), "available".into()));
    let updated = |size: u64, properties: Value| {
        assert_eq!(lab.call("update_disk", json!([disk, size, properties])).result(), &json!(disk));
    };
    updated(2048, json!({}));
    assert_eq!(size_and_type(), (2, "default".into(), "available".into()));
    updated(2048, json!({"type": "fast"}));
    assert_eq!(size_and_type(), (2, "fast".into(), "available".into()));
    updated(3072, json!({"type": "default"}));
    assert_eq!(size_and_type(), (3, "default".into(), "available".into()));
    updated(3072, json!({"type": "default"}));
    let changes = lab.requests().iter().filter(|request| request.url.ends_with("/action")).count();
    assert_eq!(changes, 0, "it is so already");
    let answer = lab.call("update_disk", json!([disk, 3072, {"type": "no-such-type"}]));
    assert!(answer.cloud_error().contains("no-such-type"), "{}", answer.cloud_error());
    let answer = lab.call("update_disk", json!([disk, 1024, {}]));
    let text = "Cannot resize volume to a smaller size from 3 GiB to 1 GiB";
    assert_eq!(answer.error(), ("Bosh::Clouds::NotSupported", text, false));
    let default = json!({"default_volume_type": "fast"});
    let request = Request::new("create_disk", json!([1024, {}]));
    let second = lab.call_with(default, &request, Vec::new()).result().as_str().unwrap().to_owned();
    assert_eq!(lab.client.volume().volume(&second).unwrap().volume_type.as_deref(), Some("fast"));
    for disk in [disk, second] {
        lab.call("delete_disk", json!([disk])).result();
    }
    let answer = lab.call("create_disk", json!([1024, {"type": "no-such-type"}]));
    assert!(answer.cloud_error().contains("no-such-type"), "{}", answer.cloud_error());
    let answer = lab.call("create_disk", json!([1023, {}]));
    assert_eq!(answer.cloud_error(), "Minimum disk size is 1 GiB");
    assert_eq!(lab.client.volume().volumes(&Query::new()).unwrap(), []);
}

#[test]
fn what_is_not_there_is_told_in_rubys_words() {
    let Some(lab) = Lab::open("no-disk") else { return };
    let fails = |method: &str, arguments: Value| lab.call(method, arguments).cloud_error().to_owned();
    assert_eq!(fails("attach_disk", json!([NOBODY, NOBODY])), format!("Server `{NOBODY}' not found"));
    assert_eq!(fails("detach_disk", json!([NOBODY, NOBODY])), format!("Server `{NOBODY}' not found"));
    assert_eq!(fails("set_disk_metadata", json!([NOBODY, {"a": "b"}])), format!("Disk `{NOBODY}' not found"));
    assert_eq!(fails("snapshot_disk", json!([NOBODY, {}])), format!("Volume `{NOBODY}' not found"));
    let text = format!("Cannot resize volume because volume with {NOBODY} not found");
    assert_eq!(fails("resize_disk", json!([NOBODY, 2048])), text);
    assert_eq!(lab.call("has_disk", json!([NOBODY])).result(), &json!(false));
    assert_eq!(lab.call("delete_disk", json!([NOBODY])).result(), &Value::Null);
    assert_eq!(lab.call("delete_snapshot", json!([NOBODY])).result(), &Value::Null);
}
