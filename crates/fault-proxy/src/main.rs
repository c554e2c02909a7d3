//! `fault-proxy --listen 127.0.0.1:8899 [--rules FILE] [--log FILE] [--bodies]`
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use fault_proxy::{FaultProxy, Rule};

const HELP: &str = "fault-proxy: a fault injector for tests, an HTTP forward proxy before real services

  --listen ADDRESS   where to listen (default 127.0.0.1:8899)
  --rules FILE       a JSON list of rules, as
                     [{\"method\": \"POST\", \"path\": \"/servers$\", \"when\": \"after\", \"fault\": {\"drop\": true}, \"times\": 1}]
                     keys: at, method, path, skip, times, when (before, after),
                     fault: delay_ms, drop, answer, headers, body, truncate, garbage
  --log FILE         one line of JSON per request (default: standard output)
  --bodies           log request bodies too (never those of requests for a token)

Runs until it is killed.
";

struct Options {
    listen: String,
    rules: Vec<Rule>,
    log: Box<dyn Write + Send>,
    bodies: bool,
}

fn value(arguments: &mut lexopt::Parser) -> Result<String, String> {
    Ok(arguments.value().map_err(|error| error.to_string())?.to_string_lossy().into_owned())
}

fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        listen: "127.0.0.1:8899".into(),
        rules: Vec::new(),
        log: Box::new(io::stdout()),
        bodies: false,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next().map_err(|error| error.to_string())? {
        match argument {
            lexopt::Arg::Long("listen") => options.listen = value(&mut arguments)?,
            lexopt::Arg::Long("rules") => {
                let path = value(&mut arguments)?;
                let text =
                    std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
                options.rules = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
            }
            lexopt::Arg::Long("log") => {
                let path = value(&mut arguments)?;
                options.log =
                    Box::new(File::create(&path).map_err(|error| format!("cannot write {path}: {error}"))?);
            }
            lexopt::Arg::Long("bodies") => options.bodies = true,
            lexopt::Arg::Long("help") => return Ok(None),
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(Some(options))
}

fn run(options: Options) -> Result<(), String> {
    let proxy = FaultProxy::start(options.listen.as_str(), Some(options.log))
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    proxy.try_set_rules(options.rules)?;
    proxy.log_bodies(options.bodies);
    let _ = writeln!(io::stderr(), "fault-proxy: listening on {}", proxy.url());
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    let result = match options() {
        Ok(None) => {
            let _ = io::stdout().write_all(HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Ok(Some(options)) => run(options),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fault-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
