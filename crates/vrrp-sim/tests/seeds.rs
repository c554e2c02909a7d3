//! Simulated histories, each from its seed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::atomic::{AtomicU64, Ordering};

const SEEDS: u64 = 2000;

#[test]
fn two_thousand_histories_are_in_order() {
    let next = AtomicU64::new(0);
    let run = || {
        let (mut failed, mut checked) = (Vec::new(), vrrp_sim::checker::Checked::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return (failed, checked);
            }
            let outcome = vrrp_sim::run(seed, false);
            checked += outcome.checked;
            failed.extend(outcome.violation.map(|violation| {
                let what = violation.what;
                format!("{what}\n  cargo run -p vrrp-sim --release -- --seed {seed} --trace")
            }));
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers = [scope.spawn(run), scope.spawn(run)];
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut checked = vrrp_sim::checker::Checked::default();
    for (failed, some) in results {
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        checked += some;
    }
    // A checker that has nothing to say says nothing of the code.
    assert!(checked.takeovers > 2 * SEEDS && checked.settled > 2 * SEEDS);
    assert!(checked.deadlines > SEEDS / 10 && checked.heals > SEEDS / 10 && checked.lossless > SEEDS / 2);
}

#[test]
fn a_seed_is_the_same_history_every_time() {
    let (once, again) = (vrrp_sim::run(7, true), vrrp_sim::run(7, true));
    assert_eq!(once.trace, again.trace);
    assert!(once.trace.len() > 100);
}
