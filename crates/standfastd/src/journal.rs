//! The log: one line per event, to stderr or to the system's log socket.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

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

enum Target {
    Stderr,
    Syslog { socket: UnixDatagram, facility: u8 },
}

struct Journal {
    target: Target,
    detailed: bool,
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Opens the log, once. Without a log socket the lines go to stderr: better there than nowhere.
pub(crate) fn open(to_stderr: bool, detailed: bool, facility: u8) {
    let syslog = || {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect("/dev/log").ok()?;
        // A log that does not keep up loses lines rather than holds the agent.
        socket.set_nonblocking(true).ok()?;
        Some(Target::Syslog { socket, facility })
    };
    let target = if to_stderr { None } else { syslog() }.unwrap_or(Target::Stderr);
    // A second call keeps the first log.
    let _ = JOURNAL.set(Journal { target, detailed });
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
    match &journal.target {
        Target::Stderr => {
            let line = format!(
                "{} {}{text}\n",
                humantime::format_rfc3339_millis(std::time::SystemTime::now()),
                severity.word()
            );
            // Nothing can be said about a stderr that is gone.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        Target::Syslog { socket, facility } => {
            let number = u32::from(*facility) * 8 + severity as u32;
            let line = format!("<{number}>standfastd[{}]: {}{text}", std::process::id(), severity.word());
            let _ = socket.send(line.as_bytes());
        }
    }
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
