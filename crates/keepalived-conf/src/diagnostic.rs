//! What is wrong with a configuration, or worth knowing of it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::source::{Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts with this.
    Error,
    /// It starts, but not as somebody may think.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// A stable name for the kind of finding.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, naming the value.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What mends it.
    pub help: Option<String>,
    /// Another place that has to do with it, and what.
    pub related: Option<(Span, String)>,
}

impl Diagnostic {
    pub(crate) fn new(severity: Severity, id: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { id, severity, message: message.into(), span, help: None, related: None }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related = Some((span, text.into()));
        self
    }

    /// One line: `FILE:LINE:COLUMN: error[id]: message; mend`.
    pub fn concise(&self, sources: &Sources) -> String {
        let (line, column, _) = sources.locate(self.span);
        let mut text = format!(
            "{}:{line}:{column}: {}[{}]: {}",
            sources.path(self.span.file),
            self.severity.word(),
            self.id,
            self.message
        );
        if let Some(help) = &self.help {
            let _ = write!(text, "; {help}");
        }
        text
    }

    /// Several lines, with the line of the configuration and the place marked.
    pub fn render(&self, sources: &Sources) -> String {
        let mut text = format!("{}[{}]: {}\n", self.severity.word(), self.id, self.message);
        mark(&mut text, sources, self.span, "-->", "");
        if let Some((span, label)) = &self.related {
            mark(&mut text, sources, *span, ":::", label);
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "     = help: {help}");
        }
        text
    }
}

fn mark(text: &mut String, sources: &Sources, span: Span, arrow: &str, label: &str) {
    let (line, column, content) = sources.locate(span);
    let path = sources.path(span.file);
    let width = usize::try_from(span.end.saturating_sub(span.start)).unwrap_or(1);
    let width = width.clamp(1, content.len().saturating_sub(column - 1).max(1));
    // Tabs stay tabs, so that the mark stands under its word.
    let indent: String =
        content.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "    {arrow} {path}:{line}:{column}");
    let _ = writeln!(text, "{line:>4} | {content}");
    let _ = writeln!(text, "     | {indent}{} {label}", "^".repeat(width));
}

/// The candidate that `word` was most likely meant to be.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).clamp(1, 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits from one word to the other (Levenshtein), a swap of neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_far_one_is_not() {
        let words = ["priority", "preempt_delay", "virtual_ipaddress"];
        assert_eq!(did_you_mean("priorty", words.into_iter()), Some("priority"));
        assert_eq!(did_you_mean("virtual_ipadress", words.into_iter()), Some("virtual_ipaddress"));
        assert_eq!(did_you_mean("banana", words.into_iter()), None);
    }
}
