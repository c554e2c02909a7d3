//! This host's interfaces.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use vrrp::{IfIndex, MacAddress};
use vrrp_linux::netlink::Netlink;

/// One interface, with its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostInterface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: IfIndex,
    /// Its MAC.
    pub mac: MacAddress,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
}

/// Every Ethernet interface of this network namespace.
///
/// # Errors
/// If netlink is refused.
pub fn interfaces() -> io::Result<Vec<HostInterface>> {
    let mut netlink = Netlink::open()?;
    let addresses = netlink.addresses()?;
    let of = |link: vrrp_linux::netlink::Link| {
        let addresses = addresses
            .iter()
            .filter(|a| a.interface == link.index)
            .filter_map(|a| IpNet::new(a.address, a.prefix_len).ok())
            .collect();
        Some(HostInterface { name: link.name, index: link.index, mac: link.mac?, addresses })
    };
    Ok(netlink.links()?.into_iter().filter_map(of).filter(|i| i.name != "lo").collect())
}

/// The interface on whose prefix an address lies, a host prefix left out: a virtual address with /32 proves
/// nothing.
pub fn interface_for(interfaces: &[HostInterface], address: IpAddr) -> Option<&HostInterface> {
    interfaces.iter().find(|interface| {
        interface
            .addresses
            .iter()
            .any(|own| own.prefix_len() < own.max_prefix_len() && own.contains(&address))
    })
}
