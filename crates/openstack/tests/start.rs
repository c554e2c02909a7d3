//! What a client costs before its first request: the CPI makes one in every call, `info` included.
//! Alone in its process, so that threads and files can be counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use openstack::{Client, Config, Credentials, Domain, ProxySettings, Scope, Trust, User};

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_new_client_has_no_thread_no_file_and_no_connection() {
    let domain = Domain::Name("Default".into());
    let mut config = Config::new(
        "https://keystone.invalid:5000/v3",
        Credentials::Password {
            user: User::Name { name: "bosh".into(), domain: domain.clone() },
            password: "p".into(),
            scope: Scope::Project { name: "bosh".into(), domain },
        },
    );
    config.trust = Trust::System;
    config.proxy = ProxySettings::for_all("http://proxy.invalid:3128");
    let before = (entries("/proc/self/task"), entries("/proc/self/fd"));
    let started = std::time::Instant::now();
    let clients: Vec<Client> = (0..100).map(|_| Client::new(config.clone()).unwrap()).collect();
    let elapsed = started.elapsed();
    assert_eq!((entries("/proc/self/task"), entries("/proc/self/fd")), before);
    // A hundred clients within a second, on any machine: certificates alone would take longer.
    assert!(elapsed.as_secs() < 1, "{elapsed:?} for {}", clients.len());
    println!("one client: {} µs", elapsed.as_micros() / 100);
}
