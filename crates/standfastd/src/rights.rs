//! What each thread of the agent may do, once everything is set up. Rights belong to threads: each keeps what
//! its work takes, and gives up the rest for good.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracking::Spec;
use vrrp_linux::privileges::{Right, give_up_regaining, keep_only, use_rights};

use crate::command_line::CommandLine;
use crate::journal;
use crate::plan::Plan;

/// What the supervisor keeps, and the threads that it starts later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rights {
    /// Programs are started: checks and notify scripts.
    programs: bool,
    /// Files that are ours to read or to remove belong to others.
    files: bool,
}

impl Rights {
    pub(crate) fn needed(plan: &Plan, line: &CommandLine) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let mut files = !may(&line.configuration, uid, 0o4);
        let pid_files = line.further_pid_files.iter().chain([&line.pid_file]);
        for directory in pid_files.filter_map(|path| path.parent()) {
            files |= !may(directory, uid, 0o2);
        }
        for spec in plan.trackers.values() {
            if let Spec::File(file) = spec {
                files |= !may(&file.path, uid, 0o4);
            }
        }
        Self { programs: plan.runs_programs(), files }
    }

    /// In the supervisor's thread, before it starts others.
    pub(crate) fn settle(self) {
        let mut kept = Vec::new();
        if self.programs {
            kept.push(Right::RunAsOthers);
        } else {
            logged(give_up_regaining());
        }
        if self.files {
            kept.push(Right::Files);
        }
        logged(keep_only(&kept));
    }

    /// Whether a changed plan can be run with what was kept.
    ///
    /// # Errors
    /// One line that says what is missing.
    pub(crate) fn suffice(self, plan: &Plan) -> Result<(), String> {
        if plan.runs_programs() && !self.programs && rustix::process::geteuid().is_root() {
            return Err(
                "scripts were added, and this agent gave up the right to run programs as another user \
                        when it started without any; restart it: that hands over without loss"
                    .into(),
            );
        }
        Ok(())
    }
}

/// Whether a user may do that (4 read, 2 write) with a file as its owner or as anybody, and get there.
fn may(path: &Path, uid: u32, what: u32) -> bool {
    let allowed = |path: &Path, what: u32| {
        // What does not exist (yet) is nobody's.
        std::fs::metadata(path).map_or(true, |m| m.uid() == uid || m.mode() & what == what)
    };
    allowed(path, what) && path.ancestors().skip(1).all(|directory| allowed(directory, 0o1))
}

fn logged(result: std::io::Result<()>) {
    if let Err(error) = result {
        journal::warning(&format!("cannot give up privileges: {error}"));
    }
}

/// The protocol thread has its sockets and needs nothing more.
pub(crate) fn of_the_protocol_thread() {
    logged(give_up_regaining());
    logged(keep_only(&[]));
}

/// The kernel worker changes addresses and opens packet sockets.
pub(crate) fn of_the_kernel_worker() {
    logged(give_up_regaining());
    logged(keep_only(&[Right::NetAdmin, Right::NetRaw]));
}

/// Threads that start programs have what the supervisor kept for them.
pub(crate) fn of_who_starts_programs() {
    logged(use_rights(&[Right::RunAsOthers, Right::Files]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_others_is_told_from_ours() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("standfast-rights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("file");
        std::fs::write(&file, "").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        mode(0o600);
        assert!(may(&file, uid, 0o4));
        assert!(!may(&file, uid + 1, 0o4));
        mode(0o644);
        assert!(may(&file, uid + 1, 0o4));
        assert!(!may(&folder, uid + 1, 0o2));
        assert!(may(&folder.join("missing"), uid, 0o4));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
