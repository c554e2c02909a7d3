//! Filters, fields and pages of a listing.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a query value or path segment (RFC 3986 unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes one path segment or one side of a query pair.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Filters of a list request, in the order in which they were added.
///
/// `Query::new().filter("network_id", id).fixed_ip("10.0.0.9").fields(&["id", "name"])`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// No filter: everything that the project may see.
    pub fn new() -> Self {
        Self::default()
    }

    /// A filter; the same key may be given more than once (an OR in Neutron).
    #[must_use]
    pub fn filter(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.pairs.push((key.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// A filter, where there is a value.
    #[must_use]
    pub fn filter_if(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.filter(key, value),
            None => self,
        }
    }

    /// Neutron ports: those that hold this address.
    #[must_use]
    pub fn fixed_ip(self, address: &str) -> Self {
        self.filter("fixed_ips", format!("ip_address={address}"))
    }

    /// Neutron: only these fields are asked for (`fields=`); the others keep their default in the answer.
    #[must_use]
    pub fn fields(mut self, fields: &[&str]) -> Self {
        self.pairs.extend(fields.iter().map(|field| ("fields".to_owned(), (*field).to_owned())));
        self
    }

    /// The page size (`limit=`). All pages are fetched; without it the service decides.
    #[must_use]
    pub fn page_size(self, entries: u32) -> Self {
        self.filter("limit", entries.to_string())
    }

    /// `a=1&b=2`, encoded; empty without pairs.
    pub fn encoded(&self) -> String {
        let pairs: Vec<String> =
            self.pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        pairs.join("&")
    }

    /// Whether there is neither filter nor field.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_keys_may_repeat() {
        let query = Query::new().fixed_ip("fd00::1").filter("name", "a b&c/ü").fields(&["id", "name"]);
        assert_eq!(
            query.encoded(),
            "fixed_ips=ip_address%3Dfd00%3A%3A1&name=a%20b%26c%2F%C3%BC&fields=id&fields=name"
        );
    }
}
