//! What raises and lowers priority: scripts, files with a number, processes. One thread watches all of them,
//! never the protocol's, and tells what it found through a channel.
//!
//! It sleeps until something happens: the end of a script or of a watched process is a readable pidfd, a
//! changed file is an inotify event, and the rest is time.
#![forbid(unsafe_code)]

mod account;
mod file;
mod process;
mod run;
mod script;
mod watch;

pub use account::{Account, Weighted, account};
pub use file::FileSpec;
pub use process::{ProcessSpec, process_looked_for};
pub use run::bounded_command;
pub use script::ScriptSpec;
pub use watch::Tracking;

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
