//! A LAN of network namespaces for one test, as a shell script that ends with it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

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
pub(crate) fn lab(name: &str, script: &str) -> String {
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
