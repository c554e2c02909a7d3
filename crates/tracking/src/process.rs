//! Processes that have to run.

use std::time::{Duration, Instant};

use crate::{Pace, State};

/// How often processes are counted.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Which processes, and how many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessSpec {
    /// Name, and parameters if they are to match.
    pub process: Vec<String>,
    /// At least so many.
    pub quorum: u32,
    /// At most so many.
    pub quorum_max: Option<u32>,
    /// How long a missing one is waited for before it counts.
    pub terminate_delay: Duration,
    /// How long a new one must have run before it counts.
    pub fork_delay: Duration,
}

pub(crate) fn watch(spec: &ProcessSpec, pace: &Pace, tell: &mut dyn FnMut(State, &str)) {
    let mut told = None;
    let mut differs_since = None;
    while !pace.stopped() {
        let now = Instant::now();
        let count = count(&spec.process);
        let good = count >= spec.quorum && spec.quorum_max.is_none_or(|max| count <= max);
        if told == Some(good) {
            differs_since = None;
        } else {
            let since = *differs_since.get_or_insert(now);
            let delay = if good { spec.fork_delay } else { spec.terminate_delay };
            if told.is_none() || now - since >= delay {
                told = Some(good);
                let state = if good { State::Up } else { State::Down };
                tell(state, &format!("{count} running, {} wanted", spec.quorum));
            }
        }
        pace.until(now + LOOK_EVERY);
    }
}

fn count(wanted: &[String]) -> u32 {
    let Some((name, parameters)) = wanted.split_first() else { return 0 };
    let short = name.rsplit('/').next().unwrap_or(name);
    // The kernel keeps 15 bytes of the name.
    let comm = short.get(..15).unwrap_or(short);
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let matches = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|c| c.trim_end() == comm)
            && (parameters.is_empty()
                || std::fs::read(path.join("cmdline")).is_ok_and(|line| {
                    let words: Vec<_> =
                        line.split(|b| *b == 0).skip(1).map(String::from_utf8_lossy).collect();
                    words.iter().zip(parameters).filter(|(a, b)| a == b).count() == parameters.len()
                }))
    };
    let numbered =
        |name: &std::ffi::OsStr| name.to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let found =
        entries.flatten().filter(|entry| numbered(&entry.file_name()) && matches(&entry.path())).count();
    u32::try_from(found).unwrap_or(u32::MAX)
}
