//! `openstack_cpi --config FILE [--ca-cert FILE]`, or in the words of upstream's Go CPI,
//! `-configFile=FILE -caCert=FILE`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer the request on stdin.
    Answer(Files),
    /// Print how to call.
    Help,
    /// Print the version.
    Version,
}

/// The files that `bin/cpi` names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// `cpi.json`.
    pub config: PathBuf,
    /// A file with the CA certificates of `connection_options.ca_cert`; it may be empty or missing.
    pub ca_cert: Option<PathBuf>,
}

/// How to call.
pub const USAGE: &str = "\
openstack_cpi --config FILE [--ca-cert FILE]

Reads one CPI request (JSON) from stdin and answers with one JSON object on stdout. Progress goes to stderr.

  --config FILE    the rendered cpi.json (also: -configFile=FILE)
  --ca-cert FILE   CA certificates in PEM for OpenStack's endpoints (also: -caCert=FILE)
  --version        print the version
  --help           print this
";

/// Reads the arguments, without the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut config = None;
    let mut ca_cert = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str() else {
            return Err(format!("unknown argument '{}'", argument.display()));
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (text, None),
        };
        let slot = match name {
            "--config" | "-configFile" | "--configFile" => &mut config,
            "--ca-cert" | "-caCert" | "--caCert" => &mut ca_cert,
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            _ => return Err(format!("unknown argument '{text}'; see --help")),
        };
        let value = match value {
            Some(value) => value,
            None => arguments.next().ok_or_else(|| format!("{name} needs a file behind it"))?,
        };
        if slot.replace(PathBuf::from(value)).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    let config = config.ok_or("--config FILE is missing; it is the rendered cpi.json")?;
    Ok(Command::Answer(Files { config, ca_cert: ca_cert.filter(|path| !path.as_os_str().is_empty()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn both_ways_of_calling() {
        let expected = Ok(Command::Answer(Files {
            config: "/c/cpi.json".into(),
            ca_cert: Some("/c/cacert.pem".into()),
        }));
        for arguments in [
            &["--config", "/c/cpi.json", "--ca-cert", "/c/cacert.pem"][..],
            &["--config=/c/cpi.json", "--ca-cert=/c/cacert.pem"],
            &["-configFile=/c/cpi.json", "-caCert=/c/cacert.pem"],
            &["-configFile", "/c/cpi.json", "-caCert", "/c/cacert.pem"],
        ] {
            assert_eq!(parse_all(arguments), expected, "{arguments:?}");
        }
        let without_ca = Ok(Command::Answer(Files { config: "c".into(), ca_cert: None }));
        assert_eq!(parse_all(&["-configFile=c", "-caCert="]), without_ca);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse_all(&[]), Err("--config FILE is missing; it is the rendered cpi.json".into()));
        assert_eq!(parse_all(&["--config"]), Err("--config needs a file behind it".into()));
        assert_eq!(parse_all(&["--confg", "x"]), Err("unknown argument '--confg'; see --help".into()));
        assert_eq!(parse_all(&["--config=a", "-configFile=b"]), Err("-configFile is given twice".into()));
    }
}
