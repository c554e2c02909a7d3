//! A panic is an answer too. This test calls itself: the child panics inside a call, in the worker's thread and in a
//! thread of its own, and the parent looks at what came out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

use std::process::Command;

use openstack_cpi::process;
use serde_json::Value;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("child-worker") => answer_with_a_panic(|| panic!("on purpose")),
        Some("child-thread") => answer_with_a_panic(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("on purpose"));
            });
        }),
        _ => {
            for child in ["child-worker", "child-thread"] {
                check(child);
                println!("test a_panic_is_answered ({child}) ... ok");
            }
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

fn check(child: &str) {
    let output = Command::new(std::env::current_exe().unwrap()).arg(child).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let answer: Value =
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{child}: {error}: {stdout}"));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the CPI panicked: on purpose ("), "{child}: {message}");
    assert_eq!(answer["error"]["type"], "Unknown");
    assert_eq!(answer["error"]["ok_to_retry"], false);
    assert!(answer["log"].is_string());
}
