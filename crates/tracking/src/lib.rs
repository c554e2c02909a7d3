//! What raises and lowers priority: scripts, files with a number, processes. Each is watched by a thread of
//! its own, never by the protocol's, and tells what it found through a channel.
#![forbid(unsafe_code)]

mod account;
mod file;
mod process;
mod script;

pub use account::{Account, Weighted, account};
pub use file::FileSpec;
pub use process::ProcessSpec;
pub use script::ScriptSpec;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// What is watched.
#[derive(Clone, PartialEq, Debug)]
pub enum Spec {
    /// A program that is run again and again.
    Script(ScriptSpec),
    /// A file with a number.
    File(FileSpec),
    /// Processes that have to run.
    Process(ProcessSpec),
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing yet.
    Unknown,
    /// Good.
    Up,
    /// Bad.
    Down,
    /// The number in a file.
    Value(i32),
}

/// A change, told once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// The name of what is watched.
    pub name: String,
    /// What was found.
    pub state: State,
    /// Why, in words.
    pub detail: String,
}

/// Something that is watched; it ends when this is dropped.
#[derive(Debug)]
pub struct Tracker {
    stop: Arc<AtomicBool>,
}

/// Whether to go on, and how to wait: what a watching thread gets.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Arc<AtomicBool>);

impl Pace {
    pub(crate) fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until `at`, or until the tracker is dropped.
    pub(crate) fn until(&self, at: Instant) {
        while !self.stopped() {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

impl Tracker {
    /// Starts watching. `tell` is called from the watching thread.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        name: &str,
        spec: Spec,
        facts: Sender<Fact>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Pace(Arc::clone(&stop));
        let name = name.to_owned();
        let mut last = State::Unknown;
        let mut tell = move |state: State, detail: &str| {
            if state != last {
                last = state;
                // Nobody listens any more: the agent is ending.
                if facts.send(Fact { name: name.clone(), state, detail: detail.to_owned() }).is_ok() {
                    wake();
                }
            }
        };
        std::thread::Builder::new().name("track".into()).stack_size(256 * 1024).spawn(
            move || match spec {
                Spec::Script(spec) => script::watch(&spec, &pace, &mut tell),
                Spec::File(spec) => file::watch(&spec, &pace, &mut tell),
                Spec::Process(spec) => process::watch(&spec, &pace, &mut tell),
            },
        )?;
        Ok(Self { stop })
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
