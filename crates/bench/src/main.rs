//! `make bench`: the agent beside Debian's keepalived, in one run on one machine.
//!
//! Each measure is taken alternately with both programs, `--runs` times. The table stands in
//! `docs/benchmarks.md` between two marks and is written anew.
#![forbid(unsafe_code)]

mod failover;
mod hostile;
mod life;
mod scene;
mod series;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use testbed::{Kind, VirtualRouter, enclosure};

use crate::failover::Planned;
use crate::hostile::Fault;
use crate::scene::BOTH;
use crate::series::{Goal, HEADING, Row, Worst};

/// Measure the agent beside keepalived.
#[derive(Parser)]
struct Options {
    /// How often each measure is taken with each program
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// How often a partition is healed
    #[arg(long, default_value_t = 20)]
    heals: usize,
    /// Only measures whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Renew the rows of the table in this file, between its marks
    #[arg(long)]
    into: Option<PathBuf>,
}

const BEGIN: &str = "<!-- agent: written by make bench -->";
const END: &str = "<!-- /agent -->";

type Measure = fn(&Options) -> Result<Vec<Row>>;

const MEASURES: [(&str, Measure); 9] = [
    ("takeover", takeover),
    ("answer", answer),
    ("planned", planned),
    ("heal", heal),
    ("life", life),
    ("reload", bad_reload),
    ("flood", flood),
    ("many-1000", |_| many(1000)),
    ("many-4000", |_| many(4000)),
];

fn main() -> Result<()> {
    let options = Options::parse();
    enclosure::enter()?;
    let started = Instant::now();
    let mut rows: Vec<Row> = Vec::new();
    for (name, measure) in MEASURES {
        if options.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        say(&format!("==> {name} ({:.0} s since the start)", started.elapsed().as_secs_f64()));
        for row in measure(&options).with_context(|| format!("measure {name}"))? {
            say(&row.line());
            rows.push(row);
        }
        // After each measure, so that what was measured is kept if the rest is interrupted.
        if let Some(file) = &options.into {
            write_between(file, &rows)?;
        }
    }
    say(&format!("\n{}\n{:.0} s", renewed("", &rows), started.elapsed().as_secs_f64()));
    Ok(())
}

/// Measures that mostly wait, at the same time, each on a LAN of its own.
fn together<T: Send, M: FnOnce() -> Result<T> + Send>(measures: Vec<M>) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = measures.into_iter().map(|measure| scope.spawn(measure)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a measuring thread panicked"))?)
            .collect()
    })
}

fn say(text: &str) {
    // Nobody left to read it is no reason to stop measuring.
    let _ = writeln!(io::stdout(), "{text}");
}

/// Renews the rows that were measured now; those of other measures stay.
fn write_between(file: &PathBuf, rows: &[Row]) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let marks = text.split_once(BEGIN).zip(text.split_once(END));
    let ((before, rest), (_, after)) =
        marks.with_context(|| format!("{} lacks the marks {BEGIN} and {END}", file.display()))?;
    let table = renewed(rest.split_once(END).map_or("", |(table, _)| table), rows);
    std::fs::write(file, format!("{before}{BEGIN}\n{table}{END}{after}"))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn renewed(table: &str, rows: &[Row]) -> String {
    let measure = |line: &str| line.split('|').nth(1).unwrap_or_default().to_owned();
    // Without the heading's two lines.
    let mut lines: Vec<String> =
        table.lines().filter(|line| line.starts_with('|')).skip(2).map(str::to_owned).collect();
    for new in rows.iter().map(Row::line) {
        match lines.iter_mut().find(|line| measure(line) == measure(&new)) {
            Some(line) => *line = new,
            None => lines.push(new),
        }
    }
    format!("{HEADING}\n{}\n", lines.join("\n"))
}

const fn series(row: &mut Row, kind: Kind) -> &mut series::Series {
    match kind {
        Kind::Standfast => &mut row.standfast,
        Kind::Keepalived | Kind::Frr => &mut row.keepalived,
    }
}

const INTERVALS: [u64; 3] = [10, 100, 1000];

fn takeover(options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for ms in INTERVALS {
        let measure = format!("Active cut, {ms} ms: last advert to the Backup's first, beyond theory (ms)");
        let mut row = Row::new(measure, Worst::Largest, Goal::MedianUpTo(0.3));
        for _ in 0..options.runs {
            let cut = |kind| failover::cut(kind, Duration::from_millis(ms), false);
            // Those of a second wait for nearly all of their time; shorter ones are taken one by one.
            let seen = if ms == 1000 {
                together(BOTH.map(|kind| move || cut(kind)).into())?
            } else {
                BOTH.into_iter().map(cut).collect::<Result<_>>()?
            };
            for (kind, seen) in BOTH.into_iter().zip(seen) {
                series(&mut row, kind).push(seen.beyond_theory);
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn answer(options: &Options) -> Result<Vec<Row>> {
    let mut announced =
        Row::new("first advert to first announcement (ms)", Worst::Largest, Goal::MedianUpTo(0.5));
    let mut answered = Row::new(
        "first advert to address answering (ms, asked each 0.2)",
        Worst::Largest,
        Goal::MedianUpTo(0.5),
    );
    for _ in 0..options.runs {
        for kind in BOTH {
            let seen = failover::cut(kind, Duration::from_millis(100), true)?;
            series(&mut announced, kind).push(seen.to_announcement);
            if let Some(ms) = seen.to_answer {
                series(&mut answered, kind).push(ms);
            }
        }
    }
    Ok(vec![announced, answered])
}

fn planned(options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for ms in INTERVALS.into_iter().rev() {
        let interval = Duration::from_millis(ms);
        let lost = |what: &str| {
            Row::new(format!("{what}, {ms} ms: pings lost of 1000/s"), Worst::Largest, Goal::EveryUpTo(0.0))
        };
        let mut alike = lost("SIGTERM, the same program as successor");
        let mut mixed = lost("SIGTERM, keepalived as successor");
        let mut asked = lost("`standfast handover`, keepalived as successor");
        let (ours, theirs) = (Kind::Standfast, Kind::Keepalived);
        for _ in 0..options.runs {
            let ways = [
                (theirs, theirs, Planned::Stop),
                (ours, ours, Planned::Stop),
                (ours, theirs, Planned::Stop),
                (ours, theirs, Planned::Handover),
            ];
            let lost = together(
                ways.map(|(kind, successor, how)| move || failover::planned(kind, successor, interval, how))
                    .into(),
            )?;
            alike.keepalived.push(lost[0]);
            alike.standfast.push(lost[1]);
            mixed.standfast.push(lost[2]);
            asked.standfast.push(lost[3]);
        }
        mixed.keepalived = alike.keepalived.clone();
        asked.keepalived = alike.keepalived.clone();
        rows.extend([alike, mixed, asked]);
    }
    Ok(rows)
}

fn heal(options: &Options) -> Result<Vec<Row>> {
    let interval = Duration::from_millis(100);
    let mut rows = Vec::new();
    for (family, vr) in
        [("IPv4", VirtualRouter::v3_ipv4(interval)), ("IPv6", VirtualRouter::v3_ipv6(interval))]
    {
        let measure =
            format!("partition healed, {family}, 100 ms: last lost ping after it (ms, asked each 5)");
        // One interval, and the step of the questions.
        let mut row = Row::new(measure, Worst::Largest, Goal::EveryUpTo(105.0));
        for _ in 0..options.heals.div_ceil(4) {
            let vr = &vr;
            let kinds = [BOTH; 4].concat();
            let outages = together(kinds.iter().map(|kind| move || failover::heal(*kind, vr)).collect())?;
            for (kind, ms) in kinds.into_iter().zip(outages) {
                series(&mut row, kind).push(ms);
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn flood(options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for rate in [50, 1000, 100_000] {
        let name = |what: &str| format!("{rate} invalid packets/s, all four kinds: {what}");
        let mut adverts = Row::new(name("adverts sent (% of due)"), Worst::Smallest, Goal::EveryFrom(100.0));
        let mut takeovers = Row::new(name("adverts of the Backup"), Worst::Largest, Goal::EveryUpTo(0.0));
        let mut lost = Row::new(name("pings lost (%)"), Worst::Largest, Goal::EveryUpTo(0.0));
        let mut cpu =
            Row::new(name("CPU of the Active (% of a core)"), Worst::Largest, Goal::NoMoreThanKeepalived);
        let mut log = Row::new(name("log written in 2 s (KiB)"), Worst::Largest, Goal::EveryUpTo(4.0));
        for run in 0..options.runs {
            // Each run takes the next kind of fault, so that all have their turn.
            let fault = Fault::ALL[run % Fault::ALL.len()];
            let flood = |kind| hostile::flood(kind, fault, rate).with_context(|| fault.name());
            // Never at the same time: keepalived makes itself a real-time process when it is late, and under a flood
            // it then takes both cores from whoever is measured beside it.
            let seen = BOTH.into_iter().map(flood).collect::<Result<Vec<_>>>()?;
            for (kind, seen) in BOTH.into_iter().zip(seen) {
                series(&mut adverts, kind).push(seen.adverts);
                series(&mut takeovers, kind).push(seen.takeovers);
                series(&mut lost, kind).push(seen.pings_lost);
                series(&mut cpu, kind).push(seen.cpu);
                series(&mut log, kind).push(seen.log);
            }
        }
        rows.extend([adverts, takeovers, lost, cpu, log]);
    }
    Ok(rows)
}

fn bad_reload(options: &Options) -> Result<Vec<Row>> {
    let mut row =
        Row::new("reload with VRID 300: goes on (1) or not (0)", Worst::Smallest, Goal::EveryFrom(1.0));
    for _ in 0..options.runs {
        let went_on = together(BOTH.map(|kind| move || hostile::bad_reload(kind)).into())?;
        row.keepalived.push(f64::from(u8::from(went_on[0])));
        row.standfast.push(f64::from(u8::from(went_on[1])));
    }
    Ok(vec![row])
}

fn life(options: &Options) -> Result<Vec<Row>> {
    let mut first =
        Row::new("exec to first advert, priority 255 (ms)", Worst::Largest, Goal::MedianUpTo(15.0));
    let mut stop = Row::new(
        "SIGTERM to exit beyond the successor's announcement (ms)",
        Worst::Largest,
        Goal::MedianUpTo(50.0),
    );
    let mut memory =
        Row::new("resident memory, one virtual router (MiB)", Worst::Largest, Goal::MedianUpTo(4.0));
    for _ in 0..options.runs {
        for kind in BOTH {
            series(&mut first, kind).push(life::first_advert(kind)?);
            series(&mut stop, kind).push(life::stop_beyond_handover(kind)?);
            series(&mut memory, kind).push(life::resident(kind)?);
        }
    }
    Ok(vec![first, stop, memory])
}

fn many(count: usize) -> Result<Vec<Row>> {
    let name = |what: &str| format!("{count} virtual routers, 100 ms: {what}");
    let mut standing =
        Row::new(name("start to all addresses (s)"), Worst::Largest, Goal::NoMoreThanKeepalived);
    let mut active = Row::new(name("CPU, Active (% of a core)"), Worst::Largest, Goal::NoMoreThanKeepalived);
    let mut backup = Row::new(name("CPU, Backup (% of a core)"), Worst::Largest, Goal::NoMoreThanKeepalived);
    let mut resident = Row::new(name("resident memory (MiB)"), Worst::Largest, Goal::NoMoreThanKeepalived);
    let mut gap = Row::new(
        name("longest gap between adverts while a reload changes nothing (ms)"),
        Worst::Largest,
        Goal::None,
    );
    let mut takeovers =
        Row::new(name("adverts of the Backup in that reload"), Worst::Largest, Goal::EveryUpTo(0.0));
    // keepalived takes minutes to set some thousand addresses.
    for _ in 0..(3000 / count).max(1) {
        for kind in BOTH {
            let seen = life::many(kind, count)?;
            series(&mut standing, kind).push(seen.standing);
            series(&mut active, kind).push(seen.active_cpu);
            series(&mut backup, kind).push(seen.backup_cpu);
            series(&mut resident, kind).push(seen.resident);
            series(&mut gap, kind).push(seen.reload_gap);
            series(&mut takeovers, kind).push(seen.false_takeovers);
        }
    }
    Ok(vec![standing, active, backup, resident, gap, takeovers])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_other_measures_stay_in_their_place() {
        let row = |measure: &str, value| {
            let mut row = Row::new(measure, Worst::Largest, Goal::EveryUpTo(0.0));
            row.keepalived.push(value);
            row.standfast.push(value);
            row
        };
        let before = renewed("", &[row("first", 1.0), row("second", 2.0)]);
        let after = renewed(&before, &[row("first", 3.0), row("third", 4.0)]);
        assert_eq!(after, renewed("", &[row("first", 3.0), row("second", 2.0), row("third", 4.0)]));
    }
}
