//! What VRRPv2 does otherwise (RFC 3768 §6.4); the rows that both versions share are tested for each.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lone;

use std::time::Duration;

use lone::{Lone, config_v2, ip, ms};
use vrrp::{AdvertInterval, Hold, State, Timer, VirtualRouterConfig};

fn every(seconds: u8, priority: u8) -> VirtualRouterConfig {
    VirtualRouterConfig { interval: AdvertInterval::from_seconds(seconds).unwrap(), ..config_v2(priority) }
}

#[test]
fn rfc3768_6_4_1_startup_of_the_owner_becomes_active() {
    let lone = Lone::started(config_v2(255));
    assert_eq!((lone.state(), lone.priorities()), (State::Active, vec![255]));
    assert!(lone.installed());
}

#[test]
fn rfc3768_6_4_1_startup_of_another_waits_three_intervals_and_an_unscaled_skew() {
    let lone = Lone::started(every(5, 100));
    assert_eq!(lone.state(), State::Backup);
    assert_eq!(lone.next(), (Duration::from_micros(15_609_375), Timer::ActiveDown));
}

#[test]
fn rfc3768_6_4_2_shutdown_cancels_the_timer() {
    let mut lone = Lone::started(config_v2(100));
    lone.router.release(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!((lone.state(), lone.left.len()), (State::Initialize(Hold::Stopped), 0));
    assert!(lone.router.poll_timeout().is_none());
}

#[test]
fn rfc3768_6_4_2_master_down_timer_becomes_active() {
    let mut lone = Lone::started(config_v2(100));
    lone.pass(Duration::from_micros(3_609_375));
    assert_eq!((lone.state(), lone.priorities()), (State::Active, vec![100]));
}

#[test]
fn rfc3768_6_4_2_advert_with_priority_zero_sets_timer_to_skew_time_in_seconds() {
    let mut lone = Lone::started(every(5, 100));
    lone.hear_priority(200);
    lone.hear_priority(0);
    assert_eq!(lone.next(), (Duration::from_micros(609_375), Timer::ActiveDown));
}

#[test]
fn rfc3768_6_4_2_advert_of_equal_or_higher_priority_resets_timer() {
    for priority in [100, 101, 255] {
        let mut lone = Lone::started(config_v2(100));
        lone.pass(ms(2000));
        lone.hear_priority(priority);
        assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown), "{priority}");
    }
}

#[test]
fn rfc3768_6_4_2_advert_of_lower_priority_follows_preempt_mode() {
    for (preempt, left) in [(true, 1_609_375), (false, 3_609_375)] {
        let mut lone = Lone::started(VirtualRouterConfig { preempt, ..config_v2(100) });
        lone.pass(ms(2000));
        lone.hear_priority(99);
        assert_eq!(lone.next(), (Duration::from_micros(left), Timer::ActiveDown), "{preempt}");
    }
}

#[test]
fn rfc3768_6_4_3_shutdown_sends_priority_zero() {
    let mut lone = Lone::active(config_v2(100));
    lone.router.release(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!((lone.state(), lone.priorities()), (State::Initialize(Hold::Stopped), vec![0]));
}

#[test]
fn rfc3768_6_4_3_adver_timer_sends() {
    let mut lone = Lone::active(every(2, 100));
    lone.pass(ms(6000));
    assert_eq!(lone.priorities(), [100, 100, 100]);
}

#[test]
fn rfc3768_6_4_3_advert_with_priority_zero_is_answered() {
    let mut lone = Lone::active(config_v2(100));
    lone.pass(ms(400));
    lone.hear_priority(0);
    assert_eq!((lone.state(), lone.priorities()), (State::Active, vec![100]));
}

#[test]
fn rfc3768_6_4_3_higher_priority_or_equal_with_higher_address_becomes_backup() {
    for (priority, source, outranks) in
        [(101, "10.0.0.1", true), (100, "10.0.0.3", true), (100, "10.0.0.1", false), (99, "10.0.0.3", false)]
    {
        let mut lone = Lone::active(config_v2(100));
        let sent = lone::Sent { source: ip(source), ..lone.peer_sends(priority) };
        lone.hear(&sent);
        assert_eq!(lone.state() == State::Backup, outranks, "{priority} {source}");
    }
}

#[test]
fn rfc3768_6_4_3_lower_priority_is_answered_only_if_configured() {
    // RFC 3768 discards silently, RFC 9568 answers; keepalived answers in both versions, and so do we.
    for (answer_lower_priority, left) in [(true, 1), (false, 0)] {
        let mut lone = Lone::active(VirtualRouterConfig { answer_lower_priority, ..config_v2(100) });
        lone.pass(ms(400));
        lone.hear_priority(50);
        assert_eq!((lone.state(), lone.left.len()), (State::Active, left));
    }
}
