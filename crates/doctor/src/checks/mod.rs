//! The checks: pure functions from [`Facts`] to [`Finding`]s, one file for each subject.

mod agent;
mod configuration;
mod members;
mod reservation;
mod wire;

use crate::{Facts, Finding};

/// Everything that is wrong, the worst first and without repetition.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    configuration::examine(facts, &mut findings);
    agent::examine(facts, &mut findings);
    wire::examine(facts, &mut findings);
    reservation::examine(facts, &mut findings);
    members::examine(facts, &mut findings);
    findings.sort_by_key(|finding| finding.severity);
    findings.dedup();
    findings
}
