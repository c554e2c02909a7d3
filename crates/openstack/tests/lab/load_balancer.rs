//! Octavia: a pool and its members.

use openstack::load_balancer::{LoadBalancerCreate, MemberCreate, PoolCreate};
use openstack::{Deletion, ErrorKind, OrNone, Query};

use crate::lab::{AtTheEnd, OwnNetwork, client, unique, wait_for};

#[test]
fn members_come_and_go() {
    let Some(client) = client() else { return };
    let octavia = client.load_balancer();
    let own = OwnNetwork::new(&client, "10.96.0.0/24");
    let name = unique("lb");
    let balancer = octavia
        .create_load_balancer(&LoadBalancerCreate {
            name: name.clone(),
            vip_subnet_id: Some(own.subnet.id.clone()),
            ..LoadBalancerCreate::default()
        })
        .unwrap();
    let _end = AtTheEnd(|| {
        let _ = octavia.delete_load_balancer(&balancer.id, true);
        wait_for("the load balancer's end", || {
            let left = octavia.load_balancer(&balancer.id).or_none()?;
            Ok(left.is_none_or(|left| left.provisioning_status == "DELETED").then_some(()))
        });
    });
    let active = || {
        wait_for("ACTIVE", || {
            Ok((octavia.load_balancer(&balancer.id)?.provisioning_status == "ACTIVE").then_some(()))
        });
    };
    active();
    assert_eq!(octavia.load_balancers(&Query::new().filter("name", &name)).unwrap().len(), 1);
    let pool = octavia
        .create_pool(&PoolCreate {
            name: name.clone(),
            protocol: "TCP".into(),
            lb_algorithm: "ROUND_ROBIN".into(),
            loadbalancer_id: Some(balancer.id.clone()),
            listener_id: None,
        })
        .unwrap();
    active();
    let found = octavia.pools_named(&name).unwrap();
    assert_eq!((found.len(), found[0].loadbalancers[0].id.as_str()), (1, balancer.id.as_str()));
    let create = MemberCreate {
        address: "10.96.0.9".into(),
        protocol_port: 80,
        subnet_id: Some(own.subnet.id.clone()),
        ..MemberCreate::default()
    };
    let member = octavia.create_member(&pool.id, &create).unwrap();
    active();
    let again = octavia.create_member(&pool.id, &create).unwrap_err();
    assert_eq!((again.kind(), again.status()), (ErrorKind::Conflict, Some(409)), "{again}");
    assert_eq!(octavia.members(&pool.id, &Query::new().filter("address", "10.96.0.9")).unwrap().len(), 1);
    assert_eq!(octavia.pool(&pool.id).unwrap().members[0].id, member.id);
    assert_eq!(octavia.delete_member(&pool.id, &member.id).unwrap(), Deletion::Accepted);
    active();
    assert_eq!(octavia.delete_member(&pool.id, &member.id).unwrap(), Deletion::Gone);
    let error = octavia.pool("00000000-0000-0000-0000-000000000000").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("00000000"), "{error}");
}
