//! The fault injector before a tiny server of the test's own: what it passes on, what it spoils, what the server saw.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fault_proxy::{Fault, FaultProxy, Rule, When};

/// A server that answers every request with what it was sent, and remembers the request lines.
struct Echo {
    authority: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remember = Arc::clone(&seen);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (line, headers) = read_head(&mut stream);
                let length = length(&headers);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                remember.lock().unwrap().push(format!("{line}|{}", headers.join("|")));
                let answer = if line.contains("/chunked") {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned()
                } else {
                    format!(
                        "HTTP/1.1 201 Created\r\nContent-Length: {length}\r\n\r\n{}",
                        String::from_utf8(body).unwrap()
                    )
                };
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { authority, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn read_head(stream: &mut impl BufRead) -> (String, Vec<String>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    if lines.is_empty() {
        return (String::new(), lines);
    }
    (lines.remove(0), lines)
}

fn length(headers: &[String]) -> usize {
    let value = headers
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// A client's connection to the proxy.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn new(proxy: &FaultProxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    /// Status line (empty if the connection was dropped), headers, and the body as far as it came.
    fn call(&mut self, method: &str, url: &str, body: &str) -> (String, Vec<String>, String) {
        let head = format!(
            "{method} {url} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: tok-en\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
        let (status, headers) = read_head(&mut self.0);
        let mut answer = Vec::new();
        (&mut self.0).take(length(&headers) as u64).read_to_end(&mut answer).unwrap();
        (status, headers, String::from_utf8_lossy(&answer).into_owned())
    }
}

fn call(proxy: &FaultProxy, echo: &Echo, body: &str) -> (String, Vec<String>, String) {
    Caller::new(proxy).call("POST", &format!("http://{}/servers", echo.authority), body)
}

#[test]
fn requests_and_answers_are_passed_on_unchanged_on_one_connection() {
    let echo = Echo::start();
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let mut caller = Caller::new(&proxy);
    for body in ["one", "two", ""] {
        let (status, _, answer) = caller.call("POST", &format!("http://{}/a?b=c", echo.authority), body);
        assert_eq!((status.as_str(), answer.as_str()), ("HTTP/1.1 201 Created", body));
    }
    let (status, headers, _) = caller.call("GET", &format!("http://{}/chunked", echo.authority), "");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.iter().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked")));
    let mut rest = [0; 15];
    caller.0.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"5\r\nhello\r\n0\r\n\r\n");
    assert!(echo.seen()[0].starts_with("POST /a?b=c HTTP/1.1|"), "{:?}", echo.seen());
    assert!(echo.seen()[0].contains("X-Auth-Token: tok-en"));
    assert_eq!(proxy.requests().len(), 4);
}

#[test]
fn plain_http_inside_a_connect_is_seen_too() {
    let echo = Echo::start();
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    proxy.set_rules(vec![Rule::at(2).fault(Fault::answer(503))]);
    let mut caller = Caller::new(&proxy);
    caller.0.get_mut().write_all(format!("CONNECT {} HTTP/1.1\r\n\r\n", echo.authority).as_bytes()).unwrap();
    assert!(read_head(&mut caller.0).0.contains("200"));
    assert_eq!(caller.call("POST", "/x", "in").2, "in");
    assert!(caller.call("POST", "/x", "in").0.contains("503"));
    assert_eq!(proxy.requests()[0].url, format!("http://{}/x", echo.authority));
}

#[test]
fn before_means_the_service_never_saw_it_and_after_that_it_did_it() {
    let echo = Echo::start();
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    let faults =
        [Fault::drop(), Fault::answer(504), Fault::answer(429).header("Retry-After", "3").body("{}")];
    for fault in faults {
        for when in [When::Before, When::After] {
            let seen = echo.seen().len();
            proxy.set_rules(vec![Rule::on("POST", "/servers$").when(when).fault(fault.clone()).times(1)]);
            let (status, headers, _) = call(&proxy, &echo, "body");
            match fault.answer {
                Some(code) => assert!(status.contains(&code.to_string()), "{status}"),
                None => assert_eq!(status, ""),
            }
            if fault.answer == Some(429) {
                assert!(headers.iter().any(|line| line == "Retry-After: 3"), "{headers:?}");
            }
            assert_eq!(echo.seen().len() - seen, usize::from(when == When::After), "{fault:?} {when:?}");
            assert_eq!(call(&proxy, &echo, "again").2, "again", "the rule is used up");
            let records = proxy.requests();
            assert_eq!(records[0].service_status.is_some(), when == When::After);
            assert!(records[0].fault.is_some() && records[1].fault.is_none());
        }
    }
}

#[test]
fn bodies_are_cut_garbled_and_delayed() {
    let echo = Echo::start();
    let proxy = FaultProxy::start("127.0.0.1:0", None).unwrap();
    proxy.set_rules(vec![
        Rule::at(1).fault(Fault::truncate()),
        Rule::at(2).fault(Fault::garbage()),
        Rule::at(3).fault(Fault::delay(Duration::from_millis(150))),
        Rule::at(4).when(When::After).fault(Fault::delay(Duration::from_millis(150))),
    ]);
    let (_, headers, body) = call(&proxy, &echo, "0123456789");
    assert_eq!((length(&headers), body.as_str()), (10, "01234"));
    let (_, headers, body) = call(&proxy, &echo, "0123456789");
    assert!(body.contains("garbage") && length(&headers) == body.len(), "{body}");
    for _ in 0..2 {
        let started = Instant::now();
        assert_eq!(call(&proxy, &echo, "late").2, "late");
        assert!(started.elapsed() >= Duration::from_millis(150));
    }
}

#[test]
fn the_log_is_json_by_line_and_has_no_tokens() {
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let echo = Echo::start();
    let log = Arc::new(Mutex::new(Vec::new()));
    let proxy = FaultProxy::start("127.0.0.1:0", Some(Box::new(Shared(Arc::clone(&log))))).unwrap();
    proxy.log_bodies(true);
    proxy.set_rules(vec![Rule::at(3).fault(Fault::drop())]);
    call(&proxy, &echo, "shown");
    Caller::new(&proxy).call("POST", &format!("http://{}/v3/auth/tokens", echo.authority), "password");
    call(&proxy, &echo, "");
    // A line is written when its request has ended, after its answer.
    for _ in 0..200 {
        if log.lock().unwrap().split(|&byte| byte == b'\n').count() > 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0]["body"], "shown");
    assert_eq!(lines[0]["status"], 201);
    assert_eq!((&lines[2]["fault"], &lines[2]["when"]), (&"drop".into(), &"before".into()));
    assert!(!text.contains("tok-en") && !text.contains("password"), "{text}");
}
