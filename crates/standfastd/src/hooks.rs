//! Notify scripts and the notify FIFO: what others do when a state changes. They run beside the protocol, in
//! the order of the changes, one at a time.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::journal;

/// A hook that runs longer is killed: the next change waits for it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// A program to run, as whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hook {
    pub(crate) words: Vec<String>,
    /// `None` runs it as the agent itself.
    pub(crate) user: Option<(u32, u32)>,
}

enum Job {
    Run { hook: Hook, arguments: Vec<String> },
    Fifo { path: PathBuf, line: String },
    Done(Sender<()>),
}

/// The hook runner's mailbox.
pub(crate) struct Hooks(Sender<Job>);

impl Hooks {
    /// Starts the runner.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn spawn() -> std::io::Result<Self> {
        let (sender, jobs) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("hooks".into()).stack_size(256 * 1024).spawn(move || work(&jobs))?;
        Ok(Self(sender))
    }

    /// Runs a hook, after those before it.
    pub(crate) fn run(&self, hook: &Hook, arguments: &[&str]) {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        // The runner lives as long as the agent.
        let _ = self.0.send(Job::Run { hook: hook.clone(), arguments });
    }

    /// Writes a line to a FIFO, if somebody reads there.
    pub(crate) fn fifo(&self, path: &std::path::Path, line: String) {
        let _ = self.0.send(Job::Fifo { path: path.to_owned(), line });
    }

    /// Waits until everything asked for so far is done, at most so long.
    pub(crate) fn finish(&self, at_most: Duration) {
        let (done, wait) = std::sync::mpsc::channel();
        if self.0.send(Job::Done(done)).is_ok() {
            // Late hooks are left behind; they are told to stop with us.
            let _ = wait.recv_timeout(at_most);
        }
    }
}

fn work(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Run { hook, arguments } => {
                if let Err(error) = run(&hook, &arguments) {
                    journal::warning(&format!("notify script {}: {error}", hook.words.join(" ")));
                }
            }
            Job::Fifo { path, line } => {
                if let Err(error) = write_fifo(&path, &line) {
                    journal::info(&format!("notify FIFO {}: {error}", path.display()));
                }
            }
            Job::Done(done) => {
                let _ = done.send(());
            }
        }
    }
}

fn run(hook: &Hook, arguments: &[String]) -> Result<(), String> {
    let (program, words) = hook.words.split_first().ok_or("is empty")?;
    let mut command = Command::new(program);
    command.args(words).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).current_dir("/");
    if let Some((uid, gid)) = hook.user {
        command.uid(uid).gid(gid);
    }
    let mut child = command
        .spawn()
        .map_err(|e| format!("cannot be started: {e}; does it exist and is it executable?"))?;
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("ended with {status}")),
            Ok(None) if started.elapsed() < HOOK_TIMEOUT => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                // Its own group: children of the script go too. It is reaped in any case.
                if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) {
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let _ = child.wait();
                return Err(format!("did not end within {} s and was killed", HOOK_TIMEOUT.as_secs()));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

fn write_fifo(path: &std::path::Path, line: &str) -> std::io::Result<()> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let mut file = std::fs::OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    file.write_all(line.as_bytes())
}
