//! The receive checks of one virtual router, in one order (RFC 9568 §7.1, RFC 3768 §7.1).

use core::net::{IpAddr, Ipv6Addr};

use crate::advertisement::{Advertisement, WireAuthentication};
use crate::config::{Transport, VirtualRouterConfig};
use crate::discard::{DiscardReason, Remark};
use crate::{AdvertInterval, ChecksumForm, IfIndex, Priority, REQUIRED_TTL, Version};

/// What the kernel says of a received packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketMeta {
    /// The interface it came in on.
    pub interface: IfIndex,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
}

/// An advertisement that passed every check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) priority: Priority,
    pub(crate) interval: AdvertInterval,
    pub(crate) form: ChecksumForm,
    /// Bit per [`Remark`].
    remarks: u8,
}

impl Accepted {
    fn remark(&mut self, remark: Remark) {
        self.remarks |= 1 << remark as u8;
    }

    pub(crate) fn remarks(self) -> impl Iterator<Item = Remark> {
        let bits = self.remarks;
        Remark::ALL.into_iter().filter(move |remark| bits & 1 << *remark as u8 != 0)
    }
}

fn check_ttl(config: &VirtualRouterConfig, meta: &PacketMeta) -> Result<(), DiscardReason> {
    let allowed = match &config.transport {
        // A packet that a router forwarded cannot have 255: RFC 9568 §5.1.1.3.
        Transport::Multicast { .. } => meta.ttl == REQUIRED_TTL,
        Transport::Unicast { peers, .. } => peers
            .iter()
            .find(|peer| peer.address == meta.source)
            .is_none_or(|peer| (peer.min_ttl..=peer.max_ttl).contains(&meta.ttl)),
    };
    allowed.then_some(()).ok_or(DiscardReason::Ttl)
}

fn check_authentication(
    config: &VirtualRouterConfig,
    advert: &Advertisement<'_>,
) -> Result<(), DiscardReason> {
    match (config.authentication, advert.authentication) {
        _ if config.version == Version::V3 => Ok(()),
        (None, WireAuthentication::None) => Ok(()),
        (Some(ours), WireAuthentication::Simple(theirs)) => {
            // The password travels in the clear anyway; it guards against mistakes, not attackers.
            (ours == theirs).then_some(()).ok_or(DiscardReason::AuthenticationFailure)
        }
        _ => Err(DiscardReason::AuthenticationType),
    }
}

fn check_transport(config: &VirtualRouterConfig, meta: &PacketMeta) -> Result<(), DiscardReason> {
    match &config.transport {
        Transport::Multicast { group } => {
            (meta.destination == *group).then_some(()).ok_or(DiscardReason::Transport)
        }
        Transport::Unicast { peers, check_source, .. } => {
            if meta.destination.is_multicast() {
                Err(DiscardReason::Transport)
            } else if *check_source && !peers.iter().any(|peer| peer.address == meta.source) {
                Err(DiscardReason::UnknownPeer)
            } else {
                Ok(())
            }
        }
    }
}

const fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// Every check after the virtual router was found. `own` is our source address.
pub(crate) fn check(
    config: &VirtualRouterConfig,
    own: Option<IpAddr>,
    meta: &PacketMeta,
    advert: &Advertisement<'_>,
) -> Result<Accepted, DiscardReason> {
    if own == Some(meta.source) {
        return Err(DiscardReason::OwnPacket);
    }
    check_ttl(config, meta)?;
    if advert.version != config.version {
        return Err(DiscardReason::VersionMismatch);
    }
    let form = advert.checksum_form(meta.source, meta.destination).ok_or(DiscardReason::Checksum)?;
    check_authentication(config, advert)?;
    if config.version == Version::V3 && advert.addresses.is_empty() {
        return Err(DiscardReason::AddressCount);
    }
    let interval = advert.interval.interval().ok_or(DiscardReason::ZeroInterval)?;
    if config.version == Version::V2 && interval != config.interval {
        return Err(DiscardReason::IntervalMismatch);
    }
    check_transport(config, meta)?;

    let mut accepted = Accepted { priority: advert.priority, interval, form, remarks: 0 };
    // A router that stops may send no list; whoever leaves cannot mislead.
    if advert.priority != Priority::RELEASE && !advert.addresses.same_as(&config.addresses) {
        accepted.remark(Remark::AddressList);
    }
    if interval != config.interval {
        accepted.remark(Remark::Interval);
    }
    if let Some(IpAddr::V6(first)) = advert.addresses.iter().next()
        && !is_link_local(first)
    {
        accepted.remark(Remark::FirstAddressNotLinkLocal);
    }
    if config.priority.is_owner() && advert.priority.is_owner() {
        accepted.remark(Remark::SecondOwner);
    }
    Ok(accepted)
}
