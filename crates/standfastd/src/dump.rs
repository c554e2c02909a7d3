//! What signals make the agent write, in keepalived's form: scripts and exporters read it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use control::{AgentStatus, VirtualRouterStatus};

/// Written beside and put in place at once: a reader never sees half of it, and a link is not followed.
pub(crate) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", path.extension().unwrap_or_default().display()));
    // What a killed process left is in the way of `create_new`.
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(&beside)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&beside, path)
}

fn word(vr: &VirtualRouterStatus) -> &'static str {
    match vr.state.as_str() {
        "active" => "MASTER",
        "backup" => "BACKUP",
        _ => "FAULT",
    }
}

fn discarded(vr: &VirtualRouterStatus, reason: &str) -> u64 {
    vr.discards.iter().filter(|d| d.reason == reason).map(|d| d.count).sum()
}

fn last_transition(vr: &VirtualRouterStatus) -> f64 {
    let at = SystemTime::now() - Duration::from_millis(vr.since_ms);
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn milliseconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

/// `keepalived.stats`.
pub(crate) fn stats(status: &AgentStatus) -> String {
    let mut text = String::new();
    for vr in &status.virtual_routers {
        let s = &vr.statistics;
        // Writing to a String cannot fail; so below.
        let _ = write!(
            text,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  Released \
             master: {}\n  Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    Advertisement \
             Interval: {}\n    Address List: {}\n  Authentication Errors:\n    Invalid Type: 0\n    Type Mismatch: \
             {}\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    Sent: {}\n",
            vr.name,
            s.advertisement_rcvd,
            s.advertisement_sent,
            s.new_active_transitions,
            released(vr),
            discarded(vr, "packet-length-error"),
            discarded(vr, "ip-ttl-error"),
            discarded(vr, "invalid-type"),
            discarded(vr, "interval-error"),
            s.address_list_errors,
            discarded(vr, "authentication-type-mismatch"),
            discarded(vr, "authentication-failure"),
            s.priority_zero_pkts_rcvd,
            s.priority_zero_pkts_sent,
        );
    }
    text
}

/// How often it was Active and is no longer.
fn released(vr: &VirtualRouterStatus) -> u64 {
    vr.statistics.new_active_transitions.saturating_sub(u64::from(vr.state == "active"))
}

/// `keepalived.data`: what exporters read of it.
pub(crate) fn data(status: &AgentStatus) -> String {
    let mut text = String::from("------< VRRP Topology >------\n");
    for vr in &status.virtual_routers {
        let at = last_transition(vr);
        let _ = write!(
            text,
            " VRRP Instance = {}\n   VRRP Version = {}\n   State = {}\n   Wantstate = {}\n   Last transition = \
             {at:.6}\n   Interface = {}\n   Virtual Router ID = {}\n   Priority = {}\n   Effective priority = {}\n   \
             Total priority = {}\n   Advert interval = {} milli-sec\n   Virtual IP ({}):\n",
            vr.name,
            vr.version,
            word(vr),
            word(vr),
            vr.interface,
            vr.vrid,
            vr.priority,
            vr.effective_priority,
            vr.effective_priority,
            vr.advertise_interval_ms,
            vr.addresses.len(),
        );
        for address in &vr.addresses {
            let set = if address.installed { " set" } else { "" };
            let _ = writeln!(text, "     {} dev {} scope global{set}", address.address, address.interface);
        }
    }
    text
}

/// `keepalived.json`.
pub(crate) fn json(status: &AgentStatus) -> String {
    let of = |vr: &VirtualRouterStatus| {
        let s = &vr.statistics;
        let state = match vr.state.as_str() {
            "active" => 2,
            "backup" => 1,
            _ => 3,
        };
        let held = vr.addresses.iter().any(|a| a.installed);
        let addresses: Vec<String> = vr
            .addresses
            .iter()
            .map(|a| {
                let set = if a.installed { " set" } else { "" };
                format!("{} dev {} scope global{set}", a.address, a.interface)
            })
            .collect();
        serde_json::json!({
            "data": {
                "iname": vr.name, "ifp_ifname": vr.interface, "vrid": vr.vrid, "version": vr.version,
                "master_priority": vr.active_priority.unwrap_or(0), "last_transition": last_transition(vr),
                "base_priority": vr.priority, "effective_priority": vr.effective_priority, "vipset": held,
                "adver_int": milliseconds(vr.advertise_interval_ms),
                "master_adver_int": milliseconds(vr.active_advertise_interval_ms),
                "accept": 1, "state": state, "wantstate": state, "vips": addresses,
            },
            "stats": {
                "advert_rcvd": s.advertisement_rcvd, "advert_sent": s.advertisement_sent,
                "become_master": s.new_active_transitions, "release_master": released(vr),
                "packet_len_err": discarded(vr, "packet-length-error"),
                "advert_interval_err": discarded(vr, "interval-error"),
                "ip_ttl_err": discarded(vr, "ip-ttl-error"),
                "invalid_type_rcvd": discarded(vr, "invalid-type"),
                "addr_list_err": s.address_list_errors, "invalid_authtype": 0,
                "authtype_mismatch": discarded(vr, "authentication-type-mismatch"),
                "auth_failure": discarded(vr, "authentication-failure"),
                "pri_zero_rcvd": s.priority_zero_pkts_rcvd, "pri_zero_sent": s.priority_zero_pkts_sent,
            },
        })
    };
    let all: Vec<_> = status.virtual_routers.iter().map(of).collect();
    format!("{}\n", serde_json::Value::Array(all))
}
