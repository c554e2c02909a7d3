//! The priority of a virtual router (RFC 9568 §5.2.4).

use core::fmt;

/// A priority: 0 says that the Active stops, 1 to 254 are ordinary, 255 is the address owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// Sent by an Active that stops (RFC 9568 §6.4.3).
    pub const RELEASE: Self = Self(0);
    /// The lowest that takes part in an election.
    pub const LOWEST: Self = Self(1);
    /// Where nothing is configured (RFC 9568 §6.1).
    pub const DEFAULT: Self = Self(100);
    /// The highest that is not the owner's.
    pub const HIGHEST: Self = Self(254);
    /// The address owner's.
    pub const OWNER: Self = Self(255);

    /// Every byte is a priority on the wire.
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// The value on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the address owner's.
    pub const fn is_owner(self) -> bool {
        self.0 == Self::OWNER.0
    }

    /// `self` moved by what tracking found, kept within 1 to 254; the owner's does not move.
    #[must_use]
    pub fn adjusted(self, delta: i32) -> Self {
        if self.is_owner() {
            return self;
        }
        let value = (i32::from(self.0).saturating_add(delta))
            .clamp(i32::from(Self::LOWEST.0), i32::from(Self::HIGHEST.0));
        Self(u8::try_from(value).unwrap_or(Self::LOWEST.0))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}", self.0)
    }
}
