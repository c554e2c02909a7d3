//! The proxy: a thread per connection, one request at a time on each.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::message::{Head, Length, invalid, pass_body, read_answer, read_request};
use crate::rule::{Fault, Rule, RuleBook, When};

/// The longest body that is kept for the log, in bytes.
const LONGEST_LOGGED_BODY: usize = 64 << 10;

/// How long the real service may take. Longer than any client's patience: a fault is made by a rule, not by this.
const SERVICE_PATIENCE: Duration = Duration::from_mins(15);

/// One request that came, as it stands in the log.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    #[serde(skip)]
    era: u64,
    /// Counted from 1 since the rules were set.
    pub number: u64,
    /// `GET`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// What the service answered; none if it was not asked.
    pub service_status: Option<u16>,
    /// What the client got; none if the connection was dropped.
    pub status: Option<u16>,
    /// What was done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When that was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// From the head of the request to the end of the answer.
    pub milliseconds: u64,
    /// When the head of the request was there.
    #[serde(skip)]
    pub began: Instant,
    /// When the answer was sent; none while it is not.
    #[serde(skip)]
    pub ended: Option<Instant>,
    /// The request's body, where bodies are logged; never that of a request for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The rules in use and what came since they were set.
#[derive(Default)]
struct State {
    book: RuleBook,
    records: Vec<RequestRecord>,
    /// Counts the sets of rules: a request that came under earlier ones is no longer noted.
    era: u64,
}

struct Shared {
    state: Mutex<State>,
    log: Mutex<Option<Box<dyn Write + Send>>>,
    log_bodies: AtomicBool,
    stopping: AtomicBool,
}

/// A running proxy; it stops when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultProxy {
    /// Listens, as on `127.0.0.1:0`, and writes its log where it is told to.
    pub fn start(listen: impl ToSocketAddrs, log: Option<Box<dyn Write + Send>>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            log: Mutex::new(log),
            log_bodies: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &for_acceptor));
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is told as `http_proxy`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces the rules, starts the counting anew and forgets the requests so far.
    ///
    /// # Panics
    /// If a rule's expression is none; [`try_set_rules`](Self::try_set_rules) says so instead.
    #[allow(clippy::panic, reason = "for tests, whose rules are literals")]
    pub fn set_rules(&self, rules: Vec<Rule>) {
        if let Err(error) = self.try_set_rules(rules) {
            panic!("{error}");
        }
    }

    /// Replaces the rules, starts the counting anew and forgets the requests so far.
    pub fn try_set_rules(&self, rules: Vec<Rule>) -> Result<(), String> {
        let book = RuleBook::new(rules)?;
        let mut state = lock(&self.shared.state);
        *state = State { book, records: Vec::new(), era: state.era + 1 };
        Ok(())
    }

    /// Whether request bodies are logged (requests for a token excepted).
    pub fn log_bodies(&self, yes: bool) {
        self.shared.log_bodies.store(yes, Ordering::Relaxed);
    }

    /// The requests since the rules were set, in the order in which they came.
    pub fn requests(&self) -> Vec<RequestRecord> {
        lock(&self.shared.state).records.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // Ends with the client's connection.
        thread::spawn(move || {
            if let Err(error) = Connection::new(stream).and_then(|mut connection| connection.serve(&shared)) {
                shared.say(&serde_json::json!({ "connection": error.to_string() }));
            }
        });
    }
}

impl Shared {
    fn say(&self, line: &impl Serialize) {
        if let (Some(log), Ok(mut text)) = (&mut *lock(&self.log), serde_json::to_string(line)) {
            text.push('\n');
            // A log that cannot be written must not become a fault of its own.
            let _ = log.write_all(text.as_bytes()).and_then(|()| log.flush());
        }
    }

    /// Keeps what is known of a request by now. Before the client hears of anything: a test that has its answer
    /// finds it in the records.
    fn note(&self, record: &RequestRecord) {
        let mut state = lock(&self.state);
        if state.era != record.era {
            return;
        }
        match state.records.iter_mut().find(|known| known.number == record.number) {
            Some(known) => known.clone_from(record),
            None => state.records.push(record.clone()),
        }
    }
}

/// A client's connection, and the one to the service that is being asked.
struct Connection {
    client: BufReader<TcpStream>,
    service: Option<BufReader<TcpStream>>,
    /// The `host:port` of a CONNECT: what follows is plain HTTP to it.
    tunnel: Option<String>,
}

/// Whether the client's connection lives on.
enum Next {
    Request,
    Close,
}

impl Connection {
    fn new(client: TcpStream) -> io::Result<Self> {
        client.set_nodelay(true)?;
        Ok(Self { client: BufReader::new(client), service: None, tunnel: None })
    }

    fn serve(&mut self, shared: &Shared) -> io::Result<()> {
        while let Some(request) = read_request(&mut self.client)? {
            if request.method == "CONNECT" {
                self.client.get_mut().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                self.tunnel = Some(request.target);
                continue;
            }
            if let Next::Close = self.request(request, shared)? {
                break;
            }
        }
        Ok(())
    }

    fn request(&mut self, mut request: Head, shared: &Shared) -> io::Result<Next> {
        let started = Instant::now();
        let (authority, path) = self.place(&request)?;
        let url = format!("http://{authority}{path}");
        let (number, hit, era) = {
            let mut state = lock(&shared.state);
            let (number, hit) = state.book.meet(&request.method, &url);
            (number, hit, state.era)
        };
        let mut record = RequestRecord {
            era,
            number,
            method: request.method.clone(),
            url,
            service_status: None,
            status: None,
            fault: hit.as_ref().map(|(_, fault)| fault.name()),
            when: hit.as_ref().map(|(when, _)| *when),
            milliseconds: 0,
            began: started,
            ended: None,
            body: None,
        };
        shared.note(&record);
        if request.has_token("expect", "100-continue") {
            request.remove("expect");
            self.client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let result = match hit {
            Some((When::Before, fault)) => {
                self.fault_before(&request, &authority, &path, &fault, shared, &mut record)
            }
            Some((When::After, fault)) => self
                .forward(&request, &authority, &path, shared, &mut record)
                .and_then(|answer| self.fault_after(&request, &answer, &fault, shared, &mut record)),
            None => self
                .forward(&request, &authority, &path, shared, &mut record)
                .and_then(|answer| self.pass_answer(&request, &answer, shared, &mut record)),
        };
        record.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        record.ended = Some(Instant::now());
        shared.note(&record);
        shared.say(&record);
        result
    }

    /// Which service is asked for what.
    fn place(&self, request: &Head) -> io::Result<(String, String)> {
        if let Some(rest) = request.target.strip_prefix("http://") {
            let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
            return Ok((authority.to_owned(), path.to_owned()));
        }
        match &self.tunnel {
            Some(authority) if request.target.starts_with('/') => {
                Ok((authority.clone(), request.target.clone()))
            }
            _ => Err(invalid(format!("'{}' is no request to a forward proxy", request.target))),
        }
    }

    fn fault_before(
        &mut self,
        request: &Head,
        authority: &str,
        path: &str,
        fault: &Fault,
        shared: &Shared,
        record: &mut RequestRecord,
    ) -> io::Result<Next> {
        thread::sleep(Duration::from_millis(fault.delay_ms));
        if fault.drop {
            return Ok(self.hang_up());
        }
        if fault.answer.is_some() {
            let length = request.length(Length::Known(0))?;
            pass_body(&mut self.client, &mut io::sink(), length, None)?;
            return self.answer(fault, shared, record);
        }
        let answer = self.forward(request, authority, path, shared, record)?;
        if fault.truncate || fault.garbage {
            return self.spoil(request, &answer, fault, shared, record);
        }
        self.pass_answer(request, &answer, shared, record)
    }

    fn fault_after(
        &mut self,
        request: &Head,
        answer: &Head,
        fault: &Fault,
        shared: &Shared,
        record: &mut RequestRecord,
    ) -> io::Result<Next> {
        if fault.truncate || fault.garbage {
            return self.spoil(request, answer, fault, shared, record);
        }
        if !fault.drop && fault.answer.is_none() {
            thread::sleep(Duration::from_millis(fault.delay_ms));
            return self.pass_answer(request, answer, shared, record);
        }
        // The whole answer is awaited: what was asked for has been done.
        let length = body_length(&request.method, answer)?;
        if let Some(service) = &mut self.service {
            pass_body(service, &mut io::sink(), length, None)?;
        }
        self.service = None;
        thread::sleep(Duration::from_millis(fault.delay_ms));
        if fault.drop { Ok(self.hang_up()) } else { self.answer(fault, shared, record) }
    }

    /// Sends the request to the service and reads the head of its answer.
    fn forward(
        &mut self,
        request: &Head,
        authority: &str,
        path: &str,
        shared: &Shared,
        record: &mut RequestRecord,
    ) -> io::Result<Head> {
        // A connection of its own for each request: none can have gone stale meanwhile.
        let service = connect(authority)?;
        let service = self.service.insert(BufReader::new(service));
        let mut head = request.clone();
        for name in ["proxy-connection", "proxy-authorization", "connection"] {
            head.remove(name);
        }
        head.headers.push(("Connection".to_owned(), b"close".to_vec()));
        head.write(&format!("{} {path} HTTP/1.1", head.method), service.get_mut())?;
        let may_log = shared.log_bodies.load(Ordering::Relaxed) && !path.contains("/auth/tokens");
        let mut body = Vec::new();
        let keep = may_log.then_some((&mut body, LONGEST_LOGGED_BODY));
        pass_body(&mut self.client, service.get_mut(), request.length(Length::Known(0))?, keep)?;
        if !body.is_empty() {
            record.body = Some(String::from_utf8_lossy(&body).into_owned());
        }
        let answer = read_answer(service)?;
        record.service_status = Some(answer.status);
        shared.note(record);
        Ok(answer)
    }

    fn pass_answer(
        &mut self,
        request: &Head,
        answer: &Head,
        shared: &Shared,
        record: &mut RequestRecord,
    ) -> io::Result<Next> {
        record.status = Some(answer.status);
        shared.note(record);
        let length = body_length(&request.method, answer)?;
        let mut head = answer.clone();
        head.remove("connection");
        if length == Length::UntilClose {
            head.headers.push(("Connection".to_owned(), b"close".to_vec()));
        }
        head.write(&format!("HTTP/1.1 {} {}", answer.status, answer.reason), self.client.get_mut())?;
        if let Some(service) = &mut self.service {
            pass_body(service, self.client.get_mut(), length, None)?;
        }
        self.service = None;
        Ok(if length == Length::UntilClose { Next::Close } else { Next::Request })
    }

    /// Passes the service's answer on with a body that is cut or garbled.
    fn spoil(
        &mut self,
        request: &Head,
        answer: &Head,
        fault: &Fault,
        shared: &Shared,
        record: &mut RequestRecord,
    ) -> io::Result<Next> {
        record.status = Some(answer.status);
        shared.note(record);
        let mut body = Vec::new();
        let length = body_length(&request.method, answer)?;
        if let Some(service) = &mut self.service {
            pass_body(service, &mut body, length, None)?;
        }
        self.service = None;
        let mut head = answer.clone();
        for name in ["connection", "content-length", "transfer-encoding"] {
            head.remove(name);
        }
        let garbage = b"\x00<html>garbage from the fault injector {[";
        let (sent, announced) = if fault.truncate {
            (&body[..body.len() / 2], body.len().max(2))
        } else {
            (&garbage[..], garbage.len())
        };
        head.headers.push(("Content-Length".to_owned(), announced.to_string().into_bytes()));
        let client = self.client.get_mut();
        head.write(&format!("HTTP/1.1 {} {}", answer.status, answer.reason), client)?;
        client.write_all(sent)?;
        Ok(if fault.truncate { self.hang_up() } else { Next::Request })
    }

    /// Answers in the service's place.
    fn answer(&mut self, fault: &Fault, shared: &Shared, record: &mut RequestRecord) -> io::Result<Next> {
        let status = fault.answer.unwrap_or(500);
        record.status = Some(status);
        shared.note(record);
        let body = fault.body.clone().unwrap_or_else(|| {
            format!("<html><body><h1>{status}</h1>made by the fault injector, not by OpenStack</body></html>")
        });
        let mut head = Head::default();
        let kind = if body.starts_with('{') { "application/json" } else { "text/html" };
        head.headers.push(("Content-Type".to_owned(), kind.as_bytes().to_vec()));
        head.headers.push(("Content-Length".to_owned(), body.len().to_string().into_bytes()));
        for (name, value) in &fault.headers {
            head.headers.push((name.clone(), value.clone().into_bytes()));
        }
        let client = self.client.get_mut();
        head.write(&format!("HTTP/1.1 {status} Injected"), client)?;
        client.write_all(body.as_bytes())?;
        Ok(Next::Request)
    }

    fn hang_up(&mut self) -> Next {
        self.service = None;
        // The client may have hung up first.
        let _ = self.client.get_ref().shutdown(Shutdown::Both);
        Next::Close
    }
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let place = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let stream = TcpStream::connect(&place).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot connect to the service at {place}: {error}"))
    })?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SERVICE_PATIENCE))?;
    Ok(stream)
}

/// How long an answer's body is (RFC 9112 §6.3).
fn body_length(method: &str, answer: &Head) -> io::Result<Length> {
    if method == "HEAD" || matches!(answer.status, 204 | 304) {
        return Ok(Length::Known(0));
    }
    answer.length(Length::UntilClose)
}
