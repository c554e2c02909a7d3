//! One test per receive check (RFC 9568 §7.1, RFC 3768 §7.1): each bad packet is counted under its own reason
//! with its sender, and touches no timer in either state. Their order, and what is accepted with a remark.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lone;

use lone::{LINK, Lone, Sent, config, config_ipv6, config_v2, interval, ip, ms};
use vrrp::{
    AdvertInterval, ChecksumForm, DiscardReason, Effect, Event, IfIndex, PacketMeta, Received, Remark,
    Transport, UnicastPeer, Version, VirtualRouterConfig,
};

/// The packet that `make` gives is discarded for `reason` by a Backup and by an Active, and changes nothing
/// but the counters.
fn discarded(
    config: &VirtualRouterConfig,
    reason: DiscardReason,
    make: impl Fn(&Lone) -> (PacketMeta, Vec<u8>),
) {
    for mut lone in [Lone::started(config.clone()), Lone::active(config.clone())] {
        lone.hear_priority(if lone.state() == vrrp::State::Active { 0 } else { 200 });
        lone.pass(ms(120));
        lone.forget();
        let before = (lone.next(), lone.state(), lone.get().active_adver_interval());
        let (received_before, peer_before) =
            (lone.get().statistics().advertisements_received, lone.get().last_advert_received());
        let (meta, packet) = make(&lone);
        assert_eq!(lone.hear_bytes(&meta, &packet), Received::Discarded(reason));
        assert_eq!((lone.next(), lone.state(), lone.get().active_adver_interval()), before);
        assert_eq!(lone.get().statistics().advertisements_received, received_before);
        assert_eq!(lone.get().last_advert_received(), peer_before);
        assert!(lone.left.is_empty() && lone.effects.is_empty());
        if reason == DiscardReason::UnknownVrid {
            assert_eq!(lone.router.unclaimed().collect::<Vec<_>>(), [(reason, 1)]);
            continue;
        }
        assert_eq!(lone.get().statistics().discarded, 1);
        let peer = lone.get().peers().iter().find(|p| p.address == meta.source).unwrap();
        assert_eq!(peer.discards().collect::<Vec<_>>(), [(reason, 1)]);
        assert!(
            matches!(lone.events[..], [Event::Discarded { reason: told, peer, count: 1, .. }]
                if told == reason && peer == meta.source),
            "{:?}",
            lone.events
        );
    }
}

/// As [`discarded`], of an advert with one field changed.
fn discarded_sent(config: &VirtualRouterConfig, reason: DiscardReason, change: impl Fn(&mut Sent)) {
    discarded(config, reason, |lone| {
        let mut sent = lone.peer_sends(254);
        change(&mut sent);
        (sent.meta(), sent.packet())
    });
}

/// As [`discarded`], of an advert with its bytes changed after the checksum was made.
fn discarded_bytes(config: &VirtualRouterConfig, reason: DiscardReason, change: impl Fn(&mut Vec<u8>)) {
    discarded(config, reason, |lone| {
        let sent = lone.peer_sends(254);
        let mut packet = sent.packet();
        change(&mut packet);
        (sent.meta(), packet)
    });
}

/// The advert is accepted and leaves one remark.
fn remarked(config: &VirtualRouterConfig, remark: Remark, change: impl Fn(&mut Sent)) {
    let mut lone = Lone::started(config.clone());
    let mut sent = lone.peer_sends(254);
    change(&mut sent);
    assert_eq!(lone.hear(&sent), Received::Accepted(lone.vr));
    let peer = &lone.get().peers()[0];
    assert_eq!(peer.remarks().collect::<Vec<_>>(), [(remark, 1)]);
}

fn unicast(check_source: bool) -> VirtualRouterConfig {
    let peers = vec![UnicastPeer { min_ttl: 254, ..UnicastPeer::new(ip("10.0.0.1")) }];
    VirtualRouterConfig { transport: Transport::Unicast { peers, check_source, ttl: 255 }, ..config(100) }
}

#[test]
fn rfc9568_7_1_ttl_must_be_255() {
    for ttl in [0, 1, 254] {
        discarded_sent(&config(100), DiscardReason::Ttl, |sent| sent.ttl = ttl);
        discarded_sent(&config_ipv6(100), DiscardReason::Ttl, |sent| sent.ttl = ttl);
        discarded_sent(&config_v2(100), DiscardReason::Ttl, |sent| sent.ttl = ttl);
    }
}

#[test]
fn rfc9568_7_1_version_must_exist() {
    for version in [0x01, 0x11, 0x41, 0xf1] {
        discarded_bytes(&config(100), DiscardReason::Version, |packet| packet[0] = version);
    }
    discarded_bytes(&config_ipv6(100), DiscardReason::Version, |packet| packet[0] = 0x21);
}

#[test]
fn rfc9568_7_1_version_must_be_the_configured_one() {
    discarded_sent(&config(100), DiscardReason::VersionMismatch, |sent| sent.version = Version::V2);
    discarded_sent(&config_v2(100), DiscardReason::VersionMismatch, |sent| sent.version = Version::V3);
}

#[test]
fn rfc9568_7_1_type_must_be_advertisement() {
    for kind in [0x30, 0x32, 0x37, 0x3f] {
        discarded_bytes(&config(100), DiscardReason::PacketType, |packet| packet[0] = kind);
    }
}

#[test]
fn rfc9568_7_1_packet_must_hold_its_header_and_addresses() {
    for len in 2..12 {
        discarded_bytes(&config(100), DiscardReason::PacketLength, |packet| packet.truncate(len));
    }
    for len in 2..40 {
        discarded_bytes(&config_ipv6(100), DiscardReason::PacketLength, |packet| packet.truncate(len));
    }
    discarded_bytes(&config(100), DiscardReason::PacketLength, |packet| packet[3] = 2);
}

#[test]
fn rfc3768_7_1_packet_must_hold_its_authentication_data() {
    for len in 2..20 {
        discarded_bytes(&config_v2(100), DiscardReason::PacketLength, |packet| packet.truncate(len));
    }
}

#[test]
fn a_packet_too_short_for_a_vrid_is_counted_with_the_router() {
    let mut lone = Lone::started(config(100));
    let meta = lone.peer_sends(254).meta();
    for len in 0..2 {
        lone.hear_bytes(&meta, &[0x31, 51][..len]);
    }
    assert_eq!(lone.router.unclaimed().collect::<Vec<_>>(), [(DiscardReason::PacketLength, 2)]);
}

#[test]
fn rfc9568_7_1_checksum_must_be_right_in_some_form() {
    for bit in 0..8 {
        // Every field the checksum covers, and the checksum: not version, VRID and count, which come before.
        for byte in [2, 4, 5, 6, 7, 8, 11] {
            discarded_bytes(&config(100), DiscardReason::Checksum, |packet| packet[byte] ^= 1 << bit);
            discarded_bytes(&config_v2(100), DiscardReason::Checksum, |packet| packet[byte] ^= 1 << bit);
            discarded_bytes(&config_ipv6(100), DiscardReason::Checksum, |packet| packet[byte] ^= 1 << bit);
        }
    }
}

#[test]
fn rfc9568_5_2_8_ipv6_checksum_has_its_pseudo_header() {
    discarded(&config_ipv6(100), DiscardReason::Checksum, |lone| {
        let sent = lone.peer_sends(254);
        // Made for another destination.
        (sent.meta(), Sent { destination: ip("ff02::13"), ..sent }.packet())
    });
}

#[test]
fn rfc9568_7_1_vrid_must_be_configured_on_this_interface_and_family() {
    discarded_sent(&config(100), DiscardReason::UnknownVrid, |sent| sent.vrid = 52);
    discarded_sent(&config(100), DiscardReason::UnknownVrid, |sent| sent.interface = IfIndex(LINK.0 + 1));
    let ipv6 = Lone::started(config_ipv6(100)).peer_sends(254);
    discarded(&config(100), DiscardReason::UnknownVrid, |_| (ipv6.meta(), ipv6.packet()));
}

#[test]
fn rfc3768_7_1_authentication_type_must_match() {
    let with = VirtualRouterConfig { authentication: Some(*b"secret\0\0"), ..config_v2(100) };
    discarded_sent(&with, DiscardReason::AuthenticationType, |sent| sent.authentication = None);
    discarded_sent(&config_v2(100), DiscardReason::AuthenticationType, |sent| {
        sent.authentication = Some(*b"secret\0\0");
    });
    // Type 2, the header of RFC 2338; 4 + 2 keeps the sum by taking it off the checksum.
    discarded_bytes(&config_v2(100), DiscardReason::AuthenticationType, |packet| {
        packet[4] = 2;
        let sum = u16::from_be_bytes([packet[6], packet[7]]).wrapping_sub(0x0200);
        packet[6..8].copy_from_slice(&sum.to_be_bytes());
    });
}

#[test]
fn rfc2338_5_3_10_password_must_match() {
    let with = VirtualRouterConfig { authentication: Some(*b"secret\0\0"), ..config_v2(100) };
    for other in [b"secret\0x", b"Secret\0\0", b"\0\0\0\0\0\0\0\0"] {
        discarded_sent(&with, DiscardReason::AuthenticationFailure, |sent| {
            sent.authentication = Some(*other);
        });
    }
    let mut lone = Lone::started(with);
    lone.hear_priority(200);
}

#[test]
fn rfc9568_erratum_8299_count_must_be_at_least_one() {
    discarded_sent(&config(100), DiscardReason::AddressCount, |sent| sent.addresses.clear());
    discarded_sent(&config_ipv6(100), DiscardReason::AddressCount, |sent| sent.addresses.clear());
}

#[test]
fn rfc9568_erratum_8301_interval_must_not_be_zero() {
    discarded_bytes(&config(100), DiscardReason::ZeroInterval, |packet| {
        // 100 cs off the interval and onto the checksum, which has its complement.
        packet[5] = 0;
        let sum = u16::from_be_bytes([packet[6], packet[7]]).wrapping_add(100);
        packet[6..8].copy_from_slice(&sum.to_be_bytes());
    });
}

#[test]
fn rfc3768_7_1_interval_must_match() {
    discarded_sent(&config_v2(100), DiscardReason::IntervalMismatch, |sent| {
        sent.interval = AdvertInterval::from_seconds(2).unwrap();
    });
}

#[test]
fn own_packets_that_come_back_are_not_adverts_of_another() {
    discarded_sent(&config(100), DiscardReason::OwnPacket, |sent| sent.source = ip("10.0.0.2"));
}

#[test]
fn multicast_where_unicast_is_configured_and_the_other_way_round() {
    discarded_sent(&unicast(false), DiscardReason::Transport, |sent| sent.destination = ip("224.0.0.18"));
    discarded_sent(&config(100), DiscardReason::Transport, |sent| sent.destination = ip("10.0.0.2"));
}

#[test]
fn unicast_source_is_checked_if_configured() {
    discarded_sent(&unicast(true), DiscardReason::UnknownPeer, |sent| sent.source = ip("10.0.0.66"));
    let mut lone = Lone::started(unicast(false));
    let sent = Sent { source: ip("10.0.0.66"), ..lone.peer_sends(200) };
    assert_eq!(lone.hear(&sent), Received::Accepted(lone.vr));
}

#[test]
fn unicast_ttl_is_that_of_the_peer() {
    discarded_sent(&unicast(true), DiscardReason::Ttl, |sent| sent.ttl = 253);
    let mut lone = Lone::started(unicast(true));
    let sent = Sent { ttl: 254, ..lone.peer_sends(200) };
    assert_eq!(lone.hear(&sent), Received::Accepted(lone.vr));
}

#[test]
fn checks_come_in_the_order_of_the_reasons() {
    // Each packet is wrong in everything from one check on; the first is what counts.
    let mut lone =
        Lone::started(VirtualRouterConfig { authentication: Some(*b"secret\0\0"), ..config_v2(100) });
    let good = lone.peer_sends(200);
    let two_seconds = AdvertInterval::from_seconds(2).unwrap();
    let interval_wrong = Sent { interval: two_seconds, destination: ip("10.0.0.2"), ..good.clone() };
    let password_wrong = Sent { authentication: Some(*b"wrong\0\0\0"), ..interval_wrong.clone() };
    let no_password = Sent { authentication: None, ..interval_wrong.clone() };
    let mut damaged = password_wrong.packet();
    damaged[2] ^= 1;
    let mut steps = vec![
        (DiscardReason::IntervalMismatch, interval_wrong.meta(), interval_wrong.packet()),
        (DiscardReason::AuthenticationFailure, password_wrong.meta(), password_wrong.packet()),
        (DiscardReason::AuthenticationType, no_password.meta(), no_password.packet()),
        (DiscardReason::Checksum, password_wrong.meta(), damaged.clone()),
    ];
    let other_version = Sent { version: Version::V3, ..interval_wrong.clone() };
    let mut damaged_version = other_version.packet();
    damaged_version[2] ^= 1;
    steps.push((DiscardReason::VersionMismatch, other_version.meta(), damaged_version.clone()));
    let ttl = PacketMeta { ttl: 1, ..other_version.meta() };
    steps.push((DiscardReason::Ttl, ttl, damaged_version.clone()));
    let own = PacketMeta { source: ip("10.0.0.2"), ..ttl };
    steps.push((DiscardReason::OwnPacket, own, damaged_version.clone()));
    let mut unknown = damaged_version.clone();
    unknown[1] = 52;
    steps.push((DiscardReason::UnknownVrid, own, unknown.clone()));
    unknown[0] = 0x32;
    steps.push((DiscardReason::PacketType, own, unknown.clone()));
    unknown[0] = 0x12;
    steps.push((DiscardReason::Version, own, unknown.clone()));
    unknown.truncate(7);
    steps.push((DiscardReason::PacketLength, own, unknown));
    for (reason, meta, packet) in &steps {
        assert_eq!(lone.hear_bytes(meta, packet), Received::Discarded(*reason));
    }
    assert!(steps.windows(2).all(|pair| pair[0].0 > pair[1].0), "as they are declared");
}

#[test]
fn a_flood_of_invalid_packets_neither_silences_an_active_nor_fills_the_log() {
    // VRRPv2: with a pseudo-header one forged source in 65 536 would make the checksum right.
    let mut lone = Lone::active(config_v2(100));
    let start = lone.elapsed();
    let good = lone.peer_sends(254);
    let mut bad = good.packet();
    bad[7] ^= 0xff;
    for i in 0..100_000_u32 {
        let source = std::net::IpAddr::from((0x0a01_0000 + i).to_be_bytes());
        lone.hear_bytes(&PacketMeta { source, ..good.meta() }, &bad);
        lone.pass(ms(1) / 10);
    }
    let times: Vec<_> = lone.left.iter().map(|left| left.at.saturating_sub(start)).collect();
    assert_eq!(times, (1..=10).map(|s| ms(1000 * s)).collect::<Vec<_>>());
    assert_eq!(lone.get().statistics().discarded, 100_000);
    let told = lone.events.iter().filter(|e| matches!(e, Event::Discarded { .. })).count();
    assert!((1..=10).contains(&told), "{told} lines for 100 000 packets");
    assert!(!lone.effects.iter().any(|e| matches!(e, Effect::Withdraw { .. })));
}

// ---- Accepted with a remark ----

#[test]
fn rfc9568_7_1_another_address_list_is_remarked_only() {
    remarked(&config(100), Remark::AddressList, |sent| sent.addresses = vec![ip("10.0.0.51")]);
    remarked(&config(100), Remark::AddressList, |sent| sent.addresses.push(ip("10.0.0.51")));
    remarked(&config_v2(100), Remark::AddressList, |sent| sent.addresses = vec![ip("10.0.0.51")]);
}

#[test]
fn rfc9568_7_1_another_interval_is_remarked_and_adopted() {
    remarked(&config(100), Remark::Interval, |sent| sent.interval = interval(50));
}

#[test]
fn rfc9568_erratum_8300_first_ipv6_address_not_link_local_is_remarked_only() {
    // keepalived sends such lists; to discard them would be a split brain.
    let addresses = vec![ip("fd00::50")];
    let config = VirtualRouterConfig { addresses: addresses.clone(), ..config_ipv6(100) };
    remarked(&config, Remark::FirstAddressNotLinkLocal, |sent| sent.addresses.clone_from(&addresses));
}

#[test]
fn rfc9568_5_2_8_both_ipv4_checksum_forms_are_accepted_and_counted() {
    let mut lone = Lone::started(config(100));
    for form in [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly, ChecksumForm::MessageOnly] {
        let sent = Sent { checksum: form, ..lone.peer_sends(200) };
        assert_eq!(lone.hear(&sent), Received::Accepted(lone.vr));
    }
    let statistics = lone.get().statistics();
    assert_eq!((statistics.checksum_pseudo_header, statistics.checksum_message_only), (1, 2));
}
