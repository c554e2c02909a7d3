//! A panic is an answer too, and what the call had made by then is undone. This test calls itself: the child panics
//! inside a call, in the worker's thread or in a thread of its own, and the parent looks at what came out. Nothing that
//! comes from outside makes the CPI panic, so the child brings the panic along: at the end of `create_vm`'s requests
//! its observer does it, while OpenStack, reached through the same code as ever, has done what it was asked for.
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
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driver::lab::Lab;
use openstack::RequestReport;
use openstack_cpi::cloud::Cloud;
use openstack_cpi::config::Config;
use openstack_cpi::fields::Warnings;
use openstack_cpi::progress::Progress;
use openstack_cpi::request::Request;
use openstack_cpi::{connect, process};
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["child-worker"] => answer_with_a_panic(|| panic!("on purpose")),
        ["child-thread"] => answer_with_a_panic(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("on purpose"));
            });
        }),
        ["child-in-the-lab", config, end_of_path] => panic_at(config, end_of_path),
        _ => {
            for child in ["child-worker", "child-thread"] {
                let output = Command::new(std::env::current_exe().unwrap()).arg(child).output().unwrap();
                check(child, &output);
                println!("test a_panic_is_answered ({child}) ... ok");
            }
            a_panic_is_undone();
        }
    }
}

fn answer_with_a_panic(panic: impl FnOnce() + Send + 'static) {
    process::answer_with(move |_| {
        panic();
        Ok(Value::Null)
    })
    .unwrap();
}

fn check(child: &str, output: &Output) {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let answer: Value =
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{child}: {error}: {stdout}"));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the CPI panicked: on purpose ("), "{child}: {message}");
    assert!(!message.contains("by hand"), "{child}: {message}");
    assert_eq!(answer["error"]["type"], "Unknown");
    assert_eq!(answer["error"]["ok_to_retry"], false);
    assert!(answer["log"].is_string());
}

/// A call like any other until a request to such a path was answered; then its thread panics, once.
fn panic_at(config: &str, end_of_path: &str) {
    let (config, end_of_path) = (config.to_owned(), end_of_path.to_owned());
    process::answer_with(move |shared| {
        let request = Request::parse(std::io::read_to_string(std::io::stdin()).unwrap().as_bytes())?;
        let file: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
        let config = Config::load(&file, &request.context, &Warnings::default())?;
        let progress = Arc::new(Progress::new(None));
        let has_panicked = AtomicBool::new(false);
        let observer = move |report: &RequestReport<'_>| {
            let is_meant = report.method != "GET" && report.path.ends_with(&end_of_path);
            assert!(!is_meant || has_panicked.swap(true, Ordering::SeqCst), "on purpose");
        };
        let client = connect::client(&config, None, &progress)?.with_observer(Arc::new(observer));
        shared.call(Cloud::new(config, client, &request, progress, shared.interrupt()), &request)
    })
    .unwrap();
}

/// Once when Nova has made the server and the CPI does not know its id yet, once in the thread that writes the tags.
fn a_panic_is_undone() {
    let Some(lab) = Lab::open("panic") else { return };
    let vip = lab.free_ip();
    let reserved = lab.reserve(&vip);
    let before = lab.inventory();
    for (end_of_path, requests_before) in [("/servers", 2), ("/tags", 3)] {
        let arguments = lab.vm(json!({"allowed_address_pairs": vip}), lab.manual(&lab.free_ip()));
        let config = lab.config_with(json!({}));
        lab.proxy.set_rules(Vec::new());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child-in-the-lab", config.path.to_str().unwrap(), end_of_path])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let request = driver::Request::new("create_vm", arguments).text();
        child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        check(end_of_path, &child.wait_with_output().unwrap());
        let made = |method: &str| {
            let requests = lab.requests();
            requests
                .iter()
                .filter(|request| request.method == method && !request.url.contains("/auth/"))
                .count()
        };
        assert_eq!(made("POST") + made("PUT"), requests_before, "port, server, tags");
        assert_eq!(made("DELETE"), 2, "server and port");
        assert_eq!(lab.inventory(), before);
        lab.assert_untouched(&reserved);
        println!("test a_panic_is_undone ({end_of_path}) ... ok");
    }
}
