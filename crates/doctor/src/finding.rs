//! What the doctor found: the symptom, why, who said what, and what mends it.

use keepalived_conf::Severity;
use serde::Serialize;

use crate::catalogue::Pitfall;

/// Where a piece of evidence comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The configuration file.
    Configuration,
    /// The agent, over its control socket.
    Agent,
    /// Packets that were heard.
    Wire,
    /// Keystone, Neutron or Nova.
    OpenStack,
}

impl Source {
    /// How it is called in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Agent => "agent",
            Self::Wire => "wire",
            Self::OpenStack => "OpenStack",
        }
    }
}

/// Who said what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Evidence {
    /// Who.
    pub source: Source,
    /// What.
    pub text: String,
}

/// A change in OpenStack that `doctor --fix` can make: safe ones only, each adds what is missing and takes
/// nothing away.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "fix", rename_all = "kebab-case")]
pub enum Fix {
    /// Adds one pair to a port that lacks it.
    AddPair {
        /// Which port.
        port_id: String,
        /// The address of the pair.
        ip_address: String,
    },
    /// Lets VRRP in from the members of a security group.
    AllowVrrp {
        /// Which group.
        security_group_id: String,
        /// `IPv4` or `IPv6`.
        ethertype: String,
    },
    /// Marks the reserved port so that no CPI takes it for a leftover.
    ProtectReservation {
        /// Which port.
        port_id: String,
    },
    /// Reserves the address by a port of its own.
    Reserve {
        /// On which network.
        network_id: String,
        /// In which subnet.
        subnet_id: String,
        /// Which address.
        ip_address: String,
    },
}

/// What mends it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mend {
    /// In words.
    pub text: String,
    /// The exact command or line of configuration, ready to be used.
    pub command: String,
    /// The same, for `doctor --fix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// One finding.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// Which pitfall of the catalogue it is.
    pub pitfall: &'static Pitfall,
    /// How bad it is here.
    pub severity: Severity,
    /// What it is about: an address, a port, a virtual router.
    pub about: String,
    /// What the operator sees.
    pub symptom: &'static str,
    /// Why, with the names and values of this case.
    pub cause: String,
    /// Who said what.
    pub evidence: Vec<Evidence>,
    /// What mends it, the best first.
    pub mends: Vec<Mend>,
    /// Where more is written.
    pub documentation: String,
}

impl Finding {
    /// A finding as bad as the catalogue says.
    pub fn new(pitfall: &'static Pitfall, about: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            pitfall,
            severity: pitfall.severity,
            about: about.into(),
            symptom: pitfall.symptom,
            cause: cause.into(),
            evidence: Vec::new(),
            mends: Vec::new(),
            documentation: pitfall.documentation(),
        }
    }

    /// With one more piece of evidence.
    #[must_use]
    pub fn saying(mut self, source: Source, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence { source, text: text.into() });
        self
    }

    /// With one more way to mend it.
    #[must_use]
    pub fn mended_by(mut self, text: impl Into<String>, command: impl Into<String>) -> Self {
        self.mends.push(Mend { text: text.into(), command: command.into(), fix: None });
        self
    }

    /// With a way to mend it that `--fix` knows.
    #[must_use]
    pub fn fixed_by(mut self, text: impl Into<String>, command: impl Into<String>, fix: Fix) -> Self {
        self.mends.push(Mend { text: text.into(), command: command.into(), fix: Some(fix) });
        self
    }

    /// Less or more bad than usual.
    #[must_use]
    pub const fn as_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}
