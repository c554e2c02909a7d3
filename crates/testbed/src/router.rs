//! Routers that hold the address: our agent, and its real peers.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::frr::Frr;
use crate::host::Host;
use crate::programs;
use crate::virtual_router::VirtualRouter;

/// Which program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Our agent.
    Standfast,
    /// Debian's keepalived.
    Keepalived,
    /// FRR's vrrpd with zebra. Its address is on a link of its own, always.
    Frr,
}

/// A router on a host. Killed when dropped.
#[derive(Debug)]
pub struct Router {
    kind: Kind,
    host: Host,
    configuration: PathBuf,
    daemon: Daemon,
    /// What FRR needs beside its vrrpd.
    frr: Option<Frr>,
}

impl Router {
    /// Starts it with this virtual router.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(kind: Kind, host: &Host, vr: &VirtualRouter) -> Result<Self> {
        if kind == Kind::Frr {
            let frr = Frr::prepare(host, vr)?;
            let (configuration, daemon) = (frr.configuration(), frr.start_vrrpd(host)?);
            return Ok(Self { kind, host: host.clone(), configuration, daemon, frr: Some(frr) });
        }
        Self::start_with(kind, host, &vr.keepalived_conf())
    }

    /// Starts it with this text as its configuration (not FRR).
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_with(kind: Kind, host: &Host, text: &str) -> Result<Self> {
        ensure!(kind != Kind::Frr, "FRR is configured by a VirtualRouter");
        let configuration = host.folder().join("router.conf");
        fs::write(&configuration, text)?;
        let daemon = launch(kind, host, &configuration)?;
        Ok(Self { kind, host: host.clone(), configuration, daemon, frr: None })
    }

    /// Which program.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// If it has ended.
    pub fn terminate(&self) -> Result<()> {
        self.daemon.signal(Signal::SIGTERM)
    }

    /// Waits for its end; gives the status and how long that took.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<(ExitStatus, Duration)> {
        self.daemon.wait_exit(limit)
    }

    /// SIGKILL, all its processes at once; waits until they are gone.
    ///
    /// # Errors
    /// If it had ended.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()?;
        // keepalived's child is not ours to wait for, and a new one refuses to start while it is there.
        crate::wait::until("the processes are gone", Duration::from_secs(10), || {
            self.daemon.signal_all(Signal::SIGKILL).is_err()
        })?;
        Ok(())
    }

    /// Starts it anew after its end, with the configuration it had.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(!self.daemon.is_running(), "it has not ended");
        self.daemon = match &self.frr {
            Some(frr) => frr.start_vrrpd(&self.host)?,
            None => launch(self.kind, &self.host, &self.configuration)?,
        };
        Ok(())
    }

    /// SIGSTOP to all its processes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn pause(&self) -> Result<()> {
        self.daemon.signal_all(Signal::SIGSTOP)
    }

    /// SIGCONT to all its processes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn resume(&self) -> Result<()> {
        self.daemon.signal_all(Signal::SIGCONT)
    }

    /// Writes another configuration and sends SIGHUP.
    ///
    /// # Errors
    /// If the file cannot be written or the process has ended.
    pub fn reload(&self, text: &str) -> Result<()> {
        fs::write(&self.configuration, text)?;
        self.daemon.signal(Signal::SIGHUP)
    }

    /// `standfast status --json` for this agent.
    ///
    /// # Errors
    /// If it does not answer, or is not ours.
    pub fn status(&self) -> Result<RouterStatus> {
        ensure!(self.kind == Kind::Standfast, "{:?} has no status of ours", self.kind);
        let text = self.standfast(&["status", "--json"])?;
        let all: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
        let mut agents = all.as_array().cloned().unwrap_or_default();
        ensure!(agents.len() == 1, "one agent expected in {}: {text}", self.host.namespace());
        Ok(RouterStatus { agent: agents.remove(0) })
    }

    /// `standfast ARGS --pid-file …`; gives what it printed.
    ///
    /// # Errors
    /// With what it complained of.
    pub fn standfast(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(programs::command())
            .args(args)
            .arg("--pid-file")
            .arg(self.host.folder().join("router.pid"))
            .output()
            .context("cannot run standfast")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "standfast {args:?}: {} {out}{err}", output.status);
        Ok(out.into_owned())
    }
}

fn launch(kind: Kind, host: &Host, configuration: &std::path::Path) -> Result<Daemon> {
    let program = match kind {
        Kind::Standfast => programs::agent(),
        Kind::Keepalived => programs::find("keepalived", "keepalived")?,
        Kind::Frr => bail!("FRR is started otherwise"),
    };
    let mut args: Vec<OsString> = ["-n", "-l", "-D", "-P", "-f"].map(OsString::from).into();
    args.push(configuration.into());
    for (option, name) in [
        ("-p", "router.pid"),
        ("-r", "router-vrrp.pid"),
        ("-c", "router-checkers.pid"),
        ("-b", "router-bfd.pid"),
    ] {
        args.push(option.into());
        args.push(host.folder().join(name).into());
    }
    Daemon::start(host, "router", program, &args, &[])
}

/// What our agent says of itself, in its own JSON.
#[derive(Clone, PartialEq, Debug)]
pub struct RouterStatus {
    /// The whole.
    pub agent: Value,
}

impl RouterStatus {
    fn first(&self) -> &Value {
        &self.agent["virtual-routers"][0]
    }

    /// `initialize`, `backup` or `active`.
    pub fn state(&self) -> &str {
        self.first()["state"].as_str().unwrap_or("none")
    }

    /// Whether every address of the virtual router is really on its interface.
    pub fn all_installed(&self) -> bool {
        let addresses = self.first()["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
        !addresses.is_empty() && addresses.iter().all(|a| a["installed"] == true)
    }

    /// Whether none is.
    pub fn none_installed(&self) -> bool {
        self.first()["addresses"].as_array().into_iter().flatten().all(|a| a["installed"] == false)
    }

    /// The Active that it believes in.
    pub fn active_address(&self) -> Option<&str> {
        self.first()["active-address"].as_str()
    }

    /// A counter.
    pub fn counter(&self, name: &str) -> u64 {
        self.first()["statistics"][name].as_u64().unwrap_or(u64::MAX)
    }

    /// Why packets were dropped, a stable word for each reason.
    pub fn discards(&self) -> Vec<&str> {
        let all = self.first()["discards"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|discard| discard["reason"].as_str()).collect()
    }

    /// Why the last reload changed nothing.
    pub fn last_reload_error(&self) -> Option<&str> {
        self.agent["last-reload-error"].as_str()
    }
}
