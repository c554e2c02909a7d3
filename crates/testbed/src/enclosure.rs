//! Namespaces of our own: mounts, processes and network, and without root a user namespace around them. They
//! end with the process, however it ends, and everything in them with them.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, geteuid};

use crate::programs;

/// Which step of entering this process is.
const STAGE: &str = "STANDFAST_TESTBED_STAGE";
const INIT: &str = "init";
const INSIDE: &str = "inside";

/// Everything that a run writes is below this folder, which is memory of the enclosure.
pub(crate) const SCRATCH: &str = "/run/testbed";

/// Moves this process into namespaces of its own and comes back in there, as root of them, with the same
/// arguments. To be called first thing in `main`: what was done before is done again.
///
/// # Errors
/// If namespaces are not to be had, or the executables under test are not there.
pub fn enter() -> Result<()> {
    match env::var(STAGE).as_deref() {
        Ok(INSIDE) => Ok(()),
        Ok(INIT) => init(),
        _ => leave_outside(),
    }
}

/// Whether this process is inside.
pub fn entered() -> bool {
    env::var(STAGE).as_deref() == Ok(INSIDE)
}

/// A file or folder for what shall outlive the run (captures of failed cases), outside of the scratch folder.
///
/// # Errors
/// If the folder cannot be made.
pub fn evidence(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testbed");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.canonicalize()?.join(name))
}

fn leave_outside() -> Result<()> {
    let (agent, command) = programs::locate()?;
    let mut unshare = Command::new("unshare");
    if !geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
        ])
        .arg(env::current_exe().context("where am I?")?)
        .args(env::args_os().skip(1))
        .env(STAGE, INIT)
        .env(programs::AGENT, agent)
        .env(programs::COMMAND, command);
    Err(unshare.exec()).context("cannot run unshare (apt-get install util-linux)")
}

/// The first process of the enclosure: prepares it, runs the real work as its child, and buries what others
/// leave behind. When it ends, the kernel ends everything in here. It has no signal handlers and, as the first
/// process, needs none: Ctrl-C ends the child, and that ends this.
fn init() -> Result<()> {
    let mount_memory = |folder: &str, mode: &str| {
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(mode))
            .with_context(|| format!("cannot mount a tmpfs on {folder}"))
    };
    mount_memory("/run", "mode=755")?;
    // FRR leaves a folder there for each process.
    mount_memory("/var/tmp", "mode=1777")?;
    for folder in ["/run/netns", SCRATCH] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    }
    let (agent, command) = (keep(&programs::agent())?, keep(&programs::command())?);
    let child = Command::new(env::current_exe().context("where am I?")?)
        .args(env::args_os().skip(1))
        .env(STAGE, INSIDE)
        .env(programs::AGENT, agent)
        .env(programs::COMMAND, command)
        .spawn()
        .context("cannot start anew in the namespaces")?;
    let child = Pid::from_raw(i32::try_from(child.id())?);
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => exit_with(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => exit_with(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => bail!("cannot wait for the child: {error}"),
        }
    }
}

/// A copy that nobody rebuilds while the run lasts.
fn keep(program: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("the path of a program has no name")?;
    let copy = Path::new(SCRATCH).join(name);
    fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(copy)
}

#[allow(
    clippy::exit,
    reason = "the exit code of the child is ours, and nothing of ours waits for a destructor"
)]
fn exit_with(code: i32) -> ! {
    exit(code)
}

pub(crate) fn require() -> Result<()> {
    ensure!(entered(), "testbed::enclosure::enter has to be called first thing in main");
    Ok(())
}
