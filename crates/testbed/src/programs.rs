//! Where the executables under test are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The agent; the environment variable names it.
pub(crate) const AGENT: &str = "STANDFASTD";
/// The operator's command; the environment variable names it.
pub(crate) const COMMAND: &str = "STANDFAST";

/// The agent's executable. `$STANDFASTD`, which [`crate::enclosure::enter`] sets if nobody did.
pub fn agent() -> PathBuf {
    env::var_os(AGENT).map_or_else(|| "standfastd".into(), PathBuf::from)
}

/// The command's executable. `$STANDFAST`, likewise.
pub fn command() -> PathBuf {
    env::var_os(COMMAND).map_or_else(|| "standfast".into(), PathBuf::from)
}

/// Paths of the agent and the command: as the environment says, else built now beside this executable and of
/// the same profile, so that a test never runs an executable older than the code.
pub(crate) fn locate() -> Result<(PathBuf, PathBuf)> {
    if let (Some(agent), Some(command)) = (env::var_os(AGENT), env::var_os(COMMAND)) {
        return Ok((absolute(Path::new(&agent))?, absolute(Path::new(&command))?));
    }
    let ourselves = env::current_exe().context("where am I?")?;
    // target/PROFILE/NAME, or target/PROFILE/deps/NAME for a test.
    let folder = ourselves
        .ancestors()
        .skip(1)
        .find(|folder| folder.file_name().is_some_and(|name| name != "deps" && name != "examples"))
        .context("this executable is in no folder")?;
    let profile = if folder.ends_with("release") { "release" } else { "dev" };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "-p", "standfastd", "-p", "standfast"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()
        .context("cannot run cargo to build the agent")?;
    ensure!(
        built.success(),
        "cargo could not build standfastd and standfast; or name them with {AGENT} and {COMMAND}"
    );
    Ok((absolute(&folder.join("standfastd"))?, absolute(&folder.join("standfast"))?))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("{} is not there", path.display()))
}

/// Finds a program on the path and where Debian puts those that only root is to run.
///
/// # Errors
/// If it is nowhere; the error names Debian's package.
pub fn find(name: &str, package: &str) -> Result<PathBuf> {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/frr"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| Path::is_file(path))
        .with_context(|| format!("{name} is missing: apt-get install {package}"))
}
