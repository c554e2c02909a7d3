//! What the configuration file says.

use std::time::Duration;

use keepalived_conf::{Configuration, Severity, VrrpInstance};

use crate::finding::Source;
use crate::{Facts, Finding, catalogue};

pub(super) fn examine(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(file) = &facts.configuration else { return };
    for diagnostic in &file.outcome.diagnostics {
        if diagnostic.severity == Severity::Note {
            continue;
        }
        findings.push(
            Finding::new(&catalogue::CONFIGURATION_WRONG, &file.path, &diagnostic.message)
                .as_severity(diagnostic.severity)
                .saying(Source::Configuration, diagnostic.concise(&file.outcome.sources))
                .mended_by(
                    diagnostic.help.clone().unwrap_or_else(|| "mend that line".to_owned()),
                    format!("standfast check {}", file.path),
                ),
        );
    }
    if let Some(configuration) = &file.outcome.configuration {
        for instance in &configuration.instances {
            announcements(facts, configuration, instance, findings);
        }
    }
}

/// Pitfalls 9 and 20: what is announced once, in one burst, is easily lost.
fn announcements(
    facts: &Facts,
    configuration: &Configuration,
    instance: &VrrpInstance,
    findings: &mut Vec<Finding>,
) {
    let garp = instance.garp.or(configuration.global.garp);
    let about = &instance.name;
    if garp.refresh == Some(Duration::ZERO) && garp.delay == Some(Duration::ZERO) {
        findings.push(
            Finding::new(
                &catalogue::ANNOUNCED_TOO_SELDOM,
                about,
                format!("{about} announces its addresses in one burst and never again"),
            )
            .saying(Source::Configuration, "garp_master_refresh 0 and garp_master_delay 0")
            .mended_by(
                "announce again while Active",
                format!("in vrrp_instance {about}: garp_master_refresh 60, garp_master_delay 5"),
            ),
        );
    } else if garp.repeat == Some(1) && garp.refresh == Some(Duration::ZERO) {
        findings.push(
            Finding::new(
                &catalogue::ANNOUNCEMENT_IGNORED,
                about,
                format!("{about} sends one announcement per burst"),
            )
            .saying(Source::Configuration, "garp_master_repeat 1, garp_master_refresh 0")
            .mended_by("repeat it", format!("in vrrp_instance {about}: garp_master_repeat 5")),
        );
    }
    if facts.cloud.is_some() && instance.unicast_peers.is_none() {
        // No fault by itself; it becomes one when nobody is heard, and then the evidence is here.
        findings.push(
            Finding::new(
                &catalogue::MULTICAST_NOT_DELIVERED,
                about,
                format!("{about} uses multicast; most Neutron networks deliver it, some do not"),
            )
            .as_severity(Severity::Note)
            .saying(Source::Configuration, format!("no unicast_peer in vrrp_instance {about}"))
            .mended_by(
                "unicast needs nothing of the network",
                format!("in vrrp_instance {about}: unicast_peer {{ ADDRESS_OF_EACH_OTHER_MEMBER }}"),
            ),
        );
    }
}
