//! FRR's vrrpd as the peer: multicast, virtual MACs, no unicast, another reading of the skew. Debian's 8.4 knows
//! the pseudo-header form of the checksum only.

use libtest_mimic::Trial;
use testbed::{ChecksumForm, Family, Kind};

use crate::case;
use crate::events::Event;
use crate::setup::{Role, Setup};

const EVENTS: [Event; 5] = [Event::Start, Event::Kill, Event::Cut, Event::Preempt, Event::PriorityZero];

pub(crate) fn trials() -> Vec<Trial> {
    let setups = [
        Setup { version: 2, family: Family::Ipv4, unicast: false, checksum: None },
        Setup {
            version: 3,
            family: Family::Ipv4,
            unicast: false,
            checksum: Some(ChecksumForm::PseudoHeader),
        },
        Setup { version: 3, family: Family::Ipv6, unicast: false, checksum: None },
    ];
    let mut trials = Vec::new();
    for setup in setups {
        for role in [Role::OursActive, Role::TheirsActive] {
            for event in EVENTS {
                // FRR changes to a user of its own, which a user namespace does not have.
                trials.push(case(Kind::Frr, setup, role, event).with_ignored_flag(!is_real_root()));
            }
        }
    }
    trials
}

fn is_real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().nth(2).is_some_and(|count| count.len() > 6)
}
