//! A tiny web server: each connection gets one page and is closed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host::Host;

/// Serves until dropped.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    host: Host,
    end: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl WebServer {
    /// Answers at `address` of `host` with `page`.
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub fn start(host: &Host, address: SocketAddr, page: &str) -> Result<Self> {
        let listener = host
            .inside(|| TcpListener::bind(address))?
            .with_context(|| format!("cannot listen at {address}"))?;
        let answer: Arc<str> =
            format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len())
                .into();
        let end = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&end);
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                // Who goes away early is not answered; nobody minds.
                thread::spawn(move || stream.and_then(|stream| serve(stream, &answer)));
            }
        });
        Ok(Self { address, host: host.clone(), end, listener: Some(listener) })
    }
}

fn serve(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&chunk[..length]),
        }
    }
    stream.write_all(answer.as_bytes())
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let woken = self.host.inside(|| TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let (Ok(Ok(_)), Some(listener)) = (woken, self.listener.take()) {
            let _ = listener.join();
        }
    }
}
