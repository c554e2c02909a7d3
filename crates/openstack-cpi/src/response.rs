//! The answer: one JSON object with `result`, `error` and a `log` that is always a string.

use serde::Serialize;
use serde_json::Value;

use crate::error::{CpiError, Result};

#[derive(Serialize)]
struct Response<'a> {
    result: &'a Value,
    error: Option<ErrorObject<'a>>,
    log: &'a str,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    r#type: &'static str,
    message: &'a str,
    ok_to_retry: bool,
}

/// Renders the answer to a call. `steps` is what was said on stderr; it goes into the log of an error.
pub fn render(outcome: &Result<Value>, steps: &[String]) -> String {
    let (result, error, log) = match outcome {
        Ok(value) => (value, None, String::new()),
        Err(error) => (&Value::Null, Some(object_of(error)), log_of(error, steps)),
    };
    let response = Response { result, error, log: &log };
    // A value that came out of JSON goes into JSON; should it ever not, the answer still is one object.
    serde_json::to_string(&response).unwrap_or_else(|_| {
        r#"{"result":null,"error":{"type":"Unknown","message":"the answer could not be written as JSON","ok_to_retry":false},"log":""}"#
            .to_owned()
    })
}

fn object_of(error: &CpiError) -> ErrorObject<'_> {
    ErrorObject { r#type: error.kind.as_str(), message: &error.message, ok_to_retry: error.ok_to_retry }
}

fn log_of(error: &CpiError, steps: &[String]) -> String {
    format!("Rescued {}: {}. backtrace: {}", error.kind.as_str(), error.message, steps.join("\n"))
}
