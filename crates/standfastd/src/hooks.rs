//! Notify scripts and the notify FIFO: what others do when a state changes. They run beside the protocol, in
//! the order of the changes, one at a time.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

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

/// The hook runner's mailbox; the runner is started with the first job.
pub(crate) struct Hooks {
    jobs: Option<Sender<Job>>,
    prepare: fn(),
    /// FIFOs that we made, and remove.
    made: Vec<PathBuf>,
}

impl Hooks {
    /// A runner that calls `prepare` in its thread first.
    pub(crate) const fn new(prepare: fn()) -> Self {
        Self { jobs: None, prepare, made: Vec::new() }
    }

    fn send(&mut self, job: Job) {
        if self.jobs.is_none() {
            let (sender, jobs) = std::sync::mpsc::channel();
            let prepare = self.prepare;
            let spawned =
                std::thread::Builder::new().name("hooks".into()).stack_size(128 * 1024).spawn(move || {
                    prepare();
                    work(&jobs);
                });
            match spawned {
                Ok(_) => self.jobs = Some(sender),
                Err(error) => journal::error(&format!("no thread for notify scripts: {error}")),
            }
        }
        if let Some(jobs) = &self.jobs {
            // The runner lives as long as its mailbox.
            let _ = jobs.send(job);
        }
    }

    /// Runs a hook, after those before it.
    pub(crate) fn run(&mut self, hook: &Hook, arguments: &[&str]) {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        self.send(Job::Run { hook: hook.clone(), arguments });
    }

    /// Makes a FIFO, unless there is one, for its readers to open before anything happens.
    pub(crate) fn make_fifo(&mut self, path: &Path) {
        match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) => self.made.push(path.to_owned()),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => journal::warning(&format!("notify FIFO {}: {error}", path.display())),
        }
    }

    /// Writes a line to a FIFO, if somebody reads there.
    pub(crate) fn fifo(&mut self, path: &Path, line: String) {
        self.send(Job::Fifo { path: path.to_owned(), line });
    }

    /// Waits until everything asked for so far is done, at most so long; then the FIFOs go.
    pub(crate) fn finish(&mut self, at_most: Duration) {
        if let Some(jobs) = self.jobs.take() {
            let (done, wait) = std::sync::mpsc::channel();
            if jobs.send(Job::Done(done)).is_ok() {
                // Late hooks are left behind; they are told to stop with us.
                let _ = wait.recv_timeout(at_most);
            }
        }
        for path in self.made.drain(..) {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
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
                // Nobody waits any longer: it took too long.
                let _ = done.send(());
            }
        }
    }
}

fn run(hook: &Hook, arguments: &[String]) -> Result<(), String> {
    let mut command = tracking::bounded_command(&hook.words, hook.user).ok_or("is empty")?;
    let mut child = command
        .args(arguments)
        .spawn()
        .map_err(|e| format!("cannot be started: {e}; does it exist and is it executable?"))?;
    let started = Instant::now();
    let mut step = Duration::from_micros(500);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("ended with {status}")),
            Ok(None) if started.elapsed() < HOOK_TIMEOUT => {
                std::thread::sleep(step);
                step = (step * 2).min(Duration::from_millis(20));
            }
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

fn write_fifo(path: &Path, line: &str) -> std::io::Result<()> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits()).unwrap_or(0);
    let mut file = std::fs::OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    file.write_all(line.as_bytes())
}
