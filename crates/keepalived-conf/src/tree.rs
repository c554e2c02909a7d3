//! From text to statements: words, quotes, comments, blocks, `include`, `$NAME=value` and `@ID` lines.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{FileLoader, Sources, Span};

/// How deep includes and blocks may nest.
const DEPTH_MAX: usize = 16;

/// A word and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Without quotes, with definitions put in.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A line of words, with the block behind it if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// At least one.
    pub words: Vec<Word>,
    /// What stands between the braces.
    pub block: Option<Vec<Statement>>,
}

impl Statement {
    /// The first word.
    pub fn keyword(&self) -> &str {
        self.words.first().map_or("", |word| &word.text)
    }

    /// Where the first word stands.
    pub fn span(&self) -> Span {
        self.words.first().map_or_else(Span::default, |word| word.span)
    }
}

/// Whether `next` is no part of the word `text`, whose last character was `last`. `${NAME}` keeps its braces.
fn ends_word(next: char, last: char, text: &str) -> bool {
    match next {
        '{' => last != '$',
        '}' => text.rfind("${").is_none_or(|at| text[at..].contains('}')),
        other => other.is_whitespace(),
    }
}

enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    EndOfLine,
}

/// Reads a file and what it includes.
pub fn read(
    path: &str,
    loader: &dyn FileLoader,
    config_id: Option<&str>,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Statement> {
    let mut reader = Reader { loader, config_id, sources, diagnostics, definitions: BTreeMap::new() };
    let tokens = reader.file(path, None, 0);
    let mut tokens = tokens.into_iter().peekable();
    let mut statements = Vec::new();
    loop {
        reader.statements(&mut tokens, &mut statements, None, 0);
        // A brace too many ended it: said, and read on.
        if tokens.peek().is_none() {
            return statements;
        }
    }
}

struct Reader<'a> {
    loader: &'a dyn FileLoader,
    config_id: Option<&'a str>,
    sources: &'a mut Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    definitions: BTreeMap<String, String>,
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

impl Reader<'_> {
    fn error(&mut self, id: &'static str, span: Span, message: String, help: &str) {
        self.diagnostics.push(Diagnostic::new(Severity::Error, id, span, message).help(help));
    }

    fn file(&mut self, path: &str, included_at: Option<Span>, depth: usize) -> Vec<Token> {
        let text = match self.loader.read(path) {
            Ok(text) => text,
            Err(why) => {
                let span = included_at.unwrap_or_else(|| Span {
                    file: self.sources.add(path, String::new()),
                    ..Span::default()
                });
                self.error(
                    "cannot-read",
                    span,
                    format!("cannot read {path}: {why}"),
                    "check the path and its permissions",
                );
                return Vec::new();
            }
        };
        let file = self.sources.add(path, text.clone());
        let mut tokens = Vec::new();
        let mut offset = 0_u32;
        for line in text.split_inclusive('\n') {
            self.line(path, file, line, offset, depth, &mut tokens);
            tokens.push(Token::EndOfLine);
            offset = offset.saturating_add(u32::try_from(line.len()).unwrap_or(u32::MAX));
        }
        tokens
    }

    fn line(
        &mut self,
        path: &str,
        file: u16,
        line: &str,
        offset: u32,
        depth: usize,
        tokens: &mut Vec<Token>,
    ) {
        let mut words = self.words(file, line, offset);
        // `@ID rest` counts if the id is ours, `@^ID rest` if it is not.
        if let Some(Token::Word(first)) = words.first()
            && let Some(condition) = first.text.strip_prefix('@')
        {
            let counts = match condition.strip_prefix('^') {
                Some(id) => self.config_id != Some(id),
                None => self.config_id == Some(condition),
            };
            if !counts {
                return;
            }
            words.remove(0);
        }
        let Some(Token::Word(first)) = words.first() else {
            tokens.extend(words);
            return;
        };
        // `$NAME=value`
        if let Some((name, value)) = first.text.strip_prefix('$').and_then(|rest| rest.split_once('=')) {
            let mut value = value.to_owned();
            for token in &words[1..] {
                if let Token::Word(word) = token {
                    if !value.is_empty() {
                        value.push(' ');
                    }
                    value.push_str(&word.text);
                }
            }
            self.definitions.insert(name.to_owned(), value);
            return;
        }
        if matches!(
            first.text.as_str(),
            "include" | "includer" | "includem" | "includew" | "includeb" | "includea"
        ) {
            let (keyword, span) = (first.text.clone(), first.span);
            let Some(Token::Word(pattern)) = words.get(1) else {
                self.error(
                    "missing-value",
                    span,
                    format!("`{keyword}` without a file"),
                    "name a file or a pattern",
                );
                return;
            };
            self.include(path, &pattern.text, pattern.span, depth, tokens);
            return;
        }
        tokens.extend(words);
    }

    fn include(&mut self, from: &str, pattern: &str, span: Span, depth: usize, tokens: &mut Vec<Token>) {
        if depth >= DEPTH_MAX {
            self.error(
                "include-depth",
                span,
                format!("`{pattern}` is included too deeply"),
                "does a file include itself?",
            );
            return;
        }
        match self.loader.expand(from, pattern) {
            Ok(files) => {
                for file in files {
                    tokens.extend(self.file(&file, Some(span), depth + 1));
                }
            }
            Err(why) => {
                self.error("cannot-read", span, format!("cannot include {pattern}: {why}"), "check the path");
            }
        }
    }

    fn words(&mut self, file: u16, line: &str, offset: u32) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut chars = line.char_indices().peekable();
        let at = |i: usize| offset.saturating_add(u32::try_from(i).unwrap_or(u32::MAX));
        while let Some((start, c)) = chars.next() {
            match c {
                '!' | '#' => break,
                c if c.is_whitespace() => {}
                '{' => tokens.push(Token::Open(Span { file, start: at(start), end: at(start + 1) })),
                '}' => tokens.push(Token::Close(Span { file, start: at(start), end: at(start + 1) })),
                _ => {
                    let mut text = String::new();
                    let mut quote = None;
                    let mut next = Some((start, c));
                    let mut end = start;
                    while let Some((i, c)) = next {
                        match quote {
                            Some(q) if c == q => quote = None,
                            None if c == '"' || c == '\'' => quote = Some(c),
                            _ => text.push(c),
                        }
                        end = i + c.len_utf8();
                        next = match chars.peek() {
                            // `${NAME}` keeps its braces.
                            Some((_, p)) if quote.is_some() || !ends_word(*p, c, &text) => chars.next(),
                            _ => None,
                        };
                    }
                    let span = Span { file, start: at(start), end: at(end) };
                    if let Some(q) = quote {
                        self.error(
                            "unclosed-quote",
                            span,
                            format!("this {q} has no end on its line"),
                            "close the quotes",
                        );
                    }
                    let text = if text.starts_with('$') && text.contains('=') {
                        text
                    } else {
                        self.defined(&text, span)
                    };
                    tokens.push(Token::Word(Word { text, span }));
                }
            }
        }
        tokens
    }

    /// Puts in what `$NAME` and `${NAME}` stand for.
    fn defined(&mut self, text: &str, span: Span) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, behind) = match after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
                Some(split) => split,
                None => after
                    .split_at(after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len())),
            };
            match self.definitions.get(name) {
                Some(value) => out.push_str(value),
                None if name.is_empty() => out.push('$'),
                None => self.error(
                    "undefined",
                    span,
                    format!("`${name}` is not defined"),
                    "define it above: $NAME=value",
                ),
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    fn statements(
        &mut self,
        tokens: &mut Tokens,
        out: &mut Vec<Statement>,
        opened: Option<Span>,
        depth: usize,
    ) {
        let mut words: Vec<Word> = Vec::new();
        let flush = |words: &mut Vec<Word>, out: &mut Vec<Statement>| {
            if !words.is_empty() {
                out.push(Statement { words: std::mem::take(words), block: None });
            }
        };
        while let Some(token) = tokens.next() {
            match token {
                Token::Word(word) => words.push(word),
                Token::EndOfLine => {
                    // The brace may stand on the next line.
                    while matches!(tokens.peek(), Some(Token::EndOfLine)) {
                        tokens.next();
                    }
                    if words.is_empty() || !matches!(tokens.peek(), Some(Token::Open(_))) {
                        flush(&mut words, out);
                    }
                }
                Token::Open(span) => {
                    if depth >= DEPTH_MAX {
                        self.error(
                            "block-depth",
                            span,
                            "blocks nest too deeply".into(),
                            "is a `}` missing above?",
                        );
                        return;
                    }
                    let mut block = Vec::new();
                    self.statements(tokens, &mut block, Some(span), depth + 1);
                    if words.is_empty() {
                        self.error(
                            "unexpected-brace",
                            span,
                            "a block without a keyword before it".into(),
                            "remove the brace, or name the block",
                        );
                    } else {
                        out.push(Statement { words: std::mem::take(&mut words), block: Some(block) });
                    }
                }
                Token::Close(span) => {
                    flush(&mut words, out);
                    if opened.is_none() {
                        self.error(
                            "unexpected-brace",
                            span,
                            "a `}` that closes nothing".into(),
                            "remove it, or look for the `{` that is missing above",
                        );
                    }
                    return;
                }
            }
        }
        flush(&mut words, out);
        if let Some(span) = opened {
            self.error("unclosed-block", span, "this block is never closed".into(), "add the missing `}`");
        }
    }
}
