//! The command's end of the socket, and finding agents.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Request, Response, runtime_directory};

/// Which agents are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Those of this network namespace.
    Here,
    /// All of this host.
    All,
    /// Those of a network namespace: a name of `ip netns`, a process id or a path.
    Namespace(String),
    /// The one with this pid file.
    PidFile(PathBuf),
    /// The one behind this socket.
    Socket(PathBuf),
}

/// An agent that can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agent {
    /// Its socket.
    pub socket: PathBuf,
}

impl Agent {
    /// Asks, and hands each response over until the handler has enough.
    ///
    /// # Errors
    /// If the agent cannot be reached, or says what nobody understands.
    pub fn ask(
        &self,
        request: &Request,
        timeout: Option<Duration>,
        each: &mut dyn FnMut(Response) -> bool,
    ) -> io::Result<()> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(timeout)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        for line in BufReader::new(stream).lines() {
            if !each(serde_json::from_str(&line?)?) {
                break;
            }
        }
        Ok(())
    }

    /// Asks for one answer.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); also if none came.
    pub fn ask_once(&self, request: &Request, timeout: Duration) -> io::Result<Response> {
        let mut answer = None;
        self.ask(request, Some(timeout), &mut |response| {
            if response == Response::Listening {
                return true;
            }
            answer = Some(response);
            false
        })?;
        answer.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the agent did not answer"))
    }
}

/// Whether an error says that an agent is gone, rather than that it may not be asked.
pub fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotFound | UnexpectedEof)
}

impl Agent {
    /// Whether it says that this is its main pid file.
    fn has_pid_file(&self, path: &Path) -> bool {
        let answer = self.ask_once(&Request::Identify, Duration::from_secs(2));
        matches!(answer, Ok(Response::Identity { pid_file, .. }) if Path::new(&pid_file) == path)
    }
}

/// The agents that `target` means and that run. A socket nobody listens at is passed over.
///
/// # Errors
/// If the namespace does not exist.
pub fn discover(target: &Target) -> io::Result<Vec<Agent>> {
    if let Target::Socket(socket) = target {
        return Ok(vec![Agent { socket: socket.clone() }]);
    }
    let namespace = match target {
        Target::Here => Some(std::fs::metadata("/proc/self/ns/net")?.ino()),
        Target::Namespace(name) => Some(std::fs::metadata(namespace_path(name))?.ino()),
        _ => None,
    };
    let wanted_pid = match target {
        Target::PidFile(path) => Some(std::fs::read_to_string(path)?.trim().to_owned()),
        _ => None,
    };
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(runtime_directory()) else { return Ok(found) };
    for entry in entries.flatten() {
        let socket = entry.path();
        let Some((inode, pid)) = parse_name(&socket) else { continue };
        if namespace.is_some_and(|n| n != inode) || wanted_pid.as_ref().is_some_and(|p| *p != pid.to_string())
        {
            continue;
        }
        match UnixStream::connect(&socket) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            // Others are the caller's to see when it asks.
            _ => found.push(Agent { socket }),
        }
    }
    if let Target::PidFile(path) = target
        && found.len() > 1
    {
        // Process namespaces give the same number more than once: the agent knows which file is its own.
        found.retain(|agent| agent.has_pid_file(path));
    }
    found.sort_by(|a, b| a.socket.cmp(&b.socket));
    Ok(found)
}

fn parse_name(path: &Path) -> Option<(u64, u32)> {
    let (inode, pid) = path.file_name()?.to_str()?.strip_suffix(".sock")?.split_once('-')?;
    Some((inode.parse().ok()?, pid.parse().ok()?))
}

fn namespace_path(name: &str) -> PathBuf {
    if name.contains('/') {
        name.into()
    } else if name.bytes().all(|b| b.is_ascii_digit()) {
        format!("/proc/{name}/ns/net").into()
    } else {
        format!("/run/netns/{name}").into()
    }
}
