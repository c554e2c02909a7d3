//! The configuration file: read, checked against this host, and told about.

use std::path::Path;
use std::process::ExitCode;

use keepalived_conf::{Configuration, FileLoader, Severity};
use vrrp_linux::netlink::{Link, Netlink};

use crate::command_line::CommandLine;
use crate::{Failure, journal};

/// keepalived's exit codes of `-t`: cannot be read; has errors.
const TEST_UNREADABLE: u8 = 4;
const TEST_ERRORS: u8 = 5;

/// Where diagnostics go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// With the line and a mark, for somebody who looks.
    OnStderr,
    /// A line each.
    InTheLog,
}

struct Files;

impl FileLoader for Files {
    fn read(&self, path: &str) -> Result<String, String> {
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        String::from_utf8(bytes)
            .map_err(|e| format!("not valid UTF-8 at byte {}", e.utf8_error().valid_up_to()))
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String> {
        let base = Path::new(from).parent().unwrap_or(Path::new("."));
        let full = base.join(pattern);
        let name = full.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let Some((before, after)) = name.split_once('*') else { return Ok(vec![full.display().to_string()]) };
        let directory = full.parent().unwrap_or(base);
        let mut found: Vec<String> = std::fs::read_dir(directory)
            .map_err(|e| format!("{}: {e}", directory.display()))?
            .flatten()
            .filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with(before) && n.ends_with(after)))
            .map(|e| e.path().display().to_string())
            .collect();
        found.sort();
        Ok(found)
    }
}

/// Reads the configuration and tells what is to be told of it.
///
/// # Errors
/// If it has an error; all of them have been told.
pub(crate) fn load(line: &CommandLine, told: Told) -> Result<Configuration, Failure> {
    read(line, told).map_err(Failure::configuration)
}

/// As [`load`]; the error is one line.
pub(crate) fn read(line: &CommandLine, told: Told) -> Result<Configuration, String> {
    let path = line.configuration.display().to_string();
    let outcome = keepalived_conf::parse(&path, &Files, line.config_id.as_deref());
    let mut first = None;
    for diagnostic in &outcome.diagnostics {
        let concise = diagnostic.concise(&outcome.sources);
        let severity = match diagnostic.severity {
            Severity::Error => journal::Severity::Error,
            Severity::Warning => journal::Severity::Warning,
            Severity::Note => journal::Severity::Info,
        };
        if diagnostic.severity == Severity::Error && first.is_none() {
            first = Some(concise.clone());
        }
        match told {
            Told::OnStderr => eprint(&diagnostic.render(&outcome.sources)),
            Told::InTheLog => journal::write(severity, &concise),
        }
    }
    let configuration =
        outcome.configuration.ok_or_else(|| first.unwrap_or_else(|| format!("{path} has errors")))?;
    let links =
        Netlink::open().and_then(|mut n| n.links()).map_err(|e| format!("cannot ask for interfaces: {e}"))?;
    check_interfaces(&configuration, &links, &outcome.sources)?;
    Ok(configuration)
}

fn check_interfaces(
    configuration: &Configuration,
    links: &[Link],
    sources: &keepalived_conf::Sources,
) -> Result<(), String> {
    for instance in &configuration.instances {
        let (name, span) = &instance.interface;
        if !links.iter().any(|link| link.name == *name) {
            let (line, column, _) = sources.locate(*span);
            let there: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
            return Err(format!(
                "{}:{line}:{column}: error[no-interface]: {}: there is no interface `{name}`; this host has {}",
                sources.path(span.file),
                instance.name,
                there.join(", ")
            ));
        }
    }
    Ok(())
}

fn eprint(text: &str) {
    use std::io::Write as _;
    // Nothing can be said about a stderr that is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `-t`.
pub(crate) fn check(line: &CommandLine) -> ExitCode {
    if let Err(error) = std::fs::metadata(&line.configuration) {
        eprint(&format!("error: cannot read {}: {error}\n", line.configuration.display()));
        return ExitCode::from(TEST_UNREADABLE);
    }
    match read(line, Told::OnStderr) {
        Ok(_) => ExitCode::SUCCESS,
        Err(text) => {
            eprint(&format!("{text}\n"));
            ExitCode::from(TEST_ERRORS)
        }
    }
}
