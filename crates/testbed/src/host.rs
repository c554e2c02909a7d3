//! A host: a network namespace with one link, `eth0`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::daemon::Daemon;
use crate::machine::Machine;

/// The link's name on every host.
pub const INTERFACE: &str = "eth0";

/// A network namespace that has a name for `ip -n`, and goes when this goes, unless somebody else made it.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    file: File,
    foreign: bool,
}

impl Namespace {
    pub(crate) fn new(name: String) -> Result<Self> {
        let path = Path::new("/run/netns").join(&name);
        File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // A thread of its own: a network namespace belongs to a thread, and ours keeps the one it has.
        let target = path.clone();
        thread::spawn(move || -> Result<()> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            // Clients must believe announcements, addresses be there at once. New links take the defaults.
            fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")?;
            fs::write("/proc/sys/net/ipv6/conf/default/dad_transmits", "0")?;
            mount(Some("/proc/thread-self/ns/net"), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .context("cannot give the network namespace a name")
        })
        .join()
        .map_err(|_| anyhow!("the thread that makes {name} panicked"))??;
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let namespace = Self { name, file, foreign: false };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Runs `ip` commands in there, one a line.
    pub(crate) fn ip(&self, commands: &str) -> Result<()> {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ip (apt-get install iproute2)")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(commands.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "in {}: ip {commands:?}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Runs `work` on a thread that is in there. Sockets it opens stay in there, processes it starts run there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("cannot enter the network namespace {}", self.name))?;
                Ok(work())
            });
            worker.join().map_err(|_| anyhow!("a thread in {} panicked", self.name))?
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.foreign {
            return;
        }
        let path = Path::new("/run/netns").join(&self.name);
        // What cannot be removed goes with the enclosure.
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&path);
    }
}

/// A host on a [`crate::Lan`]. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) number: u8,
    pub(crate) namespace: Namespace,
    pub(crate) folder: PathBuf,
    pub(crate) machine: OnceLock<Machine>,
}

impl Host {
    /// A host that somebody else made, by the name of its network namespace. It stays when this goes, and its
    /// addresses are not those of a LAN of ours. What is started on it logs into `folder`.
    ///
    /// # Errors
    /// If there is no such namespace.
    pub fn of_namespace(name: &str, folder: &Path) -> Result<Self> {
        let path = Path::new("/run/netns").join(name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                number: 0,
                namespace: Namespace { name: name.to_owned(), file, foreign: true },
                folder: folder.to_owned(),
                machine: OnceLock::new(),
            }),
        })
    }

    /// What it is called on its LAN.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What `ip -n` and `standfast --netns` call its namespace; no other host of this run has that name.
    pub fn namespace(&self) -> &str {
        &self.shared.namespace.name
    }

    /// 10.0.0.N/24, with N the place in the LAN.
    pub fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, self.shared.number)
    }

    /// `fd00::N/64`.
    pub fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, self.shared.number.into())
    }

    /// The link-local address, made from the MAC.
    pub fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, self.shared.number.into())
    }

    /// 02:00:00:00:00:N.
    pub fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.shared.number]
    }

    /// A folder of its own, in memory, gone with the LAN.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Runs `work` on a thread that is in this host's network namespace. Sockets it opens stay there, processes
    /// it starts run there.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.shared.namespace.inside(work)
    }

    /// Gives the host processes of its own: what is started on it from now on, `killall` among it, sees only
    /// what else was.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn isolate_processes(&self) -> Result<()> {
        let machine = Machine::new(|args| Daemon::start(self, "first-process", "unshare", args, &[]))?;
        ensure!(self.shared.machine.set(machine).is_ok(), "{} has processes of its own already", self.name());
        Ok(())
    }

    /// As [`inside`](Self::inside), to start a process.
    pub(crate) fn launch<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.inside(|| {
            if let Some(machine) = self.shared.machine.get() {
                machine.enter()?;
            }
            Ok(work())
        })?
    }

    /// Runs `ip` commands on the host, one a line, without the leading `ip`.
    ///
    /// # Errors
    /// With what `ip` says.
    pub fn ip(&self, commands: &str) -> Result<()> {
        self.shared.namespace.ip(commands)
    }

    /// Runs a program on the host to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run<A: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: &[A]) -> Result<Output> {
        let mut command = Command::new(&program);
        command.args(args);
        self.launch(|| command.output())?
            .with_context(|| format!("cannot run {}", program.as_ref().display()))
    }

    /// Every address on every link, as `ip -json address` has them: (link, address, prefix length).
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn addresses(&self) -> Result<Vec<(String, IpAddr, u8)>> {
        let output = Command::new("ip").args(["-n", self.namespace(), "-json", "address"]).output()?;
        ensure!(output.status.success(), "ip address: {}", String::from_utf8_lossy(&output.stderr));
        let links: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let mut found = Vec::new();
        for link in links.as_array().into_iter().flatten() {
            for info in link["addr_info"].as_array().into_iter().flatten() {
                let (Some(name), Some(local)) = (link["ifname"].as_str(), info["local"].as_str()) else {
                    continue;
                };
                let prefix = info["prefixlen"].as_u64().and_then(|p| u8::try_from(p).ok()).unwrap_or(0);
                found.push((name.to_owned(), local.parse()?, prefix));
            }
        }
        Ok(found)
    }

    /// Whether the address is on `eth0`. FRR keeps its addresses on a link of their own, always.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses()
            .is_ok_and(|all| all.iter().any(|(link, has, _)| link == INTERFACE && *has == address))
    }
}
