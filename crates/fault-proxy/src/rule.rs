//! Which request is hit, and by what.

use std::collections::BTreeMap;
use std::time::Duration;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// A rule: the first one that matches a request and is not used up decides.
///
/// As JSON: `{"method": "POST", "path": "/servers$", "when": "after", "fault": {"answer": 504}, "times": 1}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Only the n-th request since the rules were set, counted from 1.
    pub at: Option<u64>,
    /// Only this method.
    pub method: Option<String>,
    /// Only URLs in which this regular expression is found.
    pub path: Option<String>,
    /// So many matching requests pass first.
    pub skip: u64,
    /// How many requests are hit at most; without a number all of them.
    pub times: Option<u64>,
    /// Before or after the service saw the request.
    pub when: When,
    /// What happens.
    pub fault: Fault,
}

/// When the fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The service never sees the request.
    #[default]
    Before,
    /// The service has carried it out; its answer is lost.
    After,
}

/// What happens to the request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// Waits so many milliseconds first. Alone, the request then goes its way.
    pub delay_ms: u64,
    /// Closes the connection without an answer.
    pub drop: bool,
    /// Answers with this status.
    pub answer: Option<u16>,
    /// Headers of that answer, as `Retry-After`.
    pub headers: BTreeMap<String, String>,
    /// The body of that answer; the project's usual one for the status if not given.
    pub body: Option<String>,
    /// Passes the service's answer on with half of its body, and closes the connection.
    pub truncate: bool,
    /// Passes the service's answer on with a body that is no JSON.
    pub garbage: bool,
}

impl Rule {
    /// Hits the n-th request, counted from 1.
    pub fn at(number: u64) -> Self {
        Self { at: Some(number), ..Self::default() }
    }

    /// Hits requests by method and a regular expression on the URL.
    pub fn on(method: &str, path: &str) -> Self {
        Self { method: Some(method.to_owned()), path: Some(path.to_owned()), ..Self::default() }
    }

    /// Sets what happens.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Sets when.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// Sets how often at most.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }
}

impl Fault {
    /// Closes the connection.
    pub fn drop() -> Self {
        Self { drop: true, ..Self::default() }
    }

    /// Answers with a status.
    pub fn answer(status: u16) -> Self {
        Self { answer: Some(status), ..Self::default() }
    }

    /// Waits, then lets the request go its way.
    pub fn delay(delay: Duration) -> Self {
        Self { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..Self::default() }
    }

    /// Cuts the answer's body short.
    pub fn truncate() -> Self {
        Self { truncate: true, ..Self::default() }
    }

    /// Makes the answer's body no JSON.
    pub fn garbage() -> Self {
        Self { garbage: true, ..Self::default() }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Gives the answer a body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// In a word, for the log.
    pub(crate) fn name(&self) -> String {
        let what = match self.answer {
            _ if self.drop => "drop".to_owned(),
            Some(status) => format!("answer {status}"),
            None if self.truncate => "truncate".to_owned(),
            None if self.garbage => "garbage".to_owned(),
            None => "delay".to_owned(),
        };
        if self.delay_ms > 0 && what != "delay" { format!("delay, {what}") } else { what }
    }
}

/// Rules in use, with their counts.
#[derive(Debug, Default)]
pub(crate) struct RuleBook {
    rules: Vec<(Rule, Option<Regex>, u64)>,
    requests: u64,
}

impl RuleBook {
    /// Takes rules; the error names the one whose expression is none.
    pub(crate) fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let mut book = Self::default();
        for rule in rules {
            let path = rule
                .path
                .as_deref()
                .map(|path| {
                    Regex::new(path)
                        .map_err(|error| format!("path '{path}' is no regular expression: {error}"))
                })
                .transpose()?;
            book.rules.push((rule, path, 0));
        }
        Ok(book)
    }

    /// The number of a request that comes now, and the rule that hits it.
    pub(crate) fn meet(&mut self, method: &str, url: &str) -> (u64, Option<(When, Fault)>) {
        self.requests += 1;
        for (rule, path, met) in &mut self.rules {
            let is_meant = rule.at.is_none_or(|at| at == self.requests)
                && rule.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && path.as_ref().is_none_or(|path| path.is_match(url));
            if !is_meant {
                continue;
            }
            *met += 1;
            let hits = *met > rule.skip && rule.times.is_none_or(|times| *met - rule.skip <= times);
            if hits {
                return (self.requests, Some((rule.when, rule.fault.clone())));
            }
        }
        (self.requests, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_skip_and_end() {
        let rules = vec![
            Rule::on("POST", "/ports$").skip(1).times(2).fault(Fault::drop()),
            Rule::at(6).fault(Fault::answer(503)),
        ];
        let mut book = RuleBook::new(rules).unwrap();
        let mut hits = Vec::new();
        for (method, url) in [
            ("POST", "http://n/v2.0/ports"),
            ("GET", "http://n/v2.0/ports"),
            ("POST", "http://n/v2.0/ports"),
            ("POST", "http://n/v2.0/ports"),
            ("POST", "http://n/v2.0/ports"),
            ("GET", "http://k/"),
        ] {
            hits.push(book.meet(method, url).1.map(|(_, fault)| fault.name()));
        }
        let hits: Vec<&str> = hits.iter().map(|hit| hit.as_deref().unwrap_or("-")).collect();
        assert_eq!(hits, ["-", "-", "drop", "drop", "-", "answer 503"]);
    }

    #[test]
    fn rules_are_read_from_json_and_mistakes_are_told() {
        let rule: Rule = serde_json::from_str(
            r#"{"at": 2, "when": "after", "fault": {"answer": 429, "headers": {"Retry-After": "1"}}}"#,
        )
        .unwrap();
        assert_eq!(rule, Rule::at(2).when(When::After).fault(Fault::answer(429).header("Retry-After", "1")));
        assert!(serde_json::from_str::<Rule>(r#"{"patth": "x"}"#).is_err());
        assert!(RuleBook::new(vec![Rule::on("GET", "(")]).unwrap_err().contains("'('"));
    }
}
