//! The Internet checksum over an advertisement, in the forms that are found on the wire.

use core::net::IpAddr;

use crate::IP_PROTOCOL;

/// What the checksum of a VRRPv3 IPv4 advertisement covers. IPv6 always has its pseudo-header, VRRPv2 never
/// has one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChecksumForm {
    /// The message and an IPv4 pseudo-header: keepalived, FRR, Wireshark.
    PseudoHeader,
    /// The message alone (RFC 9568 §5.2.8): Cisco, Juniper, Arista.
    MessageOnly,
}

impl ChecksumForm {
    /// The other form.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::PseudoHeader => Self::MessageOnly,
            Self::MessageOnly => Self::PseudoHeader,
        }
    }
}

/// The ones' complement sum of `bytes`, added to `sum`, not yet folded. An odd last byte is padded with zero.
fn add(mut sum: u32, bytes: &[u8]) -> u32 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    for pair in pairs {
        sum += u32::from(u16::from_be_bytes(*pair));
    }
    if let [last] = rest {
        sum += u32::from(*last) << 8;
    }
    sum
}

/// Folds the carries and complements.
fn finish(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// The checksum of `message`; zero if the message carries its right checksum already.
pub(crate) fn message(message: &[u8]) -> u16 {
    finish(add(0, message))
}

/// As [`message`], with the pseudo-header of RFC 8200 §8.1 or its IPv4 counterpart before it.
pub(crate) fn with_pseudo_header(message: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    let mut sum = u32::from(IP_PROTOCOL);
    // A VRRP message is far shorter than 64 KiB: 255 addresses of 16 bytes.
    sum += u32::try_from(message.len()).unwrap_or(u32::MAX) & 0xffff;
    for address in [source, destination] {
        sum = match address {
            IpAddr::V4(a) => add(sum, &a.octets()),
            IpAddr::V6(a) => add(sum, &a.octets()),
        };
    }
    finish(add(sum, message))
}
