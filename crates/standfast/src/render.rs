//! The status as a table.

use std::fmt::Write as _;

use control::AgentStatus;

fn ago(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{:.1} s", std::time::Duration::from_millis(ms).as_secs_f64()),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// One agent.
pub(crate) fn status(status: &AgentStatus) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "agent {} (pid {}), {}", status.version, status.pid, status.configuration);
    if let Some(error) = &status.last_reload_error {
        let _ = writeln!(text, "  last reload changed nothing: {error}");
    }
    let _ = writeln!(
        text,
        "{:<16} {:<10} {:>4} {:<11} {:>8} {:>4}  Active",
        "NAME", "INTERFACE", "VRID", "STATE", "SINCE", "PRIO"
    );
    for vr in &status.virtual_routers {
        let active = vr.active_address.as_deref().unwrap_or("nobody heard");
        let _ = writeln!(
            text,
            "{:<16} {:<10} {:>4} {:<11} {:>8} {:>4}  {active}",
            vr.name,
            vr.interface,
            vr.vrid,
            vr.state,
            ago(vr.since_ms),
            vr.effective_priority
        );
        let _ = writeln!(text, "    because: {}", vr.last_event);
        if vr.effective_priority != vr.priority || !vr.priority_changes.is_empty() {
            let _ =
                writeln!(text, "    priority {} configured; {}", vr.priority, vr.priority_changes.join(", "));
        }
        if !vr.holds.is_empty() {
            let _ = writeln!(text, "    held by: {}", vr.holds.join(", "));
        }
        if vr.handed_over {
            let _ = writeln!(text, "    handed over; `standfast handover --take-back {}` ends that", vr.name);
        }
        for address in &vr.addresses {
            let there = match (address.installed, address.foreign) {
                (true, true) => "answers here, configured by somebody else: never removed",
                (true, false) => "answers here",
                (false, _) => "not here",
            };
            let _ = writeln!(text, "    {} on {}: {there}", address.address, address.interface);
        }
        for discard in &vr.discards {
            let peer = discard.peer.as_deref().unwrap_or("?");
            let _ = writeln!(
                text,
                "    dropped {} from {peer}: {} ({})",
                discard.count, discard.explanation, discard.reason
            );
        }
    }
    for track in &status.tracks {
        let _ = writeln!(text, "{} {}: {} ({})", track.kind, track.name, track.state, track.detail);
    }
    text
}
