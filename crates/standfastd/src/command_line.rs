//! keepalived's command line, so that whatever starts keepalived starts this agent.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short};

/// Where the configuration is looked for if none is named, the first that exists.
const DEFAULT_CONFIGURATIONS: [&str; 2] =
    ["/etc/standfast/standfastd.conf", "/etc/keepalived/keepalived.conf"];
/// Where the pid goes if no file is named.
const DEFAULT_PID_FILE: &str = "/run/standfast/standfastd.pid";

/// syslog's facility `daemon`.
const DAEMON: u8 = 3;

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
    /// `-u`.
    pub(crate) umask: Option<u32>,
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
  -S, --log-facility NAME   syslog facility: 0-7, local0-7, user, daemon (default)
  -G, --no-syslog           log to stderr
  -u, --umask MASK          of files that are made, octal
  -p, --pid FILE            pid file (locked: one agent for each)
  -r, --vrrp_pid FILE       a further pid file, for keepalived's scripts
  -c, --checkers_pid FILE   likewise
  -b, --bfd_pid FILE        likewise
  -s, --namespace NAME      run in this network namespace
  -i, --config-id ID        configuration lines marked @ID count
  -V, --dont-release-vrrp   leave the addresses on the interfaces on exit
      --signum=NAME         print the number of a signal: RELOAD STOP DATA STATS JSON
  -v, --version             print the version
  -h, --help                print this

keepalived's options for what is not here or always so are accepted: -P -C -B
-d -R -I -X -m -M -a -e --all.

Signals: HUP reload, TERM or INT hand over and stop; USR1, USR2 and JSON write
the state, the counters and both as JSON to state_dump_file, stats_dump_file and
json_dump_file, by default beside the control socket. Exit codes: 0 stopped,
1 cannot run, 2 the configuration has errors.
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
            log_facility: DAEMON,
            umask: None,
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
                    let given = text(value(&mut parser)?, "-S")?;
                    line.log_facility = facility(&given).ok_or_else(|| {
                        format!("-S {given}: 0 to 7, local0 to local7, user or daemon is needed")
                    })?;
                }
                Short('u') | Long("umask") => {
                    let given = text(value(&mut parser)?, "-u")?;
                    let mask = u32::from_str_radix(&given, 8).ok().filter(|mask| *mask <= 0o777);
                    line.umask =
                        Some(mask.ok_or_else(|| format!("-u {given}: an octal mask to 777 is needed"))?);
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
                Short('P' | 'C' | 'B') | Long("vrrp" | "check" | "no_bfd" | "all" | "perf" | "debug") => {}
                Short('d') | Long("dump-conf") => line.ignored.push("-d (dump-conf)"),
                Short('R') | Long("dont-respawn") => line.ignored.push("-R (dont-respawn: one process)"),
                Short('I') | Long("dont-release-ipvs") => {
                    line.ignored.push("-I (dont-release-ipvs: no IPVS)");
                }
                Short('X') | Long("release-vips") => line.ignored.push("-X (release-vips: always so)"),
                Short('m') | Long("core-dump") => line.ignored.push("-m (core-dump)"),
                Short('M') | Long("core-dump-pattern") => {
                    value(&mut parser)?;
                    line.ignored.push("-M (core-dump-pattern)");
                }
                Short('a') | Long("address-monitoring") => {
                    line.ignored.push("-a (address-monitoring: changes of our addresses are always told)");
                }
                Short('e') | Long("all-config") => {
                    line.ignored.push("-e (all-config: a missing file is always an error)");
                }
                Short('x' | 'A') | Long("snmp" | "snmp-agent-socket") => {
                    return Err("-x, -A: SNMP is not built yet; leave the option out".into());
                }
                Short('T') | Long("genhash") => {
                    return Err(
                        "-T: genhash belongs to keepalived's checkers, which are not part of this".into()
                    );
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

/// syslog's number of a facility.
fn facility(name: &str) -> Option<u8> {
    match name {
        "user" => Some(1),
        "daemon" => Some(DAEMON),
        _ => name.trim_start_matches("local").parse().ok().filter(|n: &u8| *n <= 7).map(|n| 16 + n),
    }
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
        "JSON" => crate::supervisor::SIGJSON,
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
    fn facilities_are_named_as_keepalived_names_them() {
        let facility = |name: &str| parse(&["-S", name]).map(|line| line.log_facility);
        for (name, number) in [("0", 16), ("7", 23), ("local3", 19), ("user", 1), ("daemon", 3)] {
            assert_eq!(facility(name), Ok(number));
        }
        assert!(facility("8").is_err());
    }

    #[test]
    fn an_unknown_option_is_named() {
        let error = parse(&["--frobnicate"]).unwrap_err();
        assert!(error.contains("--frobnicate") && error.contains("--help"), "{error}");
    }
}
