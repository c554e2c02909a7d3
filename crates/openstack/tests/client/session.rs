//! One token for all services and threads; renewed once.

use openstack::{Client, Config, Credentials, ErrorKind, Query, Service};

use crate::standin::{Standin, answer};

const NO_PORTS: &str = r#"{"ports":[]}"#;

#[test]
fn eight_threads_share_one_token_and_connections_live_on() {
    let cloud = Standin::start();
    cloud.script((0..40).map(|_| answer(200, NO_PORTS)));
    let (client, _) = cloud.client();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    client.network().ports(&Query::new()).unwrap();
                }
            });
        }
    });
    assert_eq!(cloud.tokens(), 1);
    assert_eq!(cloud.seen().len(), 40);
    // One per thread at most, and one for the token.
    assert!(cloud.connections() <= 9, "{} connections", cloud.connections());
    assert!(cloud.seen().iter().all(|seen| seen.header("x-auth-token") == Some("tok-en-1")));
}

#[test]
fn requests_that_follow_each_other_use_one_connection() {
    let cloud = Standin::start();
    cloud.script((0..5).map(|_| answer(200, NO_PORTS)));
    let (client, _) = cloud.client();
    for _ in 0..5 {
        client.network().ports(&Query::new()).unwrap();
    }
    assert_eq!(cloud.connections(), 1);
}

#[test]
fn a_refused_token_is_renewed_once() {
    let cloud = Standin::start();
    cloud.script([
        answer(401, r#"{"error":{"code":401,"message":"expired","title":"Unauthorized"}}"#),
        answer(200, NO_PORTS),
    ]);
    let (client, clock) = cloud.client();
    client.network().ports(&Query::new()).unwrap();
    assert_eq!(cloud.tokens(), 2);
    assert_eq!(cloud.seen()[1].header("x-auth-token"), Some("tok-en-2"));
    assert!(clock.sleeps().is_empty());

    cloud.script([answer(401, "no"), answer(401, "no")]);
    let error = client.network().ports(&Query::new()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert_eq!(cloud.tokens(), 3, "renewed once, not for ever");
}

#[test]
fn a_post_is_sent_again_with_a_new_token_since_the_old_one_was_refused() {
    let cloud = Standin::start();
    cloud.script([answer(401, "no"), answer(201, r#"{"volume":{"id":"v"}}"#)]);
    let (client, _) = cloud.client();
    assert_eq!(client.volume().create_volume(&openstack::volume::VolumeCreate::default()).unwrap().id, "v");
    assert_eq!(cloud.seen()[0].body, cloud.seen()[1].body);
}

#[test]
fn the_session_tells_project_roles_and_services() {
    let cloud = Standin::start();
    let (client, _) = cloud.client();
    let session = client.session().unwrap();
    assert_eq!((session.project_id.as_deref(), session.user_id.as_str()), (Some("p1"), "u1"));
    assert_eq!(session.roles, ["member"]);
    assert!(client.has(Service::Compute).unwrap());
    assert!(!client.has(Service::LoadBalancer).unwrap());
    let error = client.load_balancer().pools(&Query::new()).unwrap_err();
    assert_eq!((error.kind(), error.service()), (ErrorKind::NoEndpoint, Some(Service::LoadBalancer)));
    assert!(error.to_string().contains("the catalog has: compute, image, network, volumev3"), "{error}");
}

#[test]
fn endpoints_of_the_settings_replace_the_catalogs() {
    let cloud = Standin::start();
    cloud.script([answer(200, NO_PORTS)]);
    let mut config = cloud.config();
    config.endpoints.insert(Service::Network, format!("{}/elsewhere", cloud.root));
    Client::new(config).unwrap().network().ports(&Query::new()).unwrap();
    assert_eq!(cloud.lines(), ["GET /elsewhere/v2.0/ports"]);
}

#[test]
fn certificates_are_read_when_tls_is_first_spoken() {
    // Nobody listens there; a CA file that is not there is not missed before TLS is spoken.
    let mut config = Config::new(
        "https://127.0.0.1:9",
        Credentials::ApplicationCredential { id: "i".into(), secret: "s".into() },
    );
    config.trust = openstack::Trust::File("/nowhere/ca.pem".into());
    let error = Client::new(config).unwrap().session().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("/nowhere/ca.pem"), "{error}");
}
