//! A request as the director sends it: one JSON object on stdin.
//!
//! The checks run in the order of the reference server (gem `bosh_cpi` 2.6) and use its words.

use serde_json::{Map, Value};

use crate::error::{CpiError, Result};
use crate::method::Method;

/// The newest version of the protocol that is spoken here.
pub const MAX_API_VERSION: u64 = 3;

/// A request that passed the checks of the protocol.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Its arguments, not yet looked at.
    pub arguments: Vec<Value>,
    /// `director_uuid`, `request_id`, `vm`, and beside them the properties of a cpi-config.
    pub context: Map<String, Value>,
    /// The version of the protocol that the caller speaks; absent means 1.
    pub api_version: u64,
}

impl Request {
    /// Reads a request.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text).map_err(|error| {
            CpiError::invalid_call(format!("Request cannot be deserialized, details: {error}"))
        })?;
        let Value::Object(mut object) = value else {
            return Err(CpiError::invalid_call(format!(
                "Request cannot be deserialized, details: expected a JSON object, got {}",
                kind_of(&value)
            )));
        };
        let name = match object.get("method") {
            Some(Value::String(name)) => name.clone(),
            other => {
                let got = match other {
                    None | Some(Value::Null) => "nil".to_owned(),
                    Some(value) => value.to_string(),
                };
                return Err(CpiError::invalid_call(format!("Method must be a String, got: '{got}'")));
            }
        };
        let Some(method) = Method::from_name(&name) else {
            return Err(CpiError::not_implemented(format!("Method is not known, got: '{name}'")));
        };
        let Some(Value::Array(arguments)) = object.remove("arguments") else {
            return Err(CpiError::invalid_call("Arguments must be an Array"));
        };
        let api_version = match object.get("api_version") {
            None | Some(Value::Null) => 1,
            Some(value) => value
                .as_u64()
                .ok_or_else(|| CpiError::invalid_call("CPI api_version requested must be an Integer"))?,
        };
        let context = match object.remove("context") {
            Some(Value::Object(context)) if context.get("director_uuid").is_some_and(Value::is_string) => {
                context
            }
            _ => return Err(CpiError::invalid_call("Request should include context with director uuid")),
        };
        if api_version > MAX_API_VERSION || api_version == 0 {
            return Err(CpiError::not_supported(format!(
                "CPI API version requested is '{api_version}', supported are 1 to {MAX_API_VERSION}"
            )));
        }
        Ok(Self { method, arguments, context, api_version })
    }

    /// The id by which the director names this call in its logs.
    pub fn request_id(&self) -> Option<&str> {
        self.context.get("request_id").and_then(Value::as_str)
    }

    /// The director that asks.
    pub fn director_uuid(&self) -> &str {
        self.context.get("director_uuid").and_then(Value::as_str).unwrap_or_default()
    }

    /// The version of the protocol between the stemcell's agent and the CPI; absent means 1.
    pub fn stemcell_api_version(&self) -> u64 {
        self.context
            .get("vm")
            .and_then(|vm| vm.get("stemcell"))
            .and_then(|stemcell| stemcell.get("api_version"))
            .and_then(Value::as_u64)
            .unwrap_or(1)
    }

    /// Whether the agent gets its settings from the user data alone.
    pub fn is_registry_less(&self) -> bool {
        self.api_version >= 2 && self.stemcell_api_version() >= 2
    }
}

/// The id of a request whose JSON is otherwise wrong, so that its lines in the log can be found.
pub fn request_id_of(text: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(text).ok()?;
    Some(value.get("context")?.get("request_id")?.as_str()?.to_owned())
}

/// What a JSON value is, in the words of an error.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a hash",
    }
}
