//! The ADVERTISEMENT packet of VRRPv3 (RFC 9568 §5.2) and VRRPv2 (RFC 3768 §5.3, with the simple password
//! of RFC 2338 §5.3.10).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::{self, ChecksumForm};
use crate::discard::DiscardReason;
use crate::{AdvertInterval, Family, Priority, Version, VirtualRouterId};

/// Bytes before the addresses, in both versions.
pub const HEADER_LEN: usize = 8;
/// Bytes of authentication data at the end of a VRRPv2 packet.
pub const AUTHENTICATION_LEN: usize = 8;
/// The longest advertisement: 255 IPv6 addresses.
pub const MAX_LEN: usize = HEADER_LEN + 255 * 16;

const TYPE_ADVERTISEMENT: u8 = 1;
const AUTH_NONE: u8 = 0;
const AUTH_SIMPLE: u8 = 1;

/// The password of VRRPv2's simple authentication, padded with zero bytes.
pub type Password = [u8; AUTHENTICATION_LEN];

/// The addresses of an advertisement, still in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressList<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl<'a> AddressList<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.family.address_len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The addresses in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let family = self.family;
        self.bytes.chunks_exact(family.address_len()).map(move |octets| match family {
            Family::Ipv4 => <[u8; 4]>::try_from(octets)
                .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |o| IpAddr::V4(Ipv4Addr::from(o))),
            Family::Ipv6 => <[u8; 16]>::try_from(octets)
                .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |o| IpAddr::V6(Ipv6Addr::from(o))),
        })
    }

    /// Whether these are `expected`, in whatever order.
    pub fn same_as(&self, expected: &[IpAddr]) -> bool {
        self.len() == expected.len() && self.iter().all(|address| expected.contains(&address))
    }
}

/// The interval as it stands in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireInterval {
    /// VRRPv2, in seconds.
    Seconds(u8),
    /// VRRPv3, in centiseconds; twelve bits.
    Centiseconds(u16),
}

impl WireInterval {
    /// `None` for zero.
    pub fn interval(self) -> Option<AdvertInterval> {
        match self {
            Self::Seconds(s) => AdvertInterval::from_seconds(s),
            Self::Centiseconds(cs) => AdvertInterval::from_centiseconds(cs),
        }
    }
}

/// What a VRRPv2 packet says of its authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireAuthentication {
    /// VRRPv3, or type 0.
    None,
    /// Type 1 and its password.
    Simple(Password),
    /// Another type, removed by RFC 3768.
    Other(u8),
}

/// A well-formed advertisement. Nothing is known yet of whether its values are acceptable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advertisement<'a> {
    /// Protocol version.
    pub version: Version,
    /// VRID; zero is possible here.
    pub vrid: u8,
    /// Priority.
    pub priority: Priority,
    /// Maximum Advertise Interval.
    pub interval: WireInterval,
    /// Authentication, VRRPv2 only.
    pub authentication: WireAuthentication,
    /// The addresses of the virtual router.
    pub addresses: AddressList<'a>,
    /// The packet up to its last byte that counts: what the checksum covers.
    message: &'a [u8],
}

impl<'a> Advertisement<'a> {
    /// Reads a packet, whose family is that of the IP header it came in. Bytes after the message are left out
    /// of it (Ethernet padding).
    ///
    /// # Errors
    /// The reason the packet has to be discarded for (RFC 9568 §7.1).
    pub fn decode(family: Family, packet: &'a [u8]) -> Result<Self, DiscardReason> {
        let Some((&[version_type, vrid, priority, count, fourth, fifth, _, _], rest)) =
            packet.split_first_chunk::<HEADER_LEN>()
        else {
            return Err(DiscardReason::PacketLength);
        };
        let version = match (version_type >> 4, family) {
            (2, Family::Ipv4) => Version::V2,
            (3, _) => Version::V3,
            _ => return Err(DiscardReason::Version),
        };
        if version_type & 0x0f != TYPE_ADVERTISEMENT {
            return Err(DiscardReason::PacketType);
        }
        let (addresses, after) = rest
            .split_at_checked(usize::from(count) * family.address_len())
            .ok_or(DiscardReason::PacketLength)?;
        let mut message_len = HEADER_LEN + addresses.len();
        let (interval, authentication) = match version {
            Version::V3 => {
                let centiseconds = u16::from_be_bytes([fourth & 0x0f, fifth]);
                (WireInterval::Centiseconds(centiseconds), WireAuthentication::None)
            }
            Version::V2 => {
                let data = *after.first_chunk::<AUTHENTICATION_LEN>().ok_or(DiscardReason::PacketLength)?;
                message_len += AUTHENTICATION_LEN;
                let authentication = match fourth {
                    AUTH_NONE => WireAuthentication::None,
                    AUTH_SIMPLE => WireAuthentication::Simple(data),
                    other => WireAuthentication::Other(other),
                };
                (WireInterval::Seconds(fifth), authentication)
            }
        };
        Ok(Self {
            version,
            vrid,
            priority: Priority::new(priority),
            interval,
            authentication,
            addresses: AddressList { family, bytes: addresses },
            message: &packet[..message_len],
        })
    }

    /// Which form the checksum has: `None` if it is wrong in every form that the version and family allow.
    pub fn checksum_form(&self, source: IpAddr, destination: IpAddr) -> Option<ChecksumForm> {
        let message_only = || checksum::message(self.message) == 0;
        let pseudo = || checksum::with_pseudo_header(self.message, source, destination) == 0;
        match (self.version, self.addresses.family) {
            (Version::V2, _) => message_only().then_some(ChecksumForm::MessageOnly),
            (Version::V3, Family::Ipv6) => pseudo().then_some(ChecksumForm::PseudoHeader),
            (Version::V3, Family::Ipv4) => pseudo()
                .then_some(ChecksumForm::PseudoHeader)
                .or_else(|| message_only().then_some(ChecksumForm::MessageOnly)),
        }
    }
}

/// What an advertisement is made from.
#[derive(Clone, Copy, Debug)]
pub struct AdvertisementFields<'a> {
    /// Protocol version.
    pub version: Version,
    /// VRID.
    pub vrid: VirtualRouterId,
    /// Priority; [`Priority::RELEASE`] to stop.
    pub priority: Priority,
    /// Own interval.
    pub interval: AdvertInterval,
    /// Password of VRRPv2's simple authentication.
    pub authentication: Option<Password>,
    /// Addresses, at most 255, of one family.
    pub addresses: &'a [IpAddr],
    /// Checksum form; heeded for VRRPv3 over IPv4 only.
    pub checksum: ChecksumForm,
}

impl AdvertisementFields<'_> {
    /// Writes the packet that goes from `source` to `destination` into `out`, which is emptied first.
    ///
    /// An interval that the version cannot carry is written as the nearest below; the configuration does not
    /// let one through.
    pub fn encode_into(&self, source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
        out.clear();
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let [fourth, fifth] = match self.version {
            Version::V3 => {
                self.interval.wire_v3().unwrap_or(AdvertInterval::MAX_V3_CENTISECONDS).to_be_bytes()
            }
            Version::V2 => {
                let kind = if self.authentication.is_some() { AUTH_SIMPLE } else { AUTH_NONE };
                [kind, self.interval.wire_v2().unwrap_or(u8::MAX)]
            }
        };
        out.extend_from_slice(&[
            self.version.number() << 4 | TYPE_ADVERTISEMENT,
            self.vrid.get(),
            self.priority.get(),
            count,
            fourth,
            fifth,
            0,
            0,
        ]);
        for address in self.addresses.iter().take(usize::from(count)) {
            match address {
                IpAddr::V4(a) => out.extend_from_slice(&a.octets()),
                IpAddr::V6(a) => out.extend_from_slice(&a.octets()),
            }
        }
        if self.version == Version::V2 {
            out.extend_from_slice(&self.authentication.unwrap_or_default());
        }
        let pseudo = match (self.version, Family::of(destination)) {
            (Version::V2, _) => false,
            (Version::V3, Family::Ipv6) => true,
            (Version::V3, Family::Ipv4) => self.checksum == ChecksumForm::PseudoHeader,
        };
        let sum = if pseudo {
            checksum::with_pseudo_header(out, source, destination)
        } else {
            checksum::message(out)
        };
        out[6..8].copy_from_slice(&sum.to_be_bytes());
    }
}
