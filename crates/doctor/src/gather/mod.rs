//! Reading the three sources. What cannot be read becomes a note, never an error: the others still say much.

mod agent;
mod cloud;
mod host;
mod wire;

pub use agent::{agents, configuration};
pub use cloud::{CloudQuestion, find_network, members, places};
pub use host::{HostInterface, interface_for, interfaces};
pub use wire::{WireQuestion, listen};
