//! From statements to the typed configuration, block by block. It goes on after an error: all are told.

use std::net::IpAddr;
use std::time::Duration;

use vrrp::{Family, Version};

use crate::configuration::{
    Configuration, GlobalDefs, Notify, SyncGroup, TrackFile, TrackProcess, Tracks, VrrpScript,
};
use crate::diagnostic::{Diagnostic, Severity, did_you_mean};
use crate::keywords;
use crate::source::Span;
use crate::tree::Statement;
use crate::values::Checker;

pub(crate) fn configuration(statements: &[Statement], diagnostics: &mut Vec<Diagnostic>) -> Configuration {
    let mut checker = Checker { diagnostics };
    let mut configuration = Configuration::default();
    // What instances take from global_defs must be known first, wherever it stands.
    for statement in statements.iter().filter(|s| s.keyword() == "global_defs") {
        checker.global_defs(statement, &mut configuration.global);
    }
    let global = configuration.global.clone();
    for statement in statements {
        if !checker.understood(statement, "the file", &[keywords::TOP]) {
            continue;
        }
        match statement.keyword() {
            "net_namespace" => {
                configuration.global.network_namespace = checker.value(statement).map(|w| w.text.clone());
            }
            "vrrp_script" => configuration.scripts.extend(checker.script(statement)),
            "track_file" | "vrrp_track_file" => {
                configuration.track_files.extend(checker.track_file(statement));
            }
            "vrrp_track_process" => configuration.track_processes.extend(checker.track_process(statement)),
            "vrrp_sync_group" => configuration.sync_groups.extend(checker.sync_group(statement)),
            "vrrp_instance" => configuration.instances.extend(checker.instance(statement, &global)),
            _ => {}
        }
    }
    checker.references(&configuration);
    checker.unique(&configuration);
    if configuration.instances.is_empty() {
        let span = statements.first().map_or_else(Span::default, Statement::span);
        checker.warning(
            "nothing-to-do",
            span,
            "no vrrp_instance: there is nothing to do",
            "is this the right file?",
        );
    }
    configuration
}

impl Checker<'_> {
    fn name(&mut self, statement: &Statement) -> Option<(String, Span)> {
        let word = self.value(statement)?;
        Some((word.text.clone(), word.span))
    }

    fn global_defs(&mut self, statement: &Statement, global: &mut GlobalDefs) {
        for line in self.lines(statement) {
            if !self.understood(line, "global_defs", &[keywords::GLOBAL_DEFS]) {
                continue;
            }
            match line.keyword() {
                "router_id" | "lvs_id" => global.router_id = self.value(line).map(|w| w.text.clone()),
                "script_user" => global.script_user = self.user(line),
                "vrrp_version" => global.version = self.version(line),
                "vrrp_garp_master_delay" => global.garp.delay = self.seconds(line, 0.0, 3600.0),
                "vrrp_garp_master_repeat" => global.garp.repeat = self.number(line, 1, 255),
                "vrrp_garp_master_refresh" => global.garp.refresh = self.seconds(line, 0.0, 86400.0),
                "vrrp_garp_master_refresh_repeat" => global.garp.refresh_repeat = self.number(line, 1, 255),
                "vrrp_garp_lower_prio_delay" => {
                    global.garp.lower_prio_delay = self.seconds(line, 0.0, 3600.0);
                }
                "vrrp_garp_lower_prio_repeat" => global.garp.lower_prio_repeat = self.number(line, 0, 255),
                "vrrp_min_garp" if self.switch(line) => {
                    global.garp.repeat = Some(1);
                    global.garp.delay = Some(Duration::ZERO);
                }
                "vrrp_lower_prio_no_advert" => global.lower_prio_no_advert = self.switch(line),
                "vrrp_check_unicast_src" => global.check_unicast_src = self.switch(line),
                "vrrp_startup_delay" => {
                    global.startup_delay = self.seconds(line, 0.0, 3600.0).unwrap_or_default();
                }
                "vrrp_rt_priority" => global.realtime_priority = self.number(line, 1, 99),
                "vrrp_no_swap" => global.no_swap = true,
                "vrrp_mcast_group4" => global.multicast_group[0] = self.group(line, Family::Ipv4),
                "vrrp_mcast_group6" => global.multicast_group[1] = self.group(line, Family::Ipv6),
                "dynamic_interfaces" => global.dynamic_interfaces = true,
                "net_namespace" => global.network_namespace = self.value(line).map(|w| w.text.clone()),
                "notify_fifo" | "vrrp_notify_fifo" => {
                    global.notify_fifo = self.value(line).map(|w| w.text.clone());
                }
                _ => {}
            }
        }
    }

    pub(crate) fn group(&mut self, line: &Statement, family: Family) -> Option<IpAddr> {
        let word = self.value(line)?.clone();
        let address = self.address(&word)?;
        if !address.is_multicast() || Family::of(address) != family {
            let message = format!("{address} is no {family} multicast group");
            self.error("bad-address", word.span, message, format!("the standard's is {}", family.group()));
        }
        Some(address)
    }

    pub(crate) fn version(&mut self, line: &Statement) -> Option<Version> {
        match self.number(line, 2, 3)? {
            2 => Some(Version::V2),
            _ => Some(Version::V3),
        }
    }

    fn script(&mut self, statement: &Statement) -> Option<VrrpScript> {
        let (name, span) = self.name(statement)?;
        let mut script = VrrpScript {
            name,
            span,
            command: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: None,
            weight: 0,
            reverse: false,
            rise: 1,
            fall: 1,
            init_fail: false,
            user: None,
        };
        for line in self.lines(statement) {
            if !self.understood(line, "vrrp_script", &[keywords::SCRIPT]) {
                continue;
            }
            match line.keyword() {
                "script" => script.command = self.command(line).unwrap_or_default(),
                "interval" => script.interval = self.seconds(line, 0.01, 86400.0).unwrap_or(script.interval),
                "timeout" => script.timeout = self.seconds(line, 0.01, 86400.0),
                "weight" => (script.weight, script.reverse) = self.weight(line),
                "rise" => script.rise = self.number(line, 1, 1000).unwrap_or(1),
                "fall" => script.fall = self.number(line, 1, 1000).unwrap_or(1),
                "user" => script.user = self.user(line),
                "init_fail" => script.init_fail = true,
                _ => {}
            }
        }
        if script.command.is_empty() && statement.block.is_some() {
            let message = format!("vrrp_script {} has no `script`", script.name);
            self.error("missing-keyword", span, message, "add script \"PROGRAM ARGUMENTS\"");
        }
        Some(script)
    }

    fn weight(&mut self, line: &Statement) -> (i32, bool) {
        let reverse = line.words.get(2).is_some_and(|w| w.text == "reverse");
        let mut one = line.clone();
        if reverse {
            one.words.truncate(2);
        }
        (self.number(&one, -254, 254).unwrap_or(0), reverse)
    }

    fn track_file(&mut self, statement: &Statement) -> Option<TrackFile> {
        let (name, span) = self.name(statement)?;
        let mut file = TrackFile { name, span, path: String::new(), weight: 1, reverse: false, init: None };
        for line in self.lines(statement) {
            if !self.understood(line, "track_file", &[keywords::TRACK_FILE]) {
                continue;
            }
            match line.keyword() {
                "file" => file.path = self.value(line).map(|w| w.text.clone()).unwrap_or_default(),
                "weight" => (file.weight, file.reverse) = self.weight(line),
                "init_file" => {
                    file.init = Some(line.words.get(1).and_then(|w| w.text.parse().ok()).unwrap_or(0));
                }
                _ => {}
            }
        }
        if file.path.is_empty() {
            let message = format!("track_file {} has no `file`", file.name);
            self.error("missing-keyword", span, message, "add file \"PATH\"");
        }
        Some(file)
    }

    fn track_process(&mut self, statement: &Statement) -> Option<TrackProcess> {
        let (name, span) = self.name(statement)?;
        let mut process = TrackProcess {
            name,
            span,
            process: Vec::new(),
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            terminate_delay: Duration::ZERO,
            fork_delay: Duration::ZERO,
        };
        for line in self.lines(statement) {
            if !self.understood(line, "vrrp_track_process", &[keywords::TRACK_PROCESS]) {
                continue;
            }
            match line.keyword() {
                "process" => process.process = self.command(line).unwrap_or_default(),
                "weight" => (process.weight, process.reverse) = self.weight(line),
                "quorum" => process.quorum = self.number(line, 1, 65535).unwrap_or(1),
                "quorum_max" => process.quorum_max = self.number(line, 0, 65535),
                "delay" => {
                    let delay = self.seconds(line, 0.0, 3600.0).unwrap_or_default();
                    (process.terminate_delay, process.fork_delay) = (delay, delay);
                }
                "fork_delay" => process.fork_delay = self.seconds(line, 0.0, 3600.0).unwrap_or_default(),
                "terminate_delay" => {
                    process.terminate_delay = self.seconds(line, 0.0, 3600.0).unwrap_or_default();
                }
                _ => {}
            }
        }
        if process.process.is_empty() {
            let message = format!("vrrp_track_process {} has no `process`", process.name);
            self.error("missing-keyword", span, message, "add process NAME");
        }
        Some(process)
    }

    fn sync_group(&mut self, statement: &Statement) -> Option<SyncGroup> {
        let (name, span) = self.name(statement)?;
        let mut group = SyncGroup {
            name,
            span,
            members: Vec::new(),
            notify: Notify::default(),
            tracks: Tracks::default(),
        };
        for line in self.lines(statement) {
            if !self.understood(line, "vrrp_sync_group", &[keywords::SYNC_GROUP, keywords::SHARED]) {
                continue;
            }
            if line.keyword() == "group" {
                for member in self.lines(line) {
                    group.members.extend(member.words.iter().map(|w| (w.text.clone(), w.span)));
                }
            } else {
                self.shared(line, &mut group.notify, &mut group.tracks);
            }
        }
        Some(group)
    }

    /// What groups and instances have in common.
    pub(crate) fn shared(&mut self, line: &Statement, notify: &mut Notify, tracks: &mut Tracks) {
        let list = match line.keyword() {
            "track_script" => &mut tracks.scripts,
            "track_file" => &mut tracks.files,
            "track_process" => &mut tracks.processes,
            "track_interface" => &mut tracks.interfaces,
            other => {
                let script = self.notify(line);
                *match other {
                    "notify_master" => &mut notify.master,
                    "notify_backup" => &mut notify.backup,
                    "notify_fault" => &mut notify.fault,
                    "notify_stop" => &mut notify.stop,
                    "notify_deleted" => &mut notify.deleted,
                    "notify_master_rx_lower_pri" => &mut notify.master_rx_lower_pri,
                    _ => &mut notify.any,
                } = script;
                return;
            }
        };
        for entry in self.lines(line) {
            list.extend(self.track(entry));
        }
    }

    /// Names that stand for something defined elsewhere.
    fn references(&mut self, configuration: &Configuration) {
        let scripts: Vec<&str> = configuration.scripts.iter().map(|s| s.name.as_str()).collect();
        let files: Vec<&str> = configuration.track_files.iter().map(|s| s.name.as_str()).collect();
        let processes: Vec<&str> = configuration.track_processes.iter().map(|s| s.name.as_str()).collect();
        let instances: Vec<&str> = configuration.instances.iter().map(|s| s.name.as_str()).collect();
        let all = configuration.instances.iter().map(|i| &i.tracks);
        for tracks in all.chain(configuration.sync_groups.iter().map(|g| &g.tracks)) {
            for (list, known, block) in [
                (&tracks.scripts, &scripts, "vrrp_script"),
                (&tracks.files, &files, "vrrp_track_file"),
                (&tracks.processes, &processes, "vrrp_track_process"),
            ] {
                for track in list {
                    self.defined(&track.name, track.span, known, block);
                }
            }
        }
        for group in &configuration.sync_groups {
            for (member, span) in &group.members {
                self.defined(member, *span, &instances, "vrrp_instance");
            }
        }
    }

    fn defined(&mut self, name: &str, span: Span, known: &[&str], block: &str) {
        if known.contains(&name) {
            return;
        }
        let help = match did_you_mean(name, known.iter().copied()) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => format!("define it: {block} {name} {{ ... }}"),
        };
        self.error("undefined", span, format!("no {block} is named `{name}`"), help);
    }

    /// What may be there only once.
    fn unique(&mut self, configuration: &Configuration) {
        let instances = &configuration.instances;
        for (i, later) in instances.iter().enumerate() {
            for earlier in &instances[..i] {
                let same_vrid = earlier.virtual_router_id == later.virtual_router_id
                    && earlier.family == later.family
                    && earlier.interface.0 == later.interface.0;
                if earlier.name == later.name {
                    let message = format!("two instances are named `{}`", later.name);
                    self.push(
                        Diagnostic::new(Severity::Error, "duplicate-name", later.span, message)
                            .related(earlier.span, "the other one")
                            .help("names tell instances apart on reload: rename one"),
                    );
                } else if same_vrid {
                    let message = format!(
                        "{} and {} both use VRID {} for {} on {}",
                        earlier.name, later.name, later.virtual_router_id, later.family, later.interface.0
                    );
                    self.push(
                        Diagnostic::new(Severity::Error, "duplicate-vrid", later.span, message)
                            .related(earlier.span, "the other one")
                            .help("give one another virtual_router_id, on every router that has it"),
                    );
                }
            }
        }
    }
}
