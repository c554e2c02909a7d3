//! `create_vm` in three stages: look up, make, finish. Each is as parallel as the API allows; what a failed try made
//! is removed before the next one, or before the call ends.

mod attempt;
mod look_up;
mod zones;

use serde_json::{Map, Value, json};

use super::Arguments;
use crate::agent_settings;
use crate::cloud::Cloud;
use crate::cloud_properties::vm::VmProperties;
use crate::error::{CpiError, Result};
use crate::fields::Warnings;
use crate::network::plan::NetworkPlan;
use crate::network::spec::NetworkSpec;
use crate::request::kind_of;
use crate::unique_name;

use attempt::Attempt;
use look_up::Found;

/// What is asked for.
struct Wanted<'a> {
    agent_id: &'a str,
    stemcell_cid: &'a str,
    properties: VmProperties,
    networks: &'a Map<String, Value>,
    plan: NetworkPlan,
    env: Option<&'a Value>,
}

/// Makes a server and waits until it is up.
pub(super) fn create(cloud: &Cloud, arguments: &Arguments<'_>, warnings: &Warnings) -> Result<Value> {
    let wanted = read(cloud, arguments, warnings)?;
    let zones = zones::to_try(cloud, &wanted.properties)?;
    if !cloud.is_registry_less() {
        cloud.config.required_registry(cloud.api_version, cloud.stemcell_api_version)?;
    }
    // The director makes at most one attempt at a time with these; each server has a name of its own.
    let name = format!("vm-{}", unique_name::uuid()?);
    let found = look_up::all(cloud, &wanted, &name)?;
    let (server_id, networks) = in_one_of(cloud, &zones, &wanted, &found, name)?;
    Ok(if cloud.api_version >= 2 { json!([server_id, networks]) } else { json!(server_id) })
}

fn read<'a>(cloud: &Cloud, arguments: &Arguments<'a>, warnings: &Warnings) -> Result<Wanted<'a>> {
    let agent_id = arguments.string(0, "agent_id")?;
    let stemcell_cid = arguments.string(1, "stemcell_cid")?;
    let properties = VmProperties::read(arguments.value(2), warnings).map_err(CpiError::argument)?;
    let networks = match arguments.value(3) {
        Value::Object(networks) => networks,
        other => {
            let got = kind_of(other);
            return Err(CpiError::argument(format_args!(
                "Invalid spec, Hash expected, {got} provided (networks)"
            )));
        }
    };
    let specs = NetworkSpec::read_all(networks, warnings)?;
    let mut plan = NetworkPlan::of(&specs)?;
    plan.check_preconditions(cloud.config.use_dhcp, cloud.config.config_drive.is_some())?;
    plan.place_pairs(&properties.allowed_address_pairs, properties.vrrp_port_check, &specs, warnings)?;
    let env = Some(arguments.value(5)).filter(|env| !env.is_null());
    Ok(Wanted { agent_id, stemcell_cid, properties, networks, plan, env })
}

/// Tries the zones in order. Each try has ports and a server of its own: the last try's are gone before the next.
fn in_one_of(
    cloud: &Cloud,
    zones: &[Option<String>],
    wanted: &Wanted<'_>,
    found: &Found,
    first_name: String,
) -> Result<(String, Map<String, Value>)> {
    let mut earlier = Vec::new();
    let mut name = first_name;
    for (index, zone) in zones.iter().enumerate() {
        let attempt = Attempt { cloud, wanted, found, name: &name, zone: zone.as_deref() };
        let error = match attempt.run() {
            Ok(made) => {
                let networks =
                    agent_settings::networks_for_agent(wanted.networks, cloud.config.use_dhcp, |network| {
                        made.mac_of(wanted, network)
                    });
                return Ok((made.server_id, networks));
            }
            Err(error) => error,
        };
        let is_last = index + 1 == zones.len();
        if is_last || cloud.interrupt.check().is_err() {
            return Err(with_earlier(error, &earlier));
        }
        let zone = zone.as_deref().unwrap_or_default();
        cloud.say(format!(
            "Failed to create VM in AZ '{zone}' with error '{}', retrying in a different AZ",
            error.message
        ));
        earlier.push(format!("AZ '{zone}': {}", error.message));
        let left = cloud.undo_all();
        if !left.is_empty() {
            earlier.push(format!("could not be removed and has to be by hand: {}", left.join(", ")));
        }
        name = format!("vm-{}", unique_name::uuid()?);
    }
    Err(CpiError::unknown("no availability zone to try"))
}

fn with_earlier(error: CpiError, earlier: &[String]) -> CpiError {
    if earlier.is_empty() { error } else { error.and(format_args!("\nBefore that, {}", earlier.join("\n"))) }
}
