//! Faults before and after the real services, at every request of a flow: nothing is lost, made twice or left behind.

use std::collections::BTreeMap;
use std::time::Duration;

use fault_proxy::{Fault, FaultProxy, Rule, When};
use openstack::image::ImageCreate;
use openstack::network::{AddressPair, PortCreate, PortUpdate, Tagged};
use openstack::{Client, Config, Limits, OrNone, ProxySettings, Query, Result};

use crate::lab::{OwnNetwork, client, config, unique};

fn through(proxy: &FaultProxy) -> Option<Config> {
    let mut config = config("lab")?;
    config.proxy = ProxySettings::for_all(proxy.url());
    config.limits = Limits {
        backoff: Duration::from_millis(20),
        longest_backoff: Duration::from_millis(100),
        ..Limits::default()
    };
    Some(config)
}

/// A port's life in eight requests, the one for the token included.
fn port_flow(client: &Client, network_id: &str, name: &str) -> Result<()> {
    let neutron = client.network();
    let create =
        PortCreate { network_id: network_id.into(), name: Some(name.into()), ..PortCreate::default() };
    let named = || neutron.ports(&Query::new().filter("name", name));
    let created = client.create_or_find(|| neutron.create_port(&create), named)?;
    created.surplus.iter().try_for_each(|twin| neutron.delete_port(&twin.id).map(drop))?;
    let id = created.made.id;
    neutron.set_tags(Tagged::Port, &id, &["standfast"])?;
    let pairs = Some(vec![AddressPair::address("10.97.0.100")]);
    neutron.update_port(&id, &PortUpdate { allowed_address_pairs: pairs, ..PortUpdate::default() }, None)?;
    let port = neutron.port(&id)?;
    assert_eq!((port.tags.as_slice(), port.allowed_address_pairs.len()), (&["standfast".to_owned()][..], 1));
    let seen = named()?;
    assert_eq!(seen.len(), 1, "exactly one: {seen:?}");
    neutron.delete_port(&id)?;
    assert_eq!(neutron.port(&id).or_none()?, None);
    Ok(())
}

/// An image's life in seven requests.
fn image_flow(client: &Client, name: &str) -> Result<()> {
    let glance = client.image();
    let create = ImageCreate {
        name: name.into(),
        disk_format: "raw".into(),
        container_format: "bare".into(),
        ..ImageCreate::default()
    };
    let named = || glance.images_named(name);
    let created = client.create_or_find(|| glance.create_image(&create), named)?;
    created.surplus.iter().try_for_each(|twin| glance.delete_image(&twin.id).map(drop))?;
    let id = created.made.id;
    glance.set_image_properties(&id, &BTreeMap::from([("os_type".into(), "linux".into())]))?;
    assert_eq!(glance.image(&id)?.properties["os_type"], "linux");
    assert_eq!(named()?.len(), 1, "exactly one");
    glance.delete_image(&id)?;
    assert_eq!(glance.image(&id).or_none()?, None);
    Ok(())
}

/// Runs a flow with each fault at each of its requests in turn.
fn at_every_request(
    proxy: &FaultProxy,
    config: &Config,
    faults: &[(When, Fault)],
    flow: impl Fn(&Client, &str) -> Result<()>,
    left: impl Fn(&str) -> usize,
) {
    proxy.set_rules(Vec::new());
    flow(&Client::new(config.clone()).unwrap(), &unique("flow")).unwrap();
    let requests = proxy.requests().len() as u64;
    assert!(requests >= 7, "{requests} requests");
    for number in 1..=requests {
        for (when, fault) in faults {
            let name = unique("flow");
            proxy.set_rules(vec![Rule::at(number).when(*when).fault(fault.clone())]);
            let result = flow(&Client::new(config.clone()).unwrap(), &name);
            assert!(result.is_ok(), "request {number}, {when:?} {fault:?}: {result:?}");
            assert!(proxy.requests().iter().any(|request| request.fault.is_some()), "{number} struck");
            assert_eq!(left(&name), 0, "left behind by request {number}, {when:?} {fault:?}");
        }
    }
}

#[test]
fn any_fault_at_any_request_of_an_image_loses_nothing_and_leaves_nothing() {
    let Some(direct) = client() else { return };
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let faults = [
        (When::Before, Fault::drop()),
        (When::After, Fault::drop()),
        (When::Before, Fault::answer(503).header("Retry-After", "0")),
        (When::After, Fault::answer(504)),
        (When::Before, Fault::answer(429).header("Retry-After", "0")),
        (When::After, Fault::truncate()),
        (When::After, Fault::garbage()),
    ];
    let left = |name: &str| direct.image().images_named(name).unwrap().len();
    at_every_request(&proxy, &through(&proxy).unwrap(), &faults, image_flow, left);
}

#[test]
fn a_lost_request_or_answer_anywhere_in_a_ports_life_leaves_nothing() {
    let Some(direct) = client() else { return };
    let own = OwnNetwork::new(&direct, "10.97.0.0/24");
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let faults = [(When::Before, Fault::drop()), (When::After, Fault::drop())];
    let flow = |client: &Client, name: &str| port_flow(client, &own.network.id, name);
    let left = |name: &str| direct.network().ports(&Query::new().filter("name", name)).unwrap().len();
    at_every_request(&proxy, &through(&proxy).unwrap(), &faults, flow, left);
}

#[test]
fn a_server_whose_answer_is_lost_is_found_and_not_made_twice() {
    let Some(direct) = client() else { return };
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let client = Client::new(through(&proxy).unwrap()).unwrap();
    let nova = client.compute();
    let network = client.network().networks(&Query::new().filter("name", "prov")).unwrap().remove(0).id;
    let create = openstack::compute::ServerCreate {
        name: unique("lost"),
        flavor_ref: nova.flavors().unwrap().into_iter().find(|flavor| flavor.name == "m1.tiny").unwrap().id,
        image_ref: Some(client.image().images_named("tiny-raw").unwrap().remove(0).id),
        networks: Some(vec![openstack::compute::ServerNetwork {
            uuid: Some(network),
            port: None,
            fixed_ip: None,
        }]),
        ..Default::default()
    };
    proxy.set_rules(vec![Rule::on("POST", "/servers$").when(When::After).fault(Fault::drop()).times(1)]);
    let created = client
        .create_or_find(
            || nova.create_server(&create).map(|server| server.id),
            || Ok(nova.servers_named(&create.name)?.into_iter().map(|server| server.id).collect()),
        )
        .unwrap();
    let servers = direct.compute().servers_named(&create.name).unwrap();
    for server in &servers {
        direct.compute().delete_server(&server.id).unwrap();
    }
    assert_eq!((created.origin, created.surplus.len()), (openstack::Origin::Found, 0));
    assert_eq!(servers.iter().map(|server| server.id.as_str()).collect::<Vec<_>>(), [created.made.as_str()]);
}
