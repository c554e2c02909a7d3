//! A program that is run again and again, as an unprivileged user, with a limit on its time.

use std::fmt;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::State;
use crate::run::bounded_command;
use crate::watch::{Found, Watched};

/// How often a run is looked at where the kernel has no pidfd (before 5.3).
const LOOK_EVERY: Duration = Duration::from_millis(10);

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

/// One run.
struct Run {
    child: Child,
    /// What it says of itself, from its standard error.
    said: Said,
    /// Readable when the child has ended.
    ended: Option<OwnedFd>,
    killed_at: Instant,
}

pub(crate) struct Script {
    spec: ScriptSpec,
    state: State,
    /// The last result, and how many in a row were like it.
    streak: (bool, u32),
    run: Option<Run>,
    next: Instant,
    told_init_fail: bool,
}

impl Script {
    pub(crate) fn new(spec: ScriptSpec, now: Instant) -> Self {
        let state = if spec.init_fail { State::Down } else { State::Unknown };
        Self { spec, state, streak: (true, 0), run: None, next: now, told_init_fail: false }
    }

    fn finished(&mut self, result: Result<(), String>) -> Option<Found> {
        let good = result.is_ok();
        self.streak = if self.streak.0 == good { (good, self.streak.1.saturating_add(1)) } else { (good, 1) };
        let enough = if good { self.spec.rise } else { self.spec.fall };
        if self.streak.1 < enough && self.state != State::Unknown {
            return None;
        }
        self.state = if good { State::Up } else { State::Down };
        Some((self.state, result.err().unwrap_or_else(|| "exit status 0".into())))
    }

    fn start(&mut self, now: Instant) -> Result<(), String> {
        let program = self.spec.command.first().cloned().unwrap_or_default();
        let mut command = bounded_command(&self.spec.command, self.spec.user).ok_or("no program")?;
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{program} cannot be started: {e}"))?;
        let ended = pid(&child).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let said = Said::new(child.stderr.take());
        self.run = Some(Run { child, said, ended, killed_at: now + self.spec.timeout });
        Ok(())
    }

    /// The result of the run, if it has one.
    fn look(&mut self, now: Instant) -> Option<Result<(), String>> {
        let run = self.run.as_mut()?;
        run.said.read();
        match run.child.try_wait() {
            Ok(Some(status)) if status.success() => Some(Ok(())),
            Ok(Some(status)) => {
                // It may have spoken between the two calls above.
                run.said.read();
                Some(Err(format!("{status}{}{}", as_whom(self.spec.user), run.said)))
            }
            Ok(None) if now < run.killed_at => None,
            Ok(None) => {
                kill(&mut run.child);
                let (timeout, whom) = (self.spec.timeout, as_whom(self.spec.user));
                Some(Err(format!("timed out after {timeout:?} and was killed{whom}{}", run.said)))
            }
            Err(error) => Some(Err(format!("cannot be waited for: {error}"))),
        }
    }
}

fn as_whom(user: Option<(u32, u32)>) -> String {
    user.map_or_else(String::new, |(uid, _)| format!(", run as user {uid}"))
}

/// The first of what a script writes to its standard error; the rest is read, so that it can go on, and lost.
struct Said {
    pipe: Option<ChildStderr>,
    text: Vec<u8>,
}

/// Bytes of it that are kept.
const SAID_MAX: usize = 200;

impl Said {
    fn new(pipe: Option<ChildStderr>) -> Self {
        // A pipe that blocks would hold everything that is watched: it is not read then.
        Self { pipe: pipe.filter(|pipe| ioctl_fionbio(pipe, true).is_ok()), text: Vec::new() }
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    let room = SAID_MAX.saturating_sub(self.text.len()).min(count);
                    self.text.extend_from_slice(&buffer[..room]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match String::from_utf8_lossy(&self.text).lines().next() {
            Some(line) if !line.is_empty() => write!(f, ": {}", line.escape_debug()),
            _ => Ok(()),
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// With its children: they are in its group.
fn kill(child: &mut Child) {
    if let Some(group) = pid(child) {
        // A group that has ended is as good as killed.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // Killed, it ends at once.
    let _ = child.wait();
}

impl Watched for Script {
    fn turn(&mut self, now: Instant, _ready: bool) -> Option<Found> {
        if self.spec.init_fail && !self.told_init_fail {
            self.told_init_fail = true;
            self.next = now;
            return Some((State::Down, "not run yet (init_fail)".into()));
        }
        if let Some(result) = self.look(now) {
            self.run = None;
            return self.finished(result);
        }
        if self.run.is_none() && now >= self.next {
            // From the plan, not from now; runs that were missed are not made up for.
            self.next = (self.next + self.spec.interval).max(now);
            if let Err(text) = self.start(now) {
                return self.finished(Err(text));
            }
        }
        None
    }

    fn due(&self) -> Option<Instant> {
        Some(match &self.run {
            Some(run) if run.ended.is_some() => run.killed_at,
            Some(run) => run.killed_at.min(Instant::now() + LOOK_EVERY),
            None => self.next,
        })
    }

    fn descriptors(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        let run = self.run.iter();
        run.flat_map(|run| run.ended.iter().map(AsFd::as_fd).chain(run.said.pipe.iter().map(AsFd::as_fd)))
            .collect()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(run) = &mut self.run {
            kill(&mut run.child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(script: &str) -> ScriptSpec {
        ScriptSpec {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            interval: Duration::from_mins(1),
            timeout: Duration::from_millis(300),
            rise: 1,
            fall: 1,
            init_fail: false,
            user: None,
        }
    }

    fn run(spec: ScriptSpec) -> (State, String) {
        let mut script = Script::new(spec, Instant::now());
        loop {
            if let Some(found) = script.turn(Instant::now(), false) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn exit_status_decides() {
        assert_eq!(run(spec("exit 0")).0, State::Up);
        let (state, detail) = run(spec("exit 3"));
        assert_eq!(state, State::Down);
        assert!(detail.contains('3'), "{detail}");
        let mut missing = spec("");
        missing.command = vec!["/does/not/exist".into()];
        assert!(run(missing).1.contains("/does/not/exist"));
    }

    #[test]
    fn a_failed_script_is_quoted_and_one_that_writes_without_end_is_not_held_up() {
        let (_, detail) = run(spec("echo not today >&2; exit 1"));
        assert!(detail.ends_with(": not today"), "{detail}");
        let mut endless = spec("head -c 300000 /dev/zero >&2; exit 0");
        endless.timeout = Duration::from_secs(20);
        assert_eq!(run(endless).0, State::Up);
    }

    #[test]
    fn rise_and_fall_count_runs_in_a_row() {
        let mut script = Script::new(ScriptSpec { rise: 2, fall: 3, ..spec("") }, Instant::now());
        let mut tell = |good: bool| script.finished(good.then_some(()).ok_or_else(String::new)).map(|f| f.0);
        let told: Vec<_> = [true, false, false, true, false, false, false, true, true].map(&mut tell).into();
        let (up, down) = (Some(State::Up), Some(State::Down));
        assert_eq!(told, [up, None, None, None, None, None, down, None, up]);
    }

    #[test]
    fn a_script_that_hangs_is_killed_with_its_children() {
        let marker = format!("standfast-test-{}", std::process::id());
        let (_, detail) = run(spec(&format!("sh -c 'sleep 60; : {marker}' & wait")));
        assert!(detail.contains("timed out"), "{detail}");
        let alive = || {
            std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                std::fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|c| String::from_utf8_lossy(&c).contains(&format!(": {marker}")))
            })
        };
        // The kernel needs a moment to take the group down.
        let deadline = Instant::now() + Duration::from_secs(5);
        while alive() {
            assert!(Instant::now() < deadline, "a child of the script still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_script_gets_no_privilege_no_group_and_no_environment_of_ours() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("standfast-script-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let out = folder.join("out");
        std::fs::write(&out, "").unwrap();
        std::fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let script = format!(
            "(id -u; id -G; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=) > {}",
            out.display()
        );
        assert_eq!(run(ScriptSpec { user: Some((65534, 65534)), ..spec(&script) }).0, State::Up);
        let text = std::fs::read_to_string(&out).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[..2], ["65534", "65534"]);
        assert!(lines[2].starts_with("PATH="), "{text}");
    }
}
