//! Metadata that the director sets: strings of at most 255 characters.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The longest key and the longest value.
const LONGEST: usize = 255;

/// Cuts keys and values to what OpenStack takes; null is dropped.
pub fn of(map: &Map<String, Value>) -> BTreeMap<String, String> {
    map.iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (cut(key), cut(&text_of(value))))
        .collect()
}

/// A value as text: strings as they are, everything else as JSON.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_ones_are_cut_and_null_is_dropped() {
        let long = "ä".repeat(300);
        let map = json!({"job": "router", "index": 3, "none": null, "long": long, "on": true});
        let metadata = of(map.as_object().unwrap());
        assert_eq!(metadata["long"].chars().count(), 255);
        assert_eq!(metadata["index"], "3");
        assert_eq!(metadata["on"], "true");
        assert!(!metadata.contains_key("none"));
    }
}
