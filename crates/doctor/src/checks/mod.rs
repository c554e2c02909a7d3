//! The checks: pure functions from [`Facts`] to [`Finding`]s, one file for each subject.

mod agent;
mod configuration;
mod members;
mod reservation;
mod wire;

use crate::{Facts, Finding, Source, catalogue};

/// Everything that is wrong, the worst first and without repetition.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    configuration::examine(facts, &mut findings);
    agent::examine(facts, &mut findings);
    wire::examine(facts, &mut findings);
    reservation::examine(facts, &mut findings);
    members::examine(facts, &mut findings);
    unavailable(facts, &mut findings);
    findings.sort_by_key(|finding| finding.severity);
    findings.dedup();
    findings
}

fn unavailable(facts: &Facts, findings: &mut Vec<Finding>) {
    let refused = facts.cloud.iter().flat_map(|cloud| &cloud.refused).map(|text| (Source::OpenStack, text));
    for (source, text) in facts.unavailable.iter().map(|(source, text)| (*source, text)).chain(refused) {
        let mend = match source {
            Source::Configuration => "standfast check FILE",
            Source::Agent => "run it as root, or as a member of the agent's group",
            Source::Wire => "run it as root on a member, or with CAP_NET_RAW",
            Source::OpenStack => "openstack --os-cloud CLOUD token issue",
        };
        findings.push(
            Finding::new(&catalogue::SOURCE_UNAVAILABLE, source.name(), text)
                .saying(source, text)
                .mended_by("to have it examined", mend),
        );
    }
}
