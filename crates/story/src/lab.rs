//! The lab as the story needs it: who asks OpenStack, the CPI as the director calls it, and the servers.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use openstack::Client;
use openstack::clouds::{Source, load};
use serde_json::{Value, json};
use testbed::Host;

use crate::say;

/// The director's `max_vm_create_tries`.
const CREATE_TRIES: u32 = 5;

/// The lab's instance this process runs in.
pub(crate) struct Lab {
    /// Its folder.
    pub(crate) state: PathBuf,
    /// `lb` or `ovn`.
    pub(crate) back_end: String,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// Where logs and pictures go.
    pub(crate) output: PathBuf,
    /// Executables under test.
    pub(crate) bin: PathBuf,
}

impl Lab {
    /// From the environment that `lab/exec` sets.
    pub(crate) fn new(bin: &Path) -> Result<Self> {
        let state = std::env::var_os("LAB_STATE")
            .map(PathBuf::from)
            .context("run it inside the lab: lab/exec … (make story does)")?;
        let back_end = std::env::var("LAB_BACKEND").unwrap_or_else(|_| "lb".to_owned());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let output = root.join("target/story").join(&back_end);
        // What an earlier story left is not mistaken for this one's.
        if output.exists() {
            std::fs::remove_dir_all(&output)?;
        }
        std::fs::create_dir_all(&output)?;
        let bin = bin.canonicalize().with_context(|| format!("{} is not there", bin.display()))?;
        Ok(Self { state, back_end, root, output, bin })
    }

    /// A client for the unprivileged user.
    pub(crate) fn client(&self) -> Result<Client> {
        let file = self.state.join("clouds.yaml").display().to_string();
        let variable = move |name: &str| (name == "OS_CLIENT_CONFIG_FILE").then(|| file.clone());
        Ok(Client::new(load(&Source { cloud: Some("lab"), variable: &variable, folders: Vec::new() })?)?)
    }

    /// `standfast ARGS`, as that user; gives exit code and output.
    pub(crate) fn standfast(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = Command::new(self.bin.join("standfast"))
            .args(arguments)
            .env("OS_CLIENT_CONFIG_FILE", self.state.join("clouds.yaml"))
            .env("OS_CLOUD", "lab")
            .stdin(Stdio::null())
            .output()
            .context("cannot run standfast")?;
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ok((output.status.code().unwrap_or(-1), text))
    }

    /// Renders the job `openstack_cpi` and lays its package beside it, as the director's VM has them.
    pub(crate) fn install_cpi(&self) -> Result<()> {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(self.state.join("cpi.json"))?)?;
        let properties = &config["cloud"]["properties"];
        let input = json!({
            "properties": { "openstack": properties["openstack"], "agent": properties["agent"], "ntp": [] },
            "spec": { "name": "bosh", "index": 0 }, "links": {},
        });
        self.render("openstack_cpi", &self.output.join("jobs/openstack_cpi"), &input)?;
        let package = self.output.join("packages/openstack_cpi/bin");
        std::fs::create_dir_all(&package)?;
        std::fs::copy(self.bin.join("openstack_cpi"), package.join("openstack_cpi"))?;
        Ok(())
    }

    fn render(&self, job: &str, into: &Path, input: &Value) -> Result<()> {
        let mut child = Command::new("ruby")
            .arg(self.root.join("bosh/test/render.rb"))
            .arg(self.root.join("bosh/jobs").join(job))
            .arg(into)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ruby (apt-get install ruby)")?;
        child.stdin.take().context("no stdin")?.write_all(input.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "job {job}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// One call of `bin/cpi`. An error of the CPI is an error with its message.
    pub(crate) fn cpi(&self, method: &str, arguments: &Value) -> Result<Value> {
        result(method, &self.answer(method, arguments)?)
    }

    /// `create_vm` as the director calls it: again, while the CPI says that it may help. Nova still counts a server
    /// that was just deleted as a member of its group, and then finds no host for its successor.
    pub(crate) fn create_vm(&self, arguments: &Value) -> Result<Value> {
        for _ in 1..CREATE_TRIES {
            let answer = self.answer("create_vm", arguments)?;
            if answer["error"]["ok_to_retry"] != json!(true) {
                return result("create_vm", &answer);
            }
            say(&format!("    create_vm is tried again: {}", answer["error"]["message"]));
        }
        self.cpi("create_vm", arguments)
    }

    /// What `bin/cpi` answers to a call, with the cleared environment of the director.
    fn answer(&self, method: &str, arguments: &Value) -> Result<Value> {
        let request = json!({
            "method": method, "arguments": arguments, "api_version": 2,
            "context": { "director_uuid": "story", "request_id": "cpi-100000",
                         "vm": { "stemcell": { "api_version": 3 } } },
        });
        let log = std::fs::File::options().create(true).append(true).open(self.output.join("cpi.log"))?;
        let mut child = Command::new(self.output.join("jobs/openstack_cpi/bin/cpi"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("BOSH_PACKAGES_DIR", self.output.join("packages"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot run bin/cpi")?;
        child.stdin.take().context("no stdin")?.write_all(request.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{method}: not JSON: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Has every server that starts from now on become a machine of its own, which waits to be told more.
    pub(crate) fn install_hook(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.state.join("hooks");
        std::fs::create_dir_all(&folder)?;
        let hook = folder.join("vm-up");
        std::fs::write(&hook, include_str!("../vm-up"))?;
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    pub(crate) fn remove_hook(&self) {
        // That it is gone already is as good.
        let _ = std::fs::remove_file(self.state.join("hooks/vm-up"));
    }
}

fn result(method: &str, answer: &Value) -> Result<Value> {
    if !answer["error"].is_null() {
        bail!("{method}: {}", answer["error"]["message"].as_str().unwrap_or("no message"));
    }
    Ok(answer["result"].clone())
}

/// A server, and what is done in it.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) server_id: String,
    pub(crate) port_id: String,
    pub(crate) address: String,
    enter: PathBuf,
}

impl Machine {
    pub(crate) fn new(lab: &Lab, server_id: &str, port_id: &str, address: &str) -> Self {
        Self {
            server_id: server_id.to_owned(),
            port_id: port_id.to_owned(),
            address: address.to_owned(),
            enter: lab.root.join("lab/inside/in-vm"),
        }
    }

    /// Runs a shell line in it; gives what it printed.
    pub(crate) fn shell(&self, line: &str) -> Result<String> {
        self.shell_with(line, b"")
    }

    /// The same, with standard input.
    pub(crate) fn shell_with(&self, line: &str, input: &[u8]) -> Result<String> {
        let mut child = Command::new(&self.enter)
            .args([&self.server_id, "bash", "-euo", "pipefail", "-c", line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot enter a server")?;
        child.stdin.take().context("no stdin")?.write_all(input)?;
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "in {} ({}): `{line}`: {}{}",
            self.address,
            self.server_id,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Its network namespace.
    pub(crate) fn namespace(&self) -> String {
        format!("vm-{}", self.server_id)
    }

    /// Whether it has the address now. One that is gone has nothing.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let interfaces = || -> Option<bool> {
            let host = Host::of_namespace(&self.namespace(), Path::new("/nonexistent")).ok()?;
            host.inside(|| {
                let mut all = nix::ifaddrs::getifaddrs().ok()?;
                Some(all.any(|interface| {
                    let storage = interface.address;
                    let ipv4 =
                        storage.as_ref().and_then(|a| a.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip())));
                    ipv4 == Some(address)
                }))
            })
            .ok()?
        };
        interfaces().unwrap_or(false)
    }

    /// Switches the hypervisor's end of its link: another cable in another socket is what it feels like.
    pub(crate) fn set_link(&self, up: bool) -> Result<()> {
        let tap = format!("tap{}", self.port_id.get(..11).context("a port id that is too short")?);
        let state = if up { "up" } else { "down" };
        // A server is on one of the two hypervisors: the lab's own namespace, or lab2.
        for namespace in [None, Some("lab2")] {
            let mut command = Command::new("ip");
            if let Some(name) = namespace {
                command.args(["-n", name]);
            }
            if command.args(["link", "set", &tap, state]).stderr(Stdio::null()).status()?.success() {
                return Ok(());
            }
        }
        bail!("{tap} is on no hypervisor")
    }

    /// What a BOSH agent does when it is told to apply: package, job, and what the job needs beside it.
    pub(crate) fn apply(&self, lab: &Lab, rendering: &Value) -> Result<()> {
        self.shell(
            "mkdir -p /var/vcap/jobs /var/vcap/packages/standfast/bin /var/vcap/sys/run/haproxy
             id vcap >/dev/null 2>&1 || useradd --system --no-create-home vcap",
        )?;
        self.unpack("/var/vcap/packages/standfast/bin", &lab.bin, &["standfastd", "standfast"])?;
        let haproxy = format!(
            "global\n  stats socket /var/vcap/sys/run/haproxy/stats.sock mode 600 user vcap level admin\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
             frontend web\n  bind :80\n  default_backend pages\n\
             backend pages\n  server web 127.0.0.1:8000\n\
             frontend health\n  bind 127.0.0.1:8080\n  monitor-uri /health\n\
             frontend page\n  bind 127.0.0.1:8000\n  http-request return status 200 content-type text/plain string \"{}\"\n",
            self.address
        );
        self.shell_with(
            "cat >/var/vcap/haproxy.cfg; haproxy -D -f /var/vcap/haproxy.cfg",
            haproxy.as_bytes(),
        )?;
        self.render(lab, rendering)?;
        self.start()
    }

    /// Renders the job, as the director does, and lays it into the machine in the place of an older one.
    fn render(&self, lab: &Lab, rendering: &Value) -> Result<()> {
        let rendered = lab.output.join("jobs").join(&self.server_id);
        lab.render("keepalived", &rendered.join("keepalived"), rendering)?;
        self.shell("rm -rf /var/vcap/jobs/keepalived")?;
        self.unpack("/var/vcap/jobs", &rendered, &["keepalived"])
    }

    /// Copies files into it, as blobs come to a VM: its file system need not show where ours are.
    fn unpack(&self, into: &str, from: &Path, names: &[&str]) -> Result<()> {
        let packed = Command::new("tar")
            .arg("-C")
            .arg(from)
            .arg("-c")
            .args(names)
            .output()
            .context("cannot run tar")?;
        ensure!(packed.status.success(), "tar: {}", String::from_utf8_lossy(&packed.stderr));
        self.shell_with(&format!("tar -C '{into}' --no-same-owner -x"), &packed.stdout).map(drop)
    }

    /// Other properties: what BOSH does for a change that needs no new VM.
    pub(crate) fn reconfigure(&self, lab: &Lab, rendering: &Value) -> Result<()> {
        self.drain()?;
        self.render(lab, rendering)?;
        self.start()
    }

    /// The job's own life: pre-start, start, post-start.
    pub(crate) fn start(&self) -> Result<()> {
        let bin = "/var/vcap/jobs/keepalived/bin";
        self.shell(&format!("{bin}/pre-start; {bin}/keepalived_ctl start; {bin}/post-start")).map(drop)
    }

    /// What BOSH does before it takes a VM away: drain, then stop.
    pub(crate) fn drain(&self) -> Result<()> {
        let bin = "/var/vcap/jobs/keepalived/bin";
        let said = self.shell(&format!("{bin}/drain"))?;
        ensure!(said.trim() == "0", "drain printed {said:?}");
        self.shell(&format!("{bin}/keepalived_ctl stop")).map(drop)
    }

    /// Keeps the logs before the machine goes.
    pub(crate) fn keep_logs(&self, lab: &Lab, name: &str) {
        // They are for whoever looks afterwards; the story goes on without them.
        if let Ok(text) = self.shell("cat /var/vcap/sys/log/keepalived/*.log 2>/dev/null || true") {
            let _ = std::fs::write(lab.output.join(format!("{name}-{}.log", self.address)), text);
        }
    }
}
