//! A client that asks an address at a steady rate and tells what was lost, and when.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::checksum;
use crate::host::Host;
use crate::moment::{Millis, Moment};

/// How long an answer is waited for, in the end.
const GRACE: Duration = Duration::from_secs(1);
/// Requests of an [`Probe::http`] that run at the same time, at most.
const WORKERS: u32 = 256;
static IDENTIFIER: AtomicU16 = AtomicU16::new(1);

/// One question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// When it was sent.
    pub asked: Moment,
    /// When the answer came.
    pub answered: Option<Moment>,
    /// Whether there was a connection, and the answer did not come: the address has moved to a router that knows nothing
    /// of it, and resets it, or whose firewall drops what is no connection's.
    pub cut: bool,
}

type Questions = Arc<Mutex<Vec<Question>>>;

/// A client at work.
#[derive(Debug)]
pub struct Probe {
    questions: Questions,
    asking: Arc<AtomicBool>,
    listening: Arc<AtomicBool>,
    asker: Option<JoinHandle<()>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Sends an ICMP echo request to `target` from `host`, `rate` times a second.
    ///
    /// # Errors
    /// If the socket cannot be had.
    pub fn ping(host: &Host, target: IpAddr, rate: u32) -> Result<Self> {
        let (domain, protocol) = match target {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = host
            .inside(|| Socket::new(domain, Type::RAW, Some(protocol)))?
            .context("cannot open a raw socket for ICMP")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.set_recv_buffer_size(1 << 20)?;
        let socket = Arc::new(socket);
        let identifier = IDENTIFIER.fetch_add(1, Ordering::Relaxed);
        let mut probe = Self::new();
        let (hears, questions, listening) =
            (Arc::clone(&socket), Arc::clone(&probe.questions), Arc::clone(&probe.listening));
        probe.listeners.push(thread::spawn(move || {
            hear_echoes(&hears, target.is_ipv4(), identifier, &questions, &listening);
        }));
        let destination = SocketAddr::new(target, 0).into();
        probe.ask_steadily(rate, move |number| {
            // What cannot be sent (no neighbour, no link) is lost.
            let _ = socket.send_to(&echo_request(target.is_ipv4(), identifier, number), &destination);
        });
        Ok(probe)
    }

    /// Asks for a page over a new TCP connection, `rate` times a second; a request without a whole answer of
    /// status 200 within `timeout` is lost.
    ///
    /// # Errors
    /// If the host cannot be entered.
    pub fn http(host: &Host, target: SocketAddr, rate: u32, timeout: Duration) -> Result<Self> {
        let mut probe = Self::new();
        let (send, receive) = sync_channel::<usize>(65536);
        let receive = Arc::new(Mutex::new(receive));
        for _ in 0..WORKERS.min(rate.saturating_mul(2)) {
            let (host, receive, questions) =
                (host.clone(), Arc::clone(&receive), Arc::clone(&probe.questions));
            probe.listeners.push(thread::spawn(move || {
                // A host that cannot be entered shows as requests that are lost.
                let _ = host.inside(|| fetch_each(&receive, target, timeout, &questions));
            }));
        }
        probe.ask_steadily(rate, move |number| {
            let _ = send.send(number);
        });
        Ok(probe)
    }

    fn new() -> Self {
        Self {
            questions: Arc::default(),
            asking: Arc::new(AtomicBool::new(true)),
            listening: Arc::new(AtomicBool::new(true)),
            asker: None,
            listeners: Vec::new(),
        }
    }

    fn ask_steadily(&mut self, rate: u32, ask: impl Fn(usize) + Send + 'static) {
        let (questions, asking) = (Arc::clone(&self.questions), Arc::clone(&self.asking));
        self.asker = Some(thread::spawn(move || {
            let (started, step) = (Instant::now(), Duration::from_secs(1) / rate.max(1));
            let mut number = 0;
            while asking.load(Ordering::Relaxed) {
                let due = step * u32::try_from(number).unwrap_or(u32::MAX);
                if let Some(early) = due.checked_sub(started.elapsed()) {
                    thread::sleep(early);
                }
                lock(&questions).push(Question { asked: Moment::now(), answered: None, cut: false });
                ask(number);
                number += 1;
            }
        }));
    }

    /// What was asked and answered until now; the newest answers may be on their way.
    pub fn so_far(&self) -> Report {
        Report { questions: lock(&self.questions).clone() }
    }

    /// Stops asking, waits for what is on its way, and tells.
    pub fn finish(mut self) -> Report {
        self.stop(GRACE);
        self.so_far()
    }

    fn stop(&mut self, grace: Duration) {
        self.asking.store(false, Ordering::Relaxed);
        if let Some(asker) = self.asker.take() {
            let _ = asker.join();
        }
        let until = Instant::now() + grace;
        while Instant::now() < until
            && lock(&self.questions).iter().rev().take(1000).any(|q| q.answered.is_none())
        {
            thread::sleep(Duration::from_millis(5));
        }
        self.listening.store(false, Ordering::Relaxed);
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

fn lock(questions: &Questions) -> std::sync::MutexGuard<'_, Vec<Question>> {
    questions.lock().unwrap_or_else(PoisonError::into_inner)
}

fn echo_request(is_ipv4: bool, identifier: u16, number: usize) -> Vec<u8> {
    let mut packet = vec![if is_ipv4 { 8 } else { 128 }, 0, 0, 0];
    packet.extend_from_slice(&identifier.to_be_bytes());
    // The sequence field has 16 bits; the whole number is in the data.
    packet.extend_from_slice(&u16::try_from(number & 0xffff).unwrap_or(0).to_be_bytes());
    packet.extend_from_slice(&(number as u64).to_be_bytes());
    if is_ipv4 {
        // The kernel does it for ICMPv6.
        let sum = checksum(&[&packet]).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

fn hear_echoes(
    socket: &Socket,
    is_ipv4: bool,
    identifier: u16,
    questions: &Questions,
    listening: &AtomicBool,
) {
    let mut buffer = [0; 2048];
    let mut reader = socket;
    while listening.load(Ordering::Relaxed) {
        let Ok(length) = reader.read(&mut buffer) else { continue };
        let at = Moment::now();
        // A raw socket of IPv4 gives the IP header too.
        let header = if is_ipv4 { usize::from(buffer[0] & 15) * 4 } else { 0 };
        let Some((fields, data)) = buffer[..length].get(header..).and_then(<[u8]>::split_first_chunk::<8>)
        else {
            continue;
        };
        let echo_reply = if is_ipv4 { 0 } else { 129 };
        if fields[0] != echo_reply || fields[4..6] != identifier.to_be_bytes() {
            continue;
        }
        let Some(number) = data.first_chunk().map(|octets| u64::from_be_bytes(*octets)) else { continue };
        answer(questions, usize::try_from(number).unwrap_or(usize::MAX), at);
    }
}

fn answer(questions: &Questions, number: usize, at: Moment) {
    if let Some(question) = lock(questions).get_mut(number) {
        question.answered.get_or_insert(at);
    }
}

fn fetch_each(
    numbers: &Mutex<Receiver<usize>>,
    target: SocketAddr,
    timeout: Duration,
    questions: &Questions,
) {
    loop {
        // The guard goes at the end of the statement: others may wait for the next while this one is fetched.
        let next = numbers.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The asker has ended.
        let Ok(number) = next else { return };
        match fetch(target, timeout) {
            Ok(Fetched::Page) => answer(questions, number, Moment::now()),
            Ok(Fetched::Cut) => {
                if let Some(question) = lock(questions).get_mut(number) {
                    question.cut = true;
                }
            }
            Ok(Fetched::Other) | Err(_) => {}
        }
    }
}

/// What became of a request that was connected.
enum Fetched {
    /// A whole answer with status 200.
    Page,
    /// The connection was reset, ended early, or fell silent.
    Cut,
    /// Another answer.
    Other,
}

fn fetch(target: SocketAddr, timeout: Duration) -> io::Result<Fetched> {
    let started = Instant::now();
    let left = || timeout.checked_sub(started.elapsed()).ok_or(io::ErrorKind::TimedOut);
    let mut stream = connect(target, timeout)?;
    stream.set_read_timeout(Some(left()?))?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    let mut talk = || -> io::Result<bool> {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        loop {
            match stream.read(&mut chunk)? {
                0 => return Ok(is_whole(&answer).unwrap_or(true)),
                length => answer.extend_from_slice(&chunk[..length]),
            }
            // As every client: the server's end of the connection is not waited for.
            if is_whole(&answer) == Some(true) {
                return Ok(true);
            }
            stream.set_read_timeout(Some(left()?))?;
        }
    };
    match talk() {
        Ok(true) if answer.starts_with(b"HTTP/1.") && answer.get(9..12) == Some(b"200") => Ok(Fetched::Page),
        Ok(true) if answer.starts_with(b"HTTP/1.") => Ok(Fetched::Other),
        Ok(_) | Err(_) => Ok(Fetched::Cut),
    }
}

/// Whether all that `Content-Length` promises is there; `None` if nothing is promised (yet).
fn is_whole(answer: &[u8]) -> Option<bool> {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let length: usize = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    Some(answer.len() >= end + 4 + length)
}

/// Connects from a port that was not used for long: the kernel would come back to one within half a minute, and a
/// firewall on the way that still remembers the former connection then answers for the router under test.
fn connect(target: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 1024;
    let any =
        if target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    // Another process soon after this one begins elsewhere.
    let begin = u16::try_from(std::process::id().wrapping_mul(4099) % u32::from(u16::MAX)).unwrap_or(0);
    // A port that is taken is skipped; that many in a row are not.
    for _ in 0..64 {
        let turn = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + turn % (u16::MAX - FIRST);
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
        match socket.bind(&SocketAddr::new(any, port).into()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => return Err(error),
        }
        socket.connect_timeout(&target.into(), timeout)?;
        return Ok(socket.into());
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// What a [`Probe`] saw.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Every question, in the order of asking.
    pub questions: Vec<Question>,
}

/// A time without answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// When the first question was asked that nobody answered.
    pub began: Moment,
    /// From there to the asking of the first that was answered again, or of the last there is.
    pub length: Duration,
    /// How many were not answered.
    pub lost: usize,
}

impl Report {
    /// How many were asked.
    pub fn sent(&self) -> usize {
        self.questions.len()
    }

    /// How many were not answered.
    pub fn lost(&self) -> usize {
        self.questions.iter().filter(|q| q.answered.is_none()).count()
    }

    /// How many of those that were not answered were connected already, and cut.
    pub fn cut(&self) -> usize {
        self.questions.iter().filter(|q| q.answered.is_none() && q.cut).count()
    }

    /// What was asked from `from` on and before `to`.
    #[must_use]
    pub fn between(&self, from: Moment, to: Moment) -> Self {
        Self {
            questions: self.questions.iter().copied().filter(|q| q.asked >= from && q.asked < to).collect(),
        }
    }

    /// Each time without answers, in order.
    pub fn outages(&self) -> Vec<Outage> {
        let mut outages: Vec<Outage> = Vec::new();
        let mut lost_before = false;
        for question in &self.questions {
            let lost = question.answered.is_none();
            match outages.last_mut() {
                Some(outage) if lost_before => {
                    outage.length = question.asked.since(outage.began);
                    outage.lost += usize::from(lost);
                }
                _ if lost => {
                    outages.push(Outage { began: question.asked, length: Duration::ZERO, lost: 1 });
                }
                _ => {}
            }
            lost_before = lost;
        }
        outages
    }

    /// The longest time without answers; zero if there was none.
    pub fn longest_outage(&self) -> Duration {
        self.outages().iter().map(|outage| outage.length).max().unwrap_or_default()
    }

    /// The longest time from one answer to the next, by their coming. Unlike an outage it also sees answers
    /// that came late.
    pub fn longest_gap(&self) -> Duration {
        let mut answers: Vec<_> = self.questions.iter().filter_map(|q| q.answered).collect();
        answers.sort_unstable();
        answers.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default()
    }

    /// When the last lost question was asked.
    pub fn last_lost(&self) -> Option<Moment> {
        self.questions.iter().rev().find(|q| q.answered.is_none()).map(|q| q.asked)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} lost, longest gap {}", self.sent(), self.lost(), Millis(self.longest_gap()))?;
        let began = self.questions.first().map(|q| q.asked);
        for outage in self.outages() {
            let after = began.map(|began| outage.began.since(began)).unwrap_or_default();
            write!(f, "; {} lost for {} after {}", outage.lost, Millis(outage.length), Millis(after))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_runs_of_lost_questions() {
        let at = |ms: u64| Moment::since_epoch(Duration::from_millis(ms));
        let questions = [true, false, false, true, false, true]
            .iter()
            .zip(0..)
            .map(|(answered, ms)| Question {
                asked: at(ms),
                answered: answered.then(|| at(ms + 1)),
                cut: false,
            })
            .collect();
        let report = Report { questions };
        assert_eq!((report.sent(), report.lost()), (6, 3));
        let outages = report.outages();
        assert_eq!(outages[0], Outage { began: at(1), length: Duration::from_millis(2), lost: 2 });
        assert_eq!(outages[1], Outage { began: at(4), length: Duration::from_millis(1), lost: 1 });
        assert_eq!(report.longest_outage(), Duration::from_millis(2));
        assert_eq!(report.longest_gap(), Duration::from_millis(3));
        assert_eq!(report.last_lost(), Some(at(4)));
    }

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(is_whole(&head.as_bytes()[..20]), None);
        assert_eq!(is_whole(format!("{head}hell").as_bytes()), Some(false));
        assert_eq!(is_whole(format!("{head}hello").as_bytes()), Some(true));
        assert_eq!(is_whole(b"HTTP/1.0 200 OK\r\n\r\nhello"), None, "ends with the connection");
    }
}
