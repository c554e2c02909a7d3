//! One call as a process: stdin to stdout, with an answer whatever happens.
//!
//! A worker thread does the call; the main thread waits for it, for a signal and for a panic. A thread that panics
//! never comes back (it may be one that a release build would abort): it hands its message over and sleeps, and the
//! main thread undoes what was made and answers.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cloud::Cloud;
use crate::command_line::Files;
use crate::config::Config;
use crate::connect;
use crate::error::{CpiError, Result};
use crate::fields::Warnings;
use crate::interrupt::Interrupt;
use crate::method::Method;
use crate::methods;
use crate::progress::Progress;
use crate::request::{Request, request_id_of};
use crate::response;

/// What the main thread hears.
enum Event {
    Finished(Result<Value>),
    Panicked(String),
    Signal(&'static str),
}

/// What main and worker share.
#[derive(Default)]
pub struct Shared {
    interrupt: Arc<Interrupt>,
    /// Set when the request was read; before that there is nobody to interrupt.
    progress: OnceLock<Arc<Progress>>,
    cloud: OnceLock<Cloud>,
}

impl Shared {
    /// The wish to stop, which a signal raises.
    pub fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.interrupt)
    }

    /// Carries a request out. What it makes is undone by the main thread if a thread of it panics.
    pub fn call(&self, cloud: Cloud, request: &Request) -> Result<Value> {
        methods::call(self.cloud.get_or_init(|| cloud), request.method, &request.arguments)
    }
}

/// Reads the request from stdin, carries it out and writes the answer to stdout.
pub fn answer(files: Files) -> std::io::Result<()> {
    answer_with(move |shared| work(&files, shared))
}

/// Writes one answer to stdout, whatever becomes of the work: a result, an error, a panic, a signal.
pub fn answer_with(work: impl FnOnce(&Shared) -> Result<Value> + Send + 'static) -> std::io::Result<()> {
    let (sender, receiver) = channel();
    hand_over_panics(sender.clone());
    listen_for_signals(sender.clone())?;
    let shared = Arc::new(Shared::default());
    let worker_shared = Arc::clone(&shared);
    std::thread::Builder::new().name("call".into()).spawn(move || {
        let outcome = work(&worker_shared);
        // Main may have answered already.
        let _ = sender.send(Event::Finished(outcome));
    })?;
    let outcome = wait(&receiver, &shared);
    let steps = shared.progress.get().map(|progress| progress.steps()).unwrap_or_default();
    write(&response::render(&outcome, &steps))
}

/// Answers an error that came before any request.
pub fn answer_error(error: CpiError) -> std::io::Result<()> {
    write(&response::render(&Err(error), &[]))
}

fn write(answer: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(answer.as_bytes())?;
    stdout.flush()
}

fn wait(events: &Receiver<Event>, shared: &Shared) -> Result<Value> {
    for event in events {
        match event {
            Event::Finished(outcome) => return outcome,
            Event::Panicked(message) => {
                let error = CpiError::unknown(message);
                return Err(match shared.cloud.get() {
                    Some(cloud) => methods::undone(cloud, error),
                    None => error,
                });
            }
            Event::Signal(signal) => match shared.progress.get() {
                None => {
                    return Err(CpiError::cloud(format!(
                        "Interrupted by {signal} before there was a request"
                    )));
                }
                Some(progress) => {
                    progress.say(format!("{signal}: stopping, and removing what was made"));
                    shared.interrupt.raise(signal);
                }
            },
        }
    }
    Err(CpiError::unknown("the call ended without an answer"))
}

fn work(files: &Files, shared: &Shared) -> Result<Value> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).map_err(|error| {
        CpiError::invalid_call(format!("Request cannot be deserialized, details: {error}"))
    })?;
    let progress = Arc::new(Progress::new(request_id_of(&text).as_deref()));
    let progress = shared.progress.get_or_init(|| progress);
    let request = Request::parse(&text)?;
    let began = Instant::now();
    progress.say(format!("Starting {}...", request.method.name()));
    let outcome = carry_out(files, shared, progress, &request);
    if let Err(error) = &outcome {
        progress.say(format!("Failed: {error}"));
    }
    progress.say(format!(
        "Finished {} in {:.2} seconds",
        request.method.name(),
        began.elapsed().as_secs_f64()
    ));
    outcome
}

fn carry_out(files: &Files, shared: &Shared, progress: &Arc<Progress>, request: &Request) -> Result<Value> {
    let config = read_config(files, request, progress)?;
    request.method.check_arity(request.arguments.len())?;
    if request.method == Method::Info {
        return Ok(methods::info());
    }
    let client = connect::client(&config, files.ca_cert.as_deref(), progress)?;
    let cloud = Cloud::new(config, client, request, Arc::clone(progress), shared.interrupt());
    shared.call(cloud, request)
}

fn read_config(files: &Files, request: &Request, progress: &Progress) -> Result<Config> {
    let path = files.config.display();
    let text = std::fs::read(&files.config)
        .map_err(|error| CpiError::unknown(format!("Cannot read the configuration {path}: {error}")))?;
    // The position tells; the text around it may be a password.
    let file: Value = serde_json::from_slice(&text).map_err(|error| {
        CpiError::unknown(format!(
            "The configuration {path} is no JSON: line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let warnings = Warnings::default();
    let config = Config::load(&file, &request.context, &warnings);
    for warning in warnings.into_vec() {
        progress.warn(warning);
    }
    config
}

/// A panic in any thread goes to the main thread. One in the main thread itself, or a second one while the first is
/// being undone, is answered on the spot.
fn hand_over_panics(sender: Sender<Event>) {
    static HANDED_OVER: AtomicBool = AtomicBool::new(false);
    let main = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".to_owned());
        let place = panic.location().map(|location| format!(" ({location})")).unwrap_or_default();
        let message = format!("the CPI panicked: {message}{place}");
        let is_first = !HANDED_OVER.swap(true, Ordering::SeqCst);
        if std::thread::current().id() == main {
            let _ = answer_error(CpiError::unknown(message));
            return;
        }
        if is_first && sender.send(Event::Panicked(message)).is_err() {
            return;
        }
        loop {
            std::thread::park();
        }
    }));
}

fn listen_for_signals(sender: Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in &mut signals {
            let name = match signal {
                SIGTERM => "SIGTERM",
                SIGINT => "SIGINT",
                _ => "SIGHUP",
            };
            if sender.send(Event::Signal(name)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
