//! A file with a number in it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::{Pace, State};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Which file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSpec {
    /// The file; a missing one counts as 0.
    pub path: PathBuf,
    /// Written if the file is missing at start.
    pub init: Option<i32>,
}

pub(crate) fn watch(spec: &FileSpec, pace: &Pace, tell: &mut dyn FnMut(State, &str)) {
    if let Some(value) = spec.init.filter(|_| !spec.path.exists()) {
        // What cannot be written is read as 0 below, and told.
        let _ = std::fs::write(&spec.path, format!("{value}\n"));
    }
    while !pace.stopped() {
        let next = Instant::now() + LOOK_EVERY;
        let (value, detail) = match std::fs::read_to_string(&spec.path) {
            Ok(text) => match text.trim().parse::<i32>() {
                Ok(value) => (value.clamp(-254, 254), format!("{value}")),
                Err(_) if text.trim().is_empty() => (0, "empty, read as 0".to_owned()),
                Err(_) => (0, "not a number, read as 0".to_owned()),
            },
            Err(error) => (0, format!("{error}, read as 0")),
        };
        tell(State::Value(value), &detail);
        pace.until(next);
    }
}
