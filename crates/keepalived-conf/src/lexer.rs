//! From text to tokens that cover every byte of it, blanks and comments included: put end to end, they are the
//! text again.

use std::fmt::Write as _;
use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Blanks within a line, carriage returns included.
    Blank,
    /// The end of a line.
    Newline,
    /// From `#` or `!` to the end of the line.
    Comment,
    /// A word as it stands, quotes and escapes included.
    Word,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A piece of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The bytes it covers.
    pub range: Range<usize>,
}

/// Whether `#` and `!` start comments. In text that came out of a definition they do not: keepalived removes
/// comments before it puts definitions in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comments {
    /// They do.
    Removed,
    /// They stand for themselves.
    Kept,
}

/// The tokens of `text`.
pub fn tokens(text: &str, comments: Comments) -> impl Iterator<Item = Token> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let (kind, length) = match rest.chars().next()? {
            '\n' => (TokenKind::Newline, 1),
            '{' => (TokenKind::Open, 1),
            '}' => (TokenKind::Close, 1),
            '#' | '!' if comments == Comments::Removed => {
                (TokenKind::Comment, rest.find('\n').unwrap_or(rest.len()))
            }
            c if c.is_whitespace() => (TokenKind::Blank, blanks(rest)),
            _ => (TokenKind::Word, word(rest, comments)),
        };
        at += length;
        Some(Token { kind, range: at - length..at })
    })
}

fn blanks(text: &str) -> usize {
    text.find(|c: char| c == '\n' || !c.is_whitespace()).unwrap_or(text.len())
}

/// How long the word is that `text` starts with. Quotes hold blanks, braces and comment marks together, but
/// never lines.
fn word(text: &str, comments: Comments) -> usize {
    let mut quote = None;
    let mut parameter = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (_, '\n') => return at,
            (Some(_), '\\') => {
                chars.next_if(|(_, next)| *next != '\n');
            }
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            // `${NAME}` keeps its braces.
            (None, '$') => {
                parameter |= chars.next_if(|(_, next)| *next == '{').is_some();
            }
            (None, '}') if parameter => parameter = false,
            (None, '{' | '}') => return at,
            (None, '#' | '!') if comments == Comments::Removed => return at,
            (None, _) if c.is_whitespace() && !parameter => return at,
            _ => {}
        }
    }
    text.len()
}

/// What is wrong with a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WordFault {
    /// A quote without its end on the line.
    Unclosed(char),
    /// `\` outside quotes.
    BareBackslash,
    /// An escape that stands for a byte which is no character.
    BadEscape(String),
}

/// What the word `raw` says: without quotes, with its escapes resolved.
///
/// # Errors
/// The first fault; the text as far as it can be understood beside it.
pub fn unquote(raw: &str) -> Result<String, (String, WordFault)> {
    if !raw.contains(['"', '\'', '\\']) {
        return Ok(raw.to_owned());
    }
    let mut text = String::with_capacity(raw.len());
    let mut fault = None;
    let mut quote = None;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '\\') => {
                fault.get_or_insert(WordFault::BareBackslash);
                text.push(c);
            }
            (Some(_), '\\') => match escape(&mut chars) {
                Ok(Some(escaped)) => text.push(escaped),
                Ok(None) => {}
                Err(bad) => {
                    fault.get_or_insert(WordFault::BadEscape(bad));
                }
            },
            _ => text.push(c),
        }
    }
    if let Some(open) = quote {
        fault.get_or_insert(WordFault::Unclosed(open));
    }
    match fault {
        None => Ok(text),
        Some(fault) => Err((text, fault)),
    }
}

/// What stands behind a backslash within quotes.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<char>, String> {
    let Some(c) = chars.next() else { return Ok(None) };
    let byte = match c {
        'a' => 0x07,
        'b' => 0x08,
        'E' => 0x1b,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        'c' => match chars.next() {
            Some(control) if control.is_ascii() => (control as u8) & 0x1f,
            other => return Err(format!("\\c{}", other.map(String::from).unwrap_or_default())),
        },
        'x' => return number(chars, String::new(), 16, 2, "\\x").map(Some),
        '0'..='7' => return number(chars, String::from(c), 8, 3, "\\").map(Some),
        other => return Ok(Some(other)),
    };
    Ok(Some(char::from(byte)))
}

fn number(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    mut digits: String,
    radix: u32,
    most: usize,
    prefix: &str,
) -> Result<char, String> {
    while digits.len() < most
        && let Some(digit) = chars.next_if(|c| c.is_digit(radix))
    {
        digits.push(digit);
    }
    // Beyond ASCII it would be half a character.
    match u8::from_str_radix(&digits, radix) {
        Ok(byte) if byte.is_ascii() => Ok(char::from(byte)),
        _ => Err(format!("{prefix}{digits}")),
    }
}

/// Writes a word such that [`tokens`] and [`unquote`] give it back, whatever definitions there are.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:,+=*?%&|;<>()[]^".contains(c);
    let keyword_of_the_reader = text.starts_with("include");
    if !text.is_empty() && text.chars().all(plain) && !keyword_of_the_reader {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Definitions are put in within quotes too.
            '$' => quoted.push_str("\\x24"),
            c if c.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text, Comments::Removed)
            .filter(|t| t.kind == TokenKind::Word)
            .map(|t| unquote(&text[t.range]).unwrap_or_else(|(text, fault)| format!("{text}<{fault:?}>")))
            .collect()
    }

    #[test]
    fn quotes_join_as_the_manual_of_keepalived_shows() {
        assert_eq!(words(r#"abcd" efg h jkl "mnop"#), ["abcd efg h jkl mnop"]);
        assert_eq!(words(r#"abcd "efg h jkl" mnop"#), ["abcd", "efg h jkl", "mnop"]);
        assert_eq!(words(r#""it's" 'a "b"' """#), ["it's", "a \"b\"", ""]);
    }

    #[test]
    fn escapes_count_within_quotes() {
        assert_eq!(words(r#""a\tb\x41\101\\\"\cA\E""#), ["a\tbAA\\\"\u{1}\u{1b}"]);
        assert_eq!(words(r#""\xff""#), ["<BadEscape(\"\\\\xff\")>"]);
        assert_eq!(words(r"weight\"), ["weight\\<BareBackslash>"]);
    }

    #[test]
    fn comments_start_anywhere_but_in_quotes() {
        assert_eq!(words("a#b c\nd !e\n\"f#g\" h"), ["a", "d", "f#g", "h"]);
    }

    #[test]
    fn braces_end_words_but_not_parameters() {
        assert_eq!(words("VI_1{ a${N}b } c"), ["VI_1", "a${N}b", "c"]);
    }
}
