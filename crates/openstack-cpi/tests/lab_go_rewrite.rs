//! The places of reference §3.5 that need a real OpenStack. Where only what is sent counts, the request for the server
//! names a key pair that is not there, so that none is made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

mod driver;

use base64::Engine as _;
use driver::Request;
use driver::lab::{Lab, new_network, path_of};
use fault_proxy::{Fault, Rule, When};
use openstack::Query;
use serde_json::{Value, json};

const NOBODY: &str = "2b22b053-ffc3-4d5a-be30-407c624f6ce1";

fn no_server() -> Rule {
    Rule::on("POST", "/servers$").fault(Fault::answer(403))
}

/// The body of the request for a server, of a `create_vm` that gets none: Nova does not know the key pair.
fn server_body(lab: &Lab, changes: Value, mut properties: Value, networks: Value) -> Value {
    properties["key_name"] = json!("no-such-key");
    let request = Request::new("create_vm", lab.vm(properties, networks));
    let answer = lab.call_with(changes, &request, Vec::new());
    assert_eq!(answer.cloud_error(), "Key-pair `no-such-key' not found");
    body_of(lab, "/servers")
}

fn body_of(lab: &Lab, path: &str) -> Value {
    let requests = lab.requests();
    let request =
        requests.iter().find(|request| request.method == "POST" && request.url.ends_with(path)).unwrap();
    serde_json::from_str(request.body.as_deref().unwrap()).unwrap()
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
fn place_08_and_09_config_drive_and_agent_settings() {
    let Some(lab) = Lab::open("go-08") else { return };
    let networks = with_second(&lab, "10.79.0.9");
    let body = server_body(&lab, json!({}), json!({}), networks);
    assert_eq!(body["server"]["config_drive"], json!(true));
    assert_eq!(body["server"]["networks"].as_array().unwrap().len(), 2);
    let data = user_data(&body);
    assert_eq!(data["ntp"], json!([]));
    assert!(data["disks"].as_object().unwrap()["ephemeral"].is_null());
    for network in ["private", "second"] {
        assert!(data["networks"][network]["mac"].as_str().unwrap().starts_with("fa:16:3e:"));
        assert_eq!(data["networks"][network]["use_dhcp"], json!(false));
        assert!(data["networks"][network].get("routes").is_none());
    }
    let small =
        server_body(&lab, json!({}), json!({"instance_type": "m1.small"}), lab.manual(&lab.free_ip()));
    assert_eq!(user_data(&small)["disks"]["ephemeral"], json!("/dev/sdb"));
    let without = server_body(&lab, json!({"config_drive": null}), json!({}), lab.manual(&lab.free_ip()));
    assert!(without["server"].get("config_drive").is_none());
}

#[test]
fn place_10_a_server_in_error_may_be_retried_and_tells_novas_reason() {
    let Some(lab) = Lab::open("go-10") else { return };
    let before = lab.inventory();
    let request = Request::new("create_vm", lab.vm(json!({}), lab.manual(&lab.free_ip())));
    let answer = lab.call_with(json!({}), &request, vec![server_in_error()]);
    let (kind, message, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::VMCreationFailed", true));
    assert!(message.starts_with("Server `"), "{message}");
    assert!(
        message.ends_with("' state is error, expected active\nNo valid host was found. Because."),
        "{message}"
    );
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
fn place_14_and_15_light_stemcells_keep_their_mark_and_uploads_are_waited_for() {
    let Some(lab) = Lab::open("go-14") else { return };
    let answer = lab.call("create_stemcell", json!(["unused", {"image_id": lab.image_id}]));
    assert_eq!(answer.result(), &json!(format!("{} light", lab.image_id)));
    lab.call("delete_stemcell", json!([answer.result()])).result();
    assert!(lab.requests().is_empty());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    let mut header = tar::Header::new_gnu();
    header.set_size(4096);
    header.set_mode(0o644);
    tar.append_data(&mut header, "root.img", [7_u8; 4096].as_slice()).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    let properties = json!({"name": "s", "version": "1", "disk_format": "raw", "container_format": "bare"});
    let answer = lab.call("create_stemcell", json!([path, properties]));
    let cid = answer.result().clone();
    let expected =
        ["POST /v3/auth/tokens", "POST /v2/images", "PUT /v2/images/<id>/file", "GET /v2/images/<id>"];
    assert_eq!(lab.sequence(), expected);
    lab.call("delete_stemcell", json!([cid])).result();
}

#[test]
fn place_16_a_snapshot_that_is_not_there_is_deleted_already() {
    let Some(lab) = Lab::open("go-16") else { return };
    assert_eq!(lab.call("delete_snapshot", json!([NOBODY])).result(), &Value::Null);
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
fn place_22_no_load_balancer_is_asked_without_pools_and_one_token_does() {
    let Some(lab) = Lab::open("go-22") else { return };
    server_body(&lab, json!({}), json!({}), lab.manual(&lab.free_ip()));
    let requests = lab.requests();
    assert!(!requests.iter().any(|request| request.url.contains("lbaas")));
    assert_eq!(requests.iter().filter(|request| path_of(&request.url) == "/v3/auth/tokens").count(), 1);
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
