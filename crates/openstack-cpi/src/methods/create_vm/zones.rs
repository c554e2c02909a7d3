//! Which availability zones are tried, in which order.

use crate::cloud::Cloud;
use crate::cloud_properties::vm::VmProperties;
use crate::error::{CpiError, Result};

/// One zone, or several in random order; none leaves the choice to Nova.
pub(super) fn to_try(cloud: &Cloud, properties: &VmProperties) -> Result<Vec<Option<String>>> {
    let several = properties.availability_zones.as_deref().filter(|zones| !zones.is_empty());
    let one = properties.availability_zone.as_ref().filter(|zone| !zone.is_empty());
    match (several, one) {
        (Some(_), Some(_)) => Err(CpiError::cloud(
            "Invalid cloud_properties: only one property of \"availability_zone\" and \"availability_zones\" allowed.",
        )),
        (Some(_), None) if !cloud.config.ignore_server_availability_zone => {
            Err(CpiError::cloud("Cannot use multiple azs without openstack.ignore_server_availability_zone"))
        }
        (Some(zones), None) => Ok(shuffled(zones)?.into_iter().map(Some).collect()),
        (None, one) => Ok(vec![one.cloned()]),
    }
}

fn shuffled(zones: &[String]) -> Result<Vec<String>> {
    let mut zones = zones.to_vec();
    for last in (1..zones.len()).rev() {
        let random =
            getrandom::u64().map_err(|error| CpiError::unknown(format!("no randomness: {error}")))?;
        // The bias of the remainder is of no matter for a handful of zones.
        let other = usize::try_from(random % (last as u64 + 1)).unwrap_or(0);
        zones.swap(last, other);
    }
    Ok(zones)
}
