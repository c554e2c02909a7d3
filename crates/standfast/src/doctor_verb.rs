//! `standfast doctor`: gathers what the three sources say, lets the doctor examine it, and mends what is safe
//! to mend.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use doctor::gather::{self, CloudQuestion, HostInterface, WireQuestion};
use doctor::{Facts, Finding, Fix, Source};
use keepalived_conf::Severity;
use openstack::Client;
use openstack::network::{AddressPair, PortUpdate};

use crate::cloud::CloudOptions;
use crate::{Which, reserve};

/// Find out why an address does not answer; exit code 0 good, 1 warnings, 2 errors, 3 nothing could be examined
#[derive(Args)]
pub(crate) struct Options {
    /// The virtual addresses; those of the agent or the configuration if none is named
    addresses: Vec<IpAddr>,
    /// The configuration, if not the running agent's
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Do not ask the agent
    #[arg(long)]
    no_agent: bool,
    /// Listen on this interface; found by the address if not given
    #[arg(long, value_name = "INTERFACE", conflicts_with = "no_wire")]
    interface: Option<String>,
    /// How long to listen, in seconds; more than three advertisement intervals
    #[arg(long, value_name = "SECONDS", default_value_t = 3.5)]
    listen: f64,
    /// Do not listen
    #[arg(long)]
    no_wire: bool,
    #[command(flatten)]
    cloud: CloudOptions,
    /// Do not ask OpenStack
    #[arg(long)]
    no_cloud: bool,
    /// The members' network, by name or id
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// A member, by its server's name or id (again for more); found by pairs and addresses otherwise
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Mend in OpenStack what only adds something: pairs, rules, protection, the reservation
    #[arg(long)]
    fix: bool,
}

/// Nothing could be examined.
const NOTHING: u8 = 3;

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let mut facts = Facts::default();
    let mut examined = Vec::new();
    local(options, &mut facts, &mut examined);
    facts.addresses =
        if options.addresses.is_empty() { facts.virtual_addresses() } else { options.addresses.clone() };
    let client = client(options, &mut facts)?;
    if facts.addresses.is_empty() && (client.is_some() || facts.agents.is_empty()) {
        return Err(
            "no agent and no configuration here names an address: say which address to examine".to_owned()
        );
    }
    let question = question(options, &facts);
    // Neutron is asked for the network while the wire is listened to; who is a member may depend on both.
    let (heard, places) = std::thread::scope(|scope| {
        let asking = client.as_ref().map(|client| {
            crate::progress(&format!("asking {} for the network and its ports", question.name));
            scope.spawn(|| gather::places(client, &question))
        });
        let heard = listen(options, &facts);
        (heard, asking.and_then(|thread| thread.join().ok()))
    });
    match heard {
        Ok(Some(wire)) => {
            examined.push(format!("wire: {} for {} ms", wire.interface, wire.listened_ms));
            facts.wire = Some(wire);
        }
        Ok(None) => {}
        Err(text) => facts.unavailable.push((Source::Wire, text)),
    }
    match (places, &client) {
        (Some(Ok(mut cloud)), Some(client)) => {
            let mut question = question;
            question.member_addresses = member_addresses(&facts);
            gather::members(client, &mut cloud, &question);
            examined.push(format!(
                "OpenStack {}: network {}, {} ports, {} members",
                cloud.name,
                cloud.network.name,
                cloud.ports.len(),
                cloud.members.len()
            ));
            facts.cloud = Some(cloud);
        }
        (Some(Err(error)), _) => facts.unavailable.push((Source::OpenStack, error.to_string())),
        _ => {}
    }
    let findings = doctor::examine(&facts);
    if options.json {
        let all =
            serde_json::json!({ "examined": examined, "addresses": facts.addresses, "findings": findings });
        crate::print(&format!("{all:#}\n"));
    } else {
        crate::print(&doctor::render::findings(&findings, &examined));
    }
    if options.fix
        && let Some(client) = &client
    {
        fix(client, &facts, &findings)?;
    }
    Ok(exit_code(&findings, examined.is_empty()))
}

fn exit_code(findings: &[Finding], blind: bool) -> ExitCode {
    let worst = findings.iter().map(|finding| finding.severity).min();
    match worst {
        _ if blind => ExitCode::from(NOTHING),
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Note) | None => ExitCode::SUCCESS,
    }
}

/// The agent and the configuration.
fn local(options: &Options, facts: &mut Facts, examined: &mut Vec<String>) {
    if !options.no_agent {
        match gather::agents(&options.which.target()) {
            Ok(agents) => {
                // Where there is no configuration either, this host need not be a member.
                facts.agent_absent = agents.is_empty() && options.file.is_some();
                examined.extend(agents.iter().map(|agent| format!("agent: pid {}", agent.pid)));
                facts.agents = agents;
            }
            Err(text) => facts.unavailable.push((Source::Agent, text)),
        }
    }
    let running = facts.agents.first().map(|agent| PathBuf::from(&agent.configuration));
    if let Some(file) = options.file.clone().or(running) {
        let file = gather::configuration(&file, &keepalived_conf::FileSystem);
        examined.push(format!("configuration: {}", file.path));
        facts.configuration = Some(file);
    }
}

/// The cloud's client, where one is configured. That none is, is no finding: not every address is in a cloud.
fn client(options: &Options, facts: &mut Facts) -> Result<Option<Client>, String> {
    if options.no_cloud || !options.cloud.is_configured() {
        return Ok(None);
    }
    match options.cloud.client() {
        Ok(client) => Ok(Some(client)),
        // What was asked for by name has to be there.
        Err(text) if options.cloud.is_named() => Err(text),
        Err(text) => {
            facts.unavailable.push((Source::OpenStack, text));
            Ok(None)
        }
    }
}

fn question(options: &Options, facts: &Facts) -> CloudQuestion {
    CloudQuestion {
        name: options.cloud.name(),
        addresses: facts.addresses.clone(),
        network: options.network.clone(),
        servers: options.server.clone(),
        member_addresses: Vec::new(),
    }
}

/// The members' own addresses, as far as the configuration, the agent and the wire know them.
fn member_addresses(facts: &Facts) -> Vec<IpAddr> {
    let configured = facts
        .configuration
        .iter()
        .filter_map(|file| file.outcome.configuration.as_ref())
        .flat_map(|configuration| &configuration.instances)
        .flat_map(|instance| {
            instance.unicast_peers.iter().flatten().map(|peer| peer.address).chain(instance.source)
        });
    let heard = facts
        .wire
        .iter()
        .flat_map(|wire| &wire.advertisers)
        .filter(|advertiser| advertiser.addresses.iter().any(|address| facts.concerns(*address)))
        .map(|advertiser| advertiser.source);
    let own = gather::interfaces()
        .unwrap_or_default()
        .into_iter()
        .filter(|_| !facts.agents.is_empty())
        .flat_map(|interface| interface.addresses)
        .map(|prefix| prefix.addr());
    configured.chain(heard).chain(own).filter(|address| !facts.addresses.contains(address)).collect()
}

fn listen(options: &Options, facts: &Facts) -> Result<Option<doctor::wire::Wire>, String> {
    if options.no_wire {
        return Ok(None);
    }
    let interfaces = gather::interfaces().map_err(|error| format!("cannot list the interfaces: {error}"))?;
    let Some(interface) = chosen(options, facts, &interfaces)? else { return Ok(None) };
    if !(0.1..=300.0).contains(&options.listen) {
        return Err(format!("--listen {}: give 0.1 to 300 seconds", options.listen));
    }
    let duration = Duration::from_secs_f64(options.listen);
    crate::progress(&format!("listening on {} for {:.1} s", interface.name, options.listen));
    gather::listen(&WireQuestion { interface, duration, addresses: &facts.addresses })
        .map(Some)
        .map_err(|error| format!("cannot listen on {}: {error}", interface.name))
}

/// The interface that is named; else the virtual routers'; else the one on whose prefix the address lies.
fn chosen<'a>(
    options: &Options,
    facts: &Facts,
    interfaces: &'a [HostInterface],
) -> Result<Option<&'a HostInterface>, String> {
    if let Some(wanted) = &options.interface {
        let found = interfaces.iter().find(|interface| interface.name == *wanted);
        return found.map(Some).ok_or_else(|| {
            let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
            format!("no interface is called `{wanted}`; there are {}", names.join(", "))
        });
    }
    let of_router = facts
        .agents
        .iter()
        .flat_map(|agent| &agent.virtual_routers)
        .find(|router| facts.concerns_router(router))
        .and_then(|router| interfaces.iter().find(|interface| interface.name == router.interface));
    Ok(of_router.or_else(|| facts.addresses.iter().find_map(|a| gather::interface_for(interfaces, *a))))
}

/// Applies what the findings offer, each once.
fn fix(client: &Client, facts: &Facts, findings: &[Finding]) -> Result<(), String> {
    let mut done: Vec<&Fix> = Vec::new();
    for mend in findings.iter().flat_map(|finding| &finding.mends) {
        let Some(fix) = &mend.fix else { continue };
        if done.contains(&fix) {
            continue;
        }
        done.push(fix);
        crate::progress(&format!("fixing: {}", mend.command));
        let result = apply(client, facts, fix)?;
        crate::print(&format!("fixed: {result}\n"));
    }
    if done.is_empty() {
        crate::print("nothing that can be fixed without taking something away\n");
    }
    Ok(())
}

fn apply(client: &Client, facts: &Facts, fix: &Fix) -> Result<String, String> {
    match fix {
        Fix::AddPair { port_id, ip_address } => add_pair(client, port_id, ip_address),
        Fix::AllowVrrp { security_group_id, ethertype } => {
            let made = reserve::allow_vrrp(client, security_group_id, ethertype)?;
            Ok(format!("{ethertype} protocol 112 from the members of {security_group_id} {made}"))
        }
        Fix::ProtectReservation { port_id } => {
            reserve::protect(client, port_id)?;
            Ok(format!("port {port_id} is protected"))
        }
        Fix::Reserve { ip_address, .. } => {
            let cloud = facts.cloud.as_ref().ok_or("OpenStack was not examined")?;
            let address = ip_address.parse().map_err(|_| format!("{ip_address} is no address"))?;
            let outcome =
                reserve::reserve(client, &cloud.network, &cloud.subnets, address, &cloud.ports, false)?;
            Ok(outcome.text)
        }
    }
}

/// Adds to the pairs that are there now; refused if somebody changes the port at the same moment.
fn add_pair(client: &Client, port_id: &str, ip_address: &str) -> Result<String, String> {
    let say = |error: openstack::Error| error.to_string();
    let port = client.network().port(port_id).map_err(say)?;
    let mut pairs = port.allowed_address_pairs;
    if pairs.iter().any(|pair| pair.ip_address == ip_address) {
        return Ok(format!("port {port_id} has the pair {ip_address} already"));
    }
    pairs.push(AddressPair::address(ip_address));
    let change = PortUpdate { allowed_address_pairs: Some(pairs), ..PortUpdate::default() };
    client.network().update_port(port_id, &change, port.revision_number).map_err(say)?;
    Ok(format!("port {port_id} has the pair {ip_address}"))
}
