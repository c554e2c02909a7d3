//! The text of the configuration and places in it.

use serde::Serialize;

/// Reads files for the parser.
pub trait FileLoader {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn read(&self, path: &str) -> Result<String, String>;

    /// The files that a pattern of `include`, found in the file `from`, names, in order.
    ///
    /// # Errors
    /// Why the pattern cannot be followed, in words.
    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, String>;
}

/// A place: a file and the bytes in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Span {
    /// Which file of [`Sources`].
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The files that were read.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(String, String)>);

impl Sources {
    pub(crate) fn add(&mut self, path: &str, text: String) -> u16 {
        self.0.push((path.to_owned(), text));
        u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX)
    }

    pub(crate) fn text(&self, file: u16) -> &str {
        self.0.get(usize::from(file)).map_or("", |(_, text)| text)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing could be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a file.
    pub fn path(&self, file: u16) -> &str {
        self.0.get(usize::from(file)).map_or("?", |(path, _)| path)
    }

    /// Line and column of a place, from 1, and the whole line.
    pub fn locate(&self, span: Span) -> (usize, usize, &str) {
        let text = self.text(span.file);
        let start = usize::try_from(span.start).unwrap_or(0).min(text.len());
        let before = &text.as_bytes()[..start];
        let line = text.get(..start).unwrap_or("").matches('\n').count() + 1;
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let rest = text.get(line_start..).unwrap_or("");
        (line, start - line_start + 1, rest.lines().next().unwrap_or(""))
    }
}
