//! How a program of somebody else's is started: without our privileges, groups, environment and descriptors.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Where programs without a path are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command in a process group of its own, in `/`, with nothing on its standard streams, an environment of
/// `PATH` alone, and as `user` (user and group id) with no supplementary group; `None` leaves it ours.
///
/// `None` if there is no program.
pub fn bounded_command(words: &[String], user: Option<(u32, u32)>) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.current_dir("/").process_group(0);
    if let Some((uid, gid)) = user {
        // Before it becomes `uid`, the standard library gives up every supplementary group of root's.
        command.uid(uid).gid(gid);
    }
    Some(command)
}
