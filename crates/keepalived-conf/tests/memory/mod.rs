//! Files in memory, and what is known of programs.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use keepalived_conf::{Environment, FileLoader, Outcome, Program};

/// Files by their paths. A pattern with `*` names every file whose path fits.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) programs: BTreeMap<&'static str, Program>,
}

impl Memory {
    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    pub(crate) fn read_main(&self, config_id: Option<&str>) -> Outcome {
        let interfaces = ["eth0".to_owned(), "eth1".to_owned()];
        let environment = Environment { loader: self, config_id, interfaces: Some(&interfaces) };
        keepalived_conf::read("/etc/k.conf", &environment)
    }
}

impl FileLoader for Memory {
    fn read(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "No such file or directory".into())
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String> {
        let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
        let full = if pattern.starts_with('/') { pattern.into() } else { format!("{directory}/{pattern}") };
        let Some((before, after)) = full.split_once('*') else { return Ok(vec![full]) };
        let fits = |path: &&String| path.starts_with(before) && path.ends_with(after);
        Ok(self.files.keys().filter(fits).cloned().collect())
    }

    fn program(&self, name: &str) -> Program {
        self.programs.get(name).copied().unwrap_or(Program::NotLookedFor)
    }
}

/// Reads a text as `/etc/k.conf` on a host that has eth0 and eth1.
pub(crate) fn read(text: &str) -> Outcome {
    Memory::default().with("/etc/k.conf", text).read_main(None)
}

/// Everything that was said, a line each, without the file's name.
pub(crate) fn said(outcome: &Outcome) -> Vec<String> {
    let line = |text: String| text.strip_prefix("/etc/k.conf:").map(str::to_owned).unwrap_or(text);
    outcome.diagnostics.iter().map(|d| line(d.concise(&outcome.sources))).collect()
}
