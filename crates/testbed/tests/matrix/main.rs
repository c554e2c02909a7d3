//! The agent beside its real peers: version x family x transport x checksum form x role x event, each judged by a
//! capture, by `ip address`, by a client that asks all the time, and by our own JSON.
//!
//! `cargo test -p testbed --test matrix -- FILTER` runs some; `--list` names all; `--test-threads` says how many
//! at a time (they mostly sleep).
#![forbid(unsafe_code)]

mod drop_in;
mod events;
mod frr;
mod ourselves;
mod scene;
mod setup;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use testbed::{ChecksumForm, Kind, enclosure, programs};

use crate::events::Event;
use crate::scene::Scene;
use crate::setup::{Role, Setup};

/// Cases that run at the same time if nobody says otherwise.
const AT_A_TIME: usize = 6;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Listing needs neither namespaces nor executables.
    if !arguments.list
        && let Err(error) = enclosure::enter()
    {
        eprintln!("no matrix: {error:#}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads.get_or_insert(AT_A_TIME);
    let knows_message_form = programs::find("keepalived", "keepalived")
        .and_then(|program| Ok(std::fs::read(program)?))
        .is_ok_and(|bytes| bytes.windows(17).any(|word| word == b"v3_checksum_as_v2"));
    if !knows_message_form {
        eprintln!("note: this keepalived does not know v3_checksum_as_v2; its rows of that form are ignored");
    }
    let mut trials = Vec::new();
    for setup in Setup::all() {
        // A keepalived that does not know the form drops such adverts; the form is tried between ourselves then.
        let unknown = setup.checksum == Some(ChecksumForm::Message) && !knows_message_form;
        for role in [Role::OursActive, Role::TheirsActive] {
            for event in Event::ALL.into_iter().filter(|event| event.applies(role)) {
                trials.push(case(Kind::Keepalived, setup, role, event).with_ignored_flag(unknown));
            }
        }
    }
    trials.extend(frr::trials());
    trials.extend(ourselves::trials());
    trials.extend(drop_in::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// One row of the matrix.
fn case(peer: Kind, setup: Setup, role: Role, event: Event) -> Trial {
    let name = format!("{}/{setup}/{}/{event}", format!("{peer:?}").to_lowercase(), role.word());
    trial(name.clone(), move || Scene::new(&name, peer, setup, role), move |scene| event.run(scene))
}

/// A case with its scene; what it saw is printed if it fails.
fn trial(
    name: String,
    prepare: impl FnOnce() -> anyhow::Result<Scene> + Send + 'static,
    act: impl FnOnce(&mut Scene) -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    Trial::test(name, move || {
        let mut scene = prepare().map_err(|error| Failed::from(format!("{error:#}")))?;
        act(&mut scene).map_err(|error| Failed::from(format!("{error:#}\n{}", scene.evidence())))
    })
}
