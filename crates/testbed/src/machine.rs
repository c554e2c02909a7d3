//! Processes of a host's own: a process namespace with a `/proc` that shows them, and what mounts it likes.
//! `killall` on one such host finds nothing of another.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns, unshare};

use crate::daemon::Daemon;
use crate::wait;

/// The first process of a host, and the way to its namespaces.
#[derive(Debug)]
pub(crate) struct Machine {
    _first: Daemon,
    mounts: File,
    processes: File,
}

impl Machine {
    /// `launch` starts unshare with these arguments, in the host's network.
    pub(crate) fn new(launch: impl FnOnce(&[&str]) -> Result<Daemon>) -> Result<Self> {
        // It buries whatever is left to it.
        let first = launch(&[
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            "while :; do sleep 1000 & wait $!; done",
        ])?;
        let pid = first.pid();
        let child = format!("/proc/{pid}/task/{pid}/children");
        let inner = wait::for_some("the first process of a host runs", Duration::from_secs(10), || {
            fs::read_to_string(&child).ok()?.split_whitespace().next()?.parse::<u32>().ok()
        })?;
        // unshare mounts /proc after the fork: when the shell runs, that is done.
        wait::until("the first process of a host is ready", Duration::from_secs(10), || {
            fs::read_to_string(format!("/proc/{inner}/comm")).is_ok_and(|name| name.trim() == "sh")
        })?;
        let open = |kind: &str| {
            let path = format!("/proc/{inner}/ns/{kind}");
            File::open(&path).with_context(|| format!("cannot open {path}"))
        };
        Ok(Self { mounts: open("mnt")?, processes: open("pid")?, _first: first })
    }

    /// Moves this thread in: its children are processes of that host.
    pub(crate) fn enter(&self) -> Result<()> {
        // Root and working folder are shared between threads, and a mount namespace is not entered with them.
        unshare(CloneFlags::CLONE_FS).context("cannot leave the shared folder")?;
        setns(&self.mounts, CloneFlags::CLONE_NEWNS).context("cannot enter the mounts of a host")?;
        setns(&self.processes, CloneFlags::CLONE_NEWPID).context("cannot enter the processes of a host")
    }
}
