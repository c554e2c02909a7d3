//! From the configuration to a client. Nothing is sent here.

use std::path::Path;
use std::sync::Arc;

use openstack::{Client, Domain, Limits, ProxySettings, RequestReport, Scope, Trust, User};

use crate::config::{Config, ConnectionOptions, Credentials, Project};
use crate::error::{CpiError, Result};
use crate::progress::Progress;

/// A client for the configured OpenStack. `ca_cert` is the file that `bin/cpi` names, which may be empty.
pub fn client(config: &Config, ca_cert: Option<&Path>, progress: &Arc<Progress>) -> Result<Client> {
    let mut settings = openstack::Config::new(&config.auth_url, credentials(&config.credentials));
    settings.region.clone_from(&config.region);
    settings.interface = config.interface;
    settings.trust = trust(&config.connection, ca_cert);
    settings.proxy = proxies(&config.connection);
    settings.limits = limits(&config.connection);
    concat!("openstack_cpi/", env!("CARGO_PKG_VERSION")).clone_into(&mut settings.user_agent);
    let progress = Arc::clone(progress);
    let observer = move |report: &RequestReport<'_>| {
        let status = report.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let id = report.request_id.map(|id| format!(", {id}")).unwrap_or_default();
        progress.note(format!(
            "{} {} {}: {status} in {} ms{id}",
            report.service.project(),
            report.method,
            report.path,
            report.duration.as_millis(),
        ));
    };
    let client = Client::new(settings).map_err(|error| CpiError::configuration(error.message()))?;
    Ok(client.with_observer(Arc::new(observer)))
}

fn credentials(credentials: &Credentials) -> openstack::Credentials {
    match credentials {
        Credentials::ApplicationCredential { id, secret } => {
            openstack::Credentials::ApplicationCredential { id: id.clone(), secret: secret.clone() }
        }
        Credentials::Password { username, password, project, user_domain, project_domain } => {
            let scope = match project {
                Project::Id(id) => Scope::ProjectId(id.clone()),
                Project::Name(name) => Scope::Project {
                    name: name.clone(),
                    domain: Domain::Name(project_domain.clone().unwrap_or_else(|| user_domain.clone())),
                },
            };
            openstack::Credentials::Password {
                user: User::Name { name: username.clone(), domain: Domain::Name(user_domain.clone()) },
                password: password.clone(),
                scope,
            }
        }
    }
}

/// The PEM in the configuration counts first: in a multi-CPI it belongs to this very OpenStack, while the file
/// that `bin/cpi` names belongs to the job's own.
fn trust(connection: &ConnectionOptions, ca_cert: Option<&Path>) -> Trust {
    if connection.verify_peer == Some(false) {
        return Trust::Anyone;
    }
    if let Some(pem) = &connection.ca_cert {
        return Trust::Pem(pem.clone());
    }
    if let Some(file) = &connection.ca_file {
        return Trust::File(file.clone());
    }
    match ca_cert {
        Some(file) if std::fs::metadata(file).is_ok_and(|file| file.len() > 1) => {
            Trust::File(file.to_owned())
        }
        _ => Trust::System,
    }
}

/// What the configuration says, else what `bin/cpi` exported.
fn proxies(connection: &ConnectionOptions) -> ProxySettings {
    match &connection.proxy {
        Some(proxy) => ProxySettings::for_all(proxy),
        None => ProxySettings::from_variables(|name| std::env::var(name).ok()),
    }
}

fn limits(connection: &ConnectionOptions) -> Limits {
    let mut limits = Limits::default();
    if let Some(timeout) = connection.connect_timeout {
        limits.connect = timeout;
    }
    if let Some(timeout) = connection.read_timeout {
        limits.request = timeout;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference §3.5, place 5: the Go CPI parsed `-caCert` and did not use it.
    #[test]
    fn place_05_the_file_of_the_command_line_is_used_unless_the_configuration_says_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let nothing = ConnectionOptions::default();
        assert_eq!(
            trust(&nothing, Some(path)),
            Trust::System,
            "the template renders an empty file without a CA"
        );
        std::fs::write(path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(trust(&nothing, Some(path)), Trust::File(path.to_owned()));
        assert_eq!(trust(&nothing, Some(Path::new("/nonexistent"))), Trust::System);
        let own = ConnectionOptions { ca_cert: Some("PEM".into()), ..ConnectionOptions::default() };
        assert_eq!(trust(&own, Some(path)), Trust::Pem("PEM".into()), "a multi-CPI brings its own");
        let unchecked = ConnectionOptions { verify_peer: Some(false), ..own };
        assert_eq!(trust(&unchecked, Some(path)), Trust::Anyone);
    }
}
