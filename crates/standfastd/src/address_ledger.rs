//! A file that says which addresses an agent has put on interfaces, and which routes and rules it has set, for the
//! agent that is started after it was killed.
//!
//! Kernels since 5.18 mark an address themselves; there the mark decides, and the file only tells whose of
//! several agents it was. On older ones the file is all there is. It lies under the run directory, named for
//! the network namespace and the pid file: the two that tell agents apart before and after.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use vrrp::IfIndex;

/// An address on an interface.
pub(crate) type Place = (IfIndex, IpAddr);

/// The file of this agent, locked while it lives.
#[derive(Debug)]
pub(crate) struct AddressLedger {
    path: PathBuf,
    file: File,
    written: String,
}

/// What the files of this network namespace said when this agent started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Legacy {
    /// Of an earlier process with our pid file.
    pub(crate) own: Vec<Place>,
    /// Of other agents, and whether they live.
    pub(crate) others: Vec<(Place, bool)>,
    /// Keys of routes and rules of an earlier process with our pid file.
    pub(crate) own_routes: BTreeSet<String>,
    /// Those of other agents.
    pub(crate) others_routes: BTreeSet<String>,
}

impl AddressLedger {
    /// Opens the file and reads those that are there.
    ///
    /// # Errors
    /// If the directory cannot be written: the kernel's marks are all there is then.
    pub(crate) fn open(directory: &Path, namespace: u64, pid_file: &Path) -> io::Result<(Self, Legacy)> {
        control::make_runtime_directory(directory)?;
        let path = directory.join(format!("{namespace}-{:016x}.addresses", name_hash(pid_file)));
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(no_follow)
            .open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let mut written = String::new();
        file.read_to_string(&mut written)?;
        let mut legacy = Legacy {
            own: parse(&written).collect(),
            own_routes: routes(&written).collect(),
            ..Legacy::default()
        };
        others(directory, namespace, &path, &mut legacy);
        Ok((Self { path, file, written }, legacy))
    }

    /// Writes which addresses are on interfaces now, and the keys of the routes and rules that are set.
    pub(crate) fn write(
        &mut self,
        places: impl Iterator<Item = Place>,
        routes: impl Iterator<Item = String>,
    ) -> io::Result<()> {
        let mut text = String::new();
        for (interface, address) in places {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} {address}", interface.0);
        }
        for key in routes {
            let _ = writeln!(text, "{key}");
        }
        if text == self.written {
            return Ok(());
        }
        // A kill in between leaves a line too many at most, and what is not there is not removed.
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(u64::try_from(text.len()).unwrap_or(0))?;
        self.file.flush()?;
        self.written = text;
        Ok(())
    }
}

impl Drop for AddressLedger {
    fn drop(&mut self) {
        if self.written.is_empty() {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn parse(text: &str) -> impl Iterator<Item = Place> {
    text.lines().filter_map(|line| {
        let (interface, address) = line.split_once(' ')?;
        Some((IfIndex(interface.parse().ok()?), address.parse().ok()?))
    })
}

/// The lines of routes and rules are their keys.
fn routes(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with("route ") || line.starts_with("rule ")).map(str::to_owned)
}

fn others(directory: &Path, namespace: u64, own: &Path, legacy: &mut Legacy) {
    let prefix = format!("{namespace}-");
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path != own) {
        let ours = path.extension().is_some_and(|e| e == "addresses")
            && path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(&prefix));
        if !ours {
            continue;
        }
        let Ok(mut file) = File::open(&path) else { continue };
        let lives = flock(&file, FlockOperation::NonBlockingLockShared).is_err();
        let mut text = String::new();
        // What cannot be read says nothing.
        if file.read_to_string(&mut text).is_ok() {
            legacy.others.extend(parse(&text).map(|place| (place, lives)));
            legacy.others_routes.extend(routes(&text));
        }
    }
}

/// FNV-1a: the same in every build, unlike the standard library's.
fn name_hash(path: &Path) -> u64 {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_reads_what_a_killed_one_wrote_and_tells_it_from_others() {
        let directory = std::env::temp_dir().join(format!("standfast-ledger-{}", std::process::id()));
        let place = (IfIndex(3), "10.0.0.50".parse().unwrap());
        let other = (IfIndex(3), "fd00::51".parse().unwrap());
        let open = |pid_file: &str| AddressLedger::open(&directory, 77, Path::new(pid_file)).unwrap();
        let (mut a, nothing) = open("/run/a.pid");
        assert_eq!(nothing, Legacy::default());
        let route = "route 0.0.0.0/0 table 254 tos 0 metric 0 proto 4".to_owned();
        a.write([place].into_iter(), [route.clone()].into_iter()).unwrap();
        // As if killed: the lock goes, the file stays.
        drop(a);
        let (mut b, seen) = open("/run/b.pid");
        let routes: BTreeSet<String> = [route].into();
        let expected =
            Legacy { others: vec![(place, false)], others_routes: routes.clone(), ..Legacy::default() };
        assert_eq!(seen, expected);
        b.write([other].into_iter(), std::iter::empty()).unwrap();
        let (mut a, seen) = open("/run/a.pid");
        let expected = Legacy {
            own: vec![place],
            others: vec![(other, true)],
            own_routes: routes,
            others_routes: BTreeSet::new(),
        };
        assert_eq!(seen, expected);
        // A stop takes everything off, and then there is nothing to keep.
        a.write(std::iter::empty(), std::iter::empty()).unwrap();
        b.write(std::iter::empty(), std::iter::empty()).unwrap();
        drop((a, b));
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
