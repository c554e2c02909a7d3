//! Calls the built executable as the director does: JSON on stdin, a cleared environment, one process a call.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod catalog;
pub(crate) mod lab;
pub(crate) mod stemcell;
pub(crate) mod sweep;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Map, Value, json};

/// The executable.
pub(crate) const EXECUTABLE: &str = env!("CARGO_BIN_EXE_openstack_cpi");

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The whole of it.
    pub(crate) json: Value,
    /// What was said on stderr.
    pub(crate) stderr: String,
}

impl Answer {
    /// Reads what a process left. stdout has to be one JSON object that the director's schema takes.
    pub(crate) fn of(output: &Output) -> Self {
        let stderr = String::from_utf8(output.stderr.clone()).expect("stderr is text");
        let stdout = String::from_utf8(output.stdout.clone()).expect("stdout is text");
        let json: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("stdout is no JSON ({error}): {stdout}\n{stderr}"));
        let object = json.as_object().expect("an object");
        assert!(object.contains_key("result"), "result is required: {json}");
        assert!(object["log"].is_string(), "log is a string: {json}");
        if !object["error"].is_null() {
            let error = object["error"].as_object().expect("error is an object");
            assert!(
                error["type"].is_string()
                    && error["message"].is_string()
                    && error["ok_to_retry"].is_boolean()
            );
            assert!(object["result"].is_null(), "an error has no result");
        }
        assert_eq!(object.len(), 3, "{json}");
        Self { json, stderr }
    }

    /// The result of a call that succeeded.
    #[track_caller]
    pub(crate) fn result(&self) -> &Value {
        assert!(self.json["error"].is_null(), "the call failed: {}\n{}", self.json["error"], self.stderr);
        &self.json["result"]
    }

    /// Type, text and `ok_to_retry` of a call that failed.
    #[track_caller]
    pub(crate) fn error(&self) -> (&str, &str, bool) {
        let error = &self.json["error"];
        assert!(!error.is_null(), "the call succeeded: {}\n{}", self.json["result"], self.stderr);
        (
            error["type"].as_str().unwrap(),
            error["message"].as_str().unwrap(),
            error["ok_to_retry"].as_bool().unwrap(),
        )
    }

    /// The text of a `CloudError`.
    #[track_caller]
    pub(crate) fn cloud_error(&self) -> &str {
        let (kind, message, ok_to_retry) = self.error();
        assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::CloudError", false), "{message}");
        message
    }

    /// What an `InvalidCall` says between the quotes.
    #[track_caller]
    pub(crate) fn argument_error(&self) -> &str {
        let (kind, message, ok_to_retry) = self.error();
        assert_eq!((kind, ok_to_retry), ("InvalidCall", false), "{message}");
        message
            .strip_prefix("Arguments are not correct, details: '")
            .and_then(|message| message.strip_suffix('\''))
            .unwrap_or_else(|| panic!("not the words of an argument error: {message}"))
    }
}

/// The director's request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: String,
    /// Its arguments.
    pub(crate) arguments: Value,
    /// The context.
    pub(crate) context: Map<String, Value>,
    /// The version.
    pub(crate) api_version: Option<u64>,
}

impl Request {
    /// As today's director asks: version 2, a stemcell that needs no registry.
    pub(crate) fn new(method: &str, arguments: Value) -> Self {
        let context = json!({
            "director_uuid": "director-of-the-tests",
            "request_id": "cpi-271828",
            "vm": {"stemcell": {"api_version": 3}},
        });
        Self {
            method: method.to_owned(),
            arguments,
            context: context.as_object().unwrap().clone(),
            api_version: Some(2),
        }
    }

    /// With one more property in the context, as a cpi-config gives it.
    pub(crate) fn with_context(mut self, key: &str, value: Value) -> Self {
        self.context.insert(key.to_owned(), value);
        self
    }

    /// As an old director asks, or the validator.
    pub(crate) fn version_1(mut self) -> Self {
        self.api_version = None;
        self.context.remove("vm");
        self
    }

    /// The JSON.
    pub(crate) fn text(&self) -> String {
        let mut request =
            json!({"method": self.method, "arguments": self.arguments, "context": self.context});
        if let Some(version) = self.api_version {
            request["api_version"] = json!(version);
        }
        request.to_string()
    }
}

/// Starts a call and leaves it running.
pub(crate) fn start(arguments: &[&str], stdin: &str) -> Child {
    let mut child = Command::new(EXECUTABLE)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    // A call that fails early does not read all of it.
    let _ = child.stdin.take().expect("stdin").write_all(stdin.as_bytes());
    child
}

/// Makes a call with these arguments of the command line.
pub(crate) fn run(arguments: &[&str], stdin: &str) -> Answer {
    Answer::of(&start(arguments, stdin).wait_with_output().expect("the executable ends"))
}

/// A configuration in a file of its own.
pub(crate) struct Configured {
    _folder: tempfile::TempDir,
    /// The file.
    pub(crate) path: PathBuf,
}

impl Configured {
    /// Writes a configuration.
    pub(crate) fn new(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cpi.json");
        std::fs::write(&path, config.to_string()).unwrap();
        Self { _folder: folder, path }
    }

    /// One whose Keystone nobody answers at: port 1 of this machine.
    pub(crate) fn offline() -> Self {
        Self::new(&offline_config())
    }

    /// One with some `openstack` properties changed; null removes.
    pub(crate) fn offline_with(changes: Value) -> Self {
        let mut config = offline_config();
        let openstack = config["cloud"]["properties"]["openstack"].as_object_mut().unwrap();
        for (key, value) in changes.as_object().unwrap() {
            openstack.insert(key.clone(), value.clone());
        }
        Self::new(&config)
    }

    /// Makes a call with it.
    pub(crate) fn call(&self, request: &Request) -> Answer {
        call(&self.path, request)
    }
}

/// Makes a call with a configuration.
pub(crate) fn call(config: &Path, request: &Request) -> Answer {
    run(&["--config", config.to_str().unwrap()], &request.text())
}

/// As the job's template renders it.
pub(crate) fn offline_config() -> Value {
    json!({"cloud": {"plugin": "openstack", "properties": {
        "openstack": {
            "auth_url": "http://127.0.0.1:1/v3",
            "username": "admin",
            "api_key": "correct-horse-battery",
            "project": "bosh",
            "domain": "Default",
            "default_key_name": "bosh",
            "default_security_groups": ["bosh"],
            "connection_options": {"connect_timeout": 1, "read_timeout": 1},
        },
        "agent": {"ntp": ["0.pool.ntp.org"], "mbus": "nats://nats:nats-password@10.0.0.6:4222"},
    }}})
}
