//! Virtual machines on the real OpenStack, with the pair on their port.

use std::collections::HashSet;

use crate::driver::Request;
use crate::driver::lab::{Lab, path_of};
use fault_proxy::{Fault, Rule};
use openstack::Query;
use serde_json::{Value, json};

#[test]
fn the_life_of_a_vm_with_a_vrrp_ip() {
    let Some(lab) = Lab::open("life") else { return };
    let (ip, vip) = (lab.free_ip(), lab.free_ip());
    let reserved = lab.reserve(&vip);
    let before = lab.inventory();

    let answer = lab.call("create_vm", lab.vm(json!({"allowed_address_pairs": vip}), lab.manual(&ip)));
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    let network = &answer.result()[1]["private"];
    assert_requests(&lab);

    // The port: address, pair, groups, and whose it is.
    let ports = lab.ports_of(&vm);
    assert_eq!(ports.len(), 1);
    let port = &ports[0];
    assert!(port.has_fixed_ip(&ip));
    assert_eq!(port.allowed_address_pairs.len(), 1);
    assert_eq!(port.allowed_address_pairs[0].ip_address, vip);
    assert_eq!(port.allowed_address_pairs[0].mac_address.as_deref(), Some(port.mac_address.as_str()));
    let tags: HashSet<&str> = port.tags.iter().map(String::as_str).collect();
    let server_tag = format!("server={vm}");
    assert_eq!(tags, HashSet::from(["bosh-openstack-cpi", "director=director-of-the-tests", &server_tag]));
    assert_eq!(network["mac"], json!(port.mac_address));
    assert_eq!(network["use_dhcp"], json!(false));

    // What the agent reads.
    let data = lab.user_data(&vm);
    assert_eq!(data["networks"]["private"], *network);
    assert_eq!(data["agent_id"], "agent-of-the-tests");
    assert_eq!(data["dns"], json!({"nameserver": ["10.77.0.1"]}));
    assert_eq!(data["disks"], json!({"system": "/dev/sda", "persistent": {}, "ephemeral": null}));
    assert_eq!(data["env"], json!({"bosh": {"group": "the-tests"}}));
    assert_eq!(data["mbus"], lab.config["cloud"]["properties"]["agent"]["mbus"]);
    assert_eq!(data["ntp"], lab.config["cloud"]["properties"]["agent"]["ntp"]);
    assert_eq!(data["server"]["name"], data["vm"]["name"]);
    assert_eq!(data["server"]["name"], json!(port.name));
    assert!(data.get("registry").is_none());

    assert_eq!(lab.call("has_vm", json!([vm])).result(), &json!(true));
    assert_eq!(lab.requests().len(), 2, "has_vm is one token and one request");

    let metadata = json!({"director": "d", "job": "router", "index": 3, "id": "the-id", "name": "router/the-id",
                          "long": "x".repeat(300), "none": null});
    for _ in 0..2 {
        assert_eq!(lab.call("set_vm_metadata", json!([vm, metadata])).result(), &Value::Null);
    }
    let server = lab.client.compute().server(&vm).unwrap();
    assert_eq!(server.metadata["id"], "the-id");
    assert_eq!(server.metadata["index"], "3");
    assert_eq!(server.metadata["long"].len(), 255);
    assert!(!server.metadata.contains_key("none"));
    assert!(server.name.starts_with("vm-"), "not renamed: human_readable_vm_names is off");

    for _ in 0..2 {
        assert_eq!(lab.call("reboot_vm", json!([vm])).result(), &Value::Null);
        assert_eq!(lab.client.compute().server(&vm).unwrap().status, "ACTIVE");
    }

    // Neutron does not let the port go: that is told, and the next call finds it though the server is gone.
    let refused = Rule::on("DELETE", "/v2.0/ports/").fault(Fault::answer(403));
    let answer = lab.call_with(json!({}), &Request::new("delete_vm", json!([vm])), vec![refused]);
    assert!(answer.cloud_error().starts_with("Removing ports: OpenStack API Forbidden "), "{}", answer.json);
    assert_eq!(lab.inventory_of(&["port"]).len(), 2, "the reserved port, and the VM's");
    // Neutron may call a port ACTIVE for a moment after Nova let go of it. When it does cannot be chosen, so it is told.
    let let_go = json!({"ports": [{"id": port.id, "status": "ACTIVE", "tags": port.tags}]}).to_string();
    let still_active = Rule::on("GET", "tags=").fault(Fault::answer(200).body(&let_go));
    let answer = lab.call_with(json!({}), &Request::new("delete_vm", json!([vm])), vec![still_active]);
    assert_eq!(answer.result(), &Value::Null);
    assert_eq!(lab.inventory_of(&["port"]).len(), 1, "the reserved port");
    assert_eq!(lab.call("delete_vm", json!([vm])).result(), &Value::Null, "deleting again is good");
    assert_eq!(lab.call("has_vm", json!([vm])).result(), &json!(false));
    assert_eq!(lab.inventory(), before);
    assert!(lab.client.network().port(&reserved.id).is_ok(), "the reserved port stands");
}

/// `create_vm` with one manual network and one pair: one token, and eight requests beside the looks at the server.
fn assert_requests(lab: &Lab) {
    let requests = lab.requests();
    let is_poll = |method: &str, path: &str| method == "GET" && path == "/v2.1/servers/<id>";
    let made: Vec<String> = requests
        .iter()
        .map(|request| (request.method.clone(), path_of(&request.url)))
        .filter(|(method, path)| !is_poll(method, path))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert!(made.len() <= 8, "{made:#?}");
    assert_eq!(made[0], "POST /v3/auth/tokens");
    let look_ups: HashSet<&str> = made[1..5].iter().map(String::as_str).collect();
    let expected = HashSet::from([
        "GET /v2.0/security-groups?name",
        "GET /v2/images/<id>",
        "GET /v2.1/flavors/detail",
        "GET /v2.0/ports?network_id&fixed_ips",
    ]);
    assert_eq!(look_ups, expected);
    assert_eq!(made[5..], ["POST /v2.0/ports", "POST /v2.1/servers", "PUT /v2.0/ports/<id>/tags"]);
    let body = |path: &str| -> Value {
        let request =
            requests.iter().find(|request| request.method == "POST" && request.url.ends_with(path)).unwrap();
        serde_json::from_str(request.body.as_deref().unwrap()).unwrap()
    };
    // Ruby's bodies (reference §1.5, §3.1), and our name and description beside them.
    let port = body("/v2.0/ports")["port"].clone();
    let keys: HashSet<&str> = port.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["network_id", "fixed_ips", "security_groups", "allowed_address_pairs", "name", "description"];
    assert_eq!(keys, HashSet::from(expected));
    assert_eq!(
        port["allowed_address_pairs"].as_array().unwrap()[0].as_object().unwrap().len(),
        1,
        "no MAC is sent"
    );
    let server = body("/servers")["server"].clone();
    let keys: HashSet<&str> = server.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "name",
        "flavorRef",
        "imageRef",
        "user_data",
        "key_name",
        "security_groups",
        "networks",
        "config_drive",
    ];
    assert_eq!(keys, HashSet::from(expected));
    assert_eq!(server["config_drive"], json!(true));
    assert_eq!(server["security_groups"], json!([{"name": "default"}]));
    assert_eq!(server["networks"][0]["uuid"], json!(lab.network_id));
}

#[test]
fn version_1_answers_with_the_cid_alone_and_needs_a_registry() {
    let Some(lab) = Lab::open("v1") else { return };
    let request = Request::new("create_vm", lab.vm(json!({}), lab.manual(&lab.free_ip()))).version_1();
    let answer = lab.call_with(json!({}), &request, Vec::new());
    assert!(answer.argument_error().starts_with(
        "Invalid CPI properties. Used CPI API version is 1 and stemcell API version is 1. Since at least one API version \
         is 1, the registry has to be configured. Error: "
    ));
    assert!(lab.requests().is_empty(), "and nothing was asked");
}

#[test]
fn a_vm_is_renamed_where_that_was_asked_for() {
    let Some(lab) = Lab::open("names") else { return };
    let readable = json!({"human_readable_vm_names": true});
    let arguments = lab.vm(json!({}), lab.manual(&lab.free_ip()));
    let answer = lab.call_with(readable.clone(), &Request::new("create_vm", arguments), Vec::new());
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    let server = lab.client.compute().server(&vm).unwrap();
    assert_eq!(server.metadata["registry_key"], server.name);
    // The item decides, not the configuration of the moment.
    lab.call("set_vm_metadata", json!([vm, {"job": "db", "index": 1}])).result();
    assert_eq!(lab.client.compute().server(&vm).unwrap().name, "db/1");
    lab.call("set_vm_metadata", json!([vm, {"compiling": "ruby"}])).result();
    assert_eq!(lab.client.compute().server(&vm).unwrap().name, "compiling/ruby");
    lab.call("delete_vm", json!([vm])).result();
}

#[test]
fn what_create_vm_does_not_find() {
    let Some(lab) = Lab::open("missing") else { return };
    let before = lab.inventory();
    let networks = lab.manual(&lab.free_ip());
    let fails = |properties: Value| {
        let answer = lab.call("create_vm", lab.vm(properties, networks.clone()));
        answer.cloud_error().to_owned()
    };
    assert_eq!(
        fails(json!({"instance_type": "m1.tniy"})),
        "Flavor `m1.tniy' not found; did you mean 'm1.tiny'?"
    );
    assert_eq!(
        fails(json!({"security_groups": ["default", "no-such"]})),
        "Security group `no-such' not found"
    );
    assert_eq!(fails(json!({"key_name": "no-such"})), "Key-pair `no-such' not found");
    let mut arguments = lab.vm(json!({}), networks.clone());
    arguments[1] = json!("2b22b053-ffc3-4d5a-be30-407c624f6ce1");
    let answer = lab.call("create_vm", arguments);
    assert_eq!(answer.cloud_error(), "Image `2b22b053-ffc3-4d5a-be30-407c624f6ce1' not found");
    let both = json!({"availability_zone": "nova", "availability_zones": ["nova"]});
    let text = "Invalid cloud_properties: only one property of \"availability_zone\" and \"availability_zones\" allowed.";
    assert_eq!(fails(both), text);
    let text = "Cannot use multiple azs without openstack.ignore_server_availability_zone";
    assert_eq!(fails(json!({"availability_zones": ["nova"]})), text);
    let text = "Minimum root_disk size is 1 GiB";
    let answer = lab.call(
        "create_vm",
        lab.vm(json!({"boot_from_volume": true, "root_disk": {"size": 0}}), networks.clone()),
    );
    assert_eq!(answer.argument_error(), text);
    assert_eq!(lab.inventory(), before);
}

#[test]
fn a_subnet_id_in_place_of_a_network_id() {
    let Some(lab) = Lab::open("subnet-id") else { return };
    let before = lab.inventory();
    let mut networks = lab.manual(&lab.free_ip());
    networks["private"]["cloud_properties"]["net_id"] = json!(lab.subnet_id);
    let answer = lab.call("create_vm", lab.vm(json!({}), networks));
    let message = answer.cloud_error();
    let text = format!(
        "net_id {} is the id of a subnet ('', 10.77.0.0/24); use the id of its network, {}.",
        lab.subnet_id, lab.network_id
    );
    assert!(message.contains(&text), "{message}");
    let dynamic = json!({"d": {"type": "dynamic", "cloud_properties": {"net_id": lab.subnet_id}}});
    let answer = lab.call("create_vm", lab.vm(json!({}), dynamic));
    let (kind, message, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::VMCreationFailed", false), "{message}");
    let text = format!(
        "failed. Following network IDs are not existing or not accessible from this project: '{}'. Make sure you do not \
         use subnet IDs",
        lab.subnet_id
    );
    assert!(message.contains(&text), "{message}");
    assert_eq!(lab.inventory(), before);
}

#[test]
fn an_address_outside_the_subnet_leaves_nothing_behind() {
    let Some(lab) = Lab::open("outside") else { return };
    let before = lab.inventory();
    let answer = lab.call("create_vm", lab.vm(json!({}), lab.manual("10.78.0.5")));
    let message = answer.cloud_error();
    assert!(message.starts_with("OpenStack API BadRequest Neutron POST /v2.0/ports ("), "{message}");
    assert!(message.contains("request id req-"), "{message}");
    assert!(message.ends_with(".\nCheck task debug log for details."), "{message}");
    assert_eq!(lab.inventory(), before);
}

#[test]
fn several_networks_get_a_port_each_and_no_zone_leaves_a_port_behind() {
    let Some(lab) = Lab::open("two-nets") else { return };
    let (second, _) =
        crate::driver::lab::new_network(&lab.client, &format!("{}-2", lab.name()), "10.79.0.0/24");
    let mut networks = lab.manual(&lab.free_ip());
    networks["second"] =
        json!({"ip": "10.79.0.9", "netmask": "255.255.255.0", "cloud_properties": {"net_id": second}});
    let before = lab.inventory();

    let zones = json!({"availability_zones": ["no-such-zone", "nor-this-one"]});
    let ignore = json!({"ignore_server_availability_zone": true});
    let request = Request::new("create_vm", lab.vm(zones, networks.clone()));
    let answer = lab.call_with(ignore.clone(), &request, Vec::new());
    let (_, message, _) = answer.error();
    let first = ["no-such-zone", "nor-this-one"]
        .map(|zone| message.contains(&format!("\nBefore that, AZ '{zone}': ")));
    assert!(first[0] != first[1], "one of them was tried first: {message}");
    assert_eq!(lab.inventory(), before);

    let zones = json!({"availability_zones": ["nova", "no-such-zone"]});
    let request = Request::new("create_vm", lab.vm(zones, networks));
    let answer = lab.call_with(ignore, &request, Vec::new());
    let vm = answer.result()[0].as_str().unwrap();
    assert_eq!(lab.ports_of(vm).len(), 2);
    let data = lab.user_data(vm);
    assert_ne!(data["networks"]["private"]["mac"], data["networks"]["second"]["mac"]);
    assert_eq!(lab.client.compute().server(vm).unwrap().availability_zone.as_deref(), Some("nova"));
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn a_vm_that_boots_from_a_volume() {
    let Some(lab) = Lab::open("boot-volume") else { return };
    let before = lab.inventory();
    let properties = json!({"boot_from_volume": true, "root_disk": {"size": "1"}});
    let vm = lab.made_vm(properties, &lab.free_ip());
    let volumes = lab.client.volume().volumes(&Query::new()).unwrap();
    assert_eq!(volumes.iter().map(|volume| volume.size).collect::<Vec<_>>(), [1]);
    assert_eq!(lab.call("get_disks", json!([vm])).result(), &json!([]), "the root disk is none of them");
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn a_server_that_is_gone_leaves_nothing_behind() {
    let Some(lab) = Lab::open("gone") else { return };
    let before = lab.inventory();
    let vm = lab.made_vm(json!({}), &lab.free_ip());
    lab.client.compute().delete_server(&vm).unwrap();
    while lab.client.compute().server(&vm).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    assert_ne!(lab.inventory(), before, "Nova leaves the port");
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn what_is_not_there_is_told_in_rubys_words() {
    let Some(lab) = Lab::open("no-vm") else { return };
    let nobody = "2b22b053-ffc3-4d5a-be30-407c624f6ce1";
    let text = format!("Server `{nobody}' not found");
    assert_eq!(lab.call("reboot_vm", json!([nobody])).cloud_error(), text);
    assert_eq!(lab.call("set_vm_metadata", json!([nobody, {"a": "b"}])).cloud_error(), text);
    assert_eq!(lab.call("get_disks", json!([nobody])).cloud_error(), text);
    assert_eq!(lab.call("has_vm", json!([nobody])).result(), &json!(false));
    assert_eq!(lab.call("ping", json!([])).result(), &json!("pong"));
}

#[test]
fn the_smallest_flavor_that_is_large_enough() {
    let Some(lab) = Lab::open("sizing") else { return };
    let calculated = |cpu: u64, ephemeral: u64| {
        let wanted = json!({"cpu": cpu, "ram": 512, "ephemeral_disk_size": ephemeral});
        lab.call("calculate_vm_cloud_properties", json!([wanted]))
    };
    for _ in 0..2 {
        assert_eq!(calculated(1, 1024).result(), &json!({"instance_type": "m1.small"}));
    }
    assert_eq!(calculated(1, 10_240).result(), &json!({"instance_type": "m1.medium"}));
    let answer = calculated(64, 1024);
    let (kind, message, _) = answer.error();
    let text =
        "Unable to meet requested VM requirements: 64 CPU, 512 MB RAM, 1.0 GB Disk.\nAvailable flavors:\n";
    assert!(kind == "Unknown" && message.starts_with(text) && message.contains("m1.medium"), "{message}");
    let answer = lab.call("calculate_vm_cloud_properties", json!([{"ram": 512}]));
    let text = "Missing VM cloud properties: 'cpu', 'ephemeral_disk_size'";
    assert_eq!(answer.error(), ("Unknown", text, false));
}

#[test]
fn a_dynamic_network_without_a_port_of_ours() {
    let Some(lab) = Lab::open("dynamic") else { return };
    let before = lab.inventory();
    let networks = json!({"d": {"type": "dynamic", "cloud_properties": {"net_id": lab.network_id}}});
    let answer = lab.call("create_vm", lab.vm(json!({}), networks));
    let vm = answer.result()[0].as_str().unwrap();
    assert!(!lab.sequence().contains(&"POST /v2.0/ports".to_owned()));
    assert_eq!(lab.ports_of(vm).len(), 1);
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}
