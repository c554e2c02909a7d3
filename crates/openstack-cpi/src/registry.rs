//! The registry of API version 1, for directors and stemcells from before 2019:
//! `GET`, `PUT` and `DELETE {endpoint}/instances/{key}/settings` with basic authentication, over plain HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::config::Registry;
use crate::error::{CpiError, Result};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the registry.
pub struct RegistryClient<'a> {
    registry: &'a Registry,
    agent: ureq::Agent,
}

impl<'a> RegistryClient<'a> {
    /// For a configured registry.
    pub fn new(registry: &'a Registry) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // The registry stands beside the director, where no proxy leads.
            .proxy(None)
            .build();
        Self { registry, agent: config.into() }
    }

    fn url(&self, key: &str) -> String {
        format!(
            "{}/instances/{}/settings",
            self.registry.endpoint.trim_end_matches('/'),
            openstack::encode(key)
        )
    }

    fn authorization(&self) -> String {
        let pair = format!("{}:{}", self.registry.user, self.registry.password.expose());
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// The settings of a server.
    pub fn read(&self, key: &str) -> Result<Value> {
        let answer = self.agent.get(self.url(key)).header("Authorization", self.authorization()).call();
        let (status, body) = text_of("read", key, answer)?;
        if status != 200 {
            return Err(failed("read", key, &format!("HTTP status {status}")));
        }
        // The settings travel as JSON in a string in JSON.
        let answer: Value =
            serde_json::from_str(&body).map_err(|error| failed("read", key, &error.to_string()))?;
        match answer.get("settings") {
            Some(Value::String(settings)) => {
                serde_json::from_str(settings).map_err(|error| failed("read", key, &error.to_string()))
            }
            _ => Err(failed("read", key, "the answer has no settings")),
        }
    }

    /// Replaces the settings of a server.
    pub fn update(&self, key: &str, settings: &Value) -> Result<()> {
        let answer = self
            .agent
            .put(self.url(key))
            .header("Authorization", self.authorization())
            .header("Content-Type", "application/json")
            .send(settings.to_string());
        match text_of("update", key, answer)? {
            (200 | 201 | 204, _) => Ok(()),
            (status, _) => Err(failed("update", key, &format!("HTTP status {status}"))),
        }
    }

    /// Removes the settings of a server; gone is good.
    pub fn delete(&self, key: &str) -> Result<()> {
        let answer = self.agent.delete(self.url(key)).header("Authorization", self.authorization()).call();
        match text_of("delete", key, answer)? {
            (200 | 204 | 404, _) => Ok(()),
            (status, _) => Err(failed("delete", key, &format!("HTTP status {status}"))),
        }
    }
}

fn text_of(
    what: &str,
    key: &str,
    answer: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(u16, String)> {
    let mut answer = answer.map_err(|error| failed(what, key, &error.to_string()))?;
    let body = answer.body_mut().read_to_string().map_err(|error| failed(what, key, &error.to_string()))?;
    Ok((answer.status().as_u16(), body))
}

fn failed(what: &str, key: &str, reason: &str) -> CpiError {
    CpiError::cloud(format!("Cannot {what} settings for '{key}' in the registry: {reason}"))
}
