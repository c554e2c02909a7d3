//! Pid files: the main one is locked while the agent lives, so that two agents never share one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
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
        let mut lock = open(main).map_err(|e| cannot(main, &e))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            // Who holds it helps, but is not needed to refuse.
            let _ = lock.read_to_string(&mut pid);
            return Err(format!(
                "{}: another agent (pid {}) holds this pid file; stop it, or name another file with --pid",
                main.display(),
                pid.trim()
            ));
        }
        fill(&mut lock).map_err(|e| cannot(main, &e))?;
        let mut files = Self { paths: vec![main.to_owned()], _lock: lock };
        for path in further.iter().filter(|path| *path != main) {
            open(path).and_then(|mut file| fill(&mut file)).map_err(|e| cannot(path, &e))?;
            files.paths.push(path.clone());
        }
        Ok(files)
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
