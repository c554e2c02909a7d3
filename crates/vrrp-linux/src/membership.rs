//! Multicast membership, on sockets of its own: the kernel allows 20 groups a socket, and the raw socket that
//! receives needs none while `IP_MULTICAST_ALL` is on.

use std::io;
use std::net::IpAddr;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use vrrp::IfIndex;

/// Membership of one group on one interface; left when dropped.
#[derive(Debug)]
pub struct Membership {
    /// Closing it leaves the group.
    _socket: Socket,
}

impl Membership {
    /// Joins.
    ///
    /// # Errors
    /// If the interface is gone or cannot do multicast.
    pub fn join(interface: IfIndex, group: IpAddr) -> io::Result<Self> {
        let socket = match group {
            IpAddr::V4(group) => {
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface.0))?;
                socket
            }
            IpAddr::V6(group) => {
                let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
                socket.join_multicast_v6(&group, interface.0)?;
                socket
            }
        };
        Ok(Self { _socket: socket })
    }
}
