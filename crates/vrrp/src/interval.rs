//! Advertisement intervals and what is derived from them (RFC 9568 §6.1; RFC 3768 §6.1).

use core::fmt;
use core::time::Duration;

use crate::Priority;

/// The protocol version of a virtual router.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// RFC 3768 (IPv4 only, whole seconds).
    V2,
    /// RFC 9568.
    V3,
}

impl Version {
    /// The number in the first nibble of a packet.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VRRPv{}", self.number())
    }
}

/// `Advertisement_Interval`: never zero, and always one that its version can put on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertInterval {
    centiseconds: u32,
}

impl AdvertInterval {
    /// One second, the default of both versions.
    pub const DEFAULT: Self = Self { centiseconds: 100 };
    /// The longest that VRRPv3 can carry, in centiseconds (twelve bits).
    pub const MAX_V3_CENTISECONDS: u16 = 4095;

    /// As VRRPv3 carries it, 1 to 4095 centiseconds; `None` outside that (RFC 9568 erratum 8301).
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Self> {
        if centiseconds == 0 || centiseconds > Self::MAX_V3_CENTISECONDS {
            return None;
        }
        Some(Self { centiseconds: centiseconds as u32 })
    }

    /// As VRRPv2 carries it, 1 to 255 seconds; `None` for zero.
    pub const fn from_seconds(seconds: u8) -> Option<Self> {
        if seconds == 0 {
            return None;
        }
        Some(Self { centiseconds: seconds as u32 * 100 })
    }

    /// The interval as time.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.centiseconds as u64 * 10)
    }

    /// The field of a VRRPv3 packet, or `None` if it does not fit in twelve bits.
    pub fn wire_v3(self) -> Option<u16> {
        u16::try_from(self.centiseconds).ok().filter(|cs| *cs <= Self::MAX_V3_CENTISECONDS)
    }

    /// The field of a VRRPv2 packet, or `None` if it is not a whole number of seconds up to 255.
    pub fn wire_v2(self) -> Option<u8> {
        if !self.centiseconds.is_multiple_of(100) {
            return None;
        }
        u8::try_from(self.centiseconds / 100).ok()
    }

    /// `Skew_Time`. VRRPv3 scales it with the interval (RFC 9568 §6.1); VRRPv2 does not, its unit is the
    /// second (RFC 3768 §6.1).
    pub fn skew_time(self, version: Version, priority: Priority) -> Duration {
        let base = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.duration(),
        };
        // At most 40.95 s * 256 in nanoseconds: far from an overflow.
        base * (256 - u32::from(priority.get())) / 256
    }

    /// `Active_Down_Interval`: `missed` intervals (three by the standard) and the skew.
    pub fn active_down_interval(self, version: Version, priority: Priority, missed: u8) -> Duration {
        self.duration() * u32::from(missed) + self.skew_time(version, priority)
    }
}

impl fmt::Display for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.centiseconds.is_multiple_of(100) {
            write!(f, "{} s", self.centiseconds / 100)
        } else {
            write!(f, "{} ms", self.centiseconds * 10)
        }
    }
}

impl fmt::Debug for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v3(ms: u16) -> AdvertInterval {
        AdvertInterval::from_centiseconds(ms / 10).unwrap()
    }

    #[test]
    fn rfc9568_6_1_active_down_interval_is_exact() {
        for (interval_ms, priority, nanos) in [
            (1000, 100, 3_609_375_000),
            (100, 100, 360_937_500),
            (10, 100, 36_093_750),
            (1000, 200, 3_218_750_000),
            (100, 200, 321_875_000),
            (10, 200, 32_187_500),
            (1000, 254, 3_007_812_500),
            (100, 254, 300_781_250),
            (10, 254, 30_078_125),
        ] {
            let got = v3(interval_ms).active_down_interval(Version::V3, Priority::new(priority), 3);
            assert_eq!(got, Duration::from_nanos(nanos), "{interval_ms} ms, priority {priority}");
        }
    }

    #[test]
    fn rfc3768_6_1_skew_does_not_scale_with_the_interval() {
        let five = AdvertInterval::from_seconds(5).unwrap();
        assert_eq!(five.skew_time(Version::V2, Priority::new(100)), Duration::from_micros(609_375));
        assert_eq!(five.skew_time(Version::V3, Priority::new(100)), Duration::from_micros(3_046_875));
    }

    #[test]
    fn only_intervals_that_can_be_sent_exist() {
        assert!(AdvertInterval::from_centiseconds(0).is_none());
        assert!(AdvertInterval::from_centiseconds(4096).is_none());
        assert!(AdvertInterval::from_seconds(0).is_none());
        assert_eq!(v3(10).wire_v2(), None);
        assert_eq!(AdvertInterval::from_seconds(255).unwrap().wire_v3(), None);
        assert_eq!(AdvertInterval::from_seconds(255).unwrap().wire_v2(), Some(255));
    }
}
