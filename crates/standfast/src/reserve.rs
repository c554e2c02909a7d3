//! `standfast reserve`: the Neutron port that holds a virtual address, so that nobody else is given it, the
//! CPI's check finds it, and OVN makes it a virtual port.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use doctor::cloud::{RESERVED_DEVICE_OWNER, cover, holds};
use openstack::network::{FixedIp, Network, Port, PortCreate, PortUpdate, SecurityGroup, Subnet, Tagged};
use openstack::{Client, ErrorKind, Query};
use serde::Serialize;

use crate::cloud::CloudOptions;

/// The tag that says who made the port: nothing without it is ever removed.
const TAG: &str = "standfast";
/// The tag that other tools look for.
const VIP_TAG: &str = "vrrp-vip";
/// The description of rules that this command added.
const RULE_DESCRIPTION: &str = "standfast: VRRP between the members of this group";

/// Reserve virtual addresses: one unbound Neutron port for each
#[derive(Args)]
pub(crate) struct Options {
    /// The virtual addresses
    #[arg(required = true)]
    addresses: Vec<IpAddr>,
    /// The members' network, by name or id
    #[arg(long, value_name = "NAME", required_unless_present = "subnet")]
    network: Option<String>,
    /// Their subnet, by name or id, where the network is not named
    #[arg(long, value_name = "NAME")]
    subnet: Option<String>,
    /// Let VRRP in from the members of this security group (again for more)
    #[arg(long, value_name = "GROUP")]
    security_group: Vec<String>,
    /// Remove what an earlier call made, and nothing else
    #[arg(long)]
    release: bool,
    /// With --release: even while a VM's `allowed_address_pairs` list the address
    #[arg(long, requires = "release")]
    force: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cloud: CloudOptions,
}

/// What became of one address.
#[derive(Serialize)]
pub(crate) struct Outcome {
    address: IpAddr,
    port_id: Option<String>,
    /// `made`, `found`, `protected`, `released`, `would-make` and the like.
    done: &'static str,
    /// In words.
    pub(crate) text: String,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let client = options.cloud.client()?;
    let (network, subnets) = place(&client, options)?;
    let ports = client
        .network()
        .ports(&Query::new().filter("network_id", &network.id))
        .map_err(|error| error.to_string())?;
    let mut outcomes = Vec::new();
    let mut failed = Vec::new();
    for address in &options.addresses {
        let result = if options.release {
            release(&client, *address, &ports, options)
        } else {
            reserve(&client, &network, &subnets, *address, &ports, options.dry_run)
        };
        match result {
            Ok(outcome) => outcomes.push(outcome),
            Err(text) => failed.push(format!("{address}: {text}")),
        }
    }
    let mut rules = Vec::new();
    if failed.is_empty() {
        for group in &options.security_group {
            rules.extend(security_rules(&client, group, options)?);
        }
    }
    report(options, &network, &subnets, &outcomes, &rules, &failed);
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The network, and those of its subnets that the addresses may lie in.
fn place(client: &Client, options: &Options) -> Result<(Network, Vec<Subnet>), String> {
    let neutron = client.network();
    let say = |error: openstack::Error| error.to_string();
    let subnet = match &options.subnet {
        None => None,
        Some(wanted) => {
            let mut found = neutron.subnets(&Query::new().filter("name", wanted)).map_err(say)?;
            if found.is_empty() {
                found = neutron.subnets(&Query::new().filter("id", wanted)).map_err(say)?;
            }
            match found.len() {
                1 => found.pop(),
                0 => {
                    return Err(format!(
                        "no subnet is called `{wanted}`; `openstack subnet list` shows them"
                    ));
                }
                count => return Err(format!("{count} subnets are called `{wanted}`; give the id")),
            }
        }
    };
    let network = match (&options.network, &subnet) {
        (Some(wanted), _) => doctor::gather::find_network(client, wanted).map_err(say)?,
        (None, Some(subnet)) => neutron.network(&subnet.network_id).map_err(say)?,
        (None, None) => return Err("name the network with --network, or the subnet with --subnet".to_owned()),
    };
    match subnet {
        Some(subnet) if subnet.network_id == network.id => Ok((network, vec![subnet])),
        Some(subnet) => Err(format!("subnet {} is on another network than {}", subnet.name, network.name)),
        None => {
            let subnets = neutron.subnets(&Query::new().filter("network_id", &network.id)).map_err(say)?;
            Ok((network, subnets))
        }
    }
}

fn contains(subnet: &Subnet, address: IpAddr) -> bool {
    doctor::cloud::prefix(&subnet.cidr).is_some_and(|prefix| prefix.contains(&address))
}

/// Makes the port, or finds it. Also what `doctor --fix` does.
pub(crate) fn reserve(
    client: &Client,
    network: &Network,
    subnets: &[Subnet],
    address: IpAddr,
    ports: &[Port],
    dry_run: bool,
) -> Result<Outcome, String> {
    let Some(subnet) = subnets.iter().find(|subnet| contains(subnet, address)) else {
        let prefixes: Vec<&str> = subnets.iter().map(|s| s.cidr.as_str()).collect();
        return Err(format!(
            "it lies in no subnet of network {} ({}); choose an address of one of them",
            network.name,
            prefixes.join(", ")
        ));
    };
    if subnet.gateway_ip.as_deref().and_then(|g| g.parse::<IpAddr>().ok()) == Some(address) {
        return Err(format!("it is the gateway of subnet {}; choose another address", subnet.name));
    }
    if let Some(port) = ports.iter().find(|port| holds(port, address)) {
        return found(client, address, port, dry_run);
    }
    if dry_run {
        return Ok(Outcome {
            address,
            port_id: None,
            done: "would-make",
            text: format!("would make a port with {address} in subnet {} ({})", subnet.name, subnet.cidr),
        });
    }
    let wanted = PortCreate {
        network_id: network.id.clone(),
        fixed_ips: Some(vec![FixedIp {
            subnet_id: Some(subnet.id.clone()),
            ip_address: Some(address.to_string()),
        }]),
        name: Some(port_name(address)),
        description: Some("Reserves a VRRP address; never attach it to a server".to_owned()),
        device_owner: Some(RESERVED_DEVICE_OWNER.to_owned()),
        ..PortCreate::default()
    };
    let neutron = client.network();
    let holding = Query::new().filter("network_id", &network.id).fixed_ip(&address.to_string());
    let made = client
        .create_or_find(|| neutron.create_port(&wanted), || neutron.ports(&holding))
        .map_err(|error| error.to_string())?
        .made;
    if let Err(error) = neutron.set_tags(Tagged::Port, &made.id, &[TAG, VIP_TAG]) {
        // Without its tag we could not prove later that it is ours: better none than one that nobody can undo.
        let undone = neutron.delete_port(&made.id);
        return Err(match undone {
            Ok(_) => format!("the port could not be tagged, and was removed again: {error}"),
            Err(second) => format!("port {} could not be tagged ({error}) nor removed ({second})", made.id),
        });
    }
    Ok(Outcome {
        address,
        text: format!("reserved by port {} ({}) in subnet {}", made.name, made.id, subnet.name),
        port_id: Some(made.id),
        done: "made",
    })
}

fn port_name(address: IpAddr) -> String {
    format!("vrrp-{address}")
}

/// Somebody holds the address already: a reservation, ours or another's, or a machine.
fn found(client: &Client, address: IpAddr, port: &Port, dry_run: bool) -> Result<Outcome, String> {
    if !port.device_id.is_empty() {
        return Err(format!(
            "port {} of device {} ({}) has it as its own address; choose another address, or move that machine first",
            port.id, port.device_id, port.device_owner
        ));
    }
    let whose = if is_ours(port) { "made by an earlier call" } else { "not made by this command" };
    let outcome = |done, text| Outcome { address, port_id: Some(port.id.clone()), done, text };
    if !port.device_owner.is_empty() {
        return Ok(outcome("found", format!("reserved already by port {} ({whose})", port.id)));
    }
    if dry_run {
        return Ok(outcome("would-protect", format!("would protect port {} ({whose})", port.id)));
    }
    protect(client, &port.id)?;
    Ok(outcome(
        "protected",
        format!(
            "reserved already by port {} ({whose}); it now has device_owner {RESERVED_DEVICE_OWNER}",
            port.id
        ),
    ))
}

/// Keeps the Ruby and the Go CPI from taking the port for a leftover.
pub(crate) fn protect(client: &Client, port_id: &str) -> Result<(), String> {
    let change = PortUpdate { device_owner: Some(RESERVED_DEVICE_OWNER.to_owned()), ..PortUpdate::default() };
    client.network().update_port(port_id, &change, None).map(drop).map_err(|error| error.to_string())
}

fn is_ours(port: &Port) -> bool {
    port.tags.iter().any(|tag| tag == TAG) && port.device_owner == RESERVED_DEVICE_OWNER
}

fn release(client: &Client, address: IpAddr, ports: &[Port], options: &Options) -> Result<Outcome, String> {
    let Some(port) = ports.iter().find(|port| holds(port, address)) else {
        return Ok(Outcome { address, port_id: None, done: "absent", text: "no port holds it".to_owned() });
    };
    if !is_ours(port) {
        return Err(format!(
            "port {} was not made by `standfast reserve` (it lacks the tag {TAG} or device_owner \
             {RESERVED_DEVICE_OWNER}); remove it yourself if you are sure: openstack port delete {}",
            port.id, port.id
        ));
    }
    let users: Vec<&str> = ports
        .iter()
        .filter(|other| other.id != port.id && cover(other, address).is_some())
        .map(|other| other.id.as_str())
        .collect();
    if !users.is_empty() && !options.force {
        return Err(format!(
            "the pairs of {} port(s) still list it: {}; recreate those VMs without the vm_extension first, or use --force",
            users.len(),
            users.join(", ")
        ));
    }
    let port_id = Some(port.id.clone());
    if options.dry_run {
        let text = format!("would remove port {}", port.id);
        return Ok(Outcome { address, port_id, done: "would-release", text });
    }
    client.network().delete_port(&port.id).map_err(|error| error.to_string())?;
    Ok(Outcome { address, port_id, done: "released", text: format!("port {} removed", port.id) })
}

/// Adds or removes the rules of protocol 112 between a group's members, one for each family in use.
fn security_rules(client: &Client, wanted: &str, options: &Options) -> Result<Vec<String>, String> {
    let say = |error: openstack::Error| error.to_string();
    let group = find_group(client, wanted)?;
    let mut done = Vec::new();
    if options.release {
        for rule in &group.security_group_rules {
            if rule.description.as_deref() != Some(RULE_DESCRIPTION) {
                continue;
            }
            if !options.dry_run {
                client.network().delete_security_group_rule(&rule.id).map_err(say)?;
            }
            done.push(format!("{}: rule for {} protocol 112 removed", group.name, rule.ethertype));
        }
        return Ok(done);
    }
    for (ethertype, wanted) in [
        ("IPv4", options.addresses.iter().any(IpAddr::is_ipv4)),
        ("IPv6", options.addresses.iter().any(IpAddr::is_ipv6)),
    ] {
        if wanted {
            let made =
                if options.dry_run { "would be allowed" } else { allow_vrrp(client, &group.id, ethertype)? };
            done.push(format!("{}: {ethertype} protocol 112 from its members {made}", group.name));
        }
    }
    Ok(done)
}

/// Lets VRRP of one family in from the members of the group. Also what `doctor --fix` does.
pub(crate) fn allow_vrrp(client: &Client, group_id: &str, ethertype: &str) -> Result<&'static str, String> {
    let rule = openstack::network::SecurityGroupRuleCreate {
        security_group_id: group_id.to_owned(),
        direction: "ingress".to_owned(),
        ethertype: Some(ethertype.to_owned()),
        protocol: Some("112".to_owned()),
        remote_group_id: Some(group_id.to_owned()),
        description: Some(RULE_DESCRIPTION.to_owned()),
        ..Default::default()
    };
    match client.network().create_security_group_rule(&rule) {
        Ok(_) => Ok("allowed"),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok("was allowed already"),
        Err(error) => Err(error.to_string()),
    }
}

fn find_group(client: &Client, wanted: &str) -> Result<SecurityGroup, String> {
    let mut found = Vec::new();
    for key in ["name", "id"] {
        if found.is_empty() {
            let query = Query::new().filter(key, wanted);
            found = client.network().security_groups(&query).map_err(|error| error.to_string())?;
        }
    }
    match found.len() {
        1 => found.pop().ok_or_else(String::new),
        0 => {
            Err(format!("no security group is called `{wanted}`; `openstack security group list` shows them"))
        }
        count => Err(format!("{count} security groups are called `{wanted}`; give the id")),
    }
}

fn report(
    options: &Options,
    network: &Network,
    subnets: &[Subnet],
    outcomes: &[Outcome],
    rules: &[String],
    failed: &[String],
) {
    let paste =
        (!options.release && failed.is_empty()).then(|| cloud_config(network, subnets, &options.addresses));
    if options.json {
        let all = serde_json::json!({
            "network_id": network.id, "addresses": outcomes, "security_group_rules": rules,
            "errors": failed, "cloud_config": paste,
        });
        crate::print(&format!("{all:#}\n"));
    } else {
        for outcome in outcomes {
            crate::print(&format!("{}: {}\n", outcome.address, outcome.text));
        }
        for rule in rules {
            crate::print(&format!("{rule}\n"));
        }
        if let Some(paste) = paste {
            crate::print(&format!("\nFor the cloud-config:\n\n{paste}"));
        }
    }
    for text in failed {
        crate::complain(text);
    }
}

/// What an operator pastes: the subnet's `reserved` range and the `vm_extension`.
fn cloud_config(network: &Network, subnets: &[Subnet], addresses: &[IpAddr]) -> String {
    let mut text = String::from("networks:\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "- name: {}\n  type: manual\n  subnets:", network.name);
    for subnet in subnets {
        let inside: Vec<String> =
            addresses.iter().filter(|a| contains(subnet, **a)).map(ToString::to_string).collect();
        if inside.is_empty() {
            continue;
        }
        let _ = writeln!(text, "  - range: {}", quoted(&subnet.cidr));
        if let Some(gateway) = &subnet.gateway_ip {
            let _ = writeln!(text, "    gateway: {}", quoted(gateway));
        }
        let _ = writeln!(
            text,
            "    reserved: [{}] # the virtual addresses: no VM is ever given one of them",
            inside.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(", ")
        );
        let _ = writeln!(text, "    cloud_properties: {{ net_id: {} }}", network.id);
    }
    let _ = writeln!(text, "vm_extensions:\n- name: vrrp-ip\n  cloud_properties:");
    match addresses {
        [one] => {
            let _ = writeln!(text, "    allowed_address_pairs: {}", quoted(&one.to_string()));
        }
        several => {
            let _ = writeln!(text, "    allowed_address_pairs:");
            for address in several {
                let _ = writeln!(text, "    - {}", quoted(&address.to_string()));
            }
        }
    }
    text
}

/// A value with a colon has to be quoted in YAML.
fn quoted(text: &str) -> String {
    if text.contains(':') { format!("\"{text}\"") } else { text.to_owned() }
}
