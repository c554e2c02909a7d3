//! From words and braces to statements and blocks. A brace that was forgotten is looked for where the keywords
//! say it belongs, so that one mistake makes one error, at its own place.

use crate::diagnostic::{Diagnostic, Findings, Severity};
use crate::keywords::Context;
use crate::lexer;
use crate::source::Span;

/// How deep blocks may nest.
const DEPTH_MAX: usize = 16;

/// A word and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Without quotes, with escapes resolved and definitions put in.
    pub text: String,
    /// Whether it starts with a quote.
    pub quoted: bool,
    /// Where it stands.
    pub span: Span,
}

/// What the tree is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    EndOfLine,
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

/// Writes statements as a configuration that reads as the same statements.
pub fn print(statements: &[Statement]) -> String {
    fn into(statements: &[Statement], depth: usize, out: &mut String) {
        for statement in statements {
            let words: Vec<String> = statement.words.iter().map(|word| lexer::quote(&word.text)).collect();
            let indent = "    ".repeat(depth);
            out.push_str(&indent);
            out.push_str(&words.join(" "));
            if let Some(block) = &statement.block {
                out.push_str(" {\n");
                into(block, depth + 1, out);
                out.push_str(&indent);
                out.push('}');
            }
            out.push('\n');
        }
    }
    let mut out = String::new();
    into(statements, 0, &mut out);
    out
}

/// The statements that the tokens make.
pub(crate) fn build(tokens: Vec<Token>, findings: &mut Findings) -> Vec<Statement> {
    let count = |wanted: fn(&Token) -> bool| tokens.iter().filter(|token| wanted(token)).count();
    let opens = count(|token| matches!(token, Token::Open(_)));
    let closes = count(|token| matches!(token, Token::Close(_)));
    let mut builder = Builder {
        findings,
        stack: vec![Frame {
            words: Vec::new(),
            opened: Span::default(),
            context: Context::FILE,
            statements: Vec::new(),
        }],
        words: Vec::new(),
        missing_closes: opens.saturating_sub(closes),
        missing_opens: closes.saturating_sub(opens),
        too_deep: 0,
    };
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => builder.word(word),
            Token::Open(span) => builder.open(span),
            Token::Close(span) => builder.close(span),
            Token::EndOfLine => {
                // The brace may stand on a later line.
                while tokens.next_if(|token| *token == Token::EndOfLine).is_some() {}
                if !matches!(tokens.peek(), Some(Token::Open(_))) {
                    builder.end_of_line();
                }
            }
        }
    }
    builder.finish()
}

/// A block that is open.
struct Frame {
    words: Vec<Word>,
    opened: Span,
    context: Context,
    statements: Vec<Statement>,
}

struct Builder<'a> {
    findings: &'a mut Findings,
    /// The file first, the innermost open block last; never empty.
    stack: Vec<Frame>,
    /// The line in work.
    words: Vec<Word>,
    /// How many `}` the text lacks, as far as they have not been found.
    missing_closes: usize,
    /// How many `{`.
    missing_opens: usize,
    /// How many blocks beyond the depth that is read.
    too_deep: usize,
}

impl Builder<'_> {
    fn error(&mut self, id: &'static str, span: Span, message: String, help: String) {
        self.findings.push(Diagnostic::new(Severity::Error, id, span, message).help(help));
    }

    fn context(&self) -> Context {
        self.stack.last().map_or(Context::FILE, |frame| frame.context)
    }

    fn word(&mut self, word: Word) {
        if self.too_deep > 0 {
            return;
        }
        if self.words.is_empty() && self.missing_closes > 0 {
            self.leave_what_cannot_hold(&word);
        }
        self.words.push(word);
    }

    /// Where a `}` is missing, a keyword that has no place in this block but in one around it tells where.
    fn leave_what_cannot_hold(&mut self, word: &Word) {
        if self.context().holds(&word.text) {
            return;
        }
        let levels = self.stack.iter().rev().skip(1).position(|frame| frame.context.holds(&word.text));
        let Some(levels) = levels.map(|levels| levels + 1).filter(|levels| *levels <= self.missing_closes)
        else {
            return;
        };
        for _ in 0..levels {
            self.missing_closes -= 1;
            let Some(frame) = self.stack.last() else { return };
            let (opened, keyword) = (frame.opened, frame.words.first().map_or("", |w| &w.text));
            let message = format!("the block of `{keyword}` is never closed");
            let help = format!("add `}}` before `{}`, which does not belong into it", word.text);
            self.findings.push(
                Diagnostic::new(Severity::Error, "unclosed-block", opened, message)
                    .related(word.span, "this stands outside it")
                    .help(help),
            );
            self.pop();
        }
    }

    fn open(&mut self, span: Span) {
        if self.too_deep > 0 || self.stack.len() > DEPTH_MAX {
            if self.too_deep == 0 {
                self.error(
                    "block-depth",
                    span,
                    format!("more than {DEPTH_MAX} blocks within each other"),
                    "is a `}` missing above?".into(),
                );
            }
            self.too_deep += 1;
            return;
        }
        if self.words.is_empty() {
            self.error(
                "unexpected-brace",
                span,
                "a block without a keyword before it".into(),
                "remove the brace, or name the block".into(),
            );
        }
        self.push_frame(span);
    }

    fn push_frame(&mut self, opened: Span) {
        let words = std::mem::take(&mut self.words);
        let context = self.context().inside(words.first().map_or("", |w| &w.text));
        self.stack.push(Frame { words, opened, context, statements: Vec::new() });
    }

    fn close(&mut self, span: Span) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        self.end_of_line();
        if self.stack.len() > 1 {
            self.pop();
        } else {
            self.error(
                "unexpected-brace",
                span,
                "a `}` that closes nothing".into(),
                "remove it, or look for the `{` that is missing above".into(),
            );
        }
    }

    fn end_of_line(&mut self) {
        let Some(first) = self.words.first() else { return };
        if self.missing_opens > 0 && self.context().opens_block(&first.text) {
            self.missing_opens -= 1;
            let line: Vec<&str> = self.words.iter().map(|w| w.text.as_str()).collect();
            let message = format!("`{}` has no `{{`", line.join(" "));
            let span = Span { end: self.words.last().map_or(first.span.end, |w| w.span.end), ..first.span };
            self.error("missing-brace", span, message, "add it at the end of this line".into());
            self.push_frame(span);
            return;
        }
        let words = std::mem::take(&mut self.words);
        self.add(Statement { words, block: None });
    }

    fn pop(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        if frame.words.is_empty() {
            // A block without a keyword, told already: what is in it is read as if it stood around it.
            for statement in frame.statements {
                self.add(statement);
            }
        } else {
            self.add(Statement { words: frame.words, block: Some(frame.statements) });
        }
    }

    fn add(&mut self, statement: Statement) {
        if let Some(frame) = self.stack.last_mut() {
            frame.statements.push(statement);
        }
    }

    fn finish(mut self) -> Vec<Statement> {
        self.missing_opens = 0;
        self.end_of_line();
        while self.stack.len() > 1 {
            if let Some(frame) = self.stack.last() {
                let keyword = frame.words.first().map_or(String::new(), |w| format!(" of `{}`", w.text));
                let message = format!("the block{keyword} is never closed");
                self.error("unclosed-block", frame.opened, message, "add the missing `}`".into());
            }
            self.pop();
        }
        self.stack.pop().map(|frame| frame.statements).unwrap_or_default()
    }
}
