//! A virtual router as a test wants it, and as keepalived, our agent and FRR are told of it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::host::{Host, INTERFACE};

/// The family of the virtual addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6, with a link-local address first.
    Ipv6,
}

/// What VRRPv3 over IPv4 sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChecksumForm {
    /// With the pseudo-header: keepalived's default.
    PseudoHeader,
    /// The message only: RFC 9568, keepalived's `v3_checksum_as_v2`.
    Message,
}

/// One virtual router on one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualRouter {
    version: u8,
    family: Family,
    vrid: u8,
    priority: u8,
    interval: Duration,
    addresses: Vec<(IpAddr, u8)>,
    excluded: Vec<(IpAddr, u8)>,
    checksum: Option<ChecksumForm>,
    unicast: Option<(IpAddr, Vec<IpAddr>)>,
    extra: Vec<String>,
    top: String,
}

impl VirtualRouter {
    fn new(version: u8, family: Family, interval: Duration) -> Self {
        let addresses = match family {
            Family::Ipv4 => vec![(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 50)), 24)],
            Family::Ipv6 => vec![
                (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x50)), 64),
                (IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x50)), 64),
            ],
        };
        Self {
            version,
            family,
            vrid: 51,
            priority: 100,
            interval,
            addresses,
            excluded: Vec::new(),
            checksum: None,
            unicast: None,
            extra: Vec::new(),
            top: String::new(),
        }
    }

    /// VRRPv2 for 10.0.0.50/24, VRID 51, priority 100, an advert a second.
    pub fn v2() -> Self {
        Self::new(2, Family::Ipv4, Duration::from_secs(1))
    }

    /// VRRPv3 for 10.0.0.50/24, VRID 51, priority 100.
    pub fn v3_ipv4(interval: Duration) -> Self {
        Self::new(3, Family::Ipv4, interval)
    }

    /// VRRPv3 for `fe80::50` and `fd00::50`/64, VRID 51, priority 100.
    pub fn v3_ipv6(interval: Duration) -> Self {
        Self::new(3, Family::Ipv6, interval)
    }

    /// With another priority.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// With another VRID.
    #[must_use]
    pub fn vrid(mut self, vrid: u8) -> Self {
        self.vrid = vrid;
        self
    }

    /// For other addresses, the prefix length behind each.
    #[must_use]
    pub fn addresses(mut self, addresses: &[(IpAddr, u8)]) -> Self {
        self.addresses = addresses.to_vec();
        self
    }

    /// With a further address that is not in the advert.
    #[must_use]
    pub fn excluded(mut self, address: IpAddr, prefix: u8) -> Self {
        self.excluded.push((address, prefix));
        self
    }

    /// With a fixed checksum form (VRRPv3 over IPv4). Without, keepalived and FRR send the pseudo-header form
    /// and our agent what its peers send.
    #[must_use]
    pub fn checksum(mut self, form: ChecksumForm) -> Self {
        self.checksum = Some(form);
        self
    }

    /// By unicast from this host to those.
    #[must_use]
    pub fn unicast(mut self, from: &Host, to: &[&Host]) -> Self {
        let address = |host: &Host| match self.family {
            Family::Ipv4 => IpAddr::V4(host.ipv4()),
            Family::Ipv6 => IpAddr::V6(host.ipv6()),
        };
        self.unicast = Some((address(from), to.iter().map(|host| address(host)).collect()));
        self
    }

    /// With a further line of keepalived's language in the instance.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.extra.push(line.to_owned());
        self
    }

    /// With further text before the instance (`vrrp_script`, `global_defs`, …).
    #[must_use]
    pub fn top(mut self, text: &str) -> Self {
        self.top.push_str(text);
        self.top.push('\n');
        self
    }

    /// The address that clients use.
    pub fn address(&self) -> IpAddr {
        // Of IPv6, the first is link-local and needs a zone.
        self.addresses.last().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |(address, _)| *address)
    }

    /// Every address in the advert, in order.
    pub fn advertised(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(|(address, _)| *address).collect()
    }

    /// 2 or 3.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The VRID.
    pub fn virtual_router_id(&self) -> u8 {
        self.vrid
    }

    /// The priority.
    pub fn configured_priority(&self) -> u8 {
        self.priority
    }

    /// `Advertisement_Interval`.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// `Skew_Time` of this priority (RFC 9568 §6.1, RFC 3768 §6.1), to the nanosecond.
    pub fn skew_time(&self) -> Duration {
        let of = if self.version == 2 { Duration::from_secs(1) } else { self.interval };
        of * (256 - u32::from(self.priority)) / 256
    }

    /// `Active_Down_Interval` of this priority.
    pub fn active_down_interval(&self) -> Duration {
        self.interval * 3 + self.skew_time()
    }

    /// In keepalived's language, which is ours.
    pub fn keepalived_conf(&self) -> String {
        let mut text = self.top.clone();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line("vrrp_instance VI_1 {");
        line(&format!("  interface {INTERFACE}"));
        line(&format!("  virtual_router_id {}", self.vrid));
        line(&format!("  priority {}", self.priority));
        line(&format!("  version {}", self.version));
        line(&format!("  advert_int {}", self.interval.as_secs_f64()));
        if self.checksum == Some(ChecksumForm::Message) {
            line("  v3_checksum_as_v2");
        }
        if let Some((from, to)) = &self.unicast {
            line(&format!("  unicast_src_ip {from}"));
            line("  unicast_peer {");
            for peer in to {
                line(&format!("    {peer}"));
            }
            line("  }");
        }
        for (word, addresses) in
            [("virtual_ipaddress", &self.addresses), ("virtual_ipaddress_excluded", &self.excluded)]
        {
            if !addresses.is_empty() {
                line(&format!("  {word} {{"));
                for (address, prefix) in addresses {
                    line(&format!("    {address}/{prefix}"));
                }
                line("  }");
            }
        }
        for extra in &self.extra {
            line(&format!("  {extra}"));
        }
        line("}");
        text
    }

    /// As FRR's vrrpd is told.
    pub(crate) fn frr_conf(&self) -> String {
        let mut text =
            format!("hostname r\ninterface {INTERFACE}\n vrrp {} version {}\n", self.vrid, self.version);
        let mut line = |line: &str| {
            let _ = writeln!(text, " vrrp {} {line}", self.vrid);
        };
        line(&format!("priority {}", self.priority));
        line(&format!("advertisement-interval {}", self.interval.as_millis()));
        if self.checksum == Some(ChecksumForm::Message) {
            let _ = writeln!(text, " no vrrp {} checksum-with-ipv4-pseudoheader", self.vrid);
        }
        for (address, _) in &self.addresses {
            let word = if address.is_ipv4() { "ip" } else { "ipv6" };
            let _ = writeln!(text, " vrrp {} {word} {address}", self.vrid);
        }
        text.push_str("exit\n");
        text
    }

    /// The virtual MAC (RFC 9568 §7.3), which FRR uses.
    pub(crate) fn virtual_mac(&self) -> String {
        let family = if self.family == Family::Ipv4 { 1 } else { 2 };
        format!("00:00:5e:00:{family:02x}:{:02x}", self.vrid)
    }

    pub(crate) fn prefixed(&self) -> impl Iterator<Item = String> + '_ {
        self.addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}"))
    }
}
