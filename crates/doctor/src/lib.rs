//! Why an address does not answer.
//!
//! Three sources are set side by side, each of them optional: the agent's configuration and state, the wire,
//! and OpenStack. [`gather`] reads them into [`Facts`]; [`examine`] is a pure function from facts to
//! [`Finding`]s, each with its symptom, cause, evidence and the command that mends it.
#![forbid(unsafe_code)]

pub mod catalogue;
mod checks;
pub mod cloud;
mod finding;
pub mod frame;
pub mod gather;
pub mod render;
pub mod wire;

pub use checks::examine;
pub use finding::{Evidence, Finding, Fix, Mend, Source};

use std::net::IpAddr;

use control::{AgentStatus, VirtualRouterStatus};

/// A configuration file and what the parser says of it.
#[derive(Debug)]
pub struct ConfigurationFile {
    /// Its path.
    pub path: String,
    /// The parser's outcome.
    pub outcome: keepalived_conf::Outcome,
}

/// Everything that was gathered.
#[derive(Debug, Default)]
pub struct Facts {
    /// The addresses that are asked about.
    pub addresses: Vec<IpAddr>,
    /// The configuration file.
    pub configuration: Option<ConfigurationFile>,
    /// The agents of this host.
    pub agents: Vec<AgentStatus>,
    /// An agent was looked for here and not found.
    pub agent_absent: bool,
    /// What was heard.
    pub wire: Option<wire::Wire>,
    /// What OpenStack has.
    pub cloud: Option<cloud::Cloud>,
    /// Sources that could not be read, and why.
    pub unavailable: Vec<(Source, String)>,
}

impl Facts {
    /// Whether it is one of the addresses that are asked about; all are where none was named.
    pub fn concerns(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.contains(&address)
    }

    /// Whether a virtual router stands for an address that is asked about.
    pub fn concerns_router(&self, router: &VirtualRouterStatus) -> bool {
        self.addresses.is_empty()
            || router.addresses.iter().filter_map(|a| host_of(&a.address)).any(|a| self.concerns(a))
    }

    /// The addresses, for a sentence.
    pub fn addresses_in_words(&self) -> String {
        if self.addresses.is_empty() {
            return "every address".to_owned();
        }
        self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The addresses that the agents and the configuration stand for, so that none need be named.
    pub fn virtual_addresses(&self) -> Vec<IpAddr> {
        let configured = self
            .configuration
            .iter()
            .filter_map(|file| file.outcome.configuration.as_ref())
            .flat_map(|c| &c.instances)
            .flat_map(|i| i.addresses.iter().chain(&i.excluded))
            .map(|a| a.address);
        let running = self
            .agents
            .iter()
            .flat_map(|agent| &agent.virtual_routers)
            .flat_map(|router| &router.addresses)
            .filter_map(|a| host_of(&a.address));
        let mut all: Vec<IpAddr> = configured.chain(running).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The address of ADDRESS/PREFIX.
pub(crate) fn host_of(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}
