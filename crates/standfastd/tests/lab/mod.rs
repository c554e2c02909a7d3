//! A LAN of network namespaces for one test, as a shell script that ends with it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// Shell functions that the scripts below use.
const TOOLS: &str = r#"
# wait_log FILE TEXT: until it is in the log, 10 s at most
wait_log() {
  for _ in $(seq 500); do grep -qF -e "$2" "$1" && return 0; sleep 0.02; done
  echo "'$2' is not in $1" >&2; return 1
}
# wait_for COMMAND...: until it succeeds, 10 s at most
wait_for() { for _ in $(seq 500); do "$@" >/dev/null 2>&1 && return 0; sleep 0.02; done; echo "not so: $*" >&2; return 1; }
# stat_of NAME KEY: from the JSON that the agent in $A dumps
has_json() { ls /run/standfast/*.json; }
stat_of() {
  rm -f /run/standfast/*.json; kill -36 "$A"; wait_for has_json
  tr '{' '\n' < "$(ls /run/standfast/*.json)" | grep -A1 "\"iname\":\"$1\"" | grep -o "\"$2\":[^,}]*" | cut -d: -f2
}
# instance NAME VRID PRIORITY ADDRESS EXTRA
instance() {
  echo "vrrp_instance $1 {"
  printf '  interface eth0\n  version 3\n  advert_int 0.1\n'
  echo "  virtual_router_id $2"
  echo "  priority $3"
  printf '  virtual_ipaddress {\n    %s\n  }\n%s\n}\n' "$4" "${5:-}"
}
"#;

/// Runs a script that uses them and gives the lines that it printed.
pub(crate) fn run(name: &str, script: &str) -> Vec<String> {
    lab(name, &format!("{TOOLS}\n{script}")).lines().map(str::to_owned).collect()
}

/// The operator's command, beside the agent; built if it is not there.
fn command() -> PathBuf {
    static BUILT: Once = Once::new();
    let command = PathBuf::from(env!("CARGO_BIN_EXE_standfastd")).with_file_name("standfast");
    BUILT.call_once(|| {
        if !command.exists() {
            let status = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "standfast"]).status();
            assert!(status.unwrap().success(), "standfast cannot be built");
        }
    });
    command
}

/// Runs a script behind `lan.sh` and gives what it printed.
fn lab(name: &str, script: &str) -> String {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab");
    let folder = std::env::temp_dir().join(format!("standfast-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let whole = format!(
        "source {here}/lan.sh\nSF={}\nCTL={}\nKA=keepalived\nT={}\n{script}",
        env!("CARGO_BIN_EXE_standfastd"),
        command().display(),
        folder.display()
    );
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]);
    let output = command.args(["timeout", "60", "bash", "-c", &whole]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let logs: String = ["a", "b"]
        .iter()
        .map(|h| {
            std::fs::read(folder.join(format!("{h}.conf.log")))
                .map(|b| String::from_utf8_lossy(&b).into_owned())
                .unwrap_or_default()
        })
        .collect::<Vec<_>>()
        .join("---\n");
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}\nlogs:\n{logs}", output.status);
    // What a failed test leaves is there to be read; a good one leaves nothing.
    std::fs::remove_dir_all(&folder).unwrap();
    out.into_owned()
}
