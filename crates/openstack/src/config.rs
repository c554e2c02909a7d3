//! What a client needs to know: where Keystone is, who asks, and how far to go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::proxy::ProxySettings;
use crate::secret::Secret;
use crate::service::{Interface, Service};

/// The settings of a [`Client`](crate::Client). Nothing is opened or resolved before the first request.
#[derive(Debug, Clone)]
pub struct Config {
    /// Keystone: `https://keystone:5000/v3`, with or without the `/v3`.
    pub auth_url: String,
    /// Who asks.
    pub credentials: Credentials,
    /// Which region's endpoints; the first one in the catalog if not given.
    pub region: Option<String>,
    /// Which endpoints: public, internal or admin.
    pub interface: Interface,
    /// Whom to believe in TLS.
    pub trust: Trust,
    /// HTTP proxies.
    pub proxy: ProxySettings,
    /// How long to wait and how often to try.
    pub limits: Limits,
    /// Endpoints that replace the catalog's, by service.
    pub endpoints: BTreeMap<Service, String>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Config {
    /// Default settings for a Keystone and credentials.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            auth_url: auth_url.into(),
            credentials,
            region: None,
            interface: Interface::default(),
            trust: Trust::default(),
            proxy: ProxySettings::default(),
            limits: Limits::default(),
            endpoints: BTreeMap::new(),
            user_agent: concat!("standfast/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A domain, by either of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id, as `default`.
    Id(String),
    /// By name, as `Default`.
    Name(String),
}

/// A user, by id or by name within a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// The user's name.
        name: String,
        /// The user's domain.
        domain: Domain,
    },
}

/// What the token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A project by id.
    ProjectId(String),
    /// A project by name.
    Project {
        /// The project's name.
        name: String,
        /// The project's domain.
        domain: Domain,
    },
    /// The user's default project, if Keystone knows one.
    Default,
}

/// How to get a token.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Keystone v3 password.
    Password {
        /// Who.
        user: User,
        /// The password.
        password: Secret,
        /// For what.
        scope: Scope,
    },
    /// An application credential by id; it carries its own project.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Secret,
    },
    /// An application credential by name, which needs its user.
    NamedApplicationCredential {
        /// Its name.
        name: String,
        /// Whose it is.
        user: User,
        /// Its secret.
        secret: Secret,
    },
}

impl Credentials {
    /// The secret among them.
    pub(crate) fn secret(&self) -> &Secret {
        match self {
            Self::Password { password, .. } => password,
            Self::ApplicationCredential { secret, .. } | Self::NamedApplicationCredential { secret, .. } => {
                secret
            }
        }
    }
}

/// Which certificates count. Read when the first `https` request is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The machine's own store (`/etc/ssl/certs/ca-certificates.crt` and its kin).
    #[default]
    System,
    /// These certificates and no others, as PEM text.
    Pem(String),
    /// The certificates in this PEM file and no others.
    File(PathBuf),
    /// Any certificate: `ssl_verify_peer: false`. The password can be read by whoever sits in between.
    Anyone,
}

/// How long, how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Setting up a connection, TLS and proxy included. Default 10 s.
    pub connect: Duration,
    /// One request from start to end (an upload: each write, and the wait for its answer). Default 60 s.
    pub request: Duration,
    /// One call with all its attempts and waits. Default 180 s.
    pub total: Duration,
    /// How often one request is sent at most. Default 6.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles with each. Default 500 ms.
    pub backoff: Duration,
    /// The longest wait of our own choosing. Default 10 s.
    pub longest_backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(1),
            total: Duration::from_mins(3),
            attempts: 6,
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(10),
        }
    }
}
