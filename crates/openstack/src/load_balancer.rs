//! Octavia v2: load balancers, listeners, pools, members.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{Deletion, Result};
use crate::query::{Query, encode};
use crate::request::{Method, Request};
use crate::service::Service;

/// Octavia's calls: [`Client::load_balancer`]. While a load balancer is `PENDING_UPDATE`, every change below it is a
/// 409.
#[derive(Debug, Clone, Copy)]
pub struct LoadBalancerApi<'a> {
    pub(crate) client: &'a Client,
}

const OCTAVIA: Service = Service::LoadBalancer;

impl LoadBalancerApi<'_> {
    /// Load balancers that match.
    pub fn load_balancers(&self, query: &Query) -> Result<Vec<LoadBalancer>> {
        self.client.list(OCTAVIA, "/lbaas/loadbalancers", "loadbalancers", query)
    }

    /// One load balancer.
    pub fn load_balancer(&self, id: &str) -> Result<LoadBalancer> {
        self.client.get(OCTAVIA, format!("/lbaas/loadbalancers/{}", encode(id)), "loadbalancer")
    }

    /// Makes a load balancer.
    pub fn create_load_balancer(&self, load_balancer: &LoadBalancerCreate) -> Result<LoadBalancer> {
        self.client.create(OCTAVIA, "/lbaas/loadbalancers", "loadbalancer", load_balancer)
    }

    /// Removes a load balancer; with `cascade` all that hangs on it.
    pub fn delete_load_balancer(&self, id: &str, cascade: bool) -> Result<Deletion> {
        let mut request =
            Request::new(OCTAVIA, Method::Delete, format!("/lbaas/loadbalancers/{}", encode(id)));
        if cascade {
            request = request.query(&Query::new().filter("cascade", "true"));
        }
        self.client.deletion(request)
    }

    /// Pools that match.
    pub fn pools(&self, query: &Query) -> Result<Vec<Pool>> {
        self.client.list(OCTAVIA, "/lbaas/pools", "pools", query)
    }

    /// Pools with exactly this name.
    pub fn pools_named(&self, name: &str) -> Result<Vec<Pool>> {
        self.pools(&Query::new().filter("name", name))
    }

    /// One pool.
    pub fn pool(&self, id: &str) -> Result<Pool> {
        self.client.get(OCTAVIA, format!("/lbaas/pools/{}", encode(id)), "pool")
    }

    /// Makes a pool.
    pub fn create_pool(&self, pool: &PoolCreate) -> Result<Pool> {
        self.client.create(OCTAVIA, "/lbaas/pools", "pool", pool)
    }

    /// Removes a pool.
    pub fn delete_pool(&self, id: &str) -> Result<Deletion> {
        self.client.delete(OCTAVIA, format!("/lbaas/pools/{}", encode(id)))
    }

    /// Members of a pool that match.
    pub fn members(&self, pool_id: &str, query: &Query) -> Result<Vec<Member>> {
        self.client.list(OCTAVIA, format!("/lbaas/pools/{}/members", encode(pool_id)), "members", query)
    }

    /// Adds a member; a 409 if address and port are in the pool already, or while the load balancer is changing.
    pub fn create_member(&self, pool_id: &str, member: &MemberCreate) -> Result<Member> {
        self.client.create(OCTAVIA, format!("/lbaas/pools/{}/members", encode(pool_id)), "member", member)
    }

    /// Removes a member.
    pub fn delete_member(&self, pool_id: &str, member_id: &str) -> Result<Deletion> {
        self.client.delete(OCTAVIA, format!("/lbaas/pools/{}/members/{}", encode(pool_id), encode(member_id)))
    }
}

/// The id of something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// UUID.
    pub id: String,
}

/// A load balancer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// `ACTIVE`, `PENDING_CREATE`, `PENDING_UPDATE`, `PENDING_DELETE`, `ERROR`.
    pub provisioning_status: String,
    /// `ONLINE`, `OFFLINE`.
    pub operating_status: String,
    /// Its address.
    pub vip_address: Option<String>,
    /// Its port.
    pub vip_port_id: Option<String>,
    /// Its subnet.
    pub vip_subnet_id: Option<String>,
    /// Its network.
    pub vip_network_id: Option<String>,
    /// Its pools.
    pub pools: Vec<Reference>,
    /// `amphora`, `ovn`.
    pub provider: Option<String>,
    /// Its owner.
    pub project_id: Option<String>,
}

/// A load balancer to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadBalancerCreate {
    /// Its name.
    pub name: String,
    /// Its subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip_subnet_id: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip_address: Option<String>,
    /// Anything else, by its API name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A pool.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// `HTTP`, `TCP`.
    pub protocol: String,
    /// As of a load balancer.
    pub provisioning_status: String,
    /// As of a load balancer.
    pub operating_status: String,
    /// Whose pool it is.
    pub loadbalancers: Vec<Reference>,
    /// Its members.
    pub members: Vec<Reference>,
}

/// A pool to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PoolCreate {
    /// Its name.
    pub name: String,
    /// `HTTP`, `TCP`.
    pub protocol: String,
    /// `ROUND_ROBIN`, `LEAST_CONNECTIONS`, `SOURCE_IP`.
    pub lb_algorithm: String,
    /// Whose pool it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loadbalancer_id: Option<String>,
    /// Or below which listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_id: Option<String>,
}

/// A member of a pool.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Member {
    /// UUID.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// Where requests go.
    pub address: String,
    /// Where requests go.
    pub protocol_port: u32,
    /// Its subnet.
    pub subnet_id: Option<String>,
    /// Where health is asked, if elsewhere.
    pub monitor_port: Option<u32>,
    /// As of a load balancer.
    pub provisioning_status: String,
    /// As of a load balancer.
    pub operating_status: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A member to be added.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MemberCreate {
    /// Where requests go.
    pub address: String,
    /// Where requests go.
    pub protocol_port: u32,
    /// Its subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where health is asked, if elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor_port: Option<u32>,
    /// Its tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}
