//! The next page of a listing, in each of the ways in which services say it.

use serde_json::{Map, Value};

/// The query of the next page. Only the query counts: behind a proxy that ends TLS, services write links with a
/// scheme and host that lead nowhere.
pub(crate) fn next_query(page: &Map<String, Value>, collection: &str) -> Option<String> {
    let links = page.get(&format!("{collection}_links")).and_then(Value::as_array);
    let link = links
        .and_then(|links| links.iter().find(|link| link.get("rel").and_then(Value::as_str) == Some("next")))
        .and_then(|link| link.get("href"))
        // Glance.
        .or_else(|| page.get("next"))
        .and_then(Value::as_str)?;
    link.split_once('?').map(|(_, query)| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(page: &str, collection: &str) -> Option<String> {
        next_query(serde_json::from_str::<Value>(page).unwrap().as_object().unwrap(), collection)
    }

    #[test]
    fn neutron_nova_cinder_and_octavia_link_by_collection() {
        let page = r#"{"ports":[],"ports_links":[{"rel":"previous","href":"http://x/v2.0/ports?page_reverse=True"},
            {"rel":"next","href":"http://wrong/v2.0/ports?limit=2&marker=b%2F"}]}"#;
        assert_eq!(next(page, "ports").as_deref(), Some("limit=2&marker=b%2F"));
        assert_eq!(next(r#"{"servers":[]}"#, "servers"), None);
        assert_eq!(next(r#"{"servers":[],"servers_links":[]}"#, "servers"), None);
    }

    #[test]
    fn glance_names_the_next_page_alone() {
        assert_eq!(
            next(r#"{"images":[],"next":"/v2/images?marker=m&limit=2"}"#, "images").as_deref(),
            Some("marker=m&limit=2")
        );
    }
}
