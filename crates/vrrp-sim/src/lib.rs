//! VRRP routers on a simulated LAN, over the very code that ships, in virtual time.
//!
//! - [`scenario`]: what a seed stands for: the routers, their configuration, what happens to them.
//! - [`world`]: the LAN, the machines with their kernels and processes, a client; all of it from one seed.
//! - [`checker`]: what must hold. It knows packets, addresses, what the client got and what was done to the
//!   machines; it knows no state of the protocol's code.
//! - [`exploration`]: not one history but all of them, with time in quarters of an interval: every order of
//!   packets and timers, losses, a partition, a pause, a handover, for two and three routers.
//!
//! `cargo run -p vrrp-sim --release -- --seeds 100000` runs many; `--seed N --trace` shows one.
#![forbid(unsafe_code)]

pub mod checker;
pub mod exploration;
pub mod random;
pub mod scenario;
pub mod world;

mod machine;

use vrrp::Instant;

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// When it was seen.
    pub at: Instant,
    /// What and who.
    pub what: String,
}

/// What became of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The first thing that did not hold.
    pub violation: Option<Violation>,
    /// What happened, a line each; empty unless it was asked for.
    pub trace: Vec<String>,
    /// Things that happened: packets, wake-ups, requests.
    pub steps: u64,
    /// How often each checker had something to say.
    pub checked: checker::Checked,
}

/// Runs one seed.
pub fn run(seed: u64, trace: bool) -> Outcome {
    world::World::new(scenario::Scenario::of(seed), trace).run()
}
