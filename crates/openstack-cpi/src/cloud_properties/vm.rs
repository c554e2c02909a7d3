//! The properties of a VM: those of its availability zone, VM type and VM extensions, merged by the director.

use serde_json::{Map, Value};

use crate::fields::{Fields, Read, Warnings, integer_of};
use crate::network::pairs::{self, PairRequest};

/// A load balancer's pool that the VM joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolProperties {
    /// The pool's name.
    pub name: Option<String>,
    /// The port the VM serves on.
    pub port: Option<u16>,
    /// The port of health checks, where it is another.
    pub monitoring_port: Option<u16>,
}

/// The `root_disk` of a VM that boots from a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootDisk {
    /// Its size; a `root_disk` without one is an error only where it is used.
    pub size_gib: Option<u64>,
}

/// What a VM says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VmProperties {
    /// The flavor, by name.
    pub instance_type: Option<String>,
    /// One availability zone.
    pub availability_zone: Option<String>,
    /// Several, tried in random order.
    pub availability_zones: Option<Vec<String>>,
    /// Security groups by name or id; they replace those of the networks and the default ones.
    pub security_groups: Option<Vec<String>>,
    /// The key pair.
    pub key_name: Option<String>,
    /// Passed to the scheduler as they are.
    pub scheduler_hints: Option<Map<String, Value>>,
    /// The boot volume.
    pub root_disk: Option<RootDisk>,
    /// Whether the VM boots from a volume.
    pub boot_from_volume: Option<bool>,
    /// Pools to join.
    pub loadbalancer_pools: Vec<PoolProperties>,
    /// Addresses beside its own that the VM may use.
    pub allowed_address_pairs: Vec<PairRequest>,
    /// Whether the reserved ports are checked; a network may say otherwise.
    pub vrrp_port_check: Option<bool>,
}

impl VmProperties {
    /// Reads them.
    pub fn read(value: &Value, warnings: &Warnings) -> Read<Self> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let fields = Fields::of("cloud_properties", value, warnings)?;
        let properties = Self {
            instance_type: fields.string("instance_type")?,
            availability_zone: fields.string("availability_zone")?,
            availability_zones: fields.strings("availability_zones")?,
            security_groups: fields.strings("security_groups")?,
            key_name: fields.string("key_name")?,
            scheduler_hints: fields.map("scheduler_hints")?.cloned(),
            root_disk: read_root_disk(&fields)?,
            boot_from_volume: fields.boolean("boot_from_volume")?,
            loadbalancer_pools: read_pools(&fields)?,
            allowed_address_pairs: fields
                .value("allowed_address_pairs")
                .map(|value| pairs::read(&fields.path_of("allowed_address_pairs"), value, warnings))
                .transpose()?
                .unwrap_or_default(),
            vrrp_port_check: fields.boolean("vrrp_port_check")?,
        };
        fields.finish();
        Ok(properties)
    }
}

fn read_root_disk(fields: &Fields<'_>) -> Read<Option<RootDisk>> {
    let Some(root_disk) = fields.fields("root_disk")? else { return Ok(None) };
    // `calculate_vm_cloud_properties` may have answered with a fraction; a volume has whole GiB.
    let size = match root_disk.value("size") {
        None => None,
        Some(value) => match value.as_f64().filter(|size| size.fract() != 0.0 && *size > 0.0) {
            Some(size) => {
                let whole = size.ceil();
                let path = root_disk.path_of("size");
                fields.warnings().push(format!("{path}: {size} GiB rounded up to {whole}"));
                Some(integer_of(&path, &Value::from(whole), fields.warnings())?)
            }
            None => root_disk.integer("size")?,
        },
    };
    root_disk.finish();
    Ok(Some(RootDisk { size_gib: size }))
}

fn read_pools(fields: &Fields<'_>) -> Read<Vec<PoolProperties>> {
    let Some(list) = fields.list("loadbalancer_pools")? else { return Ok(Vec::new()) };
    let mut pools = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let path = fields.path_of(&format!("loadbalancer_pools[{index}]"));
        let pool = Fields::of(path, item, fields.warnings())?;
        pools.push(PoolProperties {
            name: pool.string("name")?,
            port: read_port(&pool, "port")?,
            monitoring_port: read_port(&pool, "monitoring_port")?,
        });
        pool.finish();
    }
    Ok(pools)
}

fn read_port(fields: &Fields<'_>, key: &'static str) -> Read<Option<u16>> {
    let Some(port) = fields.integer(key)? else { return Ok(None) };
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(fields.error(key, format!("{port} is no TCP port; ports are 1 to 65535"))),
    }
}
