//! The services and the names that a catalog gives them.

use std::fmt;

/// An OpenStack service that this client speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Keystone.
    Identity,
    /// Nova.
    Compute,
    /// Neutron.
    Network,
    /// Glance.
    Image,
    /// Cinder.
    Volume,
    /// Octavia.
    LoadBalancer,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Identity, Self::Compute, Self::Network, Self::Image, Self::Volume, Self::LoadBalancer];

    /// The project behind it, as operators call it: `Nova`.
    pub fn project(self) -> &'static str {
        match self {
            Self::Identity => "Keystone",
            Self::Compute => "Nova",
            Self::Network => "Neutron",
            Self::Image => "Glance",
            Self::Volume => "Cinder",
            Self::LoadBalancer => "Octavia",
        }
    }

    /// The word in a sentence: `Compute`, `Volume`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Identity => "Identity",
            Self::Compute => "Compute",
            Self::Network => "Network",
            Self::Image => "Image",
            Self::Volume => "Volume",
            Self::LoadBalancer => "Load Balancer",
        }
    }

    /// The service types under which a catalog may list it, the preferred one first
    /// (OpenStack service types authority, and what older clouds write).
    pub fn catalog_types(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Compute => &["compute"],
            Self::Network => &["network"],
            Self::Image => &["image"],
            Self::Volume => &["volumev3", "block-storage", "block-store", "volume"],
            Self::LoadBalancer => &["load-balancer", "octavia"],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::LoadBalancer => "load-balancer",
        })
    }
}

/// Which of a service's endpoints is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// `public`, `publicURL`: the default.
    #[default]
    Public,
    /// `internal`, `internalURL`.
    Internal,
    /// `admin`, `adminURL`.
    Admin,
}

impl Interface {
    /// Reads `public`, `publicURL` and the like, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().trim_end_matches("url") {
            "public" => Some(Self::Public),
            "internal" => Some(Self::Internal),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// The name in a catalog: `public`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_interface_are_read() {
        assert_eq!(Interface::parse("publicURL"), Some(Interface::Public));
        assert_eq!(Interface::parse("internal"), Some(Interface::Internal));
        assert_eq!(Interface::parse("AdminURL"), Some(Interface::Admin));
        assert_eq!(Interface::parse("external"), None);
    }
}
