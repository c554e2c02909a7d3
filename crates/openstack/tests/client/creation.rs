//! Exactly one of everything, though answers are lost.

use openstack::network::{Port, PortCreate};
use openstack::{Client, Creation, ErrorKind, Origin, Query, Result};

use crate::standin::{Act, Standin, answer};

const MADE: &str = r#"{"port":{"id":"made"}}"#;
const NONE: &str = r#"{"ports":[]}"#;
const LATE: &str = r#"{"ports":[{"id":"late"}]}"#;
const BOTH: &str = r#"{"ports":[{"id":"late"},{"id":"made"}]}"#;

fn create(client: &Client) -> Result<Creation<Port>> {
    let network = client.network();
    client.create_or_find(
        || network.create_port(&PortCreate { name: Some("unique".into()), ..PortCreate::default() }),
        || network.ports(&Query::new().filter("name", "unique")),
    )
}

fn methods(cloud: &Standin) -> String {
    cloud.lines().iter().map(|line| if line.starts_with("POST") { 'P' } else { 'g' }).collect()
}

#[test]
fn an_answer_is_taken_as_it_is() {
    let cloud = Standin::start();
    cloud.script([answer(201, MADE)]);
    let created = create(&cloud.client().0).unwrap();
    assert_eq!(
        (created.made.id.as_str(), created.origin, created.surplus.len()),
        ("made", Origin::Answered, 0)
    );
    assert_eq!(methods(&cloud), "P");
}

#[test]
fn a_lost_answer_is_found_and_nothing_is_made_twice() {
    for lost in [Act::HangUp, answer(500, ""), answer(504, ""), answer(201, "{\"port\":")] {
        let cloud = Standin::start();
        cloud.script([lost, answer(200, LATE)]);
        let created = create(&cloud.client().0).unwrap();
        assert_eq!((created.made.id.as_str(), created.origin), ("late", Origin::Found));
        assert_eq!(methods(&cloud), "Pg");
    }
}

#[test]
fn what_appears_late_is_waited_for() {
    let cloud = Standin::start();
    cloud.script([Act::HangUp, answer(200, NONE), answer(200, NONE), answer(200, LATE)]);
    let (client, clock) = cloud.client();
    assert_eq!(create(&client).unwrap().made.id, "late");
    assert_eq!(methods(&cloud), "Pggg");
    assert_eq!(clock.sleeps().len(), 3);
}

#[test]
fn what_was_not_made_is_asked_for_again_and_a_latecomer_is_handed_over() {
    let cloud = Standin::start();
    cloud.script([
        Act::HangUp,
        answer(200, NONE),
        answer(200, NONE),
        answer(200, NONE),
        answer(201, MADE),
        answer(200, BOTH),
    ]);
    let created = create(&cloud.client().0).unwrap();
    assert_eq!((created.made.id.as_str(), created.origin), ("made", Origin::Answered));
    let surplus: Vec<&str> = created.surplus.iter().map(|port| port.id.as_str()).collect();
    assert_eq!(surplus, ["late"]);
    assert_eq!(methods(&cloud), "PgggPg");
}

#[test]
fn a_refusal_is_returned_without_a_look() {
    let cloud = Standin::start();
    cloud.script([answer(409, r#"{"NeutronError":{"type":"IpAddressAlreadyAllocated","message":"taken"}}"#)]);
    let error = create(&cloud.client().0).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, Some("IpAddressAlreadyAllocated")));
    assert_eq!(methods(&cloud), "P");
}

#[test]
fn if_nothing_can_be_known_the_error_says_so() {
    let cloud = Standin::start();
    cloud.script((0..100).map(|_| Act::HangUp));
    let error = create(&cloud.client().0).unwrap_err();
    assert!(error.is_ambiguous());
    assert_eq!(error.method(), "POST");
    assert_eq!(methods(&cloud).matches('P').count(), 1);

    // The look-ups answer, and nothing is ever made.
    let cloud = Standin::start();
    for _ in 0..20 {
        cloud.script([Act::HangUp, answer(200, NONE), answer(200, NONE), answer(200, NONE)]);
    }
    let (client, _) = cloud.client();
    assert!(create(&client).unwrap_err().is_ambiguous());
    assert_eq!(methods(&cloud).matches('P').count(), 6);
}
