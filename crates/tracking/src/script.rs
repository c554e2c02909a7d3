//! A program that is run again and again, as an unprivileged user, with a limit on its time.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Pace, State};

/// How a script is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// From the start of one run to the next.
    pub interval: Duration,
    /// After which a run has failed and is killed with its children.
    pub timeout: Duration,
    /// Successes in a row that make it good.
    pub rise: u32,
    /// Failures in a row that make it bad.
    pub fall: u32,
    /// Bad until `rise` runs were good; otherwise the first run decides.
    pub init_fail: bool,
    /// User and group; `None` runs it as the agent.
    pub user: Option<(u32, u32)>,
}

pub(crate) fn watch(spec: &ScriptSpec, pace: &Pace, tell: &mut dyn FnMut(State, &str)) {
    let mut state = if spec.init_fail { State::Down } else { State::Unknown };
    if spec.init_fail {
        tell(state, "not run yet (init_fail)");
    }
    let mut streak = (true, 0_u32);
    while !pace.stopped() {
        let next = Instant::now() + spec.interval;
        let result = run(spec);
        let good = result.is_ok();
        streak = if streak.0 == good { (good, streak.1.saturating_add(1)) } else { (good, 1) };
        let enough = if good { spec.rise } else { spec.fall };
        if streak.1 >= enough || state == State::Unknown {
            state = if good { State::Up } else { State::Down };
            tell(state, &result.err().unwrap_or_else(|| "exit status 0".into()));
        }
        pace.until(next);
    }
}

/// One run: good, or why not.
fn run(spec: &ScriptSpec) -> Result<(), String> {
    let (program, arguments) = spec.command.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.current_dir("/").process_group(0);
    if let Some((uid, gid)) = spec.user {
        command.uid(uid).gid(gid);
    }
    let mut child = command.spawn().map_err(|e| format!("{program} cannot be started: {e}"))?;
    let started = Instant::now();
    let mut step = Duration::from_micros(500);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) if started.elapsed() < spec.timeout => {
                std::thread::sleep(step);
                step = (step * 2).min(Duration::from_millis(20));
            }
            Ok(None) => {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                    // Its children too: they are in its group.
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let _ = child.wait();
                return Err(format!("timed out after {:?} and was killed", spec.timeout));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(script: &str) -> ScriptSpec {
        ScriptSpec {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(300),
            rise: 1,
            fall: 1,
            init_fail: false,
            user: None,
        }
    }

    #[test]
    fn exit_status_decides() {
        assert_eq!(run(&spec("exit 0")), Ok(()));
        assert!(run(&spec("exit 3")).unwrap_err().contains('3'));
        let mut missing = spec("");
        missing.command = vec!["/does/not/exist".into()];
        assert!(run(&missing).unwrap_err().contains("/does/not/exist"));
    }

    #[test]
    fn a_script_that_hangs_is_killed_with_its_children() {
        let marker = format!("standfast-test-{}", std::process::id());
        let error = run(&spec(&format!("sh -c 'sleep 60; : {marker}' & wait"))).unwrap_err();
        assert!(error.contains("timed out"), "{error}");
        // The kernel needs a moment to take the group down.
        std::thread::sleep(Duration::from_millis(50));
        let alive = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|c| String::from_utf8_lossy(&c).contains(&format!(": {marker}")))
        });
        assert!(!alive, "a child of the script still runs");
    }
}
