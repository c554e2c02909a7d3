//! Configurations as deployments write them, in our own words after their templates. Each is read as it stands;
//! what is said of it is listed here, and nothing else may be said.

use std::path::Path;

use keepalived_conf::{
    Configuration, Environment, FileLoader, FileSystem, Outcome, RuleAction, State, VirtualRoute,
};

/// The programs and links of those hosts are not here.
struct Text;

impl FileLoader for Text {
    fn read(&self, path: &str) -> Result<String, String> {
        FileSystem.read(path)
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String> {
        FileSystem.expand(from, pattern)
    }
}

fn read(name: &str) -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let environment = Environment { loader: &Text, config_id: None, interfaces: None };
    keepalived_conf::read(&path.display().to_string(), &environment)
}

/// What is said, without the file's name and the mends.
fn said(outcome: &Outcome) -> Vec<String> {
    outcome
        .diagnostics
        .iter()
        .map(|d| {
            let (line, column, _) = outcome.sources.locate(d.span);
            format!("{line}:{column}: {:?}[{}]: {}", d.severity, d.id, d.message)
        })
        .collect()
}

#[track_caller]
fn runs(name: &str, expected: &[&str]) -> Configuration {
    let outcome = read(name);
    assert_eq!(said(&outcome), expected, "{name}");
    outcome.configuration.unwrap_or_default()
}

#[test]
fn haproxy_boshrelease_runs_unchanged_on_the_bootstrap_node() {
    let configuration = runs(
        "haproxy-boshrelease-bootstrap.conf",
        &["22:3: Note[no-prefix]: 10.0.0.100 without a prefix is taken as /32, as keepalived does"],
    );
    let instance = &configuration.instances[0];
    assert_eq!(configuration.global.router_id.as_deref(), Some("haproxy"));
    assert_eq!(configuration.scripts[0].command, ["killall", "-0", "haproxy"]);
    assert_eq!(
        (instance.state, instance.priority.get(), instance.virtual_router_id.get()),
        (State::Master, 101, 1)
    );
    assert_eq!((instance.addresses[0].prefix_len, instance.unicast_peers.is_none()), (32, true));
    assert_eq!(configuration.scripts[0].weight, 2);
}

#[test]
fn haproxy_boshrelease_runs_unchanged_on_the_others() {
    let configuration = runs(
        "haproxy-boshrelease-other.conf",
        &[
            "14:8: Warning[state-slave]: `state SLAVE` is read as BACKUP, as keepalived does",
            "24:3: Note[no-prefix]: 10.0.0.100 without a prefix is taken as /32, as keepalived does",
        ],
    );
    assert_eq!(configuration.instances[0].state, State::Backup);
    assert_eq!(configuration.instances[0].link, keepalived_conf::Fallibility::Ignore);
}

#[test]
fn haproxy_boshrelease_s_template_is_not_a_configuration_before_its_start_script() {
    let outcome = read("haproxy-boshrelease-template.conf");
    assert_eq!(
        said(&outcome),
        [
            "18:2: Error[interface-auto]: `interface auto` is a placeholder",
            "22:3: Note[no-prefix]: 10.0.0.100 without a prefix is taken as /32, as keepalived does",
        ]
    );
}

#[test]
fn openshift_runs_unchanged() {
    let configuration = runs(
        "openshift-mco.conf",
        &[
            "5:5: Note[no-effect]: `max_auto_priority` has no effect here: a late thread takes no lateness for silence; see vrrp_rt_priority",
            "47:19: Warning[password-cut]: auth_pass is cut to 8 bytes, as keepalived does",
            "71:19: Warning[password-cut]: auth_pass is cut to 8 bytes, as keepalived does",
        ],
    );
    assert_eq!(configuration.instances.len(), 2);
    assert_eq!(configuration.instances[0].authentication, Some(*b"mycluste"));
    assert_eq!(configuration.instances[0].addresses[0].label.as_deref(), Some("vip"));
    assert_eq!(configuration.global.script_user, Some(("keepalived_script".into(), None)));
}

#[test]
fn vyos_runs_unchanged() {
    let configuration = runs(
        "vyos.conf",
        &[
            "9:5: Note[no-effect]: `vrrp_garp_interval` has no effect here: announcements leave in one batch per link",
        ],
    );
    assert_eq!(configuration.instances.len(), 3);
    assert_eq!(configuration.sync_groups[0].members.len(), 3);
    let fifo_script = configuration.global.notify_fifo_script.map(|script| script.command);
    assert_eq!(fifo_script, Some(vec!["/usr/libexec/vyos/system/keepalived-fifo.py".to_owned()]));
}

#[test]
fn vyos_with_the_standard_s_mac_is_refused_with_what_to_do() {
    let mac = "is known but not built";
    assert_eq!(
        said(&read("vyos-rfc-mac.conf")),
        [
            format!("8:5: Error[not-built]: `use_vmac` {mac}"),
            format!("9:5: Error[not-built]: `vmac_xmit_base` {mac}"),
        ]
    );
}

#[test]
fn a_pair_of_haproxy_hosts_runs_unchanged() {
    let configuration = runs("haproxy-pair.conf", &[]);
    assert_eq!(configuration.track_processes[0].process, ["haproxy"]);
    assert_eq!(configuration.track_files[0].init, Some(0));
    assert!(configuration.instances[0].excluded[0].duplicate_detection);
}

fn prefix(route: &VirtualRoute) -> String {
    format!("{}/{}", route.destination.0, route.destination.1)
}

/// The routes of an amphora send the answers of the address through its own table.
#[test]
fn octavia_runs_unchanged() {
    let configuration = runs(
        "octavia.conf",
        &[
            "17:5: Warning[nopreempt-master]: keepalived ignores `nopreempt` with `state MASTER`; here it counts",
            "18:5: Note[no-effect]: `accept` has no effect here: accept mode is on",
        ],
    );
    let instance = &configuration.instances[0];
    let [subnet, default] = &instance.routes[..] else { panic!("{:?}", instance.routes) };
    assert_eq!((prefix(subnet), subnet.table, subnet.scope), ("10.10.0.0/24".into(), 1, 253));
    assert_eq!(subnet.source, Some("10.10.0.100".parse().unwrap()));
    assert_eq!((prefix(default), default.nexthops[0].onlink), ("0.0.0.0/0".into(), true));
    let [rule] = &instance.rules[..] else { panic!("{:?}", instance.rules) };
    assert_eq!((rule.action, rule.priority), (RuleAction::Table(1), 100));
    assert_eq!(rule.from, Some(("10.10.0.100".parse().unwrap(), 32)));
}

/// The routes of a Neutron router are its way out.
#[test]
fn neutron_runs_unchanged() {
    let mail = "2:5: Note[no-effect]: `notification_email_from` has no effect here: no mail is sent; use notify scripts or `standfast events`";
    let configuration = runs("neutron-l3-ha.conf", &[mail]);
    let tracked: Vec<bool> = configuration.instances[0].excluded.iter().map(|a| a.tracked).collect();
    assert_eq!((tracked, configuration.instances[0].addresses[0].tracked), (vec![false; 3], true));
    let [default] = &configuration.instances[0].routes[..] else { panic!("{configuration:?}") };
    assert_eq!((prefix(default), default.protocol, default.tracked), ("0.0.0.0/0".into(), Some(4), false));
    assert_eq!(default.nexthops[0].interface.as_deref(), Some("qg-33cc44dd"));
}

#[test]
fn every_file_of_the_corpus_is_read_by_a_test() {
    let here = include_str!("corpus.rs");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(here.contains(&format!("\"{name}\"")), "{name}");
    }
}
