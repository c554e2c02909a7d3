//! `standfastd`: the VRRP agent, a drop-in for keepalived's VRRP half.
//!
//! Threads: *protocol* (packets and time, owns all protocol state), *kernel* (addresses, announcements, what
//! the kernel reports), *supervisor* (this one: configuration, signals, control socket, tracking, log) and
//! *hooks* (notify scripts). Messages run between them; nothing is shared.
#![forbid(unsafe_code)]

mod address_ledger;
mod command_line;
mod configuration;
mod detach;
mod dump;
mod hooks;
mod journal;
mod kernel_worker;
mod lateness;
mod narrate;
mod notification;
mod operator;
mod pid_file;
mod plan;
mod protocol_thread;
mod reconciliation;
mod rights;
mod status;
mod supervisor;

use std::process::ExitCode;

use command_line::{CommandLine, Task};

/// As keepalived: nothing can run.
const EXIT_FATAL: u8 = 1;
/// As keepalived: the configuration is bad; a service manager should not try again.
pub(crate) const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    vrrp_linux::process::share_one_arena();
    let line = match CommandLine::parse(std::env::args_os().skip(1)) {
        Ok(line) => line,
        Err(text) => {
            journal::error(&text);
            return ExitCode::from(EXIT_FATAL);
        }
    };
    match &line.task {
        Task::Version => print(&format!("standfastd v{}\n", env!("CARGO_PKG_VERSION"))),
        Task::Help => print(command_line::HELP),
        Task::Signum(name) => {
            if let Some(number) = command_line::signum(name) {
                print(&format!("{number}\n"))
            } else {
                journal::error(&format!("--signum={name}: known are RELOAD, STOP, DATA, STATS and JSON"));
                ExitCode::from(EXIT_FATAL)
            }
        }
        Task::Check => configuration::check(&line),
        Task::Run => match run(&line) {
            Ok(code) => code,
            Err(Failure { code, text }) => {
                journal::error(&text);
                ExitCode::from(code)
            }
        },
    }
}

fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A reader that has gone away is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Why the agent cannot run, and its exit code.
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn fatal(text: impl Into<String>) -> Self {
        Self { code: EXIT_FATAL, text: text.into() }
    }

    pub(crate) fn configuration(text: impl Into<String>) -> Self {
        Self { code: EXIT_CONFIGURATION, text: text.into() }
    }
}

/// The network namespace of `-s`, else the configuration's, else the one we are in.
fn enter_namespace(line: &CommandLine) -> Result<(), Failure> {
    let Some(name) = line.network_namespace.clone().or_else(|| configuration::network_namespace(line)) else {
        return Ok(());
    };
    vrrp_linux::process::enter_network_namespace(&name)
        .map_err(|e| Failure::fatal(format!("cannot enter network namespace {name}: {e}")))
}

fn run(line: &CommandLine) -> Result<ExitCode, Failure> {
    if !line.foreground && !line.detached {
        // The configuration is read first, so that a mistake is seen by whoever starts us.
        enter_namespace(line)?;
        configuration::load(line, configuration::Told::OnStderr)?;
        return detach::start_in_background(line);
    }
    if line.detached {
        detach::leave_session()?;
    }
    if let Some(mask) = line.umask {
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(mask));
    }
    journal::open(line.log_to_stderr, line.detailed, line.log_facility);
    vrrp_linux::process::be_killed_late();
    enter_namespace(line)?;
    let loaded = configuration::load(line, configuration::Told::InTheLog)?;
    for option in &line.ignored {
        journal::info(&format!("option {option} is accepted and means nothing here"));
    }
    let pid_files =
        pid_file::PidFiles::write(&line.pid_file, &line.further_pid_files).map_err(Failure::fatal)?;
    let code = supervisor::run(line, loaded, || {
        if line.detached {
            detach::tell_ready(line);
        }
    })?;
    drop(pid_files);
    Ok(code)
}
