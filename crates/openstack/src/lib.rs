//! A thin, typed, blocking OpenStack client for what Standfast needs.
//!
//! * **One token for all services**, fetched when the first request needs it, shared by all threads, renewed once
//!   on a 401. A [`Client`] is `Send + Sync`: look-ups run in parallel with [`std::thread::scope`].
//! * **Retries that are safe.** Reads and deletions are repeated with growing waits, jitter, `Retry-After` and a
//!   total deadline. A POST is repeated only when it certainly did not arrive or was refused; what an ambiguous
//!   one may have made is looked up first ([`Client::create_or_find`]).
//! * **Errors that tell**: service, method, path, status, OpenStack's own message and request id; never a token, a
//!   password or user data.
//! * **Nothing before the first request**: no file is read, no thread started, no certificate loaded.
//!
//! ```no_run
//! use openstack::{Client, Config, Credentials, Domain, OrNone, Query, Scope, User};
//!
//! # fn main() -> openstack::Result<()> {
//! let domain = Domain::Name("Default".into());
//! let client = Client::new(Config::new(
//!     "http://127.0.0.1:5000/v3",
//!     Credentials::Password {
//!         user: User::Name { name: "bosh".into(), domain: domain.clone() },
//!         password: "bosh".into(),
//!         scope: Scope::Project { name: "bosh".into(), domain },
//!     },
//! ))?;
//! let ports = client.network().ports(&Query::new().fixed_ip("10.10.0.100"))?;
//! let server = client.compute().server("9f0c…").or_none()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answer;
mod auth;
mod catalog;
mod client;
mod clock;
#[cfg(feature = "clouds")]
pub mod clouds;
pub mod compute;
mod config;
mod connection;
mod creation;
mod error;
pub mod image;
pub mod load_balancer;
pub mod network;
mod observer;
mod paging;
mod proxy;
mod query;
mod request;
mod retry;
pub mod secret;
mod service;
mod tls;
mod tls_connection;
mod transport;
pub mod volume;

pub use auth::Session;
pub use catalog::{Catalog, CatalogEndpoint, CatalogService};
pub use client::{Answer, Client};
pub use clock::{Clock, SystemClock};
pub use config::{Config, Credentials, Domain, Limits, Scope, Trust, User};
pub use creation::{Creation, Identified, Origin};
pub use error::{Deletion, Delivery, Error, ErrorKind, OrNone, Result};
pub use observer::{NoObserver, Observer, RequestReport};
pub use proxy::ProxySettings;
pub use query::{Query, encode};
pub use request::{Method, Repeat, Request};
pub use secret::Secret;
pub use service::{Interface, Service};
