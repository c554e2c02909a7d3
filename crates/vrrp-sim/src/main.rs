//! Runs seeds of the simulated LAN, shows one of them, or explores every history of a small one.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a command line tool prints its findings")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use vrrp_sim::checker::Checked;
use vrrp_sim::exploration::{Bounds, explore};

const USAGE: &str = "usage: vrrp-sim [--seeds N] [--from S] | --seed S [--trace] | --explore";

fn main() -> ExitCode {
    let mut seeds = 2000_u64;
    let mut from = 0_u64;
    let mut one = None;
    let mut trace = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        let known = match argument.as_str() {
            "--seeds" => number().map(|n| seeds = n),
            "--from" => number().map(|n| from = n),
            "--seed" => number().map(|n| one = Some(n)),
            "--explore" => return explorations(),
            "--trace" => {
                trace = true;
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            println!("`{argument}` is not understood; {USAGE}");
            return ExitCode::from(2);
        }
    }
    match one {
        Some(seed) => show(seed, trace),
        None => many(from, seeds),
    }
}

/// Larger bounds than the tests'.
fn explorations() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let two = |priorities: &[u8], preempt, losses, partitions, pauses, handovers| Bounds {
        priorities: priorities.to_vec(),
        preempt,
        losses,
        partitions,
        pauses,
        handovers,
        at_most: 4_000_000,
    };
    for bounds in [
        two(&[192, 128], true, 2, 1, 0, 0),
        two(&[192, 128], true, 2, 0, 1, 0),
        two(&[192, 128], true, 2, 0, 0, 1),
        two(&[192, 128], true, 1, 1, 1, 0),
        two(&[128, 128], true, 2, 1, 0, 0),
        two(&[128, 128], true, 2, 0, 1, 0),
        two(&[192, 128], false, 2, 1, 0, 0),
        two(&[192, 128], false, 2, 0, 1, 0),
        two(&[255, 128], true, 2, 1, 0, 0),
        two(&[192, 128, 64], true, 1, 0, 0, 0),
        two(&[192, 128, 64], true, 0, 1, 0, 0),
        two(&[192, 128, 64], true, 0, 0, 1, 0),
        two(&[192, 128, 64], true, 0, 0, 0, 1),
        two(&[128, 128, 128], true, 0, 1, 0, 0),
    ] {
        let started = Instant::now();
        let explored = explore(&bounds);
        let all = if explored.complete { "all" } else { "the first" };
        println!(
            "{bounds:?}\n  {all} {} states, {} steps, {:?}",
            explored.states,
            explored.steps,
            started.elapsed()
        );
        if let Some((what, story)) = explored.violation {
            println!("  {what} after\n{}", story.join("\n"));
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn show(seed: u64, trace: bool) -> ExitCode {
    let outcome = vrrp_sim::run(seed, trace);
    for line in &outcome.trace {
        println!("{line}");
    }
    match outcome.violation {
        None => {
            println!("seed {seed}: in order after {} steps", outcome.steps);
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("seed {seed}: {}", violation.what);
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, seeds: u64) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(from);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let run = || {
        let (mut failed, mut steps, mut checked) = (Vec::new(), 0, Checked::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds {
                return (failed, steps, checked);
            }
            let outcome = vrrp_sim::run(seed, false);
            steps += outcome.steps;
            checked += outcome.checked;
            if let Some(violation) = outcome.violation {
                println!(
                    "seed {seed}: {}\n  cargo run -p vrrp-sim --release -- --seed {seed} --trace",
                    violation.what
                );
                failed.push(seed);
            }
        }
    };
    let (mut failed, mut steps, mut checked) = (0, 0, Checked::default());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        for worker in workers {
            if let Ok((seeds, some, some_checked)) = worker.join() {
                failed += seeds.len();
                steps += some;
                checked += some_checked;
            }
        }
    });
    println!("{seeds} seeds from {from}: {failed} failed; {steps} steps in {:?}", started.elapsed());
    println!("{checked:#?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
