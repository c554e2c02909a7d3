//! Going into the background, as keepalived does without `-n`.

use std::process::{Command, Stdio};

use crate::Failure;

/// Starts this program anew in the background; the caller then exits. A fresh process instead of a fork:
/// nothing has to be unmade, and no thread can be lost.
pub(crate) fn start_in_background() -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::fatal(format!("cannot go into the background: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .spawn()
        .map_err(failed)?;
    Ok(())
}

/// In the new process: a session of its own, so that the terminal's end is not ours.
pub(crate) fn leave_session() -> Result<(), Failure> {
    rustix::process::setsid()
        .map_err(|e| Failure::fatal(format!("cannot leave the terminal's session: {e}")))?;
    Ok(())
}
