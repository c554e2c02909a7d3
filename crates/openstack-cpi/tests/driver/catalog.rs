//! What only the administrator can set up: a region of the catalog, a domain with a user.

use openstack::{Method, Query, Request, Service};
use serde_json::{Value, json};

use super::lab::{Lab, grant, made_identity, sent};

/// A region of its own in the lab's catalog. Nobody else asks for it.
pub(crate) struct Region<'a> {
    lab: &'a Lab,
    /// Its name.
    pub(crate) name: String,
    endpoints: Vec<String>,
}

impl<'a> Region<'a> {
    /// With endpoints by type of service, interface and URL.
    pub(crate) fn new(lab: &'a Lab, name: &str, endpoints: &[(&str, &str, &str)]) -> Self {
        let name = format!("{}-{name}", lab.name());
        sent(lab.admin(), Service::Identity, Method::Post, "/regions", &json!({"region": {"id": name}}));
        let mut region = Self { lab, name, endpoints: Vec::new() };
        for (kind, interface, url) in endpoints {
            let request = Request::new(Service::Identity, Method::Get, "/services");
            let request = request.query(&Query::new().filter("type", *kind));
            let services: Value = serde_json::from_slice(&lab.admin().send(request).unwrap().body).unwrap();
            let service = services["services"][0]["id"].as_str().unwrap();
            let endpoint =
                json!({"service_id": service, "interface": interface, "url": url, "region_id": region.name});
            region.endpoints.push(made_identity(lab.admin(), "endpoint", &endpoint));
        }
        region
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        for endpoint in &self.endpoints {
            remove(self.lab, format!("/endpoints/{endpoint}"));
        }
        remove(self.lab, format!("/regions/{}", self.name));
    }
}

fn remove(lab: &Lab, path: String) {
    let _ = lab.admin().send(Request::new(Service::Identity, Method::Delete, path));
}

/// A domain with a user who may use the lab's project, which is in another domain.
pub(crate) struct Foreigner<'a> {
    lab: &'a Lab,
    /// The name of domain and user.
    pub(crate) name: String,
    domain_id: String,
}

impl<'a> Foreigner<'a> {
    pub(crate) const PASSWORD: &'static str = "password-of-the-foreigner";

    /// Makes them.
    pub(crate) fn new(lab: &'a Lab) -> Self {
        let name = format!("{}-foreigner", lab.name());
        let domain_id = made_identity(lab.admin(), "domain", &json!({"name": name}));
        let user = json!({"name": name, "password": Self::PASSWORD, "domain_id": domain_id});
        let user_id = made_identity(lab.admin(), "user", &user);
        grant(lab.admin(), lab.project_id(), &user_id, "member");
        Self { lab, name, domain_id }
    }
}

impl Drop for Foreigner<'_> {
    fn drop(&mut self) {
        let path = format!("/domains/{}", self.domain_id);
        let off = json!({"domain": {"enabled": false}});
        let request = Request::new(Service::Identity, Method::Patch, path.clone()).json(&off).unwrap();
        let _ = self.lab.admin().send(request);
        remove(self.lab, path);
    }
}
