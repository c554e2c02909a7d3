//! A LAN on one machine, for tests, the demo and the benchmarks.
//!
//! [`enclosure::enter`] moves the process into namespaces of its own that end with it. In there, a [`Lan`] has
//! [`Host`]s (a network namespace each) on a bridge; links are cut and mended, the LAN is split and healed.
//! [`Router`]s are real: our agent, Debian's keepalived, FRR's vrrpd. A [`Probe`] asks an address at a steady
//! rate and tells what was lost and when; a [`Capture`] sees every advert and announcement with the kernel's
//! time and the host it came from; a [`PacketFlood`] sends crafted packets at a rate.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use testbed::{Capture, Kind, Lan, Probe, Router, VirtualRouter, enclosure, wait};
//! enclosure::enter()?;
//! let lan = Lan::new("example")?;
//! let (a, b, client) = (lan.host("a")?, lan.host("b")?, lan.host("c")?);
//! let capture = Capture::start(&lan)?;
//! let vr = VirtualRouter::v3_ipv4(Duration::from_millis(100));
//! let mut first = Router::start(Kind::Standfast, &a, &vr.clone().priority(200))?;
//! let second = Router::start(Kind::Keepalived, &b, &vr.clone().priority(100))?;
//! wait::until("a has the address", Duration::from_secs(10), || a.has_address(vr.address()))?;
//! let probe = Probe::ping(&client, vr.address(), 1000)?;
//! first.terminate()?;
//! let (_status, _took) = first.wait_exit(Duration::from_secs(10))?;
//! wait::until("b has the address", Duration::from_secs(10), || b.has_address(vr.address()))?;
//! let report = probe.finish();
//! assert_eq!(report.lost(), 0, "{report}");
//! # drop((second, capture));
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod boshrelease;
pub mod capture;
pub mod daemon;
pub mod enclosure;
pub mod flood;
pub mod frame;
pub mod haproxy;
pub mod host;
pub mod lan;
pub mod moment;
pub mod probe;
pub mod programs;
pub mod router;
pub mod tshark;
pub mod virtual_router;
pub mod wait;
pub mod web;

mod frr;
mod machine;

pub use capture::Capture;
pub use daemon::Daemon;
pub use flood::PacketFlood;
pub use frame::{Advert, Announcement, Checksum, Seen};
pub use haproxy::HaProxy;
pub use host::Host;
pub use lan::Lan;
pub use moment::Moment;
pub use probe::{Outage, Probe, Report};
pub use router::{Kind, Router, RouterStatus};
pub use virtual_router::{ChecksumForm, Family, VirtualRouter};
pub use web::WebServer;
