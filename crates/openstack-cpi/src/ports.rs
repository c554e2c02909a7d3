//! Making the ports of a VM, and what Neutron's refusals mean.

use std::net::IpAddr;

use openstack::network::{AddressPair, FixedIp, Port, PortCreate, Tagged};
use openstack::{Error, ErrorKind, Query};

use crate::cloud::{Cloud, MakeError, ports_named};
use crate::error::{CpiError, Result};
use crate::network::plan::Nic;
use crate::ownership;
use crate::reserved_ports;
use crate::undo::Made;

/// Makes the port of a NIC. An address that an earlier VM of ours left behind is freed, once.
pub fn create(cloud: &Cloud, nic: &Nic, vm_name: &str, security_groups: Option<&[String]>) -> Result<Port> {
    let Some(net_id) = nic.net_id.as_deref() else {
        return Err(CpiError::cloud("Manual network must have net_id"));
    };
    let request = request_of(nic, net_id, vm_name, security_groups);
    let error = match send(cloud, &request, net_id, vm_name) {
        Ok(port) => return Ok(port),
        Err(MakeError::Call(error)) => return Err(error),
        Err(MakeError::Request(error)) => error,
    };
    if !is_address_in_use(&error) {
        return Err(explain(cloud, nic, net_id, &error));
    }
    match free_addresses(cloud, net_id, nic.ips())? {
        Freed::Some => send(cloud, &request, net_id, vm_name).map_err(|error| match error {
            MakeError::Request(error) => explain(cloud, nic, net_id, &error),
            MakeError::Call(error) => error,
        }),
        Freed::None { reason } => Err(cloud.error(&error).and(format_args!("\n{reason}"))),
    }
}

fn request_of(nic: &Nic, net_id: &str, vm_name: &str, security_groups: Option<&[String]>) -> PortCreate {
    let fixed_ips: Vec<FixedIp> = nic.ips().iter().map(|ip| FixedIp::address(ip.to_string())).collect();
    let pairs: Vec<AddressPair> = nic
        .pairs
        .iter()
        .map(|pair| AddressPair {
            ip_address: pair.ip_address.clone(),
            mac_address: pair.mac_address.clone(),
        })
        .collect();
    PortCreate {
        network_id: net_id.to_owned(),
        fixed_ips: (!fixed_ips.is_empty()).then_some(fixed_ips),
        security_groups: security_groups.map(<[String]>::to_vec),
        allowed_address_pairs: (!pairs.is_empty()).then_some(pairs),
        name: Some(vm_name.to_owned()),
        description: Some(ownership::description_of(vm_name)),
        ..PortCreate::default()
    }
}

fn send(
    cloud: &Cloud,
    request: &PortCreate,
    net_id: &str,
    name: &str,
) -> std::result::Result<Port, MakeError> {
    let port = cloud.make(
        Made::PortNamed { network_id: net_id.to_owned(), name: name.to_owned() },
        |client| client.network().create_port(request),
        |client| ports_named(client, net_id, name),
        |port| Made::Port(port.id.clone()),
    )?;
    cloud.say(format!("Port {} with MAC address {} made on network {net_id}", port.id, port.mac_address));
    Ok(port)
}

/// Writes on a port whose it is. Without these tags the port still works; only its clean-up after a server that
/// was deleted behind our back would not find it.
pub fn tag(cloud: &Cloud, port_id: &str, server_id: &str) {
    let (server, director) =
        (ownership::server_tag(server_id), ownership::director_tag(&cloud.director_uuid));
    let tags = [ownership::TAG, &server, &director];
    if let Err(error) = cloud.client.network().set_tags(Tagged::Port, port_id, &tags) {
        cloud.progress.warn(format_args!("port {port_id} could not be tagged: {error}"));
    }
}

fn is_address_in_use(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
        && (matches!(error.code(), Some("IpAddressAlreadyAllocated" | "IpAddressInUse"))
            || error.message().contains("already allocated")
            || error.message().contains("is in use"))
}

enum Freed {
    Some,
    None { reason: String },
}

/// Deletes the ports that hold the addresses, if they are ours, on this network, and unused. Nothing else is ever
/// deleted: a port without our mark may be somebody's reservation.
fn free_addresses(cloud: &Cloud, net_id: &str, addresses: &[IpAddr]) -> Result<Freed> {
    let mut query = Query::new().filter("network_id", net_id);
    for address in addresses {
        query = query.fixed_ip(&address.to_string());
    }
    let holders = cloud.ask(|client| client.network().ports(&query))?;
    let holders = holders.iter().filter(|port| port.network_id == net_id);
    let (clearable, kept): (Vec<&Port>, Vec<&Port>) =
        holders.partition(|port| ownership::is_ours(port) && ownership::is_unused(port));
    if clearable.is_empty() || !kept.is_empty() {
        return Ok(Freed::None { reason: why_kept(&kept, addresses) });
    }
    for port in clearable {
        cloud.say(format!(
            "Port {} of an earlier VM ('{}') holds the address; deleting it",
            port.id, port.name
        ));
        cloud.ask(|client| client.network().delete_port(&port.id))?;
    }
    Ok(Freed::Some)
}

fn why_kept(kept: &[&Port], addresses: &[IpAddr]) -> String {
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Some(port) = kept.first() else {
        return format!(
            "No port of this project holds {list}: another project's does, or Neutron itself. Put the address into the \
             subnet's `reserved` range."
        );
    };
    let name = if port.name.is_empty() { String::new() } else { format!(" '{}'", port.name) };
    if port.device_id.is_empty() {
        return format!(
            "Port {}{name} holds the address and was not made by this CPI, so it is not deleted: it may reserve the \
             address (a VRRP IP has to be a third address, never a VM's own). Put the address into the subnet's \
             `reserved` range, or delete the port yourself if nobody needs it.",
            port.id
        );
    }
    format!(
        "Port {}{name} holds the address and belongs to '{}' ({}).",
        port.id, port.device_id, port.device_owner
    )
}

/// Says what a refusal means where Neutron's own words do not.
fn explain(cloud: &Cloud, nic: &Nic, net_id: &str, error: &Error) -> CpiError {
    let plain = cloud.error(error);
    let message = error.message();
    let pairs = nic.pairs.len();
    if error.is_not_found() && message.contains(net_id) {
        return plain.and(format_args!("\n{}", reserved_ports::no_network(cloud, net_id)));
    }
    if pairs == 0 {
        return plain;
    }
    if message.contains("Port Security must be enabled") || message.contains("Port security must be enabled")
    {
        return plain.and(format_args!(
            "\nPort security is off on network {net_id}: every address may be used there, so that allowed_address_pairs is \
             neither needed nor possible. Remove it, or switch port security on (`openstack network set \
             --enable-port-security {net_id}`)."
        ));
    }
    if message.contains("exceeds the maximum") {
        return plain.and(format_args!(
            "\nThe port has {pairs} pairs; the cloud allows fewer (max_allowed_address_pair in neutron.conf, 10 by \
             default). Use a CIDR, or fewer addresses."
        ));
    }
    if error.status() == Some(403) && error.kind() != ErrorKind::OverQuota {
        let whose = match cloud.find(|client| client.network().network(net_id)) {
            Ok(Some(network)) if network.shared => "a shared network of another project",
            _ => "a network of another project",
        };
        return plain.and(format_args!(
            "\nNetwork {net_id} is probably {whose}: by default only its owner and administrators may set \
             allowed_address_pairs there. Ask the cloud's operator to allow \
             create_port:allowed_address_pairs in Neutron's policy, or use a network of your own."
        ));
    }
    plain
}
