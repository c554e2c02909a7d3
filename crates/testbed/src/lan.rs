//! The LAN: a bridge without spanning tree or snooping, and a second one for the other side of a partition.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};

use crate::enclosure;
use crate::host::{Host, INTERFACE, Namespace, Shared};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Hosts on one link. Any number of them stand side by side; each removes what it made when it is dropped.
#[derive(Debug)]
pub struct Lan {
    name: String,
    number: u32,
    pub(crate) switch: Arc<Namespace>,
    folder: PathBuf,
    /// Ports of the bridge by interface index: whose they are.
    pub(crate) ports: Arc<Mutex<BTreeMap<u32, Arc<str>>>>,
}

impl Lan {
    /// A LAN without hosts. The name is for people.
    ///
    /// # Errors
    /// If this process is not in its enclosure, or the kernel refuses.
    pub fn new(name: &str) -> Result<Self> {
        enclosure::require()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(enclosure::SCRATCH).join(format!("lan{number}"));
        fs::create_dir_all(&folder)?;
        let switch = Namespace::new(format!("lan{number}"))?;
        switch
            .ip("link add br0 type bridge mcast_snooping 0\nlink add br1 type bridge mcast_snooping 0\n\
             link set br0 up\nlink set br1 up")?;
        Ok(Self { name: name.to_owned(), number, switch: Arc::new(switch), folder, ports: Arc::default() })
    }

    /// What it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A further host, plugged in and with its addresses.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn host(&self, name: &str) -> Result<Host> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u8::try_from(ports.len() + 1).context("254 hosts at most")?;
        let namespace = Namespace::new(format!("lan{}-{name}", self.number))?;
        let port = port(name);
        self.switch.ip(&format!(
            "link add {port} type veth peer name {INTERFACE} netns {}\nlink set {port} master br0 up",
            namespace.name
        ))?;
        namespace.ip(&format!(
            "link set {INTERFACE} address 02:00:00:00:00:{number:02x}\n\
             address add 10.0.0.{number}/24 brd + dev {INTERFACE}\n\
             address add fd00::{number:x}/64 dev {INTERFACE} nodad\n\
             link set {INTERFACE} up"
        ))?;
        let index = self.switch.inside(|| nix::net::if_::if_nametoindex(port.as_str()))??;
        ports.insert(index, name.into());
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(Host {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                number,
                namespace,
                folder,
                machine: OnceLock::new(),
            }),
        })
    }

    /// Takes the cable out of a host: it sees its carrier go.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn cut(&self, host: &Host) -> Result<()> {
        self.switch.ip(&format!("link set {} down", port(host.name())))
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn mend(&self, host: &Host) -> Result<()> {
        self.switch.ip(&format!("link set {} up", port(host.name())))
    }

    /// Moves hosts to the other side of a partition; nobody's carrier goes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn split(&self, hosts: &[&Host]) -> Result<()> {
        self.move_to("br1", hosts)
    }

    /// Moves them back.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn heal(&self, hosts: &[&Host]) -> Result<()> {
        self.move_to("br0", hosts)
    }

    fn move_to(&self, bridge: &str, hosts: &[&Host]) -> Result<()> {
        let lines: Vec<_> =
            hosts.iter().map(|host| format!("link set {} master {bridge}", port(host.name()))).collect();
        self.switch.ip(&lines.join("\n"))
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // What cannot be removed goes with the enclosure.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn port(host: &str) -> String {
    format!("to-{host}")
}
