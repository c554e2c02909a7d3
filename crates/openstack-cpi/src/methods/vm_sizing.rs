//! `calculate_vm_cloud_properties`: the smallest flavor that is large enough.

use openstack::compute::Flavor;
use serde_json::{Map, Value, json};

use super::Arguments;
use crate::cloud::Cloud;
use crate::error::{CpiError, Result};

/// What the operating system takes of a root disk, in GB.
const OS_OVERHEAD_GB: f64 = 3.0;

/// What is required.
#[derive(Debug, Clone, Copy)]
struct Requirements {
    cpu: f64,
    ram_mb: f64,
    disk_gb: f64,
}

/// Finds the flavor.
pub(super) fn calculate(cloud: &Cloud, arguments: &Arguments<'_>) -> Result<Value> {
    let requirements = Requirements::read(arguments.map(0, "requirements")?)?;
    let flavors = cloud.ask(|client| client.compute().flavors())?;
    choose(&requirements, &flavors, cloud.config.boot_from_volume)
}

impl Requirements {
    fn read(map: &Map<String, Value>) -> Result<Self> {
        const KEYS: [&str; 3] = ["cpu", "ram", "ephemeral_disk_size"];
        let missing: Vec<String> = KEYS
            .iter()
            .filter(|key| matches!(map.get(**key), None | Some(Value::Null | Value::Bool(false))))
            .map(|key| format!("'{key}'"))
            .collect();
        if !missing.is_empty() {
            return Err(CpiError::unknown(format!("Missing VM cloud properties: {}", missing.join(", "))));
        }
        let number = |key: &str| {
            let value = &map[key];
            let number = match value {
                Value::String(text) => text.trim().parse().ok(),
                other => other.as_f64(),
            };
            number
                .filter(|number: &f64| number.is_finite() && *number >= 0.0)
                .ok_or_else(|| CpiError::argument(format_args!("{key}: expected a number, got {value}")))
        };
        Ok(Self { cpu: number(KEYS[0])?, ram_mb: number(KEYS[1])?, disk_gb: number(KEYS[2])? / 1024.0 })
    }
}

fn choose(requirements: &Requirements, flavors: &[Flavor], boot_from_volume: bool) -> Result<Value> {
    let large_enough: Vec<&Flavor> = flavors
        .iter()
        .filter(|flavor| {
            f64::from(flavor.vcpus) >= requirements.cpu
                && gb(flavor.ram) >= requirements.ram_mb
                && !flavor.disabled
        })
        .collect();
    let possible = if boot_from_volume {
        large_enough.into_iter().filter(|flavor| flavor.ephemeral == 0).collect()
    } else {
        with_room_on_disk(&large_enough, requirements.disk_gb.ceil())
    };
    let key = |flavor: &&Flavor| (flavor.vcpus, flavor.ram, flavor.disk + flavor.ephemeral, flavor.disk);
    let Some(flavor) = possible.into_iter().min_by_key(key) else {
        return Err(unable(requirements, flavors));
    };
    let mut properties = json!({"instance_type": flavor.name});
    let root_disk = OS_OVERHEAD_GB + requirements.disk_gb;
    if boot_from_volume && gb(flavor.disk) < root_disk {
        properties["root_disk"] = json!({"size": number(root_disk)});
    }
    Ok(properties)
}

/// Flavors with a large enough ephemeral disk; without any, those whose root disk holds both.
fn with_room_on_disk<'a>(flavors: &[&'a Flavor], disk_gb: f64) -> Vec<&'a Flavor> {
    let select = |room: &dyn Fn(&Flavor) -> bool| -> Vec<&'a Flavor> {
        flavors.iter().copied().filter(|flavor| room(flavor)).collect()
    };
    let with_ephemeral =
        select(&|flavor| gb(flavor.ephemeral) >= disk_gb && gb(flavor.disk) >= OS_OVERHEAD_GB);
    if with_ephemeral.is_empty() {
        return select(&|flavor| flavor.ephemeral == 0 && gb(flavor.disk) >= disk_gb + OS_OVERHEAD_GB);
    }
    with_ephemeral
}

fn unable(requirements: &Requirements, flavors: &[Flavor]) -> CpiError {
    let available: Vec<String> = flavors
        .iter()
        .map(|flavor| {
            format!("{}: {} CPU, {} MB RAM, {} GB Disk\n", flavor.name, flavor.vcpus, flavor.ram, flavor.disk)
        })
        .collect();
    let available = available.concat();
    CpiError::unknown(format!(
        "Unable to meet requested VM requirements: {} CPU, {} MB RAM, {:?} GB Disk.\nAvailable flavors:\n{available}",
        requirements.cpu, requirements.ram_mb, requirements.disk_gb,
    ))
}

/// Sizes of flavors are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "sizes of flavors are far below 2^53")]
fn gb(size: u64) -> f64 {
    size as f64
}

/// A whole number without a fraction in JSON.
fn number(value: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size, small and not negative"
    )]
    if value.fract() == 0.0 { Value::from(value as u64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flavor(name: &str, vcpus: u32, ram: u64, disk: u64, ephemeral: u64) -> Flavor {
        Flavor { name: name.into(), vcpus, ram, disk, ephemeral, ..Flavor::default() }
    }

    fn flavors() -> Vec<Flavor> {
        vec![
            flavor("huge", 16, 65536, 160, 0),
            flavor("root-disk", 2, 4096, 40, 0),
            flavor("ephemeral", 2, 4096, 10, 40),
            flavor("tiny", 1, 512, 1, 0),
            Flavor { disabled: true, ..flavor("disabled", 1, 4096, 100, 100) },
        ]
    }

    fn chosen(requirements: &Value, boot_from_volume: bool) -> Result<Value> {
        choose(&Requirements::read(requirements.as_object().unwrap())?, &flavors(), boot_from_volume)
    }

    #[test]
    fn ephemeral_first_then_root_disk() {
        let wanted = json!({"cpu": 1, "ram": 1024, "ephemeral_disk_size": 20480});
        assert_eq!(chosen(&wanted, false).unwrap(), json!({"instance_type": "ephemeral"}));
        let wanted = json!({"cpu": 1, "ram": 1024, "ephemeral_disk_size": 102_400});
        assert_eq!(chosen(&wanted, false).unwrap(), json!({"instance_type": "huge"}));
    }

    #[test]
    fn boot_from_volume_adds_a_root_disk() {
        let wanted = json!({"cpu": 1, "ram": 1024, "ephemeral_disk_size": 102_400});
        let expected = json!({"instance_type": "root-disk", "root_disk": {"size": 103}});
        assert_eq!(chosen(&wanted, true).unwrap(), expected);
        let wanted = json!({"cpu": "1", "ram": "1024", "ephemeral_disk_size": 1536});
        assert_eq!(chosen(&wanted, true).unwrap(), json!({"instance_type": "root-disk"}), "40 GB are enough");
        let wanted = json!({"cpu": 1, "ram": 512, "ephemeral_disk_size": 1536});
        let expected = json!({"instance_type": "tiny", "root_disk": {"size": 4.5}});
        assert_eq!(chosen(&wanted, true).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_or_impossible_is_of_type_unknown() {
        let error = chosen(&json!({"ram": 1}), false).unwrap_err();
        assert_eq!(error, CpiError::unknown("Missing VM cloud properties: 'cpu', 'ephemeral_disk_size'"));
        let error = chosen(&json!({"cpu": 99, "ram": 1024, "ephemeral_disk_size": 1024}), false).unwrap_err();
        let begin = "Unable to meet requested VM requirements: 99 CPU, 1024 MB RAM, 1.0 GB Disk.\nAvailable flavors:\n\
                     huge: 16 CPU, 65536 MB RAM, 160 GB Disk\n";
        assert!(error.message.starts_with(begin), "{error}");
    }
}
