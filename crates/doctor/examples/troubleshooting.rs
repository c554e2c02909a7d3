//! Writes `docs/troubleshooting.md` from the doctor's catalogue.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md");
    std::fs::write(path, doctor::catalogue::page())?;
    writeln!(io::stdout(), "written")
}
