//! Images are sent as they are read.

use std::io::{self, Read};

use openstack::{ErrorKind, Query};

use crate::standin::{Act, Standin, answer};

/// So many bytes, made as they are read.
struct Bytes(u64);

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let now = usize::try_from(self.0).unwrap_or(usize::MAX).min(buffer.len());
        buffer[..now].fill(7);
        self.0 -= now as u64;
        Ok(now)
    }
}

#[test]
fn data_has_a_length_and_arrives_whole() {
    let cloud = Standin::start();
    cloud.script([answer(204, "")]);
    let length = 3 * 1024 * 1024 + 5;
    cloud.client().0.image().upload_image("i", &mut Bytes(length), length).unwrap();
    let seen = cloud.seen();
    assert_eq!(seen[0].line, "PUT /glance/v2/images/i/file");
    assert_eq!(seen[0].header("content-type"), Some("application/octet-stream"));
    assert_eq!(seen[0].header("transfer-encoding"), None);
    assert_eq!(seen[0].body.len() as u64, length);
}

#[test]
fn data_that_was_read_is_not_sent_again() {
    for act in [answer(503, ""), answer(401, ""), Act::HangUp] {
        let cloud = Standin::start();
        cloud.script([act]);
        let (client, clock) = cloud.client();
        assert!(client.image().upload_image("i", &mut Bytes(1000), 1000).is_err());
        assert_eq!((cloud.seen().len(), clock.sleeps().len()), (1, 0));
    }
}

#[test]
fn data_that_ends_early_is_an_error_that_says_so() {
    let cloud = Standin::start();
    let error = cloud.client().0.image().upload_image("i", &mut Bytes(10), 1000).unwrap_err();
    assert!(error.message().contains("990 bytes early"), "{error}");
    assert!(cloud.seen().is_empty(), "the request never became whole");
}

#[test]
fn an_upload_does_not_start_with_an_old_token() {
    use openstack::Clock;
    let cloud = Standin::start();
    cloud.script([answer(200, r#"{"images":[]}"#), answer(204, ""), answer(204, "")]);
    let (client, clock) = cloud.client();
    client.image().images(&Query::new()).unwrap();
    client.image().upload_image("i", &mut Bytes(1), 1).unwrap();
    assert_eq!(cloud.tokens(), 1);
    clock.sleep(std::time::Duration::from_mins(6));
    client.image().upload_image("i", &mut Bytes(1), 1).unwrap();
    assert_eq!(cloud.tokens(), 2);
}

#[test]
fn an_upload_that_never_arrived_may_be_sent_again() {
    let cloud = Standin::start();
    let mut config = cloud.config();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.endpoints.insert(openstack::Service::Image, format!("http://{closed}"));
    config.limits.attempts = 2;
    let clock = std::sync::Arc::new(crate::standin::FakeClock::default());
    let client = openstack::Client::new(config).unwrap().with_clock(clock.clone());
    let mut data = Bytes(100);
    let error = client.image().upload_image("i", &mut data, 100).unwrap_err();
    assert_eq!((error.kind(), data.0, clock.sleeps().len()), (ErrorKind::Connection, 100, 1));
}
