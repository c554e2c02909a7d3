//! What the RFC leaves to the router: make before break, learning the peers' checksum form, groups that move
//! together, recovery.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lone;

use std::time::Duration;

use lone::{LINK, Lone, Sent, config, ip, ms};
use vrrp::{
    ChecksumForm, Effect, Event, Family, Hold, PacketMeta, Priority, Reason, State, VirtualRouterConfig,
    VirtualRouterId, VrIndex, VrrpRouter, advertisement::Advertisement,
};

fn released(stop: bool) -> Lone {
    let mut lone = Lone::active(config(200));
    lone.router.release(lone.vr, stop, lone.now);
    lone.drain();
    assert_eq!(lone.priorities(), [0]);
    assert!(!lone.withdrew() && lone.get().holds_addresses());
    lone
}

#[test]
fn a_stop_keeps_the_addresses_until_40_ms_after_the_successors_first_advert() {
    let mut lone = released(true);
    lone.pass(ms(610));
    lone.hear_priority(100);
    lone.pass(ms(39));
    assert!(!lone.withdrew());
    lone.pass(ms(1));
    assert!(lone.withdrew() && lone.router.is_quiescent());
}

#[test]
fn the_successors_announcement_ends_the_linger_30_ms_after_the_last() {
    let mut lone = released(true);
    lone.router.watch_announcements(true);
    lone.pass(ms(610));
    lone.hear_priority(100);
    lone.pass(ms(200));
    assert!(!lone.withdrew(), "a slow successor has not announced yet");
    for _ in 0..8 {
        lone.router.announced_elsewhere(lone.vr, lone.now, lone.now);
        lone.pass(ms(29));
    }
    assert!(!lone.withdrew(), "it has many addresses");
    lone.pass(ms(1));
    assert!(lone.withdrew());
}

#[test]
fn a_successor_that_never_announces_or_never_ends_is_waited_for_500_ms() {
    for announcing in [false, true] {
        let mut lone = released(true);
        lone.router.watch_announcements(true);
        lone.hear_priority(100);
        for _ in 0..499 {
            if announcing {
                lone.router.announced_elsewhere(lone.vr, lone.now, lone.now);
            }
            lone.pass(ms(1));
        }
        assert!(!lone.withdrew());
        lone.pass(ms(1));
        assert!(lone.withdrew());
    }
}

#[test]
fn an_announcement_stands_for_an_advert_that_was_lost() {
    let mut lone = released(true);
    lone.pass(ms(610));
    lone.router.announced_elsewhere(lone.vr, lone.now, lone.now);
    lone.pass(ms(30));
    assert!(lone.withdrew());
    assert!(!lone.events.iter().any(|e| matches!(e, Event::NoSuccessor { .. })));
}

#[test]
fn announcements_from_before_the_release_and_outside_a_handover_change_nothing() {
    let mut lone = released(true);
    lone.pass(ms(5));
    lone.router.announced_elsewhere(lone.vr, lone.now.saturating_sub(ms(6)), lone.now);
    lone.pass(ms(100));
    assert!(!lone.withdrew());
    let mut active = Lone::active(config(200));
    active.router.announced_elsewhere(active.vr, active.now, active.now);
    active.pass(ms(100));
    assert_eq!(active.state(), State::Active);
    assert!(!active.withdrew());
}

#[test]
fn a_stop_without_a_successor_ends_after_the_longest_skew() {
    let mut lone = released(true);
    lone.pass(ms(1146));
    assert!(!lone.withdrew());
    lone.pass(ms(1));
    assert!(lone.withdrew() && lone.router.is_quiescent());
    assert!(lone.events.iter().any(|e| matches!(e, Event::NoSuccessor { .. })));
}

#[test]
fn a_handover_without_a_successor_goes_on_as_active_and_withdraws_nothing() {
    let mut lone = released(false);
    assert_eq!((lone.state(), lone.get().reason()), (State::Backup, Reason::Handover));
    lone.pass(ms(1147));
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::NoSuccessor));
    assert!(!lone.withdrew());
}

#[test]
fn after_a_handover_a_lower_priority_is_followed_until_told_otherwise_or_it_falls_silent() {
    let mut lone = released(false);
    for _ in 0..20 {
        lone.hear_priority(100);
        lone.pass(ms(1000));
    }
    assert_eq!(lone.state(), State::Backup);
    lone.router.take_back(lone.vr);
    for _ in 0..4 {
        lone.hear_priority(100);
        lone.pass(ms(1000));
    }
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::Preempting));
}

#[test]
fn a_link_that_goes_and_comes_during_a_handover_does_not_strand_the_addresses() {
    let mut lone = released(false);
    lone.router.set_link(lone.vr, false, lone.now);
    lone.pass(ms(10));
    lone.router.set_link(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!(lone.state(), State::Backup);
    for _ in 0..5 {
        lone.hear_priority(100);
        lone.pass(ms(1000));
    }
    assert!(lone.withdrew() && !lone.get().holds_addresses());
}

#[test]
fn addresses_that_the_kernel_refused_are_tried_again_even_if_the_link_went_meanwhile() {
    let mut lone = Lone::active(config(100));
    lone.router.release(lone.vr, false, lone.now);
    lone.router.set_link(lone.vr, false, lone.now);
    lone.router.addresses_failed(lone.vr, lone.now);
    lone.router.set_link(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!(lone.state(), State::Initialize(Hold::AddressFailed));
    lone.pass(ms(20_000));
    assert_eq!(lone.state(), State::Active);
}

#[test]
fn inherited_addresses_stay_until_another_active_is_heard_whatever_its_priority() {
    for priority in [50, 200] {
        let mut lone = Lone::held(config(100));
        lone.router.inherit_addresses(lone.vr, lone.now);
        lone.router.start(lone.vr, lone.now);
        lone.pass(ms(1000));
        assert!(lone.get().holds_addresses());
        lone.hear_priority(priority);
        lone.pass(ms(40));
        assert!(lone.withdrew() && !lone.get().holds_addresses(), "{priority}");
    }
    let mut lone = Lone::held(config(100));
    lone.router.inherit_addresses(lone.vr, lone.now);
    lone.router.start(lone.vr, lone.now);
    lone.pass(ms(5000));
    assert_eq!(lone.state(), State::Active);
    assert!(!lone.withdrew() && lone.get().holds_addresses());
}

// ---- Checksum form ----

#[test]
fn the_form_of_a_peer_is_learnt_and_answered_in() {
    // keepalived 2.2.7 beside a configuration with `v3_checksum_as_v2`: it refuses our form, takes over, and
    // has to hear from us in its own form at once.
    let config = VirtualRouterConfig { checksum: Some(ChecksumForm::MessageOnly), ..config(200) };
    let mut lone = Lone::active(config);
    lone.pass(ms(400));
    let sent = Sent { checksum: ChecksumForm::PseudoHeader, ..lone.peer_sends(100) };
    lone.hear(&sent);
    assert_eq!(lone.left[0].form, Some(ChecksumForm::PseudoHeader));
    lone.forget();
    lone.router.release(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!((lone.left[0].priority, lone.left[0].form), (0, Some(ChecksumForm::PseudoHeader)));
}

#[test]
fn a_fixed_form_is_kept_and_a_learnt_one_survives_a_reload() {
    let fixed = VirtualRouterConfig {
        checksum: Some(ChecksumForm::MessageOnly),
        checksum_fixed: true,
        ..config(200)
    };
    let mut lone = Lone::active(fixed);
    lone.hear_priority(100);
    assert_eq!(lone.get().checksum_form(), ChecksumForm::MessageOnly);

    let mut lone = Lone::active(config(200));
    let sent = Sent { checksum: ChecksumForm::MessageOnly, ..lone.peer_sends(100) };
    lone.hear(&sent);
    let changed = VirtualRouterConfig { priority: Priority::new(201), ..config(200) };
    lone.router.reconfigure(lone.vr, changed, lone.now).unwrap();
    assert_eq!(lone.get().checksum_form(), ChecksumForm::MessageOnly);
}

// ---- Groups ----

fn group() -> (VrrpRouter, VrIndex, VrIndex, vrrp::Instant) {
    let now = vrrp::Instant::ZERO + Duration::from_hours(1);
    let mut router = VrrpRouter::with_capacity(2);
    let members: Vec<VrIndex> = [(51, "10.0.0.50"), (52, "10.0.0.60")]
        .into_iter()
        .map(|(vrid, address)| {
            let config = VirtualRouterConfig {
                vrid: VirtualRouterId::new(vrid).unwrap(),
                addresses: vec![ip(address)],
                ..config(200)
            };
            let vr = router.add(config, now).unwrap();
            router.set_source(vr, Some(ip("10.0.0.2")), now);
            vr
        })
        .collect();
    router.set_groups(vec![members.clone()], now);
    for member in &members {
        router.start(*member, now);
    }
    (router, members[0], members[1], now)
}

fn pass(router: &mut VrrpRouter, now: &mut vrrp::Instant, time: Duration) {
    let until = *now + time;
    while let Some((at, _, _)) = router.poll_timeout().filter(|(at, _, _)| *at <= until) {
        *now = at.max(*now);
        router.handle_timeouts(*now, usize::MAX);
    }
    *now = until;
}

fn hear(router: &mut VrrpRouter, now: vrrp::Instant, vr: VrIndex, priority: u8) {
    let mut packet = Vec::new();
    let config = router.get(vr).unwrap().config().clone();
    let (source, destination) = (ip("10.0.0.1"), ip("224.0.0.18"));
    vrrp::advertisement::AdvertisementFields {
        version: config.version,
        vrid: config.vrid,
        priority: Priority::new(priority),
        interval: config.interval,
        authentication: None,
        addresses: &config.addresses,
        checksum: ChecksumForm::PseudoHeader,
    }
    .encode_into(source, destination, &mut packet);
    router.handle_packet(now, now, &PacketMeta { interface: LINK, source, destination, ttl: 255 }, &packet);
}

#[test]
fn a_sync_group_becomes_active_together_and_leaves_together_make_before_break() {
    let (mut router, one, two, mut now) = group();
    let states = |router: &VrrpRouter| [one, two].map(|vr| router.get(vr).unwrap().state());
    pass(&mut router, &mut now, ms(4000));
    assert_eq!(states(&router), [State::Active; 2]);
    while router.poll_transmit().is_some() {}
    while router.poll_effect().is_some() {}
    // One is outranked: the other leaves with it, and keeps its addresses until the successor has them.
    hear(&mut router, now, one, 250);
    assert_eq!(states(&router), [State::Backup; 2]);
    let mut left = Vec::new();
    while let Some(advert) = router.poll_transmit() {
        let read = Advertisement::decode(Family::Ipv4, advert.payload).unwrap();
        left.push((read.vrid, read.priority.get()));
    }
    assert_eq!(left, [(51, 200), (52, 0)]);
    let effects: Vec<_> = std::iter::from_fn(|| router.poll_effect()).collect();
    assert_eq!(effects, [one, two].map(|vr| Effect::Silence { vr }));
    pass(&mut router, &mut now, ms(100));
    assert_eq!(router.poll_effect(), Some(Effect::Withdraw { vr: one }));
    assert_eq!(router.poll_effect(), None);
    hear(&mut router, now, one, 250);
    hear(&mut router, now, two, 250);
    pass(&mut router, &mut now, ms(100));
    let effects: Vec<_> = std::iter::from_fn(|| router.poll_effect()).collect();
    assert_eq!(effects, [Effect::Withdraw { vr: two }]);
}

#[test]
fn a_sync_group_takes_over_only_when_all_members_can() {
    let (mut router, one, two, mut now) = group();
    for _ in 0..10 {
        hear(&mut router, now, two, 250);
        pass(&mut router, &mut now, ms(1000));
        assert_eq!(router.get(one).unwrap().state(), State::Backup);
    }
    pass(&mut router, &mut now, ms(4000));
    assert_eq!([one, two].map(|vr| router.get(vr).unwrap().state()), [State::Active; 2]);
}

#[test]
fn a_held_member_holds_its_sync_group() {
    let (mut router, one, two, mut now) = group();
    pass(&mut router, &mut now, ms(4000));
    router.set_tracking(one, 0, true, now);
    assert_eq!(router.get(one).unwrap().state(), State::Initialize(Hold::TrackFailed));
    assert_eq!(router.get(two).unwrap().state(), State::Initialize(Hold::SyncGroup));
    router.set_tracking(one, 0, false, now);
    pass(&mut router, &mut now, ms(4000));
    assert_eq!([one, two].map(|vr| router.get(vr).unwrap().state()), [State::Active; 2]);
}

#[test]
fn a_router_that_yields_announces_no_more() {
    let mut lone = Lone::active(config(100));
    lone.hear_priority(200);
    assert!(
        lone.silenced() && !lone.withdrew(),
        "the addresses linger, and nothing takes the clients back to them"
    );
    // Changed meanwhile, they are set as they shall be, and not announced.
    lone.forget();
    let changed = VirtualRouterConfig { preempt: false, ..config(100) };
    lone.router.reconfigure(lone.vr, changed, lone.now).unwrap();
    lone.drain();
    assert!(!lone.effects.is_empty() && !lone.installed() && !lone.announced());

    let mut lone = Lone::active(config(100));
    lone.router.release(lone.vr, false, lone.now);
    lone.drain();
    assert!(lone.silenced() && !lone.withdrew());
    lone.pass(ms(5000));
    assert!(lone.installed(), "nobody came: it is Active again, and says so");
}
