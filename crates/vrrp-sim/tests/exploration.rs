//! Every history of two routers, and of three with fewer disturbances.
#![forbid(unsafe_code)]

use vrrp_sim::exploration::{Bounds, explore};

fn all_is_well(bounds: &Bounds) -> usize {
    let explored = explore(bounds);
    let wrong =
        explored.violation.as_ref().map(|(what, story)| format!("{what} after\n{}", story.join("\n")));
    assert_eq!(wrong.as_deref(), None, "{bounds:?}");
    assert!(explored.complete, "{bounds:?}: only {} states", explored.states);
    explored.states
}

fn bounds(priorities: &[u8]) -> Bounds {
    Bounds {
        priorities: priorities.to_vec(),
        preempt: true,
        losses: 0,
        partitions: 0,
        pauses: 0,
        handovers: 0,
        at_most: 20_000_000,
    }
}

#[test]
fn two_routers_and_a_lost_packet_a_partition_or_a_pause() {
    for (priorities, preempt) in [([192, 128], true), ([128, 128], true), ([192, 128], false)] {
        let base = Bounds { preempt, ..bounds(&priorities) };
        let mut states = 0;
        states += all_is_well(&Bounds { losses: 2, ..base.clone() });
        states += all_is_well(&Bounds { partitions: 1, ..base.clone() });
        states += all_is_well(&Bounds { pauses: 1, ..base.clone() });
        states += all_is_well(&Bounds { handovers: 1, ..base.clone() });
        assert!(states > 1000);
    }
}

#[test]
fn three_routers_and_a_partition() {
    all_is_well(&Bounds { partitions: 1, ..bounds(&[192, 128, 64]) });
}
