//! A line on its way through the reader: its text now, and where each piece of it came from.

use std::ops::Range;

use crate::source::Span;

/// Where a piece of a line came from.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where it starts in the line's text.
    at: usize,
    /// Where it stands in the sources.
    span: Span,
    /// Byte for byte, or put in for what stands there.
    literal: bool,
}

/// A line of text, or what became of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) text: String,
    pieces: Vec<Piece>,
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Line {
    /// Where a part of a line is that starts at `start` of a file.
    pub(crate) fn place(file: u16, start: usize, part: &Range<usize>) -> Span {
        Span { file, start: narrow(start + part.start), end: narrow(start + part.end) }
    }

    /// A line as it stands in a file.
    pub(crate) fn from_source(text: &str, file: u16, start: usize) -> Self {
        let span = Span { file, start: narrow(start), end: narrow(start + text.len()) };
        Self { text: text.to_owned(), pieces: vec![Piece { at: 0, span, literal: true }] }
    }

    /// Text that stands for what is at `span`.
    pub(crate) fn in_place_of(text: String, span: Span) -> Self {
        Self { text, pieces: vec![Piece { at: 0, span, literal: false }] }
    }

    /// Where a part of it came from.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let start = self.origin(range.start, false);
        let end = self.origin(range.end.saturating_sub(1).max(range.start), true);
        let end = if end.file == start.file && end.end > start.start { end.end } else { start.end };
        Span { end, ..start }
    }

    /// The place of one byte; with `last` the end of it counts.
    fn origin(&self, at: usize, last: bool) -> Span {
        let index = self.pieces.partition_point(|piece| piece.at <= at);
        let Some(piece) = self.pieces.get(index.saturating_sub(1)) else { return Span::default() };
        if !piece.literal {
            return piece.span;
        }
        let start = piece.span.start.saturating_add(narrow(at - piece.at)).min(piece.span.end);
        let end = start.saturating_add(u32::from(last)).min(piece.span.end);
        Span { file: piece.span.file, start, end: if last { end } else { piece.span.end } }
    }

    /// A part of it.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let mut part = Self::default();
        part.push_slice(self, range);
        part
    }

    /// Without blanks at both ends.
    pub(crate) fn trimmed(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        let end = self.text.trim_end().len().max(start);
        if start == 0 && end == self.text.len() { self.clone() } else { self.slice(start..end) }
    }

    /// Appends a part of another line.
    pub(crate) fn push_slice(&mut self, other: &Self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let base = self.text.len();
        self.text.push_str(&other.text[range.clone()]);
        let first = other.pieces.partition_point(|piece| piece.at <= range.start).saturating_sub(1);
        for piece in other.pieces[first.min(other.pieces.len())..].iter().take_while(|p| p.at < range.end) {
            let skipped = range.start.saturating_sub(piece.at);
            let mut span = piece.span;
            if piece.literal {
                span.start = span.start.saturating_add(narrow(skipped)).min(span.end);
            }
            self.pieces.push(Piece {
                at: base + piece.at.saturating_sub(range.start),
                span,
                literal: piece.literal,
            });
        }
    }

    /// Appends text that stands for what is at `span`.
    pub(crate) fn push_in_place_of(&mut self, text: &str, span: Span) {
        self.pieces.push(Piece { at: self.text.len(), span, literal: false });
        self.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_cutting_and_putting_in() {
        let source = "priority $P # x";
        let whole = Line::from_source(source, 3, 100);
        let mut line = whole.slice(0..9);
        line.push_in_place_of("150", whole.span(9..11));
        line.push_slice(&whole, 11..12);
        assert_eq!(line.text, "priority 150 ");
        assert_eq!(line.span(0..8), Span { file: 3, start: 100, end: 108 });
        assert_eq!(line.span(9..12), Span { file: 3, start: 109, end: 111 });
        assert_eq!(line.trimmed().span(10..11), Span { file: 3, start: 109, end: 111 });
    }
}
