//! What the agent says of itself.

use control::{AgentStatus, VirtualRouterStatus};
use keepalived_conf::Severity;

use crate::finding::Source;
use crate::{Facts, Finding, catalogue};

/// Reasons that a member's mistaken configuration leads to, as `vrrp::DiscardReason` names them.
const DISAGREEMENTS: [&str; 7] = [
    "version-mismatch",
    "authentication-type-mismatch",
    "authentication-failure",
    "interval-error",
    "transport-mismatch",
    "unknown-peer",
    "ip-ttl-error",
];

pub(super) fn examine(facts: &Facts, findings: &mut Vec<Finding>) {
    if facts.agent_absent {
        findings.push(
            Finding::new(
                &catalogue::AGENT_ABSENT,
                "this host",
                "no standfastd answers on a control socket in this network namespace",
            )
            .saying(Source::Agent, format!("no socket in {}", control::runtime_directory().display()))
            .mended_by("start it", "systemctl start standfastd    # or: monit start keepalived"),
        );
    }
    for agent in &facts.agents {
        reload(agent, findings);
        for router in &agent.virtual_routers {
            if !facts.concerns_router(router) {
                continue;
            }
            held(router, findings);
            installed(router, findings);
            dropped(router, findings);
            hears_nobody(router, findings);
        }
    }
}

fn reload(agent: &AgentStatus, findings: &mut Vec<Finding>) {
    if let Some(error) = &agent.last_reload_error {
        findings.push(
            Finding::new(
                &catalogue::RELOAD_FAILED,
                &agent.configuration,
                "the agent runs with an older configuration",
            )
            .saying(Source::Agent, error)
            .mended_by(
                "mend the file and reload",
                format!("standfast check {} && kill -HUP {}", agent.configuration, agent.pid),
            ),
        );
    }
}

fn held(router: &VirtualRouterStatus, findings: &mut Vec<Finding>) {
    if router.state != "initialize" {
        return;
    }
    let because = if router.holds.is_empty() { router.last_event.clone() } else { router.holds.join(", ") };
    let (text, command) = match router.holds.first().map(String::as_str) {
        Some("interface-down") => ("bring the link up", format!("ip link set {} up", router.interface)),
        Some("no-primary-address") => (
            "adverts need a source address on the interface",
            format!("ip address show dev {}", router.interface),
        ),
        Some("track-failed") => ("see which check fails", "standfast status".to_owned()),
        Some("address-failed") => ("see why the kernel refused", "standfast events".to_owned()),
        Some("stopped") => ("start it", "systemctl start standfastd".to_owned()),
        _ => ("see what holds it", "standfast status".to_owned()),
    };
    findings.push(
        Finding::new(
            &catalogue::AGENT_HELD,
            &router.name,
            format!("{} is in Initialize: {because}", router.name),
        )
        .saying(Source::Agent, format!("state initialize, held by: {because}"))
        .mended_by(text, command),
    );
}

fn installed(router: &VirtualRouterStatus, findings: &mut Vec<Finding>) {
    if router.state != "active" {
        return;
    }
    for address in router.addresses.iter().filter(|a| !a.installed) {
        findings.push(
            Finding::new(
                &catalogue::ADDRESS_NOT_INSTALLED,
                &address.address,
                format!("{} is Active, but {} is not on {}", router.name, address.address, address.interface),
            )
            .saying(Source::Agent, format!("asked the kernel just now: not on {}", address.interface))
            .mended_by("see who removes it", format!("ip monitor address dev {}", address.interface)),
        );
    }
}

fn dropped(router: &VirtualRouterStatus, findings: &mut Vec<Finding>) {
    for discard in router.discards.iter().filter(|d| d.count > 0) {
        let peer = discard.peer.as_deref().unwrap_or("some router");
        let pitfall = if DISAGREEMENTS.contains(&discard.reason.as_str()) {
            &catalogue::ADVERTS_DROPPED
        } else {
            &catalogue::BAD_PACKETS
        };
        findings.push(
            Finding::new(
                pitfall,
                format!("{} and {peer}", router.name),
                format!("{} drops what {peer} sends: {}", router.name, discard.explanation),
            )
            .saying(Source::Agent, format!("{} dropped, reason {}", discard.count, discard.reason))
            .mended_by("make both configurations agree", "standfast check FILE    # on both, and compare"),
        );
    }
}

/// An Active that never heard anybody: alone, or deaf.
fn hears_nobody(router: &VirtualRouterStatus, findings: &mut Vec<Finding>) {
    let deaf = router.state == "active"
        && router.last_advert_ms.is_none()
        && router.statistics.advertisement_rcvd == 0
        && router.statistics.discarded == 0;
    if deaf {
        findings.push(
            Finding::new(
                &catalogue::MULTICAST_NOT_DELIVERED,
                &router.name,
                format!(
                    "{} is Active and has never heard another router on {}",
                    router.name, router.interface
                ),
            )
            .as_severity(Severity::Note)
            .saying(
                Source::Agent,
                format!("{} adverts sent, none received", router.statistics.advertisement_sent),
            )
            .mended_by(
                "right while no other member has been up; otherwise see whether protocol 112 passes",
                format!("tcpdump -ni {} proto 112", router.interface),
            ),
        );
    }
}
