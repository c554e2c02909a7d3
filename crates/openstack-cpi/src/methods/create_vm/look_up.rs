//! Stage one: everything that has to be there, in parallel and with one token. The key pair is not looked up:
//! Nova does that when it is asked for the server, and its refusal is told in Ruby's words.

use std::thread::ScopedJoinHandle;

use openstack::Query;
use openstack::compute::Flavor;
use openstack::network::{FloatingIp, SecurityGroup};

use super::Wanted;
use crate::cloud::Cloud;
use crate::error::{CpiError, Result};
use crate::load_balancer::{self, Pool};
use crate::methods::{join, stemcell};
use crate::network::plan::Addressing;
use crate::reserved_ports;
use crate::unique_name::is_uuid;

/// What was found.
pub(super) struct Found {
    pub(super) flavor: Flavor,
    pub(super) image_id: String,
    /// Nothing configured: Neutron's and Nova's default group.
    pub(super) security_groups: Option<Vec<SecurityGroup>>,
    pub(super) boot_volume_gib: Option<u64>,
    pub(super) key_name: String,
    pub(super) floating_ip: Option<FloatingIp>,
    pub(super) pools: Vec<Pool>,
    /// The subnet of the gateway NIC's address, where pools need it.
    pub(super) pool_subnet: Option<String>,
}

/// Looks everything up. The first error in Ruby's order is the one that is told.
pub(super) fn all(cloud: &Cloud, wanted: &Wanted<'_>, vm_name: &str) -> Result<Found> {
    let properties = &wanted.properties;
    // One token for all the threads, before they start.
    cloud.ask(openstack::Client::session)?;
    std::thread::scope(|scope| {
        let groups = scope.spawn(|| security_groups(cloud, wanted));
        let image = scope.spawn(|| image(cloud, wanted.stemcell_cid));
        let flavor = scope.spawn(|| flavor(cloud, properties.instance_type.as_deref()));
        let reservations: Vec<ScopedJoinHandle<'_, Result<()>>> =
            wanted.plan.nics.iter().map(|nic| scope.spawn(|| reserved_ports::check(cloud, nic))).collect();
        let floating_ip = wanted.plan.vip.is_some().then(|| scope.spawn(|| floating_ip(cloud, wanted)));
        let pools: Vec<ScopedJoinHandle<'_, Result<Pool>>> = properties
            .loadbalancer_pools
            .iter()
            .map(|pool| scope.spawn(|| load_balancer::find_pool(cloud, pool, vm_name)))
            .collect();
        let pool_subnet = (!pools.is_empty()).then(|| scope.spawn(|| pool_subnet(cloud, wanted, vm_name)));

        // All are waited for before any error is told.
        let groups = join(groups);
        let image_id = join(image);
        let flavor = join(flavor);
        let reservations: Vec<Result<()>> = reservations.into_iter().map(join).collect();
        let floating_ip = floating_ip.map(join).transpose();
        let pools: Vec<Result<Pool>> = pools.into_iter().map(join).collect();
        let pool_subnet = pool_subnet.map(join).transpose();

        let security_groups = groups?;
        let image_id = image_id?;
        let flavor = flavor?;
        let key_name = key_name(cloud, properties.key_name.as_deref())?;
        let boot_volume_gib = boot_volume_gib(cloud, wanted, &flavor)?;
        reservations.into_iter().collect::<Result<Vec<()>>>()?;
        let pools = pools.into_iter().collect::<Result<Vec<Pool>>>()?;
        Ok(Found {
            flavor,
            image_id,
            security_groups,
            boot_volume_gib,
            key_name,
            floating_ip: floating_ip?,
            pools,
            pool_subnet: pool_subnet?.flatten(),
        })
    })
}

/// The VM's own groups, else those of its networks, else the default ones; each by name, else by id.
fn security_groups(cloud: &Cloud, wanted: &Wanted<'_>) -> Result<Option<Vec<SecurityGroup>>> {
    let own = wanted.properties.security_groups.as_ref().filter(|groups| !groups.is_empty());
    let of_networks = Some(&wanted.plan.security_groups).filter(|groups| !groups.is_empty());
    let Some(names) = own.or(of_networks).or(cloud.config.default_security_groups.as_ref()) else {
        return Ok(None);
    };
    if names.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut found = Vec::new();
    for (key, is_asked_by_it) in [("name", false), ("id", true)] {
        let mut query = Query::new().fields(&["id", "name"]);
        let asked: Vec<&String> = names.iter().filter(|name| is_uuid(name) == is_asked_by_it).collect();
        for name in &asked {
            query = query.filter(key, name);
        }
        if !asked.is_empty() {
            found.extend(cloud.ask(|client| client.network().security_groups(&query))?);
        }
    }
    let mut groups = Vec::with_capacity(names.len());
    for name in names {
        let group = found
            .iter()
            .find(|group| group.name == *name)
            .or_else(|| found.iter().find(|group| group.id == *name));
        let group = match group {
            Some(group) => group.clone(),
            // A group may be named like an id.
            None if is_uuid(name) => {
                let query = Query::new().filter("name", name).fields(&["id", "name"]);
                cloud
                    .ask(|client| client.network().security_groups(&query))?
                    .into_iter()
                    .next()
                    .ok_or_else(|| no_security_group(name))?
            }
            None => return Err(no_security_group(name)),
        };
        groups.push(group);
    }
    Ok(Some(groups))
}

fn no_security_group(name: &str) -> CpiError {
    CpiError::cloud(format!("Security group `{name}' not found"))
}

fn image(cloud: &Cloud, stemcell_cid: &str) -> Result<String> {
    let id = stemcell::image_id(stemcell_cid);
    match cloud.find(|client| client.image().image(id))? {
        Some(image) => Ok(image.id),
        None => Err(CpiError::cloud(format!("Image `{stemcell_cid}' not found"))),
    }
}

fn flavor(cloud: &Cloud, name: Option<&str>) -> Result<Flavor> {
    let Some(name) = name else {
        return Err(CpiError::cloud("Flavor `' not found: cloud_properties.instance_type is missing"));
    };
    let flavors = cloud.ask(|client| client.compute().flavors())?;
    let hint = crate::config::suggestion(name, flavors.iter().map(|flavor| flavor.name.as_str()));
    let flavor = flavors
        .iter()
        .find(|flavor| flavor.name == name)
        .cloned()
        .ok_or_else(|| CpiError::cloud(format!("Flavor `{name}' not found{hint}")))?;
    if flavor.ephemeral > 0 {
        // The agent swaps as much as there is memory, and keeps the rest for its data.
        let at_least = flavor.ram / 1024 * 2;
        if flavor.ephemeral < at_least {
            return Err(CpiError::cloud(format!(
                "Flavor `{name}' should have at least {at_least}Gb of ephemeral disk"
            )));
        }
    }
    Ok(flavor)
}

fn key_name(cloud: &Cloud, own: Option<&str>) -> Result<String> {
    match own.or(cloud.config.default_key_name.as_deref()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(CpiError::cloud(
            "Key-pair `' not found: set key_name in the cloud_properties, or openstack.default_key_name",
        )),
    }
}

fn boot_volume_gib(cloud: &Cloud, wanted: &Wanted<'_>, flavor: &Flavor) -> Result<Option<u64>> {
    if !wanted.properties.boot_from_volume.unwrap_or(cloud.config.boot_from_volume) {
        return Ok(None);
    }
    match wanted.properties.root_disk.map(|disk| disk.size_gib) {
        Some(Some(size)) if size >= 1 => Ok(Some(size)),
        Some(_) => Err(CpiError::argument("Minimum root_disk size is 1 GiB")),
        None if flavor.disk == 0 => Err(CpiError::cloud(format!(
            "Flavor '{}' has a root disk size of 0. Either pick a different flavor or define root_disk.size in your VM \
             cloud_properties",
            flavor.name
        ))),
        None => Ok(Some(flavor.disk)),
    }
}

/// The floating IP of the vip network. Whatever is wrong with it had always this type.
fn floating_ip(cloud: &Cloud, wanted: &Wanted<'_>) -> Result<FloatingIp> {
    let fail = |text: String| CpiError::vm_creation_failed(true, text);
    let Some(vip) = &wanted.plan.vip else { return Err(fail(String::new())) };
    let Some(ip) = vip.ip else {
        return Err(fail(format!("No IP provided for vip network `{}'", vip.name)));
    };
    let query = Query::new().filter("floating_ip_address", ip.to_string());
    let mut found =
        cloud.ask(|client| client.network().floating_ips(&query)).map_err(|error| fail(error.message))?;
    match found.len() {
        0 => Err(fail(format!("Floating IP '{ip}' not allocated"))),
        1 => Ok(found.remove(0)),
        _ => {
            let networks: Vec<String> =
                found.iter().map(|floating_ip| format!("'{}'", floating_ip.floating_network_id)).collect();
            Err(fail(format!("Floating IP '{ip}' found in multiple networks: {}", networks.join(", "))))
        }
    }
}

/// The subnet in which pools reach the VM. A dynamic address is known only when the server is there.
fn pool_subnet(cloud: &Cloud, wanted: &Wanted<'_>, vm_name: &str) -> Result<Option<String>> {
    let plan = &wanted.plan;
    let pool = wanted
        .properties
        .loadbalancer_pools
        .first()
        .and_then(|pool| pool.name.as_deref())
        .unwrap_or_default();
    let fail = |reason: &str| load_balancer::cannot_attach(vm_name, pool, reason);
    let Some(nic) = plan.gateway.and_then(|index| plan.nics.get(index)) else {
        return Err(fail("No network of the VM is the default one for the gateway"));
    };
    match (&nic.addressing, nic.net_id.as_deref()) {
        (Addressing::Manual(ips), Some(net_id)) => match ips.first() {
            Some(ip) => {
                load_balancer::find_subnet(cloud, net_id, *ip).map(Some).map_err(|error| fail(&error.message))
            }
            None => Ok(None),
        },
        _ if plan.nics.len() > 1 => Err(fail(
            "Gateway IP address could not be determined. Gateway network is dynamic, but additional private networks \
             exist.",
        )),
        _ => Ok(None),
    }
}
