//! TLS against a server with certificates made by `openssl`: whom the client believes, and what it says if not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use openstack::{Client, Config, Credentials, ErrorKind, Trust};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("openstack-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a certificate may sign others; `openssl req -x509` makes it a CA unless told otherwise.
#[derive(Clone, Copy)]
enum Kind {
    Server,
    Ca,
}

/// A self-signed certificate for an address or a name, and its key.
fn certificate(folder: &Path, name: &str, kind: Kind) -> (PathBuf, PathBuf) {
    let constraints = match kind {
        Kind::Server => "basicConstraints=critical,CA:FALSE",
        Kind::Ca => "basicConstraints=critical,CA:TRUE",
    };
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=stand-in", "-addext", &format!("subjectAltName={name}")])
        .args(["-addext", constraints])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("the Debian package openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (certificate, key)
}

/// A Keystone that gives a token to whoever gets through the handshake.
fn keystone(certificate: &Path, key: &Path) -> String {
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
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut buffer = [0; 16 << 10];
            let mut request = Vec::new();
            while !String::from_utf8_lossy(&request).contains("}}") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let body = r#"{"token":{"user":{"id":"u"},"catalog":[]}}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 201 Created\r\nX-Subject-Token: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

fn session(url: &str, trust: Trust) -> openstack::Result<String> {
    let mut config =
        Config::new(url, Credentials::ApplicationCredential { id: "i".into(), secret: "secret".into() });
    config.trust = trust;
    Ok(Client::new(config)?.session()?.user_id.clone())
}

#[test]
fn a_ca_is_taken_from_a_file_or_as_text_and_nobody_else_is_believed() {
    let folder = Folder::new("ca");
    let (certificate, key) = certificate(&folder.0, "IP:127.0.0.1", Kind::Server);
    let url = keystone(&certificate, &key);
    let text = std::fs::read_to_string(&certificate).unwrap();
    assert_eq!(session(&url, Trust::File(certificate)).unwrap(), "u");
    assert_eq!(session(&url, Trust::Pem(text)).unwrap(), "u");
    assert_eq!(session(&url, Trust::Anyone).unwrap(), "u");
    let error = session(&url, Trust::System).unwrap_err();
    // A machine without a store is told so; one with a store does not know this issuer.
    match error.kind() {
        ErrorKind::Tls => assert!(error.message().contains("ca_cert"), "{error}"),
        ErrorKind::Config => assert!(error.message().contains("ca-certificates"), "{error}"),
        kind => panic!("{kind}: {error}"),
    }
}

#[test]
fn a_certificate_for_another_name_is_refused_with_a_mend() {
    let folder = Folder::new("name");
    let (certificate, key) = certificate(&folder.0, "DNS:keystone.example", Kind::Server);
    let url = keystone(&certificate, &key);
    let error = session(&url, Trust::File(certificate)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.message().contains("ask it by a name that its certificate holds"), "{error}");
    assert!(!error.is_ambiguous(), "nothing was sent");
}

#[test]
fn plain_http_where_tls_was_expected_is_told() {
    let folder = Folder::new("plain");
    let (certificate, _) = certificate(&folder.0, "IP:127.0.0.1", Kind::Server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = session(&url, Trust::File(certificate)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.message().contains("try http://"), "{error}");
}

#[test]
fn a_server_that_shows_the_named_ca_as_its_own_is_believed_as_openssl_does_but_not_under_another_name() {
    let folder = Folder::new("own-ca");
    let (ours, key) = certificate(&folder.0, "IP:127.0.0.1", Kind::Ca);
    let url = keystone(&ours, &key);
    assert_eq!(session(&url, Trust::File(ours)).unwrap(), "u");

    let other = Folder::new("other-ca");
    let (foreign, _) = certificate(&other.0, "IP:127.0.0.1", Kind::Ca);
    let error = session(&url, Trust::File(foreign)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "another CA: {error}");

    let named = Folder::new("named-ca");
    let (elsewhere, key) = certificate(&named.0, "DNS:keystone.example", Kind::Ca);
    let url = keystone(&elsewhere, &key);
    let error = session(&url, Trust::File(elsewhere)).unwrap_err();
    assert!(error.message().contains("ask it by a name"), "{error}");
}
