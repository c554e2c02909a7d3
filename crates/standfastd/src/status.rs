//! What the protocol knows, as the messages of the control socket.

use control::{AddressStatus, Discard, Statistics, VirtualRouterStatus};
use keepalived_conf::VrrpInstance;
use vrrp::{Family, Hold, Instant, VirtualRouter};
use vrrp_linux::netlink::ADDRESS_PROTOCOL;

use crate::plan::{Host, Planned};

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from((to - from).as_millis()).unwrap_or(u64::MAX)
}

/// One whose interface does not exist: configured, and nothing more.
pub(crate) fn absent(instance: &VrrpInstance, missing: &str, since_ms: u64) -> VirtualRouterStatus {
    let interval = u64::try_from(instance.advert_int.duration().as_millis()).unwrap_or(u64::MAX);
    let addresses = instance.addresses.iter().chain(&instance.excluded).map(|a| AddressStatus {
        address: format!("{}/{}", a.address, a.prefix_len),
        interface: a.interface.clone().unwrap_or_else(|| instance.interface.0.clone()),
        installed: false,
        foreign: false,
    });
    VirtualRouterStatus {
        name: instance.name.clone(),
        interface: instance.interface.0.clone(),
        vrid: instance.virtual_router_id.get(),
        family: if instance.family == Family::Ipv4 { "ipv4" } else { "ipv6" }.to_owned(),
        version: instance.version.number(),
        state: "initialize".to_owned(),
        holds: vec![Hold::InterfaceDown.name().to_owned()],
        since_ms,
        last_event: format!("there is no interface {missing}"),
        priority: instance.priority.get(),
        effective_priority: instance.priority.get(),
        priority_changes: Vec::new(),
        active_address: None,
        active_priority: None,
        last_advert_ms: None,
        advertise_interval_ms: interval,
        active_advertise_interval_ms: interval,
        active_down_interval_ms: 0.0,
        skew_time_ms: 0.0,
        handed_over: false,
        addresses: addresses.collect(),
        statistics: Statistics::default(),
        discards: Vec::new(),
    }
}

/// One virtual router.
pub(crate) fn of(
    vr: &VirtualRouter,
    planned: &Planned,
    changes: &[String],
    host: &Host,
    marks: bool,
    now: Instant,
) -> VirtualRouterStatus {
    let config = vr.config();
    let statistics = vr.statistics();
    let interface = |index| {
        host.links.iter().find(|l| l.index == index).map_or_else(|| index.to_string(), |l| l.name.clone())
    };
    let addresses = planned.addresses.iter().map(|spec| AddressStatus {
        address: format!("{}/{}", spec.address, spec.prefix_len),
        interface: interface(spec.interface),
        installed: host
            .addresses
            .iter()
            .any(|a| a.interface == spec.interface && a.address == spec.address && !a.duplicate),
        foreign: marks
            && host.addresses.iter().any(|a| {
                (a.interface, a.address) == (spec.interface, spec.address) && a.protocol != ADDRESS_PROTOCOL
            }),
    });
    let discards = vr.peers().iter().flat_map(|peer| {
        peer.discards().map(|(reason, count)| Discard {
            reason: reason.name().to_owned(),
            peer: Some(peer.address.to_string()),
            count: u64::from(count),
            explanation: reason.explanation().to_owned(),
        })
    });
    let active = vr.active_address();
    let in_ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    VirtualRouterStatus {
        name: config.name.clone(),
        interface: planned.interface_name.clone(),
        vrid: config.vrid.get(),
        family: if config.family == Family::Ipv4 { "ipv4" } else { "ipv6" }.to_owned(),
        version: config.version.number(),
        state: vr.state().name().to_owned(),
        holds: vr.holds().map(|hold| hold.name().to_owned()).collect(),
        since_ms: millis(vr.since(), now),
        last_event: vr.reason().to_string(),
        priority: config.priority.get(),
        effective_priority: vr.effective_priority().get(),
        priority_changes: changes.to_vec(),
        active_address: active.map(|a| a.to_string()),
        active_priority: active.map(|_| vr.active_priority().get()),
        last_advert_ms: vr.last_advert_received().map(|at| millis(at, now)),
        advertise_interval_ms: in_ms(config.interval.duration()),
        active_advertise_interval_ms: in_ms(vr.active_adver_interval().duration()),
        active_down_interval_ms: vr.active_down_interval().as_secs_f64() * 1000.0,
        skew_time_ms: vr.skew_time().as_secs_f64() * 1000.0,
        handed_over: vr.has_yielded(),
        addresses: addresses.collect(),
        statistics: Statistics {
            new_active_transitions: statistics.new_active_transitions,
            advertisement_rcvd: statistics.advertisements_received,
            advertisement_sent: statistics.advertisements_sent,
            discarded: statistics.discarded,
            priority_zero_pkts_rcvd: statistics.priority_zero_received,
            priority_zero_pkts_sent: statistics.priority_zero_sent,
            address_list_errors: statistics.address_list_errors,
            checksum_pseudo_header: statistics.checksum_pseudo_header,
            checksum_message_only: statistics.checksum_message_only,
        },
        discards: discards.collect(),
    }
}
