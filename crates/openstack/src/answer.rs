//! What a service says when it refuses, in each service's own shape.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::HeaderMap;

use crate::error::{Delivery, Error, ErrorKind};
use crate::retry::retry_after;

/// The longest message kept, in characters.
const LONGEST_MESSAGE: usize = 600;

/// The id under which the service logged the request.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-openstack-request-id", "x-compute-request-id"]
        .iter()
        .find_map(|name| headers.get(*name))
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

/// The error for a status that is no success.
pub(crate) fn refusal(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Error {
    let fault = Fault::read(body);
    let asked = headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| retry_after(text, now))
        .or(fault.retry_after);
    let kind = kind(status, &fault, asked);
    let delivery = if status >= 500 { Delivery::Unknown } else { Delivery::Refused };
    let wait = matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable).then_some(asked).flatten();
    let message = if fault.message.is_empty() { reason(status).to_owned() } else { fault.message };
    let message = match (300..400).contains(&status).then(|| headers.get("location")).flatten() {
        Some(place) => {
            format!("{message}: it wants to be asked at {}", place.to_str().unwrap_or("another place"))
        }
        None => message,
    };
    Error::new(kind, message).with_delivery(delivery).with_answer(
        status,
        fault.code,
        request_id(headers),
        wait,
    )
}

fn kind(status: u16, fault: &Fault, asked: Option<Duration>) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthorized,
        403 | 409 | 413 if fault.speaks_of_quota() => ErrorKind::OverQuota,
        // Cinder says 413 for a quota and asks to wait 0 seconds; a rate limit asks for more.
        413 if fault.code.as_deref().is_some_and(|code| code.starts_with("overLimit")) => {
            if asked.is_some_and(|asked| !asked.is_zero()) {
                ErrorKind::RateLimited
            } else {
                ErrorKind::OverQuota
            }
        }
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        // 412: a conditional change that somebody else overtook.
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        500.. => ErrorKind::Unavailable,
        _ => ErrorKind::BadRequest,
    }
}

/// What a body says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fault {
    message: String,
    code: Option<String>,
    retry_after: Option<Duration>,
}

impl Fault {
    fn read(body: &[u8]) -> Self {
        let mut fault = match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_json(&value).unwrap_or_default(),
            Err(_) => Self { message: text_of(&String::from_utf8_lossy(body)), ..Self::default() },
        };
        if let Some((end, _)) = fault.message.char_indices().nth(LONGEST_MESSAGE) {
            fault.message.truncate(end);
            fault.message.push('…');
        }
        fault
    }

    fn from_json(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        // Neutron: {"NeutronError": {"type", "message", "detail"}}, and a plain string in old ones.
        if let Some(error) = object.get("NeutronError") {
            let message = text(error.get("message")).or_else(|| text(Some(error))).unwrap_or_default();
            return Some(Self { message, code: text(error.get("type")), retry_after: None });
        }
        // Octavia (WSME): {"faultcode", "faultstring"}.
        if let Some(message) = text(object.get("faultstring")) {
            return Some(Self { message, code: text(object.get("faultcode")), retry_after: None });
        }
        // Microversions (API working group): {"errors": [{"title", "detail"}]}.
        if let Some(error) = object.get("errors").and_then(|errors| errors.get(0)) {
            let message = text(error.get("detail")).or_else(|| text(error.get("title"))).unwrap_or_default();
            return Some(Self { message, code: text(error.get("code")), retry_after: None });
        }
        // Glance and WebOb: {"message", "code", "title"}, the message with tags in it.
        if let Some(message) = text(object.get("message")) {
            return Some(Self {
                message: text_of(&message),
                code: text(object.get("title")),
                retry_after: None,
            });
        }
        // Nova and Cinder: {"badRequest": {"message", "code"}}; Keystone: {"error": {"message", "title"}}.
        object.iter().find_map(|(name, fault)| {
            let message = text(fault.get("message"))?;
            let code = if name == "error" { text(fault.get("title")) } else { Some(name.clone()) };
            let retry_after = fault
                .get("retryAfter")
                .and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))
                .map(Duration::from_secs);
            Some(Self { message, code, retry_after })
        })
    }

    fn speaks_of_quota(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        self.code.as_deref() == Some("OverQuota")
            || message.contains("quota")
            || message.contains("limitexceeded")
            || message.contains("maximum number of")
    }
}

/// HTML or plain text as one line of text; of a page with a title and a body, the body.
fn text_of(text: &str) -> String {
    let body = text.find("<body").map_or(text, |start| &text[start..]);
    let mut plain = String::with_capacity(body.len());
    let mut in_tag = false;
    for character in body.chars() {
        match character {
            '<' => {
                in_tag = true;
                plain.push(' ');
            }
            '>' if in_tag => in_tag = false,
            _ if in_tag => {}
            _ => plain.push(character),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ")
}

fn reason(status: u16) -> &'static str {
    ureq::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Error {
        refusal(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn each_services_shape_is_read() {
        let cases: [(u16, &str, ErrorKind, &str, Option<&str>); 12] = [
            (
                400,
                r#"{"badRequest":{"code":400,"message":"Invalid imageRef provided."}}"#,
                ErrorKind::BadRequest,
                "Invalid imageRef provided.",
                Some("badRequest"),
            ),
            (
                409,
                r#"{"NeutronError":{"type":"IpAddressAlreadyAllocated","message":"IP address 10.0.0.9 already allocated in subnet s","detail":""}}"#,
                ErrorKind::Conflict,
                "IP address 10.0.0.9 already allocated in subnet s",
                Some("IpAddressAlreadyAllocated"),
            ),
            (
                401,
                r#"{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}"#,
                ErrorKind::Unauthorized,
                "The request you have made requires authentication.",
                Some("Unauthorized"),
            ),
            (
                404,
                "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID abc<br /><br />\n\n\n </body>\n</html>",
                ErrorKind::NotFound,
                "404 Not Found No image found with ID abc",
                None,
            ),
            (
                409,
                r#"{"faultcode":"Client","faultstring":"Load Balancer x is immutable and cannot be updated.","debuginfo":null}"#,
                ErrorKind::Conflict,
                "Load Balancer x is immutable and cannot be updated.",
                Some("Client"),
            ),
            (
                413,
                r#"{"overLimit":{"code":413,"message":"VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'.","retryAfter":"0"}}"#,
                ErrorKind::OverQuota,
                "VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'.",
                Some("overLimit"),
            ),
            (
                403,
                r#"{"forbidden":{"code":403,"message":"Quota exceeded for cores: Requested 4, but already used 0 of 2 cores"}}"#,
                ErrorKind::OverQuota,
                "Quota exceeded for cores: Requested 4, but already used 0 of 2 cores",
                Some("forbidden"),
            ),
            (
                409,
                r#"{"NeutronError":{"type":"OverQuota","message":"Resources exceeded: ['port'].","detail":""}}"#,
                ErrorKind::OverQuota,
                "Resources exceeded: ['port'].",
                Some("OverQuota"),
            ),
            (
                406,
                r#"{"errors":[{"status":406,"title":"Version unsupported","detail":"Version 3.99 is not supported","code":"x"}]}"#,
                ErrorKind::BadRequest,
                "Version 3.99 is not supported",
                Some("x"),
            ),
            (
                400,
                r#"{"message":"Invalid container format<br /><br />\n","code":"400 Bad Request","title":"Bad Request"}"#,
                ErrorKind::BadRequest,
                "Invalid container format",
                Some("Bad Request"),
            ),
            (503, "", ErrorKind::Unavailable, "Service Unavailable", None),
            (502, "upstream  said\nno", ErrorKind::Unavailable, "upstream said no", None),
        ];
        for (status, body, kind, message, code) in cases {
            let error = read(status, body);
            assert_eq!((error.kind(), error.message(), error.code()), (kind, message, code), "{body}");
            assert_eq!(error.status(), Some(status));
        }
    }

    #[test]
    fn a_413_that_asks_to_wait_is_a_rate_limit() {
        let error = read(
            413,
            r#"{"overLimit":{"code":413,"message":"This request was rate-limited.","retryAfter":"17"}}"#,
        );
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    }

    #[test]
    fn a_refusal_made_nothing_and_a_5xx_may_have() {
        assert_eq!(read(409, "").delivery(), Delivery::Refused);
        assert_eq!(read(500, "").delivery(), Delivery::Unknown);
        assert_eq!(read(504, "").delivery(), Delivery::Unknown);
    }

    #[test]
    fn headers_give_the_request_id_and_the_wait() {
        let mut headers = HeaderMap::new();
        headers.insert("x-compute-request-id", "req-2".parse().unwrap());
        headers.insert("retry-after", "3".parse().unwrap());
        let error = refusal(503, &headers, b"", SystemTime::UNIX_EPOCH);
        assert_eq!((error.request_id(), error.retry_after()), (Some("req-2"), Some(Duration::from_secs(3))));
        headers.insert("x-openstack-request-id", "req-1".parse().unwrap());
        assert_eq!(request_id(&headers).as_deref(), Some("req-1"));
    }

    #[test]
    fn any_bytes_are_taken_and_a_long_page_is_cut() {
        for body in [&b"\xff\xfe<"[..], b"[]", b"null", b"{\"a\":{}}", b"<body", b"{\"NeutronError\":7}"] {
            let _ = refusal(500, &HeaderMap::new(), body, SystemTime::UNIX_EPOCH);
        }
        let long = "ü".repeat(5000);
        assert!(read(500, &long).message().chars().count() <= LONGEST_MESSAGE + 1);
    }
}
