//! The catalog: which service answers where.

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::service::{Interface, Service};

/// The services that came with the token.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalog {
    /// In Keystone's order.
    pub services: Vec<CatalogService>,
}

/// A service and its endpoints.
#[derive(Debug, Clone, Deserialize)]
pub struct CatalogService {
    /// `compute`, `network`, `volumev3`.
    #[serde(rename = "type")]
    pub service_type: String,
    /// `nova`.
    #[serde(default)]
    pub name: String,
    /// Where it answers.
    #[serde(default)]
    pub endpoints: Vec<CatalogEndpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct CatalogEndpoint {
    /// `public`, `internal`, `admin`.
    pub interface: String,
    /// The region's name (older Keystones).
    #[serde(default)]
    pub region: Option<String>,
    /// The region's id.
    #[serde(default)]
    pub region_id: Option<String>,
    /// The URL, with or without a version.
    pub url: String,
}

impl CatalogEndpoint {
    fn region_name(&self) -> &str {
        self.region_id.as_deref().or(self.region.as_deref()).unwrap_or("")
    }

    fn is_in(&self, region: Option<&str>) -> bool {
        region.is_none_or(|region| {
            self.region_id.as_deref() == Some(region) || self.region.as_deref() == Some(region)
        })
    }
}

impl Catalog {
    /// The versioned root of a service, without a slash at the end.
    pub fn endpoint(&self, service: Service, region: Option<&str>, interface: Interface) -> Result<String> {
        let types = service.catalog_types();
        let url = types
            .iter()
            .flat_map(|wanted| self.services.iter().filter(move |entry| entry.service_type == *wanted))
            .flat_map(|entry| &entry.endpoints)
            .find(|endpoint| {
                Interface::parse(&endpoint.interface) == Some(interface) && endpoint.is_in(region)
            })
            .map(|endpoint| endpoint.url.as_str());
        match url {
            Some(url) => Ok(versioned_root(service, url)),
            None => Err(self.no_endpoint(service, region, interface)),
        }
    }

    /// Whether there is any endpoint of that service at all.
    pub fn has(&self, service: Service) -> bool {
        self.services.iter().any(|entry| {
            service.catalog_types().contains(&entry.service_type.as_str()) && !entry.endpoints.is_empty()
        })
    }

    fn no_endpoint(&self, service: Service, region: Option<&str>, interface: Interface) -> Error {
        let types = service.catalog_types();
        let offered: Vec<String> = self
            .services
            .iter()
            .filter(|entry| types.contains(&entry.service_type.as_str()))
            .flat_map(|entry| &entry.endpoints)
            .map(|endpoint| format!("{} in region '{}'", endpoint.interface, endpoint.region_name()))
            .collect();
        let wanted = match region {
            Some(region) => format!("region '{region}', interface '{interface}'"),
            None => format!("interface '{interface}', any region"),
        };
        let what_is_there = if offered.is_empty() {
            let mut present: Vec<&str> =
                self.services.iter().map(|entry| entry.service_type.as_str()).collect();
            present.sort_unstable();
            present.dedup();
            if present.is_empty() {
                "the catalog is empty: is the token scoped to a project?".to_owned()
            } else {
                format!("the catalog has: {}", present.join(", "))
            }
        } else {
            format!("the catalog has it as: {}; set region or endpoint_type accordingly", offered.join(", "))
        };
        Error::new(
            ErrorKind::NoEndpoint,
            format!(
                "no endpoint of {} (service type '{}') for {wanted}; {what_is_there}",
                service.project(),
                types.first().unwrap_or(&"")
            ),
        )
    }
}

/// Adds the version that a catalog leaves out: Neutron's and Glance's usually do, Nova's and Cinder's may.
pub(crate) fn versioned_root(service: Service, url: &str) -> String {
    let url = url.trim_end_matches('/');
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let has_version = path.split('/').skip(1).any(|segment| {
        let mut characters = segment.chars();
        characters.next() == Some('v')
            && characters.next().is_some_and(|character| character.is_ascii_digit())
    });
    if has_version {
        return url.to_owned();
    }
    let version = match service {
        Service::Identity | Service::Volume => "v3",
        Service::Compute => "v2.1",
        Service::Network => "v2.0",
        Service::Image | Service::LoadBalancer => "v2",
    };
    format!("{url}/{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        serde_json::from_str(
            r#"[
            {"type":"compute","name":"nova","endpoints":[
              {"interface":"public","region":"RegionOne","region_id":"RegionOne","url":"http://n:8774/v2.1"},
              {"interface":"internal","region":"RegionOne","region_id":"RegionOne","url":"http://i:8774/v2.1"},
              {"interface":"public","region":"Two","region_id":"Two","url":"http://two:8774/v2.1"}]},
            {"type":"volume","name":"old","endpoints":[{"interface":"public","region_id":"RegionOne","url":"http://c/v2/p"}]},
            {"type":"volumev3","name":"cinder","endpoints":[{"interface":"public","region_id":"RegionOne","url":"http://c:8776/v3/p"}]},
            {"type":"network","name":"neutron","endpoints":[{"interface":"publicURL","region_id":"RegionOne","url":"http://q:9696/"}]}]"#,
        )
        .unwrap()
    }

    #[test]
    fn region_and_interface_choose() {
        let catalog = catalog();
        let at = |service, region, interface| catalog.endpoint(service, region, interface).unwrap();
        assert_eq!(at(Service::Compute, None, Interface::Public), "http://n:8774/v2.1");
        assert_eq!(at(Service::Compute, Some("Two"), Interface::Public), "http://two:8774/v2.1");
        assert_eq!(at(Service::Compute, None, Interface::Internal), "http://i:8774/v2.1");
        assert_eq!(at(Service::Volume, None, Interface::Public), "http://c:8776/v3/p");
        assert_eq!(at(Service::Network, None, Interface::Public), "http://q:9696/v2.0");
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let catalog = catalog();
        let error = catalog.endpoint(Service::Compute, Some("Three"), Interface::Admin).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoEndpoint);
        let text = error.message();
        for part in [
            "Nova",
            "'compute'",
            "'Three'",
            "'admin'",
            "public in region 'Two'",
            "internal in region 'RegionOne'",
        ] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        let error = catalog.endpoint(Service::LoadBalancer, None, Interface::Public).unwrap_err();
        assert!(error.message().contains("the catalog has: compute, network, volume, volumev3"), "{error}");
        let error = Catalog::default().endpoint(Service::Image, None, Interface::Public).unwrap_err();
        assert!(error.message().contains("scoped to a project"), "{error}");
    }

    #[test]
    fn versions_are_added_where_the_catalog_has_none() {
        assert_eq!(versioned_root(Service::Image, "http://g:9292"), "http://g:9292/v2");
        assert_eq!(versioned_root(Service::Image, "http://cloud/image/"), "http://cloud/image/v2");
        assert_eq!(
            versioned_root(Service::Compute, "http://cloud/compute/v2.1/p"),
            "http://cloud/compute/v2.1/p"
        );
        assert_eq!(versioned_root(Service::LoadBalancer, "http://volvo:9876"), "http://volvo:9876/v2");
    }
}
