//! Going into the background, as keepalived does without `-n`.

use std::io::Read as _;
use std::process::{Command, ExitCode, Stdio};

use crate::command_line::CommandLine;
use crate::{EXIT_FATAL, Failure, journal};

/// What the new process says on its standard output when it runs.
const READY: &[u8] = b"ready\n";

/// Starts this program anew in the background, and returns when it runs or with its exit code. A fresh process
/// instead of a fork: nothing has to be unmade, and no thread can be lost.
pub(crate) fn start_in_background(line: &CommandLine) -> Result<ExitCode, Failure> {
    let failed = |e: std::io::Error| Failure::fatal(format!("cannot go into the background: {e}"));
    if !line.log_to_stderr && !journal::has_syslog() {
        journal::warning(
            "there is no system log at /dev/log: nothing will be logged; use -l or -n to see it",
        );
    }
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // It says one thing, or ends.
        stdout.take(u64::try_from(READY.len()).unwrap_or(0)).read_to_end(&mut said).map_err(failed)?;
    }
    if said == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().map_err(failed)?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(EXIT_FATAL)))
}

/// In the new process: a session of its own, so that the terminal's end is not ours.
pub(crate) fn leave_session() -> Result<(), Failure> {
    rustix::process::setsid()
        .map_err(|e| Failure::fatal(format!("cannot leave the terminal's session: {e}")))?;
    Ok(())
}

/// In the new process: lets the one that started it go, and whoever waits for the end of its output.
pub(crate) fn tell_ready(line: &CommandLine) {
    use std::io::Write as _;
    // Whoever started us may have given up; the agent runs all the same.
    let _ = std::io::stdout().write_all(READY).and_then(|()| std::io::stdout().flush());
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let result = nothing.and_then(|nothing| {
        rustix::stdio::dup2_stdout(&nothing)?;
        if !line.log_to_stderr {
            rustix::stdio::dup2_stderr(&nothing)?;
        }
        Ok(())
    });
    if let Err(error) = result {
        journal::warning(&format!("cannot close standard output: {error}"));
    }
}
