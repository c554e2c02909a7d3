//! The configuration file: read, checked against this host, and told about.

use std::process::ExitCode;

use keepalived_conf::{Configuration, Environment, FileSystem, Outcome, Severity};
use vrrp_linux::netlink::Netlink;

use crate::command_line::CommandLine;
use crate::plan::{self, Host};
use crate::{Failure, journal};

/// keepalived's exit codes of `-t`: cannot be read; has errors; programs run as root without
/// `enable_script_security`.
const TEST_UNREADABLE: u8 = 4;
const TEST_ERRORS: u8 = 5;
const TEST_SECURITY: u8 = 6;

/// Where diagnostics go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// With the line and a mark, for somebody who looks.
    OnStderr,
    /// A line each.
    InTheLog,
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
    let outcome = parse(line)?;
    let path = line.configuration.display();
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
    outcome.configuration.ok_or_else(|| first.unwrap_or_else(|| format!("{path} has errors")))
}

fn parse(line: &CommandLine) -> Result<Outcome, String> {
    let links =
        Netlink::open().and_then(|mut n| n.links()).map_err(|e| format!("cannot ask for interfaces: {e}"))?;
    let names: Vec<String> = links.into_iter().map(|link| link.name).collect();
    Ok(parse_with(line, Some(&names)))
}

fn parse_with(line: &CommandLine, interfaces: Option<&[String]>) -> Outcome {
    let config_id = line.config_id.clone().or_else(keepalived_conf::host_id);
    let environment = Environment { loader: &FileSystem, config_id: config_id.as_deref(), interfaces };
    keepalived_conf::read(&line.configuration.display().to_string(), &environment)
}

/// The network namespace that the configuration names: it has to be entered before interfaces are looked for.
pub(crate) fn network_namespace(line: &CommandLine) -> Option<String> {
    parse_with(line, None).configuration?.global.network_namespace
}

fn eprint(text: &str) {
    use std::io::Write as _;
    // Nothing can be said about a stderr that is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `-t`.
pub(crate) fn check(line: &CommandLine) -> ExitCode {
    if let Err(error) = std::fs::File::open(&line.configuration) {
        eprint(&format!("error: cannot read {}: {error}\n", line.configuration.display()));
        return ExitCode::from(TEST_UNREADABLE);
    }
    // As the agent would: the interfaces are those of the namespace that it works in.
    if let Err(failure) = crate::enter_namespace(line) {
        eprint(&format!("error: {}\n", failure.text));
        return ExitCode::from(TEST_UNREADABLE);
    }
    let Ok(configuration) = read(line, Told::OnStderr) else { return ExitCode::from(TEST_ERRORS) };
    let host = Netlink::open().and_then(|mut netlink| Host::ask(&mut netlink)).unwrap_or_default();
    match plan::make(&configuration, &host) {
        Err(text) => {
            eprint(&format!("error: {text}\n"));
            ExitCode::from(TEST_ERRORS)
        }
        Ok(plan) if plan.runs_programs_as_root() && !configuration.global.script_security => {
            eprint(
                "warning: a script runs as root and enable_script_security is not set; name another user, or set \
                 it\n",
            );
            ExitCode::from(TEST_SECURITY)
        }
        Ok(_) => ExitCode::SUCCESS,
    }
}
