//! A file with a number in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify;

use crate::State;
use crate::watch::{Found, Watched};

/// Looked at this often whatever inotify says: a link may point elsewhere, a file may lie on another host.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often if its directory cannot be watched.
const LOOK_EVERY_UNWATCHED: Duration = Duration::from_millis(100);

/// Which file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSpec {
    /// The file; a missing one counts as 0.
    pub path: PathBuf,
    /// Written if the file is missing at start.
    pub init: Option<i32>,
}

pub(crate) struct File {
    spec: FileSpec,
    /// Tells of changes in the file's directory.
    changes: Option<OwnedFd>,
    next: Instant,
}

impl File {
    pub(crate) fn new(spec: FileSpec, now: Instant) -> Self {
        if let Some(value) = spec.init.filter(|_| !spec.path.exists()) {
            // What cannot be written is read as 0 below, and told.
            let _ = std::fs::write(&spec.path, format!("{value}\n"));
        }
        let changes = watch_directory(&spec.path);
        Self { spec, changes, next: now }
    }
}

/// The directory and not the file: a file that is replaced is another file.
fn watch_directory(path: &Path) -> Option<OwnedFd> {
    use inotify::{CreateFlags, WatchFlags};
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let what = WatchFlags::MODIFY
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF;
    inotify::add_watch(&fd, directory, what).ok()?;
    Some(fd)
}

fn read(path: &Path) -> Found {
    let (value, detail) = match std::fs::read_to_string(path) {
        Ok(text) => match text.trim().parse::<i32>() {
            Ok(value) => (value.clamp(-254, 254), format!("{value}")),
            Err(_) if text.trim().is_empty() => (0, "empty, read as 0".to_owned()),
            Err(_) => (0, "not a number, read as 0".to_owned()),
        },
        Err(error) => (0, format!("{error}, read as 0")),
    };
    (State::Value(value), detail)
}

impl Watched for File {
    fn turn(&mut self, now: Instant, ready: bool) -> Option<Found> {
        if !ready && now < self.next {
            return None;
        }
        if let Some(changes) = self.changes.as_ref().filter(|_| ready) {
            // What changed does not matter: the file is read anew.
            while rustix::io::read(changes, &mut [0_u8; 4096]).is_ok_and(|n| n > 0) {}
        }
        if self.changes.is_none() || !self.spec.path.parent().is_none_or(Path::exists) {
            self.changes = watch_directory(&self.spec.path);
        }
        self.next = now + if self.changes.is_some() { LOOK_EVERY } else { LOOK_EVERY_UNWATCHED };
        Some(read(&self.spec.path))
    }

    fn due(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.changes.iter().map(AsFd::as_fd).collect()
    }
}
