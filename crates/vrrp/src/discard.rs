//! Why a received packet is discarded, or accepted with a remark. Every reason is counted by virtual router
//! and peer.

use core::fmt;

/// Why a packet was discarded, in the order in which it is looked at (RFC 9568 §7.1, RFC 3768 §7.1).
///
/// A discarded packet touches no timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum DiscardReason {
    /// Shorter than its own count of addresses says, or than a header.
    PacketLength,
    /// A version that does not exist, or VRRPv2 over IPv6.
    Version,
    /// Not an ADVERTISEMENT.
    PacketType,
    /// No virtual router here has this VRID on this interface and family.
    UnknownVrid,
    /// Our own packet, come back.
    OwnPacket,
    /// TTL or hop limit is not 255, or not what the unicast peer allows.
    Ttl,
    /// The other version than this virtual router speaks.
    VersionMismatch,
    /// Wrong in every checksum form.
    Checksum,
    /// Authentication is of another type.
    AuthenticationType,
    /// The password is another.
    AuthenticationFailure,
    /// No address at all in VRRPv3 (erratum 8299).
    AddressCount,
    /// Interval zero (erratum 8301).
    ZeroInterval,
    /// VRRPv2: another interval than ours (RFC 3768 §7.1).
    IntervalMismatch,
    /// Multicast where unicast is configured, or the other way round.
    Transport,
    /// The sender is not a configured unicast peer.
    UnknownPeer,
    /// The virtual router is not running.
    NotRunning,
}

impl DiscardReason {
    /// Every reason, in order.
    pub const ALL: [Self; 16] = [
        Self::PacketLength,
        Self::Version,
        Self::PacketType,
        Self::UnknownVrid,
        Self::OwnPacket,
        Self::Ttl,
        Self::VersionMismatch,
        Self::Checksum,
        Self::AuthenticationType,
        Self::AuthenticationFailure,
        Self::AddressCount,
        Self::ZeroInterval,
        Self::IntervalMismatch,
        Self::Transport,
        Self::UnknownPeer,
        Self::NotRunning,
    ];

    /// A stable name for JSON and metrics; RFC 8347's where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PacketLength => "packet-length-error",
            Self::Version => "version-error",
            Self::PacketType => "invalid-type",
            Self::UnknownVrid => "vrid-error",
            Self::OwnPacket => "own-packet",
            Self::Ttl => "ip-ttl-error",
            Self::VersionMismatch => "version-mismatch",
            Self::Checksum => "checksum-error",
            Self::AuthenticationType => "authentication-type-mismatch",
            Self::AuthenticationFailure => "authentication-failure",
            Self::AddressCount => "address-count-error",
            Self::ZeroInterval => "zero-interval",
            Self::IntervalMismatch => "interval-error",
            Self::Transport => "transport-mismatch",
            Self::UnknownPeer => "unknown-peer",
            Self::NotRunning => "not-running",
        }
    }

    /// What it means and what mends it, for the operator.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::PacketLength => "shorter than it says; a damaged packet, or a trailer we do not know",
            Self::Version => "no VRRP version that exists for this family",
            Self::PacketType => "not an ADVERTISEMENT; vendor-specific fast hellos are not spoken here",
            Self::UnknownVrid => "no virtual router here has this VRID on this interface and family",
            Self::OwnPacket => "our own packet came back: a loop in the network, or our address used twice",
            Self::Ttl => "did not come from this link (TTL below what is required)",
            Self::VersionMismatch => {
                "the peer speaks the other VRRP version: both will be Active; set the same `version`"
            }
            Self::Checksum => "wrong in every form that is in use: a damaged or forged packet",
            Self::AuthenticationType => {
                "authentication on one side only: set the same `authentication` on both"
            }
            Self::AuthenticationFailure => "another password: set the same `auth_pass` on both",
            Self::AddressCount => "carries no address (RFC 9568 erratum 8299)",
            Self::ZeroInterval => "advertisement interval zero (RFC 9568 erratum 8301)",
            Self::IntervalMismatch => {
                "VRRPv2 needs the same interval everywhere: set the same `advert_int` on both"
            }
            Self::Transport => {
                "multicast on one side and unicast on the other: configure `unicast_peer` on both or on none"
            }
            Self::UnknownPeer => "the sender is not in `unicast_peer`",
            Self::NotRunning => "this virtual router is held and takes no part",
        }
    }
}

impl fmt::Display for DiscardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something odd in a packet that was accepted all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Remark {
    /// Another list of addresses than ours (RFC 9568 §7.1: log only).
    AddressList,
    /// VRRPv3: another interval than ours; it was adopted.
    Interval,
    /// The first IPv6 address is not link-local (erratum 8300); keepalived sends such.
    FirstAddressNotLinkLocal,
    /// Two routers claim to own the address (erratum 8298).
    SecondOwner,
    /// The checksum is of the form that we were not sending.
    OtherChecksumForm,
}

impl Remark {
    /// Every remark, in order.
    pub const ALL: [Self; 5] = [
        Self::AddressList,
        Self::Interval,
        Self::FirstAddressNotLinkLocal,
        Self::SecondOwner,
        Self::OtherChecksumForm,
    ];

    /// A stable name for JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressList => "address-list-error",
            Self::Interval => "interval-differs",
            Self::FirstAddressNotLinkLocal => "first-address-not-link-local",
            Self::SecondOwner => "second-address-owner",
            Self::OtherChecksumForm => "other-checksum-form",
        }
    }
}
