//! `virtual_routes`: routes that move along with the addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::slice::Iter;

use vrrp::Family;

use crate::configuration::GlobalDefs;
use crate::diagnostic::did_you_mean;
use crate::kernel_names::{MAIN_TABLE, PROTOCOLS, SCOPES, SERVICES, TABLES, number};
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::values::{Checker, without_interface};

/// A line of `virtual_routes`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualRoute {
    /// Where it stands.
    pub span: Span,
    /// IPv4 or IPv6.
    pub family: Family,
    /// What becomes of a packet that it fits.
    pub kind: RouteKind,
    /// Address and length of the prefix that it leads to; length 0 is `default`.
    pub destination: (IpAddr, u8),
    /// `table`; 254 (main) if not given.
    pub table: u32,
    /// `metric`, `priority` or `preference`.
    pub metric: Option<u32>,
    /// `tos` or `dsfield`.
    pub service: u8,
    /// `scope`, as the kernel's number; 0 (global) if not given, as with keepalived.
    pub scope: u8,
    /// `protocol`, in place of the agent's own mark.
    pub protocol: Option<u8>,
    /// `src`.
    pub source: Option<IpAddr>,
    /// Ways; several share the traffic. None for `blackhole` and its like.
    pub nexthops: Vec<Nexthop>,
    /// `mtu` and its like.
    pub metrics: Vec<RouteMetric>,
    /// How it stands to routes of others with the same destination and metric.
    pub placement: Placement,
    /// Put back if somebody removes it, and the virtual router is held without its interface: no `no_track`.
    pub tracked: bool,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RouteKind {
    /// It is sent on.
    #[default]
    Unicast,
    /// It vanishes.
    Blackhole,
    /// It is refused as unreachable.
    Unreachable,
    /// It is refused as prohibited.
    Prohibit,
    /// Another table is asked.
    Throw,
}

/// How a route stands to others with the same destination and metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Placement {
    /// Before them.
    #[default]
    Prepend,
    /// `append`: behind them.
    Append,
    /// `add`: only if there is none.
    Alone,
}

/// A way of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nexthop {
    /// `via`.
    pub gateway: Option<IpAddr>,
    /// `dev`.
    pub interface: Option<String>,
    /// `onlink`: the gateway is there though no address of ours says so.
    pub onlink: bool,
    /// `weight`, 1 to 256: its share of the traffic.
    pub weight: u16,
}

/// `mtu` and its like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteMetric {
    /// The kernel's number (`RTAX_*`).
    pub number: u16,
    /// Its value.
    pub value: u32,
    /// `lock`.
    pub locked: bool,
}

/// By name: the kernel's number, the greatest value, and whether `lock` may stand before the value.
const METRICS: [(&str, u16, u32, bool); 11] = [
    ("mtu", 2, u32::MAX, true),
    ("window", 3, u32::MAX, false),
    ("ssthresh", 6, u32::MAX, true),
    ("cwnd", 7, u32::MAX, true),
    ("advmss", 8, u32::MAX, true),
    ("reordering", 9, u32::MAX, true),
    ("hoplimit", 10, 255, false),
    ("initcwnd", 11, u32::MAX, false),
    ("initrwnd", 14, u32::MAX, false),
    ("quickack", 15, 1, false),
    ("fastopen_no_cookie", 17, 1, false),
];

/// What else is understood.
const WORDS: [&str; 28] = [
    "to",
    "via",
    "gw",
    "dev",
    "oif",
    "src",
    "scope",
    "table",
    "metric",
    "priority",
    "preference",
    "onlink",
    "protocol",
    "tos",
    "dsfield",
    "nexthop",
    "weight",
    "no_track",
    "inet",
    "inet6",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "unicast",
    "append",
    "add",
    "default",
];

/// What keepalived knows and we do not build, and what to do instead.
const NOT_BUILT: [(&str, &str); 19] = [
    ("or", "write `nexthop via ADDRESS nexthop via ADDRESS`, as keepalived asks too"),
    ("track_group", "it is for static routes; leave it out"),
    ("encap", "tunnels are not built: set the route in notify scripts"),
    ("as", "MPLS is not built: set the route in notify scripts"),
    ("from", "routes by source are not built: write a virtual_rules line `from PREFIX table N`"),
    ("expires", "leave it out: the route goes with the addresses"),
    ("rtt", "leave it out: the kernel measures it"),
    ("rttvar", "leave it out: the kernel measures it"),
    ("rto_min", "leave it out"),
    ("realms", "leave it out, or mark packets with the firewall"),
    ("features", "leave it out, or set the sysctl net.ipv4.tcp_ecn"),
    ("congctl", "leave it out, or set the sysctl net.ipv4.tcp_congestion_control"),
    ("pref", "leave it out: it is for router advertisements; `metric` decides here"),
    ("ttl-propagate", "MPLS is not built: leave it out"),
    ("vrf", "name the VRF's table: `table N`"),
    ("local", "put the address into virtual_ipaddress_excluded instead"),
    ("broadcast", "the kernel makes it with the address"),
    ("anycast", "the kernel makes it with the address"),
    ("multicast", "set the route in notify scripts"),
];

/// The words of a line, one after the other.
pub(crate) struct Words<'s>(Iter<'s, Word>);

impl<'s> Words<'s> {
    pub(crate) fn of(line: &'s Statement) -> Self {
        Self(line.words.iter())
    }

    pub(crate) fn next(&mut self) -> Option<&'s Word> {
        self.0.next()
    }

    /// The next word if it is this one.
    fn skip(&mut self, text: &str) -> bool {
        let there = self.0.as_slice().first().is_some_and(|word| word.text == text);
        if there {
            self.0.next();
        }
        there
    }

    /// Ends the line: what follows an error is seldom understood.
    fn leave(&mut self) {
        self.0 = [].iter();
    }
}

/// The family of a line: said, or that of its first address.
#[derive(Default)]
pub(crate) struct FamilyOfLine(Option<Family>);

impl FamilyOfLine {
    pub(crate) fn get(&self) -> Family {
        self.0.unwrap_or(Family::Ipv4)
    }

    pub(crate) fn settle(&mut self, family: Family, span: Span, checker: &mut Checker<'_>) -> Option<()> {
        if *self.0.get_or_insert(family) == family {
            return Some(());
        }
        checker.error(
            "mixed-families",
            span,
            format!("{family} in a line that is {} so far", self.get()),
            "write one line for IPv4 and one for IPv6",
        );
        None
    }
}

/// Which addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Prefix {
    /// `default`, `any` or `all`: of either family.
    All,
    /// Those with these first bits.
    Of(IpAddr, u8),
}

/// What was read of a route.
struct Draft {
    family: FamilyOfLine,
    destination: Option<(Prefix, Span)>,
    way: Nexthop,
    nexthops: Vec<Nexthop>,
    /// Every interface that it names.
    links: Vec<(String, Span)>,
    route: VirtualRoute,
}

impl Checker<'_> {
    /// The word behind a keyword.
    pub(crate) fn behind<'s>(&mut self, keyword: &Word, words: &mut Words<'s>) -> Option<&'s Word> {
        let value = words.next();
        if value.is_none() {
            let message = format!("`{}` needs a value", keyword.text);
            self.error("missing-value", keyword.span, message, "write it behind the keyword");
        }
        value
    }

    /// A whole number up to `high` behind a keyword.
    pub(crate) fn number_behind(
        &mut self,
        keyword: &Word,
        words: &mut Words<'_>,
        low: u32,
        high: u32,
    ) -> Option<u32> {
        let word = self.behind(keyword, words)?;
        let value = number(&word.text).filter(|value| (low..=high).contains(value));
        if value.is_none() {
            self.error(
                "value-out-of-range",
                word.span,
                format!("`{}` is no value for `{}`", word.text, keyword.text),
                format!("a whole number from {low} to {high} is needed"),
            );
        }
        value
    }

    /// `ADDRESS[/LENGTH]`, `default`, `any` or `all`.
    pub(crate) fn prefix(&mut self, word: &Word, of_route: bool) -> Option<Prefix> {
        if matches!(word.text.as_str(), "default" | "any" | "all") {
            return Some(Prefix::All);
        }
        let (address, length) = match word.text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (word.text.as_str(), None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let message = format!("`{}` is no address", word.text);
            self.error("bad-address", word.span, message, "write ADDRESS/LENGTH, or `default`");
            return None;
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let Some(length) = length.map_or(Some(longest), |l| l.parse().ok()).filter(|l| *l <= longest) else {
            let message = format!("`{}` has no length from 0 to {longest}", word.text);
            self.error("value-out-of-range", word.span, message, "write ADDRESS/LENGTH");
            return None;
        };
        let network = network(address, length);
        if network != address && of_route && address.is_ipv4() {
            self.error(
                "bad-address",
                word.span,
                format!("`{}` has bits behind its first {length}: the kernel refuses it", word.text),
                format!("write {network}/{length}, or {address}/{longest} for the one address"),
            );
            return None;
        }
        if network != address {
            self.warning(
                "bits-behind-prefix",
                word.span,
                format!("`{}` has bits behind its first {length}, which do not count", word.text),
                format!("write {network}/{length}, or {address}/{longest} for the one address"),
            );
        }
        Some(Prefix::Of(network, length))
    }

    /// Tells of a word that is not understood in a route or a rule.
    pub(crate) fn not_understood(
        &mut self,
        word: &Word,
        what: &str,
        known: &[&'static str],
        not_built: &[(&'static str, &str)],
    ) {
        let text = word.text.as_str();
        if let Some((_, mend)) = not_built.iter().find(|(name, _)| *name == text) {
            let message = format!("`{text}` in a {what} is known but not built");
            self.error("not-built", word.span, message, *mend);
            return;
        }
        let all = known.iter().copied().chain(not_built.iter().map(|(name, _)| *name));
        let help = match did_you_mean(text, all) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        self.error("extra-value", word.span, format!("`{text}` is not known in a {what}"), help);
    }

    /// A line of `virtual_routes`.
    pub(crate) fn virtual_route(&mut self, line: &Statement, global: &GlobalDefs) -> Option<VirtualRoute> {
        let mut draft = Draft {
            family: FamilyOfLine::default(),
            destination: None,
            way: Nexthop { gateway: None, interface: None, onlink: false, weight: 1 },
            nexthops: Vec::new(),
            links: Vec::new(),
            route: VirtualRoute {
                span: line.span(),
                family: Family::Ipv4,
                kind: RouteKind::Unicast,
                destination: (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
                table: MAIN_TABLE,
                metric: None,
                service: 0,
                scope: 0,
                protocol: None,
                source: None,
                nexthops: Vec::new(),
                metrics: Vec::new(),
                placement: Placement::Prepend,
                tracked: true,
            },
        };
        let mut words = Words::of(line);
        while let Some(word) = words.next() {
            self.route_word(word, &mut words, &mut draft)?;
        }
        for (name, span) in std::mem::take(&mut draft.links) {
            self.interface(&name, span, without_interface(global, draft.route.tracked));
        }
        self.whole_route(draft)
    }

    fn route_word(&mut self, word: &Word, words: &mut Words<'_>, draft: &mut Draft) -> Option<()> {
        let route = &mut draft.route;
        match word.text.as_str() {
            "inet" => draft.family.settle(Family::Ipv4, word.span, self)?,
            "inet6" => draft.family.settle(Family::Ipv6, word.span, self)?,
            "to" => {
                let value = self.behind(word, words)?;
                self.destination(value, draft)?;
            }
            "unicast" => route.kind = RouteKind::Unicast,
            "blackhole" => route.kind = RouteKind::Blackhole,
            "unreachable" => route.kind = RouteKind::Unreachable,
            "prohibit" => route.kind = RouteKind::Prohibit,
            "throw" => route.kind = RouteKind::Throw,
            "append" => route.placement = Placement::Append,
            "add" => route.placement = Placement::Alone,
            "no_track" => route.tracked = false,
            "src" => {
                let value = self.behind(word, words)?;
                let source = self.address(value)?;
                draft.family.settle(Family::of(source), value.span, self)?;
                route.source = Some(source);
            }
            "table" => {
                let value = self.behind(word, words)?;
                route.table = self.named_number(value, &TABLES)?;
            }
            "protocol" | "proto" => {
                let value = self.behind(word, words)?;
                route.protocol = u8::try_from(self.named_number(value, &PROTOCOLS)?).ok();
            }
            "scope" => {
                let value = self.behind(word, words)?;
                route.scope = u8::try_from(self.named_number(value, &SCOPES)?).ok()?;
            }
            "tos" | "dsfield" => {
                let value = self.behind(word, words)?;
                route.service = u8::try_from(self.named_number(value, &SERVICES)?).ok()?;
            }
            "metric" | "priority" | "preference" => {
                route.metric = Some(self.number_behind(word, words, 0, u32::MAX)?);
            }
            "nexthop" => {
                draft.nexthops.push(Nexthop { gateway: None, interface: None, onlink: false, weight: 1 });
            }
            "via" | "gw" | "dev" | "oif" | "onlink" | "weight" => {
                self.way_word(word, words, draft)?;
            }
            text if METRICS.iter().any(|(name, ..)| *name == text) => {
                let (_, number, high, lockable) = *METRICS.iter().find(|(name, ..)| *name == text)?;
                let locked = lockable && words.skip("lock");
                let value = self.number_behind(word, words, 0, high)?;
                route.metrics.push(RouteMetric { number, value, locked });
            }
            text if text == "default" || text.contains(['.', ':', '/']) => self.destination(word, draft)?,
            _ => {
                let known: Vec<&str> =
                    WORDS.into_iter().chain(METRICS.iter().map(|(name, ..)| *name)).collect();
                self.not_understood(word, "route", &known, &NOT_BUILT);
                words.leave();
                return None;
            }
        }
        Some(())
    }

    /// A word of the way, or of the last `nexthop`.
    fn way_word(&mut self, word: &Word, words: &mut Words<'_>, draft: &mut Draft) -> Option<()> {
        let alone = draft.nexthops.is_empty();
        let way = draft.nexthops.last_mut().unwrap_or(&mut draft.way);
        match word.text.as_str() {
            "onlink" => way.onlink = true,
            "dev" | "oif" => {
                let value = self.behind(word, words)?;
                way.interface = Some(value.text.clone());
                draft.links.push((value.text.clone(), value.span));
            }
            "weight" if alone => {
                self.error(
                    "extra-value",
                    word.span,
                    "`weight` belongs behind a `nexthop`",
                    "write `nexthop via ADDRESS weight N nexthop via ADDRESS weight N`",
                );
                return None;
            }
            "weight" => way.weight = u16::try_from(self.number_behind(word, words, 1, 256)?).ok()?,
            _ => {
                let said = [("inet", Family::Ipv4), ("inet6", Family::Ipv6)]
                    .into_iter()
                    .find_map(|(name, family)| words.skip(name).then_some(family));
                let value = self.behind(word, words)?;
                let gateway = self.address(value)?;
                if let Some(family) = said {
                    draft.family.settle(family, value.span, self)?;
                }
                draft.family.settle(Family::of(gateway), value.span, self)?;
                way.gateway = Some(gateway);
            }
        }
        Some(())
    }

    fn destination(&mut self, word: &Word, draft: &mut Draft) -> Option<()> {
        if draft.destination.is_some() {
            self.error(
                "extra-value",
                word.span,
                format!("`{}` is a second destination", word.text),
                "each route needs a line of its own",
            );
            return None;
        }
        let prefix = self.prefix(word, true)?;
        if let Prefix::Of(address, _) = prefix {
            draft.family.settle(Family::of(address), word.span, self)?;
        }
        draft.destination = Some((prefix, word.span));
        Some(())
    }

    fn whole_route(&mut self, draft: Draft) -> Option<VirtualRoute> {
        let Draft { family, destination, way, nexthops, mut route, .. } = draft;
        route.family = family.get();
        let Some((prefix, span)) = destination else {
            let help = "write `ADDRESS/LENGTH via GATEWAY dev INTERFACE`, or `default via ...`";
            self.error("missing-value", route.span, "a route without a destination", help);
            return None;
        };
        route.destination = match (prefix, route.family) {
            (Prefix::Of(address, length), _) => (address, length),
            (Prefix::All, Family::Ipv4) => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            (Prefix::All, Family::Ipv6) => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        };
        let given = way.gateway.is_some() || way.interface.is_some();
        if given && !nexthops.is_empty() {
            let help = "write every way behind a `nexthop` of its own";
            self.error("extra-value", span, "a route with a way of its own and with `nexthop`", help);
            return None;
        }
        route.nexthops = if given { vec![way] } else { nexthops };
        if route.kind != RouteKind::Unicast && !route.nexthops.is_empty() {
            let help = "remove `via` and `dev`, or the word before the destination";
            self.error("extra-value", span, "a route that sends nothing on has no way", help);
            return None;
        }
        let wayless = |hop: &Nexthop| hop.gateway.is_none() && hop.interface.is_none();
        if route.kind == RouteKind::Unicast
            && (route.nexthops.is_empty() || route.nexthops.iter().any(wayless))
        {
            let help = "add `via GATEWAY`, `dev INTERFACE`, or both";
            self.error("missing-value", span, "a route that says neither `via` nor `dev`", help);
            return None;
        }
        if let Some(hop) = route.nexthops.iter().find(|hop| hop.onlink && hop.interface.is_none()) {
            let gateway = hop.gateway.map_or_else(String::new, |gateway| format!(" {gateway}"));
            let message = format!("`onlink` without `dev`: on which link is{gateway}?");
            self.error("missing-value", span, message, "add `dev INTERFACE`");
            return None;
        }
        Some(route)
    }
}

/// An address with everything behind its first bits zero.
fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(a) & mask))
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(a) & mask))
        }
    }
}
