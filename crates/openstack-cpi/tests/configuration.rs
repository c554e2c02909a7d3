//! The configuration (reference §2.1): what is required, what is merged, what is said about what is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

mod driver;

use std::time::Duration;

use openstack_cpi::config::{Config, ConfigDrive, Credentials, Project};
use openstack_cpi::error::Result;
use openstack_cpi::fields::Warnings;
use serde_json::{Map, Value, json};

/// Loads a configuration with changes (null removes) and a context.
fn load(changes: &Value, context: &Value) -> (Result<Config>, Vec<String>) {
    let mut file = driver::offline_config();
    let openstack = file["cloud"]["properties"]["openstack"].as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        openstack.insert(key.clone(), value.clone());
    }
    let warnings = Warnings::default();
    let config = Config::load(&file, context.as_object().unwrap_or(&Map::new()), &warnings);
    (config, warnings.into_vec())
}

fn loaded(changes: &Value) -> Config {
    let (config, warnings) = load(changes, &json!({}));
    assert!(warnings.is_empty(), "{warnings:?}");
    config.unwrap()
}

fn refused(changes: &Value) -> String {
    let error = load(changes, &json!({})).0.unwrap_err();
    assert_eq!(error.kind.as_str(), "InvalidCall");
    error
        .message
        .strip_prefix("Arguments are not correct, details: 'Invalid OpenStack cloud properties: ")
        .and_then(|message| message.strip_suffix('\''))
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

#[test]
fn defaults() {
    let config = loaded(
        &json!({"connection_options": null, "default_security_groups": null, "default_key_name": null}),
    );
    assert_eq!(config.auth_url, "http://127.0.0.1:1");
    assert_eq!(config.state_timeout, Duration::from_mins(5));
    assert_eq!(config.poll_interval, Duration::from_secs(5));
    assert!(config.use_dhcp);
    assert!(
        !config.boot_from_volume && !config.stemcell_public_visibility && !config.human_readable_vm_names
    );
    assert!(!config.ignore_server_availability_zone);
    assert_eq!(config.config_drive, None);
    assert_eq!(config.default_security_groups, None);
    assert_eq!(config.registry, None);
    assert_eq!(config.agent["ntp"], json!(["0.pool.ntp.org"]));
}

#[test]
fn everything_set() {
    let config = loaded(&json!({
        "region": "RegionOne", "endpoint_type": "internalURL", "state_timeout": 100, "wait_resource_poll_interval": 2,
        "boot_from_volume": true, "stemcell_public_visibility": true, "default_volume_type": "fast",
        "config_drive": "disk", "use_dhcp": false, "ignore_server_availability_zone": true,
        "human_readable_vm_names": true, "use_nova_networking": false, "tenant": null,
        "connection_options": {"ca_cert": "PEM", "ssl_verify_peer": false, "read_timeout": 20, "connect_timeout": 1.5,
                               "proxy": "http://proxy:3128", "ssl_ca_file": "/ca.pem"},
    }));
    assert_eq!(config.region.as_deref(), Some("RegionOne"));
    assert_eq!(config.interface, openstack::Interface::Internal);
    assert_eq!((config.state_timeout.as_secs(), config.poll_interval.as_secs()), (100, 2));
    assert_eq!(config.config_drive, Some(ConfigDrive::Disk));
    assert_eq!(config.connection.connect_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(config.connection.verify_peer, Some(false));
    assert_eq!(config.connection.proxy.as_deref(), Some("http://proxy:3128"));
    assert!(
        config.boot_from_volume && config.human_readable_vm_names && config.ignore_server_availability_zone
    );
    assert!(!config.use_dhcp);
}

#[test]
fn numbers_and_booleans_as_strings_are_read_and_said() {
    let (config, warnings) = load(&json!({"state_timeout": "120", "boot_from_volume": "true"}), &json!({}));
    let config = config.unwrap();
    assert_eq!((config.state_timeout.as_secs(), config.boot_from_volume), (120, true));
    assert_eq!(warnings, ["openstack.boot_from_volume: \"true\" is a string, read as a boolean"]);
}

#[test]
fn unknown_keys_are_warnings_with_a_suggestion() {
    let (config, warnings) = load(
        &json!({"default_securty_groups": ["x"], "flux": 1, "connection_options": {"read_timout": 3, "omit_default_port": true}}),
        &json!({}),
    );
    config.unwrap();
    assert_eq!(
        warnings,
        [
            "openstack.connection_options.read_timout: unknown key, ignored; did you mean 'read_timeout'?",
            "openstack.connection_options.omit_default_port: unknown key, ignored",
            "openstack.default_securty_groups: unknown key, ignored; did you mean 'default_security_groups'?",
            "openstack.flux: unknown key, ignored",
        ]
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_with_its_path() {
    for (changes, text) in [
        (json!({"auth_url": null}), "openstack.auth_url: missing key; "),
        (json!({"auth_url": "keystone:5000/v3"}), "openstack.auth_url: 'keystone:5000/v3' is no URL"),
        (
            json!({"auth_url": "https://k:5000/v2.0"}),
            "openstack.auth_url: 'https://k:5000/v2.0' is Keystone v2",
        ),
        (json!({"auth_url": 7, "project": []}), "openstack.auth_url: "),
        (json!({"username": []}), "openstack.username: expected a string, got a list"),
        (json!({"project": null}), "openstack.project: missing key; give project or project_id"),
        (json!({"domain": null}), "openstack.domain: missing key; "),
        (json!({"domain": null, "user_domain_name": "a"}), "openstack.project_domain_name: missing key; "),
        (json!({"domain": null, "project_domain_name": "a"}), "openstack.user_domain_name: missing key; "),
        (json!({"endpoint_type": "outerURL"}), "openstack.endpoint_type: 'outerURL' is none of publicURL"),
        (json!({"config_drive": "usb"}), "openstack.config_drive: 'usb' is neither 'cdrom' nor 'disk'"),
        (
            json!({"state_timeout": "soon"}),
            "openstack.state_timeout: expected a number of seconds, got \"soon\"",
        ),
        (json!({"state_timeout": -1}), "openstack.state_timeout: expected a number of seconds, got -1"),
        (json!({"use_dhcp": 1}), "openstack.use_dhcp: expected true or false, got a number"),
        (
            json!({"default_security_groups": "a"}),
            "openstack.default_security_groups: expected a list, got a string",
        ),
        (
            json!({"default_security_groups": [1]}),
            "openstack.default_security_groups[0]: expected a string, got a number",
        ),
        (json!({"connection_options": "a"}), "openstack.connection_options: expected a hash, got a string"),
        (json!({"use_nova_networking": true}), "openstack.use_nova_networking: nova-network was removed"),
        (
            json!({"enable_auto_anti_affinity": true}),
            "openstack.enable_auto_anti_affinity: Property 'enable_auto_anti_affinity' is no longer supported. Please \
             remove it from your configuration.",
        ),
    ] {
        let message = refused(&changes);
        assert!(message.starts_with(text), "{changes}: {message}");
    }
}

#[test]
fn credentials_are_one_kind_or_the_other() {
    let text =
        "username and api_key or application_credential_id and application_credential_secret is required";
    for changes in [
        json!({"username": null, "api_key": null}),
        json!({"api_key": null}),
        json!({"application_credential_id": "i", "application_credential_secret": "s"}),
        json!({"username": null, "api_key": null, "application_credential_id": "i"}),
    ] {
        let message = refused(&changes);
        assert!(message.starts_with(text), "{changes}: {message}");
        assert!(!message.contains("correct-horse"), "{message}");
    }
}

#[test]
fn an_application_credential_needs_neither_project_nor_domain() {
    let config = loaded(&json!({"username": null, "api_key": null, "project": null, "domain": null,
                                "application_credential_id": "i", "application_credential_secret": "s"}));
    let expected = Credentials::ApplicationCredential { id: "i".into(), secret: "s".into() };
    assert_eq!(config.credentials, expected);
}

#[test]
fn projects_and_domains() {
    let credentials = |changes: Value| match loaded(&changes).credentials {
        Credentials::Password { project, user_domain, project_domain, .. } => {
            (project, user_domain, project_domain)
        }
        Credentials::ApplicationCredential { .. } => panic!("a password is expected"),
    };
    let by_name = Project::Name("bosh".into());
    assert_eq!(credentials(json!({})), (by_name.clone(), "Default".into(), Some("Default".into())));
    let two = json!({"domain": null, "user_domain_name": "users", "project_domain_name": "projects"});
    assert_eq!(credentials(two), (by_name, "users".into(), Some("projects".into())));
    let by_id = json!({"project_id": "p-1"});
    assert_eq!(credentials(by_id), (Project::Id("p-1".into()), "Default".into(), None));
}

#[test]
fn the_context_is_merged_over_the_configuration() {
    let context = json!({
        "director_uuid": "d", "request_id": "cpi-1", "vm": {"stemcell": {"api_version": 2}},
        "auth_url": "https://second:5000/v3", "region": "RegionTwo", "username": "second", "api_key": "other",
        "connection_options": {"ca_cert": "PEM"},
    });
    let (config, warnings) = load(&json!({"connection_options": {"read_timeout": 7}}), &context);
    let config = config.unwrap();
    assert!(warnings.is_empty(), "what the director adds is no unknown key: {warnings:?}");
    assert_eq!(
        (config.auth_url.as_str(), config.region.as_deref()),
        ("https://second:5000", Some("RegionTwo"))
    );
    assert_eq!(config.default_key_name.as_deref(), Some("bosh"), "what the context does not say stays");
    assert_eq!(config.connection.ca_cert.as_deref(), Some("PEM"));
    assert_eq!(config.connection.read_timeout, None, "the merge is shallow, as in Ruby");
}

#[test]
fn another_kind_of_credentials_in_the_context_replaces_the_configured_one() {
    let context =
        json!({"director_uuid": "d", "application_credential_id": "i", "application_credential_secret": "s"});
    let config = load(&json!({}), &context).0.unwrap();
    assert!(matches!(config.credentials, Credentials::ApplicationCredential { .. }));
    let application = json!({"username": null, "api_key": null, "application_credential_id": "i",
                             "application_credential_secret": "s"});
    let context = json!({"director_uuid": "d", "username": "u", "api_key": "k"});
    let config = load(&application, &context).0.unwrap();
    assert!(matches!(config.credentials, Credentials::Password { .. }));
}

#[test]
fn secrets_never_show() {
    let (config, _) = load(&json!({}), &json!({"director_uuid": "d", "api_key": "context-secret"}));
    let shown = format!("{:?}", config.unwrap().credentials);
    assert!(!shown.contains("context-secret") && !shown.contains("correct-horse"), "{shown}");
}

#[test]
fn a_file_that_is_no_configuration() {
    for file in [json!({}), json!({"cloud": {}}), json!([])] {
        let error = Config::load(&file, &Map::new(), &Warnings::default()).unwrap_err();
        assert_eq!(error.message, "Could not find cloud properties in the configuration");
    }
    let file = json!({"cloud": {"properties": {}}});
    let error = Config::load(&file, &Map::new(), &Warnings::default()).unwrap_err();
    let text = "Arguments are not correct, details: 'Invalid OpenStack cloud properties: No 'openstack' properties specified.'";
    assert_eq!(error.message, text);
}

#[test]
fn a_missing_registry_is_said_in_rubys_words() {
    let config = loaded(&json!({}));
    let error = config.required_registry(2, 1).unwrap_err();
    let text = "Arguments are not correct, details: 'Invalid CPI properties. Used CPI API version is 2 and stemcell API \
                version is 1. Since at least one API version is 1, the registry has to be configured. Error: ";
    assert!(error.message.starts_with(text), "{error}");
}
