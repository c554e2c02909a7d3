//! Findings for people.

use std::fmt::Write as _;

use keepalived_conf::Severity;

use crate::Finding;

/// The word for a severity.
const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "ERROR",
        Severity::Warning => "WARNING",
        Severity::Note => "note",
    }
}

/// All of them, and a last line that sums up.
pub fn findings(findings: &[Finding], examined: &[String]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for finding in findings {
        let _ = writeln!(
            text,
            "{} [{}] {}: {}",
            word(finding.severity),
            finding.pitfall.id,
            finding.about,
            finding.cause
        );
        let _ = writeln!(text, "  you see   {}", finding.symptom);
        for evidence in &finding.evidence {
            let _ = writeln!(text, "  {:<9} {}", evidence.source.name(), evidence.text);
        }
        for mend in &finding.mends {
            let _ = writeln!(text, "  mend      {}", mend.text);
            for line in mend.command.lines() {
                let _ = writeln!(text, "            {line}");
            }
        }
        let _ = writeln!(text, "  more      {}\n", finding.documentation);
    }
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let _ = writeln!(
        text,
        "examined: {}",
        if examined.is_empty() { "nothing".to_owned() } else { examined.join("; ") }
    );
    let _ = writeln!(
        text,
        "{} errors, {} warnings, {} notes",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    text
}
