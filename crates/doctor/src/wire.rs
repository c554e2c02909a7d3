//! What was heard on the wire: adverts by sender, and who answers for the addresses.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vrrp::advertisement::{Advertisement, WireAuthentication, WireInterval};
use vrrp::{ChecksumForm, Family, Version};

use crate::frame::{Frame, MacText};

/// How the checksums of a sender's adverts were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// VRRPv2, or IPv6: there is one form only.
    Good,
    /// VRRPv3 over IPv4, RFC 9568's form.
    MessageOnly,
    /// VRRPv3 over IPv4, RFC 5798's form.
    PseudoHeader,
    /// None of them.
    Wrong,
}

/// The adverts of one sender for one virtual router, as far as they are alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Advertiser {
    /// IP source.
    pub source: IpAddr,
    /// Ethernet source.
    pub mac: MacText,
    /// Sent by this host.
    pub own: bool,
    /// IP destination: the group, or ourselves.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// 2 or 3.
    pub version: u8,
    /// VRID.
    pub vrid: u8,
    /// Priority last sent, zero left out.
    pub priority: u8,
    /// Interval it promises, in milliseconds.
    pub interval_ms: u64,
    /// Its checksums.
    pub checksum: Checksum,
    /// VRRPv2: whether it authenticates.
    pub authenticated: bool,
    /// The addresses it stands for.
    pub addresses: Vec<IpAddr>,
    /// How many adverts were heard.
    pub count: u32,
    /// How many of them had priority 0.
    pub releases: u32,
    /// Since the listening began, in milliseconds.
    pub first_ms: u64,
    /// The same, of the last one.
    pub last_ms: u64,
}

impl Advertiser {
    /// IPv4 or IPv6.
    pub const fn family(&self) -> Family {
        match self.source {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// In words, as evidence.
    pub fn describe(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        format!(
            "{}{} ({}) sent {} adverts: VRID {}, VRRPv{}, priority {}, every {} ms, for {}",
            if self.own { "we, " } else { "" },
            self.source,
            self.mac,
            self.count,
            self.vrid,
            self.version,
            self.priority,
            self.interval_ms,
            addresses.join(", ")
        )
    }

    /// Whether it went on advertising until the end: silent for less than three of its intervals.
    pub fn still_active(&self, listened: Duration) -> bool {
        let silence = u64::try_from(listened.as_millis()).unwrap_or(u64::MAX).saturating_sub(self.last_ms);
        self.priority > 0 && silence < self.interval_ms.saturating_mul(3)
    }
}

/// Who claims an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claim {
    /// Which address.
    pub address: IpAddr,
    /// The claimant.
    pub mac: MacText,
    /// It answered our question; otherwise it announced unasked.
    pub answered: bool,
    /// Sent by this host.
    pub own: bool,
    /// How often.
    pub count: u32,
}

/// What was heard.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wire {
    /// Where.
    pub interface: String,
    /// For how long, in milliseconds.
    pub listened_ms: u64,
    /// By sender and kind.
    pub advertisers: Vec<Advertiser>,
    /// By address and MAC.
    pub claims: Vec<Claim>,
    /// Addresses that were asked for.
    pub asked: Vec<IpAddr>,
    /// Frames of protocol 112 that are no adverts, and from whom.
    pub malformed: Vec<(MacText, String, u32)>,
    /// Our own adverts that came back.
    pub reflected: u32,
}

impl Wire {
    /// How long was listened.
    pub const fn listened(&self) -> Duration {
        Duration::from_millis(self.listened_ms)
    }

    /// Takes one frame. `at` is since the listening began.
    pub fn take(&mut self, at: Duration, frame: &Frame<'_>) {
        match *frame {
            Frame::Vrrp { mac, own, source, destination, ttl, payload } => {
                self.take_advert(at, mac, own, source, destination, ttl, payload);
            }
            Frame::Claim { mac, own, address, answered } => self.take_claim(mac, own, address, answered),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of one frame")]
    fn take_advert(
        &mut self,
        at: Duration,
        mac: MacText,
        own: bool,
        source: IpAddr,
        destination: IpAddr,
        ttl: u8,
        payload: &[u8],
    ) {
        let family = if source.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let advert = match Advertisement::decode(family, payload) {
            Ok(advert) => advert,
            Err(reason) => {
                let why = reason.explanation();
                match self.malformed.iter_mut().find(|(m, w, _)| *m == mac && w == why) {
                    Some((_, _, count)) => *count += 1,
                    None => self.malformed.push((mac, why.to_owned(), 1)),
                }
                return;
            }
        };
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let release = advert.priority.get() == 0;
        let addresses: Vec<IpAddr> = advert.addresses.iter().collect();
        let version = match advert.version {
            Version::V2 => 2,
            Version::V3 => 3,
        };
        let checksum = match advert.checksum_form(source, destination) {
            None => Checksum::Wrong,
            Some(_) if version == 2 || family == Family::Ipv6 => Checksum::Good,
            Some(ChecksumForm::MessageOnly) => Checksum::MessageOnly,
            Some(ChecksumForm::PseudoHeader) => Checksum::PseudoHeader,
        };
        let interval_ms = match advert.interval {
            WireInterval::Seconds(s) => u64::from(s) * 1000,
            WireInterval::Centiseconds(cs) => u64::from(cs) * 10,
        };
        let known = self.advertisers.iter_mut().find(|a| {
            a.source == source
                && a.mac == mac
                && a.vrid == advert.vrid
                && a.version == version
                && a.ttl == ttl
                && a.checksum == checksum
                && a.addresses == addresses
        });
        match known {
            Some(advertiser) => {
                advertiser.count += 1;
                advertiser.last_ms = at;
                advertiser.interval_ms = interval_ms;
                if release {
                    advertiser.releases += 1;
                } else {
                    advertiser.priority = advert.priority.get();
                }
            }
            None => self.advertisers.push(Advertiser {
                source,
                mac,
                own,
                destination,
                ttl,
                version,
                vrid: advert.vrid,
                priority: advert.priority.get(),
                interval_ms,
                checksum,
                authenticated: advert.authentication != WireAuthentication::None,
                addresses,
                count: 1,
                releases: u32::from(release),
                first_ms: at,
                last_ms: at,
            }),
        }
    }

    fn take_claim(&mut self, mac: MacText, own: bool, address: IpAddr, answered: bool) {
        match self.claims.iter_mut().find(|c| c.address == address && c.mac == mac && c.answered == answered)
        {
            Some(claim) => claim.count += 1,
            None => self.claims.push(Claim { address, mac, answered, own, count: 1 }),
        }
    }
}
