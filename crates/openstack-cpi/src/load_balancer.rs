//! Pools of load balancers (Octavia) that a VM joins and leaves.
//!
//! A member carries the server's id in its name, so that it is found even when the server is gone. A load balancer
//! takes one change at a time: a conflict that says so is waited out.

use std::net::IpAddr;
use std::time::Instant;

use openstack::load_balancer::{Member, MemberCreate};
use openstack::{Error, OrNone, Query, Service};

use crate::cloud::{Cloud, MakeError, state_of};
use crate::cloud_properties::vm::PoolProperties;
use crate::error::{CpiError, Result};
use crate::network::address::Range;
use crate::undo::Made;
use crate::waiting::pause;

/// A pool that was found.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The port that the VM serves on.
    pub port: u16,
    /// The port of health checks, where it is another.
    pub monitor_port: Option<u16>,
    /// Its load balancer.
    pub load_balancer_id: Option<String>,
}

/// A membership, as the server's metadata remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The pool.
    pub pool_id: String,
    /// The member.
    pub member_id: String,
}

/// Metadata keys begin so.
const METADATA_PREFIX: &str = "lbaas_pool_";

/// The metadata that a server with these memberships gets.
pub fn metadata_of(memberships: &[Membership]) -> Vec<(String, String)> {
    memberships
        .iter()
        .enumerate()
        .map(|(index, membership)| {
            let value = format!("{}/{}", membership.pool_id, membership.member_id);
            (format!("{METADATA_PREFIX}{}", index + 1), value)
        })
        .collect()
}

/// The memberships in a server's metadata.
pub fn memberships_in<'a>(metadata: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Membership> {
    metadata
        .into_iter()
        .filter(|(key, _)| key.starts_with(METADATA_PREFIX))
        .filter_map(|(_, value)| value.split_once('/'))
        .map(|(pool_id, member_id)| Membership {
            pool_id: pool_id.to_owned(),
            member_id: member_id.to_owned(),
        })
        .collect()
}

/// The name of a server's members.
pub fn member_name(server_id: &str) -> String {
    format!("vm-cid-{server_id}")
}

/// The text around everything that goes wrong with a pool.
pub fn cannot_attach(vm: &str, pool: &str, reason: &str) -> CpiError {
    CpiError::vm_creation_failed(
        false,
        format!("VM with id '{vm}' cannot be attached to load balancer pool '{pool}'. Reason: {reason}"),
    )
}

/// Finds a pool.
pub fn find_pool(cloud: &Cloud, wanted: &PoolProperties, vm_name: &str) -> Result<Pool> {
    let fail = |reason: &str| cannot_attach(vm_name, wanted.name.as_deref().unwrap_or_default(), reason);
    let name = wanted.name.as_deref().ok_or_else(|| fail("Load balancer pool defined without a name"))?;
    let port =
        wanted.port.ok_or_else(|| fail(&format!("Load balancer pool '{name}' has no port definition")))?;
    let pools =
        cloud.ask(|client| client.load_balancer().pools_named(name)).map_err(|error| fail(&error.message))?;
    let pool = match pools.as_slice() {
        [] => return Err(fail(&format!("Load balancer pool '{name}' does not exist"))),
        [pool] => pool,
        _ => {
            return Err(fail(&format!(
                "Load balancer pool '{name}' exists multiple times. Make sure to use unique naming."
            )));
        }
    };
    Ok(Pool {
        id: pool.id.clone(),
        name: name.to_owned(),
        port,
        monitor_port: wanted.monitoring_port,
        load_balancer_id: pool.loadbalancers.first().map(|reference| reference.id.clone()),
    })
}

/// The one subnet of the network that the address lies in.
pub fn find_subnet(cloud: &Cloud, net_id: &str, ip: IpAddr) -> Result<String> {
    let subnets = cloud.ask(|client| client.network().subnets(&Query::new().filter("network_id", net_id)))?;
    let mut matching =
        subnets.iter().filter(|subnet| Range::parse(&subnet.cidr).is_some_and(|range| range.contains(ip)));
    match (matching.next(), matching.next()) {
        (Some(subnet), None) => Ok(subnet.id.clone()),
        (None, _) => Err(CpiError::vm_creation_failed(
            false,
            format!("Network '{net_id}' does not contain any subnet to match the IP '{ip}'"),
        )),
        _ => Err(CpiError::vm_creation_failed(
            false,
            format!("In network '{net_id}' more than one subnet CIDRs match the IP '{ip}'"),
        )),
    }
}

/// Joins a pool and waits until its load balancer has taken that in.
pub fn join(cloud: &Cloud, pool: &Pool, server_id: &str, ip: IpAddr, subnet_id: &str) -> Result<Membership> {
    let name = member_name(server_id);
    let request = MemberCreate {
        address: ip.to_string(),
        protocol_port: u32::from(pool.port),
        subnet_id: Some(subnet_id.to_owned()),
        name: Some(name.clone()),
        monitor_port: pool.monitor_port.map(u32::from),
        tags: None,
    };
    let fail = |member: &str, reason: &str| {
        CpiError::cloud(format!(
            "Creating load balancer pool membership with pool_id '{}' and membership_id '{member}' failed. Reason: {reason}",
            pool.id
        ))
    };
    let began = Instant::now();
    let member = loop {
        let made = cloud.make(
            Made::PoolMemberNamed { pool_id: pool.id.clone(), name: name.clone() },
            |client| client.load_balancer().create_member(&pool.id, &request),
            |client| members_named(client, &pool.id, &name),
            |member| Made::PoolMember(Membership { pool_id: pool.id.clone(), member_id: member.id.clone() }),
        );
        match made {
            Ok(member) => break member,
            Err(MakeError::Call(error)) => return Err(error),
            Err(MakeError::Request(error))
                if is_busy(&error) && began.elapsed() < cloud.config.state_timeout =>
            {
                cloud.interrupt.sleep(pause(began.elapsed(), cloud.config.poll_interval))?;
            }
            Err(MakeError::Request(error)) if error.is_conflict() && !is_busy(&error) => {
                let members = cloud.ask(|client| client.load_balancer().members(&pool.id, &Query::new()))?;
                let existing = members.into_iter().find(|member| is_same(member, &request));
                break existing.ok_or_else(|| fail("", &cloud.error(&error).message))?;
            }
            Err(MakeError::Request(error)) => return Err(fail("", &cloud.error(&error).message)),
        }
    };
    if let Some(id) = &pool.load_balancer_id {
        wait_for_load_balancer(cloud, id).map_err(|error| fail(&member.id, &error.message))?;
    }
    cloud.say(format!("{ip}:{} joined load balancer pool '{}'", pool.port, pool.name));
    Ok(Membership { pool_id: pool.id.clone(), member_id: member.id })
}

fn wait_for_load_balancer(cloud: &Cloud, id: &str) -> Result<()> {
    cloud.wait(format!("LoadBalancerResource `{id}'"), "active").run(|| {
        let found = cloud.find(|client| client.load_balancer().load_balancer(id))?;
        Ok(state_of(found.map(|load_balancer| load_balancer.provisioning_status), "active"))
    })
}

fn is_same(member: &Member, request: &MemberCreate) -> bool {
    member.address == request.address
        && member.protocol_port == request.protocol_port
        && (member.subnet_id == request.subnet_id || member.subnet_id.is_none())
}

/// A load balancer that is taking in another change: the old service said `PENDING_UPDATE`, Octavia says `immutable`.
fn is_busy(error: &Error) -> bool {
    error.is_conflict() && ["PENDING_UPDATE", "immutable"].iter().any(|word| error.message().contains(word))
}

/// Leaves a pool; not being in it is good.
pub fn leave(cloud: &Cloud, membership: &Membership) -> Result<()> {
    let Membership { pool_id, member_id } = membership;
    let began = Instant::now();
    loop {
        match cloud.client.load_balancer().delete_member(pool_id, member_id) {
            Ok(_) => return Ok(()),
            Err(error) if is_busy(&error) && began.elapsed() < cloud.config.state_timeout => {
                std::thread::sleep(pause(began.elapsed(), cloud.config.poll_interval));
            }
            Err(error) => {
                return Err(CpiError::cloud(format!(
                    "Deleting load balancer pool membership with pool_id '{pool_id}' and membership_id '{member_id}' \
                     failed. Reason: {}",
                    cloud.error(&error).message
                )));
            }
        }
    }
}

fn members_named(client: &openstack::Client, pool_id: &str, name: &str) -> openstack::Result<Vec<Member>> {
    let members = client.load_balancer().members(pool_id, &Query::new().filter("name", name)).or_none()?;
    Ok(members.into_iter().flatten().filter(|member| member.name == name).collect())
}

/// Removes the members with this name from a pool.
pub fn remove_members_named(cloud: &Cloud, pool_id: &str, name: &str) -> Result<()> {
    let members = members_named(&cloud.client, pool_id, name).map_err(|error| cloud.error(&error))?;
    for member in members {
        leave(cloud, &Membership { pool_id: pool_id.to_owned(), member_id: member.id })?;
    }
    Ok(())
}

/// Removes what a server that is gone left in the project's pools.
pub fn remove_members_of(cloud: &Cloud, server_id: &str) -> Result<()> {
    let session = cloud.ask(openstack::Client::session)?;
    if !session.catalog.has(Service::LoadBalancer) {
        return Ok(());
    }
    let name = member_name(server_id);
    for pool in cloud.ask(|client| client.load_balancer().pools(&Query::new()))? {
        if !pool.members.is_empty() {
            remove_members_named(cloud, &pool.id, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn metadata_and_back() {
        let membership =
            |pool: &str| Membership { pool_id: pool.into(), member_id: format!("{pool}-member") };
        let memberships = [membership("a"), membership("b")];
        let mut metadata: BTreeMap<String, String> = metadata_of(&memberships).into_iter().collect();
        assert_eq!(metadata["lbaas_pool_1"], "a/a-member");
        assert_eq!(metadata["lbaas_pool_2"], "b/b-member");
        metadata.insert("registry_key".into(), "x/y".into());
        assert_eq!(memberships_in(&metadata), memberships);
    }
}
