//! keepalived's command line, so that whatever starts keepalived starts this agent.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};

/// Where the configuration is looked for if none is named, the first that exists.
const DEFAULT_CONFIGURATIONS: [&str; 2] =
    ["/etc/standfast/standfastd.conf", "/etc/keepalived/keepalived.conf"];
/// Where the pid goes if no file is named.
const DEFAULT_PID_FILE: &str = "/run/standfast/standfastd.pid";

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Task {
    /// Run the agent.
    Run,
    /// Check the configuration and say what is wrong with it (`-t`).
    Check,
    /// Print the version (`-v`).
    Version,
    /// Print the options (`-h`).
    Help,
    /// Print the number of a signal (`--signum`).
    Signum(String),
}

/// The command line, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CommandLine {
    pub(crate) task: Task,
    pub(crate) configuration: PathBuf,
    /// Pid files: the main one, which is locked, and keepalived's further ones.
    pub(crate) pid_file: PathBuf,
    pub(crate) further_pid_files: Vec<PathBuf>,
    /// Stay in the foreground (`-n`).
    pub(crate) foreground: bool,
    /// Log to stderr (`-l`).
    pub(crate) log_to_stderr: bool,
    /// Log what is told once only, too (`-D`).
    pub(crate) detailed: bool,
    pub(crate) log_facility: u8,
    /// `-i`: which lines of the configuration count.
    pub(crate) config_id: Option<String>,
    /// `-s`: the network namespace to work in.
    pub(crate) network_namespace: Option<String>,
    /// `-V`: leave the addresses on exit.
    pub(crate) keep_addresses: bool,
    /// Options that were taken and mean nothing here, to be said once the log is open.
    pub(crate) ignored: Vec<&'static str>,
    /// Set by ourselves when we started ourselves anew in the background.
    pub(crate) detached: bool,
}

pub(crate) const HELP: &str = "\
standfastd: VRRP agent, a drop-in for keepalived's VRRP half

Usage: standfastd [OPTIONS]

  -f, --use-file FILE       configuration (default: /etc/standfast/standfastd.conf,
                            else /etc/keepalived/keepalived.conf)
  -t, --config-test[=FILE]  check the configuration and exit: 0 good, 4 unreadable,
                            5 has errors
  -n, --dont-fork           stay in the foreground
  -l, --log-console         log to stderr instead of syslog
  -D, --log-detail          log details
  -S, --log-facility 0-7    syslog facility LOG_LOCAL0 to 7 (default: daemon)
  -p, --pid FILE            pid file (locked: one agent for each)
  -r, --vrrp_pid FILE       a further pid file, for keepalived's scripts
  -c, --checkers_pid FILE   likewise
  -b, --bfd_pid FILE        likewise
  -s, --namespace NAME      run in this network namespace
  -i, --config-id ID        configuration lines marked @ID count
  -V, --dont-release-vrrp   leave the addresses on the interfaces on exit
      --signum=NAME         print the number of a signal: RELOAD STOP DATA STATS
  -v, --version             print the version
  -h, --help                print this

Signals: HUP reload, TERM or INT hand over and stop, USR1 write the state to
keepalived.data, USR2 write the counters to keepalived.stats.
";

impl CommandLine {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// One line that names the option and what to do.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut line = Self {
            task: Task::Run,
            configuration: PathBuf::new(),
            pid_file: PathBuf::from(DEFAULT_PID_FILE),
            further_pid_files: Vec::new(),
            foreground: false,
            log_to_stderr: false,
            detailed: false,
            log_facility: 3,
            config_id: None,
            network_namespace: None,
            keep_addresses: false,
            ignored: Vec::new(),
            detached: false,
        };
        let mut configuration = None;
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|e| describe(&e))? {
            let value = |parser: &mut lexopt::Parser| parser.value().map_err(|e| describe(&e));
            match arg {
                Short('f') | Long("use-file") => configuration = Some(PathBuf::from(value(&mut parser)?)),
                Short('t') | Long("config-test") => {
                    line.task = Task::Check;
                    if let Some(file) = parser.optional_value() {
                        configuration = Some(PathBuf::from(file));
                    }
                }
                Short('n') | Long("dont-fork") => line.foreground = true,
                Short('l' | 'G') | Long("log-console" | "no-syslog") => line.log_to_stderr = true,
                Short('D') | Long("log-detail") => line.detailed = true,
                Short('S') | Long("log-facility") => {
                    let given = value(&mut parser)?;
                    let local: u8 =
                        given.parse().ok().filter(|n| *n <= 7).ok_or_else(|| {
                            format!("-S {}: a number from 0 to 7 is needed", given.display())
                        })?;
                    line.log_facility = 16 + local;
                }
                Short('p') | Long("pid") => line.pid_file = PathBuf::from(value(&mut parser)?),
                Short('r' | 'c' | 'b') | Long("vrrp_pid" | "checkers_pid" | "bfd_pid") => {
                    line.further_pid_files.push(PathBuf::from(value(&mut parser)?));
                }
                Short('s') | Long("namespace") => {
                    line.network_namespace = Some(text(value(&mut parser)?, "-s")?);
                }
                Short('i') | Long("config-id") => line.config_id = Some(text(value(&mut parser)?, "-i")?),
                Short('V') | Long("dont-release-vrrp") => line.keep_addresses = true,
                Long("signum") => line.task = Task::Signum(text(value(&mut parser)?, "--signum")?),
                Long("detached") => line.detached = true,
                Short('v') | Long("version") => line.task = Task::Version,
                Short('h') | Long("help") => line.task = Task::Help,
                // What keepalived has for its other halves, or what is always so here.
                Short('P' | 'C' | 'B') | Long("vrrp" | "check" | "no_bfd") => {}
                Short('d') | Long("dump-conf") => line.ignored.push("-d (dump-conf)"),
                Short('R') | Long("dont-respawn") => line.ignored.push("-R (dont-respawn: one process)"),
                Short('I') | Long("dont-release-ipvs") => {
                    line.ignored.push("-I (dont-release-ipvs: no IPVS)");
                }
                Short('X') | Long("release-vips") => line.ignored.push("-X (release-vips: always so)"),
                Short('m') | Long("core-dump") => line.ignored.push("-m (core-dump)"),
                Short('x') | Long("snmp") => {
                    return Err("-x: SNMP is not built yet; leave the option out".into());
                }
                other => {
                    return Err(format!(
                        "{}; `standfastd --help` lists the options",
                        describe(&other.unexpected())
                    ));
                }
            }
        }
        line.configuration = configuration.unwrap_or_else(|| {
            let mut candidates = DEFAULT_CONFIGURATIONS.into_iter().map(PathBuf::from);
            candidates.find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIGURATIONS[0]))
        });
        Ok(line)
    }
}

fn text(value: OsString, option: &str) -> Result<String, String> {
    value.into_string().map_err(|value| format!("{option} {}: not valid UTF-8", value.display()))
}

fn describe(error: &lexopt::Error) -> String {
    error.to_string()
}

/// The signals that `--signum` names, with keepalived's names.
pub(crate) fn signum(name: &str) -> Option<i32> {
    Some(match name {
        "RELOAD" | "HUP" => 1,
        "STOP" | "TERM" => 15,
        "DATA" | "USR1" => 10,
        "STATS" | "USR2" => 12,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<CommandLine, String> {
        CommandLine::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn haproxy_boshrelease_keepalived_ctl_starts_us() {
        let run = "/var/vcap/sys/run/keepalived";
        let line = parse(&[
            "-l",
            "-D",
            "-n",
            "-f",
            "/var/vcap/jobs/keepalived/config/keepalived.config",
            &format!("--pid={run}/keepalived.pid"),
            &format!("--vrrp_pid={run}/vrrp.pid"),
            &format!("--checkers_pid={run}/checkers.pid"),
        ])
        .unwrap();
        assert_eq!(line.task, Task::Run);
        assert!(line.foreground && line.log_to_stderr && line.detailed);
        assert_eq!(line.pid_file, PathBuf::from(format!("{run}/keepalived.pid")));
        assert_eq!(line.further_pid_files.len(), 2);
    }

    #[test]
    fn neutron_l3_agent_starts_us() {
        let line = parse(&["-P", "-f", "k.conf", "-p", "k.pid", "-r", "k.pid-vrrp", "-D"]).unwrap();
        assert!(!line.foreground);
        assert_eq!(line.further_pid_files, [PathBuf::from("k.pid-vrrp")]);
    }

    #[test]
    fn config_test_takes_its_file_either_way() {
        assert_eq!(parse(&["-t", "-f", "a.conf"]).unwrap().configuration, PathBuf::from("a.conf"));
        let line = parse(&["--config-test=b.conf"]).unwrap();
        assert_eq!((line.task, line.configuration), (Task::Check, PathBuf::from("b.conf")));
    }

    #[test]
    fn an_unknown_option_is_named() {
        let error = parse(&["--frobnicate"]).unwrap_err();
        assert!(error.contains("--frobnicate") && error.contains("--help"), "{error}");
    }
}
