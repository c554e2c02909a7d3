//! The places of reference §3.5 about the way to OpenStack: certificates, context, region, domains, patience, and
//! services that a cloud does not have.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use super::go_rewrite::server_body;
use crate::driver::catalog::{Foreigner, Region};
use crate::driver::lab::{Lab, path_of};
use crate::driver::{Request, run};
use fault_proxy::{Fault, Rule};

/// A certificate of its own making for 127.0.0.1, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=keystone of the tests", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("the Debian package openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (certificate, key)
}

/// TLS before the lab's Keystone, as a cloud's load balancer does it; its address. It ends with the tests.
fn tls_before(keystone: String, certificate: &Path, key: &Path) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(|item| item.unwrap()).collect();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut client = rustls::StreamOwned::new(connection, stream.unwrap());
            // A client that does not believe us hangs up here.
            let Ok(request) = one_request(&mut client) else { continue };
            let mut service = TcpStream::connect(&keystone).unwrap();
            service.write_all(&request).unwrap();
            // The lab's services close after each answer.
            let mut answer = Vec::new();
            service.read_to_end(&mut answer).unwrap();
            let _ = client.write_all(&answer);
            client.conn.send_close_notify();
            let _ = client.flush();
        }
    });
    url
}

fn one_request(client: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                return Ok(request);
            }
        }
        match client.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&buffer[..read]),
        }
    }
}

#[test]
fn place_05_the_ca_of_the_command_line_is_believed() {
    let Some(lab) = Lab::open("go-05") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let keystone = lab.config["cloud"]["properties"]["openstack"]["auth_url"].as_str().unwrap();
    let keystone = keystone.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let url = tls_before(keystone, &certificate, &key);
    let changes = json!({"auth_url": format!("{url}/v3"), "connection_options": {}});
    let config = lab.config_with(changes);
    let (config, request) = (config.path.to_str().unwrap(), Request::new("ping", json!([])).text());
    // As upstream's bin/cpi calls it.
    let with = run(&["-configFile", config, "-caCert", certificate.to_str().unwrap()], &request);
    assert_eq!(with.result(), &json!("pong"));
    let without = run(&["-configFile", config], &request);
    let message = without.cloud_error();
    assert!(message.contains("connection_options.ca_cert") || message.contains("ca_cert"), "{message}");
    assert!(message.contains(&url), "{message}");
}

#[test]
fn place_06_a_multi_cpis_context_counts_more_than_the_configuration() {
    let Some(lab) = Lab::open("go-06") else { return };
    let changes = json!({"username": "somebody-else", "api_key": "wrong", "project": "elsewhere"});
    let disk = json!(["2b22b053-ffc3-4d5a-be30-407c624f6ce1"]);
    let without = lab.call_with(changes.clone(), &Request::new("has_disk", disk.clone()), Vec::new());
    assert!(without.cloud_error().contains("The credentials are refused"), "{}", without.cloud_error());
    let own = &lab.config["cloud"]["properties"]["openstack"];
    let mut request = Request::new("has_disk", disk);
    for key in ["username", "api_key", "project"] {
        request = request.with_context(key, own[key].clone());
    }
    let answer = lab.call_with(changes, &request, Vec::new());
    assert_eq!(answer.result(), &json!(false));
    assert!(answer.stderr.contains("[req_id cpi-271828]"), "{}", answer.stderr);
}

#[test]
fn place_07_region_interface_project_id_and_domains_come_from_the_configuration() {
    let Some(lab) = Lab::open("go-07") else { return };
    // One Glance under several names, told apart by the host that is asked.
    let one = Region::new(
        &lab,
        "one",
        &[("image", "internal", "http://localhost:9292"), ("image", "public", "http://127.1:9292")],
    );
    let two = Region::new(&lab, "two", &[("image", "public", "http://127.0.1:9292")]);
    let user = Foreigner::new(&lab);
    let stemcell = Request::new("create_stemcell", json!(["unused", {"image_id": lab.image_id}]));
    let by_name = json!({"project": lab.name(), "project_domain_name": "Default"});
    let by_id = json!({"project": null, "project_id": lab.project_id(), "project_domain_name": "Default"});
    for (project, region, interface, host) in [
        (&by_name, &one, "internalURL", "localhost:9292"),
        (&by_name, &one, "publicURL", "127.1:9292"),
        (&by_name, &two, "publicURL", "127.0.1:9292"),
        (&by_id, &two, "publicURL", "127.0.1:9292"),
    ] {
        let mut changes = project.clone();
        changes["region"] = json!(region.name);
        changes["endpoint_type"] = json!(interface);
        changes["domain"] = json!(null);
        changes["user_domain_name"] = json!(user.name);
        changes["username"] = json!(user.name);
        changes["api_key"] = json!(Foreigner::PASSWORD);
        let answer = lab.call_with(changes, &stemcell, Vec::new());
        assert_eq!(answer.result(), &json!(format!("{} light", lab.image_id)));
        let asked = lab.requests().pop().unwrap().url;
        assert!(asked.starts_with(&format!("http://{host}/v2/images/")), "{asked}");
    }
    // The user is nobody in the project's domain.
    let changes = json!({"username": user.name, "api_key": Foreigner::PASSWORD});
    lab.call_with(changes, &stemcell, Vec::new()).cloud_error();
}

#[test]
fn place_20_the_configured_poll_interval_counts() {
    let Some(lab) = Lab::open("go-20") else { return };
    // Cinder says for ever that it is about to delete; all looks are in the same three seconds.
    let looks = |interval: u64| {
        let disk = lab.call("create_disk", json!([1024, {}])).result().as_str().unwrap().to_owned();
        let body = format!(r#"{{"volume": {{"id": "{disk}", "status": "deleting", "size": 1}}}}"#);
        let deleting = Rule::on("GET", "/volumes/").skip(1).fault(Fault::answer(200).body(&body));
        let changes = json!({"wait_resource_poll_interval": interval, "state_timeout": 3});
        let answer = lab.call_with(changes, &Request::new("delete_disk", json!([disk])), vec![deleting]);
        let text = format!("Timed out waiting for Volume `{disk}' to be deleted");
        assert_eq!(answer.cloud_error(), text);
        lab.requests().iter().filter(|request| request.method == "GET").count()
    };
    let (often, seldom) = (looks(0), looks(5));
    // Three seconds have ten pauses of 0.3 s; the first look and the last are beside them.
    assert!(seldom <= 13, "{seldom}");
    assert!(often > 13, "{often}");
}

#[test]
fn place_22_no_load_balancer_is_needed_without_pools_and_one_token_does() {
    let Some(lab) = Lab::open("go-22") else { return };
    let volumes = "http://127.0.0.1:8776/v3/$(project_id)s";
    let without_octavia = Region::new(
        &lab,
        "small",
        &[
            ("compute", "public", "http://127.0.0.1:8774/v2.1"),
            ("network", "public", "http://127.0.0.1:9696"),
            ("image", "public", "http://127.0.0.1:9292"),
            ("volumev3", "public", volumes),
            ("block-storage", "public", volumes),
        ],
    );
    let region = json!({"region": without_octavia.name});
    server_body(&lab, region.clone(), json!({}), lab.manual(&lab.free_ip()));
    let requests = lab.requests();
    assert_eq!(requests.iter().filter(|request| path_of(&request.url) == "/v3/auth/tokens").count(), 1);
    let pool = json!({"loadbalancer_pools": [{"name": "web", "port": 80}]});
    let request = Request::new("create_vm", lab.vm(pool, lab.manual(&lab.free_ip())));
    let answer = lab.call_with(region, &request, Vec::new());
    let (_, message, _) = answer.error();
    assert!(message.contains("'web'") && message.contains(&without_octavia.name), "{message}");
}
