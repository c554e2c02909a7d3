//! What a virtual router is configured with, in the protocol's own units.

use core::net::IpAddr;
use core::time::Duration;

use crate::advertisement::Password;
use crate::{
    AdvertInterval, ChecksumForm, Family, IfIndex, Priority, REQUIRED_TTL, Version, VirtualRouterId,
};

/// A unicast peer and the TTLs that its adverts may arrive with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnicastPeer {
    /// Where adverts go to and come from.
    pub address: IpAddr,
    /// Lowest TTL accepted; 0 accepts every one.
    pub min_ttl: u8,
    /// Highest TTL accepted.
    pub max_ttl: u8,
}

impl UnicastPeer {
    /// A peer whose TTL is not looked at.
    pub const fn new(address: IpAddr) -> Self {
        Self { address, min_ttl: 0, max_ttl: u8::MAX }
    }
}

/// How adverts travel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport {
    /// To the group, on the link (RFC 9568 §5.1).
    Multicast {
        /// The group; [`Family::group`] by the standard.
        group: IpAddr,
    },
    /// To each peer (keepalived's extension; what a cloud without multicast needs).
    Unicast {
        /// The peers.
        peers: Vec<UnicastPeer>,
        /// Whether an advert from elsewhere is discarded.
        check_source: bool,
        /// TTL that adverts leave with.
        ttl: u8,
    },
}

impl Transport {
    /// Multicast to the standard group.
    pub const fn multicast(family: Family) -> Self {
        Self::Multicast { group: family.group() }
    }

    /// The TTL or hop limit that adverts leave with.
    pub const fn ttl(&self) -> u8 {
        match self {
            Self::Multicast { .. } => REQUIRED_TTL,
            Self::Unicast { ttl, .. } => *ttl,
        }
    }
}

/// When gratuitous ARP or unsolicited NA go out. Counts are announcements per address in one burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnnouncementSchedule {
    /// In the burst on becoming Active, and in the second one.
    pub repeat: u8,
    /// From becoming Active to the second burst; zero for none.
    pub second_burst: Duration,
    /// Between refreshes while Active; zero for none.
    pub refresh: Duration,
    /// In each refresh.
    pub refresh_repeat: u8,
    /// After a lower-priority advert was heard while Active; zero for none.
    pub lower_priority_repeat: u8,
    /// From that advert to a second burst; zero for none.
    pub lower_priority_delay: Duration,
}

impl Default for AnnouncementSchedule {
    /// keepalived's 5 and 5 after 5 s, and a refresh each second: without one, an Active that comes back from
    /// a partition whose other side yields silently is not reached until the clients' neighbour entries age.
    fn default() -> Self {
        Self {
            repeat: 5,
            second_burst: Duration::from_secs(5),
            refresh: Duration::from_secs(1),
            refresh_repeat: 1,
            lower_priority_repeat: 5,
            lower_priority_delay: Duration::from_secs(5),
        }
    }
}

/// One virtual router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualRouterConfig {
    /// What the operator calls it.
    pub name: String,
    /// The link.
    pub interface: IfIndex,
    /// VRID.
    pub vrid: VirtualRouterId,
    /// Family of the advertised addresses.
    pub family: Family,
    /// VRRPv2 or VRRPv3.
    pub version: Version,
    /// Priority before tracking; 255 for the address owner.
    pub priority: Priority,
    /// `Advertisement_Interval`.
    pub interval: AdvertInterval,
    /// Missed adverts in `Active_Down_Interval`; three by the standard.
    pub missed_adverts: u8,
    /// `Preempt_Mode`.
    pub preempt: bool,
    /// How long a lower-priority Active is borne before it is preempted.
    pub preempt_delay: Duration,
    /// Addresses in the advert, at most 255.
    pub addresses: Vec<IpAddr>,
    /// Multicast or unicast.
    pub transport: Transport,
    /// Checksum form that VRRPv3 over IPv4 begins with; `None` is the pseudo-header's. Unless it is fixed,
    /// the form that a peer sends is taken over.
    pub checksum: Option<ChecksumForm>,
    /// Whether that form is kept whatever the peers send.
    pub checksum_fixed: bool,
    /// VRRPv2 password.
    pub authentication: Option<Password>,
    /// Announcements.
    pub announcements: AnnouncementSchedule,
    /// Whether an Active answers a lower-priority advert at once (RFC 9568 §6.4.3).
    pub answer_lower_priority: bool,
    /// Whether a router that yields sends one more advert, so that the winner knows that there was another
    /// Active and announces its addresses again.
    pub inform_winner: bool,
    /// Whether the link's state holds the virtual router.
    pub track_link: bool,
    /// Whether two routers claiming 255 are told apart as others are, or the owner ignores adverts.
    pub owner_ignores_adverts: bool,
}

impl VirtualRouterConfig {
    /// A VRRPv3 multicast virtual router with the standard's defaults.
    pub fn new(name: &str, interface: IfIndex, vrid: VirtualRouterId, addresses: Vec<IpAddr>) -> Self {
        let family = addresses.first().map_or(Family::Ipv4, |a| Family::of(*a));
        Self {
            name: name.to_owned(),
            interface,
            vrid,
            family,
            version: Version::V3,
            priority: Priority::DEFAULT,
            interval: AdvertInterval::DEFAULT,
            missed_adverts: 3,
            preempt: true,
            preempt_delay: Duration::ZERO,
            addresses,
            transport: Transport::multicast(family),
            checksum: None,
            checksum_fixed: false,
            authentication: None,
            announcements: AnnouncementSchedule::default(),
            answer_lower_priority: true,
            inform_winner: true,
            track_link: true,
            owner_ignores_adverts: false,
        }
    }
}
