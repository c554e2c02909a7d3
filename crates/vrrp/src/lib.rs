//! VRRP without I/O: VRRPv3 (RFC 9568 and its errata) and VRRPv2 (RFC 3768), IPv4 and IPv6, multicast and
//! unicast.
//!
//! This crate opens no socket, reads no clock, starts no thread and logs nothing. Time, packets and what is
//! known of links and checks come in as arguments; adverts, effects on the kernel and events are polled. The
//! agent, the simulator and the model check drive the very same [`VrrpRouter`].
//!
//! After set-up the way of an advert allocates nothing: packets are prepared when the configuration or the
//! priority changes, queues and tables have their room from the start.
#![forbid(unsafe_code)]

pub mod advertisement;
mod checksum;
mod config;
mod discard;
mod event_budget;
mod family;
mod interval;
mod outbox;
mod peers;
mod priority;
mod receive;
mod router;
mod time;
mod timers;
mod virtual_router;
mod virtual_router_id;

pub use checksum::ChecksumForm;
pub use config::{AnnouncementSchedule, Transport, UnicastPeer, VirtualRouterConfig};
pub use discard::{DiscardReason, Remark};
pub use family::{Family, IP_PROTOCOL, IPV4_GROUP, IPV6_GROUP, IfIndex, MacAddress, REQUIRED_TTL};
pub use interval::{AdvertInterval, Version};
pub use outbox::{Effect, Event, Hold, Reason, State, VrIndex};
pub use peers::Peer;
pub use priority::Priority;
pub use receive::PacketMeta;
pub use router::{AddError, Received, VrrpRouter};
pub use time::Instant;
pub use timers::Timer;
pub use virtual_router::{Statistics, Transmit, VirtualRouter};
pub use virtual_router_id::VirtualRouterId;
