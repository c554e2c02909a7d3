//! The stand-in for OpenStack: Keystone that always answers, and a script for the rest. And a clock without waiting.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use openstack::{Client, Clock, Config, Credentials, Domain, Scope, User};

pub(crate) const PASSWORD: &str = "pass-w0rd-of-bosh";

/// What the script does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Reads the request and closes the connection.
    HangUp,
    /// Reads the request and says nothing for so long.
    Silence(Duration),
    /// Announces more than it sends.
    Truncated(String),
}

pub(crate) fn answer(status: u16, body: &str) -> Act {
    Act::Answer { status, headers: Vec::new(), body: body.to_owned() }
}

pub(crate) fn answer_with(status: u16, name: &'static str, value: &str, body: &str) -> Act {
    Act::Answer { status, headers: vec![(name, value.to_owned())], body: body.to_owned() }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.headers.iter().find_map(|line| {
            line.get(..start.len())
                .filter(|head| head.eq_ignore_ascii_case(&start))
                .map(|_| &line[start.len()..])
        })
    }
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    tokens: AtomicUsize,
}

/// The stand-in server.
pub(crate) struct Standin {
    pub(crate) root: String,
    shared: Arc<Shared>,
}

impl Standin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let (for_thread, for_root) = (Arc::clone(&shared), root.clone());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, root) = (Arc::clone(&for_thread), for_root.clone());
                shared.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || serve(&stream.unwrap(), &shared, &root));
            }
        });
        Self { root, shared }
    }

    /// What is answered to the next requests (those for a token excepted, until one stands in the script).
    pub(crate) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().extend(acts);
    }

    /// The requests to the services, without those for a token.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many tokens were given.
    pub(crate) fn tokens(&self) -> usize {
        self.shared.tokens.load(Ordering::SeqCst)
    }

    pub(crate) fn config(&self) -> Config {
        let domain = Domain::Name("Default".into());
        Config::new(
            &self.root,
            Credentials::Password {
                user: User::Name { name: "bosh".into(), domain: domain.clone() },
                password: PASSWORD.into(),
                scope: Scope::Project { name: "bosh".into(), domain },
            },
        )
    }

    pub(crate) fn client(&self) -> (Client, Arc<FakeClock>) {
        let clock = Arc::new(FakeClock::default());
        (Client::new(self.config()).unwrap().with_clock(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }
}

fn serve(stream: &TcpStream, shared: &Shared, root: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(seen) = read_request(&mut reader) {
        if seen.line.starts_with("POST /v3/auth/tokens") {
            let number = shared.tokens.fetch_add(1, Ordering::SeqCst) + 1;
            let body = token_body(root);
            let head = format!(
                "HTTP/1.1 201 Created\r\nX-Subject-Token: tok-en-{number}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            writer.write_all(format!("{head}{body}").as_bytes()).unwrap();
            continue;
        }
        shared.seen.lock().unwrap().push(seen.clone());
        let act = shared.script.lock().unwrap().pop_front();
        match act.unwrap_or_else(|| answer(418, &format!("not in the script: {}", seen.line))) {
            Act::Answer { status, headers, body } => {
                let headers: Vec<String> =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let headers = headers.concat();
                let head =
                    format!("HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
                if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
                    return;
                }
            }
            Act::HangUp => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            Act::Silence(duration) => {
                std::thread::sleep(duration);
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            Act::Truncated(body) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 10);
                let _ = writer.write_all(format!("{head}{body}").as_bytes());
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let mut seen = Seen { line: lines.remove(0), headers: lines, body: Vec::new() };
    let length: u64 = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    if reader.take(length).read_to_end(&mut seen.body).ok()? as u64 != length {
        return None;
    }
    seen.line.truncate(seen.line.len() - " HTTP/1.1".len());
    Some(seen)
}

fn token_body(root: &str) -> String {
    let services: Vec<String> =
        [("compute", "/nova/v2.1"), ("network", "/neutron"), ("image", "/glance"), ("volumev3", "/cinder/v3/p1")]
            .iter()
            .map(|(kind, path)| {
                format!(
                    r#"{{"type":"{kind}","name":"{kind}","endpoints":[{{"interface":"public","region":"RegionOne","region_id":"RegionOne","url":"{root}{path}"}}]}}"#
                )
            })
            .collect();
    format!(
        r#"{{"token":{{"expires_at":"2099-01-01T00:00:00.000000Z","user":{{"id":"u1","name":"bosh"}},"project":{{"id":"p1","name":"bosh"}},"roles":[{{"id":"r","name":"member"}}],"catalog":[{}]}}}}"#,
        services.join(",")
    )
}

/// Time that passes only by sleeping.
#[derive(Debug, Default)]
pub(crate) struct FakeClock {
    sleeps: Mutex<Vec<Duration>>,
}

impl FakeClock {
    pub(crate) fn sleeps(&self) -> Vec<Duration> {
        self.sleeps.lock().unwrap().clone()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.sleeps().iter().sum()
    }

    fn wall(&self) -> SystemTime {
        // Wed, 25 Nov 2026 10:00:00 GMT.
        SystemTime::UNIX_EPOCH + Duration::from_hours(498_778) + self.now()
    }

    fn sleep(&self, duration: Duration) {
        self.sleeps.lock().unwrap().push(duration);
    }

    fn chance(&self) -> f64 {
        0.0
    }
}
