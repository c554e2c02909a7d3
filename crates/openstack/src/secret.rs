//! Values that never show in a log, an error or a `Debug` output.

use std::fmt;

use serde::{Deserialize, Serializer};

/// A password, an application credential's secret, a token or user data.
///
/// `Debug` and `Display` print `<redacted>`. There is no `Serialize`: a body that has to carry the value says
/// so with [`expose_in_body`].
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the value is the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// For `#[serde(serialize_with)]` on the field of a request body that carries the value to OpenStack.
pub fn expose_in_body<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_some(secret.expose()),
        None => serializer.serialize_none(),
    }
}

/// Replaces every occurrence of the given secrets in a text that came from outside.
pub(crate) fn scrub<'a>(text: &str, secrets: impl Iterator<Item = &'a Secret>) -> String {
    // Shorter values would blank out ordinary words; a real secret is longer.
    const SHORTEST: usize = 4;
    let mut text = text.to_owned();
    for secret in secrets {
        if secret.0.len() >= SHORTEST && text.contains(&secret.0) {
            text = text.replace(&secret.0, "<redacted>");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_display_shows_the_value() {
        let secret = Secret::new("hunter22");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "<redacted> <redacted> Some(<redacted>)"
        );
    }

    #[test]
    fn scrubbing_replaces_every_occurrence() {
        let secrets = [Secret::new("hunter22"), Secret::new("tok-en")];
        assert_eq!(
            scrub("hunter22 and tok-en, hunter22", secrets.iter()),
            "<redacted> and <redacted>, <redacted>"
        );
        assert_eq!(scrub("nothing here", secrets.iter()), "nothing here");
    }
}
