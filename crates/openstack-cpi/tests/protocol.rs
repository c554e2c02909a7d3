//! The wire format (reference §1.1 to §1.3), over the built executable. No OpenStack is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

mod driver;

use std::io::Write;
use std::time::Duration;

use driver::{Configured, Request, run, start};
use serde_json::{Value, json};

fn error_of(text: &str) -> (String, String) {
    let config = Configured::offline();
    let answer = run(&["--config", config.path.to_str().unwrap()], text);
    let (kind, message, ok_to_retry) = answer.error();
    assert!(!ok_to_retry);
    (kind.to_owned(), message.to_owned())
}

#[test]
fn info_needs_no_openstack_in_any_version() {
    let config = Configured::offline();
    let expected = json!(["openstack-raw", "openstack-qcow2", "openstack-light"]);
    for version in [None, Some(1), Some(2), Some(3)] {
        let request = Request { api_version: version, ..Request::new("info", json!([])) };
        let answer = config.call(&request);
        assert_eq!(answer.result()["stemcell_formats"], expected);
        assert_eq!(answer.result()["api_version"], 3);
    }
    let answer = config.call(&Request::new("info", json!([])).version_1());
    assert_eq!(answer.result()["api_version"], 3);
}

#[test]
fn requests_that_are_none() {
    for (text, kind, message) in [
        ("", "InvalidCall", "Request cannot be deserialized, details: "),
        ("{", "InvalidCall", "Request cannot be deserialized, details: "),
        ("[]", "InvalidCall", "Request cannot be deserialized, details: "),
        ("null", "InvalidCall", "Request cannot be deserialized, details: "),
        ("{}", "InvalidCall", "Method must be a String, got: 'nil'"),
        (r#"{"method":[]}"#, "InvalidCall", "Method must be a String, got: '[]'"),
        (r#"{"method":7}"#, "InvalidCall", "Method must be a String, got: '7'"),
        (r#"{"method":"make_tea"}"#, "Bosh::Clouds::NotImplemented", "Method is not known, got: 'make_tea'"),
        (r#"{"method":"info"}"#, "InvalidCall", "Arguments must be an Array"),
        (r#"{"method":"info","arguments":{}}"#, "InvalidCall", "Arguments must be an Array"),
        (
            r#"{"method":"info","arguments":[],"api_version":"2"}"#,
            "InvalidCall",
            "CPI api_version requested must be an Integer",
        ),
        (
            r#"{"method":"info","arguments":[]}"#,
            "InvalidCall",
            "Request should include context with director uuid",
        ),
        (
            r#"{"method":"info","arguments":[],"context":{}}"#,
            "InvalidCall",
            "Request should include context with director uuid",
        ),
        (
            r#"{"method":"info","arguments":[],"context":{"director_uuid":7}}"#,
            "InvalidCall",
            "Request should include context with director uuid",
        ),
    ] {
        let error = error_of(text);
        assert_eq!(error.0, kind, "{text}: {}", error.1);
        assert!(error.1.starts_with(message), "{text}: {}", error.1);
    }
}

#[test]
fn deep_nesting_is_no_stack_overflow() {
    let (kind, message) = error_of(&"[".repeat(200_000));
    assert_eq!(kind, "InvalidCall");
    assert!(message.contains("recursion limit"), "{message}");
}

#[test]
fn an_unknown_version_is_refused() {
    let config = Configured::offline();
    let answer = config.call(&Request { api_version: Some(4), ..Request::new("info", json!([])) });
    let (kind, message, _) = answer.error();
    assert_eq!(kind, "Bosh::Clouds::NotSupported");
    assert_eq!(message, "CPI API version requested is '4', supported are 1 to 3");
}

#[test]
fn arity_in_rubys_words() {
    let config = Configured::offline();
    for (method, arguments, expected) in [
        ("info", json!([1]), "wrong number of arguments (given 1, expected 0)"),
        ("has_vm", json!([]), "wrong number of arguments (given 0, expected 1)"),
        ("create_vm", json!(["a", "b"]), "wrong number of arguments (given 2, expected 3..6)"),
        ("create_vm", json!([1, 2, 3, 4, 5, 6, 7]), "wrong number of arguments (given 7, expected 3..6)"),
        ("create_disk", json!([1024]), "wrong number of arguments (given 1, expected 2..3)"),
        ("create_stemcell", json!(["a"]), "wrong number of arguments (given 1, expected 2..3)"),
        ("attach_disk", json!(["a"]), "wrong number of arguments (given 1, expected 2)"),
    ] {
        assert_eq!(config.call(&Request::new(method, arguments)).argument_error(), expected, "{method}");
    }
}

#[test]
fn arguments_of_the_wrong_kind_are_named() {
    let config = Configured::offline();
    for (method, arguments, expected) in [
        ("has_vm", json!([7]), "vm_cid: expected a string, got a number"),
        ("has_disk", json!([null]), "disk_cid: expected a string, got null"),
        ("delete_vm", json!([""]), "vm_cid: expected a string, got an empty one"),
        ("set_vm_metadata", json!(["a", []]), "metadata: expected a hash, got a list"),
        ("create_disk", json!(["1024", {}]), "Disk size needs to be an integer"),
        ("create_disk", json!([1024.5, {}]), "Disk size needs to be an integer"),
        ("create_vm", json!(["a", "s", {}]), "Invalid spec, Hash expected, null provided (networks)"),
        ("create_vm", json!(["a", "s", {}, {"n": []}]), "networks.n: expected a hash, got a list"),
        ("create_vm", json!(["a", "s", [], {}]), "cloud_properties: expected a hash, got a list"),
    ] {
        assert_eq!(config.call(&Request::new(method, arguments)).argument_error(), expected, "{method}");
    }
}

#[test]
fn what_is_not_there_says_so_without_openstack() {
    let config = Configured::offline();
    let answer = config.call(&Request::new("current_vm_id", json!([])));
    let expected = "'current_vm_id' is not implemented by Bosh::OpenStackCloud::Cloud";
    assert_eq!(answer.error(), ("Bosh::Clouds::NotImplemented", expected, false));
    let answer = config.call(&Request::new("configure_networks", json!(["vm", {"private": {}}])));
    let expected = "network configuration change requires VM recreation: private";
    assert_eq!(answer.error(), ("Bosh::Clouds::NotSupported", expected, false));
    let answer = config.call(&Request::new("create_disk", json!([1000, {}])));
    assert_eq!(answer.cloud_error(), "Minimum disk size is 1 GiB");
    let cid = json!(["2b22b053-ffc3-4d5a-be30-407c624f6ce1 light"]);
    assert_eq!(config.call(&Request::new("delete_stemcell", cid)).result(), &Value::Null);
}

#[test]
fn stderr_tells_start_and_end_with_the_request_id() {
    let config = Configured::offline();
    let answer = config.call(&Request::new("info", json!([])));
    let lines: Vec<&str> = answer.stderr.lines().collect();
    assert_eq!(lines.first(), Some(&"[req_id cpi-271828] Starting info..."));
    let last = lines.last().unwrap();
    assert!(last.starts_with("[req_id cpi-271828] Finished info in 0."), "{last}");
    assert!(last.ends_with(" seconds"), "{last}");
}

#[test]
fn the_log_of_an_error_tells_type_text_and_steps() {
    let config = Configured::offline();
    let answer = config.call(&Request::new("create_disk", json!([1, {}])));
    let log = answer.json["log"].as_str().unwrap();
    assert!(
        log.starts_with("Rescued Bosh::Clouds::CloudError: Minimum disk size is 1 GiB. backtrace: "),
        "{log}"
    );
    assert!(log.contains("Starting create_disk..."), "{log}");
    let answer = config.call(&Request::new("info", json!([])));
    assert_eq!(answer.json["log"], "");
}

#[test]
fn an_unreachable_keystone_is_named_and_no_secret_shows() {
    let config = Configured::offline_with(
        json!({"connection_options": {"connect_timeout": 0.2, "read_timeout": 0.2}}),
    );
    let answer = config.call(&Request::new("has_vm", json!(["some-vm"])));
    let message = answer.cloud_error();
    assert!(
        message.starts_with("Unable to connect to the OpenStack Keystone API http://127.0.0.1:1"),
        "{message}"
    );
    let everything = format!("{}{}", answer.json, answer.stderr);
    assert!(!everything.contains("correct-horse-battery"), "{everything}");
    assert!(!everything.contains("nats-password"), "{everything}");
}

#[test]
fn the_command_line_is_answered_in_json_too() {
    let config = Configured::offline();
    let path = config.path.to_str().unwrap();
    let request = Request::new("info", json!([])).text();
    for arguments in [
        vec!["--config", path],
        vec![&format!("-configFile={path}"), "-caCert=/nonexistent/cacert.pem"],
        vec!["-configFile", path, "-caCert", "/nonexistent/cacert.pem"],
    ] {
        run(&arguments, &request).result();
    }
    let (kind, message, _) = {
        let answer = run(&["--confg", path], &request);
        let (kind, message, retry) = answer.error();
        (kind.to_owned(), message.to_owned(), retry)
    };
    assert_eq!((kind.as_str(), message.as_str()), ("Unknown", "unknown argument '--confg'; see --help"));
    let answer = run(&["--config", "/nonexistent/cpi.json"], &request);
    assert!(answer.error().1.starts_with("Cannot read the configuration /nonexistent/cpi.json: "));
}

#[test]
fn a_signal_before_the_request_is_answered() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    let config = Configured::offline();
    let mut child = Command::new(driver::EXECUTABLE)
        .args(["--config", config.path.to_str().unwrap()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is held open: the request never comes.
    let stdin = child.stdin.take();
    // The handler has to be there first; nothing tells when it is but the absence of the default.
    let pid = child.id();
    let is_caught = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask =
            status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap_or(0) & (1 << 14) != 0
    };
    while !is_caught() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").arg("-TERM").arg(pid.to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.signal(), None, "it ended by itself");
    let answer = driver::Answer::of(&output);
    assert_eq!(answer.cloud_error(), "Interrupted by SIGTERM before there was a request");
}

#[test]
fn nothing_is_read_from_os_variables() {
    let config = Configured::offline_with(json!({"username": null, "api_key": null}));
    let mut child = std::process::Command::new(driver::EXECUTABLE)
        .args(["--config", config.path.to_str().unwrap()])
        .env("OS_USERNAME", "somebody")
        .env("OS_PASSWORD", "something")
        .env("OS_REGION_NAME", "elsewhere")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(Request::new("info", json!([])).text().as_bytes()).unwrap();
    let answer = driver::Answer::of(&child.wait_with_output().unwrap());
    assert!(answer.argument_error().contains("username and api_key or application_credential_id"));
}

#[test]
fn a_call_is_quick_to_start() {
    // Not a timed test: it shows only that `info` waits for nothing.
    let config = Configured::offline();
    let output = start(&["--config", config.path.to_str().unwrap()], &Request::new("info", json!([])).text());
    driver::Answer::of(&output.wait_with_output().unwrap()).result();
}
