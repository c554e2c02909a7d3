//! A program that runs on a host until told otherwise.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::host::Host;

/// A running program with its log; killed with all its children when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Daemon {
    /// Starts a program on a host, its output appended to `NAME.log` in the host's folder. It leads a process
    /// group of its own.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        host: &Host,
        name: &str,
        program: impl AsRef<OsStr>,
        args: &[A],
        environment: &[(&str, &OsStr)],
    ) -> Result<Self> {
        let log = host.folder().join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&program);
        command
            .args(args)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0);
        let child = host
            .launch(|| {
                favour_this_thread();
                command.spawn()
            })?
            .with_context(|| format!("cannot start {}", program.as_ref().display()))?;
        Ok(Self { child, log, name: name.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program itself.
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        nix::sys::signal::kill(self.nix_pid()?, signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// Sends a signal to the program and all its children.
    ///
    /// # Errors
    /// If all have ended.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        killpg(self.nix_pid()?, signal).with_context(|| format!("{signal} to {} and its children", self.name))
    }

    fn nix_pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.pid())?))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; gives its status and how long that took.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<(ExitStatus, Duration)> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, started.elapsed()));
            }
            if started.elapsed() > limit {
                bail!("{} has not ended within {limit:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it and its children and waits for its end.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.signal_all(Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// What it printed.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Where that is.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Resident memory of the program itself and all its children, in KiB, as the kernel counts it now.
    pub fn resident_kib(&self) -> u64 {
        let resident = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        self.family().into_iter().map(resident).sum()
    }

    /// Time on a CPU of the program and all its children since their starts.
    pub fn cpu_time(&self) -> Duration {
        let mut nanoseconds = 0;
        for pid in self.family() {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                nanoseconds += stat.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
            }
        }
        Duration::from_nanos(nanoseconds)
    }

    /// The program and its children, by process group.
    fn family(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir("/proc") else { return vec![self.pid()] };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name in parentheses: state, parent, process group.
            let group =
                stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)?.parse().ok());
            group == Some(self.pid())
        })
        .collect()
    }
}

/// What is started from this thread comes before whatever else keeps the machine busy: a router that is not run
/// for an `Active_Down_Interval` is a dead router, rightly. Needs a privilege; without it nothing changes.
fn favour_this_thread() {
    let _ = rustix::process::setpriority_process(None, -15);
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is not there to be killed.
        let _ = self.kill();
    }
}
