//! The agents of this host and the configuration file.

use std::path::Path;
use std::time::Duration;

use control::{AgentStatus, Request, Response, Target};
use keepalived_conf::{Environment, FileLoader};

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

/// Reads a configuration file with everything it includes, as an agent of this host does. Its interfaces may be
/// those of another network namespace: they stay unchecked.
pub fn configuration(path: &Path, loader: &dyn FileLoader) -> ConfigurationFile {
    let path = path.display().to_string();
    let config_id = keepalived_conf::host_id();
    let environment = Environment { loader, config_id: config_id.as_deref(), interfaces: None };
    ConfigurationFile { outcome: keepalived_conf::read(&path, &environment), path }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String);

    impl FileLoader for Text {
        fn read(&self, _: &str) -> Result<String, String> {
            Ok(self.0.clone())
        }

        fn expand(&self, _: &str, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_line_for_this_host_counts_and_one_for_another_does_not() {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().split('.').next().unwrap();
        let text = format!(
            "vrrp_instance web {{\n interface eth0\n virtual_router_id 51\n @{host} priority 77\n \
             @{host}x priority 88\n virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n"
        );
        let file = configuration("keepalived.conf".as_ref(), &Text(text));
        let configuration = file.outcome.configuration.unwrap();
        assert_eq!(configuration.instances[0].priority.get(), 77, "{:?}", file.outcome.diagnostics);
    }
}
