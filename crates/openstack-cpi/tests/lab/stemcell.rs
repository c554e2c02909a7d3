//! Stemcells on the real Glance, and networks of the director on the real Neutron.

use std::io::Read;

use crate::driver::lab::Lab;
use crate::driver::stemcell::archive;
use crate::driver::{Answer, Request, start};
use openstack::network::PortCreate;
use serde_json::{Value, json};

fn properties() -> Value {
    json!({"name": "bosh-openstack-kvm-ubuntu", "version": "1.2", "infrastructure": "openstack", "hypervisor": "kvm",
           "disk": 3072, "disk_format": "raw", "container_format": "bare", "os_type": "linux", "os_distro": "ubuntu",
           "architecture": "x86_64", "auto_disk_config": true, "hw_vif_multiqueue_enabled": true})
}

fn as_text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_life_of_a_heavy_stemcell() {
    let Some(lab) = Lab::open("heavy") else { return };
    let before = lab.inventory();
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> =
        (0..750_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let path = archive(folder.path(), content.as_slice(), content.len() as u64, "root.img");

    let env = json!({"tags": {"deployment": "cf", "os_type": "never"}});
    let mut request = Request::new("create_stemcell", json!([path, properties(), env]));
    request.api_version = Some(3);
    let answer = lab.call_with(json!({}), &request, Vec::new());
    let cid = as_text(answer.result()).to_owned();
    assert!(!answer.stderr.contains("Warning"), "{}", answer.stderr);
    let image = lab.client.image().image(&cid).unwrap();
    assert_eq!(image.name.as_deref(), Some("bosh-openstack-kvm-ubuntu/1.2"));
    assert_eq!((image.status.as_str(), image.visibility.as_str()), ("active", "private"));
    assert_eq!(image.size, Some(content.len() as u64));
    for (key, value) in [
        ("version", "1.2"),
        ("os_type", "linux"),
        ("os_distro", "ubuntu"),
        ("architecture", "x86_64"),
        ("auto_disk_config", "true"),
        ("hw_vif_multiqueue_enabled", "true"),
        ("hypervisor_type", "kvm"),
        ("deployment", "cf"),
    ] {
        assert_eq!(image.properties[key], json!(value), "{key}");
    }
    let path = format!("/images/{cid}/file");
    let request = openstack::Request::new(openstack::Service::Image, openstack::Method::Get, path);
    assert!(lab.client.send(request).unwrap().body == content, "what arrived is what was sent");

    lab.call("delete_stemcell", json!([cid])).result();
    lab.call("delete_stemcell", json!([cid])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn light_stemcells_never_touch_the_image() {
    let Some(lab) = Lab::open("light") else { return };
    let light = |image: &str| {
        lab.call("create_stemcell", json!(["", {"image_id": image, "name": "n", "version": "1"}]))
    };
    // bosh-cli gives light stemcells a path too, but an empty one is no reason to fail.
    let answer = light(&lab.image_id);
    let cid = as_text(answer.result()).to_owned();
    assert_eq!(cid, format!("{} light", lab.image_id));
    lab.call("delete_stemcell", json!([cid])).result();
    assert!(lab.requests().is_empty(), "nothing is asked to delete a light stemcell");
    let nobody = "2b22b053-ffc3-4d5a-be30-407c624f6ce1";
    let text = format!("No active image with id '{nobody}' referenced by light stemcell found in OpenStack.");
    assert_eq!(light(nobody).cloud_error(), text);
    // Without its mark it is an image like any other; this one is the cloud operator's.
    let answer = lab.call("delete_stemcell", json!([lab.image_id]));
    assert!(answer.cloud_error().starts_with("OpenStack API Forbidden Glance DELETE "), "{}", answer.json);
    // The CID works in create_vm.
    let mut arguments = lab.vm(json!({"instance_type": "no-such"}), lab.manual(&lab.free_ip()));
    arguments[1] = json!(cid);
    assert_eq!(lab.call("create_vm", arguments).cloud_error(), "Flavor `no-such' not found");
}

#[test]
fn a_bad_archive_leaves_no_image() {
    let Some(lab) = Lab::open("bad-stemcell") else { return };
    let before = lab.inventory();
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> =
        (0..250_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let path = archive(folder.path(), content.as_slice(), content.len() as u64, "other.img");
    let answer = lab.call("create_stemcell", json!([path, properties()]));
    assert_eq!(answer.cloud_error(), "Root image is missing from stemcell archive");

    let path = archive(folder.path(), content.as_slice(), content.len() as u64, "root.img");
    let whole = std::fs::read(&path).unwrap();
    for length in [whole.len() / 2, whole.len() - 4] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let answer = lab.call("create_stemcell", json!([path, properties()]));
        let text = "Extracting stemcell root image failed. Check task debug log for details.";
        assert!(answer.cloud_error().starts_with(text), "{}", answer.cloud_error());
        assert_eq!(lab.inventory(), before);
    }
    let answer =
        lab.call("create_stemcell", json!([path, {"name": "a", "version": "1", "container_format": "bare"}]));
    assert_eq!(answer.argument_error(), "cloud_properties.disk_format: missing key");
}

#[test]
fn a_large_stemcell_needs_little_memory() {
    let Some(lab) = Lab::open("large") else { return };
    let folder = tempfile::tempdir().unwrap();
    let size: u64 = 256 << 20;
    let path = archive(folder.path(), std::io::repeat(0x5a).take(size), size, "root.img");
    lab.proxy.set_rules(Vec::new());
    // The proxy of the tests would hold the body to log it: straight to Glance.
    let config = lab.config_with(json!({"connection_options": {}}));
    let request = Request::new("create_stemcell", json!([path, properties()])).text();
    let child = start(&["--config", config.path.to_str().unwrap()], &request);
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while let Ok(text) = std::fs::read_to_string(&status) {
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        peak_kib = peak_kib.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let answer = Answer::of(&child.wait_with_output().unwrap());
    assert_eq!(lab.client.image().image(as_text(answer.result())).unwrap().size, Some(size));
    println!("peak of resident memory: {peak_kib} KiB for {size} bytes");
    assert!(peak_kib > 0 && peak_kib < 32 * 1024, "{peak_kib} KiB");
}

#[test]
fn networks_of_the_director() {
    let Some(lab) = Lab::open("network") else { return };
    let definition = json!({"type": "manual", "range": "10.82.0.0/24", "gateway": "10.82.0.1", "dns": ["10.82.0.1"],
                            "cloud_properties": {"name": "of-the-director", "enable_dhcp": false,
                                                 "security_groups": ["default"]}});
    let answer = lab.call("create_network", json!([definition]));
    let result = answer.result().clone();
    let id = as_text(&result[0]);
    assert_eq!(result[1], json!({"range": "10.82.0.0/24", "gateway": "10.82.0.1", "reserved": []}));
    assert_eq!(result[2], json!({"security_groups": ["default"], "net_id": id}));
    let network = lab.client.network().network(id).unwrap();
    assert_eq!((network.name.as_str(), network.subnets.len()), ("of-the-director", 1));
    let subnet = lab.client.network().subnet(&network.subnets[0]).unwrap();
    assert!(!subnet.enable_dhcp);
    let port = PortCreate { network_id: id.to_owned(), ..PortCreate::default() };
    let port = lab.client.network().create_port(&port).unwrap();
    let answer = lab.call("delete_network", json!([id]));
    assert!(answer.cloud_error().starts_with("OpenStack API Conflict Neutron DELETE "), "{}", answer.json);
    lab.client.network().delete_port(&port.id).unwrap();
    lab.call("delete_network", json!([id])).result();
    lab.call("delete_network", json!([id])).result();

    let properties = json!({"enable_dhcp": false});
    let definition =
        json!({"range": "fd00:82::/64", "gateway": "fd00:82::1", "cloud_properties": properties});
    let result = lab.call("create_network", json!([definition])).result().clone();
    assert_eq!(result[1], json!({"range": "fd00:82::/64", "gateway": "fd00:82::1", "reserved": []}));
    lab.call("delete_network", json!([result[0]])).result();
    for (definition, text) in [
        (json!({"cloud_properties": {}}), "subnet_definition.range: missing key"),
        (json!({"range": "10.0.0.5"}), "subnet_definition.range: '10.0.0.5' is no CIDR"),
        (
            json!({"range": "10.0.0.0/24", "gateway": "10.1.0.1"}),
            "subnet_definition.gateway: 10.1.0.1 lies outside",
        ),
    ] {
        let answer = lab.call("create_network", json!([definition]));
        assert!(answer.argument_error().starts_with(text), "{}", answer.argument_error());
    }
}
