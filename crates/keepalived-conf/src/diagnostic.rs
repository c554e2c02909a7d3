//! What is wrong with a configuration, or worth knowing of it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::reader::is_secret;
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

/// More than this is no help to anybody.
const MOST: usize = 200;

/// What has been found so far.
#[derive(Default, Debug)]
pub(crate) struct Findings {
    list: Vec<Diagnostic>,
    error: bool,
    left_out: usize,
    /// Lines that could not be read, so that nothing that follows from it is said.
    unread: Vec<Span>,
}

impl Findings {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        // The first error is never left out: it decides whether there is a configuration.
        let error = diagnostic.severity == Severity::Error;
        let within = |line: &Span| {
            line.file == diagnostic.span.file && (line.start..line.end).contains(&diagnostic.span.start)
        };
        if self.unread.iter().any(within) {
            return;
        }
        if self.full() && (self.error || !error) {
            self.left_out += 1;
            return;
        }
        self.error |= error;
        self.list.push(diagnostic);
    }

    /// Has an error of a line be the only one told of it.
    pub(crate) fn unread(&mut self, line: Span) {
        if self.unread.len() < MOST {
            self.unread.push(line);
        }
    }

    /// Whether there are so many that no work should go into more.
    pub(crate) fn full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// Whether there was nothing to read.
    pub(crate) fn unreadable(&self) -> bool {
        self.list.iter().any(|d| d.id == "cannot-read")
    }

    /// In the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        if self.left_out > 0
            && let Some(last) = self.list.iter().map(|d| d.span).max()
        {
            let message = format!("{} more findings are not shown", self.left_out);
            self.list.push(Diagnostic::new(Severity::Note, "more", last, message));
        }
        self.list.sort_by(|a, b| a.span.cmp(&b.span).then(a.severity.cmp(&b.severity)));
        self.list.dedup();
        self.list
    }
}

/// A finding with its place in words, for machines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report<'a> {
    /// A stable name for the kind of finding.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: &'a str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The bytes of the file, from 0, the end not included.
    pub bytes: [u32; 2],
    /// What is wrong, and why.
    pub message: &'a str,
    /// What mends it.
    pub help: Option<&'a str>,
    /// Another place that has to do with it.
    pub related: Option<Related<'a>>,
}

/// The other place of a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Related<'a> {
    /// The file.
    pub file: &'a str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is there.
    pub message: &'a str,
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

    /// The same for machines.
    pub fn report<'a>(&'a self, sources: &'a Sources) -> Report<'a> {
        let (line, column, _) = sources.locate(self.span);
        Report {
            id: self.id,
            severity: self.severity,
            file: sources.path(self.span.file),
            line,
            column,
            bytes: [self.span.start, self.span.end],
            message: &self.message,
            help: self.help.as_deref(),
            related: self.related.as_ref().map(|(span, message)| {
                let (line, column, _) = sources.locate(*span);
                Related { file: sources.path(span.file), line, column, message }
            }),
        }
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
    let content = shown(content);
    let path = sources.path(span.file);
    let marked = sources.text(span.file).get(to_usize(span.start)..to_usize(span.end)).unwrap_or("");
    let width = marked.lines().next().unwrap_or("").chars().count();
    let width = width.clamp(1, content.chars().count().saturating_sub(column - 1).max(1));
    // Tabs stay tabs, so that the mark stands under its word.
    let indent: String =
        content.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let label = if label.is_empty() { String::new() } else { format!(" {label}") };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "    {arrow} {path}:{line}:{column}");
    let _ = writeln!(text, "{line:>4} | {content}");
    let _ = writeln!(text, "     | {indent}{}{label}", "^".repeat(width));
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A line as it may be shown: control characters replaced, a password covered.
fn shown(line: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    if !is_secret(line) {
        return line.chars().map(visible).collect();
    }
    let mut words = 0;
    let mut blank = true;
    line.chars()
        .map(|c| {
            if c.is_whitespace() || c == '{' || c == '}' {
                blank = true;
                return visible(c);
            }
            words += usize::from(std::mem::replace(&mut blank, false));
            // The keyword may be seen, nothing behind it.
            if words > 1 { '*' } else { c }
        })
        .collect()
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
