//! The agent's end of the socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{Request, Response};

/// Connections served at once; more are turned away, so that nobody can use up the agent's threads.
const CLIENTS_MAX: usize = 16;
/// The longest request.
const REQUEST_MAX: u64 = 64 << 10;
/// A client that does not read or write holds its thread no longer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves one request: writes as many responses as it likes, and ends when that fails.
pub(crate) type Handler = dyn Fn(Request, &mut dyn FnMut(&Response) -> std::io::Result<()>) + Send + Sync;

/// The socket, removed when dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
}

impl Server {
    /// Opens the socket for this process and serves it from threads of its own.
    ///
    /// # Errors
    /// If the directory or the socket cannot be made.
    pub fn start(directory: &Path, network_namespace: u64, handler: Arc<Handler>) -> std::io::Result<Self> {
        make_runtime_directory(directory)?;
        remove_orphans(directory, network_namespace);
        let path = directory.join(format!("{network_namespace}-{}.sock", std::process::id()));
        // Only a process of our number can have left it, and that is gone.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
        std::thread::Builder::new()
            .name("control".into())
            .stack_size(256 * 1024)
            .spawn(move || accept(&listener, &handler))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the directory for sockets and state files, for its owner and group only, unless it is there.
///
/// # Errors
/// What the kernel says.
pub fn make_runtime_directory(directory: &Path) -> std::io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)
}

/// Sockets of killed agents of this network namespace: nobody listens there, and nobody will.
fn remove_orphans(directory: &Path, network_namespace: u64) {
    let prefix = format!("{network_namespace}-");
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let refused =
            || UnixStream::connect(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
        let is_socket = path.extension().is_some_and(|extension| extension == "sock");
        if name.starts_with(&prefix) && is_socket && refused() {
            // Gone already is as good.
            let _ = std::fs::remove_file(&path);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, handler: &Arc<Handler>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if clients.load(Ordering::Relaxed) >= CLIENTS_MAX {
            continue;
        }
        clients.fetch_add(1, Ordering::Relaxed);
        let (handler, counter) = (Arc::clone(handler), Arc::clone(&clients));
        let spawned =
            std::thread::Builder::new().name("client".into()).stack_size(256 * 1024).spawn(move || {
                // A connection that breaks is the client's affair.
                let _ = serve(&stream, &*handler);
                counter.fetch_sub(1, Ordering::Relaxed);
            });
        if spawned.is_err() {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Root, our own user and our own group may ask; the permissions of the socket say so too, but a directory
/// may have been opened by mistake. Of a client in a process namespace that we cannot see nothing is known, and
/// the permissions alone decide.
fn may_ask(stream: &UnixStream) -> bool {
    let Ok(peer) = rustix::net::sockopt::socket_peercred(stream) else { return true };
    peer.uid.is_root() || peer.uid == rustix::process::geteuid() || peer.gid == rustix::process::getegid()
}

fn serve(stream: &UnixStream, handler: &Handler) -> std::io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut write = |response: &Response| {
        let mut line = serde_json::to_vec(response)?;
        line.push(b'\n');
        (&mut &*stream).write_all(&line)
    };
    if !may_ask(stream) {
        let text = "only root and the agent's group may ask; use sudo".to_owned();
        return write(&Response::Error { text });
    }
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_MAX)).read_line(&mut line)?;
    match serde_json::from_str(&line) {
        Ok(request) => handler(request, &mut write),
        Err(error) => write(&Response::Error { text: format!("not a request: {error}") })?,
    }
    Ok(())
}
