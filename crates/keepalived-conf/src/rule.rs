//! `virtual_rules`: rules for choosing a routing table, which move along with the addresses.

use std::net::IpAddr;

use vrrp::Family;

use crate::configuration::GlobalDefs;
use crate::kernel_names::{PROTOCOLS, SERVICES, TABLES, number};
use crate::route::{FamilyOfLine, Prefix, Words};
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::values::{Checker, without_interface};

/// A line of `virtual_rules`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualRule {
    /// Where it stands.
    pub span: Span,
    /// IPv4 or IPv6.
    pub family: Family,
    /// What becomes of a packet that it fits.
    pub action: RuleAction,
    /// `priority`, `preference` or `order`; the least is asked first. If not given, numbers go down from 16384.
    pub priority: u32,
    /// `not`: it counts for what does not fit.
    pub inverted: bool,
    /// `from`.
    pub from: Option<(IpAddr, u8)>,
    /// `to`.
    pub to: Option<(IpAddr, u8)>,
    /// `iif` or `dev`.
    pub input: Option<String>,
    /// `oif`.
    pub output: Option<String>,
    /// `fwmark`, and its mask.
    pub mark: Option<(u32, u32)>,
    /// `tos` or `dsfield`.
    pub service: u8,
    /// `ipproto`, as its number.
    pub ip_protocol: Option<u8>,
    /// `sport`, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// `dport`, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// `uidrange`, first and last.
    pub users: Option<(u32, u32)>,
    /// `suppress_prefixlength`: routes with a prefix as short as this do not count.
    pub suppressed_length: Option<u32>,
    /// `protocol`, in place of the agent's own mark.
    pub protocol: Option<u8>,
    /// Put back if somebody removes it: no `no_track`.
    pub tracked: bool,
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

/// Where keepalived begins with priorities of its own; it goes down from there.
const FIRST_OWN_PRIORITY: u32 = 16384;

const WORDS: [&str; 27] = [
    "from",
    "to",
    "table",
    "lookup",
    "priority",
    "preference",
    "order",
    "iif",
    "dev",
    "oif",
    "fwmark",
    "tos",
    "dsfield",
    "not",
    "ipproto",
    "sport",
    "dport",
    "uidrange",
    "suppress_prefixlength",
    "protocol",
    "no_track",
    "inet",
    "inet6",
    "blackhole",
    "unreachable",
    "prohibit",
    "type",
];

const NOT_BUILT: [(&str, &str); 8] = [
    ("track_group", "it is for static rules; leave it out"),
    ("goto", "write the rules in the order of their priorities instead"),
    ("nop", "leave the rule out"),
    ("l3mdev", "the kernel has its own rule for VRFs: leave it out"),
    ("realms", "leave it out, or mark packets with the firewall and use `fwmark`"),
    ("tunnel-id", "mark packets with the firewall and use `fwmark`"),
    ("suppress_ifgroup", "use `suppress_prefixlength`, or a table of its own"),
    ("sup_group", "use `suppress_prefixlength`, or a table of its own"),
];

impl Checker<'_> {
    /// A line of `virtual_rules`.
    pub(crate) fn virtual_rule(&mut self, line: &Statement, global: &GlobalDefs) -> Option<VirtualRule> {
        let mut family = FamilyOfLine::default();
        let (mut action, mut priority) = (None, None);
        let mut rule = VirtualRule {
            span: line.span(),
            family: Family::Ipv4,
            action: RuleAction::Prohibit,
            priority: 0,
            inverted: false,
            from: None,
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
            protocol: None,
            tracked: true,
        };
        let (mut words, mut links) = (Words::of(line), Vec::new());
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "inet" => family.settle(Family::Ipv4, word.span, self)?,
                "inet6" => family.settle(Family::Ipv6, word.span, self)?,
                direction @ ("from" | "to") => {
                    let value = self.behind(word, &mut words)?;
                    let prefix = match self.prefix(value, false)? {
                        Prefix::All => None,
                        Prefix::Of(address, length) => {
                            family.settle(Family::of(address), value.span, self)?;
                            Some((address, length))
                        }
                    };
                    *(if direction == "from" { &mut rule.from } else { &mut rule.to }) = prefix;
                }
                "table" | "lookup" => {
                    let value = self.behind(word, &mut words)?;
                    let table = self.named_number(value, &TABLES)?;
                    self.act(RuleAction::Table(table), word, &mut action)?;
                }
                "type" => {}
                "blackhole" => self.act(RuleAction::Blackhole, word, &mut action)?,
                "unreachable" => self.act(RuleAction::Unreachable, word, &mut action)?,
                "prohibit" => self.act(RuleAction::Prohibit, word, &mut action)?,
                "priority" | "preference" | "order" => {
                    priority = Some(self.number_behind(word, &mut words, 0, u32::MAX)?);
                }
                "no_track" => rule.tracked = false,
                _ => self.selector(word, &mut words, &mut rule, &mut links)?,
            }
        }
        for (name, span) in links {
            self.interface(&name, span, without_interface(global, rule.tracked));
        }
        let Some(action) = action else {
            let message = "a rule that says neither a table nor what else to do";
            let help = "add `table N`, or blackhole, unreachable or prohibit";
            self.error("missing-value", rule.span, message, help);
            return None;
        };
        if rule.suppressed_length.is_some() && !matches!(action, RuleAction::Table(_)) {
            let message = "`suppress_prefixlength` without a table";
            self.error("missing-value", rule.span, message, "add `table N`");
            return None;
        }
        (rule.family, rule.action) = (family.get(), action);
        rule.priority = priority.unwrap_or_else(|| self.own_priority(rule.family, rule.span));
        Some(rule)
    }

    fn act(&mut self, found: RuleAction, word: &Word, action: &mut Option<RuleAction>) -> Option<()> {
        if action.replace(found).is_some() {
            let message = format!("`{}` is a second thing to do", word.text);
            let help = "each rule has one of table, blackhole, unreachable and prohibit";
            self.error("extra-value", word.span, message, help);
            return None;
        }
        Some(())
    }

    fn selector(
        &mut self,
        word: &Word,
        words: &mut Words<'_>,
        rule: &mut VirtualRule,
        links: &mut Vec<(String, Span)>,
    ) -> Option<()> {
        match word.text.as_str() {
            "not" => rule.inverted = true,
            name @ ("iif" | "dev" | "oif") => {
                let value = self.behind(word, words)?;
                links.push((value.text.clone(), value.span));
                *(if name == "oif" { &mut rule.output } else { &mut rule.input }) = Some(value.text.clone());
            }
            "fwmark" => {
                let value = self.behind(word, words)?;
                let (mark, mask) = value.text.split_once('/').unwrap_or((&value.text, "0xffffffff"));
                let (Some(mark), Some(mask)) = (number(mark), number(mask)) else {
                    let message = format!("`{}` is no mark", value.text);
                    self.error("value-out-of-range", value.span, message, "write NUMBER or NUMBER/MASK");
                    return None;
                };
                rule.mark = Some((mark, mask));
            }
            "tos" | "dsfield" => {
                let value = self.behind(word, words)?;
                rule.service = u8::try_from(self.named_number(value, &SERVICES)?).ok()?;
            }
            "protocol" => {
                let value = self.behind(word, words)?;
                rule.protocol = u8::try_from(self.named_number(value, &PROTOCOLS)?).ok();
            }
            "ipproto" => {
                let value = self.behind(word, words)?;
                rule.ip_protocol = Some(self.ip_protocol(value)?);
            }
            "sport" => rule.source_ports = Some(self.range(word, words)?),
            "dport" => rule.destination_ports = Some(self.range(word, words)?),
            "uidrange" => rule.users = Some(self.range(word, words)?),
            "suppress_prefixlength" | "sup_pl" => {
                rule.suppressed_length = Some(self.number_behind(word, words, 0, 128)?);
            }
            _ => {
                self.not_understood(word, "rule", &WORDS, &NOT_BUILT);
                return None;
            }
        }
        Some(())
    }

    fn ip_protocol(&mut self, word: &Word) -> Option<u8> {
        let known = [("icmp", 1), ("tcp", 6), ("udp", 17), ("ipv6-icmp", 58), ("icmpv6", 58), ("sctp", 132)];
        let name = word.text.to_ascii_lowercase();
        let found = known
            .into_iter()
            .find_map(|(known, number)| (known == name).then_some(number))
            .or_else(|| word.text.parse().ok());
        if found.is_none() {
            let message = format!("`{}` is no IP protocol", word.text);
            self.error("value-out-of-range", word.span, message, "tcp, udp, icmp, icmpv6, sctp or a number");
        }
        found
    }

    /// `FIRST-LAST`, or one number.
    fn range<T: std::str::FromStr + PartialOrd>(
        &mut self,
        keyword: &Word,
        words: &mut Words<'_>,
    ) -> Option<(T, T)> {
        let word = self.behind(keyword, words)?;
        let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
        let range = first.parse().ok().zip(last.parse().ok()).filter(|(first, last): &(T, T)| first <= last);
        if range.is_none() {
            let message = format!("`{}` is no range for `{}`", word.text, keyword.text);
            self.error("value-out-of-range", word.span, message, "write FIRST-LAST, or one number");
        }
        range
    }

    /// A rule without a priority gets one, as with keepalived: what the kernel would choose depends on which
    /// virtual router became Active first.
    fn own_priority(&mut self, family: Family, span: Span) -> u32 {
        let given = &mut self.own_priorities[usize::from(family == Family::Ipv6)];
        let priority = FIRST_OWN_PRIORITY - *given;
        *given = (*given + 1).min(FIRST_OWN_PRIORITY - 1);
        self.warning(
            "no-priority",
            span,
            format!("a rule without a priority gets {priority}, as with keepalived"),
            "write `priority N`: the least is asked first, and main has 32766",
        );
        priority
    }
}
