//! Packets as they stand on the wire, in both directions.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::IpAddr;

use proptest::prelude::*;
use vrrp::advertisement::{Advertisement, AdvertisementFields};
use vrrp::{AdvertInterval, ChecksumForm, Family, Priority, Version, VirtualRouterId};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

struct Golden {
    version: Version,
    vrid: u8,
    priority: u8,
    password: Option<&'static [u8; 8]>,
    addresses: &'static [&'static str],
    source: &'static str,
    destination: &'static str,
    form: ChecksumForm,
    checksum: u16,
}

#[test]
fn checksums_are_those_of_other_implementations() {
    let v4 = |form, checksum| Golden {
        version: Version::V3,
        vrid: 51,
        priority: 200,
        password: None,
        addresses: &["10.0.0.50"],
        source: "10.0.0.1",
        destination: "224.0.0.18",
        form,
        checksum,
    };
    let v2 = |password, checksum| Golden {
        version: Version::V2,
        password,
        ..v4(ChecksumForm::MessageOnly, checksum)
    };
    let two = |form, checksum| Golden {
        vrid: 2,
        priority: 254,
        addresses: &["20.0.1.2", "20.0.1.3"],
        source: "20.0.0.3",
        ..v4(form, checksum)
    };
    for (i, golden) in [
        v4(ChecksumForm::PseudoHeader, 0x11a5),
        v4(ChecksumForm::MessageOnly, 0xfc34),
        v2(None, 0x0c98),
        v2(Some(b"secret\0\0"), 0xcf4b),
        two(ChecksumForm::PseudoHeader, 0xb25e),
        two(ChecksumForm::MessageOnly, 0xa6f4),
        Golden {
            vrid: 2,
            priority: 254,
            addresses: &["2001:db8::2", "2001:db8::3"],
            source: "2001:db8::1",
            destination: "ff02::12",
            ..v4(ChecksumForm::PseudoHeader, 0x481b)
        },
    ]
    .into_iter()
    .enumerate()
    {
        let addresses: Vec<IpAddr> = golden.addresses.iter().map(|a| ip(a)).collect();
        // The two-address vectors have an interval of 1 cs, the others of 1 s.
        let interval = if golden.vrid == 2 {
            AdvertInterval::from_centiseconds(1).unwrap()
        } else {
            AdvertInterval::DEFAULT
        };
        let fields = AdvertisementFields {
            version: golden.version,
            vrid: VirtualRouterId::new(golden.vrid).unwrap(),
            priority: Priority::new(golden.priority),
            interval,
            authentication: golden.password.copied(),
            addresses: &addresses,
            checksum: golden.form,
        };
        let (source, destination) = (ip(golden.source), ip(golden.destination));
        let mut packet = Vec::new();
        fields.encode_into(source, destination, &mut packet);
        assert_eq!(u16::from_be_bytes([packet[6], packet[7]]), golden.checksum, "vector {i}: {packet:02x?}");
        let read = Advertisement::decode(Family::of(source), &packet).unwrap();
        assert_eq!(read.checksum_form(source, destination), Some(golden.form), "vector {i}");
        packet[2] ^= 1;
        let damaged = Advertisement::decode(Family::of(source), &packet).unwrap();
        assert_eq!(damaged.checksum_form(source, destination), None, "vector {i} damaged");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), six in any::<bool>()) {
        let family = if six { Family::Ipv6 } else { Family::Ipv4 };
        let source = if six { ip("fe80::1") } else { ip("10.0.0.1") };
        if let Ok(advert) = Advertisement::decode(family, &bytes) {
            let _ = advert.checksum_form(source, family.group());
            prop_assert!(advert.addresses.iter().count() == advert.addresses.len());
        }
    }

    #[test]
    fn what_is_written_is_read(vrid in 1_u8.., priority: u8, cs in 1_u16..4096, last in proptest::collection::vec(any::<u8>(), 1..9)) {
        let addresses: Vec<IpAddr> = last.iter().map(|l| IpAddr::from([10, 0, 0, *l])).collect();
        let fields = AdvertisementFields {
            version: Version::V3,
            vrid: VirtualRouterId::new(vrid).unwrap(),
            priority: Priority::new(priority),
            interval: AdvertInterval::from_centiseconds(cs).unwrap(),
            authentication: None,
            addresses: &addresses,
            checksum: ChecksumForm::MessageOnly,
        };
        let mut packet = Vec::new();
        fields.encode_into(ip("10.0.0.1"), ip("224.0.0.18"), &mut packet);
        // Ethernet padding behind it changes nothing.
        packet.extend_from_slice(&[0; 20]);
        let read = Advertisement::decode(Family::Ipv4, &packet).unwrap();
        prop_assert_eq!(read.vrid, vrid);
        prop_assert_eq!(read.priority.get(), priority);
        prop_assert_eq!(read.interval.interval(), AdvertInterval::from_centiseconds(cs));
        prop_assert!(read.addresses.iter().eq(addresses.iter().copied()));
        prop_assert!(read.checksum_form(ip("10.0.0.1"), ip("224.0.0.18")).is_some());
    }
}
