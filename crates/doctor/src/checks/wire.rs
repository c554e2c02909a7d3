//! What was heard.

use std::net::IpAddr;

use keepalived_conf::Severity;

use crate::finding::Source;
use crate::wire::{Advertiser, Checksum, Wire};
use crate::{Facts, Finding, catalogue};

pub(super) fn examine(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(wire) = &facts.wire else { return };
    broken(wire, findings);
    let ours: Vec<&Advertiser> = wire
        .advertisers
        .iter()
        .filter(|a| {
            a.checksum != Checksum::Wrong && a.addresses.iter().any(|address| facts.concerns(*address))
        })
        .collect();
    collisions(wire, &ours, findings);
    disagreements(&ours, findings);
    two_actives(wire, &ours, findings);
    nobody(facts, wire, &ours, findings);
    claims(facts, wire, &ours, findings);
}

fn broken(wire: &Wire, findings: &mut Vec<Finding>) {
    for sender in &wire.advertisers {
        let what = if sender.checksum == Checksum::Wrong {
            "their checksum is wrong in every form".to_owned()
        } else if sender.ttl != vrrp::REQUIRED_TTL && sender.destination.is_multicast() {
            format!("their TTL is {}, not 255: they crossed a router, or are forged", sender.ttl)
        } else {
            continue;
        };
        findings.push(
            Finding::new(&catalogue::BAD_PACKETS, format!("VRID {} from {}", sender.vrid, sender.mac), what)
                .saying(Source::Wire, sender.describe())
                .mended_by(
                    "find the sender by its MAC",
                    format!("tcpdump -eni {} ether src {}", wire.interface, sender.mac),
                ),
        );
    }
    for (mac, why, count) in &wire.malformed {
        findings.push(
            Finding::new(&catalogue::BAD_PACKETS, mac.to_string(), why.clone())
                .saying(Source::Wire, format!("{count} packets of protocol 112"))
                .mended_by(
                    "find the sender by its MAC",
                    format!("tcpdump -eni {} ether src {mac}", wire.interface),
                ),
        );
    }
    if wire.reflected > 0 {
        findings.push(
            Finding::new(
                &catalogue::BAD_PACKETS,
                &wire.interface,
                "our own adverts come back: a loop in the network, or our address is used twice",
            )
            .saying(Source::Wire, format!("{} of them", wire.reflected))
            .mended_by("see where they come from", format!("tcpdump -eni {} proto 112", wire.interface)),
        );
    }
}

/// Somebody else uses our VRID for other addresses.
fn collisions(wire: &Wire, ours: &[&Advertiser], findings: &mut Vec<Finding>) {
    for stranger in &wire.advertisers {
        if ours.iter().any(|a| std::ptr::eq(*a, stranger)) || stranger.checksum == Checksum::Wrong {
            continue;
        }
        let Some(mine) = ours.iter().find(|a| {
            a.vrid == stranger.vrid
                && a.family() == stranger.family()
                && !a.addresses.iter().any(|address| stranger.addresses.contains(address))
        }) else {
            continue;
        };
        let taken: Vec<u8> = wire.advertisers.iter().map(|a| a.vrid).collect();
        let free = (1..=u8::MAX).rev().find(|vrid| !taken.contains(vrid)).unwrap_or(u8::MAX);
        findings.push(
            Finding::new(
                &catalogue::VRID_COLLISION,
                format!("VRID {}", stranger.vrid),
                format!("{} uses VRID {} on this link for other addresses", stranger.source, stranger.vrid),
            )
            .saying(Source::Wire, mine.describe())
            .saying(Source::Wire, stranger.describe())
            .mended_by(
                format!("on all members choose a VRID that nobody here uses, {free} for example"),
                format!("virtual_router_id {free}"),
            ),
        );
    }
}

/// Same addresses, another dialect.
fn disagreements(ours: &[&Advertiser], findings: &mut Vec<Finding>) {
    for (i, a) in ours.iter().enumerate() {
        for b in &ours[i + 1..] {
            if a.source == b.source || a.family() != b.family() {
                continue;
            }
            let what = if a.vrid != b.vrid {
                format!("VRID {} and {}", a.vrid, b.vrid)
            } else if a.version != b.version {
                format!("VRRPv{} and VRRPv{}", a.version, b.version)
            } else if a.version == 2 && a.interval_ms != b.interval_ms {
                format!(
                    "advert_int {} ms and {} ms, which VRRPv2 does not allow",
                    a.interval_ms, b.interval_ms
                )
            } else if a.authenticated != b.authenticated {
                "one authenticates and the other does not".to_owned()
            } else if a.destination.is_multicast() != b.destination.is_multicast() {
                "one sends multicast and the other unicast".to_owned()
            } else {
                continue;
            };
            findings.push(
                Finding::new(
                    &catalogue::MEMBERS_DISAGREE,
                    format!("{} and {}", a.source, b.source),
                    format!("they stand for the same address and differ: {what}"),
                )
                .saying(Source::Wire, a.describe())
                .saying(Source::Wire, b.describe())
                .mended_by("use one configuration for all members", "standfast check FILE    # on each"),
            );
        }
    }
}

fn two_actives(wire: &Wire, ours: &[&Advertiser], findings: &mut Vec<Finding>) {
    let mut alive: Vec<&Advertiser> =
        ours.iter().copied().filter(|a| a.still_active(wire.listened())).collect();
    alive.sort_by_key(|a| (a.vrid, a.addresses.clone(), a.source));
    for pair in alive.windows(2) {
        let [a, b] = pair else { continue };
        if a.source == b.source || a.vrid != b.vrid || a.family() != b.family() {
            continue;
        }
        let mut finding = Finding::new(
            &catalogue::TWO_ACTIVES,
            format!("VRID {}", a.vrid),
            format!("{} and {} both go on advertising", a.source, b.source),
        );
        for one in [a, b] {
            finding = finding.saying(Source::Wire, one.describe());
        }
        findings.push(finding.mended_by(
            "let each hear the other: security groups first, then the configuration",
            "standfast status    # on both: what each drops, and why",
        ));
    }
}

fn nobody(facts: &Facts, wire: &Wire, ours: &[&Advertiser], findings: &mut Vec<Finding>) {
    // Unicast adverts between two others pass this host by, and a short listening proves nothing.
    let member = !facts.agents.is_empty();
    if ours.iter().any(|a| a.still_active(wire.listened())) || !member {
        return;
    }
    findings.push(
        Finding::new(
            &catalogue::NOBODY_ACTIVE,
            facts.addresses_in_words(),
            format!("no advert for it was heard on {} in {} ms", wire.interface, wire.listened_ms),
        )
        .saying(Source::Wire, format!("{} other advertisers heard", wire.advertisers.len()))
        .mended_by("see what the members say", "standfast status    # on each"),
    );
}

fn claims(facts: &Facts, wire: &Wire, ours: &[&Advertiser], findings: &mut Vec<Finding>) {
    for address in wire.asked.iter().copied().filter(|a| facts.concerns(*a)) {
        let active = ours
            .iter()
            .filter(|a| a.still_active(wire.listened()) && a.addresses.contains(&address))
            .max_by_key(|a| a.priority);
        let claimants: Vec<_> = wire.claims.iter().filter(|c| c.address == address).collect();
        match (active, claimants.is_empty()) {
            (Some(active), true) if !active.own => findings.push(unanswered(wire, address, active)),
            _ => {}
        }
        for claim in claimants {
            let Some(active) = active else { continue };
            if claim.mac == active.mac || claim.mac.is_virtual_router() || claim.own && active.own {
                continue;
            }
            findings.push(
                Finding::new(
                    &catalogue::STALE_NEIGHBOURS,
                    address.to_string(),
                    format!(
                        "{} answers for {address}, and the Active is {} ({})",
                        claim.mac, active.source, active.mac
                    ),
                )
                .saying(Source::Wire, active.describe())
                .saying(
                    Source::Wire,
                    format!(
                        "{} {} {} times that {address} is its own",
                        claim.mac,
                        if claim.answered { "answered" } else { "announced" },
                        claim.count
                    ),
                )
                .mended_by(
                    format!("on the host with {}: remove the address if no agent there is Active", claim.mac),
                    format!("ip address del {address} dev {}", wire.interface),
                ),
            );
        }
    }
}

/// Somebody is Active, and nobody answers for the address: the cloud drops it (pitfall 2).
fn unanswered(wire: &Wire, address: IpAddr, active: &Advertiser) -> Finding {
    Finding::new(
        &catalogue::PAIR_MISSING,
        address.to_string(),
        format!(
            "{} is Active for {address}, but nobody answers for {address} on {}",
            active.source, wire.interface
        ),
    )
    .as_severity(Severity::Error)
    .saying(Source::Wire, active.describe())
    .saying(Source::Wire, format!("asked who has {address}: no answer in {} ms", wire.listened_ms))
    .mended_by(
        "most often the port of the Active lacks the pair",
        format!("openstack port set --allowed-address ip-address={address} PORT_OF_{}", active.source),
    )
}
