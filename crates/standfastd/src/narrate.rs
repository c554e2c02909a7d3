//! The protocol's events in words for the operator.

use vrrp::{Event, State, VirtualRouterConfig};

use crate::journal::Severity;

/// One line for the log and for `standfast events`, how bad it is, and a stable word for its kind.
pub(crate) fn narrate(event: &Event, config: &VirtualRouterConfig) -> (Severity, &'static str, String) {
    let name = &config.name;
    match event {
        Event::StateChanged { from, to, reason, .. } => {
            let severity =
                if matches!(to, State::Initialize(_)) { Severity::Warning } else { Severity::Notice };
            (severity, "state-changed", format!("({name}) {from} -> {to}: {reason}"))
        }
        Event::Discarded { reason, peer, count, .. } => {
            let text = format!(
                "({name}) VRID {}: {count} advert{} from {peer} dropped: {} ({reason})",
                config.vrid,
                if *count == 1 { "" } else { "s" },
                reason.explanation()
            );
            (Severity::Warning, "discarded", text)
        }
        Event::Remarked { remark, peer, .. } => {
            (Severity::Info, "remark", format!("({name}) advert from {peer} accepted, but {}", remark.name()))
        }
        Event::NewActive { active, priority, .. } => {
            (Severity::Notice, "new-active", format!("({name}) Active is {active}, priority {priority}"))
        }
        Event::SecondActive { peer, priority, .. } => (
            Severity::Warning,
            "second-active",
            format!(
                "({name}) {peer} with priority {priority} was Active too: the network was split, or it does not \
                 hear us; announcing our addresses again"
            ),
        ),
        Event::PriorityChanged { from, to, .. } => {
            (Severity::Notice, "priority-changed", format!("({name}) priority {from} -> {to}"))
        }
        Event::IntervalLearnt { interval, .. } => (
            Severity::Info,
            "interval-learnt",
            format!(
                "({name}) the Active advertises each {interval}, we are configured for {}",
                config.interval
            ),
        ),
        Event::ChecksumFormLearnt { form, .. } => (
            Severity::Info,
            "checksum-form-learnt",
            format!("({name}) checksum form {form:?}, as the peers send it"),
        ),
        Event::Stalled { late, .. } => (
            Severity::Warning,
            "stalled",
            format!(
                "({name}) this host slept for {} ms beyond a timer; listening before acting. If it happens often, \
                 the advertisement interval is too short for this machine",
                late.as_millis()
            ),
        ),
        Event::SuccessorHeard { peer, after, .. } => {
            let millis = after.as_secs_f64() * 1000.0;
            (Severity::Notice, "successor-heard", format!("({name}) {peer} took over after {millis:.1} ms"))
        }
        Event::NoSuccessor { after, .. } => (
            Severity::Warning,
            "no-successor",
            format!("({name}) nobody took over within {} ms", after.as_millis()),
        ),
    }
}
