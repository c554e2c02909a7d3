//! haproxy-boshrelease's `keepalived` job as it lies on a machine: its rendered configuration, its `keepalived_ctl`,
//! and our agent in the place of its package's executable.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};

use crate::host::Host;
use crate::programs;

/// The job on one host. What BOSH has below `/var/vcap` is in a folder of the host.
#[derive(Debug)]
pub struct KeepalivedJob {
    host: Host,
    vcap: PathBuf,
}

impl KeepalivedJob {
    /// Puts the job on a host, with the release's default properties: a job called `haproxy`, VRID 1, the interface
    /// found by the start script. `bootstrap` is the instance that BOSH picks as the first.
    ///
    /// # Errors
    /// If files cannot be written.
    pub fn install(host: &Host, vip: IpAddr, bootstrap: bool) -> Result<Self> {
        let vcap = host.folder().join("vcap");
        let job = Self { host: host.clone(), vcap };
        let folder = |name: &str| -> Result<PathBuf> {
            let path = job.vcap.join(name);
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        let executable = folder("packages/keepalived/sbin")?.join("keepalived");
        fs::copy(programs::agent(), &executable).context("cannot install the agent as keepalived")?;
        fs::write(
            folder("jobs/keepalived/config")?.join("keepalived.config.template"),
            rendered(vip, bootstrap),
        )?;
        let control = folder("jobs/keepalived/bin")?.join("keepalived_ctl");
        fs::write(&control, control_script(&job.vcap, vip))?;
        fs::set_permissions(&control, fs::Permissions::from_mode(0o755))?;
        Ok(job)
    }

    /// Runs `keepalived_ctl start` or `stop` as monit does.
    ///
    /// # Errors
    /// If it fails.
    pub fn control(&self, verb: &str) -> Result<()> {
        let output: Output = self.host.run(self.vcap.join("jobs/keepalived/bin/keepalived_ctl"), &[verb])?;
        ensure!(
            output.status.success(),
            "keepalived_ctl {verb}: {} {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The file that monit looks at.
    pub fn pid_file(&self) -> PathBuf {
        self.run_folder().join("keepalived.pid")
    }

    /// Where the pid files are.
    pub fn run_folder(&self) -> PathBuf {
        self.vcap.join("sys/run/keepalived")
    }

    /// What the agent logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.vcap.join("sys/log/keepalived/keepalived.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `standfast ARGS` for this agent; gives what it printed.
    ///
    /// # Errors
    /// With what it complained of.
    pub fn standfast(&self, args: &[&str]) -> Result<String> {
        let mut all: Vec<_> = args.iter().map(std::ffi::OsString::from).collect();
        all.extend(["--pid-file".into(), self.pid_file().into()]);
        let output = self.host.run(programs::command(), &all)?;
        ensure!(output.status.success(), "standfast {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sends a signal to the agent, by its pid file.
    ///
    /// # Errors
    /// If there is none.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let pid = fs::read_to_string(self.pid_file()).context("the agent has no pid file")?;
        let output = self.host.run("kill", &[&format!("-{signal}"), pid.trim()])?;
        ensure!(output.status.success(), "kill: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// What the job's template gives, to the character: tabs, lines of blanks, `state SLAVE` and all.
pub fn rendered(vip: IpAddr, bootstrap: bool) -> String {
    let (state, priority) = if bootstrap { ("MASTER", 101) } else { ("SLAVE", 100) };
    format!(
        "global_defs {{\n\t# Keepalived process identifier\n\tlvs_id haproxy\n}}\n# Healthcheck test to be performed, if rc \
         is different than 0, new master election is required between all the remaining nodes\nvrrp_script \
         check_haproxy {{\n\tscript \"killall -0 haproxy\"\n\tinterval 2\n\tweight 2\n}}\n# Virtual interface\n# The \
         priority specifies the order in which the assigned interface to take over in a failover\nvrrp_instance \
         haproxy_check_haproxy {{\n\t\n\tstate {state}\n\tpriority {priority}\n\t\n        \n\tinterface auto\n\t\
         virtual_router_id 1\n# The virtual ip address shared between the two loadbalancers\n\tvirtual_ipaddress \
         {{\n\t\t{vip}\n\t}}\n\ttrack_script {{\n\t\tcheck_haproxy\n\t}}\n}}\n"
    )
}

/// The life-cycle of the release's `keepalived_ctl`: the interface whose network holds the address replaces `auto`,
/// the same options, the same pid files; stop reads every one of them.
fn control_script(vcap: &Path, vip: IpAddr) -> String {
    let vcap = vcap.display();
    // The first three parts of the address tell the networks of the testbed apart.
    format!(
        r#"#!/bin/bash
RUN={vcap}/sys/run/keepalived
LOG={vcap}/sys/log/keepalived
CONFIG={vcap}/jobs/keepalived/config/keepalived.config
case $1 in
start)
  mkdir -p $RUN $LOG
  vip={vip}
  interface=$(ip route show scope link | awk -v net="${{vip%.*}}." 'index($1, net) == 1 {{ print $3; exit }}')
  [ -n "$interface" ] || {{ echo "Could not autodetect interface to use for $vip. Cannot continue."; exit 1; }}
  sed "s/interface auto/interface $interface/" $CONFIG.template > $CONFIG
  {vcap}/packages/keepalived/sbin/keepalived -l -D -n -f $CONFIG \
    --pid=$RUN/keepalived.pid --vrrp_pid=$RUN/vrrp.pid --checkers_pid=$RUN/checkers.pid \
    >> $LOG/keepalived.log 2>&1 &
  ;;
stop)
  for file in $RUN/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat $file)
    kill $pid 2>/dev/null
    for _ in $(seq 250); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
    kill -9 $pid 2>/dev/null
    rm -f $file
  done
  ;;
*) echo "Usage: $0 {{start|stop}}"; exit 1 ;;
esac
"#
    )
}
