//! The configuration: `cpi.json` as the job's template renders it, with the properties of a cpi-config
//! (which travel in the request's context) merged over it.

use std::path::PathBuf;
use std::time::Duration;

use openstack::{Interface, Secret};
use serde_json::{Map, Value};

use crate::error::{CpiError, Result};
use crate::fields::{FieldError, Fields, Read, Warnings, closest};

/// What the director itself puts into the context; none of our properties.
const CONTEXT_OF_THE_DIRECTOR: [&str; 3] = ["director_uuid", "request_id", "vm"];

/// Who we are to Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user with a password, scoped to a project.
    Password {
        /// The user's name.
        username: String,
        /// The password (`api_key`).
        password: Secret,
        /// The project, by id or by name.
        project: Project,
        /// The user's domain, by name.
        user_domain: String,
        /// The project's domain, by name; nothing where the project is given by id.
        project_domain: Option<String>,
    },
    /// An application credential, which carries its own scope.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Secret,
    },
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Project {
    /// By id.
    Id(String),
    /// By name, in its domain.
    Name(String),
}

/// Where the config drive appears in a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigDrive {
    /// As a CD-ROM.
    Cdrom,
    /// As a disk, which takes a device letter.
    Disk,
}

/// How the connection to OpenStack is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// CA certificates in PEM, from the configuration itself.
    pub ca_cert: Option<String>,
    /// A file with CA certificates in PEM.
    pub ca_file: Option<PathBuf>,
    /// `false` switches the check of certificates off.
    pub verify_peer: Option<bool>,
    /// How long an answer may take.
    pub read_timeout: Option<Duration>,
    /// How long a connection may take.
    pub connect_timeout: Option<Duration>,
    /// An HTTP proxy.
    pub proxy: Option<String>,
}

/// The registry of API version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its URL.
    pub endpoint: String,
    /// Basic authentication: the user.
    pub user: String,
    /// Basic authentication: the password.
    pub password: Secret,
}

/// Everything that is configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// Keystone, version 3, without `/v3`.
    pub auth_url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// The region of the catalog.
    pub region: Option<String>,
    /// The interface of the catalog.
    pub interface: Interface,
    /// How long one wait for a state may take.
    pub state_timeout: Duration,
    /// The longest pause between two looks at a resource.
    pub poll_interval: Duration,
    /// Whether servers boot from a volume unless their properties say otherwise.
    pub boot_from_volume: bool,
    /// Whether images of stemcells are public.
    pub stemcell_public_visibility: bool,
    /// How the connection is made.
    pub connection: ConnectionOptions,
    /// The key pair of servers that name none.
    pub default_key_name: Option<String>,
    /// The security groups of servers that name none, nor do their networks.
    pub default_security_groups: Option<Vec<String>>,
    /// The type of volumes that name none.
    pub default_volume_type: Option<String>,
    /// Whether, and how, servers get a config drive.
    pub config_drive: Option<ConfigDrive>,
    /// Written into every network of the agent's settings.
    pub use_dhcp: bool,
    /// Volumes are made without an availability zone; needed for `availability_zones`.
    pub ignore_server_availability_zone: bool,
    /// Servers are renamed to `job/index` or the instance's name.
    pub human_readable_vm_names: bool,
    /// Merged into the agent's settings: `mbus`, `ntp` and what else there is.
    pub agent: Map<String, Value>,
    /// The registry, where one is configured.
    pub registry: Option<Registry>,
}

impl Config {
    /// Reads `cpi.json` and merges the context over it.
    pub fn load(file: &Value, context: &Map<String, Value>, warnings: &Warnings) -> Result<Self> {
        let properties = file
            .get("cloud")
            .and_then(|cloud| cloud.get("properties"))
            .and_then(Value::as_object)
            .ok_or_else(|| CpiError::unknown("Could not find cloud properties in the configuration"))?;
        let Some(openstack) = properties.get("openstack").filter(|value| !value.is_null()) else {
            return Err(CpiError::configuration("No 'openstack' properties specified."));
        };
        let Value::Object(openstack) = openstack else {
            return Err(CpiError::configuration("openstack: expected a hash"));
        };
        let openstack = merge(openstack, context);
        let root = Fields::new("", properties, warnings);
        Self::read(&root, &openstack, warnings).map_err(CpiError::configuration)
    }

    fn read(root: &Fields<'_>, openstack: &Map<String, Value>, warnings: &Warnings) -> Read<Self> {
        let fields = Fields::new("openstack", openstack, warnings);
        for key in CONTEXT_OF_THE_DIRECTOR {
            fields.has(key);
        }
        let auth_url = fields.string("auth_url")?.ok_or_else(|| {
            fields.error(
                "auth_url",
                "missing key; it is the URL of Keystone, like https://keystone.example:5000/v3",
            )
        })?;
        let auth_url = keystone_root(&auth_url).map_err(|problem| fields.error("auth_url", problem))?;
        refuse_what_is_gone(&fields)?;
        let config = Self {
            auth_url,
            credentials: read_credentials(&fields)?,
            region: fields.string("region")?,
            interface: read_interface(&fields)?,
            state_timeout: seconds(&fields, "state_timeout")?.unwrap_or(Duration::from_mins(5)),
            poll_interval: seconds(&fields, "wait_resource_poll_interval")?.unwrap_or(Duration::from_secs(5)),
            boot_from_volume: fields.boolean("boot_from_volume")?.unwrap_or(false),
            stemcell_public_visibility: fields.boolean("stemcell_public_visibility")?.unwrap_or(false),
            connection: read_connection_options(&fields)?,
            default_key_name: fields.string("default_key_name")?,
            default_security_groups: fields.strings("default_security_groups")?,
            default_volume_type: fields.string("default_volume_type")?,
            config_drive: read_config_drive(&fields)?,
            use_dhcp: fields.boolean("use_dhcp")?.unwrap_or(true),
            ignore_server_availability_zone: fields
                .boolean("ignore_server_availability_zone")?
                .unwrap_or(false),
            human_readable_vm_names: fields.boolean("human_readable_vm_names")?.unwrap_or(false),
            agent: root.map("agent")?.cloned().unwrap_or_default(),
            registry: read_registry(root)?,
        };
        fields.finish();
        Ok(config)
    }

    /// The registry, for a call that cannot do without.
    pub fn required_registry(&self, api_version: u64, stemcell_api_version: u64) -> Result<&Registry> {
        self.registry.as_ref().ok_or_else(|| {
            CpiError::argument(format_args!(
                "Invalid CPI properties. Used CPI API version is {api_version} and stemcell API version is \
                 {stemcell_api_version}. Since at least one API version is 1, the registry has to be configured. \
                 Error: registry.endpoint, registry.user and registry.password are missing"
            ))
        })
    }
}

/// Lays the properties of a cpi-config over the job's, key by key. Credentials of one kind replace those of the
/// other: a second OpenStack with an application credential has nothing to do with the first one's user.
fn merge(base: &Map<String, Value>, context: &Map<String, Value>) -> Map<String, Value> {
    const PASSWORD: [&str; 2] = ["username", "api_key"];
    const APPLICATION: [&str; 2] = ["application_credential_id", "application_credential_secret"];
    let gives =
        |keys: [&str; 2]| keys.iter().any(|key| context.get(*key).is_some_and(|value| !value.is_null()));
    let mut merged = base.clone();
    if gives(APPLICATION) && !gives(PASSWORD) {
        merged.retain(|key, _| !PASSWORD.contains(&key.as_str()));
    } else if gives(PASSWORD) && !gives(APPLICATION) {
        merged.retain(|key, _| !APPLICATION.contains(&key.as_str()));
    }
    for (key, value) in context {
        if !CONTEXT_OF_THE_DIRECTOR.contains(&key.as_str()) {
            merged.insert(key.clone(), value.clone());
        }
    }
    merged
}

/// Cuts the path from `/v3` on, as Ruby did.
fn keystone_root(url: &str) -> std::result::Result<String, String> {
    if url.contains("/v2.0") {
        return Err(format!(
            "'{url}' is Keystone v2, which OpenStack has removed; use the URL that ends in /v3"
        ));
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!("'{url}' is no URL; it begins with https:// or http://"));
    }
    let scheme_end = url.find("://").map_or(0, |at| at + 3);
    let end = url[scheme_end..].find("/v3").map_or(url.len(), |at| scheme_end + at);
    Ok(url[..end].trim_end_matches('/').to_owned())
}

fn refuse_what_is_gone(fields: &Fields<'_>) -> Read<()> {
    if fields.has("enable_auto_anti_affinity") && fields.boolean("enable_auto_anti_affinity")?.is_some() {
        return Err(fields.error(
            "enable_auto_anti_affinity",
            "Property 'enable_auto_anti_affinity' is no longer supported. Please remove it from your configuration.",
        ));
    }
    if fields.boolean("use_nova_networking")?.unwrap_or(false) {
        return Err(fields.error(
            "use_nova_networking",
            "nova-network was removed from OpenStack; remove the property, ports are made in Neutron",
        ));
    }
    // Keystone v2's word for the project; the template renders it as null.
    fields.value("tenant");
    Ok(())
}

fn read_credentials(fields: &Fields<'_>) -> Read<Credentials> {
    let username = fields.string("username")?;
    let password = fields.string("api_key")?.map(Secret::from);
    let id = fields.string("application_credential_id")?;
    let secret = fields.string("application_credential_secret")?.map(Secret::from);
    let project_id = fields.string("project_id")?;
    let project = fields.string("project")?;
    let domain = fields.string("domain")?;
    let user_domain = fields.string("user_domain_name")?;
    let project_domain = fields.string("project_domain_name")?;
    match (username, password, id, secret) {
        (None, None, Some(id), Some(secret)) => Ok(Credentials::ApplicationCredential { id, secret }),
        (Some(username), Some(password), None, None) => {
            let project = match (project_id, project) {
                (Some(id), _) => Project::Id(id),
                (None, Some(name)) => Project::Name(name),
                (None, None) => {
                    return Err(fields.error("project", "missing key; give project or project_id"));
                }
            };
            let (user_domain, project_domain) = match (user_domain, project_domain, domain) {
                (Some(user), Some(project), _) => (user, project),
                (Some(_), None, _) => {
                    return Err(fields
                        .error("project_domain_name", "missing key; user_domain_name needs it beside it"));
                }
                (None, Some(_), _) => {
                    return Err(fields
                        .error("user_domain_name", "missing key; project_domain_name needs it beside it"));
                }
                (None, None, Some(domain)) => (domain.clone(), domain),
                (None, None, None) => {
                    return Err(fields.error(
                        "domain",
                        "missing key; give domain, or user_domain_name and project_domain_name",
                    ));
                }
            };
            let project_domain = matches!(project, Project::Name(_)).then_some(project_domain);
            Ok(Credentials::Password { username, password, project, user_domain, project_domain })
        }
        (None, None, None, None) => Err(credentials_error(fields, "")),
        (Some(_) | None, Some(_) | None, None, None) => {
            Err(credentials_error(fields, "; one of username and api_key is missing"))
        }
        (None, None, _, _) => Err(credentials_error(
            fields,
            "; one of application_credential_id and application_credential_secret is missing",
        )),
        _ => Err(credentials_error(fields, "; both kinds are given, remove one")),
    }
}

fn credentials_error(fields: &Fields<'_>, detail: &str) -> FieldError {
    // The path of this error is the text itself, since operators search for it from its beginning.
    let text =
        "username and api_key or application_credential_id and application_credential_secret is required";
    FieldError::new(text, format!("see {}{detail}", fields.path_of("username")))
}

fn read_interface(fields: &Fields<'_>) -> Read<Interface> {
    match fields.string("endpoint_type")? {
        None => Ok(Interface::Public),
        Some(text) => Interface::parse(&text).ok_or_else(|| {
            fields.error("endpoint_type", format!("'{text}' is none of publicURL, internalURL and adminURL"))
        }),
    }
}

fn read_config_drive(fields: &Fields<'_>) -> Read<Option<ConfigDrive>> {
    match fields.string("config_drive")?.as_deref() {
        None => Ok(None),
        Some("cdrom") => Ok(Some(ConfigDrive::Cdrom)),
        Some("disk") => Ok(Some(ConfigDrive::Disk)),
        Some(other) => Err(fields.error("config_drive", format!("'{other}' is neither 'cdrom' nor 'disk'"))),
    }
}

fn read_connection_options(fields: &Fields<'_>) -> Read<ConnectionOptions> {
    let Some(options) = fields.fields("connection_options")? else { return Ok(ConnectionOptions::default()) };
    let read = ConnectionOptions {
        ca_cert: options.string("ca_cert")?.filter(|pem| !pem.trim().is_empty()),
        ca_file: options.string("ssl_ca_file")?.map(PathBuf::from),
        verify_peer: options.boolean("ssl_verify_peer")?,
        read_timeout: seconds(&options, "read_timeout")?,
        connect_timeout: seconds(&options, "connect_timeout")?,
        proxy: options.string("proxy")?,
    };
    options.finish();
    Ok(read)
}

fn read_registry(root: &Fields<'_>) -> Read<Option<Registry>> {
    let Some(fields) = root.fields("registry")? else { return Ok(None) };
    let (endpoint, user, password) =
        (fields.string("endpoint")?, fields.string("user")?, fields.string("password")?);
    Ok(match (endpoint, user, password) {
        (Some(endpoint), Some(user), Some(password)) if !endpoint.is_empty() => {
            Some(Registry { endpoint, user, password: password.into() })
        }
        _ => None,
    })
}

/// A number of seconds, possibly with a fraction.
fn seconds(fields: &Fields<'_>, key: &'static str) -> Read<Option<Duration>> {
    let Some(value) = fields.value(key) else { return Ok(None) };
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(Some)
        .ok_or_else(|| fields.error(key, format!("expected a number of seconds, got {value}")))
}

/// What was probably meant, for messages that list names.
pub fn suggestion<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    closest(word, names).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}
