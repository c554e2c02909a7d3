//! From statements to the typed configuration, block by block. It goes on after an error: all are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp::{Family, Version};

use crate::Environment;
use crate::configuration::{
    Configuration, GlobalDefs, Notify, SyncGroup, TrackFile, TrackProcess, Tracks, VrrpScript,
};
use crate::diagnostic::{Diagnostic, Findings, Severity, did_you_mean};
use crate::keywords::{Context, Keyword};
use crate::source::{Program, Span};
use crate::tree::Statement;
use crate::values::{Checker, without_interface};

pub(crate) fn configuration(
    statements: &[Statement],
    environment: &Environment<'_>,
    findings: &mut Findings,
) -> Configuration {
    let mut checker = Checker {
        findings,
        loader: environment.loader,
        interfaces: environment.interfaces,
        own_priorities: [0; 2],
    };
    let mut configuration = Configuration::default();
    let entries = checker.known(statements, Context::File);
    // What instances take from global_defs must be known first, wherever it stands.
    for (_, statement) in entries.lines.iter().filter(|(keyword, _)| keyword.name == "global_defs") {
        checker.global_defs(statement, &mut configuration.global);
    }
    let global = configuration.global.clone();
    for (keyword, statement) in &entries.lines {
        match keyword.name {
            "net_namespace" => configuration.global.network_namespace = checker.text(statement),
            "vrrp_script" => configuration.scripts.extend(checker.script(statement, &global)),
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
    checker.groups(&configuration);
    // keepalived runs on without an instance; on reload it drops every address.
    if entries.lacks("vrrp_instance") {
        let span = statements.first().map_or_else(Span::default, Statement::span);
        checker.error(
            "nothing-to-do",
            span,
            "no vrrp_instance: there is nothing to do",
            "is this the right file, and is it complete?",
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
        for (keyword, line) in self.entries(statement, Context::GlobalDefs).lines {
            match keyword.name {
                "router_id" | "lvs_id" => global.router_id = self.text(line),
                "script_user" => global.script_user = self.user(line),
                "enable_script_security" => global.script_security = true,
                "vrrp_version" => global.version = self.version(keyword, line),
                "vrrp_garp_master_delay" => global.garp.delay = self.seconds(keyword, line),
                "vrrp_garp_master_repeat" => global.garp.repeat = self.whole(keyword, line),
                "vrrp_garp_master_refresh" => global.garp.refresh = self.seconds(keyword, line),
                "vrrp_garp_master_refresh_repeat" => {
                    global.garp.refresh_repeat = self.whole(keyword, line);
                }
                "vrrp_garp_lower_prio_delay" => global.garp.lower_prio_delay = self.seconds(keyword, line),
                "vrrp_garp_lower_prio_repeat" => global.garp.lower_prio_repeat = self.whole(keyword, line),
                "vrrp_min_garp" if self.switch(line) => {
                    global.garp.repeat = Some(1);
                    global.garp.delay = Some(Duration::ZERO);
                }
                "vrrp_down_timer_adverts" => global.down_timer_adverts = self.whole(keyword, line),
                "vrrp_lower_prio_no_advert" => global.lower_prio_no_advert = self.switch(line),
                "vrrp_higher_prio_send_advert" => global.higher_prio_send_advert = Some(self.switch(line)),
                "vrrp_check_unicast_src" => global.check_unicast_src = self.switch(line),
                "vrrp_startup_delay" => {
                    global.startup_delay = self.seconds(keyword, line).unwrap_or_default();
                }
                "vrrp_rt_priority" => global.realtime_priority = self.whole(keyword, line),
                "vrrp_priority" => global.nice = self.whole(keyword, line),
                "vrrp_cpu_affinity" => global.cpu_affinity = self.cpus(line),
                "vrrp_no_swap" => global.no_swap = self.switch(line),
                "vrrp_mcast_group4" => global.multicast_group[0] = self.group(line, Family::Ipv4),
                "vrrp_mcast_group6" => global.multicast_group[1] = self.group(line, Family::Ipv6),
                "dynamic_interfaces" => global.dynamic_interfaces = true,
                "net_namespace" => global.network_namespace = self.text(line),
                "notify_fifo" | "vrrp_notify_fifo" => global.notify_fifo = self.fifo(line),
                "notify_fifo_script" | "vrrp_notify_fifo_script" => {
                    global.notify_fifo_script = self.notify(line);
                }
                "state_dump_file" => global.state_dump_file = self.text(line),
                "stats_dump_file" => global.stats_dump_file = self.text(line),
                "json_dump_file" => global.json_dump_file = self.text(line),
                _ => {}
            }
        }
    }

    fn cpus(&mut self, line: &Statement) -> Vec<u32> {
        let mut cpus = Vec::new();
        for word in line.words.iter().skip(1) {
            match word.text.parse().ok().filter(|cpu| *cpu < 8192) {
                Some(cpu) => cpus.push(cpu),
                None => self.error(
                    "value-out-of-range",
                    word.span,
                    format!("`{}` is no CPU", word.text),
                    "name CPUs by their numbers, from 0",
                ),
            }
        }
        if line.words.len() < 2 {
            self.value(line);
        }
        cpus
    }

    /// `PATH [USER [GROUP]]`.
    fn fifo(&mut self, line: &Statement) -> Option<String> {
        if let Some(owner) = line.words.get(2) {
            self.note(
                "no-effect",
                owner.span,
                "the pipe is made for root and its group, whoever is named here",
            );
        }
        self.text(line)
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

    pub(crate) fn version(&mut self, keyword: &Keyword, line: &Statement) -> Option<Version> {
        match self.whole::<u8>(keyword, line)? {
            2 => Some(Version::V2),
            _ => Some(Version::V3),
        }
    }

    fn script(&mut self, statement: &Statement, global: &GlobalDefs) -> Option<VrrpScript> {
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
        let entries = self.entries(statement, Context::Script);
        for (keyword, line) in &entries.lines {
            match keyword.name {
                "script" => {
                    script.command = self.command(line).unwrap_or_default();
                    self.check_program(&script.command, line, global);
                }
                "interval" => script.interval = self.seconds(keyword, line).unwrap_or(script.interval),
                "timeout" => script.timeout = self.seconds(keyword, line),
                "weight" => (script.weight, script.reverse) = self.weight(line, 254),
                "rise" => script.rise = self.whole(keyword, line).unwrap_or(1),
                "fall" => script.fall = self.whole(keyword, line).unwrap_or(1),
                "user" => script.user = self.user(line),
                "init_fail" => script.init_fail = true,
                _ => {}
            }
        }
        if statement.block.is_some() && entries.lacks("script") {
            let message = format!("vrrp_script {} has no `script`", script.name);
            self.error("missing-keyword", span, message, "add script \"PROGRAM ARGUMENTS\"");
        }
        Some(script)
    }

    fn check_program(&mut self, command: &[String], line: &Statement, global: &GlobalDefs) {
        let (Some(program), Some(word)) = (command.first(), line.words.get(1)) else { return };
        // keepalived runs on without the check.
        self.program(program, word.span, Severity::Error);
        if self.loader.program(program) == (Program::Runs { writable_by_others: true }) {
            let severity = if global.script_security { Severity::Error } else { Severity::Warning };
            let message =
                format!("others than root may replace {program}, and so lower the priority at will");
            self.push(
                Diagnostic::new(severity, "program", word.span, message)
                    .help("take write access to it and to the directories above it from group and others"),
            );
        }
    }

    /// `NUMBER [reverse]`.
    fn weight(&mut self, line: &Statement, most: i32) -> (i32, bool) {
        let Some(word) = self.value(line) else { return (0, false) };
        let weight = word.text.parse().ok().filter(|w| (-most..=most).contains(w));
        if weight.is_none() {
            self.error(
                "value-out-of-range",
                word.span,
                format!("`{}` is no value for `weight`", word.text),
                format!("a whole number from -{most} to {most} is needed"),
            );
        }
        let mut reverse = false;
        for word in line.words.iter().skip(2) {
            if word.text == "reverse" {
                reverse = true;
            } else {
                let message = format!("`{}` is not known behind a weight", word.text);
                self.error("extra-value", word.span, message, "write `weight NUMBER [reverse]`");
            }
        }
        (weight.unwrap_or(0), reverse)
    }

    fn track_file(&mut self, statement: &Statement) -> Option<TrackFile> {
        let (name, span) = self.name(statement)?;
        let mut file = TrackFile { name, span, path: String::new(), weight: 1, reverse: false, init: None };
        let entries = self.entries(statement, Context::TrackFile);
        for (keyword, line) in &entries.lines {
            match keyword.name {
                "file" => file.path = self.text(line).unwrap_or_default(),
                "weight" => (file.weight, file.reverse) = self.weight(line, i32::MAX),
                "init_file" => file.init = Some(self.init_file(line)),
                _ => {}
            }
        }
        if statement.block.is_some() && entries.lacks("file") {
            let message = format!("track_file {} has no `file`", file.name);
            self.error("missing-keyword", span, message, "add file \"PATH\"");
        }
        Some(file)
    }

    /// `[NUMBER] [overwrite]`.
    fn init_file(&mut self, line: &Statement) -> i32 {
        let mut value = 0;
        for word in line.words.iter().skip(1) {
            match (word.text.parse(), word.text.as_str()) {
                (Ok(number), _) => value = number,
                (_, "overwrite") => self.error(
                    "not-built",
                    word.span,
                    "`overwrite` is known but not built",
                    "leave it out, or write the file before the agent starts",
                ),
                (_, other) => self.error(
                    "value-out-of-range",
                    word.span,
                    format!("`{other}` is no value for `init_file`"),
                    "a whole number is needed",
                ),
            }
        }
        value
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
        let entries = self.entries(statement, Context::TrackProcess);
        for (keyword, line) in &entries.lines {
            match keyword.name {
                "process" => {
                    self.value(line);
                    process.process = line.words.iter().skip(1).map(|word| word.text.clone()).collect();
                }
                "weight" => (process.weight, process.reverse) = self.weight(line, 254),
                "quorum" => process.quorum = self.whole(keyword, line).unwrap_or(1),
                "quorum_max" => process.quorum_max = self.whole(keyword, line),
                "delay" => {
                    let delay = self.seconds(keyword, line).unwrap_or_default();
                    (process.terminate_delay, process.fork_delay) = (delay, delay);
                }
                "fork_delay" => process.fork_delay = self.seconds(keyword, line).unwrap_or_default(),
                "terminate_delay" => {
                    process.terminate_delay = self.seconds(keyword, line).unwrap_or_default();
                }
                _ => {}
            }
        }
        if statement.block.is_some() && entries.lacks("process") {
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
        let entries = self.entries(statement, Context::SyncGroup);
        for (keyword, line) in &entries.lines {
            if keyword.name == "group" {
                for member in self.lines(line) {
                    group.members.extend(member.words.iter().map(|w| (w.text.clone(), w.span)));
                }
            } else {
                self.shared(line, &mut group.notify, &mut group.tracks);
            }
        }
        let told = !entries.lacks("group") && !entries.lines.iter().any(|(k, _)| k.name == "group");
        if statement.block.is_some() && group.members.is_empty() && !told {
            let message = format!("vrrp_sync_group {} has no member", group.name);
            self.error("missing-keyword", span, message, "add group { INSTANCE ... }, a name a line");
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
            // In keepalived it then only changes the word that others are told.
            "notify_deleted" if line.words.len() == 1 => {
                self.note("no-effect", line.span(), "`notify_deleted` has no effect here without a script");
                return;
            }
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
        // Sets, since there may be thousands of each.
        let scripts: BTreeSet<&str> = configuration.scripts.iter().map(|s| s.name.as_str()).collect();
        let files: BTreeSet<&str> = configuration.track_files.iter().map(|s| s.name.as_str()).collect();
        let processes: BTreeSet<&str> =
            configuration.track_processes.iter().map(|s| s.name.as_str()).collect();
        let instances: BTreeSet<&str> = configuration.instances.iter().map(|s| s.name.as_str()).collect();
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
        let missing = without_interface(&configuration.global, true);
        let all = configuration.instances.iter().map(|i| &i.tracks);
        for tracks in all.chain(configuration.sync_groups.iter().map(|g| &g.tracks)) {
            for track in &tracks.interfaces {
                self.interface(&track.name, track.span, missing);
            }
        }
        for group in &configuration.sync_groups {
            for (member, span) in &group.members {
                self.defined(member, *span, &instances, "vrrp_instance");
            }
        }
    }

    fn defined(&mut self, name: &str, span: Span, known: &BTreeSet<&str>, block: &str) {
        if known.contains(name) {
            return;
        }
        let near = (!self.findings.full()).then(|| did_you_mean(name, known.iter().copied())).flatten();
        let help = match near {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => format!("define it: {block} {name} {{ ... }}"),
        };
        self.error("undefined", span, format!("no {block} is named `{name}`"), help);
    }

    /// What may be there only once.
    fn unique(&mut self, configuration: &Configuration) {
        let instances = &configuration.instances;
        self.unique_names("vrrp_instance", instances.iter().map(|i| (i.name.as_str(), i.span)));
        self.unique_names("vrrp_script", configuration.scripts.iter().map(|s| (s.name.as_str(), s.span)));
        self.unique_names("track_file", configuration.track_files.iter().map(|s| (s.name.as_str(), s.span)));
        let processes = configuration.track_processes.iter();
        self.unique_names("vrrp_track_process", processes.map(|s| (s.name.as_str(), s.span)));
        self.unique_names(
            "vrrp_sync_group",
            configuration.sync_groups.iter().map(|s| (s.name.as_str(), s.span)),
        );
        let mut routers = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for instance in instances {
            let (interface, _) = &instance.interface;
            let vrid = instance.virtual_router_id.get();
            let key = (interface.as_str(), instance.family == Family::Ipv6, vrid);
            if let Some(earlier) = routers.insert(key, instance) {
                let message = format!(
                    "{} and {} both use VRID {vrid} for {} on {interface}",
                    earlier.name, instance.name, instance.family,
                );
                self.push(
                    Diagnostic::new(Severity::Error, "duplicate-vrid", instance.span, message)
                        .related(earlier.span, "the other one")
                        .help("give one another virtual_router_id, on every router that has it"),
                );
            }
            for address in instance.addresses.iter().chain(&instance.excluded) {
                let interface = address.interface.as_deref().unwrap_or(interface);
                let earlier = addresses.insert((address.address, interface), (instance, address.span));
                if let Some((earlier, span)) = earlier.filter(|(earlier, _)| earlier.name != instance.name) {
                    let message = format!("{} is an address of {} too", address.address, earlier.name);
                    self.push(
                        Diagnostic::new(Severity::Error, "duplicate-address", address.span, message)
                            .related(span, "the other one")
                            .help(
                                "two virtual routers would add and remove it against each other: remove one",
                            ),
                    );
                }
            }
        }
    }

    fn unique_names<'n>(&mut self, block: &str, names: impl Iterator<Item = (&'n str, Span)>) {
        let mut seen = BTreeMap::new();
        for (name, span) in names {
            if let Some(first) = seen.insert(name, span) {
                let message = format!("two {block} are named `{name}`");
                self.push(
                    Diagnostic::new(Severity::Error, "duplicate-name", span, message)
                        .related(first, "the other one")
                        .help("rename one"),
                );
            }
        }
    }

    /// What members of a group may not do.
    fn groups(&mut self, configuration: &Configuration) {
        let mut member_of = BTreeMap::new();
        for group in &configuration.sync_groups {
            for (member, span) in &group.members {
                if let Some((other, first)) = member_of.insert(member.as_str(), (&group.name, *span)) {
                    let message = format!("`{member}` is in the group {other} already");
                    self.push(
                        Diagnostic::new(Severity::Error, "two-groups", *span, message)
                            .related(first, "here")
                            .help("a virtual router moves with one group: remove it from the other"),
                    );
                }
            }
        }
        for instance in &configuration.instances {
            let Some((group, _)) = member_of.get(instance.name.as_str()) else { continue };
            let tracks = &instance.tracks;
            let all =
                tracks.scripts.iter().chain(&tracks.files).chain(&tracks.processes).chain(&tracks.interfaces);
            for track in all.filter(|track| track.weight.is_some_and(|weight| weight != 0)) {
                self.warning(
                    "weight-in-group",
                    track.span,
                    format!(
                        "{} is in the group {group}: keepalived takes this weight as 0, here it counts",
                        instance.name
                    ),
                    format!("track it in the group {group}, or without a weight"),
                );
            }
        }
    }
}
