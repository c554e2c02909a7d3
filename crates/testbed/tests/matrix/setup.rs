//! How two routers talk: what the matrix is the product of.

use std::fmt;
use std::time::Duration;

use testbed::{ChecksumForm, Family, Host, VirtualRouter};

/// An advertisement each so often, in VRRPv3: long enough for a busy machine to be no false alarm.
const V3_INTERVAL: Duration = Duration::from_millis(300);

/// Who has the higher priority (or in a tie the higher address).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    OursActive,
    TheirsActive,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::OursActive => "ours-active",
            Self::TheirsActive => "theirs-active",
        }
    }
}

/// Version, family, transport and checksum form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Setup {
    pub(crate) version: u8,
    pub(crate) family: Family,
    pub(crate) unicast: bool,
    pub(crate) checksum: Option<ChecksumForm>,
}

impl Setup {
    /// Every valid combination.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for version in [2, 3] {
            for family in [Family::Ipv4, Family::Ipv6] {
                for unicast in [false, true] {
                    for checksum in [None, Some(ChecksumForm::PseudoHeader), Some(ChecksumForm::Message)] {
                        let setup = Self { version, family, unicast, checksum };
                        if setup.is_valid() {
                            all.push(setup);
                        }
                    }
                }
            }
        }
        all
    }

    /// VRRPv2 is for IPv4 only (RFC 3768); only VRRPv3 over IPv4 has two checksum forms in the field.
    fn is_valid(self) -> bool {
        let has_forms = self.version == 3 && self.family == Family::Ipv4;
        (self.version == 3 || self.family == Family::Ipv4) && self.checksum.is_some() == has_forms
    }

    /// The virtual router on `host` with `other` as its peer.
    pub(crate) fn virtual_router(self, host: &Host, other: &Host, priority: u8) -> VirtualRouter {
        let mut vr = match (self.version, self.family) {
            (2, _) => VirtualRouter::v2(),
            (_, Family::Ipv4) => VirtualRouter::v3_ipv4(V3_INTERVAL),
            (_, Family::Ipv6) => VirtualRouter::v3_ipv6(V3_INTERVAL),
        };
        if self.unicast {
            vr = vr.unicast(host, &[other]);
        }
        if let Some(form) = self.checksum {
            vr = vr.checksum(form);
        }
        vr.priority(priority)
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.family == Family::Ipv4 { "ipv4" } else { "ipv6" };
        let transport = if self.unicast { "unicast" } else { "multicast" };
        let checksum = match self.checksum {
            None => "",
            Some(ChecksumForm::PseudoHeader) => "-pseudo",
            Some(ChecksumForm::Message) => "-message",
        };
        write!(f, "v{}-{family}-{transport}{checksum}", self.version)
    }
}
