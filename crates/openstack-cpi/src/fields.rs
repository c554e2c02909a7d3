//! Reading hashes that people wrote: every error names the path of its field, numbers and booleans may
//! come as strings (manifests do that, and Ruby let them), an unknown key is a warning with a suggestion.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::request::kind_of;

/// A field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where it stands, like `cloud_properties.root_disk.size`.
    pub path: String,
    /// What is wrong and what mends it.
    pub problem: String,
}

impl FieldError {
    /// An error at a path.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// What was read well enough, but should be said aloud.
#[derive(Debug, Default)]
pub struct Warnings(RefCell<Vec<String>>);

impl Warnings {
    /// Adds one.
    pub fn push(&self, warning: impl Into<String>) {
        self.0.borrow_mut().push(warning.into());
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// The result of reading.
pub type Read<T> = Result<T, FieldError>;

/// A hash and where it stands. A key whose value is null counts as absent, as in Ruby.
pub struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    known: RefCell<BTreeSet<&'static str>>,
    warnings: &'a Warnings,
}

impl<'a> Fields<'a> {
    /// Reads a hash.
    pub fn new(path: impl Into<String>, map: &'a Map<String, Value>, warnings: &'a Warnings) -> Self {
        Self { path: path.into(), map, known: RefCell::default(), warnings }
    }

    /// Reads a value that has to be a hash.
    pub fn of(path: impl Into<String>, value: &'a Value, warnings: &'a Warnings) -> Read<Self> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self::new(path, map, warnings)),
            other => Err(FieldError::new(path, format!("expected a hash, got {}", kind_of(other)))),
        }
    }

    /// The path of a key.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The warnings that reading collects.
    pub fn warnings(&self) -> &'a Warnings {
        self.warnings
    }

    /// An error at a key.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> FieldError {
        FieldError::new(self.path_of(key), problem)
    }

    fn wrong(&self, key: &str, expected: &str, got: &Value) -> FieldError {
        self.error(key, format!("expected {expected}, got {}", kind_of(got)))
    }

    /// The value of a key, if it is there and not null.
    pub fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there, even with null.
    pub fn has(&self, key: &'static str) -> bool {
        self.known.borrow_mut().insert(key);
        self.map.contains_key(key)
    }

    /// A string.
    pub fn string(&self, key: &'static str) -> Read<Option<String>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => {
                self.warnings.push(format!("{}: {number} is a number, read as a string", self.path_of(key)));
                Ok(Some(number.to_string()))
            }
            Some(other) => Err(self.wrong(key, "a string", other)),
        }
    }

    /// A boolean.
    pub fn boolean(&self, key: &'static str) -> Read<Option<bool>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text == "true" || text == "false" => {
                self.warnings
                    .push(format!("{}: \"{text}\" is a string, read as a boolean", self.path_of(key)));
                Ok(Some(text == "true"))
            }
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    /// A whole number that is not negative.
    pub fn integer(&self, key: &'static str) -> Read<Option<u64>> {
        self.value(key).map(|value| integer_of(&self.path_of(key), value, self.warnings)).transpose()
    }

    /// A list of strings.
    pub fn strings(&self, key: &'static str) -> Read<Option<Vec<String>>> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        let mut strings = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            match item {
                Value::String(text) => strings.push(text.clone()),
                other => return Err(self.wrong(&format!("{key}[{index}]"), "a string", other)),
            }
        }
        Ok(Some(strings))
    }

    /// A list.
    pub fn list(&self, key: &'static str) -> Read<Option<&'a Vec<Value>>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong(key, "a list", other)),
        }
    }

    /// A hash, kept as it is.
    pub fn map(&self, key: &'static str) -> Read<Option<&'a Map<String, Value>>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.wrong(key, "a hash", other)),
        }
    }

    /// A hash, to be read further.
    pub fn fields(&self, key: &'static str) -> Read<Option<Fields<'a>>> {
        Ok(self.map(key)?.map(|map| Fields::new(self.path_of(key), map, self.warnings)))
    }

    /// Warns of the keys that nobody asked for.
    pub fn finish(self) {
        let known = self.known.borrow();
        for key in self.map.keys().filter(|key| !known.contains(key.as_str())) {
            let suggestion = match closest(key, known.iter().copied()) {
                Some(similar) => format!("; did you mean '{similar}'?"),
                None => String::new(),
            };
            self.warnings.push(format!("{}: unknown key, ignored{suggestion}", self.path_of(key)));
        }
    }
}

/// A whole number that is not negative; a string of digits is one too.
pub fn integer_of(path: &str, value: &Value, warnings: &Warnings) -> Read<u64> {
    let wrong = || FieldError::new(path, format!("expected a whole number, got {value}"));
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0).and_then(whole))
            .ok_or_else(wrong),
        Value::String(text) => {
            let number = text.trim().parse().map_err(|_| wrong())?;
            warnings.push(format!("{path}: \"{text}\" is a string, read as a number"));
            Ok(number)
        }
        other => Err(FieldError::new(path, format!("expected a whole number, got {}", kind_of(other)))),
    }
}

/// A float that is a whole number small enough to be exact.
fn whole(number: f64) -> Option<u64> {
    // Beyond 2^53 a float no longer counts by one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..=9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}

/// The candidate that was probably meant.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
