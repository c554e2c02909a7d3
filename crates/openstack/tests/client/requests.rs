//! What goes over the wire: paths, filters, pages, versions, proxies.

use std::collections::BTreeMap;

use fault_proxy::FaultProxy;
use openstack::compute::{Named, ServerCreate, ServerNetwork};
use openstack::network::{AddressPair, FixedIp, PortCreate};
use openstack::{Client, ErrorKind, ProxySettings, Query};

use crate::standin::{Standin, answer};

#[test]
fn pages_are_followed_by_their_query_alone() {
    let cloud = Standin::start();
    cloud.script([
        answer(200, r#"{"ports":[{"id":"a"},{"id":"b"}],"ports_links":[{"rel":"next","href":"https://behind-tls.example/v2.0/ports?limit=2&marker=b"}]}"#),
        answer(200, r#"{"ports":[{"id":"c"}],"ports_links":[{"rel":"previous","href":"x?marker=c"}]}"#),
        answer(200, r#"{"images":[{"id":"i"}],"next":"/v2/images?marker=i"}"#),
        answer(200, r#"{"images":[{"id":"j"}]}"#),
        answer(200, r#"{"servers":[{"id":"s"}],"servers_links":[{"rel":"next","href":"http://x/servers/detail?marker=s"}]}"#),
        answer(200, r#"{"servers":[],"servers_links":[{"rel":"next","href":"http://x/servers/detail?marker=s"}]}"#),
    ]);
    let (client, _) = cloud.client();
    let ports = client.network().ports(&Query::new().filter("network_id", "n 1").page_size(2)).unwrap();
    assert_eq!(ports.iter().map(|port| port.id.as_str()).collect::<String>(), "abc");
    assert_eq!(client.image().images(&Query::new()).unwrap().len(), 2);
    assert_eq!(client.compute().servers(&Query::new()).unwrap().len(), 1);
    assert_eq!(
        cloud.lines(),
        [
            "GET /neutron/v2.0/ports?network_id=n%201&limit=2",
            "GET /neutron/v2.0/ports?limit=2&marker=b",
            "GET /glance/v2/images",
            "GET /glance/v2/images?marker=i",
            "GET /nova/v2.1/servers/detail",
            "GET /nova/v2.1/servers/detail?marker=s",
        ]
    );
}

#[test]
fn a_service_that_links_to_the_same_page_does_not_hold_us() {
    let cloud = Standin::start();
    let page = r#"{"ports":[{"id":"a"}],"ports_links":[{"rel":"next","href":"x?marker=a"}]}"#;
    cloud.script([answer(200, page), answer(200, page), answer(200, page)]);
    assert_eq!(cloud.client().0.network().ports(&Query::new()).unwrap().len(), 2);
}

#[test]
fn bodies_hold_what_was_set_and_nothing_else() {
    let cloud = Standin::start();
    cloud.script([
        answer(201, r#"{"port":{}}"#),
        answer(202, r#"{"server":{"id":"s","adminPass":"made-up-by-nova"}}"#),
    ]);
    let (client, _) = cloud.client();
    let port = PortCreate {
        network_id: "n".into(),
        fixed_ips: Some(vec![FixedIp::address("10.0.0.5")]),
        security_groups: Some(vec!["g".into()]),
        allowed_address_pairs: Some(vec![AddressPair::address("10.0.0.100")]),
        ..PortCreate::default()
    };
    client.network().create_port(&port).unwrap();
    let server = ServerCreate {
        name: "vm".into(),
        flavor_ref: "f".into(),
        image_ref: Some("i".into()),
        user_data: Some("dXNlcg==".into()),
        security_groups: Some(vec![Named { name: "g".into() }]),
        networks: Some(vec![ServerNetwork {
            uuid: Some("n".into()),
            port: Some("p".into()),
            fixed_ip: None,
        }]),
        scheduler_hints: Some(serde_json::from_str(r#"{"group":"sg"}"#).unwrap()),
        microversion: Some("2.52"),
        ..ServerCreate::default()
    };
    let created = client.compute().create_server(&server).unwrap();
    assert!(!format!("{created:?}").contains("made-up-by-nova"));
    let seen = cloud.seen();
    let body = |index: usize| -> serde_json::Value { serde_json::from_slice(&seen[index].body).unwrap() };
    assert_eq!(
        body(0),
        serde_json::json!({"port": {"network_id": "n", "fixed_ips": [{"ip_address": "10.0.0.5"}],
            "security_groups": ["g"], "allowed_address_pairs": [{"ip_address": "10.0.0.100"}]}})
    );
    assert_eq!(
        body(1),
        serde_json::json!({"server": {"name": "vm", "flavorRef": "f", "imageRef": "i", "user_data": "dXNlcg==",
            "security_groups": [{"name": "g"}], "networks": [{"uuid": "n", "port": "p"}]},
            "os:scheduler_hints": {"group": "sg"}})
    );
    assert_eq!(seen[1].header("openstack-api-version"), Some("compute 2.52"));
    assert_eq!(seen[1].header("x-openstack-nova-api-version"), Some("2.52"));
    assert_eq!(seen[0].header("openstack-api-version"), None);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert!(seen[0].header("user-agent").unwrap().starts_with("standfast/"));
}

#[test]
fn volumes_in_use_are_extended_with_the_microversion_that_can() {
    let cloud = Standin::start();
    cloud.script([answer(202, ""), answer(202, ""), answer(200, "{}")]);
    let (client, _) = cloud.client();
    client.volume().extend_volume("v", 9, true).unwrap();
    client.volume().extend_volume("v", 9, false).unwrap();
    client.volume().set_volume_metadata("v", &BTreeMap::from([("k".into(), "v".into())])).unwrap();
    let seen = cloud.seen();
    assert_eq!(seen[0].line, "POST /cinder/v3/p1/volumes/v/action");
    assert_eq!(seen[0].body, br#"{"os-extend":{"new_size":9}}"#);
    assert_eq!(seen[0].header("openstack-api-version"), Some("volume 3.42"));
    assert_eq!(seen[1].header("openstack-api-version"), None);
}

#[test]
fn everything_goes_through_the_proxy_by_absolute_urls_except_what_is_exempt() {
    let cloud = Standin::start();
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let mut config = cloud.config();
    config.proxy = ProxySettings::for_all(proxy.url());
    let client = Client::new(config.clone()).unwrap();
    for _ in 0..3 {
        cloud.script([answer(200, r#"{"ports":[]}"#)]);
        client.network().ports(&Query::new().filter("name", "x")).unwrap();
    }
    let through: Vec<String> =
        proxy.requests().iter().map(|record| format!("{} {}", record.method, record.url)).collect();
    assert_eq!(through[0], format!("POST {}/v3/auth/tokens", cloud.root));
    assert_eq!(through[3], format!("GET {}/neutron/v2.0/ports?name=x", cloud.root));
    assert_eq!(through.len(), 4);

    config.proxy.no_proxy = Some("127.0.0.0/8".into());
    cloud.script([answer(200, r#"{"ports":[]}"#)]);
    Client::new(config).unwrap().network().ports(&Query::new()).unwrap();
    assert_eq!(proxy.requests().len(), 4, "not through the proxy");
}

#[test]
fn a_proxy_that_is_none_or_down_is_told_without_its_password() {
    let cloud = Standin::start();
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, kind) in [
        (format!("http://me:hunter22@{down}"), ErrorKind::Connection),
        ("socks5://me:hunter22@proxy:1080".to_owned(), ErrorKind::Config),
        ("http://".to_owned(), ErrorKind::Config),
    ] {
        let mut config = cloud.config();
        config.limits.attempts = 1;
        config.proxy = ProxySettings::for_all(url);
        let error = Client::new(config).unwrap().session().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.to_string().contains("proxy") && !format!("{error:?}{error}").contains("hunter22"),
            "{error}"
        );
    }
}

#[test]
fn an_answer_that_is_no_keystones_is_told() {
    let cloud = Standin::start();
    let mut config = cloud.config();
    config.auth_url = format!("{}/elsewhere", cloud.root);
    config.limits.attempts = 1;
    cloud.script([answer(404, "<html><body>nginx</body></html>"), answer(200, "{}")]);
    let client = Client::new(config).unwrap();
    let error = client.session().unwrap_err();
    assert_eq!(
        (error.kind(), error.path(), error.message()),
        (ErrorKind::NotFound, "/elsewhere/v3/auth/tokens", "nginx")
    );
    let error = client.session().unwrap_err();
    assert!(error.message().contains("is that URL a Keystone?"), "{error}");
}
