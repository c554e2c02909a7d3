//! `vrrp_instance`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vrrp::{AdvertInterval, ChecksumForm, Family, Priority, Version, VirtualRouterId};

use crate::configuration::{
    Fallibility, Garp, GlobalDefs, Notify, Peer, State, Tracks, VirtualAddress, VrrpInstance,
};
use crate::diagnostic::{Diagnostic, Severity, did_you_mean};
use crate::keywords::{Context, Keyword};
use crate::route::VirtualRoute;
use crate::rule::VirtualRule;
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::values::{Checker, Entries, without_interface};

/// What was read, before it is put together.
#[derive(Default)]
struct Draft {
    state: State,
    state_given: bool,
    interface: Option<Word>,
    vrid: Option<u8>,
    priority: Option<u8>,
    advert_int: Option<(Duration, Span)>,
    version: Option<(Version, Span)>,
    addresses: Vec<VirtualAddress>,
    no_addresses: bool,
    excluded: Vec<VirtualAddress>,
    routes: Vec<VirtualRoute>,
    rules: Vec<VirtualRule>,
    source: Option<(IpAddr, Span)>,
    peers: Option<Vec<Peer>>,
    check_unicast_src: Option<bool>,
    unicast_ttl: Option<u8>,
    multicast_group: Option<(IpAddr, Span)>,
    checksum: Option<ChecksumForm>,
    checksum_fixed: bool,
    authentication: Option<([u8; 8], Span)>,
    nopreempt: Option<Span>,
    preempt_delay: Option<(Duration, Span)>,
    down_timer_adverts: Option<u8>,
    lower_prio_no_advert: Option<bool>,
    higher_prio_send_advert: Option<bool>,
    owner_ignore_adverts: bool,
    link: Fallibility,
    garp: Garp,
    tracks: Tracks,
    notify: Notify,
}

impl Checker<'_> {
    pub(crate) fn instance(&mut self, statement: &Statement, global: &GlobalDefs) -> Option<VrrpInstance> {
        let word = self.value(statement)?;
        let (name, span) = (word.text.clone(), word.span);
        let mut draft = Draft::default();
        let entries = self.entries(statement, Context::Instance);
        for (keyword, line) in &entries.lines {
            self.instance_line(keyword, line, &mut draft, global);
        }
        if statement.block.is_some() {
            self.required(&name, span, &entries, &draft);
        }
        self.finish(name, span, draft, global)
    }

    fn instance_line(&mut self, keyword: &Keyword, line: &Statement, draft: &mut Draft, global: &GlobalDefs) {
        match keyword.name {
            "state" => self.state(line, draft),
            "interface" => {
                draft.interface = self.value(line).cloned();
                if draft.interface.as_ref().is_some_and(|w| w.text == "auto") {
                    self.error(
                        "interface-auto",
                        line.span(),
                        "`interface auto` is a placeholder",
                        "keepalived_ctl of haproxy-boshrelease replaces it; write the name of the interface",
                    );
                }
            }
            "virtual_router_id" => {
                draft.vrid = self.whole(keyword, line);
            }
            "priority" => draft.priority = self.whole(keyword, line),
            "advert_int" => {
                let at = line.words.get(1).map_or(line.span(), |word| word.span);
                draft.advert_int = self.seconds(keyword, line).map(|d| (d, at));
            }
            "version" => draft.version = self.version(keyword, line).map(|v| (v, line.span())),
            "virtual_ipaddress" => {
                for entry in self.lines(line) {
                    draft.addresses.extend(self.virtual_address(entry));
                }
            }
            "virtual_ipaddress_excluded" => {
                for entry in self.lines(line) {
                    draft.excluded.extend(self.virtual_address(entry));
                }
            }
            "virtual_routes" => {
                for entry in self.lines(line) {
                    draft.routes.extend(self.virtual_route(entry, global));
                }
            }
            "virtual_rules" => {
                for entry in self.lines(line) {
                    draft.rules.extend(self.virtual_rule(entry, global));
                }
            }
            "no_virtual_ipaddress" => draft.no_addresses = true,
            "unicast_src_ip" | "mcast_src_ip" => {
                let word = self.value(line).cloned();
                draft.source = word.and_then(|w| Some((self.address(&w)?, w.span)));
            }
            "unicast_peer" => draft.peers = Some(self.peers(line)),
            "check_unicast_src" => draft.check_unicast_src = Some(self.switch(line)),
            "unicast_ttl" => draft.unicast_ttl = self.whole(keyword, line),
            "mcast_dst_ip" => {
                let word = self.value(line).cloned();
                draft.multicast_group = word.and_then(|w| Some((self.address(&w)?, w.span)));
            }
            // Where to begin; what the peers send is learnt, since keepalived 2.2 knows only one form.
            "v3_checksum_as_v2" => {
                draft.checksum = Some(if self.switch(line) {
                    ChecksumForm::MessageOnly
                } else {
                    ChecksumForm::PseudoHeader
                });
            }
            "v3_checksum" => self.checksum(line, draft),
            "authentication" => self.authentication(line, draft),
            "nopreempt" => draft.nopreempt = Some(line.span()),
            "preempt" => draft.nopreempt = None,
            "preempt_delay" => {
                draft.preempt_delay = self.seconds(keyword, line).map(|d| (d, line.span()));
            }
            "down_timer_adverts" => draft.down_timer_adverts = self.whole(keyword, line),
            "lower_prio_no_advert" => draft.lower_prio_no_advert = Some(self.switch(line)),
            "higher_prio_send_advert" => draft.higher_prio_send_advert = Some(self.switch(line)),
            "owner_ignore_adverts" => draft.owner_ignore_adverts = true,
            "dont_track_primary" => draft.link = Fallibility::Ignore,
            "garp_master_delay" => draft.garp.delay = self.seconds(keyword, line),
            "garp_master_repeat" => draft.garp.repeat = self.whole(keyword, line),
            "garp_master_refresh" => draft.garp.refresh = self.seconds(keyword, line),
            "garp_master_refresh_repeat" => draft.garp.refresh_repeat = self.whole(keyword, line),
            "garp_lower_prio_delay" => draft.garp.lower_prio_delay = self.seconds(keyword, line),
            "garp_lower_prio_repeat" => draft.garp.lower_prio_repeat = self.whole(keyword, line),
            _ => self.shared(line, &mut draft.notify, &mut draft.tracks),
        }
    }

    fn state(&mut self, line: &Statement, draft: &mut Draft) {
        let Some(word) = self.value(line).cloned() else { return };
        draft.state_given = true;
        draft.state = match word.text.as_str() {
            "MASTER" => State::Master,
            "BACKUP" => State::Backup,
            // haproxy-boshrelease's template says SLAVE; keepalived reads it as BACKUP.
            "SLAVE" => {
                self.warning(
                    "state-slave",
                    word.span,
                    "`state SLAVE` is read as BACKUP, as keepalived does",
                    "write `state BACKUP`",
                );
                State::Backup
            }
            other => {
                let help = match did_you_mean(other, ["MASTER", "BACKUP"].into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "MASTER or BACKUP".to_owned(),
                };
                self.error("value-out-of-range", word.span, format!("`{other}` is no state"), help);
                State::Backup
            }
        };
    }

    fn peers(&mut self, line: &Statement) -> Vec<Peer> {
        let mut peers = Vec::new();
        for entry in self.lines(line) {
            let Some((first, rest)) = entry.words.split_first() else { continue };
            let Some(address) = self.address(first) else { continue };
            let (mut low, mut high, mut given) = (0, 255, false);
            for pair in rest.chunks(2) {
                let value = pair.get(1).and_then(|w| w.text.parse().ok());
                match (pair[0].text.as_str(), value) {
                    ("min_ttl", Some(ttl)) => (low, given) = (ttl, true),
                    ("max_ttl", Some(ttl)) => (high, given) = (ttl, true),
                    (other, _) => {
                        let message = format!("`{other}` is not understood behind a peer");
                        self.error(
                            "extra-value",
                            pair[0].span,
                            message,
                            "ADDRESS [min_ttl 0-255] [max_ttl 0-255]",
                        );
                    }
                }
            }
            peers.push(Peer { address, ttl: given.then_some((low, high)) });
        }
        if peers.is_empty() {
            let message = "unicast_peer names no peer";
            self.error(
                "missing-value",
                line.span(),
                message,
                "name the other routers' addresses, or remove the block to use multicast",
            );
        }
        peers
    }

    fn checksum(&mut self, line: &Statement, draft: &mut Draft) {
        let Some(word) = self.value(line).cloned() else { return };
        draft.checksum_fixed = word.text != "auto";
        draft.checksum = match word.text.as_str() {
            "auto" => None,
            "pseudo_header" => Some(ChecksumForm::PseudoHeader),
            "message_only" => Some(ChecksumForm::MessageOnly),
            other => {
                self.error(
                    "value-out-of-range",
                    word.span,
                    format!("`{other}` is no checksum form"),
                    "auto, pseudo_header (keepalived, FRR) or message_only (RFC 9568)",
                );
                None
            }
        };
    }

    fn authentication(&mut self, line: &Statement, draft: &mut Draft) {
        let mut password = None;
        let entries = self.entries(line, Context::Authentication);
        for (keyword, entry) in &entries.lines {
            let value = self.value(entry).cloned();
            if keyword.name == "auth_pass" {
                password = value;
            } else if let Some(kind) = value.filter(|kind| kind.text != "PASS") {
                self.error(
                    "authentication",
                    kind.span,
                    format!("auth_type {} is not spoken (RFC 3768 removed it)", kind.text),
                    "use PASS on all routers, or VRRPv3 without authentication",
                );
            }
        }
        if password.is_none() && !entries.lacks("auth_pass") {
            return;
        }
        let Some(password) = password else {
            self.error(
                "missing-keyword",
                line.span(),
                "authentication without auth_pass",
                "add auth_pass, at most 8 characters",
            );
            return;
        };
        if password.text.len() > 8 {
            // The password itself stays out of messages.
            self.warning(
                "password-cut",
                password.span,
                "auth_pass is cut to 8 bytes, as keepalived does",
                "use at most 8 characters, the same on all routers",
            );
        }
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(password.text.bytes()) {
            *to = from;
        }
        draft.authentication = Some((bytes, line.span()));
    }

    /// What no virtual router can do without.
    fn required(&mut self, name: &str, span: Span, entries: &Entries<'_>, draft: &Draft) {
        if entries.lacks("interface") {
            self.error(
                "missing-keyword",
                span,
                format!("{name} has no `interface`"),
                "name the interface that the adverts travel on",
            );
        }
        if entries.lacks("virtual_router_id") {
            self.error(
                "missing-keyword",
                span,
                format!("{name} has no `virtual_router_id`"),
                "add a number from 1 to 255, the same on all routers and on no other virtual router of this link",
            );
        }
        let blocks = entries.lines.iter().filter(|(keyword, _)| keyword.name == "virtual_ipaddress");
        // If there are lines, what is wrong with each has been said.
        let empty = blocks.clone().all(|(_, line)| line.block.as_ref().is_some_and(Vec::is_empty));
        if !draft.no_addresses
            && draft.addresses.is_empty()
            && empty
            && (entries.lacks("virtual_ipaddress") || blocks.count() > 0)
        {
            self.error(
                "missing-keyword",
                span,
                format!("{name} has no virtual_ipaddress"),
                "add the address, or no_virtual_ipaddress if there is to be none",
            );
        }
    }

    fn finish(
        &mut self,
        name: String,
        span: Span,
        draft: Draft,
        global: &GlobalDefs,
    ) -> Option<VrrpInstance> {
        let interface = draft.interface.as_ref().map(|w| (w.text.clone(), w.span));
        let family = draft
            .addresses
            .first()
            .map(|a| a.address)
            .or_else(|| draft.peers.as_ref()?.first().map(|p| p.address))
            .map_or(Family::Ipv4, Family::of);
        self.families(&name, &draft, family);
        let version = self.effective_version(&draft, family, global);
        let advert_int = self.interval(&draft, version);
        let said = draft.version.is_some() || global.version == Some(Version::V3);
        let authentication = match draft.authentication {
            // Octavia writes the same file for both families.
            Some((_, at)) if version == Version::V3 && !said => {
                self.warning(
                    "authentication",
                    at,
                    "IPv6 has VRRPv3, which has no authentication: it is left out, as with keepalived",
                    "remove the block on all routers, and restrict who can send protocol 112 instead",
                );
                None
            }
            Some((_, at)) if version == Version::V3 => {
                self.error(
                    "authentication",
                    at,
                    "VRRPv3 has no authentication; keepalived leaves it out in silence",
                    "remove the block on all routers, and restrict who can send protocol 112 instead",
                );
                None
            }
            other => other.map(|(bytes, _)| bytes),
        };
        let priority = draft.priority.map_or(
            if draft.state == State::Master && draft.priority.is_none() && draft.state_given {
                Priority::OWNER
            } else {
                Priority::DEFAULT
            },
            Priority::new,
        );
        if draft.state == State::Master && draft.priority.is_none() {
            self.warning("priority-owner", span, format!("{name}: `state MASTER` without a priority means 255, as in keepalived: tracking has no effect"), "give a priority below 255");
        }
        if let Some(at) = draft.nopreempt.filter(|_| draft.state == State::Master) {
            self.warning(
                "nopreempt-master",
                at,
                "keepalived ignores `nopreempt` with `state MASTER`; here it counts",
                "write `state BACKUP` on all routers",
            );
        }
        if priority == Priority::OWNER
            && draft.priority.is_some()
            && [&draft.tracks.scripts, &draft.tracks.files, &draft.tracks.processes]
                .iter()
                .any(|tracks| !tracks.is_empty())
        {
            self.warning(
                "priority-owner",
                span,
                format!(
                    "{name} has priority 255, the address owner's: weights of what it tracks change nothing"
                ),
                "give a priority below 255",
            );
        }
        if let Some((name, span)) = &interface {
            self.interface(name, *span, without_interface(global, true));
        }
        for address in draft.addresses.iter().chain(&draft.excluded) {
            if let Some(interface) = &address.interface {
                self.interface(interface, address.span, without_interface(global, address.tracked));
            }
        }
        Some(VrrpInstance {
            name,
            span,
            state: draft.state,
            interface: interface?,
            virtual_router_id: VirtualRouterId::new(draft.vrid?)?,
            priority,
            advert_int,
            version,
            family,
            addresses: draft.addresses,
            excluded: draft.excluded,
            routes: draft.routes,
            rules: draft.rules,
            source: draft.source.map(|(address, _)| address),
            unicast_peers: draft.peers,
            check_unicast_src: draft.check_unicast_src.unwrap_or(global.check_unicast_src),
            unicast_ttl: draft.unicast_ttl.unwrap_or(vrrp::REQUIRED_TTL),
            multicast_group: draft
                .multicast_group
                .map(|(g, _)| g)
                .or(global.multicast_group[usize::from(family == Family::Ipv6)]),
            checksum: draft.checksum,
            checksum_fixed: draft.checksum_fixed,
            authentication,
            preempt: draft.nopreempt.is_none(),
            preempt_delay: draft.preempt_delay.map_or(Duration::ZERO, |(d, _)| d),
            down_timer_adverts: draft.down_timer_adverts.or(global.down_timer_adverts).unwrap_or(3),
            answer_lower_priority: !draft.lower_prio_no_advert.unwrap_or(global.lower_prio_no_advert),
            higher_prio_send_advert: draft
                .higher_prio_send_advert
                .or(global.higher_prio_send_advert)
                .unwrap_or(true),
            owner_ignore_adverts: draft.owner_ignore_adverts,
            link: draft.link,
            tracks: draft.tracks,
            garp: draft.garp.or(global.garp),
            notify: draft.notify,
        })
    }

    fn families(&mut self, name: &str, draft: &Draft, family: Family) {
        for address in draft.addresses.iter().filter(|a| Family::of(a.address) != family) {
            self.error(
                "mixed-families",
                address.span,
                format!(
                    "{} among the {family} addresses of {name}: a virtual router has one family",
                    address.address
                ),
                "move it to virtual_ipaddress_excluded, or to an instance of its own in a vrrp_sync_group",
            );
        }
        let mut seen = BTreeMap::new();
        for address in draft.addresses.iter().chain(&draft.excluded) {
            if let Some(first) = seen.insert((address.address, address.interface.as_deref()), address.span) {
                self.push(
                    Diagnostic::new(
                        Severity::Error,
                        "duplicate-address",
                        address.span,
                        format!("{} is an address of {name} twice", address.address),
                    )
                    .related(first, "the other one")
                    .help("remove one of them"),
                );
            }
        }
        if draft.addresses.len() > 255 {
            let span = draft.addresses[255].span;
            self.error(
                "too-many-addresses",
                span,
                "an advertisement carries 255 addresses",
                "move the rest to virtual_ipaddress_excluded",
            );
        }
        if let Some(first) = draft.addresses.first()
            && let IpAddr::V6(address) = first.address
            && !address.is_unicast_link_local()
        {
            self.warning("first-address-not-link-local", first.span, "the first IPv6 address should be link-local (RFC 9568 §5.2.9)", "put the virtual router's fe80:: address first; keepalived works without, other routers may not");
        }
        let other = |address: IpAddr| Family::of(address) != family;
        if let Some((address, span)) = draft.source.filter(|(a, _)| other(*a)) {
            self.error(
                "mixed-families",
                span,
                format!("the source {address} is not {family}"),
                "name an address of the same family",
            );
        }
        if let Some((address, span)) = draft.multicast_group.filter(|(a, _)| other(*a) || !a.is_multicast()) {
            self.error(
                "bad-address",
                span,
                format!("{address} is no {family} multicast group"),
                format!("the standard's is {}", family.group()),
            );
        }
    }

    fn effective_version(&mut self, draft: &Draft, family: Family, global: &GlobalDefs) -> Version {
        match (family, draft.version) {
            (Family::Ipv6, Some((Version::V2, at))) => {
                self.error(
                    "version",
                    at,
                    "VRRPv2 exists for IPv4 only",
                    "remove the line, or write `version 3`",
                );
                Version::V3
            }
            (Family::Ipv6, None) if global.version == Some(Version::V2) => {
                let span = draft.addresses.first().map_or_else(Span::default, |a| a.span);
                self.note("version", span, "vrrp_version 2 counts for IPv4 only: this instance uses VRRPv3");
                Version::V3
            }
            (Family::Ipv6, _) => Version::V3,
            (Family::Ipv4, given) => given.map(|(v, _)| v).or(global.version).unwrap_or(Version::V2),
        }
    }

    fn interval(&mut self, draft: &Draft, version: Version) -> AdvertInterval {
        let Some((duration, at)) = draft.advert_int else { return AdvertInterval::DEFAULT };
        let interval = match version {
            Version::V2 => (duration.subsec_nanos() == 0)
                .then(|| u8::try_from(duration.as_secs()).ok().and_then(AdvertInterval::from_seconds))
                .flatten(),
            Version::V3 => {
                let micros = duration.as_micros();
                // Centiseconds, with room for what a decimal fraction loses.
                let centiseconds = (micros + 5) / 10_000;
                let exact = micros.abs_diff(centiseconds * 10_000) <= 5;
                exact
                    .then(|| u16::try_from(centiseconds).ok().and_then(AdvertInterval::from_centiseconds))
                    .flatten()
            }
        };
        interval.unwrap_or_else(|| {
            let seconds = duration.as_secs_f64();
            let help = match version {
                Version::V2 => {
                    "VRRPv2 has whole seconds from 1 to 255; for less, write `version 3` on all routers"
                }
                Version::V3 => "VRRPv3 has 0.01 to 40.95 seconds in steps of 0.01",
            };
            self.error("value-out-of-range", at, format!("an interval of {seconds} s cannot be sent"), help);
            AdvertInterval::DEFAULT
        })
    }
}
