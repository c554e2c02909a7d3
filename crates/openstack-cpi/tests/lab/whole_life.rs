//! A deployment from its stemcell to its end, by `bin/cpi` of the release's job, as the director's VM has it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use openstack::network::{FixedIp, PortCreate};
use serde_json::{Value, json};

use crate::driver::lab::Lab;
use crate::driver::stemcell::{plain, properties};
use crate::driver::{Answer, EXECUTABLE, Request};

/// The job `openstack_cpi`, rendered by a real ERB, with its package beside it.
struct InstalledJob {
    folder: tempfile::TempDir,
}

impl InstalledJob {
    fn new(lab: &Lab) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bosh = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bosh");
        let given = &lab.config["cloud"]["properties"];
        let input = json!({
            "properties": {"openstack": given["openstack"], "agent": given["agent"], "ntp": []},
            "spec": {"name": "bosh", "index": 0}, "links": {},
        });
        let mut ruby = Command::new("ruby")
            .arg(bosh.join("test/render.rb"))
            .arg(bosh.join("jobs/openstack_cpi"))
            .arg(folder.path().join("jobs/openstack_cpi"))
            .stdin(Stdio::piped())
            .spawn()
            .expect("ruby starts");
        ruby.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        assert!(ruby.wait().unwrap().success());
        let package = folder.path().join("packages/openstack_cpi/bin");
        std::fs::create_dir_all(&package).unwrap();
        std::os::unix::fs::symlink(EXECUTABLE, package.join("openstack_cpi")).unwrap();
        Self { folder }
    }

    /// The result of a call of `bin/cpi` in the environment that the director leaves it.
    #[track_caller]
    fn cpi(&self, method: &str, arguments: Value) -> Value {
        let mut child = Command::new(self.folder.path().join("jobs/openstack_cpi/bin/cpi"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("BOSH_PACKAGES_DIR", self.folder.path().join("packages"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bin/cpi starts");
        child.stdin.take().unwrap().write_all(Request::new(method, arguments).text().as_bytes()).unwrap();
        Answer::of(&child.wait_with_output().unwrap()).result().clone()
    }

    /// The same, of a method that gives an id.
    #[track_caller]
    fn made(&self, method: &str, arguments: Value) -> String {
        self.cpi(method, arguments).as_str().unwrap().to_owned()
    }
}

#[test]
fn a_whole_life_through_bin_cpi() {
    let Some(lab) = Lab::open("whole-life") else { return };
    let job = InstalledJob::new(&lab);
    let before = lab.inventory();
    assert_eq!(job.cpi("ping", json!([])), json!("pong"));
    assert_eq!(job.cpi("info", json!([]))["api_version"], json!(3));

    let folder = tempfile::tempdir().unwrap();
    let archive = plain(folder.path(), 1 << 20);
    let stemcell = job.made("create_stemcell", json!([archive, properties()]));

    // A network of the director, and in it the reserved port, which is the operator's.
    let definition = json!({"type": "manual", "range": "10.83.0.0/24", "gateway": "10.83.0.1",
                            "cloud_properties": {"name": "whole-life", "enable_dhcp": false}});
    let network = job.cpi("create_network", json!([definition]))[2]["net_id"].as_str().unwrap().to_owned();
    let vip = "10.83.0.200";
    let port = PortCreate {
        network_id: network.clone(),
        fixed_ips: Some(vec![FixedIp::address(vip)]),
        ..PortCreate::default()
    };
    let reserved = lab.client.network().create_port(&port).unwrap();

    let wanted = json!({"cpu": 1, "ram": 512, "ephemeral_disk_size": 1024});
    let mut vm_type = job.cpi("calculate_vm_cloud_properties", json!([wanted]));
    vm_type["allowed_address_pairs"] = json!(vip);
    let mut vms = Vec::new();
    for ip in ["10.83.0.11", "10.83.0.12"] {
        let networks = json!({"private": {
            "type": "manual", "ip": ip, "netmask": "255.255.255.0", "gateway": "10.83.0.1",
            "dns": [], "default": ["dns", "gateway"], "cloud_properties": {"net_id": network},
        }});
        let result = job.cpi("create_vm", json!(["agent", stemcell, vm_type, networks, [], {}]));
        let vm = result[0].as_str().unwrap().to_owned();
        let ports = lab.ports_of(&vm);
        assert_eq!(ports.len(), 1);
        assert!(ports[0].has_fixed_ip(ip));
        let pairs: Vec<&str> =
            ports[0].allowed_address_pairs.iter().map(|pair| pair.ip_address.as_str()).collect();
        assert_eq!(pairs, [vip], "what Neutron says of the port of {ip}");
        vms.push(vm);
    }

    for (index, vm) in vms.iter().enumerate() {
        assert_eq!(job.cpi("has_vm", json!([vm])), json!(true));
        job.cpi("set_vm_metadata", json!([vm, {"deployment": "cf", "job": "router", "index": index}]));
        let disk = job.made("create_disk", json!([1024, {}, vm]));
        assert_eq!(job.cpi("has_disk", json!([disk])), json!(true));
        job.cpi("set_disk_metadata", json!([disk, {"deployment": "cf"}]));
        assert!(job.made("attach_disk", json!([vm, disk])).starts_with("/dev/"));
        assert_eq!(job.cpi("get_disks", json!([vm])), json!([disk]));
        let snapshot = job.made("snapshot_disk", json!([disk, {"deployment": "cf", "job": "router"}]));
        job.cpi("reboot_vm", json!([vm]));
        job.cpi("delete_snapshot", json!([snapshot]));
        job.cpi("detach_disk", json!([vm, disk]));
        job.cpi("resize_disk", json!([disk, 2048]));
        assert_eq!(job.made("update_disk", json!([disk, 3072, {"type": "fast"}])), disk);
        let volume = lab.client.volume().volume(&disk).unwrap();
        assert_eq!((volume.size, volume.volume_type.as_deref()), (3, Some("fast")));
        // Larger than it was, it goes back to its VM, and away with it.
        job.cpi("attach_disk", json!([vm, disk]));
        job.cpi("detach_disk", json!([vm, disk]));
        job.cpi("delete_vm", json!([vm]));
        assert_eq!(job.cpi("has_vm", json!([vm])), json!(false));
        job.cpi("delete_disk", json!([disk]));
        assert_eq!(job.cpi("has_disk", json!([disk])), json!(false));
    }

    let left = lab.client.network().port(&reserved.id).unwrap();
    assert_eq!((left.fixed_ips, left.device_id), (reserved.fixed_ips, reserved.device_id));
    lab.client.network().delete_port(&reserved.id).unwrap();
    job.cpi("delete_network", json!([network]));
    job.cpi("delete_stemcell", json!([stemcell]));
    assert_eq!(lab.inventory(), before);
}
