//! The 25 places where the Go rewrite of the CPI broke what Ruby did (reference §3.5): those that show on a real
//! OpenStack. Those about connection and configuration are in `go_rewrite_connection.rs`, 13, 18 and 21 in `finish.rs`,
//! and what needs no OpenStack (4, 25 and the pure half of others) in `../go_rewrite.rs`. Where only what is sent counts,
//! the request for the server names a key pair that is not there, so that none is made.

use crate::driver::lab::{Lab, new_network};
use crate::driver::{Request, stemcell};
use base64::Engine as _;
use fault_proxy::{Fault, Rule, When};
use openstack::Query;
use serde_json::{Value, json};

const NOBODY: &str = "2b22b053-ffc3-4d5a-be30-407c624f6ce1";

fn no_server() -> Rule {
    Rule::on("POST", "/servers$").fault(Fault::answer(403))
}

/// The body of the request for a server, of a `create_vm` that gets none: Nova does not know the key pair.
pub(super) fn server_body(lab: &Lab, changes: Value, mut properties: Value, networks: Value) -> Value {
    properties["key_name"] = json!("no-such-key");
    let request = Request::new("create_vm", lab.vm(properties, networks));
    let answer = lab.call_with(changes, &request, Vec::new());
    assert_eq!(answer.cloud_error(), "Key-pair `no-such-key' not found");
    body_of(lab, "/servers")
}

pub(super) fn body_of(lab: &Lab, path: &str) -> Value {
    bodies_of(lab, path).into_iter().next().unwrap()
}

/// The bodies of all POST requests to a path.
fn bodies_of(lab: &Lab, path: &str) -> Vec<Value> {
    let requests = lab.requests().into_iter();
    requests
        .filter(|request| request.method == "POST" && request.url.ends_with(path))
        .map(|request| serde_json::from_str(request.body.as_deref().unwrap()).unwrap())
        .collect()
}

fn user_data(server: &Value) -> Value {
    let text = server["server"]["user_data"].as_str().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

fn with_second(lab: &Lab, ip: &str) -> Value {
    let (second, _) = new_network(&lab.client, &format!("{}-2", lab.name()), "10.79.0.0/24");
    let mut networks = lab.manual(&lab.free_ip());
    networks["second"] =
        json!({"ip": ip, "netmask": "255.255.255.0", "cloud_properties": {"net_id": second}});
    networks
}

/// An answer about a server that Nova gave up, for one look.
fn server_in_error() -> Rule {
    let body = json!({"server": {"id": "whichever", "name": "vm", "status": "ERROR",
                                 "fault": {"code": 500, "message": "No valid host was found. ", "details": "Because."}}});
    Rule::on("GET", "/servers/[0-9a-f-]{36}$").fault(Fault::answer(200).body(&body.to_string())).times(1)
}

#[test]
fn place_01_the_check_is_on_the_pair_on_the_default_network_only_and_dynamic_ones_are_refused() {
    let Some(lab) = Lab::open("go-01") else { return };
    let vip = lab.free_ip();
    let networks = with_second(&lab, "10.79.0.9");
    let pair = json!({"allowed_address_pairs": vip});
    let answer = lab.call("create_vm", lab.vm(pair.clone(), networks.clone()));
    let text = format!("Configured VRRP port with ip '{vip}' does not exist. ");
    assert!(answer.cloud_error().starts_with(&text), "{}", answer.cloud_error());

    lab.reserve(&vip);
    server_body(&lab, json!({}), pair.clone(), networks);
    let ports = bodies_of(&lab, "/v2.0/ports");
    assert_eq!(ports.len(), 2);
    for port in ports {
        let is_default = port["port"]["network_id"] == json!(lab.network_id);
        let expected = if is_default { json!([{"ip_address": vip}]) } else { Value::Null };
        assert_eq!(port["port"]["allowed_address_pairs"], expected, "{port}");
    }

    let dynamic = json!({"d": {"type": "dynamic", "cloud_properties": {"net_id": lab.network_id}}});
    let answer = lab.call("create_vm", lab.vm(pair, dynamic));
    let text = format!("Network with id '{}' is a dynamic network. VRRP is not supported", lab.network_id);
    assert!(answer.cloud_error().starts_with(&text), "{}", answer.cloud_error());
    assert!(lab.requests().is_empty(), "and no server is asked for");
}

#[test]
fn place_03_scheduler_hints_are_a_hash_and_nova_heeds_them() {
    let Some(lab) = Lab::open("go-03") else { return };
    let hints = json!({"group": NOBODY, "different_host": [NOBODY, lab.network_id]});
    let networks = lab.manual(&lab.free_ip());
    let answer = lab.call("create_vm", lab.vm(json!({"scheduler_hints": hints}), networks));
    assert!(answer.cloud_error().contains(NOBODY), "{}", answer.cloud_error());
    let body = body_of(&lab, "/servers");
    assert_eq!(body["os:scheduler_hints"], hints);
    assert!(body["server"].get("os:scheduler_hints").is_none());
    // A group that is there takes the server in before Nova looks for a place.
    let group = lab.client.compute().create_server_group(lab.name(), "soft-anti-affinity").unwrap();
    let properties = json!({"scheduler_hints": {"group": group.id}, "instance_type": lab.too_large()});
    let answer = lab.call("create_vm", lab.vm(properties, lab.manual(&lab.free_ip())));
    assert!(answer.error().1.contains("No valid host was found"), "{}", answer.json);
    lab.client.compute().delete_server_group(&group.id).unwrap();
}

#[test]
fn place_02_only_a_conflict_clears_ports_and_the_first_port_does_not_leak() {
    let Some(lab) = Lab::open("go-02") else { return };
    let networks = with_second(&lab, "10.99.0.9");
    let before = lab.inventory();
    let answer = lab.call("create_vm", lab.vm(json!({}), networks));
    assert!(answer.cloud_error().starts_with("OpenStack API BadRequest Neutron POST /v2.0/ports"));
    assert_eq!(lab.inventory(), before);
    let quota = Rule::on("POST", "/v2.0/ports$").fault(Fault::answer(403));
    let request = Request::new("create_vm", lab.vm(json!({}), lab.manual(&lab.free_ip())));
    lab.call_with(json!({}), &request, vec![quota]).cloud_error();
    let after_the_port: Vec<String> =
        lab.sequence().into_iter().skip_while(|line| line != "POST /v2.0/ports").skip(1).collect();
    assert_eq!(after_the_port, Vec::<String>::new(), "a refusal that is no conflict leads to nothing");
}

#[test]
fn place_08_the_config_drive_is_asked_for_and_several_networks_want_one() {
    let Some(lab) = Lab::open("go-08") else { return };
    let networks = with_second(&lab, "10.79.0.9");
    let body = server_body(&lab, json!({}), json!({}), networks.clone());
    assert_eq!(body["server"]["config_drive"], json!(true));
    assert_eq!(body["server"]["networks"].as_array().unwrap().len(), 2);
    let without = json!({"config_drive": null});
    let body = server_body(&lab, without.clone(), json!({}), lab.manual(&lab.free_ip()));
    assert!(body["server"].get("config_drive").is_none());
    let request = Request::new("create_vm", lab.vm(json!({}), networks));
    let answer = lab.call_with(without, &request, Vec::new());
    let text = "Multiple manual networks can only be used with 'openstack.use_dhcp=false' and \
                'openstack.config_drive=cdrom|disk'";
    assert_eq!(answer.error(), ("Bosh::Clouds::VMCreationFailed", text, false));
}

#[test]
fn place_09_agent_settings_and_networks_of_the_answer_are_whole() {
    let Some(mut lab) = Lab::open("go-09") else { return };
    let ntp = json!(["10.77.0.2", "10.77.0.3"]);
    lab.config["cloud"]["properties"]["agent"]["ntp"] = ntp.clone();
    let mut networks = lab.manual(&lab.free_ip());
    let answer = lab.call("create_vm", lab.vm(json!({}), networks.clone()));
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    let data = lab.user_data(&vm);
    assert_eq!(data["ntp"], ntp);
    assert_eq!(data["disks"], json!({"system": "/dev/sda", "persistent": {}, "ephemeral": null}));
    // The networks that were asked for and these two keys, nothing else.
    networks["private"]["mac"] = json!(lab.ports_of(&vm)[0].mac_address);
    networks["private"]["use_dhcp"] = json!(false);
    assert_eq!(answer.result()[1], networks);
    assert_eq!(data["networks"], networks);
    lab.call("delete_vm", json!([vm])).result();
    let small = json!({"instance_type": "m1.small"});
    let small = server_body(&lab, json!({}), small, lab.manual(&lab.free_ip()));
    assert_eq!(user_data(&small)["disks"]["ephemeral"], json!("/dev/sdb"));
}

#[test]
fn place_10_a_server_in_error_may_be_retried_and_tells_novas_reason() {
    let Some(lab) = Lab::open("go-10") else { return };
    let before = lab.inventory();
    let properties = json!({"instance_type": lab.too_large()});
    let answer = lab.call("create_vm", lab.vm(properties, lab.manual(&lab.free_ip())));
    let (kind, message, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::VMCreationFailed", true));
    assert!(message.starts_with("Server `"), "{message}");
    let reason = "' state is error, expected active\nNo valid host was found. ";
    assert!(message.contains(reason), "{message}");
    assert_eq!(lab.inventory(), before);
}

#[test]
fn place_11_the_next_zone_gets_a_fresh_port_and_the_failed_server_goes() {
    let Some(lab) = Lab::open("go-11") else { return };
    let before = lab.inventory();
    let zones = json!({"availability_zones": ["nova", "nova"]});
    let request = Request::new("create_vm", lab.vm(zones, lab.manual(&lab.free_ip())));
    let changes = json!({"ignore_server_availability_zone": true});
    let answer = lab.call_with(changes, &request, vec![server_in_error()]);
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    assert_eq!(lab.sequence().iter().filter(|line| *line == "POST /v2.0/ports").count(), 2);
    assert_eq!(lab.inventory().len(), before.len() + 2, "one server and one port are left");
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn place_12_a_disk_for_a_server_that_is_not_there() {
    let Some(lab) = Lab::open("go-12") else { return };
    let disk = lab.call("create_disk", json!([1024, {}, NOBODY])).result().as_str().unwrap().to_owned();
    assert!(body_of(&lab, "/volumes")["volume"].get("availability_zone").is_none());
    lab.call("delete_disk", json!([disk])).result();
}

#[test]
fn place_14_light_stemcells_keep_their_mark_and_the_operator_keeps_the_image() {
    let Some(lab) = Lab::open("go-14") else { return };
    let answer = lab.call("create_stemcell", json!(["unused", {"image_id": lab.image_id}]));
    assert_eq!(answer.result(), &json!(format!("{} light", lab.image_id)));
    lab.call("delete_stemcell", json!([answer.result()])).result();
    assert!(lab.requests().is_empty());
    assert_eq!(lab.client.image().image(&lab.image_id).unwrap().status, "active");
}

/// That the upload needs no memory is measured in `stemcell.rs`.
#[test]
fn place_15_an_upload_is_waited_for() {
    let Some(lab) = Lab::open("go-15") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = stemcell::plain(folder.path(), 4096);
    let request = Request::new("create_stemcell", json!([path, stemcell::properties()]));
    // As a Glance answers that has a large image to check: the lab's is too quick.
    let saving = r#"{"id": "whichever", "status": "saving", "visibility": "private"}"#;
    let saving = Rule::on("GET", "/v2/images/").fault(Fault::answer(200).body(saving)).times(2);
    let answer = lab.call_with(json!({}), &request, vec![saving]);
    let cid = answer.result().clone();
    let expected =
        ["POST /v3/auth/tokens", "POST /v2/images", "PUT /v2/images/<id>/file", "GET /v2/images/<id>"];
    assert_eq!(lab.sequence(), expected);
    let looks = lab.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(looks, 3, "twice it was not there yet");
    lab.call("delete_stemcell", json!([cid])).result();
}

#[test]
fn place_16_a_snapshot_that_is_not_there_is_deleted_already() {
    let Some(lab) = Lab::open("go-16") else { return };
    assert_eq!(lab.call("delete_snapshot", json!([NOBODY])).result(), &Value::Null);
}

#[test]
fn place_17_no_metadata_key_is_dropped() {
    let Some(lab) = Lab::open("go-17") else { return };
    let vm = lab.made_vm(json!({}), &lab.free_ip());
    let given = json!({"id": "i-1", "name": "n", "job": "j", "index": 0});
    lab.call("set_vm_metadata", json!([vm, given])).result();
    let metadata = lab.client.compute().server_metadata(&vm).unwrap();
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(metadata, [("id", "i-1"), ("index", "0"), ("job", "j"), ("name", "n")]);
    lab.call("delete_vm", json!([vm])).result();
}

#[test]
fn place_18_a_floating_ip_that_is_not_allocated() {
    let Some(lab) = Lab::open("go-18") else { return };
    let before = lab.inventory();
    let mut networks = lab.manual(&lab.free_ip());
    networks["vip"] = json!({"type": "vip", "ip": "172.24.0.251", "cloud_properties": {}});
    let answer = lab.call("create_vm", lab.vm(json!({}), networks.clone()));
    let text = "Floating IP '172.24.0.251' not allocated";
    assert_eq!(answer.error(), ("Bosh::Clouds::VMCreationFailed", text, true));
    networks["vip"] = json!({"type": "vip", "cloud_properties": {}});
    let answer = lab.call("create_vm", lab.vm(json!({}), networks));
    assert_eq!(
        answer.error(),
        ("Bosh::Clouds::VMCreationFailed", "No IP provided for vip network `vip'", true)
    );
    assert_eq!(lab.inventory(), before);
}

#[test]
fn place_19_no_secret_and_no_user_data_in_any_log() {
    let Some(lab) = Lab::open("go-19") else { return };
    let mut arguments = lab.vm(json!({"key_name": "no-such-key"}), lab.manual(&lab.free_ip()));
    arguments[5] = json!({"bosh": {"password": "hidden-in-the-environment"}});
    let answer = lab.call("create_vm", arguments);
    let body = body_of(&lab, "/servers");
    let everything = format!("{}{}", answer.json, answer.stderr);
    let user_data = body["server"]["user_data"].as_str().unwrap();
    let mbus = lab.config["cloud"]["properties"]["agent"]["mbus"].as_str().unwrap();
    for secret in ["password-of-the-tests", "hidden-in-the-environment", user_data, mbus] {
        assert!(!everything.contains(secret), "{secret} shows in {everything}");
    }
    assert!(!everything.contains("%!"), "{everything}");
}

#[test]
fn place_23_security_groups_go_by_name_first_and_to_nova_by_name() {
    let Some(lab) = Lab::open("go-23") else { return };
    let group = lab.client.network().create_security_group("cpi-test-web", "").unwrap();
    let default = lab.client.network().security_groups(&Query::new().filter("name", "default")).unwrap();
    let properties = json!({"security_groups": ["cpi-test-web", default[0].id]});
    let body = server_body(&lab, json!({}), properties, lab.manual(&lab.free_ip()));
    assert_eq!(body["server"]["security_groups"], json!([{"name": "cpi-test-web"}, {"name": "default"}]));
    let port = body_of(&lab, "/v2.0/ports");
    assert_eq!(port["port"]["security_groups"], json!([group.id, default[0].id]));
}

#[test]
fn place_24_a_port_that_is_gone_does_not_end_the_clearing() {
    let Some(lab) = Lab::open("go-24") else { return };
    let networks = with_second(&lab, "10.79.0.9");
    let before = lab.inventory();
    // The answer says that it is gone; the real deletion happened.
    let gone = Rule::on("DELETE", "/v2.0/ports/").when(When::After).fault(Fault::answer(404)).times(1);
    let request = Request::new("create_vm", lab.vm(json!({}), networks));
    let answer = lab.call_with(json!({}), &request, vec![no_server(), gone]);
    assert!(!answer.cloud_error().contains("by hand"), "{}", answer.cloud_error());
    let deletions = lab.requests().iter().filter(|request| request.method == "DELETE").count();
    assert_eq!(deletions, 2);
    assert_eq!(lab.inventory(), before);
}
