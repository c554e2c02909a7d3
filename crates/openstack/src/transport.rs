//! One HTTP exchange: connections, TLS and proxies.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::http::header::{HeaderName, HeaderValue};
use ureq::http::{HeaderMap, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, DefaultConnector, TcpConnector};
use ureq::{Agent, AsSendBody, SendBody};

use crate::config::{Config, Limits};
use crate::connection::{AbsoluteForm, ConnectFailed, FixedResolver, LiteralResolver, Phase};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::proxy::without_credentials;
use crate::request::{Body, Method};
use crate::tls;
use crate::tls_connection::TlsConnector;

/// The largest JSON answer that is read.
const LARGEST_ANSWER: u64 = 64 << 20;

/// How many requests' time an upload may take to be answered once its last byte is sent: the store behind Glance
/// may be copying.
const UPLOAD_PATIENCE: u32 = 10;

/// One request, ready to be sent.
pub(crate) struct Exchange<'r> {
    pub(crate) method: Method,
    pub(crate) url: &'r str,
    pub(crate) headers: Vec<(&'static str, String, Sensitive)>,
    /// How long it may take at most.
    pub(crate) time: Duration,
}

/// Whether a header is kept out of everything that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sensitive {
    No,
    Yes,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The ways to a host; each has its agent, made when it is first needed.
pub(crate) struct Transport {
    config: Arc<Config>,
    direct: OnceLock<Agent>,
    direct_tls: OnceLock<Result<Agent>>,
    proxied: OnceLock<Result<(Agent, Option<String>)>>,
    proxied_tls: OnceLock<Result<Agent>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            direct: OnceLock::new(),
            direct_tls: OnceLock::new(),
            proxied: OnceLock::new(),
            proxied_tls: OnceLock::new(),
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn exchange(&self, exchange: Exchange<'_>, body: &mut Body<'_>) -> Result<Reply> {
        let uri: Uri = exchange.url.parse().map_err(|error| {
            Error::new(ErrorKind::Config, format!("'{}' is no URL: {error}", exchange.url))
        })?;
        let tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let proxy = self.config.proxy.route(tls, host, port);
        let mut headers = exchange.headers;
        let agent = match (proxy, tls) {
            (None, false) => self.direct.get_or_init(|| plain_agent(&self.config)),
            (None, true) => available(self.direct_tls.get_or_init(|| tls_agent(&self.config, None)))?,
            (Some(proxy), true) => {
                available(self.proxied_tls.get_or_init(|| tls_agent(&self.config, Some(proxy))))?
            }
            (Some(proxy), false) => {
                let (agent, credentials) =
                    available(self.proxied.get_or_init(|| forward_agent(&self.config, proxy)))?;
                headers.extend(
                    credentials.iter().map(|value| ("proxy-authorization", value.clone(), Sensitive::Yes)),
                );
                agent
            }
        };
        let mut builder = ureq::http::Request::builder().method(exchange.method.name()).uri(uri.clone());
        for (name, value, sensitive) in headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::new(ErrorKind::Config, format!("'{name}' is no name of a header")))?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                Error::new(ErrorKind::Config, format!("the value of the header {name} cannot be sent"))
            })?;
            value.set_sensitive(sensitive == Sensitive::Yes);
            builder = builder.header(name, value);
        }
        let place = Place { host, port, proxy };
        match body {
            Body::Empty if matches!(exchange.method, Method::Get | Method::Delete) => {
                self.run(agent, builder, (), exchange.time, &place)
            }
            Body::Empty => self.run(agent, builder, &[][..], exchange.time, &place),
            Body::Json(bytes) => self.run(agent, builder, bytes.as_slice(), exchange.time, &place),
            Body::Stream { reader, length, consumed } => {
                let builder = builder.header("content-length", *length);
                let mut reader = Exact { reader: *reader, left: *length, consumed };
                self.upload(agent, builder, SendBody::from_reader(&mut reader), &place)
            }
        }
    }

    fn run(
        &self,
        agent: &Agent,
        builder: ureq::http::request::Builder,
        body: impl AsSendBody,
        time: Duration,
        place: &Place<'_>,
    ) -> Result<Reply> {
        let request = builder.body(body).map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
        let request = agent.configure_request(request).timeout_global(Some(time)).build();
        let response = agent.run(request).map_err(|error| place.failure(error, &self.config.limits))?;
        self.read(response, place)
    }

    fn upload(
        &self,
        agent: &Agent,
        builder: ureq::http::request::Builder,
        body: SendBody<'_>,
        place: &Place<'_>,
    ) -> Result<Reply> {
        let request = builder.body(body).map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
        let limits = &self.config.limits;
        let request = agent
            .configure_request(request)
            .timeout_per_write(Some(limits.request))
            .timeout_recv_response(Some(limits.request.saturating_mul(UPLOAD_PATIENCE)))
            .timeout_recv_body(Some(limits.request))
            .build();
        let response = agent.run(request).map_err(|error| place.failure(error, limits))?;
        self.read(response, place)
    }

    fn read(&self, response: ureq::http::Response<ureq::Body>, place: &Place<'_>) -> Result<Reply> {
        let (parts, mut body) = response.into_parts();
        let bytes = body
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()
            .map_err(|error| place.failure(error, &self.config.limits))?;
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body: bytes })
    }
}

fn available<T>(agent: &Result<T>) -> Result<&T> {
    agent.as_ref().map_err(Clone::clone)
}

fn configuration(config: &Config) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        // A redirect would carry the token to another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_connect(Some(config.limits.connect))
        .user_agent(&config.user_agent)
        .accept("application/json")
        .accept_encoding("")
}

fn plain_agent(config: &Config) -> Agent {
    Agent::with_parts(
        configuration(config).build(),
        Phase(DefaultConnector::default()),
        LiteralResolver::default(),
    )
}

fn tls_agent(config: &Config, proxy: Option<&str>) -> Result<Agent> {
    let proxy = proxy.map(tunnel).transpose()?;
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(TlsConnector(tls::configuration(&config.trust)?));
    let configuration = configuration(config).proxy(proxy).build();
    Ok(Agent::with_parts(configuration, Phase(connector), LiteralResolver::default()))
}

fn tunnel(url: &str) -> Result<ureq::Proxy> {
    let proxy = ureq::Proxy::new(url).map_err(|_| bad_proxy(url))?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
        _ => Err(bad_proxy(url)),
    }
}

/// For `http` URLs: connects to the proxy and asks it for absolute URLs. Many proxies allow CONNECT to port 443
/// only, and OpenStack's ports are others.
fn forward_agent(config: &Config, url: &str) -> Result<(Agent, Option<String>)> {
    let proxy = tunnel(url)?;
    if proxy.protocol() != ureq::ProxyProtocol::Http {
        return Err(bad_proxy(url));
    }
    let credentials = proxy.username().map(|user| tls::basic(user, proxy.password().unwrap_or_default()));
    let resolver = FixedResolver { proxy: proxy.uri().clone(), inner: DefaultResolver::default() };
    let connector = Phase(AbsoluteForm(DefaultConnector::default()));
    Ok((Agent::with_parts(configuration(config).build(), connector, resolver), credentials))
}

fn bad_proxy(url: &str) -> Error {
    let url = without_credentials(url);
    Error::new(
        ErrorKind::Config,
        format!("proxy '{url}' cannot be used: it looks like http://[user:password@]host:port"),
    )
}

/// Where a request went, for the words of a failure.
struct Place<'a> {
    host: &'a str,
    port: u16,
    proxy: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        match self.proxy {
            Some(proxy) => write!(f, " through the proxy {}", without_credentials(proxy)),
            None => Ok(()),
        }
    }
}

impl Place<'_> {
    fn failure(&self, error: ureq::Error, limits: &Limits) -> Error {
        let (error, delivery) = match error {
            ureq::Error::Other(other) => match other.downcast::<ConnectFailed>() {
                Ok(failed) => (failed.0, Delivery::NotSent),
                Err(other) => (ureq::Error::Other(other), Delivery::Unknown),
            },
            error => (error, Delivery::Unknown),
        };
        // An I/O error may wrap one of ureq's or of rustls'.
        let error = match error {
            ureq::Error::Io(error) => ureq::Error::from(error),
            error => error,
        };
        let (kind, message) = match &error {
            ureq::Error::Timeout(_) if delivery == Delivery::NotSent => (
                ErrorKind::Timeout,
                format!(
                    "no connection to {self} within {} s: is a firewall in between?",
                    limits.connect.as_secs()
                ),
            ),
            ureq::Error::Timeout(_) => (ErrorKind::Timeout, format!("no answer from {self} in time")),
            ureq::Error::HostNotFound => {
                (ErrorKind::Connection, format!("the host of {self} has no address: is the name right?"))
            }
            ureq::Error::ConnectProxyFailed(reason) => (
                ErrorKind::Connection,
                format!(
                    "cannot connect to {self}: {reason}; does the proxy allow this port (no_proxy goes around it)?"
                ),
            ),
            ureq::Error::Io(error) => match tls::explain(error) {
                Some(reason) => (ErrorKind::Tls, format!("TLS with {self} failed: {reason}")),
                None if delivery == Delivery::NotSent => {
                    (ErrorKind::Connection, format!("cannot connect to {self}: {error}"))
                }
                None => (ErrorKind::Connection, format!("the connection to {self} broke: {error}")),
            },
            ureq::Error::Tls(reason) => (ErrorKind::Tls, format!("TLS with {self} failed: {reason}")),
            ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl => (ErrorKind::Config, format!("{error}")),
            ureq::Error::BodyExceedsLimit(limit) => (
                ErrorKind::Decode,
                format!("the answer of {self} is longer than {limit} bytes: ask for less with a filter"),
            ),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
                (ErrorKind::Decode, format!("{self} does not speak HTTP as it should: {error}"))
            }
            error => (ErrorKind::Connection, format!("the request to {self} failed: {error}")),
        };
        Error::new(kind, message).with_delivery(delivery)
    }
}

/// Ends after the length that was announced, and complains about a body that is shorter.
struct Exact<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    consumed: &'a mut bool,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        *self.consumed = true;
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("the data to upload ended {} bytes early", self.left),
            ));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
