//! `standfast check`: what is wrong with a configuration.

use std::path::Path;
use std::process::ExitCode;

use keepalived_conf::FileLoader;

struct Files;

impl FileLoader for Files {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String> {
        let base = Path::new(from).parent().unwrap_or(Path::new("."));
        Ok(vec![base.join(pattern).display().to_string()])
    }
}

pub(crate) fn run(file: &Path, config_id: Option<&str>, json: bool) -> ExitCode {
    let outcome = keepalived_conf::parse(&file.display().to_string(), &Files, config_id);
    if json {
        crate::print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&outcome.diagnostics).unwrap_or_default()
        ));
    } else {
        for diagnostic in &outcome.diagnostics {
            crate::print(&diagnostic.render(&outcome.sources));
        }
    }
    if outcome.diagnostics.iter().any(|d| d.id == "cannot-read") {
        return ExitCode::from(4);
    }
    if outcome.has_errors() {
        return ExitCode::from(5);
    }
    if !json {
        let count = outcome.configuration.map_or(0, |c| c.instances.len());
        crate::print(&format!("{}: good, {count} virtual router(s)\n", file.display()));
    }
    ExitCode::SUCCESS
}
