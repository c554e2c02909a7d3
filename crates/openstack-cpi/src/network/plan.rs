//! What follows from the networks of a VM: its NICs, the pairs of each, the floating IP.

use std::net::IpAddr;

use super::address::Range;
use super::pairs::PairRequest;
use super::spec::{NetworkSpec, NetworkType};
use crate::config::suggestion;
use crate::error::{CpiError, Result};
use crate::fields::{FieldError, Warnings};

/// How a NIC comes to its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// A port with these addresses.
    Manual(Vec<IpAddr>),
    /// Nova makes the port, unless it has pairs: then we make it, without a fixed address.
    Dynamic,
}

/// An address pair of a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Where it was asked for.
    pub path: String,
    /// As written.
    pub ip_address: String,
    /// As understood.
    pub range: Range,
    /// The MAC, if one was given.
    pub mac_address: Option<String>,
    /// Whether a reserved port has to hold it.
    pub is_checked: bool,
}

/// A NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// The networks of the manifest that share it, usually one.
    pub names: Vec<String>,
    /// Neutron's network. Only a dynamic network may leave it open.
    pub net_id: Option<String>,
    /// Its addresses.
    pub addressing: Addressing,
    /// Its pairs.
    pub pairs: Vec<Pair>,
}

impl Nic {
    /// Whether we make a port for it, rather than Nova.
    pub fn needs_port(&self) -> bool {
        matches!(self.addressing, Addressing::Manual(_)) || !self.pairs.is_empty()
    }

    /// Its manual addresses.
    pub fn ips(&self) -> &[IpAddr] {
        match &self.addressing {
            Addressing::Manual(ips) => ips,
            Addressing::Dynamic => &[],
        }
    }
}

/// A vip network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vip {
    /// Its name in the manifest.
    pub name: String,
    /// The floating IP.
    pub ip: Option<IpAddr>,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// The NICs in the order of the request.
    pub nics: Vec<Nic>,
    /// The floating IP.
    pub vip: Option<Vip>,
    /// The security groups of the networks, sorted.
    pub security_groups: Vec<String>,
    /// Which NIC has the default gateway.
    pub gateway: Option<usize>,
}

impl NetworkPlan {
    /// Lays out the networks.
    pub fn of(specs: &[NetworkSpec]) -> Result<Self> {
        let mut plan = Self { nics: Vec::new(), vip: None, security_groups: Vec::new(), gateway: None };
        let mut groups: Vec<Option<&str>> = Vec::new();
        let mut has_dynamic = false;
        for spec in specs {
            match spec.network_type {
                NetworkType::Vip => {
                    if plan.vip.is_some() {
                        return Err(CpiError::cloud("Only one VIP network per instance should be defined"));
                    }
                    plan.vip = Some(Vip { name: spec.name.clone(), ip: spec.ip });
                }
                NetworkType::Dynamic => {
                    if has_dynamic {
                        return Err(CpiError::cloud(
                            "Only one dynamic network per instance should be defined",
                        ));
                    }
                    has_dynamic = true;
                    if plan.uses(spec.net_id.as_deref()) {
                        let id = spec.net_id.as_deref().unwrap_or_default();
                        return Err(CpiError::cloud(format!(
                            "Dynamic network with id {id} is already defined"
                        )));
                    }
                    plan.nics.push(nic_of(spec, Addressing::Dynamic));
                    groups.push(None);
                }
                NetworkType::Manual => plan.add_manual(spec, &mut groups)?,
            }
            plan.security_groups.extend(spec.security_groups.iter().cloned());
        }
        if plan.nics.is_empty() {
            return Err(CpiError::cloud("At least one dynamic or manual network should be defined"));
        }
        plan.security_groups.sort();
        plan.security_groups.dedup();
        plan.gateway = plan.gateway_of(specs);
        Ok(plan)
    }

    fn uses(&self, net_id: Option<&str>) -> bool {
        self.nics.iter().any(|nic| nic.net_id.as_deref() == net_id)
    }

    /// A manual network gets a NIC of its own, or joins the NIC of its group on the same Neutron network (dual stack).
    fn add_manual<'a>(&mut self, spec: &'a NetworkSpec, groups: &mut Vec<Option<&'a str>>) -> Result<()> {
        let Some(net_id) = spec.net_id.as_deref() else {
            return Err(CpiError::cloud("Manual network must have net_id"));
        };
        let ip = spec.ip.into_iter();
        let group = spec.nic_group.as_deref();
        if let Some(index) = self.nics.iter().position(|nic| nic.net_id.as_deref() == Some(net_id)) {
            let nic = &mut self.nics[index];
            return match &mut nic.addressing {
                Addressing::Manual(ips) if group.is_some() && groups[index] == group => {
                    ips.extend(ip);
                    nic.names.push(spec.name.clone());
                    Ok(())
                }
                _ => Err(CpiError::cloud(format!("Manual network with id {net_id} is already defined"))),
            };
        }
        self.nics.push(nic_of(spec, Addressing::Manual(ip.collect())));
        groups.push(group);
        Ok(())
    }

    /// The only NIC, else the first network that is the default for the gateway.
    fn gateway_of(&self, specs: &[NetworkSpec]) -> Option<usize> {
        if self.nics.len() == 1 {
            return Some(0);
        }
        let name =
            &specs.iter().find(|spec| spec.network_type != NetworkType::Vip && spec.is_gateway_default)?.name;
        self.nics.iter().position(|nic| nic.names.contains(name))
    }

    /// Refuses several NICs where the agent could not configure them.
    pub fn check_preconditions(&self, use_dhcp: bool, has_config_drive: bool) -> Result<()> {
        if self.nics.len() > 1 && (use_dhcp || !has_config_drive) {
            return Err(CpiError::vm_creation_failed(
                false,
                "Multiple manual networks can only be used with 'openstack.use_dhcp=false' and \
                 'openstack.config_drive=cdrom|disk'",
            ));
        }
        Ok(())
    }

    /// Puts the pairs on their NICs. `requests` are those of the VM; each network brings its own.
    pub fn place_pairs(
        &mut self,
        requests: &[PairRequest],
        vm_check: Option<bool>,
        specs: &[NetworkSpec],
        warnings: &Warnings,
    ) -> Result<()> {
        for request in requests {
            let index = match &request.network {
                Some(name) => Some(self.nic_named(name, specs, &request.path)?),
                None => self.default_nic(request, warnings)?,
            };
            if let Some(index) = index {
                self.place(index, request, vm_check, specs, warnings)?;
            }
        }
        for spec in specs {
            for request in &spec.allowed_address_pairs {
                let index = self.nic_named(&spec.name, specs, &request.path)?;
                self.place(index, request, vm_check, specs, warnings)?;
            }
        }
        Ok(())
    }

    fn nic_named(&self, name: &str, specs: &[NetworkSpec], path: &str) -> Result<usize> {
        if let Some(index) = self.nics.iter().position(|nic| nic.names.iter().any(|own| own == name)) {
            return Ok(index);
        }
        let error = if specs.iter().any(|spec| spec.name == name) {
            FieldError::new(
                path,
                format!("network '{name}' is a vip network; pairs are for manual and dynamic ones"),
            )
        } else {
            let names = || specs.iter().map(|spec| spec.name.as_str());
            let list = names().collect::<Vec<_>>().join(", ");
            let hint = suggestion(name, names());
            FieldError::new(path, format!("network '{name}' is none of this VM's networks ({list}){hint}"))
        };
        Err(CpiError::argument(error))
    }

    fn default_nic(&self, request: &PairRequest, warnings: &Warnings) -> Result<Option<usize>> {
        let Some(index) = self.gateway else {
            let mend = "give one of the networks `default: [gateway]`, or name the network of the pair";
            if request.is_plain_string {
                // Ruby put it nowhere and said nothing.
                warnings.push(format!(
                    "{}: no network is the default one, so the pair is on none; {mend}",
                    request.path
                ));
                return Ok(None);
            }
            let error = FieldError::new(&request.path, format!("no network is the default one; {mend}"));
            return Err(CpiError::argument(error));
        };
        let nic = &self.nics[index];
        if nic.addressing == Addressing::Dynamic {
            return Err(CpiError::cloud(format!(
                "Network with id '{}' is a dynamic network. VRRP is not supported for dynamic networks. To have a port \
                 made for it all the same, name the network in the pair (allowed_address_pairs: {{ip_address: {}, \
                 network: {}}})",
                nic.net_id.as_deref().unwrap_or_default(),
                request.ip_address,
                nic.names[0],
            )));
        }
        Ok(Some(index))
    }

    fn place(
        &mut self,
        index: usize,
        request: &PairRequest,
        vm_check: Option<bool>,
        specs: &[NetworkSpec],
        warnings: &Warnings,
    ) -> Result<()> {
        let nic = &self.nics[index];
        if nic.net_id.is_none() {
            return Err(CpiError::argument(FieldError::new(
                &request.path,
                format!(
                    "network '{}' has no net_id in its cloud_properties; a port with pairs needs one",
                    nic.names[0]
                ),
            )));
        }
        let network_check =
            specs.iter().filter(|spec| nic.names.contains(&spec.name)).find_map(|spec| spec.vrrp_port_check);
        let wants_check = network_check.or(vm_check).unwrap_or(true);
        if wants_check {
            self.check_against_own_addresses(request)?;
        }
        let is_range = request.range.host().is_none();
        if is_range && wants_check && request.is_plain_string {
            return Err(CpiError::cloud(format!(
                "{} It is a range, and a port holds single addresses. Set vrrp_port_check: false on network '{}', or \
                 write the pair as a list ([\"{}\"]): a range in a list is not checked",
                missing_port(&request.ip_address),
                nic.names[0],
                request.ip_address,
            )));
        }
        let pair = Pair {
            path: request.path.clone(),
            ip_address: request.ip_address.clone(),
            range: request.range,
            mac_address: request.mac_address.clone(),
            is_checked: wants_check && !is_range,
        };
        if nic.pairs.iter().any(|other| other.range == pair.range && other.mac_address == pair.mac_address) {
            warnings.push(format!("{}: the pair {} is there already", pair.path, pair.ip_address));
            return Ok(());
        }
        self.nics[index].pairs.push(pair);
        Ok(())
    }

    fn check_against_own_addresses(&self, request: &PairRequest) -> Result<()> {
        let Some(address) = request.range.host() else { return Ok(()) };
        match self.nics.iter().find(|nic| nic.ips().contains(&address)) {
            None => Ok(()),
            Some(nic) => Err(CpiError::cloud(format!(
                "{} It is this VM's own address in network '{}': the VRRP IP has to be a third address. Put it into the \
                 subnet's `reserved` range and not among the static IPs",
                missing_port(&request.ip_address),
                nic.names[0],
            ))),
        }
    }
}

fn nic_of(spec: &NetworkSpec, addressing: Addressing) -> Nic {
    Nic { names: vec![spec.name.clone()], net_id: spec.net_id.clone(), addressing, pairs: Vec::new() }
}

/// The sentence that operators know from the Ruby CPI.
pub fn missing_port(ip: &str) -> String {
    format!("Configured VRRP port with ip '{ip}' does not exist.")
}
