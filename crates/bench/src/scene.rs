//! Two routers and a client on a LAN: where every measure begins.

use std::time::Duration;

use anyhow::Result;
use testbed::{Capture, Host, Kind, Lan, Router, VirtualRouter, wait};

/// Both programs, in the order of the table.
pub(crate) const BOTH: [Kind; 2] = [Kind::Keepalived, Kind::Standfast];

/// Longer than any start at an interval of one second.
const PATIENCE: Duration = Duration::from_secs(15);

/// The LAN with its hosts.
pub(crate) struct Scene {
    pub(crate) lan: Lan,
    pub(crate) a: Host,
    pub(crate) b: Host,
    pub(crate) client: Host,
    pub(crate) capture: Capture,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let lan = Lan::new(name)?;
        let (a, b, client) = (lan.host("a")?, lan.host("b")?, lan.host("c")?);
        // Two keepalived of one process namespace find one another's pid files; a real host has one.
        a.isolate_processes()?;
        b.isolate_processes()?;
        let capture = Capture::start(&lan)?;
        Ok(Self { lan, a, b, client, capture })
    }

    /// Starts a router on `a` and one on `b`; comes back when `a` is Active, `b` follows, and clients are told.
    pub(crate) fn start(
        &self,
        (first, on_a): (Kind, &VirtualRouter),
        (second, on_b): (Kind, &VirtualRouter),
    ) -> Result<(Router, Router)> {
        let a = Router::start(first, &self.a, on_a)?;
        wait::until("a has the address", PATIENCE, || self.a.has_address(on_a.address()))?;
        let b = Router::start(second, &self.b, on_b)?;
        // b has heard of a when it has been up for more than one interval and is not Active.
        std::thread::sleep(on_b.interval() + Duration::from_millis(400));
        Ok((a, b))
    }
}
