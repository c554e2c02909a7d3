//! The control socket's questions, and the dumps that signals ask for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use control::{HandoverResult, Request, Response};
use vrrp::{Event, State, VrIndex};

use crate::command_line::CommandLine;
use crate::protocol_thread::{Command, Snapshot};
use crate::reconciliation::{Running, state_word};
use crate::supervisor::{SIGJSON, SIGUSR1, Supervisor};
use crate::{dump, journal, status};

/// Virtual routers copied at once for a status.
const SNAPSHOT_PART: usize = 256;

/// How often somebody who waits for an answer hears that we live.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A question of the control socket and where its answers go.
pub(crate) struct Question {
    request: Request,
    answers: Sender<Response>,
}

/// A handover that somebody waits for.
pub(crate) struct Pending {
    open: Vec<VrIndex>,
    results: Vec<HandoverResult>,
    answers: Sender<Response>,
}

pub(crate) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

pub(crate) fn start_server(
    line: &CommandLine,
    namespace: u64,
    questions: Sender<Question>,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> Option<control::Server> {
    let pid_file = line.pid_file.display().to_string();
    let handler = move |request: Request, write: &mut dyn FnMut(&Response) -> std::io::Result<()>| {
        if request == Request::Identify {
            let identity = Response::Identity {
                protocol_version: control::PROTOCOL_VERSION,
                pid: std::process::id(),
                network_namespace: namespace,
                pid_file: pid_file.clone(),
            };
            // A client that left needs no answer.
            let _ = write(&identity);
            return;
        }
        let (answers, read) = channel();
        if questions.send(Question { request, answers }).is_err() {
            return;
        }
        wake();
        loop {
            let answer = match read.recv_timeout(HEARTBEAT) {
                Ok(answer) => answer,
                // A client that has gone is noticed by writing to it.
                Err(RecvTimeoutError::Timeout) => Response::Listening,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = write(&answer) {
                // A client that has gone is no news; what cannot be written is.
                if error.kind() == std::io::ErrorKind::InvalidData {
                    journal::error(&format!("an answer cannot be written: {error}"));
                }
                return;
            }
        }
    };
    match control::Server::start(&control::runtime_directory(), namespace, Arc::new(handler)) {
        Ok(server) => {
            journal::info(&format!("control socket {}", server.path().display()));
            Some(server)
        }
        Err(error) => {
            // The address matters more than the command.
            let directory = control::runtime_directory();
            journal::warning(&format!(
                "no control socket in {}: {error}; `standfast` cannot reach this agent. Set STANDFAST_RUNTIME_DIR \
                 to a directory that can be written",
                directory.display()
            ));
            None
        }
    }
}

impl Supervisor<'_> {
    pub(crate) fn answer(&mut self, question: Question) {
        match question.request {
            Request::Identify => {}
            Request::Status => {
                let response = match self.status() {
                    Some(status) => Response::Status(Box::new(status)),
                    None => Response::Error {
                        text: "the protocol thread does not answer; see the agent's log".into(),
                    },
                };
                // Whoever asked may have gone; so below.
                let _ = question.answers.send(response);
            }
            Request::Events => {
                let _ = question.answers.send(Response::Listening);
                self.subscribers.push(question.answers);
            }
            Request::Handover { name, take_back } => {
                self.handover(name.as_deref(), take_back, question.answers);
            }
        }
    }

    /// What an event says of a handover that somebody waits for.
    pub(crate) fn handover_event(&mut self, event: &Event, text: &str) {
        let (done, took_ms) = match event {
            Event::SuccessorHeard { after, .. } => (true, Some(after.as_secs_f64() * 1000.0)),
            Event::NoSuccessor { .. } => (false, None),
            _ => return,
        };
        let vr = event.vr();
        let name = self.name_of(vr);
        let text = text.strip_prefix(&format!("({name}) ")).unwrap_or(text).to_owned();
        let result = HandoverResult { name, done, took_ms, text };
        for pending in &mut self.pending {
            if pending.open.contains(&vr) {
                pending.open.retain(|open| *open != vr);
                pending.results.push(result.clone());
            }
        }
        self.answer_handovers();
    }

    fn answer_handovers(&mut self) {
        self.pending.retain_mut(|pending| {
            if pending.open.is_empty() {
                // Whoever asked may have gone.
                let _ = pending
                    .answers
                    .send(Response::Handover { results: std::mem::take(&mut pending.results) });
            }
            !pending.open.is_empty()
        });
    }

    fn snapshots(&self) -> Option<Vec<Snapshot>> {
        let (mut parts, mut from) = (Vec::new(), 0);
        loop {
            let part = self.protocol.ask(|reply| Command::Snapshot { from, count: SNAPSHOT_PART, reply })?;
            from += SNAPSHOT_PART;
            let last = from >= part.slots;
            parts.push(part);
            if last {
                return Some(parts);
            }
        }
    }

    fn handover(&mut self, name: Option<&str>, take_back: bool, answers: Sender<Response>) {
        let wanted: Vec<&Running> =
            self.running.values().filter(|r| name.is_none_or(|n| r.planned.config.name == n)).collect();
        if wanted.is_empty() {
            let known: Vec<&str> = self.running.keys().map(String::as_str).collect();
            let text = format!(
                "no virtual router is named {}; there are: {}",
                name.unwrap_or("?"),
                known.join(", ")
            );
            let _ = answers.send(Response::Error { text });
            return;
        }
        let Some(parts) = self.snapshots() else {
            let text = "the protocol thread does not answer; see the agent's log".to_owned();
            let _ = answers.send(Response::Error { text });
            return;
        };
        let mut pending = Pending { open: Vec::new(), results: Vec::new(), answers };
        for running in wanted {
            let name = running.planned.config.name.clone();
            let state = parts
                .iter()
                .flat_map(|p| &p.virtual_routers)
                .find(|vr| vr.index() == running.index)
                .map(vrrp::VirtualRouter::state);
            if take_back {
                self.protocol.send(Command::TakeBack { vr: running.index });
                let text = "preempts again as configured".to_owned();
                pending.results.push(HandoverResult { name, done: true, took_ms: None, text });
            } else if state == Some(State::Active) {
                pending.open.push(running.index);
                self.protocol.send(Command::Release { vr: running.index, stop: false });
            } else {
                let text = "is not Active: nothing to hand over".to_owned();
                pending.results.push(HandoverResult { name, done: true, took_ms: None, text });
            }
        }
        self.pending.push(pending);
        self.answer_handovers();
    }

    fn status(&mut self) -> Option<control::AgentStatus> {
        let parts = self.snapshots()?;
        self.refresh_host();
        let first = parts.first()?;
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let running = |name: &str| {
            let running = self.running.get(name)?;
            let planned = &running.planned;
            let part = parts.iter().find(|p| p.virtual_routers.iter().any(|v| v.index() == running.index))?;
            let vr = part.virtual_routers.iter().find(|v| v.index() == running.index)?;
            Some(status::of(vr, planned, &running.changes, &self.host, self.marks, part.taken_at))
        };
        let loaded_ms =
            u64::try_from(self.loaded_at.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        let absent = |name: &str| {
            let absent = self.plan.absent.iter().find(|absent| absent.name == name)?;
            let instance = self.configuration.instances.iter().find(|i| i.name == name)?;
            Some(status::absent(instance, &absent.interface, loaded_ms))
        };
        let names = self.configuration.instances.iter().map(|i| i.name.as_str());
        let virtual_routers = names.filter_map(|name| running(name).or_else(|| absent(name))).collect();
        let links = self.plan.routers.iter().flat_map(|r| r.tracks.iter().map(|(name, _, _)| name));
        let links: BTreeSet<&String> = links.filter(|name| name.starts_with("interface ")).collect();
        let tracks = self.plan.trackers.keys().chain(links).map(|full| {
            let (kind, name) = full.split_once(' ').unwrap_or(("?", full));
            let detail = match self.found.get(full) {
                Some(fact) => fact.detail.clone(),
                None if kind == "interface" => "carrier".to_owned(),
                None => "nothing found yet".to_owned(),
            };
            let state = state_word(self.track_state(full));
            control::TrackStatus { kind: kind.to_owned(), name: name.to_owned(), state, detail }
        });
        Some(control::AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            configuration: self.line.configuration.display().to_string(),
            configuration_loaded_at: rfc3339(self.loaded_at),
            last_reload_error: self.last_reload_error.clone(),
            network_namespace: self.namespace,
            lateness: control::Lateness {
                p50_us: micros(first.lateness.percentile(50)),
                p99_us: micros(first.lateness.percentile(99)),
                max_us: micros(first.lateness.max()),
            },
            receive_overflows: first.receive_overflows,
            unclaimed: first
                .unclaimed
                .iter()
                .map(|(reason, count)| control::Discard {
                    reason: reason.name().to_owned(),
                    peer: None,
                    count: *count,
                    explanation: reason.explanation().to_owned(),
                })
                .collect(),
            virtual_routers,
            tracks: tracks.collect(),
        })
    }

    /// SIGUSR1, SIGUSR2 and keepalived's JSON signal: beside the control socket, named for this process.
    pub(crate) fn dump(&mut self, signal: i32) {
        let Some(status) = self.status() else { return };
        let global = &self.configuration.global;
        let (kind, text, named) = match signal {
            SIGUSR1 => ("data", dump::data(&status), &global.state_dump_file),
            SIGJSON => ("json", dump::json(&status), &global.json_dump_file),
            _ => ("stats", dump::stats(&status), &global.stats_dump_file),
        };
        let path = match named {
            Some(path) => path.into(),
            None => {
                control::runtime_directory().join(format!("{}-{}.{kind}", self.namespace, std::process::id()))
            }
        };
        match dump::write(&path, &text) {
            Ok(()) => journal::notice(&format!("{kind} written to {}", path.display())),
            Err(error) => journal::warning(&format!("cannot write {}: {error}", path.display())),
        }
    }
}
