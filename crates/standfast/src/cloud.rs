//! Which cloud: `clouds.yaml` and the `OS_*` variables, as OpenStack's own command reads them.

use clap::Args;
use openstack::Client;
use openstack::clouds::{Source, load, usual_folders};

#[derive(Args)]
pub(crate) struct CloudOptions {
    /// The cloud in clouds.yaml; `OS_CLOUD`, or `OS_AUTH_URL` and its kin, otherwise
    #[arg(long, visible_alias = "os-cloud", value_name = "NAME")]
    cloud: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl CloudOptions {
    /// Whether anything says which cloud.
    pub(crate) fn is_configured(&self) -> bool {
        let file = || usual_folders(&variable).iter().any(|folder| folder.join("clouds.yaml").exists());
        self.is_named() || file()
    }

    /// Whether a cloud was asked for.
    pub(crate) fn is_named(&self) -> bool {
        self.cloud.is_some()
            || ["OS_CLOUD", "OS_AUTH_URL", "OS_CLIENT_CONFIG_FILE"]
                .iter()
                .any(|name| variable(name).is_some())
    }

    /// How it is called.
    pub(crate) fn name(&self) -> String {
        self.cloud
            .clone()
            .or_else(|| variable("OS_CLOUD"))
            .or_else(|| variable("OS_AUTH_URL"))
            .unwrap_or_else(|| "the one of clouds.yaml".to_owned())
    }

    /// A client for it. Nothing is sent yet.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let source =
            Source { cloud: self.cloud.as_deref(), variable: &variable, folders: usual_folders(&variable) };
        load(&source).and_then(Client::new).map_err(|error| error.to_string())
    }
}
