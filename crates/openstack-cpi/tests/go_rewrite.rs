//! The 25 places where the Go rewrite of the CPI broke what Ruby did (reference §3.5), by number: what needs no
//! OpenStack to show. `lab/go_rewrite.rs` has the others, and the same ones on a real OpenStack where that shows more.
//! Pure for good reason: 4 and 25 are about the configuration and never get to OpenStack.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

mod driver;

use driver::{Configured, Request};
use openstack_cpi::cloud_properties::vm::VmProperties;
use openstack_cpi::config::{Config, Credentials, Project};
use openstack_cpi::fields::Warnings;
use openstack_cpi::network::plan::NetworkPlan;
use openstack_cpi::network::spec::NetworkSpec;
use serde_json::{Map, Value, json};

fn placed(networks: Value, pairs: Value) -> Result<NetworkPlan, String> {
    let warnings = Warnings::default();
    let specs =
        NetworkSpec::read_all(networks.as_object().unwrap(), &warnings).map_err(|error| error.message)?;
    let properties = VmProperties::read(&json!({"allowed_address_pairs": pairs}), &warnings).unwrap();
    let mut plan = NetworkPlan::of(&specs).map_err(|error| error.message)?;
    plan.place_pairs(&properties.allowed_address_pairs, properties.vrrp_port_check, &specs, &warnings)
        .map_err(|error| error.message)?;
    Ok(plan)
}

fn two_networks() -> Value {
    json!({
        "a": {"ip": "10.0.0.5", "cloud_properties": {"net_id": "net-a"}, "default": ["gateway"]},
        "b": {"ip": "10.1.0.5", "cloud_properties": {"net_id": "net-b"}},
    })
}

#[test]
fn place_01_the_check_is_on_the_pair_on_the_default_network_only_and_dynamic_ones_are_refused() {
    let plan = placed(two_networks(), json!("10.0.0.100")).unwrap();
    assert_eq!(plan.nics.iter().map(|nic| nic.pairs.len()).collect::<Vec<_>>(), [1, 0]);
    assert!(plan.nics[0].pairs[0].is_checked);
    let dynamic = json!({"d": {"type": "dynamic", "cloud_properties": {"net_id": "net-d"}}});
    let error = placed(dynamic, json!("10.0.0.100")).unwrap_err();
    assert!(error.starts_with(
        "Network with id 'net-d' is a dynamic network. VRRP is not supported for dynamic networks"
    ));
}

#[test]
fn place_03_scheduler_hints_are_a_hash() {
    let hints = json!({"group": "g-1", "different_host": ["a", "b"]});
    let properties = VmProperties::read(&json!({"scheduler_hints": hints}), &Warnings::default()).unwrap();
    assert_eq!(Value::Object(properties.scheduler_hints.unwrap()), hints);
}

#[test]
fn place_04_connection_options_are_a_hash_and_the_answer_is_json_either_way() {
    let good = Configured::offline_with(
        json!({"connection_options": {"read_timeout": 50, "ssl_verify_peer": true}}),
    );
    good.call(&Request::new("info", json!([]))).result();
    let bad = Configured::offline_with(json!({"connection_options": "read_timeout=50"}));
    let answer = bad.call(&Request::new("info", json!([])));
    assert!(answer.argument_error().ends_with("openstack.connection_options: expected a hash, got a string"));
}

#[test]
fn place_06_the_context_counts() {
    // Nobody answers at either address: the text says which one was asked.
    let config = Configured::offline_with(json!({"connection_options": {"connect_timeout": 0.2}}));
    let request =
        Request::new("has_vm", json!(["x"])).with_context("auth_url", json!("http://127.0.0.2:1/v3"));
    let answer = config.call(&request);
    assert!(answer.cloud_error().contains("http://127.0.0.2:1"), "{}", answer.cloud_error());
    assert!(answer.stderr.contains("[req_id cpi-271828]"));
}

#[test]
fn place_07_region_endpoint_type_project_id_and_domains_come_from_the_configuration() {
    let file = json!({"cloud": {"properties": {"openstack": {
        "auth_url": "https://k:5000/v3", "username": "u", "api_key": "k", "project_id": "p-1",
        "user_domain_name": "users", "project_domain_name": "projects", "region": "R2", "endpoint_type": "adminURL",
    }}}});
    let config = Config::load(&file, &Map::new(), &Warnings::default()).unwrap();
    assert_eq!(config.region.as_deref(), Some("R2"));
    assert_eq!(config.interface, openstack::Interface::Admin);
    let Credentials::Password { project, user_domain, .. } = config.credentials else { panic!("a password") };
    assert_eq!((project, user_domain.as_str()), (Project::Id("p-1".into()), "users"));
}

#[test]
fn place_08_several_networks_want_a_config_drive() {
    let plan = placed(two_networks(), Value::Null).unwrap();
    assert!(plan.check_preconditions(false, true).is_ok());
    assert!(plan.check_preconditions(false, false).is_err());
}

#[test]
fn place_12_a_null_vm_and_a_missing_argument_are_answered() {
    let config = Configured::offline_with(json!({"connection_options": {"connect_timeout": 0.2}}));
    // Side by side: each waits for the last of its attempts to connect.
    std::thread::scope(|scope| {
        for arguments in [json!([1024, {}, null]), json!([1024, {}])] {
            scope.spawn(|| {
                let answer = config.call(&Request::new("create_disk", arguments));
                assert!(answer.cloud_error().starts_with("Unable to connect to the OpenStack Keystone API"));
            });
        }
    });
}

#[test]
fn place_20_the_configured_poll_interval_is_the_longest_pause() {
    use std::time::Duration;
    let pause = |waited, longest| {
        openstack_cpi::waiting::pause(Duration::from_secs(waited), Duration::from_secs(longest))
    };
    assert_eq!(pause(290, 1), Duration::from_secs(1));
    assert!(pause(10, 5) < Duration::from_secs(1), "and it is not waited where nothing is due yet");
}

#[test]
fn place_25_credentials_and_zones_in_rubys_words() {
    let config = Configured::offline_with(json!({"username": null, "api_key": null}));
    let answer = config.call(&Request::new("info", json!([])));
    let text = "Invalid OpenStack cloud properties: username and api_key or application_credential_id and \
                application_credential_secret is required";
    assert!(answer.argument_error().starts_with(text), "{}", answer.argument_error());

    let config = Configured::offline();
    let networks = json!({"a": {"ip": "10.0.0.5", "cloud_properties": {"net_id": "net-a"}}});
    for (properties, text) in [
        (
            json!({"availability_zone": "a", "availability_zones": ["b"]}),
            "Invalid cloud_properties: only one property of \"availability_zone\" and \"availability_zones\" allowed.",
        ),
        (
            json!({"availability_zones": ["a", "b"]}),
            "Cannot use multiple azs without openstack.ignore_server_availability_zone",
        ),
    ] {
        let arguments = json!(["agent", "image", properties, networks, [], {}]);
        let answer = config.call(&Request::new("create_vm", arguments));
        assert_eq!(answer.cloud_error(), text);
    }
}
