//! The log: one line per event, to stderr, to the journal behind it, or to the system's log socket.
//!
//! A log that does not keep up loses lines, rather than hold the agent; how many is said with the next.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How bad it is, in syslog's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Severity {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error: ",
            Self::Warning => "warning: ",
            Self::Notice | Self::Info => "",
        }
    }
}

/// Lines of one kind written at once, and the time in which one more is earned.
const BURST: u32 = 20;
const EARN: Duration = Duration::from_secs(3);

enum Target {
    /// With time.
    Stderr,
    /// Stderr is the journal: it has the time, and takes the severity as `<N>`.
    Journal,
    Syslog {
        socket: UnixDatagram,
        facility: u8,
    },
}

struct Journal {
    target: Target,
    detailed: bool,
    lost: AtomicU64,
    /// By kind: lines that may still be written, since when, and how many were not.
    budgets: Mutex<BTreeMap<String, (u32, Instant, u64)>>,
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

fn syslog(facility: u8) -> Option<Target> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect("/dev/log").ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(Target::Syslog { socket, facility })
}

/// Whether there is a system log to write to.
pub(crate) fn has_syslog() -> bool {
    syslog(0).is_some()
}

/// systemd says which device and inode the journal's stream has; stderr is that, or was redirected.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|m| stream == format!("{}:{}", m.dev(), m.ino()))
}

/// Opens the log, once. Without a log socket the lines go to stderr: better there than nowhere.
pub(crate) fn open(to_stderr: bool, detailed: bool, facility: u8) {
    let stderr = || if stderr_is_journal() { Target::Journal } else { Target::Stderr };
    let target = if to_stderr { None } else { syslog(facility) }.unwrap_or_else(stderr);
    let journal = Journal { target, detailed, lost: AtomicU64::new(0), budgets: Mutex::new(BTreeMap::new()) };
    // A second call keeps the first log.
    let _ = JOURNAL.set(journal);
}

/// Writes one line.
pub(crate) fn write(severity: Severity, text: &str) {
    let Some(journal) = JOURNAL.get() else {
        // Before the log is open there is only stderr.
        let _ = writeln!(std::io::stderr(), "standfastd: {}{text}", severity.word());
        return;
    };
    if severity == Severity::Info && !journal.detailed {
        return;
    }
    let lost = journal.lost.swap(0, Ordering::Relaxed);
    if lost > 0 && !journal.put(Severity::Warning, &format!("{lost} line(s) of this log were lost")) {
        journal.lost.fetch_add(lost, Ordering::Relaxed);
    }
    if !journal.put(severity, text) {
        journal.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes one line unless too many of its kind came lately; how many did not is said with the next.
pub(crate) fn write_limited(severity: Severity, kind: &str, text: &str) {
    let Some(journal) = JOURNAL.get() else { return write(severity, text) };
    let now = Instant::now();
    let mut budgets = journal.budgets.lock().unwrap_or_else(PoisonError::into_inner);
    let (left, since, held_back) = budgets.entry(kind.to_owned()).or_insert((BURST, now, 0));
    let suppressed = admit(left, since, held_back, now);
    drop(budgets);
    match suppressed {
        None => {}
        Some(0) => write(severity, text),
        Some(count) => write(severity, &format!("{text} ({count} more of this kind were not logged)")),
    }
}

/// `None` holds a line back; else how many were before it.
fn admit(left: &mut u32, since: &mut Instant, held_back: &mut u64, now: Instant) -> Option<u64> {
    let earned = now.saturating_duration_since(*since).as_nanos() / EARN.as_nanos();
    if earned > 0 {
        *left = left.saturating_add(u32::try_from(earned).unwrap_or(BURST)).min(BURST);
        *since = now;
    }
    if *left == 0 {
        *held_back += 1;
        return None;
    }
    *left -= 1;
    Some(std::mem::take(held_back))
}

impl Journal {
    /// Answers whether the line was taken.
    fn put(&self, severity: Severity, text: &str) -> bool {
        // One line, whatever a peer or a script put into it.
        let text = text.replace(['\n', '\r'], " ");
        match &self.target {
            Target::Stderr => {
                let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
                put_stderr(&format!("{now} {}{text}\n", severity.word()))
            }
            Target::Journal => put_stderr(&format!("<{}>{text}\n", severity as u8)),
            Target::Syslog { socket, facility } => {
                let number = u32::from(*facility) * 8 + severity as u32;
                let line = format!("<{number}>standfastd[{}]: {}{text}", std::process::id(), severity.word());
                // A log daemon that was restarted has a new socket.
                socket.send(line.as_bytes()).is_ok()
                    || socket.connect("/dev/log").is_ok() && socket.send(line.as_bytes()).is_ok()
            }
        }
    }
}

/// A pipe that is readable to nobody would hold us: it is asked first.
fn put_stderr(line: &str) -> bool {
    let stderr = std::io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let room = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0);
    room && stderr.lock().write_all(line.as_bytes()).is_ok()
}

/// An error: something does not work.
pub(crate) fn error(text: &str) {
    write(Severity::Error, text);
}

/// A warning: it works, but not as somebody may think.
pub(crate) fn warning(text: &str) {
    write(Severity::Warning, text);
}

/// A transition or another event that an operator looks for.
pub(crate) fn notice(text: &str) {
    write(Severity::Notice, text);
}

/// A detail, written with `-D`.
pub(crate) fn info(text: &str) {
    write(Severity::Info, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_one_kind_is_held_back_and_counted() {
        let start = Instant::now();
        let (mut left, mut since, mut held_back) = (BURST, start, 0);
        let mut written = 0;
        for _ in 0..1000 {
            written += u32::from(admit(&mut left, &mut since, &mut held_back, start).is_some());
        }
        assert_eq!(written, BURST);
        let later = start + EARN;
        assert_eq!(admit(&mut left, &mut since, &mut held_back, later), Some(u64::from(1000 - BURST)));
        assert_eq!(admit(&mut left, &mut since, &mut held_back, later), None);
    }
}
