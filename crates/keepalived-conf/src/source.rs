//! The text of the configuration and places in it.

use serde::Serialize;

/// What is known of a program that a script names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// Nobody looked.
    NotLookedFor,
    /// It can be run.
    Runs {
        /// Somebody who is neither root nor its user may write it, or the directory it is in.
        writable_by_others: bool,
    },
    /// There is no such file.
    Missing,
    /// It is there, but may not be executed.
    NotExecutable,
}

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

    /// What is known of a program: a path, or a name that is looked for where programs are.
    fn program(&self, _name: &str) -> Program {
        Program::NotLookedFor
    }
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

    /// The text of a file.
    pub fn text(&self, file: u16) -> &str {
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

    /// Line and column (in characters) of a place, from 1, and the whole line.
    pub fn locate(&self, span: Span) -> (usize, usize, &str) {
        let text = self.text(span.file);
        let start = text.floor_char_boundary(usize::try_from(span.start).unwrap_or(usize::MAX));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let content = text[line_start..].lines().next().unwrap_or("");
        (line, before[line_start..].chars().count() + 1, content)
    }
}
