//! Keystone: each kind of credential, and what a wrong one is told.

use openstack::{Client, Credentials, ErrorKind, Interface, Query, Secret, Service};

use crate::lab::{config, counting};

#[test]
fn a_password_and_an_application_credential_give_a_session() {
    let Some(password) = config("lab") else { return };
    let by_password = Client::new(password).unwrap().session().unwrap();
    assert_eq!(by_password.project_name.as_deref(), Some("bosh"));
    assert!(by_password.roles.iter().any(|role| role == "member"), "{:?}", by_password.roles);
    let by_credential =
        Client::new(config("lab-application-credential").unwrap()).unwrap().session().unwrap();
    assert_eq!(by_credential.project_id, by_password.project_id);
}

#[test]
fn one_token_serves_all_services_from_many_threads() {
    let Some(config) = config("lab") else { return };
    let (client, requests) = counting(config);
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(!client.compute().flavors().unwrap().is_empty()));
        scope.spawn(|| assert!(!client.network().networks(&Query::new()).unwrap().is_empty()));
        scope.spawn(|| assert!(!client.image().images(&Query::new()).unwrap().is_empty()));
        scope.spawn(|| assert!(!client.volume().volume_types().unwrap().is_empty()));
        scope.spawn(|| client.load_balancer().pools(&Query::new()).unwrap());
    });
    assert_eq!(requests.load(std::sync::atomic::Ordering::SeqCst), 6);
}

#[test]
fn wrong_credentials_are_told_without_the_password() {
    let Some(mut config) = config("lab") else { return };
    if let Credentials::Password { password, .. } = &mut config.credentials {
        *password = Secret::new("wr0ng-passw0rd");
    }
    let error = Client::new(config).unwrap().network().networks(&Query::new()).unwrap_err();
    assert_eq!(
        (error.kind(), error.status(), error.service()),
        (ErrorKind::Unauthorized, Some(401), Some(Service::Identity))
    );
    assert_eq!(error.message(), "The request you have made requires authentication.");
    assert!(error.request_id().is_some_and(|id| id.starts_with("req-")), "{error}");
    assert!(!format!("{error}{error:?}").contains("wr0ng"), "{error}");
}

#[test]
fn a_region_or_interface_that_is_not_there_is_told_with_those_that_are() {
    let Some(mut config) = config("lab") else { return };
    config.region = Some("RegionTwo".into());
    config.interface = Interface::Internal;
    let error = Client::new(config).unwrap().compute().flavors().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoEndpoint);
    for part in ["Nova", "'compute'", "RegionTwo", "internal", "RegionOne"] {
        assert!(error.message().contains(part), "{error} lacks {part}");
    }
}
