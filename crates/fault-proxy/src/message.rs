//! HTTP/1.1 messages: heads that are parsed, bodies that are passed on as they come.

use std::io::{self, BufRead, Read, Write};

/// The longest head that is read, in bytes.
const LONGEST_HEAD: usize = 128 << 10;

/// The head of a request or an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// Of a request.
    pub(crate) method: String,
    /// Of a request: absolute URL, path, or `host:port`.
    pub(crate) target: String,
    /// Of an answer.
    pub(crate) status: u16,
    /// Of an answer.
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    Chunked,
    UntilClose,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
            .map(str::trim)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.header(name)
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    }

    /// The body's length, if the head says so; `otherwise` if it says nothing.
    pub(crate) fn length(&self, otherwise: Length) -> io::Result<Length> {
        if self.has_token("transfer-encoding", "chunked") {
            return Ok(Length::Chunked);
        }
        match self.header("content-length") {
            Some(length) => {
                length.parse().map(Length::Known).map_err(|_| invalid("Content-Length is no number"))
            }
            None => Ok(otherwise),
        }
    }

    /// The head as it goes out, with this first line.
    pub(crate) fn write(&self, first_line: &str, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(first_line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        out.write_all(&bytes)
    }
}

pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// The bytes of a head, up to and with the empty line; none at the end of the connection.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        let read = from.take((LONGEST_HEAD - before) as u64).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return if bytes.is_empty() {
                Ok(None)
            } else {
                Err(invalid("the head ends early or is too long"))
            };
        }
        if matches!(&bytes[before..], b"\r\n" | b"\n") {
            return Ok(Some(bytes));
        }
    }
}

fn headers(parsed: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    parsed.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect()
}

/// The next request; none at the end of the connection.
pub(crate) fn read_request(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(bytes) = read_head(from)? else { return Ok(None) };
    let mut space = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut space);
    request.parse(&bytes).map_err(|error| invalid(format!("no HTTP request: {error}")))?;
    Ok(Some(Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        headers: headers(request.headers),
        ..Head::default()
    }))
}

/// The next final answer (interim ones are left out).
pub(crate) fn read_answer(from: &mut impl BufRead) -> io::Result<Head> {
    loop {
        let bytes =
            read_head(from)?.ok_or_else(|| invalid("the service closed the connection without an answer"))?;
        let mut space = [httparse::EMPTY_HEADER; 128];
        let mut answer = httparse::Response::new(&mut space);
        answer.parse(&bytes).map_err(|error| invalid(format!("no HTTP answer: {error}")))?;
        let status = answer.code.unwrap_or_default();
        if (100..200).contains(&status) {
            continue;
        }
        return Ok(Head {
            status,
            reason: answer.reason.unwrap_or_default().to_owned(),
            headers: headers(answer.headers),
            ..Head::default()
        });
    }
}

/// Passes a body on, framing included. Of a body that is kept, at most `keep.1` bytes (framing included).
pub(crate) fn pass_body(
    from: &mut impl BufRead,
    to: &mut impl Write,
    length: Length,
    keep: Option<(&mut Vec<u8>, usize)>,
) -> io::Result<()> {
    let mut keep = keep;
    let mut pass = |bytes: &[u8]| -> io::Result<()> {
        if let Some((kept, most)) = &mut keep {
            let room = most.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        }
        to.write_all(bytes)
    };
    match length {
        Length::Known(length) => pass_exactly(from, &mut pass, length),
        Length::UntilClose => pass_all(from, &mut pass),
        Length::Chunked => loop {
            let mut line = Vec::new();
            from.take(1024).read_until(b'\n', &mut line)?;
            let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next()).map(str::trim);
            let size = size
                .and_then(|size| u64::from_str_radix(size, 16).ok())
                .ok_or_else(|| invalid("no chunk size"))?;
            pass(&line)?;
            if size > 0 {
                pass_exactly(from, &mut pass, size + 2)?;
                continue;
            }
            loop {
                let mut trailer = Vec::new();
                let read = from.take(8192).read_until(b'\n', &mut trailer)?;
                pass(&trailer)?;
                if read == 0 || matches!(trailer.as_slice(), b"\r\n" | b"\n") {
                    return Ok(());
                }
            }
        },
    }
}

fn pass_exactly(
    from: &mut impl BufRead,
    pass: &mut impl FnMut(&[u8]) -> io::Result<()>,
    length: u64,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let available = from.fill_buf()?;
        if available.is_empty() {
            return Err(invalid(format!("the body ends {left} bytes early")));
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(available.len());
        pass(&available[..now])?;
        from.consume(now);
        left -= now as u64;
    }
    Ok(())
}

fn pass_all(from: &mut impl BufRead, pass: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    loop {
        let available = from.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let now = available.len();
        pass(available)?;
        from.consume(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_passed_with_its_framing_and_not_beyond() {
        let bytes = b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: t\r\n\r\nNEXT";
        let mut from = &bytes[..];
        let (mut to, mut kept) = (Vec::new(), Vec::new());
        pass_body(&mut from, &mut to, Length::Chunked, Some((&mut kept, 10))).unwrap();
        assert_eq!(to, &bytes[..bytes.len() - 4]);
        assert_eq!(from, b"NEXT");
        assert_eq!(kept.len(), 10);
    }

    #[test]
    fn heads_are_read_and_nonsense_is_refused() {
        let mut from = &b"POST http://h:1/p?q HTTP/1.1\r\nContent-Length: 5\r\nHost: h:1\r\n\r\nhello"[..];
        let head = read_request(&mut from).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("POST", "http://h:1/p?q"));
        assert_eq!(head.length(Length::Known(0)).unwrap(), Length::Known(5));
        assert_eq!(from, b"hello");
        assert!(read_request(&mut &b""[..]).unwrap().is_none());
        assert!(read_request(&mut &b"\x16\x03\x01\r\n\r\n"[..]).is_err());
        let mut interim = &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n"[..];
        assert_eq!(read_answer(&mut interim).unwrap().status, 201);
    }
}
