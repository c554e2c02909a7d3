//! The thread that watches everything.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

use crate::file::File;
use crate::process::Process;
use crate::script::Script;
use crate::{Fact, Spec, State};

/// What was found, and why.
pub(crate) type Found = (State, String);

/// Something that is watched.
pub(crate) trait Watched: Send {
    /// Looks; `ready` says that a descriptor of it is readable.
    fn turn(&mut self, now: Instant, ready: bool) -> Option<Found>;
    /// When to look next if nothing happens.
    fn due(&self) -> Option<Instant>;
    /// What tells that something happened. A descriptor that is dropped leaves the waiting by itself.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;
}

fn start(spec: Spec, now: Instant) -> Box<dyn Watched> {
    match spec {
        Spec::Script(spec) => Box::new(Script::new(spec, now)),
        Spec::File(spec) => Box::new(File::new(spec, now)),
        Spec::Process(spec) => Box::new(Process::new(spec, now)),
    }
}

enum Request {
    Watch(BTreeMap<String, Spec>),
    Stop,
}

/// The end of the watching thread that others hold; the thread ends when it is dropped.
#[derive(Debug)]
pub struct Tracking {
    requests: Sender<Request>,
    waker: Arc<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Tracking {
    /// Starts the thread, watching nothing. `prepare` is called in it first; after each fact `wake` is.
    ///
    /// # Errors
    /// If the kernel gives no epoll instance or no thread.
    pub fn start(
        facts: Sender<Fact>,
        wake: Arc<dyn Fn() + Send + Sync>,
        prepare: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let waker = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poller, &*waker, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        let (requests, received) = std::sync::mpsc::channel();
        let mut thread = Thread {
            poller,
            waker: Arc::clone(&waker),
            requests: received,
            facts,
            wake,
            watched: BTreeMap::new(),
            last_id: WAKER,
        };
        let thread =
            std::thread::Builder::new().name("tracking".into()).stack_size(128 * 1024).spawn(move || {
                prepare();
                thread.run();
            })?;
        Ok(Self { requests, waker, thread: Some(thread) })
    }

    /// Watches these and nothing else. What is watched already with the same specification goes on.
    pub fn watch(&self, wanted: BTreeMap<String, Spec>) {
        self.send(Request::Watch(wanted));
    }

    fn send(&self, request: Request) {
        // The thread ends only when we tell it to.
        if self.requests.send(request).is_ok() {
            // It can only fail when the counter is full, and then the thread is woken already.
            let _ = rustix::io::write(&*self.waker, &1_u64.to_ne_bytes());
        }
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.send(Request::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

const WAKER: u64 = 0;

struct Entry {
    id: u64,
    spec: Spec,
    watched: Box<dyn Watched>,
    told: State,
}

struct Thread {
    poller: OwnedFd,
    waker: Arc<OwnedFd>,
    requests: Receiver<Request>,
    facts: Sender<Fact>,
    wake: Arc<dyn Fn() + Send + Sync>,
    watched: BTreeMap<String, Entry>,
    last_id: u64,
}

impl Thread {
    fn run(&mut self) {
        let mut ready = BTreeSet::new();
        loop {
            while let Ok(request) = self.requests.try_recv() {
                match request {
                    Request::Watch(wanted) => self.replace(wanted),
                    Request::Stop => return,
                }
            }
            self.turn(&ready);
            ready.clear();
            if self.wait(&mut ready).is_err() {
                // Without an epoll instance nothing can be watched; what was told last stays.
                return;
            }
        }
    }

    fn replace(&mut self, wanted: BTreeMap<String, Spec>) {
        self.watched.retain(|name, entry| wanted.get(name) == Some(&entry.spec));
        for (name, spec) in wanted {
            if !self.watched.contains_key(&name) {
                self.last_id += 1;
                let watched = start(spec.clone(), Instant::now());
                let entry = Entry { id: self.last_id, spec, watched, told: State::Unknown };
                self.watched.insert(name, entry);
            }
        }
    }

    fn turn(&mut self, ready: &BTreeSet<u64>) {
        let mut told = false;
        for (name, entry) in &mut self.watched {
            let id = entry.id;
            // One that has found something may have more to do at once: a script that was not run yet.
            while let Some((state, detail)) = entry.watched.turn(Instant::now(), ready.contains(&id)) {
                if state != entry.told {
                    entry.told = state;
                    // Nobody listens any more: the agent is ending.
                    told |= self.facts.send(Fact { name: name.clone(), state, detail }).is_ok();
                }
                if entry.watched.due().is_none_or(|due| due > Instant::now()) {
                    break;
                }
            }
            register(&self.poller, entry);
        }
        if told {
            (self.wake)();
        }
    }

    fn wait(&self, ready: &mut BTreeSet<u64>) -> io::Result<()> {
        let due = self.watched.values().filter_map(|entry| entry.watched.due()).min();
        let timeout = due.map(|due| {
            let left = due.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 16];
        let count = match epoll::wait(&self.poller, &mut events[..], timeout.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in events.iter().take(count) {
            let id = event.data.u64();
            if id == WAKER {
                // Empty already is as good.
                let _ = rustix::io::read(&*self.waker, &mut [0_u8; 8]);
            } else {
                ready.insert(id);
            }
        }
        Ok(())
    }
}

/// Lets the poller wait for the descriptors that the entry has now.
fn register(poller: &OwnedFd, entry: &Entry) {
    for fd in entry.watched.descriptors() {
        let data = epoll::EventData::new_u64(entry.id);
        // One that is there already is the same descriptor; one that is refused is looked at by time instead.
        let _ = epoll::add(poller, fd, data, epoll::EventFlags::IN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileSpec;
    use std::time::Duration;

    #[test]
    fn a_change_of_a_file_is_told_once_and_what_is_no_longer_wanted_is_silent() {
        let folder = std::env::temp_dir().join(format!("standfast-track-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("weight");
        let (facts_in, facts) = std::sync::mpsc::channel();
        let tracking = Tracking::start(facts_in, Arc::new(|| {}), || {}).unwrap();
        let spec = Spec::File(FileSpec { path: path.clone(), init: Some(5) });
        let wanted = BTreeMap::from([("f".to_owned(), spec)]);
        tracking.watch(wanted.clone());
        let next = || facts.recv_timeout(Duration::from_secs(10)).unwrap().state;
        assert_eq!(next(), State::Value(5));
        // Watched already with the same specification: nothing is told again.
        tracking.watch(wanted);
        // Replaced as an editor does it.
        std::fs::write(folder.join("new"), "-7\n").unwrap();
        std::fs::rename(folder.join("new"), &path).unwrap();
        assert_eq!(next(), State::Value(-7));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next(), State::Value(0));
        tracking.watch(BTreeMap::new());
        drop(tracking);
        assert!(facts.try_recv().is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
