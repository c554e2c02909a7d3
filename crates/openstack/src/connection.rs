//! What ureq's connections lack: whether anything was sent when they failed, and forward proxies for plain HTTP.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// A failure before the first byte of a request.
#[derive(Debug)]
pub(crate) struct ConnectFailed(pub(crate) Error);

impl fmt::Display for ConnectFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ConnectFailed {}

fn before_the_request(error: Error) -> Error {
    Error::Other(Box::new(ConnectFailed(error)))
}

/// Marks what fails while a connection is set up.
#[derive(Debug)]
pub(crate) struct Phase<C>(pub(crate) C);

impl<C: Connector> Connector for Phase<C> {
    type Out = C::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(before_the_request)
    }
}

/// Takes addresses as they are, without the thread that ureq starts for a name with a time limit.
#[derive(Debug, Default)]
pub(crate) struct LiteralResolver(DefaultResolver);

impl Resolver for LiteralResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        if let Some(address) = literal(uri) {
            let mut addresses = self.empty();
            addresses.push(address);
            return Ok(addresses);
        }
        self.0.resolve(uri, config, timeout).map_err(before_the_request)
    }
}

fn literal(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().or(match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })?;
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port))
}

/// Leads every request to the proxy, which resolves the rest.
#[derive(Debug)]
pub(crate) struct FixedResolver {
    pub(crate) proxy: Uri,
    pub(crate) inner: DefaultResolver,
}

impl Resolver for FixedResolver {
    fn resolve(
        &self,
        _uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        if let Some(address) = literal(&self.proxy) {
            let mut addresses = self.empty();
            addresses.push(address);
            return Ok(addresses);
        }
        self.inner.resolve(&self.proxy, config, timeout).map_err(before_the_request)
    }
}

/// Makes connections on which the request line carries the absolute URL (RFC 9112 §3.2.2).
#[derive(Debug)]
pub(crate) struct AbsoluteForm<C>(pub(crate) C);

impl<C: Connector> Connector for AbsoluteForm<C> {
    type Out = AbsoluteFormTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(inner) = self.0.connect(details, chained)? else { return Ok(None) };
        let authority = details.uri.authority().map_or("", |authority| authority.as_str());
        Ok(Some(AbsoluteFormTransport {
            inner: Box::new(inner),
            root: format!("http://{authority}"),
            at_request_line: true,
        }))
    }
}

/// A connection to a forward proxy.
#[derive(Debug)]
pub(crate) struct AbsoluteFormTransport {
    inner: Box<dyn Transport>,
    root: String,
    at_request_line: bool,
}

impl Transport for AbsoluteFormTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if !std::mem::take(&mut self.at_request_line) {
            return self.inner.transmit_output(amount, timeout);
        }
        // ureq writes the request line at the start of the first output after an answer.
        let output = self.inner.buffers().output();
        let Some(target) = output[..amount].iter().position(|&byte| byte == b' ').map(|space| space + 1)
        else {
            return self.inner.transmit_output(amount, timeout);
        };
        let longer = amount + self.root.len();
        if longer > output.len() {
            return Err(Error::LargeResponseHeader(longer, output.len()));
        }
        output.copy_within(target..amount, target + self.root.len());
        output[target..target + self.root.len()].copy_from_slice(self.root.as_bytes());
        self.inner.transmit_output(longer, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.at_request_line = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
