//! One test per row of the state tables of RFC 9568 §6.4.1 to §6.4.3, and per rule of §6.1 that they use.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lone;

use std::time::Duration;

use lone::{Lone, config, config_ipv6, interval, ip, ms};
use vrrp::{Event, Hold, Reason, State, Timer};

// ---- §6.4.1 Initialize ----

#[test]
fn rfc9568_6_4_1_startup_of_the_owner_sends_announces_and_becomes_active() {
    let lone = Lone::started(config(255));
    assert_eq!(lone.state(), State::Active);
    assert_eq!(lone.priorities(), [255]);
    assert!(lone.installed());
    assert_eq!(lone.next(), (ms(1000), Timer::Adver));
}

#[test]
fn rfc9568_6_4_1_startup_of_another_waits_active_down_interval_as_backup() {
    let lone = Lone::started(config(100));
    assert_eq!(lone.state(), State::Backup);
    assert_eq!(lone.priorities(), []);
    assert!(lone.effects.is_empty());
    assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown));
    assert_eq!(lone.get().active_adver_interval(), interval(1000));
}

#[test]
fn rfc9568_6_4_1_before_startup_nothing_is_sent_and_adverts_are_not_heeded() {
    let mut lone = Lone::held(config(255));
    let sent = lone.peer_sends(200);
    assert_eq!(lone.hear(&sent), vrrp::Received::Discarded(vrrp::DiscardReason::NotRunning));
    lone.pass(ms(20_000));
    assert_eq!(lone.state(), State::Initialize(Hold::Startup));
    assert!(lone.left.is_empty() && lone.effects.is_empty());
}

// ---- §6.4.2 Backup ----

#[test]
fn rfc9568_6_4_2_shutdown_cancels_the_timer_and_sends_nothing() {
    let mut lone = Lone::started(config(100));
    lone.router.release(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!(lone.state(), State::Initialize(Hold::Stopped));
    assert!(lone.router.poll_timeout().is_none());
    lone.pass(ms(20_000));
    assert!(lone.left.is_empty());
}

#[test]
fn rfc9568_6_4_2_active_down_timer_sends_announces_and_becomes_active() {
    let mut lone = Lone::started(config(100));
    lone.pass(Duration::from_nanos(3_609_374_999));
    assert_eq!(lone.state(), State::Backup);
    lone.pass(Duration::from_nanos(1));
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::ActiveSilent));
    assert_eq!(lone.priorities(), [100]);
    assert!(lone.installed());
    assert_eq!(lone.next(), (ms(1000), Timer::Adver));
}

#[test]
fn rfc9568_6_4_2_advert_with_priority_zero_sets_timer_to_skew_time() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(200);
    lone.pass(ms(300));
    lone.hear_priority(0);
    assert_eq!(lone.state(), State::Backup);
    assert_eq!(lone.next(), (Duration::from_micros(609_375), Timer::ActiveDown));
    lone.pass(Duration::from_micros(609_375));
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::ActiveReleased));
}

#[test]
fn rfc9568_6_4_2_skew_time_is_that_of_the_active_adver_interval() {
    let mut lone = Lone::started(config(100));
    let sent = lone::Sent { interval: interval(100), ..lone.peer_sends(200) };
    lone.hear(&sent);
    lone.hear_priority(0);
    assert_eq!(lone.next(), (Duration::from_nanos(60_937_500), Timer::ActiveDown));
}

#[test]
fn rfc9568_6_4_2_repeated_priority_zero_does_not_put_the_takeover_off() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(200);
    lone.hear_priority(0);
    for _ in 0..12 {
        lone.pass(ms(51));
        lone.hear_priority(0);
    }
    assert_eq!(lone.state(), State::Active);
}

#[test]
fn rfc9568_6_4_2_priority_zero_of_another_than_the_active_that_is_heard_changes_nothing() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(200);
    let another = lone::Sent { source: ip("10.0.0.9"), ..lone.peer_sends(0) };
    lone.hear(&another);
    assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown));
    // When the one that is followed has fallen silent, it counts.
    lone.pass(ms(1600));
    lone.hear(&another);
    assert_eq!(lone.next(), (Duration::from_micros(609_375), Timer::ActiveDown));
}

#[test]
fn rfc9568_6_4_2_advert_of_higher_priority_resets_timer_and_adopts_interval() {
    let mut lone = Lone::started(config(100));
    lone.pass(ms(2000));
    let sent = lone::Sent { interval: interval(100), ..lone.peer_sends(101) };
    lone.hear(&sent);
    assert_eq!(lone.state(), State::Backup);
    assert_eq!(lone.get().active_adver_interval(), interval(100));
    assert_eq!(lone.get().skew_time(), Duration::from_nanos(60_937_500));
    assert_eq!(lone.next(), (Duration::from_nanos(360_937_500), Timer::ActiveDown));
}

#[test]
fn rfc9568_6_4_2_advert_of_equal_priority_resets_timer_whatever_the_address() {
    for source in ["10.0.0.1", "10.0.0.3"] {
        let mut lone = Lone::started(config(100));
        lone.pass(ms(2000));
        let sent = lone::Sent { source: ip(source), ..lone.peer_sends(100) };
        lone.hear(&sent);
        assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown), "{source}");
    }
}

#[test]
fn rfc9568_6_4_2_advert_of_lower_priority_resets_timer_without_preempt_mode() {
    let mut lone = Lone::started(vrrp::VirtualRouterConfig { preempt: false, ..config(100) });
    lone.pass(ms(2000));
    lone.hear_priority(50);
    assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown));
}

#[test]
fn rfc9568_6_4_2_advert_of_lower_priority_is_discarded_with_preempt_mode() {
    let mut lone = Lone::started(config(100));
    lone.pass(ms(2000));
    let sent = lone::Sent { interval: interval(100), ..lone.peer_sends(99) };
    lone.hear(&sent);
    assert_eq!(lone.get().active_adver_interval(), interval(1000));
    assert_eq!(lone.next(), (Duration::from_micros(1_609_375), Timer::ActiveDown));
    lone.pass(Duration::from_micros(1_609_375));
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::Preempting));
}

/// Sooner than the RFC: what the Active says of itself is believed.
#[test]
fn an_active_that_falls_below_us_is_relieved_after_skew_time() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(101);
    lone.pass(ms(1000));
    lone.hear_priority(99);
    assert_eq!(lone.next(), (Duration::from_micros(609_375), Timer::ActiveDown));
    lone.pass(ms(300));
    lone.hear_priority(98);
    lone.hear_priority(98);
    assert_eq!(lone.next(), (Duration::from_micros(309_375), Timer::ActiveDown), "never put off");
    lone.pass(Duration::from_micros(309_375));
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::Preempting));
}

#[test]
fn an_active_whose_checks_fail_says_so_at_once() {
    let mut lone = Lone::active(config(100));
    lone.pass(ms(300));
    lone.forget();
    lone.router.set_tracking(lone.vr, -2, false, lone.now);
    lone.drain();
    assert_eq!(lone.priorities(), [98]);
    lone.router.set_tracking(lone.vr, 0, false, lone.now);
    lone.drain();
    assert_eq!(lone.priorities(), [98], "that it is well again can wait");
}

#[test]
fn an_active_that_recovers_in_time_is_followed_again() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(101);
    lone.hear_priority(99);
    lone.pass(ms(500));
    lone.hear_priority(101);
    assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown));
}

#[test]
fn an_active_that_fell_is_followed_again_if_we_fall_below_it() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(101);
    lone.pass(ms(1000));
    lone.hear_priority(80);
    assert_eq!(lone.next(), (Duration::from_micros(609_375), Timer::ActiveDown));
    lone.pass(ms(300));
    lone.router.set_tracking(lone.vr, -30, false, lone.now);
    // Three intervals and the skew of priority 70, from its last advert on: 300 ms of them are over.
    assert_eq!(lone.next(), (Duration::from_nanos(3_426_562_500), Timer::ActiveDown));
    lone.router.set_tracking(lone.vr, 0, false, lone.now);
    lone.hear_priority(80);
    lone.pass(ms(3000));
    assert_eq!(lone.state(), State::Backup, "better than it again, it takes over as the RFC says");
    lone.pass(ms(800));
    assert_eq!((lone.state(), lone.get().reason()), (State::Active, Reason::Preempting));
}

#[test]
fn an_active_that_falls_is_kept_without_preempt_mode_or_while_preemption_is_delayed() {
    for config in [
        vrrp::VirtualRouterConfig { preempt: false, ..config(100) },
        vrrp::VirtualRouterConfig { preempt_delay: ms(10_000), ..config(100) },
    ] {
        let mut lone = Lone::started(config);
        lone.hear_priority(101);
        lone.hear_priority(99);
        assert_eq!(lone.next(), (Duration::from_micros(3_609_375), Timer::ActiveDown));
    }
}

#[test]
fn an_active_that_we_outgrow_is_preempted_as_the_rfc_says() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(101);
    lone.router.set_tracking(lone.vr, 50, false, lone.now);
    lone.drain();
    lone.hear_priority(101);
    assert_eq!(lone.get().state(), State::Backup);
    assert!(lone.next().0 > ms(3000), "{:?}", lone.next());
}

#[test]
fn rfc9568_6_4_2_a_backup_neither_sends_nor_announces_nor_holds_addresses() {
    let mut lone = Lone::started(config(100));
    for _ in 0..50 {
        lone.hear_priority(200);
        lone.pass(ms(1000));
    }
    assert!(lone.left.is_empty() && lone.effects.is_empty() && !lone.get().holds_addresses());
}

// ---- §6.4.3 Active ----

#[test]
fn rfc9568_6_4_3_shutdown_sends_priority_zero_and_goes_to_initialize() {
    let mut lone = Lone::active(config(100));
    lone.router.release(lone.vr, true, lone.now);
    lone.drain();
    assert_eq!(lone.priorities(), [0]);
    assert_eq!(lone.state(), State::Initialize(Hold::Stopped));
    lone.pass(ms(20_000));
    assert_eq!(lone.priorities(), [0], "the advert timer is cancelled");
    assert!(lone.withdrew());
}

#[test]
fn rfc9568_6_4_3_adver_timer_sends_and_is_reset() {
    let mut lone = Lone::active(config(100));
    let start = lone.elapsed();
    lone.pass(ms(3500));
    assert_eq!(lone.priorities(), [100, 100, 100]);
    let times: Vec<_> = lone.left.iter().map(|left| left.at.saturating_sub(start)).collect();
    assert_eq!(times, [ms(1000), ms(2000), ms(3000)]);
}

#[test]
fn rfc9568_6_4_3_advert_with_priority_zero_is_answered_and_resets_adver_timer() {
    let mut lone = Lone::active(config(100));
    lone.pass(ms(400));
    lone.hear_priority(0);
    assert_eq!(lone.state(), State::Active);
    assert_eq!(lone.priorities(), [100]);
    // The clients of the one that left are told where the addresses are.
    assert!(lone.announced());
    lone.pass(ms(999));
    assert_eq!(lone.priorities(), [100]);
    lone.pass(ms(1));
    assert_eq!(lone.priorities(), [100, 100]);
}

#[test]
fn rfc9568_6_4_3_advert_of_higher_priority_adopts_interval_and_becomes_backup() {
    let mut lone = Lone::active(config(100));
    let sent = lone::Sent { interval: interval(100), ..lone.peer_sends(101) };
    lone.hear(&sent);
    assert_eq!((lone.state(), lone.get().reason()), (State::Backup, Reason::OutrankedBy(ip("10.0.0.1"))));
    assert_eq!(lone.get().active_adver_interval(), interval(100));
    // Later than the RFC, which wants them gone at once: the winner has not got the addresses yet.
    assert_eq!(lone.next(), (ms(40), Timer::Linger));
    assert!(!lone.withdrew());
    lone.pass(ms(40));
    assert!(lone.withdrew());
    assert_eq!(lone.next(), (Duration::from_nanos(320_937_500), Timer::ActiveDown));
}

#[test]
fn rfc9568_6_4_3_equal_priority_and_higher_address_becomes_backup() {
    let mut lone = Lone::active(config(100));
    let sent = lone::Sent { source: ip("10.0.0.3"), ..lone.peer_sends(100) };
    lone.hear(&sent);
    assert_eq!(lone.state(), State::Backup);
}

#[test]
fn rfc9568_6_4_3_equal_priority_and_lower_address_stays_active_and_answers() {
    let mut lone = Lone::active(config(100));
    lone.pass(ms(500));
    let sent = lone::Sent { source: ip("10.0.0.1"), ..lone.peer_sends(100) };
    lone.hear(&sent);
    assert_eq!(lone.state(), State::Active);
    assert_eq!(lone.priorities(), [100]);
}

#[test]
fn rfc9568_6_4_3_addresses_are_compared_as_unsigned_numbers_in_network_order() {
    // As a signed or little-endian number 10.0.0.200 or 2.0.0.10 would come out on the other side.
    for (source, outranks) in
        [("10.0.0.200", true), ("200.0.0.1", true), ("2.0.0.10", false), ("10.0.1.1", true)]
    {
        let mut lone = Lone::active(config(100));
        let sent = lone::Sent { source: ip(source), ..lone.peer_sends(100) };
        lone.hear(&sent);
        assert_eq!(lone.state() == State::Backup, outranks, "{source}");
    }
}

#[test]
fn rfc9568_6_4_3_tie_is_broken_by_link_local_address_over_ipv6() {
    for (source, outranks) in [("fe80::1", false), ("fe80::3", true), ("fe80::8000:0:0:1", true)] {
        let mut lone = Lone::active(config_ipv6(100));
        let sent = lone::Sent { source: ip(source), ..lone.peer_sends(100) };
        lone.hear(&sent);
        assert_eq!(lone.state() == State::Backup, outranks, "{source}");
    }
}

#[test]
fn rfc9568_6_4_3_advert_of_lower_priority_is_answered_at_once() {
    let mut lone = Lone::active(config(100));
    lone.pass(ms(400));
    lone.hear_priority(50);
    assert_eq!(lone.state(), State::Active);
    assert_eq!(lone.priorities(), [100]);
    assert!(lone.announced(), "the clients may have the other's MAC address");
    assert!(lone.events.iter().any(|e| matches!(e, Event::SecondActive { .. })));
}

#[test]
fn rfc9568_6_4_3_answers_to_a_flood_are_spaced_but_none_is_owed() {
    let mut lone = Lone::active(config(100));
    for _ in 0..10_000 {
        lone.hear_priority(50);
        lone.pass(Duration::from_micros(100));
    }
    // One second: sixteen spaced answers and no more.
    assert!((15..=17).contains(&lone.left.len()), "{}", lone.left.len());
    lone.forget();
    lone.hear_priority(50);
    lone.pass(ms(63));
    assert!(!lone.left.is_empty(), "the last one gets its answer after the spacing");
}

#[test]
fn rfc9568_6_4_3_priority_zero_after_our_own_advert_is_answered_before_any_skew_time() {
    let mut lone = Lone::active(config(100));
    lone.pass(ms(1000));
    lone.pass(ms(1));
    lone.forget();
    let heard = lone.elapsed();
    lone.hear_priority(0);
    lone.pass(ms(50));
    // The shortest skew is that of priority 254: 2/256 of the interval.
    assert!(lone.left[0].at.saturating_sub(heard) < ms(1000) * 2 / 256, "{:?}", lone.left);
}

#[test]
fn rfc9568_6_4_3_preempt_mode_is_not_consulted_by_an_active() {
    let mut lone = Lone::active(vrrp::VirtualRouterConfig { preempt: false, ..config(100) });
    lone.hear_priority(101);
    assert_eq!(lone.state(), State::Backup);
    let mut lone = Lone::active(vrrp::VirtualRouterConfig { preempt: false, ..config(100) });
    lone.hear_priority(99);
    assert_eq!(lone.state(), State::Active);
}

#[test]
fn rfc9568_6_4_3_a_router_that_yields_tells_the_winner() {
    let mut lone = Lone::active(config(100));
    lone.hear_priority(200);
    assert_eq!(lone.priorities(), [100]);
    let mut quiet = Lone::active(vrrp::VirtualRouterConfig { inform_winner: false, ..config(100) });
    quiet.hear_priority(200);
    assert!(quiet.left.is_empty());
}

// ---- §6.1 and errata ----

#[test]
fn rfc9568_6_1_the_owner_preempts_whatever_preempt_mode_says() {
    let mut lone = Lone::active(vrrp::VirtualRouterConfig { preempt: false, ..config(255) });
    // A second owner with the higher address wins the tie (erratum 8298), then goes down.
    let second = lone::Sent { source: ip("10.0.0.3"), ..lone.peer_sends(255) };
    lone.hear(&second);
    assert_eq!(lone.state(), State::Backup);
    for _ in 0..10 {
        lone.hear_priority(100);
        lone.pass(ms(500));
    }
    assert_eq!(lone.state(), State::Active);
}

#[test]
fn rfc9568_erratum_8298_an_owner_heeds_the_adverts_of_a_second_owner() {
    let mut lone = Lone::active(config(255));
    let second = lone::Sent { source: ip("10.0.0.3"), ..lone.peer_sends(255) };
    lone.hear(&second);
    assert_eq!(lone.state(), State::Backup);
    assert!(
        lone.events.iter().any(|e| matches!(e, Event::Remarked { remark: vrrp::Remark::SecondOwner, .. }))
    );
}

#[test]
fn rfc9568_6_1_priority_of_the_owner_is_not_moved_by_tracking() {
    let mut lone = Lone::active(config(255));
    lone.router.set_tracking(lone.vr, -200, true, lone.now);
    lone.drain();
    assert_eq!((lone.get().effective_priority().get(), lone.state()), (255, State::Active));
    let mut lone = Lone::active(config(100));
    lone.router.set_tracking(lone.vr, 200, false, lone.now);
    assert_eq!(lone.get().effective_priority().get(), 254, "nobody is raised to the owner's");
    lone.router.set_tracking(lone.vr, -200, false, lone.now);
    assert_eq!(lone.get().effective_priority().get(), 1);
}

#[test]
fn rfc9568_6_1_own_interval_is_back_when_the_next_active_is_us() {
    let mut lone = Lone::started(config(100));
    let sent = lone::Sent { interval: interval(100), ..lone.peer_sends(200) };
    lone.hear(&sent);
    lone.pass(Duration::from_nanos(360_937_500));
    assert_eq!(lone.state(), State::Active);
    assert_eq!(lone.get().active_adver_interval(), interval(1000));
    lone.forget();
    lone.pass(ms(1000));
    assert_eq!(lone.priorities(), [100]);
}

#[test]
fn preempt_delay_bears_a_lower_priority_active_so_long_and_no_longer() {
    let mut lone = Lone::started(vrrp::VirtualRouterConfig { preempt_delay: ms(10_000), ..config(100) });
    for second in 0..30_u64 {
        lone.hear_priority(50);
        if second < 12 {
            assert_eq!(lone.state(), State::Backup, "after {second} s");
        }
        lone.pass(ms(1000));
        if lone.state() == State::Active {
            // 10 s of delay, then Active_Down_Interval from the last advert that was still borne.
            assert!((12..15).contains(&second), "after {second} s");
            return;
        }
    }
    panic!("never preempted");
}

#[test]
fn a_late_wakeup_is_not_taken_for_the_silence_of_the_active() {
    let mut lone = Lone::started(config(100));
    lone.hear_priority(200);
    lone.sleep(ms(10_000));
    lone.wake();
    assert_eq!(lone.state(), State::Backup);
    assert!(lone.events.iter().any(|e| matches!(e, Event::Stalled { .. })));
    lone.pass(Duration::from_micros(3_609_375));
    assert_eq!(lone.state(), State::Active, "but a real silence is");
}

#[test]
fn adverts_count_from_when_the_kernel_received_them() {
    let mut lone = Lone::started(config(100));
    lone.sleep(ms(3000));
    let sent = lone.peer_sends(200);
    let received_at = lone.now.saturating_sub(ms(2000));
    lone.router.handle_packet(received_at, lone.now, &sent.meta(), &sent.packet());
    assert_eq!(lone.next(), (Duration::from_micros(1_609_375), Timer::ActiveDown));
}
