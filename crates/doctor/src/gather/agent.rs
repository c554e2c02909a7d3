//! The agents of this host and the configuration file.

use std::path::Path;
use std::time::Duration;

use control::{AgentStatus, Request, Response, Target};
use keepalived_conf::FileLoader;

use crate::ConfigurationFile;

/// The state of the agents that `target` names.
///
/// # Errors
/// Why one could not be asked, in words. No agent at all is an empty list.
pub fn agents(target: &Target) -> Result<Vec<AgentStatus>, String> {
    let found = control::discover(target).map_err(|error| {
        format!("cannot look for agents in {}: {error}", control::runtime_directory().display())
    })?;
    let mut all = Vec::new();
    for agent in found {
        let socket = agent.socket.display();
        match agent.ask_once(&Request::Status, Duration::from_secs(5)) {
            Ok(Response::Status(status)) => all.push(*status),
            Ok(Response::Error { text }) => return Err(format!("{socket}: {text}")),
            Ok(_) => return Err(format!("{socket}: the agent is of another version than this command")),
            Err(error) => {
                return Err(format!("{socket}: {error}; the socket is for root and the agent's group"));
            }
        }
    }
    Ok(all)
}

/// Reads a configuration file with everything it includes.
pub fn configuration(path: &Path, loader: &dyn FileLoader) -> ConfigurationFile {
    let path = path.display().to_string();
    ConfigurationFile { outcome: keepalived_conf::parse(&path, loader, None), path }
}
