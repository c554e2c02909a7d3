//! Packets as they stand on the wire, in both directions.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lone;

use std::net::IpAddr;

use lone::{LINK, ip};
use proptest::prelude::*;
use vrrp::advertisement::{Advertisement, AdvertisementFields, Password, WireAuthentication, WireInterval};
use vrrp::{
    AdvertInterval, ChecksumForm, DiscardReason, Family, Instant, PacketMeta, Priority, Transport, Version,
    VirtualRouterConfig, VirtualRouterId, VrrpRouter,
};

/// A packet that other implementations send, or whose checksum was worked out apart from this code.
struct Golden {
    of: &'static str,
    bytes: &'static str,
    version: Version,
    vrid: u8,
    priority: u8,
    interval: AdvertInterval,
    password: Option<&'static Password>,
    addresses: &'static [&'static str],
    source: &'static str,
    destination: &'static str,
    form: ChecksumForm,
}

fn centiseconds(value: u16) -> AdvertInterval {
    AdvertInterval::from_centiseconds(value).unwrap()
}

fn golden() -> Vec<Golden> {
    let keepalived = |of, form, bytes| Golden {
        of,
        bytes,
        version: Version::V3,
        vrid: 51,
        priority: 200,
        interval: AdvertInterval::DEFAULT,
        password: None,
        addresses: &["10.0.0.50"],
        source: "10.0.0.1",
        destination: "224.0.0.18",
        form,
    };
    let v2 = |of, priority, password, bytes| Golden {
        version: Version::V2,
        priority,
        password,
        ..keepalived(of, ChecksumForm::MessageOnly, bytes)
    };
    let two = |of, form, bytes| Golden {
        vrid: 2,
        priority: 254,
        interval: centiseconds(1),
        addresses: &["20.0.1.2", "20.0.1.3"],
        source: "20.0.0.3",
        ..keepalived(of, form, bytes)
    };
    let documentation = |of, form, bytes| Golden {
        addresses: &["192.0.2.100"],
        source: "198.51.100.10",
        ..keepalived(of, form, bytes)
    };
    let pseudo = ChecksumForm::PseudoHeader;
    let message = ChecksumForm::MessageOnly;
    vec![
        v2("v2, keepalived", 200, None, "2133c80100010c980a0000320000000000000000"),
        v2("v2 with PASS, keepalived", 200, Some(b"secret\0\0"), "2133c8010101cf4b0a0000327365637265740000"),
        Golden { addresses: &["10.0.1.5"], ..v2("v2", 30, None, "21331e010001b5c50a0001050000000000000000") },
        Golden {
            version: Version::V2,
            interval: AdvertInterval::DEFAULT,
            ..two("v2, two addresses", message, "2102fe020001b6f414000102140001030000000000000000")
        },
        Golden { vrid: 1, addresses: &[], ..v2("v2, none", 100, None, "2101640000017afd0000000000000000") },
        keepalived("v3 IPv4, keepalived and FRR", pseudo, "3133c801006411a50a000032"),
        keepalived("v3 IPv4, RFC 9568", message, "3133c8010064fc340a000032"),
        two("v3 IPv4, two addresses", pseudo, "3102fe020001b25e1400010214000103"),
        two("v3 IPv4, two addresses, RFC 9568", message, "3102fe020001a6f41400010214000103"),
        documentation("v3 IPv4, documentation", pseudo, "3133c80100643935c0000264"),
        documentation("v3 IPv4, documentation, RFC 9568", message, "3133c80100644402c0000264"),
        Golden {
            addresses: &["2001:db8::2", "2001:db8::3"],
            source: "2001:db8::1",
            destination: "ff02::12",
            ..two(
                "v3 IPv6",
                pseudo,
                "3102fe020001481b20010db800000000000000000000000220010db8000000000000000000000003",
            )
        },
        Golden {
            addresses: &["fe80::50", "fd00::50"],
            source: "fe80::ff:fe00:1",
            destination: "ff02::12",
            ..keepalived(
                "v3 IPv6, keepalived",
                pseudo,
                "3133c80200640d15fe800000000000000000000000000050fd000000000000000000000000000050",
            )
        },
    ]
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn rfc9568_5_2_and_rfc3768_5_3_packets_are_those_of_other_implementations() {
    for golden in golden() {
        let addresses: Vec<IpAddr> = golden.addresses.iter().map(|a| ip(a)).collect();
        let (source, destination) = (ip(golden.source), ip(golden.destination));
        let wire = bytes(golden.bytes);
        let mut packet = Vec::new();
        AdvertisementFields {
            version: golden.version,
            vrid: VirtualRouterId::new(golden.vrid).unwrap(),
            priority: Priority::new(golden.priority),
            interval: golden.interval,
            authentication: golden.password.copied(),
            addresses: &addresses,
            checksum: golden.form,
        }
        .encode_into(source, destination, &mut packet);
        assert_eq!(packet, wire, "{}", golden.of);

        let read = Advertisement::decode(Family::of(source), &wire).unwrap();
        assert_eq!(read.version, golden.version, "{}", golden.of);
        assert_eq!((read.vrid, read.priority.get()), (golden.vrid, golden.priority), "{}", golden.of);
        assert_eq!(read.interval.interval(), Some(golden.interval), "{}", golden.of);
        assert!(read.addresses.iter().eq(addresses.iter().copied()), "{}", golden.of);
        let authentication = match golden.password {
            Some(password) => WireAuthentication::Simple(*password),
            None => WireAuthentication::None,
        };
        assert_eq!(read.authentication, authentication, "{}", golden.of);
        assert_eq!(read.checksum_form(source, destination), Some(golden.form), "{}", golden.of);

        for bit in 0..8 {
            let mut damaged = wire.clone();
            damaged[2] ^= 1 << bit;
            let damaged = Advertisement::decode(Family::of(source), &damaged).unwrap();
            assert_eq!(damaged.checksum_form(source, destination), None, "{} damaged", golden.of);
        }
    }
}

#[test]
fn rfc9568_5_2_reserved_bits_are_ignored_on_receipt() {
    let mut packet = bytes("3133c801006411a50a000032");
    packet[4] |= 0xf0;
    let read = Advertisement::decode(Family::Ipv4, &packet).unwrap();
    assert_eq!(read.interval, WireInterval::Centiseconds(100));
}

#[test]
fn the_longest_advert_fits() {
    let addresses: Vec<IpAddr> = (0..255_u16).map(|i| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, i])).collect();
    let fields = AdvertisementFields {
        version: Version::V3,
        vrid: VirtualRouterId::new(255).unwrap(),
        priority: Priority::OWNER,
        interval: centiseconds(4095),
        authentication: None,
        addresses: &addresses,
        checksum: ChecksumForm::PseudoHeader,
    };
    let mut packet = Vec::new();
    fields.encode_into(ip("fe80::1"), ip("ff02::12"), &mut packet);
    assert_eq!(packet.len(), vrrp::advertisement::MAX_LEN);
    let read = Advertisement::decode(Family::Ipv6, &packet).unwrap();
    assert_eq!(read.addresses.len(), 255);
    assert!(read.checksum_form(ip("fe80::1"), ip("ff02::12")).is_some());
}

/// Addresses of one family, and an address of it that packets come from and go to.
fn addresses() -> impl Strategy<Value = (Vec<IpAddr>, IpAddr, IpAddr)> {
    let four = proptest::collection::vec(any::<[u8; 4]>(), 1..40);
    let six = proptest::collection::vec(any::<[u8; 16]>(), 1..40);
    prop_oneof![
        (four, any::<[u8; 4]>()).prop_map(|(a, s)| (
            a.into_iter().map(IpAddr::from).collect(),
            IpAddr::from(s),
            ip("224.0.0.18")
        )),
        (six, any::<[u8; 16]>()).prop_map(|(a, s)| (
            a.into_iter().map(IpAddr::from).collect(),
            IpAddr::from(s),
            ip("ff02::12")
        )),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), six: bool) {
        let family = if six { Family::Ipv6 } else { Family::Ipv4 };
        let source = if six { ip("fe80::1") } else { ip("10.0.0.1") };
        if let Ok(advert) = Advertisement::decode(family, &bytes) {
            let _ = advert.checksum_form(source, family.group());
            prop_assert!(advert.addresses.iter().count() == advert.addresses.len());
        }
    }

    #[test]
    fn decode_of_encode_is_identity(
        (addresses, source, destination) in addresses(),
        vrid in 1_u8..,
        priority: u8,
        wire_interval in 1_u16..4096,
        password: Option<Password>,
        v2: bool,
        message_only: bool,
        padding in 0_usize..30,
    ) {
        let family = Family::of(source);
        let version = if v2 && family == Family::Ipv4 { Version::V2 } else { Version::V3 };
        let interval = match version {
            Version::V2 => AdvertInterval::from_seconds(u8::try_from(wire_interval % 255).unwrap() + 1),
            Version::V3 => AdvertInterval::from_centiseconds(wire_interval),
        };
        let checksum = if message_only { ChecksumForm::MessageOnly } else { ChecksumForm::PseudoHeader };
        let mut packet = Vec::new();
        AdvertisementFields {
            version,
            vrid: VirtualRouterId::new(vrid).unwrap(),
            priority: Priority::new(priority),
            interval: interval.unwrap(),
            authentication: password,
            addresses: &addresses,
            checksum,
        }
        .encode_into(source, destination, &mut packet);
        // Ethernet padding behind it changes nothing.
        packet.resize(packet.len() + padding, 0xa5);
        let read = Advertisement::decode(family, &packet).unwrap();
        prop_assert_eq!((read.version, read.vrid, read.priority.get()), (version, vrid, priority));
        prop_assert_eq!(read.interval.interval(), interval);
        prop_assert!(read.addresses.iter().eq(addresses.iter().copied()));
        let authentication = match (version, password) {
            (Version::V2, Some(password)) => WireAuthentication::Simple(password),
            _ => WireAuthentication::None,
        };
        prop_assert_eq!(read.authentication, authentication);
        let form = read.checksum_form(source, destination);
        match (version, family) {
            // The two forms agree where the pseudo-header sums to zero.
            (Version::V3, Family::Ipv4) => prop_assert!(form == Some(checksum) || form == Some(checksum.other())),
            (Version::V3, Family::Ipv6) => prop_assert_eq!(form, Some(ChecksumForm::PseudoHeader)),
            (Version::V2, _) => prop_assert_eq!(form, Some(ChecksumForm::MessageOnly)),
        }
    }

    /// Whatever comes in, in whatever order and at whatever time, the router goes on; and a packet that it
    /// discards leaves its next deadline where it was.
    #[test]
    fn any_bytes_at_any_time_neither_panic_nor_touch_a_timer(
        steps in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), any::<u8>(), 0_u64..4_000, any::<bool>()),
            1..60,
        ),
        unicast: bool,
        v2: bool,
    ) {
        let mut now = Instant::ZERO + std::time::Duration::from_hours(1);
        let mut config = VirtualRouterConfig::new(
            "VI_1", LINK, VirtualRouterId::new(51).unwrap(), vec![ip("10.0.0.50")],
        );
        config.version = if v2 { Version::V2 } else { Version::V3 };
        if unicast {
            config.transport = Transport::Unicast { peers: Vec::new(), check_source: false, ttl: 255 };
        }
        let mut router = VrrpRouter::with_capacity(1);
        let vr = router.add(config, now).unwrap();
        router.set_source(vr, Some(ip("10.0.0.2")), now);
        router.start(vr, now);
        for (mut packet, source, millis, likely) in steps {
            now = now + std::time::Duration::from_millis(millis);
            if likely && packet.len() >= 8 {
                // Near enough to a packet for the later checks to be reached.
                packet[0] = if v2 { 0x21 } else { 0x31 };
                packet[1] = 51;
                packet[3] %= 3;
            }
            let meta = PacketMeta {
                interface: LINK,
                source: IpAddr::from([10, 0, 0, source]),
                destination: if unicast { ip("10.0.0.2") } else { ip("224.0.0.18") },
                ttl: 255,
            };
            let before = router.poll_timeout();
            let received = router.handle_packet(now, now, &meta, &packet);
            if let vrrp::Received::Discarded(reason) = received {
                prop_assert_eq!(router.poll_timeout(), before);
                prop_assert!(reason != DiscardReason::NotRunning);
            }
            router.handle_timeouts(now, usize::MAX);
            while router.poll_transmit().is_some() {}
            while router.poll_effect().is_some() {}
            while router.poll_event().is_some() {}
            prop_assert!(router.poll_timeout().is_some_and(|(at, _, _)| at > now), "it waits for something");
        }
    }
}
