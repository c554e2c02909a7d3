//! The messages between the agent and the command, named as RFC 8347 (`ietf-vrrp`) names them, and both ends
//! of the socket: a JSON object a line.
//!
//! Each agent has a socket of its own, named after its network namespace and process, so that hundreds on one
//! host never collide.
#![forbid(unsafe_code)]

mod client;
mod server;

pub use client::{Agent, Target, discover, is_gone};
pub use server::{Server, make_runtime_directory};

use serde::{Deserialize, Serialize};

/// The version of these messages.
pub const PROTOCOL_VERSION: u32 = 1;

/// Where the sockets are; `STANDFAST_RUNTIME_DIR` moves it.
pub fn runtime_directory() -> std::path::PathBuf {
    std::env::var_os("STANDFAST_RUNTIME_DIR").map_or_else(|| "/run/standfast".into(), Into::into)
}

/// What the command asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Who are you?
    Identify,
    /// Everything that is known.
    Status,
    /// Events from now on, a line each, until the connection ends.
    Events,
    /// Give the addresses away: of one virtual router, or of all.
    Handover {
        /// Which; all if none is named.
        name: Option<String>,
        /// Preempt again after an earlier handover instead.
        take_back: bool,
    },
}

/// What the agent answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Identify`].
    Identity {
        /// Of these messages.
        protocol_version: u32,
        /// Process id.
        pid: u32,
        /// Inode of the network namespace.
        network_namespace: u64,
        /// The main pid file.
        pid_file: String,
    },
    /// To [`Request::Status`].
    Status(Box<AgentStatus>),
    /// The agent is at it: what happens from now on follows, or the answer does. To be passed over.
    Listening,
    /// One event.
    Event(Event),
    /// To [`Request::Handover`].
    Handover {
        /// One for each virtual router.
        results: Vec<HandoverResult>,
    },
    /// The request could not be served.
    Error {
        /// Why, and what to do.
        text: String,
    },
}

/// The agent as a whole.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgentStatus {
    /// Its version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// The configuration file.
    pub configuration: String,
    /// When it was last read with success, RFC 3339.
    pub configuration_loaded_at: String,
    /// Why the last reload changed nothing.
    pub last_reload_error: Option<String>,
    /// Inode of the network namespace.
    pub network_namespace: u64,
    /// How late the protocol thread woke, in microseconds.
    pub lateness: Lateness,
    /// Packets that the kernel dropped because they were not read in time.
    pub receive_overflows: u64,
    /// Packets of protocol 112 that belong to no virtual router here, by reason.
    pub unclaimed: Vec<Discard>,
    /// The virtual routers, in the order of the configuration.
    pub virtual_routers: Vec<VirtualRouterStatus>,
    /// What is tracked.
    pub tracks: Vec<TrackStatus>,
}

/// How late the protocol thread woke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lateness {
    /// Half of the wake-ups were no later, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 were no later, in microseconds.
    pub p99_us: u64,
    /// The latest, in microseconds.
    pub max_us: u64,
}

/// One virtual router.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VirtualRouterStatus {
    /// What the operator calls it.
    pub name: String,
    /// The link.
    pub interface: String,
    /// VRID.
    pub vrid: u8,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// 2 or 3.
    pub version: u8,
    /// `initialize`, `backup` or `active`.
    pub state: String,
    /// Why it is in Initialize, what explains most first.
    pub holds: Vec<String>,
    /// How long it has been in that state, in milliseconds.
    pub since_ms: u64,
    /// Why it is in that state.
    pub last_event: String,
    /// Configured priority.
    pub priority: u8,
    /// Priority that is sent and compared.
    pub effective_priority: u8,
    /// What changed it, in words.
    pub priority_changes: Vec<String>,
    /// Who is Active.
    pub active_address: Option<String>,
    /// The Active's priority.
    pub active_priority: Option<u8>,
    /// Since the last accepted advert, in milliseconds.
    pub last_advert_ms: Option<u64>,
    /// Own interval in milliseconds.
    pub advertise_interval_ms: u64,
    /// The Active's interval in milliseconds.
    pub active_advertise_interval_ms: u64,
    /// `Active_Down_Interval` in milliseconds.
    pub active_down_interval_ms: f64,
    /// `Skew_Time` in milliseconds.
    pub skew_time_ms: f64,
    /// Handed over on purpose; does not preempt.
    pub handed_over: bool,
    /// Its addresses.
    pub addresses: Vec<AddressStatus>,
    /// Counters.
    pub statistics: Statistics,
    /// Dropped packets by reason and peer.
    pub discards: Vec<Discard>,
}

/// One virtual address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AddressStatus {
    /// ADDRESS/PREFIX.
    pub address: String,
    /// Where it is, or will be.
    pub interface: String,
    /// Whether the kernel has it there, asked just now.
    pub installed: bool,
    /// Whether somebody else configured it there: the agent never removes it.
    #[serde(default)]
    pub foreign: bool,
}

/// Counters of a virtual router.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Statistics {
    /// Transitions to Active.
    pub new_active_transitions: u64,
    /// Adverts accepted.
    pub advertisement_rcvd: u64,
    /// Adverts sent.
    pub advertisement_sent: u64,
    /// Packets dropped.
    pub discarded: u64,
    /// Priority 0 received.
    pub priority_zero_pkts_rcvd: u64,
    /// Priority 0 sent.
    pub priority_zero_pkts_sent: u64,
    /// Adverts with another list of addresses.
    pub address_list_errors: u64,
    /// IPv4 v3 adverts with the pseudo-header checksum.
    pub checksum_pseudo_header: u64,
    /// IPv4 v3 adverts with the message-only checksum.
    pub checksum_message_only: u64,
}

/// Dropped packets of one reason and peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Discard {
    /// The reason's stable name.
    pub reason: String,
    /// From whom; `None` if nobody kept count by peer.
    pub peer: Option<String>,
    /// How many.
    pub count: u64,
    /// What it means and what mends it.
    pub explanation: String,
}

/// Something tracked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrackStatus {
    /// `script`, `file`, `process` or `interface`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Why, in words.
    pub detail: String,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// When, RFC 3339 with milliseconds.
    pub at: String,
    /// A stable word for its kind.
    pub kind: String,
    /// Which virtual router.
    pub virtual_router: Option<String>,
    /// In words.
    pub text: String,
}

/// What became of a handover of one virtual router.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HandoverResult {
    /// Which.
    pub name: String,
    /// Whether the addresses are where they should be now.
    pub done: bool,
    /// How long the successor took, in milliseconds.
    pub took_ms: Option<f64>,
    /// In words.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde refuses some shapes of a tagged message when it is written, not when it is compiled.
    #[test]
    fn every_response_comes_back_as_it_went() {
        let result = HandoverResult { name: "VI_1".into(), done: true, took_ms: Some(1.5), text: "x".into() };
        let event = Event { at: "x".into(), kind: "y".into(), virtual_router: None, text: "z".into() };
        for response in [
            Response::Identity {
                protocol_version: PROTOCOL_VERSION,
                pid: 1,
                network_namespace: 2,
                pid_file: "x".into(),
            },
            Response::Listening,
            Response::Event(event),
            Response::Handover { results: vec![result] },
            Response::Error { text: "x".into() },
        ] {
            let line = serde_json::to_string(&response).unwrap();
            assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), response, "{line}");
        }
    }
}
