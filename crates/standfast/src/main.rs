//! `standfast`: the operator's command.
#![forbid(unsafe_code)]

mod check;
mod cloud;
mod doctor_verb;
mod render;
mod reserve;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use control::{Agent, Request, Response, Target, discover};

/// One address that stays reachable: ask the agents, check their configuration, hand over.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say who is Active, since when and why
    Status {
        #[command(flatten)]
        which: Which,
        /// Print everything as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration; exit code 0 good, 4 unreadable, 5 has errors
    Check(check::Arguments),
    /// Print what happens, as it happens
    Events {
        #[command(flatten)]
        which: Which,
        /// Print events as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    Doctor(doctor_verb::Options),
    Reserve(reserve::Options),
    /// Give the addresses away without losing a packet
    Handover {
        /// Which virtual router; all if none is named
        name: Option<String>,
        #[command(flatten)]
        which: Which,
        /// Preempt again as configured, after an earlier handover
        #[arg(long)]
        take_back: bool,
    },
}

#[derive(Args)]
struct Which {
    /// The agents of this network namespace (name, process id or path)
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
    /// The agent with this pid file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// The agent behind this socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// All agents of this host
    #[arg(long)]
    all: bool,
}

impl Which {
    fn target(&self) -> Target {
        match self {
            Self { socket: Some(socket), .. } => Target::Socket(socket.clone()),
            Self { pid_file: Some(file), .. } => Target::PidFile(file.clone()),
            Self { netns: Some(name), .. } => Target::Namespace(name.clone()),
            Self { all: true, .. } => Target::All,
            _ => Target::Here,
        }
    }

    fn agents(self) -> Result<Vec<Agent>, String> {
        let target = self.target();
        let agents = discover(&target).map_err(|e| format!("cannot look for agents ({target:?}): {e}"))?;
        if agents.is_empty() {
            return Err(format!(
                "no agent found for {target:?} in {}; is standfastd running, and may you read that directory? \
                 --all looks at every network namespace",
                control::runtime_directory().display()
            ));
        }
        Ok(agents)
    }
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().verb {
        Verb::Status { which, json } => status(which, json),
        Verb::Check(arguments) => return check::run(&arguments),
        Verb::Doctor(options) => doctor_verb::run(&options),
        Verb::Reserve(options) => reserve::run(&options),
        Verb::Events { which, json } => events(which, json),
        Verb::Handover { name, which, take_back } => handover(name.as_deref(), which, take_back),
    };
    match result {
        Ok(code) => code,
        Err(text) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

/// Prints; a reader that has gone away is no failure.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Says what is being done, where it does not mix with the answer.
fn progress(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says what went wrong.
fn complain(text: &str) {
    // Nothing can be said about a stderr that is gone.
    let _ = writeln!(io::stderr(), "standfast: {text}");
}

fn unreachable(agent: &Agent, error: &io::Error) -> String {
    let socket = agent.socket.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        format!("{socket}: {error}; the socket is for root and the agent's group")
    } else if control::is_gone(error) {
        format!("{socket}: {error}; that agent is gone")
    } else {
        format!("{socket}: {error}")
    }
}

/// Asks every agent; one of several that ended meanwhile is none.
fn ask_all(agents: Vec<Agent>, request: &Request, timeout: Duration) -> Result<Vec<Response>, String> {
    let (mut answers, mut gone) = (Vec::new(), None);
    for agent in agents {
        match agent.ask_once(request, timeout) {
            Ok(Response::Error { text }) => return Err(text),
            Ok(answer) => answers.push(answer),
            Err(error) if control::is_gone(&error) => gone = Some(unreachable(&agent, &error)),
            Err(error) => return Err(unreachable(&agent, &error)),
        }
    }
    gone.filter(|_| answers.is_empty()).map_or(Ok(answers), Err)
}

fn status(which: Which, json: bool) -> Result<ExitCode, String> {
    let mut all = Vec::new();
    for answer in ask_all(which.agents()?, &Request::Status, Duration::from_secs(5))? {
        match answer {
            Response::Status(status) => all.push(*status),
            other => return Err(format!("the agent answered {other:?}; are both of one version?")),
        }
    }
    if json {
        let text = serde_json::to_string_pretty(&all).map_err(|e| e.to_string())?;
        print(&format!("{text}\n"));
    } else {
        for status in &all {
            print(&render::status(status));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn events(which: Which, json: bool) -> Result<ExitCode, String> {
    let agents = which.agents()?;
    let [agent] = agents.as_slice() else {
        return Err(format!("{} agents found; name one with --pid-file or --socket", agents.len()));
    };
    agent
        .ask(&Request::Events, None, &mut |response| {
            if let Response::Event(event) = response {
                let line = if json {
                    serde_json::to_string(&event).unwrap_or_default()
                } else {
                    format!("{} {}", event.at, event.text)
                };
                return writeln!(io::stdout(), "{line}").is_ok();
            }
            true
        })
        .map_err(|e| unreachable(agent, &e))?;
    Ok(ExitCode::SUCCESS)
}

fn handover(name: Option<&str>, which: Which, take_back: bool) -> Result<ExitCode, String> {
    let mut code = ExitCode::SUCCESS;
    let request = Request::Handover { name: name.map(str::to_owned), take_back };
    // The longest interval of VRRPv3 is 41 s, and the skew may be as long.
    for answer in ask_all(which.agents()?, &request, Duration::from_mins(1))? {
        match answer {
            Response::Handover { results } => {
                for result in results {
                    print(&format!("{}: {}\n", result.name, result.text));
                    if !result.done {
                        code = ExitCode::FAILURE;
                    }
                }
            }
            other => return Err(format!("the agent answered {other:?}; are both of one version?")),
        }
    }
    Ok(code)
}
