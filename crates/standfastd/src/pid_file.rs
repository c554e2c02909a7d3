//! Pid files: the main one is locked while the agent lives, so that two agents never share one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The pid files of this agent; removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFiles {
    paths: Vec<PathBuf>,
    _lock: File,
}

impl PidFiles {
    /// Writes our pid to all of them.
    ///
    /// # Errors
    /// If another agent holds the main one, or one cannot be written.
    pub(crate) fn write(main: &Path, further: &[PathBuf]) -> Result<Self, String> {
        let mut lock = lock(main)?;
        let mut files = Self { paths: Vec::new(), _lock: lock.try_clone().map_err(|e| cannot(main, &e))? };
        refuse_if_running(main, &mut lock)?;
        fill(&mut lock).map_err(|e| cannot(main, &e))?;
        files.paths.push(main.to_owned());
        for path in further.iter().filter(|path| *path != main) {
            let mut file = open(path).map_err(|e| cannot(path, &e))?;
            refuse_if_running(path, &mut file)?;
            fill(&mut file).map_err(|e| cannot(path, &e))?;
            files.paths.push(path.clone());
        }
        Ok(files)
    }
}

fn lock(path: &Path) -> Result<File, String> {
    loop {
        let mut file = open(path).map_err(|e| cannot(path, &e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            // Who holds it helps, but is not needed to refuse.
            let _ = file.read_to_string(&mut pid);
            return Err(held(path, pid.trim()));
        }
        // One that ended between our opening and our lock has removed the file that we have.
        let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        let ours = file.metadata().map_err(|e| cannot(path, &e))?;
        if std::fs::metadata(path).is_ok_and(|there| same(there, ours)) {
            return Ok(file);
        }
    }
}

fn held(path: &Path, pid: &str) -> String {
    format!(
        "{}: another agent (pid {pid}) holds this pid file; stop it, or name another file with --pid",
        path.display()
    )
}

/// A pid that is left in the file counts if a keepalived or an agent runs under it: keepalived locks no file.
fn refuse_if_running(path: &Path, file: &mut File) -> Result<(), String> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|e| cannot(path, &e))?;
    let pid = text.trim();
    let numbered = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    if !numbered || pid == std::process::id().to_string() {
        return Ok(());
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if ["keepalived", "keepalived_vrrp", "standfastd"].contains(&name.trim()) {
        Err(held(path, pid))
    } else {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // O_NOFOLLOW: a link planted in a shared directory is not written through.
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(no_follow)
        .open(path)
}

fn fill(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("cannot write the pid file {}: {error}", path.display())
}

impl Drop for PidFiles {
    fn drop(&mut self) {
        for path in &self.paths {
            // Gone already is as good as removed.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_pid_is_replaced_a_running_agent_is_not_and_nothing_stays_behind() {
        let folder = std::env::temp_dir().join(format!("standfast-pid-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (main, further) = (folder.join("main.pid"), folder.join("vrrp.pid"));
        // Of a process that lives but is no agent: the number was given anew.
        std::fs::write(&main, "1\n").unwrap();
        let files = PidFiles::write(&main, std::slice::from_ref(&further)).unwrap();
        let own = format!("{}\n", std::process::id());
        assert_eq!(std::fs::read_to_string(&main).unwrap(), own);
        assert_eq!(std::fs::read_to_string(&further).unwrap(), own);
        let error = PidFiles::write(&main, &[]).unwrap_err();
        assert!(error.contains(own.trim()) && error.contains("--pid"), "{error}");
        drop(files);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_running_keepalived_is_told_by_its_name() {
        let folder = std::env::temp_dir().join(format!("standfast-pidk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("keepalived");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        let main = folder.join("main.pid");
        std::fs::write(&main, format!("{}\n", child.id())).unwrap();
        // Until it has begun, it has our own name.
        let comm = format!("/proc/{}/comm", child.id());
        let begun = || std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "keepalived");
        for _ in 0..500 {
            if begun() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(PidFiles::write(&main, &[]).unwrap_err().contains(&child.id().to_string()));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(PidFiles::write(&main, &[]).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
