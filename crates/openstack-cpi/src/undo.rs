//! What a call has made so far. It is forgotten when the call succeeds and removed when it fails, last thing first.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::load_balancer::Membership;

/// Something that was made, or may have been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A server by its id.
    Server(String),
    /// A server that a request asked for, by its unique name: nobody knows whether it is there.
    ServerNamed(String),
    /// A port by its id.
    Port(String),
    /// A port that a request asked for.
    PortNamed {
        /// On this network.
        network_id: String,
        /// With this name, which is ours alone.
        name: String,
    },
    /// An image by its id, which we chose.
    Image(String),
    /// A volume by its id.
    Volume(String),
    /// A volume that a request asked for.
    VolumeNamed(String),
    /// A snapshot by its id.
    Snapshot(String),
    /// A snapshot that a request asked for.
    SnapshotNamed(String),
    /// A member of a load balancer's pool.
    PoolMember(Membership),
    /// A member that a request asked for, by the name it was given.
    PoolMemberNamed {
        /// The pool.
        pool_id: String,
        /// The member's name, which is ours alone in the pool.
        name: String,
    },
    /// A floating IP that pointed elsewhere before.
    FloatingIp {
        /// Its id.
        id: String,
        /// Where it pointed.
        previous_port: Option<String>,
    },
    /// An attachment of a volume.
    Attachment {
        /// The server.
        server_id: String,
        /// The volume.
        volume_id: String,
    },
    /// Settings in the registry.
    RegistrySettings(String),
    /// A network by its id.
    Network(String),
    /// A network that a request asked for, by its description, which is ours alone.
    NetworkDescribed(String),
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(id) => write!(f, "server {id}"),
            Self::ServerNamed(name) => write!(f, "server '{name}'"),
            Self::Port(id) => write!(f, "port {id}"),
            Self::PortNamed { network_id, name } => write!(f, "port '{name}' on network {network_id}"),
            Self::Image(id) => write!(f, "image {id}"),
            Self::Volume(id) => write!(f, "volume {id}"),
            Self::VolumeNamed(name) => write!(f, "volume '{name}'"),
            Self::Snapshot(id) => write!(f, "snapshot {id}"),
            Self::SnapshotNamed(name) => write!(f, "snapshot '{name}'"),
            Self::PoolMember(Membership { pool_id, member_id }) => {
                write!(f, "member {member_id} of pool {pool_id}")
            }
            Self::PoolMemberNamed { pool_id, name } => write!(f, "member '{name}' of pool {pool_id}"),
            Self::FloatingIp { id, .. } => write!(f, "the association of floating IP {id}"),
            Self::Attachment { server_id, volume_id } => {
                write!(f, "the attachment of volume {volume_id} to server {server_id}")
            }
            Self::RegistrySettings(key) => write!(f, "registry settings '{key}'"),
            Self::Network(id) => write!(f, "network {id}"),
            Self::NetworkDescribed(text) => write!(f, "network '{text}'"),
        }
    }
}

/// A place in the list.
#[derive(Debug, Clone, Copy)]
#[must_use = "what a request may have made is confirmed or forgotten when its answer is there"]
pub struct Ticket(usize);

/// The list of one call.
#[derive(Debug, Default)]
pub struct UndoList(Mutex<Vec<Option<Made>>>);

impl UndoList {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Made>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is going to be made, before the request is sent.
    pub fn expect(&self, made: Made) -> Ticket {
        let mut list = self.lock();
        list.push(Some(made));
        Ticket(list.len() - 1)
    }

    /// Replaces what was expected by what the answer says.
    pub fn confirm(&self, ticket: Ticket, made: Made) {
        if let Some(slot) = self.lock().get_mut(ticket.0) {
            *slot = Some(made);
        }
    }

    /// Strikes out what certainly was not made.
    pub fn forget(&self, ticket: Ticket) {
        if let Some(slot) = self.lock().get_mut(ticket.0) {
            *slot = None;
        }
    }

    /// Notes what was made.
    pub fn push(&self, made: Made) {
        self.lock().push(Some(made));
    }

    /// Takes everything out, last thing first.
    pub fn take(&self) -> Vec<Made> {
        std::mem::take(&mut *self.lock()).into_iter().rev().flatten().collect()
    }
}
