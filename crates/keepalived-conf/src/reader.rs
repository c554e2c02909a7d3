//! From files to the words, braces and line ends that count: comments removed, `@ID` lines decided, `$NAME`
//! put in, `~SEQ` and `~LST` run, files included. In the order in which keepalived does it, line by line.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Findings, Severity, did_you_mean};
use crate::lexer::{Comments, TokenKind, WordFault, tokens, unquote};
use crate::line::Line;
use crate::source::{FileLoader, Sources, Span};
use crate::tree::{Token, Word};

/// How deep includes may nest, and definitions within definitions.
const DEPTH_MAX: usize = 16;
/// How many tokens a configuration may become: a generator must not fill the memory.
const TOKENS_MAX: usize = 1_000_000;
/// How long a line may become by what is put in.
const LINE_MAX: usize = 64 << 10;
/// How many files may be included.
const FILES_MAX: usize = 4096;
/// How many lines may be worked on: generators that make nothing end too.
const STEPS_MAX: usize = 250_000;

const INCLUDES: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

/// Reads a file and what it includes.
pub(crate) fn read(
    path: &str,
    loader: &dyn FileLoader,
    config_id: Option<&str>,
    sources: &mut Sources,
    findings: &mut Findings,
) -> Vec<Token> {
    let mut reader = Reader {
        loader,
        config_id,
        sources,
        findings,
        definitions: BTreeMap::new(),
        open: Vec::new(),
        out: Vec::new(),
        steps: 0,
        stopped: false,
    };
    reader.main_file(path);
    reader.out
}

/// What a `$NAME` stands for.
#[derive(Clone)]
enum Definition {
    Value(Line),
    Lines(Vec<Line>),
}

struct Reader<'a> {
    loader: &'a dyn FileLoader,
    config_id: Option<&'a str>,
    sources: &'a mut Sources,
    findings: &'a mut Findings,
    definitions: BTreeMap<String, Definition>,
    /// The files that are being read, the innermost last.
    open: Vec<String>,
    out: Vec<Token>,
    steps: usize,
    stopped: bool,
}

/// The lines that follow the one in work.
type Rest<'r> = &'r mut dyn Iterator<Item = Line>;

impl Reader<'_> {
    fn push(
        &mut self,
        severity: Severity,
        id: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Diagnostic::new(severity, id, span, message).help(help));
    }

    fn error(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, id, span, message, help);
    }

    /// Reads no further: what follows would only repeat it.
    fn stop(&mut self, span: Span, message: &str, help: &str) {
        if !self.stopped {
            self.error("too-much", span, message, help);
        }
        self.stopped = true;
    }

    // ---- Files ----

    fn main_file(&mut self, path: &str) {
        match self.loader.read(path) {
            Ok(text) => self.text(path, &text),
            Err(why) => {
                let span = Span { file: self.sources.add(path, String::new()), ..Span::default() };
                self.error(
                    "cannot-read",
                    span,
                    format!("cannot read {path}: {why}"),
                    "check the path and its permissions",
                );
            }
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        let file = self.sources.add(path, text.to_owned());
        self.open.push(path.to_owned());
        let mut start = 0;
        let mut lines = text.split_inclusive('\n').map(|physical| {
            let begin = start;
            start += physical.len();
            (physical, begin)
        });
        while let Some((physical, start)) = lines.next() {
            if is_plain(physical) && !self.stopped && self.out.len() <= TOKENS_MAX {
                self.plain(physical, &|range| Line::place(file, start, &range));
                continue;
            }
            let line = self.without_comment(&Line::from_source(physical, file, start));
            let mut rest = lines.by_ref().map(|(text, start)| Line::from_source(text, file, start));
            self.line(line, &mut rest, 0);
        }
        self.open.pop();
    }

    fn include(&mut self, keyword: &str, pattern: &str, span: Span) {
        let optional = keyword == "include";
        let severity = if optional { Severity::Warning } else { Severity::Error };
        let from = self.open.last().cloned().unwrap_or_default();
        if self.open.len() > DEPTH_MAX {
            self.error(
                "include-depth",
                span,
                format!("`{pattern}` is included too deeply"),
                format!("{DEPTH_MAX} files within each other at most"),
            );
            return;
        }
        let files = match self.loader.expand(&from, pattern) {
            Ok(files) => files,
            Err(why) => {
                let message = format!("cannot include {pattern}: {why}");
                self.push(severity, "cannot-include", span, message, "check the path and its permissions");
                return;
            }
        };
        if files.is_empty() {
            // Directories of optional files are often empty.
            let severity =
                if matches!(keyword, "include" | "includer") { Severity::Note } else { Severity::Error };
            let message = format!("no file is named by `{pattern}`");
            self.push(severity, "cannot-include", span, message, "`include` accepts that, as in keepalived");
        }
        for file in files {
            if self.open.contains(&file) {
                self.error(
                    "include-loop",
                    span,
                    format!("{file} includes itself"),
                    format!("remove this line; the way here: {}", self.open.join(", ")),
                );
            } else if self.sources.len() >= FILES_MAX {
                self.stop(span, &format!("more than {FILES_MAX} files are included"), "include fewer");
            } else {
                match self.loader.read(&file) {
                    Ok(text) => self.text(&file, &text),
                    Err(why) => {
                        let message = format!("cannot include {file}: {why}");
                        let help = if optional {
                            "keepalived skips it in silence; write `includea` where it must be there"
                        } else {
                            "check the path and its permissions"
                        };
                        self.push(severity, "cannot-include", span, message, help);
                    }
                }
            }
        }
    }

    // ---- Lines ----

    fn without_comment(&mut self, line: &Line) -> Line {
        let Some(comment) = line.text.find(['#', '!']) else { return line.trimmed() };
        let all: Vec<_> = tokens(&line.text, Comments::Removed).collect();
        let Some(index) = all.iter().position(|t| t.kind == TokenKind::Comment) else {
            return line.trimmed();
        };
        let range = all[index].range.clone();
        if index.checked_sub(1).and_then(|i| all.get(i)).is_some_and(|t| t.kind == TokenKind::Word)
            && comment > 0
        {
            let mark = &line.text[range.start..=range.start];
            self.push(
                Severity::Warning,
                "comment-in-word",
                line.span(range.start..range.start + 1),
                format!("`{mark}` starts a comment here, as in keepalived"),
                "put the word in quotes if it belongs to it, else a blank before it",
            );
        }
        line.slice(0..range.start).trimmed()
    }

    fn line(&mut self, line: Line, rest: Rest<'_>, depth: usize) {
        self.steps += 1;
        if self.stopped || line.text.is_empty() {
            self.out.push(Token::EndOfLine);
            return;
        }
        let whole = line.span(0..line.text.len());
        if self.out.len() > TOKENS_MAX || self.steps > STEPS_MAX {
            self.stop(
                whole,
                "the configuration becomes too large here",
                "let `~SEQ`, `~LST` and definitions make less",
            );
            return;
        }
        if depth > DEPTH_MAX {
            self.stop(whole, "definitions are put in too deeply", "does a definition contain itself?");
            return;
        }
        match line.text.as_bytes()[0] {
            b'@' => self.conditional(&line, rest, depth),
            b'~' => self.generator(&line, depth),
            b'$' if name_of_definition(&line.text).is_some() => {
                if let Some((name, definition)) = self.definition(&line, rest) {
                    self.definitions.insert(name, definition);
                }
            }
            _ if line.text.contains('$') => self.with_parameters(line, rest, depth),
            _ => self.plain_line(&line),
        }
    }

    /// `@ID rest` counts if the id is ours, `@^ID rest` if it is not.
    fn conditional(&mut self, line: &Line, rest: Rest<'_>, depth: usize) {
        let end = line.text.find(char::is_whitespace).unwrap_or(line.text.len());
        let condition = &line.text[1..end];
        let counts = match condition.strip_prefix('^') {
            Some(id) => self.config_id != Some(id),
            None => self.config_id == Some(condition),
        };
        let behind = line.slice(end..line.text.len()).trimmed();
        if condition.trim_start_matches('^').is_empty() || behind.text.is_empty() {
            self.error(
                "condition",
                line.span(0..end),
                format!("`{}` is no condition of a line", &line.text[..end]),
                "write @ID or @^ID, a blank, and the line",
            );
        } else if counts {
            self.line(behind, rest, depth + 1);
        } else if name_of_definition(&behind.text).is_some() {
            // Its further lines go with it.
            let _ = self.definition(&behind, rest);
        }
        self.out.push(Token::EndOfLine);
    }

    /// `$NAME=value`, or `$NAME= \` with its lines behind it.
    fn definition(&mut self, line: &Line, rest: Rest<'_>) -> Option<(String, Definition)> {
        let name = name_of_definition(&line.text)?.to_owned();
        let value = line.slice(name.len() + 2..line.text.len()).trimmed();
        let Some(first) = value.text.strip_suffix('\\') else {
            return Some((name, Definition::Value(value)));
        };
        if !first.trim().is_empty() {
            self.error(
                "definition",
                value.span(0..first.len()),
                "a definition of several lines starts on the line after its name",
                format!("write `${name}= \\` and go on below"),
            );
        }
        let mut lines = Vec::new();
        for line in rest {
            let line = self.without_comment(&line);
            let length = line.text.len();
            if line.text.ends_with('\\') {
                lines.push(line.slice(0..length - 1).trimmed());
            } else if length > 0 {
                lines.push(line);
                break;
            }
        }
        Some((name, Definition::Lines(lines)))
    }

    fn with_parameters(&mut self, mut line: Line, rest: Rest<'_>, depth: usize) {
        if let Some(name) = name_with_blank(&line.text) {
            self.error(
                "definition",
                line.span(0..name.len() + 1),
                format!("a blank before the `=` of `${name}`"),
                format!("write `${name}=`"),
            );
            return;
        }
        // What is put in may itself ask for more.
        let mut changed = false;
        for _ in 0..DEPTH_MAX {
            match self.put_in(&line) {
                PutIn::Nothing => {
                    if changed {
                        self.line(line.trimmed(), rest, depth + 1);
                    } else {
                        self.plain_line(&line);
                    }
                    return;
                }
                PutIn::Line(next) => (line, changed) = (next, true),
                PutIn::Lines(lines) => {
                    let mut lines = lines.into_iter();
                    while let Some(line) = lines.next() {
                        self.line(line, &mut lines, depth + 1);
                    }
                    self.out.push(Token::EndOfLine);
                    return;
                }
                // Read as it stands, so that its keyword is not missed.
                PutIn::Refused => {
                    self.findings.unread(line.span(0..line.text.len()));
                    self.plain_line(&line);
                    return;
                }
            }
        }
        let span = line.span(0..line.text.len());
        self.error(
            "definition",
            span,
            "a definition asks for itself",
            "no `$NAME=` may contain its own $NAME, not even through others",
        );
    }

    /// Puts in what each `$NAME` followed by a blank and each `${NAME}` stands for, once.
    fn put_in(&mut self, line: &Line) -> PutIn {
        let text = &line.text;
        let mut out = Line::default();
        let (mut copied, mut found) = (0, false);
        let mut undefined = Vec::new();
        for (at, _) in text.match_indices('$') {
            if at < copied {
                continue;
            }
            let Some(parameter) = Parameter::at(text, at) else { continue };
            let span = line.span(at..parameter.end);
            let value = match self.value_of(parameter.name, span) {
                Ok(Some(value)) => value,
                Ok(None) => {
                    undefined.push((parameter.name.to_owned(), span));
                    continue;
                }
                Err(()) => return PutIn::Refused,
            };
            if !parameter.whole {
                self.error(
                    "definition",
                    span,
                    format!("`${}` is not put in here: a letter, digit or sign follows it", parameter.name),
                    format!("write ${{{}}}", parameter.name),
                );
                return PutIn::Refused;
            }
            match value {
                Definition::Value(value) => {
                    out.push_slice(line, copied..at);
                    out.push_in_place_of(&value.text, span);
                    (copied, found) = (parameter.end, true);
                }
                Definition::Lines(lines)
                    if text[..at].trim().is_empty() && text[parameter.end..].trim().is_empty() =>
                {
                    return PutIn::Lines(lines);
                }
                Definition::Lines(_) => {
                    self.error(
                        "definition",
                        span,
                        format!("`${}` has several lines and must stand alone", parameter.name),
                        "give it a line of its own",
                    );
                    return PutIn::Refused;
                }
            }
            if out.text.len() > LINE_MAX {
                self.stop(span, "this line becomes too long", "does a definition contain itself?");
                return PutIn::Refused;
            }
        }
        if found {
            out.push_slice(line, copied..text.len());
            return PutIn::Line(out);
        }
        let secret = is_secret(text);
        for (name, span) in undefined {
            self.undefined(&name, span, secret);
        }
        PutIn::Nothing
    }

    fn undefined(&mut self, name: &str, span: Span, secret: bool) {
        if secret {
            // A password may hold the sign; nothing of it is repeated.
            return;
        }
        let names = self.definitions.keys().map(String::as_str);
        let near = (!self.findings.full()).then(|| did_you_mean(name, names)).flatten().map(str::to_owned);
        match near {
            Some(near) => self.error(
                "undefined",
                span,
                format!("`${name}` is not defined"),
                format!("did you mean `${near}`?"),
            ),
            None => self.push(
                Severity::Warning,
                "undefined",
                span,
                format!("`${name}` is not defined and stays as it stands, as in keepalived"),
                format!("define it above: ${name}=VALUE"),
            ),
        }
    }

    fn value_of(&mut self, name: &str, span: Span) -> Result<Option<Definition>, ()> {
        if let Some(definition) = self.definitions.get(name) {
            return Ok(Some(definition.clone()));
        }
        let value = match name.split_whitespace().next().unwrap_or_default() {
            "_PWD" => {
                let path = self.open.last().map_or("", String::as_str);
                match path.rsplit_once('/') {
                    Some(("", _)) => "/".to_owned(),
                    Some((directory, _)) => directory.to_owned(),
                    None => ".".to_owned(),
                }
            }
            "_HASH" => "#".to_owned(),
            "_BANG" => "!".to_owned(),
            "_INSTANCE" => {
                let Some(id) = self.config_id else {
                    self.error("undefined", span, "`${_INSTANCE}` is not known here", "name it with -i ID");
                    return Err(());
                };
                id.to_owned()
            }
            "_RANDOM" | "_ENV" => {
                self.error(
                    "not-built",
                    span,
                    format!("`${{{name}}}` is known but not built yet"),
                    "write the value, or let a template write it",
                );
                return Err(());
            }
            _ => return Ok(None),
        };
        Ok(Some(Definition::Value(Line::in_place_of(value, span))))
    }

    fn plain_line(&mut self, line: &Line) {
        self.plain(&line.text, &|range| line.span(range));
    }

    /// A line without anything left to put in. `place` tells where its parts come from.
    fn plain(&mut self, text: &str, place: &dyn Fn(Range<usize>) -> Span) {
        let first = self.out.len();
        let mut keyword = 0..0;
        let mut faulty = false;
        for token in tokens(text, Comments::Kept) {
            match token.kind {
                TokenKind::Open => self.out.push(Token::Open(place(token.range))),
                TokenKind::Close => self.out.push(Token::Close(place(token.range))),
                TokenKind::Word => {
                    let raw = &text[token.range.clone()];
                    let span = place(token.range.clone());
                    if self.out.len() == first {
                        keyword = token.range.clone();
                    }
                    let word = unquote(raw).unwrap_or_else(|(word, fault)| {
                        let at_end = raw.ends_with('\\') && token.range.end == text.len();
                        faulty = true;
                        self.word_fault(&fault, span, at_end);
                        word
                    });
                    let quoted = raw.starts_with(['"', '\'']);
                    self.out.push(Token::Word(Word { quoted, text: word, span }));
                }
                TokenKind::Blank | TokenKind::Newline | TokenKind::Comment => {}
            }
        }
        if faulty {
            self.findings.unread(place(0..text.len()));
        }
        // In quotes it is a word like others.
        if INCLUDES.contains(&&text[keyword.clone()]) {
            let alone = !matches!(self.out.get(first + 1), Some(Token::Word(_)));
            self.out.truncate(first);
            let word = &text[keyword.clone()];
            if alone {
                let message = format!("`{word}` without a file");
                self.error("missing-value", place(keyword), message, "name a file or a pattern");
            } else {
                // Braces in a pattern are the shell's, not ours.
                let behind = text[keyword.end..].trim();
                let start = text.trim_end().len() - behind.len();
                let pattern = unquote(behind).unwrap_or_else(|(text, _)| text);
                self.include(word, &pattern, place(start..start + behind.len()));
            }
        }
        self.out.push(Token::EndOfLine);
    }

    fn word_fault(&mut self, fault: &WordFault, span: Span, at_end: bool) {
        match fault {
            WordFault::Unclosed(quote) => self.error(
                "unclosed-quote",
                span,
                format!("this {quote} has no end on its line"),
                format!("close it with {quote}; quotes do not span lines"),
            ),
            WordFault::BareBackslash if at_end => self.error(
                "line-continuation",
                span,
                "`\\` at the end of a line continues definitions only, as in keepalived",
                "write it on one line, or define `$NAME= \\` and use $NAME",
            ),
            WordFault::BareBackslash => self.error(
                "bare-backslash",
                span,
                "`\\` outside quotes has no meaning",
                "put the word in quotes, where \\n, \\t, \\xNN, \\\" and \\\\ are understood",
            ),
            WordFault::BadEscape(escape) => self.error(
                "bad-escape",
                span,
                format!("`{escape}` is no ASCII character"),
                "write the character itself, in UTF-8",
            ),
        }
    }

    // ---- Generators ----

    fn generator(&mut self, line: &Line, depth: usize) {
        let text = &line.text;
        let name_end = text.find('(').unwrap_or(text.len());
        let span = line.span(0..text.find(char::is_whitespace).unwrap_or(text.len()).min(name_end));
        let kind = text[..name_end].trim_end();
        if !["~SEQ", "~SEQx", "~LST"].contains(&kind) {
            self.error(
                "generator",
                span,
                format!("`{kind}` is no generator"),
                "known are ~SEQ(VAR, START, STEP, END), ~SEQx(...) and ~LST(VAR, VALUE, ...)",
            );
            return;
        }
        let Some(close) = text.find(')').filter(|close| *close > name_end) else {
            self.error(
                "generator",
                span,
                format!("the `(` of {kind} has no `)`"),
                "close it on the same line",
            );
            return;
        };
        let behind = line.slice(close + 1..text.len()).trimmed();
        if behind.text.is_empty() {
            self.error(
                "generator",
                line.span(0..close + 1),
                format!("nothing stands behind {kind}(...)"),
                "write what is to be repeated on the same line",
            );
            return;
        }
        let mut arguments = line.slice(name_end + 1..close);
        for _ in 0..DEPTH_MAX {
            match self.put_in(&arguments) {
                PutIn::Line(next) => arguments = next,
                PutIn::Nothing => break,
                PutIn::Lines(_) | PutIn::Refused => return,
            }
        }
        let place = line.span(0..close + 1);
        let made =
            if kind == "~LST" { list(&arguments.text) } else { sequence(&arguments.text, kind == "~SEQx") };
        let (names, rows) = match made {
            Ok(made) => made,
            Err(why) => {
                let help =
                    "~SEQ(VAR, [START, [STEP,]] END) or ~LST(VAR, VALUE, ...) or ~LST({A, B}, {1, 2}, ...)";
                self.error("generator", place, why, help);
                return;
            }
        };
        let before: Vec<Option<Definition>> =
            names.iter().map(|name| self.definitions.get(name).cloned()).collect();
        for row in rows {
            if self.stopped {
                break;
            }
            for (name, value) in names.iter().zip(row) {
                self.definitions.insert(name.clone(), Definition::Value(Line::in_place_of(value, place)));
            }
            self.line(behind.clone(), &mut std::iter::empty(), depth + 1);
        }
        for (name, definition) in names.into_iter().zip(before) {
            match definition {
                Some(definition) => self.definitions.insert(name, definition),
                None => self.definitions.remove(&name),
            };
        }
    }
}

enum PutIn {
    Nothing,
    Line(Line),
    Lines(Vec<Line>),
    Refused,
}

/// Whether a line holds a password: nothing of it is repeated in a message.
pub(crate) fn is_secret(line: &str) -> bool {
    line.contains("pass") || line.contains("auth_")
}

/// Whether a line, as most are, has nothing in it that is worked on: no comment, parameter, condition or generator.
fn is_plain(line: &str) -> bool {
    !line.bytes().any(|b| matches!(b, b'#' | b'!' | b'$' | b'\\' | b'@' | b'~'))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// NAME, if the line is `$NAME=...`.
fn name_of_definition(line: &str) -> Option<&str> {
    line.strip_prefix('$')?.split_once('=').map(|(name, _)| name).filter(|name| is_name(name))
}

/// NAME, if the line is `$NAME =...`, which defines nothing.
fn name_with_blank(line: &str) -> Option<&str> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    (name.ends_with(char::is_whitespace) && is_name(name.trim_end()) && !value.starts_with('='))
        .then(|| name.trim_end())
}

struct Parameter<'t> {
    name: &'t str,
    end: usize,
    /// Whether keepalived would put it in: `$NAME` has to end with a blank.
    whole: bool,
}

impl<'t> Parameter<'t> {
    fn at(text: &'t str, at: usize) -> Option<Self> {
        let after = &text[at + 1..];
        if let Some(braced) = after.strip_prefix('{') {
            let end = braced.find('}')?;
            let name = &braced[..end];
            return is_name(name.split_whitespace().next().unwrap_or_default()).then_some(Self {
                name,
                end: at + end + 3,
                whole: true,
            });
        }
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let name = &after[..length];
        let whole = after[length..].chars().next().is_none_or(char::is_whitespace);
        is_name(name).then_some(Self { name, end: at + 1 + length, whole })
    }
}

/// Names, and their values row by row.
type Rows = (Vec<String>, Box<dyn Iterator<Item = Vec<String>>>);

fn sequence(arguments: &str, hexadecimal: bool) -> Result<Rows, String> {
    let parts: Vec<&str> = arguments.split(',').map(str::trim).collect();
    let (name, numbers) = parts.split_first().ok_or("~SEQ without a variable")?;
    if !is_name(name) {
        return Err(format!("`{name}` is no name of a variable"));
    }
    let number = |text: &&str| {
        let (sign, digits) = text.strip_prefix('-').map_or((1, *text), |digits| (-1, digits));
        let parsed = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        parsed
            .ok()
            .filter(|n| (0..=i64::from(u32::MAX)).contains(n))
            .map(|n| sign * n)
            .ok_or_else(|| format!("`{text}` is no number"))
    };
    let numbers = numbers.iter().map(number).collect::<Result<Vec<i64>, String>>()?;
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, step, end) = match *numbers {
        [end] if end > 0 => (1, 1, end),
        [end] => (-1, -1, end),
        [start, end] => (start, towards(start, end), end),
        [start, step, end] => (start, step, end),
        _ => return Err(format!("{} numbers in ~SEQ; 1 to 3 are needed", numbers.len())),
    };
    if step == 0 || (end - start).signum() * step.signum() < 0 {
        return Err(format!("~SEQ from {start} by {step} never reaches {end}"));
    }
    let values = (0..).map_while(move |i: i64| {
        let value = start + i * step;
        let within = if step > 0 { value <= end } else { value >= end };
        within.then(|| vec![if hexadecimal { format!("{value:x}") } else { value.to_string() }])
    });
    Ok((vec![(*name).to_owned()], Box::new(values)))
}

fn list(arguments: &str) -> Result<Rows, String> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut rest = arguments.trim();
    while !rest.is_empty() {
        let (group, behind) = match rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}').ok_or("a `{` in ~LST has no `}`")?,
            None => rest.find(',').map_or((rest, ""), |comma| rest.split_at(comma)),
        };
        let braced = rest.starts_with('{');
        groups.push(if braced {
            group.split(',').map(|part| part.trim().to_owned()).collect()
        } else {
            vec![group.trim().to_owned()]
        });
        rest = match behind.trim_start() {
            "" => "",
            behind => behind.strip_prefix(',').ok_or("a `,` is missing in ~LST")?.trim_start(),
        };
    }
    if groups.len() < 2 {
        return Err("~LST without a value".into());
    }
    let names = groups.remove(0);
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("`{bad}` is no name of a variable"));
    }
    if let Some(bad) = groups.iter().find(|group| group.len() != names.len()) {
        return Err(format!(
            "~LST has {} names, but {} values in `{}`",
            names.len(),
            bad.len(),
            bad.join(", ")
        ));
    }
    Ok((names, Box::new(groups.into_iter())))
}
