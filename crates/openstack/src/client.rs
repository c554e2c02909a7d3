//! The client: one session, shared by all threads, and the loop around every request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

use crate::answer::{refusal, request_id};
use crate::auth::{self, Session};
use crate::catalog::versioned_root;
use crate::clock::{Clock, SystemClock};
use crate::compute::ComputeApi;
use crate::config::{Config, Limits};
use crate::error::{Deletion, Delivery, Error, ErrorKind, OrNone, Result};
use crate::image::ImageApi;
use crate::load_balancer::LoadBalancerApi;
use crate::network::NetworkApi;
use crate::observer::{NoObserver, Observer, RequestReport};
use crate::paging::next_query;
use crate::query::Query;
use crate::request::{Body, Method, Repeat, Request};
use crate::retry::{self, Attempt};
use crate::secret::{Secret, scrub};
use crate::service::Service;
use crate::transport::{Exchange, Reply, Sensitive, Transport};
use crate::volume::VolumeApi;

/// A stream cannot be sent twice, so that it does not start with a token older than this.
const FRESH: Duration = Duration::from_mins(5);

/// More pages than any listing has: a service that links in circles must not hold us.
const MOST_PAGES: u32 = 10_000;

/// An OpenStack cloud, seen by one user. Cheap to share by reference between threads.
#[derive(Debug)]
pub struct Client {
    config: Arc<Config>,
    tokens_url: String,
    transport: Transport,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Arc<Session>>,
    obtained: Duration,
    generation: u64,
}

/// What a service answered with success.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, possibly empty.
    pub body: Vec<u8>,
    /// OpenStack's request id.
    pub request_id: Option<String>,
}

impl Client {
    /// A client; checks the settings and opens nothing.
    pub fn new(config: Config) -> Result<Self> {
        let tokens_url = auth::tokens_url(&config.auth_url)?;
        let config = Arc::new(config);
        Ok(Self {
            transport: Transport::new(Arc::clone(&config)),
            config,
            tokens_url,
            clock: Arc::new(SystemClock::new()),
            observer: Arc::new(NoObserver),
            state: Mutex::default(),
        })
    }

    /// With another clock: tests of retries need no waiting.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With somebody who is told about every request.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Neutron.
    pub fn network(&self) -> NetworkApi<'_> {
        NetworkApi { client: self }
    }

    /// Nova.
    pub fn compute(&self) -> ComputeApi<'_> {
        ComputeApi { client: self }
    }

    /// Glance.
    pub fn image(&self) -> ImageApi<'_> {
        ImageApi { client: self }
    }

    /// Cinder.
    pub fn volume(&self) -> VolumeApi<'_> {
        VolumeApi { client: self }
    }

    /// Octavia.
    pub fn load_balancer(&self) -> LoadBalancerApi<'_> {
        LoadBalancerApi { client: self }
    }

    /// The clock in use.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The observer in use.
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// The limits in use.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// The settings in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the cloud has a service, in the region and with the interface of the settings. Needs the token.
    pub fn has(&self, service: Service) -> Result<bool> {
        match self.endpoint(&*self.session()?, service) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NoEndpoint => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The session: what Keystone said about the token, without the token. Fetched when first needed; threads that
    /// come meanwhile wait for the same one.
    pub fn session(&self) -> Result<Arc<Session>> {
        let mut state = self.state();
        if let Some(session) = &state.session {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.authenticate(state.generation + 1)?);
        state.generation += 1;
        state.obtained = self.clock.now();
        state.session = Some(Arc::clone(&session));
        Ok(session)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it authenticated left no half session behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a session that was refused, unless another thread renewed it already.
    fn forget(&self, generation: u64) {
        let mut state = self.state();
        if state.session.as_ref().is_some_and(|session| session.generation == generation) {
            state.session = None;
        }
    }

    fn forget_old(&self) {
        let mut state = self.state();
        if self.clock.now().saturating_sub(state.obtained) > FRESH {
            state.session = None;
        }
    }

    fn authenticate(&self, generation: u64) -> Result<Session> {
        let mut request = Request::new(Service::Identity, Method::Post, "/auth/tokens")
            .repeat(Repeat::Safe)
            .json(&auth::body(&self.config.credentials))?;
        let read = |reply: Reply| {
            let token =
                reply.headers.get("x-subject-token").and_then(|value| value.to_str().ok()).ok_or_else(
                    || {
                        Error::new(
                            ErrorKind::Decode,
                            "Keystone's answer has no X-Subject-Token: is that URL a Keystone?",
                        )
                    },
                )?;
            auth::session(Secret::new(token), generation, &reply.body)
        };
        self.repeated(&mut request, |request, number, time| {
            self.attempt(request, &self.tokens_url, None, number, time, read)
        })
    }

    fn endpoint(&self, session: &Session, service: Service) -> Result<String> {
        match self.config.endpoints.get(&service) {
            Some(url) => Ok(versioned_root(service, url)),
            None => session.catalog.endpoint(service, self.config.region.as_deref(), self.config.interface),
        }
    }

    /// Sends a request and returns the successful answer.
    pub fn send(&self, request: Request<'_>) -> Result<Answer> {
        self.send_and_read(request, |reply| {
            Ok(Answer { status: reply.status, request_id: request_id(&reply.headers), body: reply.body })
        })
    }

    fn send_and_read<T>(&self, mut request: Request<'_>, read: impl Fn(Reply) -> Result<T>) -> Result<T> {
        if matches!(request.body, Body::Stream { .. }) {
            self.forget_old();
        }
        let mut renewed = false;
        self.repeated(&mut request, |request, number, time| {
            loop {
                let session = self.session()?;
                let root = self.endpoint(&session, request.service).map_err(|error| {
                    error.of_request(request.service, request.method.name(), &request.path)
                })?;
                let mut url = format!("{root}{}", request.path);
                if !request.query.is_empty() {
                    url.push('?');
                    url.push_str(&request.query);
                }
                let result = self.attempt(request, &url, Some(&session), number, time, &read);
                match &result {
                    Err(error)
                        if error.kind() == ErrorKind::Unauthorized
                            && !std::mem::replace(&mut renewed, true)
                            && !request.is_consumed() =>
                    {
                        self.forget(session.generation);
                    }
                    _ => return result,
                }
            }
        })
    }

    /// The loop of attempts: sends, waits and sends again as [`retry`] allows.
    fn repeated<T>(
        &self,
        request: &mut Request<'_>,
        mut once: impl FnMut(&mut Request<'_>, u32, Duration) -> Result<T>,
    ) -> Result<T> {
        let limits = &self.config.limits;
        let started = self.clock.now();
        let mut number = 1;
        loop {
            let elapsed = self.clock.now().saturating_sub(started);
            let time = limits.request.min(limits.total.saturating_sub(elapsed)).max(Duration::from_secs(1));
            let error = match once(request, number, time) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // A failed authentication of another service's request had its own attempts.
            let is_of_this_request = error.service() == Some(request.service);
            let attempt = Attempt {
                number,
                elapsed: self.clock.now().saturating_sub(started),
                repeat: request.repeat,
                chance: self.clock.chance(),
            };
            match retry::wait(&error, &attempt, limits) {
                Some(wait) if is_of_this_request && !request.is_consumed() => {
                    self.observer.retry(&error, number, wait);
                    self.clock.sleep(wait);
                    number += 1;
                }
                _ => return Err(error),
            }
        }
    }

    fn attempt<T>(
        &self,
        request: &mut Request<'_>,
        url: &str,
        session: Option<&Session>,
        number: u32,
        time: Duration,
        read: impl Fn(Reply) -> Result<T>,
    ) -> Result<T> {
        let started = self.clock.now();
        let mut headers = Vec::with_capacity(6);
        if let Some(session) = session {
            headers.push(("x-auth-token", session.token.expose().to_owned(), Sensitive::Yes));
        }
        if !matches!(request.body, Body::Empty) {
            headers.push(("content-type", request.content_type.to_owned(), Sensitive::No));
        }
        if let Some(version) = request.microversion {
            headers.push(("openstack-api-version", format!("{} {version}", request.service), Sensitive::No));
            if request.service == Service::Compute {
                headers.push(("x-openstack-nova-api-version", version.to_owned(), Sensitive::No));
            }
        }
        headers.extend(request.headers.iter().map(|(name, value)| (*name, value.clone(), Sensitive::No)));

        let exchange = Exchange { method: request.method, url, headers, time };
        let reply = self.transport.exchange(exchange, &mut request.body);
        let duration = self.clock.now().saturating_sub(started);

        let path = path_of(url);
        let mut status = None;
        let mut id = None;
        let result = reply.and_then(|reply| {
            status = Some(reply.status);
            id = request_id(&reply.headers);
            if (200..300).contains(&reply.status) {
                let (status, id) = (reply.status, id.clone());
                return read(reply).map_err(|error| {
                    error.with_delivery(Delivery::Unknown).with_answer(status, None, id, None)
                });
            }
            Err(refusal(reply.status, &reply.headers, &reply.body, self.clock.wall()))
        });
        let result = result.map_err(|error| {
            let secrets = request
                .secrets
                .iter()
                .chain(std::iter::once(self.config.credentials.secret()))
                .chain(session.map(|session| &session.token));
            error.map_message(|message| scrub(message, secrets)).of_request(
                request.service,
                request.method.name(),
                path,
            )
        });
        self.observer.request(&RequestReport {
            service: request.service,
            method: request.method.name(),
            path,
            status,
            duration,
            request_id: id.as_deref(),
            attempt: number,
            error: result.as_ref().err(),
        });
        result
    }

    // What the typed calls are made of.

    /// The whole body as a type.
    pub(crate) fn decoded<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T> {
        self.send_and_read(request, |reply| decode(&reply.body))
    }

    /// What stands under a key of the answer.
    pub(crate) fn object<T: DeserializeOwned>(&self, request: Request<'_>, key: &str) -> Result<T> {
        self.send_and_read(request, |reply| take(&mut decode(&reply.body)?, key))
    }

    /// Sends `{key: body}` and reads the same key of the answer.
    pub(crate) fn send_object<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        key: &'static str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.object(request.json(&Keyed(key, body))?, key)
    }

    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        service: Service,
        path: impl Into<String>,
        key: &str,
    ) -> Result<T> {
        self.object(Request::new(service, Method::Get, path), key)
    }

    pub(crate) fn create<T: DeserializeOwned>(
        &self,
        service: Service,
        path: impl Into<String>,
        key: &'static str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.send_object(Request::new(service, Method::Post, path), key, body)
    }

    pub(crate) fn delete(&self, service: Service, path: impl Into<String>) -> Result<Deletion> {
        self.deletion(Request::new(service, Method::Delete, path))
    }

    pub(crate) fn deletion(&self, request: Request<'_>) -> Result<Deletion> {
        Ok(match self.send(request).or_none()? {
            Some(_) => Deletion::Accepted,
            None => Deletion::Gone,
        })
    }

    /// All pages of a listing.
    pub(crate) fn list<T: DeserializeOwned>(
        &self,
        service: Service,
        path: impl Into<String>,
        key: &str,
        query: &Query,
    ) -> Result<Vec<T>> {
        let path = path.into();
        let mut query = query.encoded();
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut request = Request::new(service, Method::Get, path.clone());
            request.query.clone_from(&query);
            let (mut entries, next): (Vec<T>, Option<String>) = self.send_and_read(request, |reply| {
                let mut page = decode(&reply.body)?;
                let next = next_query(&page, key);
                Ok((take(&mut page, key)?, next))
            })?;
            let is_empty = entries.is_empty();
            all.append(&mut entries);
            match next {
                // An empty page with a link would go on for ever; so would a link to the page itself.
                Some(next) if !is_empty && next != query => query = next,
                _ => break,
            }
        }
        Ok(all)
    }
}

impl Request<'_> {
    /// Whether its body has been read from a stream, so that it cannot be sent again.
    fn is_consumed(&self) -> bool {
        matches!(self.body, Body::Stream { consumed: true, .. })
    }
}

/// Path and query of a URL.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::new(ErrorKind::Decode, format!("the answer is not what the API promises: {error}"))
    })
}

fn take<T: DeserializeOwned>(object: &mut Map<String, Value>, key: &str) -> Result<T> {
    let value = object.remove(key).ok_or_else(|| {
        Error::new(ErrorKind::Decode, format!("the answer has no '{key}', which the API promises"))
    })?;
    serde_json::from_value(value).map_err(|error| {
        Error::new(ErrorKind::Decode, format!("'{key}' is not what the API promises: {error}"))
    })
}

/// `{key: body}`.
struct Keyed<'a, T>(&'static str, &'a T);

impl<T: Serialize> Serialize for Keyed<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, self.1)?;
        map.end()
    }
}
