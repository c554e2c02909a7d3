//! Processes that have to run. The end of one is told by the kernel at once, through a pidfd, in whatever
//! namespaces the agent is; new ones are looked for.
//!
//! keepalived uses the process connector instead, which exists in the host's first network, user and process
//! namespaces only.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::State;
use crate::watch::{Found, Watched};

/// How often new processes are looked for while all is good.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often while something is missing, or where there are no pidfds (before Linux 5.3).
const LOOK_EVERY_MISSING: Duration = Duration::from_millis(100);

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

pub(crate) struct Process {
    spec: ProcessSpec,
    /// Those that run, with what becomes readable when they end.
    running: BTreeMap<i32, Option<OwnedFd>>,
    told: Option<bool>,
    differs_since: Option<Instant>,
    next_look: Instant,
}

impl Process {
    pub(crate) fn new(spec: ProcessSpec, now: Instant) -> Self {
        Self { spec, running: BTreeMap::new(), told: None, differs_since: None, next_look: now }
    }

    fn look(&mut self) {
        let found = matching(&self.spec.process);
        self.running.retain(|pid, _| found.contains(pid));
        for pid in found {
            self.running
                .entry(pid)
                .or_insert_with(|| pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok());
        }
    }

    fn drop_ended(&mut self) {
        self.running.retain(|_, ended| {
            let Some(fd) = ended else { return true };
            let mut fds = [PollFd::new(fd, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready == 0)
        });
    }

    fn is_good(&self) -> bool {
        let count = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        count >= self.spec.quorum && self.spec.quorum_max.is_none_or(|max| count <= max)
    }

    fn delay(&self, good: bool) -> Duration {
        if good { self.spec.fork_delay } else { self.spec.terminate_delay }
    }
}

impl Watched for Process {
    fn turn(&mut self, now: Instant, ready: bool) -> Option<Found> {
        if ready {
            self.drop_ended();
        }
        if now >= self.next_look || ready && !self.is_good() {
            self.look();
            let unwatched = self.running.values().any(Option::is_none);
            let every = if self.is_good() && !unwatched { LOOK_EVERY } else { LOOK_EVERY_MISSING };
            self.next_look = now + every;
        }
        let good = self.is_good();
        if self.told == Some(good) {
            self.differs_since = None;
            return None;
        }
        let since = *self.differs_since.get_or_insert(now);
        if self.told.is_some() && now - since < self.delay(good) {
            return None;
        }
        self.told = Some(good);
        self.differs_since = None;
        let state = if good { State::Up } else { State::Down };
        Some((state, format!("{} running, {} wanted", self.running.len(), self.spec.quorum)))
    }

    fn due(&self) -> Option<Instant> {
        let change = self.differs_since.map(|since| since + self.delay(self.is_good()));
        Some(change.map_or(self.next_look, |at| at.min(self.next_look)))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.running.values().flatten().map(AsFd::as_fd).collect()
    }
}

/// The process that a check looks for and nothing else: `killall -0 NAME`, `pidof NAME`, `pgrep -x NAME`.
///
/// As an unprivileged user `killall -0` may not even ask for the process of another user, and says no; so such a
/// process is better watched than asked for, which also tells its end at once.
pub fn process_looked_for(command: &[String]) -> Option<&str> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, arguments) = words.split_first()?;
    let name = match (program.rsplit('/').next()?, arguments) {
        ("killall", ["-0" | "-s0", name] | ["-q", "-0", name] | ["-0", "-q", name])
        | ("pidof", [name] | ["-q" | "-s", name])
        | ("pgrep", ["-x", name]) => *name,
        _ => return None,
    };
    (!name.starts_with('-')).then_some(name)
}

/// The processes of that name, and with those parameters; one that has ended but was not waited for is none.
fn matching(wanted: &[String]) -> Vec<i32> {
    let Some((name, parameters)) = wanted.split_first() else { return Vec::new() };
    let short = name.rsplit('/').next().unwrap_or(name);
    // The kernel keeps 15 bytes of the name.
    let comm = short.get(..15).unwrap_or(short);
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let matches = |path: &std::path::Path| {
        std::fs::read(path.join("stat")).is_ok_and(|stat| runs_as(&stat, comm))
            && (parameters.is_empty()
                || std::fs::read(path.join("cmdline")).is_ok_and(|line| {
                    let words: Vec<_> =
                        line.split(|b| *b == 0).skip(1).map(String::from_utf8_lossy).collect();
                    words.iter().zip(parameters).filter(|(a, b)| a == b).count() == parameters.len()
                }))
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            matches(&entry.path()).then_some(pid)
        })
        .collect()
}

/// Of `/proc/PID/stat`: `PID (NAME) STATE ...`, where the name may hold anything.
fn runs_as(stat: &[u8], comm: &str) -> bool {
    let (Some(open), Some(close)) =
        (stat.iter().position(|b| *b == b'('), stat.iter().rposition(|b| *b == b')'))
    else {
        return false;
    };
    let state = stat.get(close + 2).copied().unwrap_or(b'X');
    stat.get(open + 1..close) == Some(comm.as_bytes()) && !matches!(state, b'Z' | b'X' | b'x')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_between_its_outer_brackets_and_the_dead_do_not_run() {
        assert!(runs_as(b"12 (haproxy) S 1 12", "haproxy"));
        assert!(runs_as(b"12 (a) b) R 1 12", "a) b"));
        assert!(!runs_as(b"12 (haproxy) Z 1 12", "haproxy"));
        assert!(!runs_as(b"12 (haproxy", "haproxy"));
        assert!(!runs_as(b"", "haproxy"));
    }

    #[test]
    fn a_check_for_a_process_needs_no_program() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, name) in [
            ("killall -0 haproxy", Some("haproxy")),
            ("/usr/bin/killall -0 haproxy", Some("haproxy")),
            ("pidof nginx", Some("nginx")),
            ("pgrep -x nginx", Some("nginx")),
            ("killall -9 haproxy", None),
            ("pgrep -f haproxy", None),
            ("pidof -x", None),
        ] {
            assert_eq!(process_looked_for(&words(text)), name, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_process_is_seen_before_anybody_waits_for_it() {
        // A name of its own: other tests run beside this one.
        let folder = std::env::temp_dir().join(format!("sf-proc-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join(format!("sfp{}", std::process::id()));
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        let now = Instant::now();
        let spec = ProcessSpec {
            process: vec![program.display().to_string()],
            quorum: 1,
            quorum_max: None,
            terminate_delay: Duration::ZERO,
            fork_delay: Duration::ZERO,
        };
        let mut process = Process::new(spec, now);
        assert_eq!(process.turn(now, false).map(|f| f.0), Some(State::Up));
        child.kill().unwrap();
        let fd = process.descriptors()[0];
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).unwrap();
        // Not waited for yet: it is a zombie now.
        assert_eq!(process.turn(now, true).map(|f| f.0), Some(State::Down));
        child.wait().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
