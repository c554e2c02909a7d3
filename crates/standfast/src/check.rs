//! `standfast check`: what is wrong with a configuration, before an agent reads it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keepalived_conf::{Environment, FileLoader, FileSystem, Outcome, Program, Report, Severity};
use serde::Serialize;

/// The exit codes of `keepalived -t`: it cannot be read; it has errors.
const UNREADABLE: u8 = 4;
const ERRORS: u8 = 5;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration
    file: PathBuf,
    /// Lines marked @ID count; the host's name up to its first dot if not given
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// It is for another host: do not look for its interfaces and programs here
    #[arg(long)]
    elsewhere: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Reads files here, and looks for no program.
struct Elsewhere;

impl FileLoader for Elsewhere {
    fn read(&self, path: &str) -> Result<String, String> {
        FileSystem.read(path)
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String> {
        FileSystem.expand(from, pattern)
    }

    fn program(&self, _name: &str) -> Program {
        Program::NotLookedFor
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Findings<'a> {
    file: String,
    good: bool,
    virtual_routers: Vec<&'a str>,
    #[serde(rename = "findings")]
    reports: Vec<Report<'a>>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let path = arguments.file.display().to_string();
    let config_id = arguments.config_id.clone().or_else(keepalived_conf::host_id);
    let here = interfaces();
    let environment = Environment {
        loader: if arguments.elsewhere { &Elsewhere } else { &FileSystem },
        config_id: config_id.as_deref(),
        interfaces: here.as_deref().filter(|_| !arguments.elsewhere),
    };
    let outcome = keepalived_conf::read(&path, &environment);
    if arguments.json {
        print_json(path, &outcome);
    } else {
        print_text(&path, &outcome);
    }
    if outcome.diagnostics.iter().any(|d| d.id == "cannot-read") {
        ExitCode::from(UNREADABLE)
    } else if outcome.has_errors() {
        ExitCode::from(ERRORS)
    } else {
        ExitCode::SUCCESS
    }
}

fn print_json(file: String, outcome: &Outcome) {
    let instances = outcome.configuration.iter().flat_map(|c| &c.instances);
    let findings = Findings {
        file,
        good: !outcome.has_errors(),
        virtual_routers: instances.map(|i| i.name.as_str()).collect(),
        reports: outcome.diagnostics.iter().map(|d| d.report(&outcome.sources)).collect(),
    };
    crate::print(&format!("{}\n", serde_json::to_string_pretty(&findings).unwrap_or_default()));
}

fn print_text(path: &str, outcome: &Outcome) {
    for diagnostic in &outcome.diagnostics {
        crate::print(&diagnostic.render(&outcome.sources));
    }
    let count = |severity| outcome.diagnostics.iter().filter(|d| d.severity == severity).count();
    let mut counts = Vec::new();
    for (severity, word) in
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
    {
        match count(severity) {
            0 => {}
            1 => counts.push(format!("1 {word}")),
            many => counts.push(format!("{many} {word}s")),
        }
    }
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    match &outcome.configuration {
        Some(configuration) => {
            let routers = match configuration.instances.len() {
                1 => "1 virtual router".to_owned(),
                many => format!("{many} virtual routers"),
            };
            crate::print(&format!("{path}: good, {routers}{counts}\n"));
        }
        None => crate::print(&format!("{path}: refused{counts}; an agent would keep what it has\n")),
    }
}

/// The links of this network namespace. (`/sys` may still show another one's.)
fn interfaces() -> Option<Vec<String>> {
    let table = std::fs::read_to_string("/proc/net/dev").ok()?;
    Some(
        table
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect(),
    )
}
