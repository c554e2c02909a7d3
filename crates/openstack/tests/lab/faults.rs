//! Faults before and after the real services, at every request of a flow: nothing is lost, made twice or left behind.

use std::time::Duration;

use fault_proxy::{Fault, FaultProxy, Rule, When};
use openstack::network::{AddressPair, Port, PortCreate, PortUpdate, Tagged};
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
fn flow(client: &Client, network_id: &str, name: &str) -> Result<()> {
    let neutron = client.network();
    let create =
        PortCreate { network_id: network_id.into(), name: Some(name.into()), ..PortCreate::default() };
    let named = || neutron.ports(&Query::new().filter("name", name));
    let created = client.create_or_find(|| neutron.create_port(&create), named)?;
    let delete_twin = |twin: &Port| neutron.delete_port(&twin.id).map(drop);
    created.surplus.iter().try_for_each(delete_twin)?;
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

#[test]
fn a_fault_at_any_request_loses_nothing_makes_nothing_twice_and_leaves_nothing() {
    let Some(direct) = client() else { return };
    let own = OwnNetwork::new(&direct, "10.97.0.0/24");
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let config = through(&proxy).unwrap();

    flow(&Client::new(config.clone()).unwrap(), &own.network.id, &unique("flow")).unwrap();
    let requests = proxy.requests().len() as u64;
    assert_eq!(requests, 8);

    let faults = [
        (When::Before, Fault::drop()),
        (When::After, Fault::drop()),
        (When::Before, Fault::answer(503).header("Retry-After", "0")),
        (When::After, Fault::answer(504)),
        (When::Before, Fault::answer(429).header("Retry-After", "0")),
        (When::After, Fault::truncate()),
        (When::After, Fault::garbage()),
    ];
    let mut struck = 0;
    for number in 1..=requests {
        for (when, fault) in &faults {
            let name = unique("flow");
            proxy.set_rules(vec![Rule::at(number).when(*when).fault(fault.clone())]);
            let result = flow(&Client::new(config.clone()).unwrap(), &own.network.id, &name);
            assert!(result.is_ok(), "request {number}, {when:?} {fault:?}: {result:?}");
            struck += proxy.requests().iter().filter(|request| request.fault.is_some()).count();
            let left = direct.network().ports(&Query::new().filter("name", &name)).unwrap();
            assert!(left.is_empty(), "request {number}, {when:?} {fault:?}: {left:?}");
        }
    }
    assert_eq!(struck as u64, requests * faults.len() as u64, "every fault struck");
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
