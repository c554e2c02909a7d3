//! Rules by which the kernel chooses a routing table: set, removed, asked for. Numbers are those of
//! `linux/fib_rules.h`.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;

use crate::netlink::{Netlink, NetlinkError, ip_of, octets};
use crate::netlink_message as wire;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const FIB_RULE_INVERT: u32 = 2;

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSpec {
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// What becomes of a packet that it fits.
    pub action: RuleAction,
    /// The least is asked first.
    pub priority: u32,
    /// It counts for what does not fit.
    pub inverted: bool,
    /// Address and length of the prefix that the source is in; `None` is any.
    pub from: Option<(IpAddr, u8)>,
    /// The same of the destination.
    pub to: Option<(IpAddr, u8)>,
    /// The link it came by.
    pub input: Option<String>,
    /// The link that it is bound to.
    pub output: Option<String>,
    /// The firewall's mark, and which bits of it count.
    pub mark: Option<(u32, u32)>,
    /// Type of service.
    pub service: u8,
    /// TCP, UDP and so on.
    pub ip_protocol: Option<u8>,
    /// First and last.
    pub source_ports: Option<(u16, u16)>,
    /// First and last.
    pub destination_ports: Option<(u16, u16)>,
    /// First and last.
    pub users: Option<(u32, u32)>,
    /// Routes with a prefix as short as this do not count.
    pub suppressed_length: Option<u32>,
    /// Its mark; [`crate::route::ROUTE_PROTOCOL`] if nothing else is asked for.
    pub protocol: u8,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleAction {
    /// This table is asked.
    Table(u32),
    /// It vanishes.
    Blackhole,
    /// It is refused as unreachable.
    Unreachable,
    /// It is refused as prohibited.
    Prohibit,
}

impl RuleAction {
    const fn number(self) -> u8 {
        match self {
            Self::Table(_) => 1,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
        }
    }
}

impl RuleSpec {
    /// What tells it apart, with its mark, as one line: the same for the same rule in every run.
    pub fn key(&self) -> String {
        let mut key = format!("rule {self} proto {}", self.protocol);
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(key, " {name} {value}");
            }
        };
        put("family", self.ipv6.then(|| "inet6".to_owned()));
        put("not", self.inverted.then(|| "so".to_owned()));
        put("fwmark", self.mark.map(|(mark, mask)| format!("{mark}/{mask}")));
        put("tos", Some(self.service.to_string()).filter(|_| self.service != 0));
        put("ipproto", self.ip_protocol.map(|number| number.to_string()));
        put("sport", self.source_ports.map(|(first, last)| format!("{first}-{last}")));
        put("dport", self.destination_ports.map(|(first, last)| format!("{first}-{last}")));
        put("uidrange", self.users.map(|(first, last)| format!("{first}-{last}")));
        put("suppress_prefixlength", self.suppressed_length.map(|length| length.to_string()));
        key
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        for (name, prefix) in [("from", self.from), ("to", self.to)] {
            if let Some((address, length)) = prefix {
                write!(f, " {name} {address}/{length}")?;
            }
        }
        for (name, link) in [("iif", &self.input), ("oif", &self.output)] {
            if let Some(link) = link {
                write!(f, " {name} {link}")?;
            }
        }
        match self.action {
            RuleAction::Table(table) => write!(f, " table {table}"),
            RuleAction::Blackhole => write!(f, " blackhole"),
            RuleAction::Unreachable => write!(f, " unreachable"),
            RuleAction::Prohibit => write!(f, " prohibit"),
        }
    }
}

impl Netlink {
    /// Sets rules. One that is there already with the same mark answers [`NetlinkError::is_exists`]. An answer
    /// for each.
    pub fn add_rules(&mut self, rules: &[RuleSpec]) -> Vec<Result<(), NetlinkError>> {
        self.change(rules, wire::RTM_NEWRULE, wire::NLM_F_CREATE | wire::NLM_F_EXCL, write_rule)
    }

    /// Removes rules, each with its mark. An answer for each.
    pub fn remove_rules(&mut self, rules: &[RuleSpec]) -> Vec<Result<(), NetlinkError>> {
        self.change(rules, wire::RTM_DELRULE, 0, write_rule)
    }

    /// The rules of both families.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn rules(&mut self) -> io::Result<Vec<RuleSpec>> {
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            let mut header = [0; 12];
            header[0] = family;
            let asked = self.dump(wire::RTM_GETRULE, wire::RTM_NEWRULE, &header, |body| {
                parse_rule(body).filter(|_| body.first() == Some(&family))
            });
            match asked {
                Ok(rules) => found.extend(rules),
                // A kernel without IPv6, or without rules.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

fn write_rule(out: &mut Vec<u8>, spec: &RuleSpec) {
    let family = u8::try_from(if spec.ipv6 { libc::AF_INET6 } else { libc::AF_INET }).unwrap_or(0);
    let length = |prefix: Option<(IpAddr, u8)>| prefix.map_or(0, |(_, length)| length);
    let table = match spec.action {
        RuleAction::Table(table) => Some(table),
        _ => None,
    };
    let short_table = table.and_then(|table| u8::try_from(table).ok()).unwrap_or(0);
    let action = spec.action.number();
    out.extend_from_slice(&[
        family,
        length(spec.to),
        length(spec.from),
        spec.service,
        short_table,
        0,
        0,
        action,
    ]);
    out.extend_from_slice(&(if spec.inverted { FIB_RULE_INVERT } else { 0 }).to_ne_bytes());
    for (kind, prefix) in [(FRA_DST, spec.to), (FRA_SRC, spec.from)] {
        if let Some((address, 1..)) = prefix {
            wire::attribute(out, kind, &octets(address));
        }
    }
    for (kind, link) in [(FRA_IIFNAME, &spec.input), (FRA_OIFNAME, &spec.output)] {
        if let Some(link) = link {
            wire::attribute(out, kind, &[link.as_bytes(), &[0]].concat());
        }
    }
    wire::attribute(out, FRA_PRIORITY, &spec.priority.to_ne_bytes());
    if let Some(table) = table {
        wire::attribute(out, FRA_TABLE, &table.to_ne_bytes());
    }
    if let Some((mark, mask)) = spec.mark {
        wire::attribute(out, FRA_FWMARK, &mark.to_ne_bytes());
        wire::attribute(out, FRA_FWMASK, &mask.to_ne_bytes());
    }
    if let Some(length) = spec.suppressed_length {
        wire::attribute(out, FRA_SUPPRESS_PREFIXLEN, &length.to_ne_bytes());
    }
    if let Some((first, last)) = spec.users {
        wire::attribute(out, FRA_UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
    }
    wire::attribute(out, FRA_PROTOCOL, &[spec.protocol]);
    if let Some(number) = spec.ip_protocol {
        wire::attribute(out, FRA_IP_PROTO, &[number]);
    }
    for (kind, ports) in [(FRA_SPORT_RANGE, spec.source_ports), (FRA_DPORT_RANGE, spec.destination_ports)] {
        if let Some((first, last)) = ports {
            wire::attribute(out, kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
        }
    }
}

/// A rule of ours or of others; `None` for the actions that we have no word for.
pub(crate) fn parse_rule(body: &[u8]) -> Option<RuleSpec> {
    let [family, to_length, from_length, service, table, _, _, action] = *body.first_chunk::<8>()?;
    let flags = wire::u32_at(body, 8)?;
    let mut spec = RuleSpec {
        ipv6: match i32::from(family) {
            libc::AF_INET => false,
            libc::AF_INET6 => true,
            _ => return None,
        },
        action: RuleAction::Prohibit,
        priority: 0,
        inverted: flags & FIB_RULE_INVERT != 0,
        from: None,
        to: None,
        input: None,
        output: None,
        mark: None,
        service,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        users: None,
        suppressed_length: None,
        protocol: 0,
    };
    let (mut table, mut mark, mut mask) = (u32::from(table), None, None);
    let name = |data: &[u8]| Some(String::from_utf8_lossy(data).trim_end_matches('\0').to_owned());
    let ports = |data: &[u8]| {
        let [a, b, c, d] = *data.first_chunk::<4>()?;
        Some((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
    };
    for (kind, data) in wire::attributes(body.get(12..)?) {
        match kind {
            FRA_DST => spec.to = ip_of(family, data).map(|address| (address, to_length)),
            FRA_SRC => spec.from = ip_of(family, data).map(|address| (address, from_length)),
            FRA_IIFNAME => spec.input = name(data),
            FRA_OIFNAME => spec.output = name(data),
            FRA_PRIORITY => spec.priority = wire::u32_at(data, 0)?,
            FRA_TABLE => table = wire::u32_at(data, 0)?,
            FRA_FWMARK => mark = wire::u32_at(data, 0),
            FRA_FWMASK => mask = wire::u32_at(data, 0),
            // -1 is none; so is 0 as an IP protocol.
            FRA_SUPPRESS_PREFIXLEN => {
                spec.suppressed_length = wire::u32_at(data, 0).filter(|length| *length != u32::MAX);
            }
            FRA_IP_PROTO => spec.ip_protocol = data.first().copied().filter(|number| *number != 0),
            FRA_UID_RANGE => spec.users = wire::u32_at(data, 0).zip(wire::u32_at(data, 4)),
            FRA_PROTOCOL => spec.protocol = data.first().copied()?,
            FRA_SPORT_RANGE => spec.source_ports = ports(data),
            FRA_DPORT_RANGE => spec.destination_ports = ports(data),
            _ => {}
        }
    }
    // The kernel says a mark of 0 by its mask only.
    spec.mark = mask.map(|mask| (mark.unwrap_or(0), mask));
    spec.action = match action {
        1 => RuleAction::Table(table),
        6 => RuleAction::Blackhole,
        7 => RuleAction::Unreachable,
        8 => RuleAction::Prohibit,
        _ => return None,
    };
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_it_was_written() {
        let plain = RuleSpec {
            ipv6: false,
            action: RuleAction::Table(6909),
            priority: 100,
            inverted: false,
            from: Some(("10.0.0.50".parse().unwrap(), 32)),
            to: None,
            input: None,
            output: None,
            mark: None,
            service: 0,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            users: None,
            suppressed_length: None,
            protocol: 112,
        };
        let full = RuleSpec {
            ipv6: true,
            action: RuleAction::Prohibit,
            inverted: true,
            from: None,
            to: Some(("fd00::".parse().unwrap(), 64)),
            input: Some("eth0".into()),
            output: Some("eth1".into()),
            mark: Some((0, 12)),
            service: 16,
            ip_protocol: Some(17),
            source_ports: Some((10, 20)),
            destination_ports: Some((53, 53)),
            users: Some((1, 2)),
            suppressed_length: Some(0),
            ..plain.clone()
        };
        for spec in [plain.clone(), full.clone()] {
            let mut body = Vec::new();
            write_rule(&mut body, &spec);
            assert_eq!(parse_rule(&body), Some(spec));
        }
        assert_eq!(plain.key(), "rule 100: from 10.0.0.50/32 table 6909 proto 112");
        assert_ne!(full.key(), RuleSpec { mark: None, ..full.clone() }.key());
    }
}
