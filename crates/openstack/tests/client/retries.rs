//! What is repeated, how often, and after which waits.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openstack::network::{PortCreate, PortUpdate, Tagged};
use openstack::{
    Client, Clock, Deletion, Delivery, Error, ErrorKind, Observer, OrNone, Query, RequestReport, Service,
};

use crate::standin::{Act, FakeClock, Standin, answer, answer_with};

const NO_PORTS: &str = r#"{"ports":[]}"#;
const PORT: &str = r#"{"port":{"id":"p"}}"#;

fn seconds(sleeps: &[Duration]) -> Vec<f64> {
    sleeps.iter().map(Duration::as_secs_f64).collect()
}

#[test]
fn reads_are_repeated_with_doubling_waits() {
    let cloud = Standin::start();
    cloud.script([answer(500, ""), answer(502, ""), Act::HangUp, answer(503, ""), answer(200, NO_PORTS)]);
    let (client, clock) = cloud.client();
    assert!(client.network().ports(&Query::new()).unwrap().is_empty());
    assert_eq!(seconds(&clock.sleeps()), [0.5, 1.0, 2.0, 4.0]);
    assert_eq!(cloud.tokens(), 1);
}

#[test]
fn attempts_end() {
    let cloud = Standin::start();
    cloud.script((0..20).map(|_| answer(503, "")));
    let (client, _) = cloud.client();
    let error = client.network().ports(&Query::new()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(503)));
    assert_eq!(cloud.seen().len(), 6);
}

#[test]
fn retry_after_is_kept_in_seconds_and_as_a_date() {
    let cloud = Standin::start();
    cloud.script([
        answer_with(429, "Retry-After", "7", ""),
        answer_with(503, "Retry-After", "Wed, 25 Nov 2026 10:00:30 GMT", ""),
        answer(413, r#"{"overLimit":{"code":413,"message":"Too many requests","retryAfter":"11"}}"#),
        answer(200, NO_PORTS),
    ]);
    let (client, clock) = cloud.client();
    client.network().ports(&Query::new()).unwrap();
    // The date is 30 s after ten, and 7 s have passed.
    assert_eq!(seconds(&clock.sleeps()), [7.0, 23.0, 11.0]);
}

#[test]
fn a_wait_beyond_the_total_is_not_begun() {
    let cloud = Standin::start();
    cloud.script([answer_with(429, "Retry-After", "3600", "slow down")]);
    let (client, clock) = cloud.client();
    let error = client.network().ports(&Query::new()).unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_hours(1))));
    assert!(clock.sleeps().is_empty());
}

#[test]
fn a_post_that_may_have_been_carried_out_is_sent_once() {
    for act in [
        answer(500, ""),
        answer(502, ""),
        answer(503, ""),
        answer(504, ""),
        Act::HangUp,
        answer(201, "{half"),
    ] {
        let cloud = Standin::start();
        cloud.script([act.clone(), answer(201, PORT)]);
        let (client, clock) = cloud.client();
        let error = client.network().create_port(&PortCreate::default()).unwrap_err();
        assert!(error.is_ambiguous(), "{act:?}: {error:?}");
        assert_eq!(cloud.seen().len(), 1, "{act:?}");
        assert!(clock.sleeps().is_empty());
    }
}

#[test]
fn a_post_that_was_refused_for_its_rate_is_sent_again() {
    let cloud = Standin::start();
    cloud.script([answer_with(429, "Retry-After", "2", ""), answer(201, PORT)]);
    let (client, clock) = cloud.client();
    assert_eq!(client.network().create_port(&PortCreate::default()).unwrap().id, "p");
    assert_eq!(seconds(&clock.sleeps()), [2.0]);
}

#[test]
fn refusals_are_not_repeated() {
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::Conflict),
        (301, ErrorKind::BadRequest),
        (501, ErrorKind::Unavailable),
    ] {
        let cloud = Standin::start();
        cloud.script([answer_with(status, "Location", "http://127.0.0.1:9/elsewhere", "")]);
        let (client, _) = cloud.client();
        let error = client.network().port("x").unwrap_err();
        assert_eq!((error.kind(), cloud.seen().len()), (kind, 1), "{status}");
    }
}

#[test]
fn a_quota_is_not_waited_for() {
    let cloud = Standin::start();
    cloud.script([answer(
        413,
        r#"{"overLimit":{"code":413,"message":"VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded.","retryAfter":"0"}}"#,
    )]);
    let (client, clock) = cloud.client();
    let error = client.volume().create_volume(&openstack::volume::VolumeCreate::default()).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::OverQuota, Delivery::Refused));
    assert!(clock.sleeps().is_empty());
}

#[test]
fn deletions_are_repeated_and_a_404_is_a_success() {
    let cloud = Standin::start();
    cloud.script([Act::HangUp, answer(404, ""), answer(204, "")]);
    let (client, _) = cloud.client();
    assert_eq!(client.network().delete_port("a/b").unwrap(), Deletion::Gone);
    assert_eq!(client.network().delete_port("c").unwrap(), Deletion::Accepted);
    assert_eq!(
        cloud.lines(),
        [
            "DELETE /neutron/v2.0/ports/a%2Fb",
            "DELETE /neutron/v2.0/ports/a%2Fb",
            "DELETE /neutron/v2.0/ports/c"
        ]
    );
}

#[test]
fn whole_replacements_are_repeated_and_conditional_ones_are_not() {
    let cloud = Standin::start();
    cloud.script([
        answer(503, ""),
        answer(200, PORT),
        answer(503, ""),
        answer(412, ""),
        answer(502, ""),
        answer(200, "{}"),
    ]);
    let (client, _) = cloud.client();
    client.network().update_port("p", &PortUpdate::default(), None).unwrap();
    assert_eq!(cloud.seen().len(), 2);
    assert!(client.network().update_port("p", &PortUpdate::default(), Some(7)).unwrap_err().is_ambiguous());
    assert_eq!(cloud.seen().len(), 3);
    assert_eq!(cloud.seen()[2].header("if-match"), Some("revision_number=7"));
    assert!(client.network().update_port("p", &PortUpdate::default(), Some(7)).unwrap_err().is_conflict());
    client.network().set_tags(Tagged::Port, "p", &["bosh"]).unwrap();
}

#[test]
fn what_never_arrived_is_sent_again_whatever_it_is() {
    let cloud = Standin::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = cloud.config();
    config.endpoints.insert(Service::Network, format!("http://{closed}"));
    let clock = Arc::new(FakeClock::default());
    let client = Client::new(config).unwrap().with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let error = client.network().create_port(&PortCreate::default()).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connection, Delivery::NotSent));
    assert_eq!(clock.sleeps().len(), 5);
    let text = error.to_string();
    assert!(text.contains(&closed.to_string()) && text.contains("refused"), "{text}");
}

#[test]
fn an_unknown_host_and_an_unreachable_keystone_are_told() {
    let mut config = Standin::start().config();
    config.auth_url = "http://keystone.invalid:5000/v3".into();
    config.limits.attempts = 2;
    let clock = Arc::new(FakeClock::default());
    let client = Client::new(config).unwrap().with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    // The look-up of another service's request does not multiply the attempts.
    let error = client.compute().server("s").unwrap_err();
    assert_eq!((error.service(), error.kind()), (Some(Service::Identity), ErrorKind::Connection));
    assert!(error.to_string().contains("keystone.invalid:5000"), "{error}");
    assert_eq!(clock.sleeps().len(), 1);
}

#[test]
fn a_silent_service_is_given_up_after_the_time_of_a_request() {
    let cloud = Standin::start();
    let mut config = cloud.config();
    config.limits.request = Duration::from_millis(200);
    config.limits.attempts = 2;
    let clock = Arc::new(FakeClock::default());
    let client = Client::new(config).unwrap().with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    client.session().unwrap();
    cloud.script([Act::Silence(Duration::from_secs(3)), Act::Silence(Duration::from_secs(3))]);
    let error = client.network().port("p").unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Unknown), "{error}");
    assert_eq!(cloud.seen().len(), 2);
}

#[test]
fn a_body_that_is_cut_or_garbled_is_asked_for_again() {
    let cloud = Standin::start();
    cloud.script([
        Act::Truncated(r#"{"ports":["#.into()),
        answer(200, "<html>{["),
        answer(200, "{}"),
        answer(200, NO_PORTS),
    ]);
    let (client, clock) = cloud.client();
    client.network().ports(&Query::new()).unwrap();
    assert_eq!(clock.sleeps().len(), 3);
    cloud.script((0..6).map(|_| answer(200, "{}")));
    let error = client.network().ports(&Query::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.message().contains("no 'ports'"), "{error}");
}

#[test]
fn an_observer_sees_every_attempt_and_wait() {
    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);
    impl Observer for Log {
        fn request(&self, report: &RequestReport<'_>) {
            self.0.lock().unwrap().push(format!(
                "{} {} {} {:?} #{} {}",
                report.service,
                report.method,
                report.path,
                report.status,
                report.attempt,
                report.request_id.unwrap_or("-")
            ));
        }
        fn retry(&self, error: &Error, attempt: u32, wait: Duration) {
            self.0.lock().unwrap().push(format!(
                "wait {} after #{attempt}: {}",
                wait.as_millis(),
                error.kind()
            ));
        }
    }
    let cloud = Standin::start();
    cloud.script([
        answer_with(503, "x-openstack-request-id", "req-1", ""),
        answer_with(404, "x-openstack-request-id", "req-2", ""),
    ]);
    let log = Arc::new(Log::default());
    let (client, _) = cloud.client();
    let client = client.with_observer(Arc::clone(&log) as Arc<dyn Observer>);
    assert_eq!(client.compute().server("s").or_none().unwrap(), None);
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            "identity POST /v3/auth/tokens Some(201) #1 -",
            "compute GET /nova/v2.1/servers/s Some(503) #1 req-1",
            "wait 500 after #1: Unavailable",
            "compute GET /nova/v2.1/servers/s Some(404) #2 req-2",
        ]
    );
}
