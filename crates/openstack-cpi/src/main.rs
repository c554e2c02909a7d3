//! `openstack_cpi`: what a BOSH director, or `bosh create-env`, runs for each call.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use openstack_cpi::command_line::{self, Command, USAGE};
use openstack_cpi::error::CpiError;
use openstack_cpi::process;

fn main() -> ExitCode {
    let outcome = match command_line::parse(std::env::args_os().skip(1)) {
        Ok(Command::Answer(files)) => process::answer(files),
        Ok(Command::Help) => std::io::stdout().write_all(USAGE.as_bytes()),
        Ok(Command::Version) => {
            std::io::stdout().write_all(concat!("openstack_cpi ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())
        }
        // Whoever calls expects JSON, even of this.
        Err(problem) => process::answer_error(CpiError::unknown(problem)),
    };
    // The director takes the answer, not the exit code.
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
