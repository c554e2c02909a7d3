//! Notify scripts and the notify FIFO: what others do when a state changes. They run beside the protocol, in
//! the order of the changes, one at a time.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Child;
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
    Run {
        hook: Hook,
        arguments: Vec<String>,
    },
    OpenFifo {
        path: PathBuf,
    },
    /// Replaces the program that reads the FIFO.
    Stay {
        hook: Hook,
        path: String,
    },
    Fifo {
        line: String,
    },
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

    /// Makes a FIFO, unless there is one, and opens it: what is written waits for a reader.
    pub(crate) fn make_fifo(&mut self, path: &Path) {
        match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) => self.made.push(path.to_owned()),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => journal::warning(&format!("notify FIFO {}: {error}", path.display())),
        }
        self.send(Job::OpenFifo { path: path.to_owned() });
    }

    /// Starts the program that reads a FIFO; it ends with the agent, or when another takes its place.
    pub(crate) fn stay(&mut self, hook: &Hook, path: &str) {
        self.send(Job::Stay { hook: hook.clone(), path: path.to_owned() });
    }

    /// Writes a line to the FIFO that was made last.
    pub(crate) fn fifo(&mut self, line: String) {
        self.send(Job::Fifo { line });
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
    let (mut fifo, mut reader) = (None, None);
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Run { hook, arguments } => {
                if let Err(error) = run(&hook, &arguments) {
                    journal::warning(&format!("notify script {}: {error}", hook.words.join(" ")));
                }
            }
            Job::OpenFifo { path } => match open_fifo(&path) {
                Ok(file) => fifo = Some(file),
                Err(error) => journal::warning(&format!("notify FIFO {}: {error}", path.display())),
            },
            Job::Fifo { line } => {
                if let Some(Err(error)) = fifo.as_mut().map(|file| file.write_all(line.as_bytes())) {
                    journal::warning(&format!("notify FIFO: {error}; does nobody read it?"));
                }
            }
            Job::Stay { hook, path } => {
                if let Some(child) = reader.take() {
                    end(child);
                }
                let mut command = tracking::bounded_command(&hook.words, hook.user);
                match command.as_mut().map(|command| command.arg(path).spawn()) {
                    Some(Ok(child)) => reader = Some(child),
                    Some(Err(error)) => {
                        journal::error(&format!("notify_fifo_script {}: {error}", hook.words.join(" ")));
                    }
                    None => {}
                }
            }
            Job::Done(done) => {
                if let Some(child) = reader.take() {
                    end(child);
                }
                // Nobody waits any longer: it took too long.
                let _ = done.send(());
            }
        }
    }
}

/// As keepalived ends it: told to, in case it has something to put away.
fn end(mut child: Child) {
    if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) {
        // Gone already is as good.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    }
    // It is reaped here if it is quick, and by init if not.
    let _ = child.try_wait();
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

/// For reading too: a reader that leaves and comes again loses nothing, and none is no error.
fn open_fifo(path: &Path) -> std::io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    if file.metadata()?.file_type().is_fifo() { Ok(file) } else { Err(std::io::Error::other("is no FIFO")) }
}
