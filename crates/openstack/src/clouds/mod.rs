//! `clouds.yaml`, `secure.yaml` and the `OS_*` variables, as OpenStack's own command reads them: for the command line.
//! The CPI has its own configuration and never looks here.

use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use crate::config::{Config, Credentials, Domain, Scope, Trust, User};
use crate::error::{Error, ErrorKind, Result};
use crate::proxy::ProxySettings;
use crate::service::{Interface, Service};

/// Where to look. Nothing is read from the process behind the caller's back.
pub struct Source<'a> {
    /// The cloud asked for on the command line (`--os-cloud`); else `OS_CLOUD`, else the only one in the file.
    pub cloud: Option<&'a str>,
    /// The environment, as `&|name| std::env::var(name).ok()`.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The folders that may hold `clouds.yaml`, the first one wins: see [`usual_folders`].
    pub folders: Vec<PathBuf>,
}

/// The working folder, the user's and the machine's, in the order of OpenStack's own command.
pub fn usual_folders(variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(".")];
    let user = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")));
    folders.extend(user.map(|folder| folder.join("openstack")));
    folders.push(PathBuf::from("/etc/openstack"));
    folders
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("cloud", &self.cloud)
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

/// Reads the settings of a cloud. An error names the file, the cloud, the key and the mend.
pub fn load(source: &Source<'_>) -> Result<Config> {
    let variable = |name: &str| (source.variable)(name).filter(|value| !value.is_empty());
    let wanted = source.cloud.map(str::to_owned).or_else(|| variable("OS_CLOUD"));
    let mut config = if wanted.is_none() && variable("OS_AUTH_URL").is_some() {
        Settings::from_variables(&variable).config()?
    } else {
        from_file(source, &variable, wanted.as_deref())?
    };
    config.proxy = ProxySettings::from_variables(variable);
    Ok(config)
}

fn from_file(
    source: &Source<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
    wanted: Option<&str>,
) -> Result<Config> {
    let find = |name: &str, named: Option<String>| match named {
        Some(path) => Some(PathBuf::from(path)),
        None => source.folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()),
    };
    let Some(path) = find("clouds.yaml", variable("OS_CLIENT_CONFIG_FILE")) else {
        let folders: Vec<String> = source.folders.iter().map(|folder| folder.display().to_string()).collect();
        return Err(wrong(format!(
            "no clouds.yaml in {}: write one, set OS_CLIENT_CONFIG_FILE, or set OS_AUTH_URL and its companions",
            folders.join(", ")
        )));
    };
    let clouds = read(&path)?;
    let name = choose(&path, &clouds["clouds"], wanted)?;
    let mut cloud = clouds["clouds"][name.as_str()].clone();
    if let Some(secure) = find("secure.yaml", variable("OS_CLIENT_SECURE_FILE")) {
        merge(&mut cloud, &read(&secure)?["clouds"][name.as_str()]);
    }
    let place = format!("{}: cloud '{name}'", path.display());
    if !cloud["profile"].is_badvalue() && cloud["auth"]["auth_url"].is_badvalue() {
        return Err(wrong(format!("{place}: profile is not supported: write auth.auth_url out")));
    }
    Settings { place, origin: Origin::Cloud(cloud) }.config()
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn read(path: &Path) -> Result<Yaml> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
    let documents = YamlLoader::load_from_str(&text).map_err(|error| {
        // The message of the parser, without the line itself: it may hold a password.
        let mark = error.marker();
        wrong(format!("{}:{}:{}: no YAML: {}", path.display(), mark.line(), mark.col() + 1, error.info()))
    })?;
    Ok(documents.into_iter().next().unwrap_or(Yaml::BadValue))
}

fn choose(path: &Path, clouds: &Yaml, wanted: Option<&str>) -> Result<String> {
    let Some(entries) = clouds.as_hash() else {
        return Err(wrong(format!("{}: it has no 'clouds:' with clouds below", path.display())));
    };
    let names: Vec<&str> = entries.keys().filter_map(Yaml::as_str).collect();
    match (wanted, names.as_slice()) {
        (Some(wanted), names) if names.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), names) => Err(wrong(format!(
            "{}: there is no cloud '{wanted}'{}; it has: {}",
            path.display(),
            suggestion(wanted, names),
            names.join(", ")
        ))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => Err(wrong(format!(
            "{}: which cloud? Set OS_CLOUD or --os-cloud to one of: {}",
            path.display(),
            names.join(", ")
        ))),
    }
}

fn merge(into: &mut Yaml, from: &Yaml) {
    match (into, from) {
        (_, Yaml::BadValue | Yaml::Null) => {}
        (Yaml::Hash(into), Yaml::Hash(from)) => {
            for (key, value) in from {
                match into.get_mut(key) {
                    Some(known) => merge(known, value),
                    None => {
                        into.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (into, from) => into.clone_from(from),
    }
}

/// `, did you mean 'x'?`, if one of the known words is near.
fn suggestion(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map_or_else(String::new, |(_, known)| format!(" (did you mean '{known}'?)"))
}

/// Edits between two words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The keys below `auth`.
const AUTH_KEYS: [&str; 17] = [
    "auth_url",
    "username",
    "user_id",
    "password",
    "project_name",
    "project_id",
    "tenant_name",
    "tenant_id",
    "user_domain_name",
    "user_domain_id",
    "project_domain_name",
    "project_domain_id",
    "domain_name",
    "domain_id",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
];

enum Origin<'a> {
    Cloud(Yaml),
    Variables(&'a dyn Fn(&str) -> Option<String>),
}

/// Where the values come from.
struct Settings<'a> {
    place: String,
    origin: Origin<'a>,
}

impl<'a> Settings<'a> {
    fn from_variables(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { place: "environment".to_owned(), origin: Origin::Variables(variable) }
    }

    /// How a key is written there.
    fn written(&self, key: &str, is_auth: bool) -> String {
        match &self.origin {
            Origin::Cloud(_) if is_auth => format!("auth.{key}"),
            Origin::Cloud(_) => key.to_owned(),
            Origin::Variables(_) => format!("OS_{}", key.to_ascii_uppercase()),
        }
    }

    fn text(&self, key: &str, is_auth: bool) -> Result<Option<String>> {
        let cloud = match &self.origin {
            Origin::Variables(variable) => return Ok(variable(&format!("OS_{}", key.to_ascii_uppercase()))),
            Origin::Cloud(cloud) => cloud,
        };
        match if is_auth { &cloud["auth"][key] } else { &cloud[key] } {
            Yaml::BadValue | Yaml::Null => Ok(None),
            Yaml::String(text) | Yaml::Real(text) => Ok(Some(text.clone())),
            Yaml::Integer(number) => Ok(Some(number.to_string())),
            Yaml::Boolean(value) => Ok(Some(value.to_string())),
            _ => Err(wrong(format!("{}: {} is no text", self.place, self.written(key, is_auth)))),
        }
    }

    fn auth(&self, key: &str) -> Result<Option<String>> {
        self.text(key, true)
    }

    fn any_auth(&self, keys: &[&str]) -> Result<Option<String>> {
        for key in keys {
            if let Some(value) = self.auth(key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn required(&self, key: &str, example: &str) -> Result<String> {
        self.auth(key)?.ok_or_else(|| {
            let written = self.written(key, true);
            let near = match &self.origin {
                Origin::Cloud(cloud) => cloud["auth"].as_hash().and_then(|auth| {
                    let mut unknown =
                        auth.keys().filter_map(Yaml::as_str).filter(|word| !AUTH_KEYS.contains(word));
                    unknown.find(|word| distance(word, key) <= 3)
                }),
                Origin::Variables(_) => None,
            };
            let near = near.map_or_else(String::new, |near| {
                format!(" ('auth.{near}' is not known: did you mean '{key}'?)")
            });
            wrong(format!("{}: {written} is missing{near}: it looks like {example}", self.place))
        })
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        let Some(text) = self.text(key, false)? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" | "on" => Ok(Some(true)),
            "false" | "no" | "0" | "off" => Ok(Some(false)),
            _ => Err(wrong(format!(
                "{}: {} is '{text}': write true or false",
                self.place,
                self.written(key, false)
            ))),
        }
    }

    fn domain(&self, of: &str) -> Result<Domain> {
        let (id, name) = (format!("{of}_domain_id"), format!("{of}_domain_name"));
        if let Some(id) = self.auth(&id)? {
            return Ok(Domain::Id(id));
        }
        if let Some(name) = self.auth(&name)? {
            return Ok(Domain::Name(name));
        }
        if let Some(id) = self.any_auth(&["domain_id", "default_domain"])? {
            return Ok(Domain::Id(id));
        }
        // Keystone's first domain, as OpenStack's own command assumes.
        Ok(self.auth("domain_name")?.map_or_else(|| Domain::Id("default".to_owned()), Domain::Name))
    }

    fn user(&self) -> Result<User> {
        if let Some(id) = self.auth("user_id")? {
            return Ok(User::Id(id));
        }
        Ok(User::Name {
            name: self.required("username", "the name of a user")?,
            domain: self.domain("user")?,
        })
    }

    fn credentials(&self) -> Result<Credentials> {
        let kind = self.text("auth_type", false)?;
        let has_credential =
            self.any_auth(&["application_credential_id", "application_credential_name"])?.is_some();
        match kind.as_deref() {
            Some("v3applicationcredential") => {}
            None if has_credential => {}
            None | Some("password" | "v3password") => return self.password(),
            Some(other) => {
                return Err(wrong(format!(
                    "{}: {} '{other}' is not supported: use password or v3applicationcredential",
                    self.place,
                    self.written("auth_type", false)
                )));
            }
        }
        let secret = self
            .required("application_credential_secret", "what Keystone showed when the credential was made")?
            .into();
        if let Some(id) = self.auth("application_credential_id")? {
            return Ok(Credentials::ApplicationCredential { id, secret });
        }
        let name = self.required("application_credential_id", "an id of 32 hex digits")?;
        Ok(Credentials::NamedApplicationCredential { name, user: self.user()?, secret })
    }

    fn password(&self) -> Result<Credentials> {
        let scope = if let Some(id) = self.any_auth(&["project_id", "tenant_id"])? {
            Scope::ProjectId(id)
        } else if let Some(name) = self.any_auth(&["project_name", "tenant_name"])? {
            Scope::Project { name, domain: self.domain("project")? }
        } else {
            Scope::Default
        };
        let user = self.user()?;
        let password =
            self.required("password", "the user's password; it may stand in secure.yaml instead")?.into();
        Ok(Credentials::Password { user, password, scope })
    }

    fn trust(&self) -> Result<Trust> {
        let insecure = match &self.origin {
            Origin::Cloud(_) => self.flag("verify")? == Some(false) || self.flag("insecure")? == Some(true),
            Origin::Variables(_) => self.flag("insecure")? == Some(true),
        };
        if insecure {
            return Ok(Trust::Anyone);
        }
        Ok(self.text("cacert", false)?.map_or(Trust::System, |path| Trust::File(path.into())))
    }

    fn config(&self) -> Result<Config> {
        let auth_url = self.required("auth_url", "https://keystone.example:5000/v3")?;
        let mut config = Config::new(auth_url, self.credentials()?);
        config.region = self.text("region_name", false)?;
        for key in ["interface", "endpoint_type"] {
            if let Some(text) = self.text(key, false)? {
                config.interface = Interface::parse(&text).ok_or_else(|| {
                    let written = self.written(key, false);
                    wrong(format!("{}: {written} is '{text}': write public, internal or admin", self.place))
                })?;
                break;
            }
        }
        config.trust = self.trust()?;
        for (service, key) in [
            (Service::Compute, "compute_endpoint_override"),
            (Service::Network, "network_endpoint_override"),
            (Service::Image, "image_endpoint_override"),
            (Service::Volume, "volume_endpoint_override"),
            (Service::Volume, "block_storage_endpoint_override"),
            (Service::LoadBalancer, "load_balancer_endpoint_override"),
        ] {
            if let Some(url) = self.text(key, false)? {
                config.endpoints.insert(service, url);
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
