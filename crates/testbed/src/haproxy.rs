//! Debian's HAProxy on a host.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::daemon::Daemon;
use crate::host::Host;
use crate::{programs, wait};

/// An HAProxy that runs until dropped.
#[derive(Debug)]
pub struct HaProxy {
    daemon: Daemon,
}

impl HaProxy {
    /// Balances what comes to any address at `port` over `servers`. It does not check them: one that was cut off
    /// with this host would be out for seconds after it is back, and what is measured is the address.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(host: &Host, port: u16, servers: &[SocketAddr]) -> Result<Self> {
        let mut text = format!(
            "global\n    maxconn 2000\ndefaults\n    mode http\n    timeout connect 1s\n    timeout client 5s\n    \
             timeout server 5s\n    option redispatch\n    retries 2\nfrontend web\n    bind *:{port}\n    \
             default_backend servers\nbackend servers\n"
        );
        for (number, server) in servers.iter().enumerate() {
            let _ = writeln!(text, "    server web{number} {server}");
        }
        let configuration = host.folder().join("haproxy.cfg");
        fs::write(&configuration, text)?;
        let program = programs::find("haproxy", "haproxy")?;
        let daemon = Daemon::start(
            host,
            "haproxy",
            program,
            &["-db".as_ref(), "-f".as_ref(), configuration.as_os_str()],
            &[],
        )?;
        let local = SocketAddr::new(host.ipv4().into(), port);
        wait::until("HAProxy answers", Duration::from_secs(10), || {
            host.inside(|| std::net::TcpStream::connect_timeout(&local, Duration::from_secs(1)).is_ok())
                .unwrap_or(false)
        })?;
        Ok(Self { daemon })
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}
