//! Which requests go through which HTTP proxy: `http_proxy`, `https_proxy` and `no_proxy` as they are usually read.

use std::fmt;
use std::net::IpAddr;

/// Proxies, given explicitly: the CPI's director clears the environment, so nothing is read from it behind the
/// caller's back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `http` URLs: `http://[user:password@]host:port`. Requests carry the absolute URL, as RFC 9112 §3.2.2
    /// wants it.
    pub http: Option<String>,
    /// For `https` URLs, through a CONNECT tunnel.
    pub https: Option<String>,
    /// Hosts that are asked directly, separated by commas: `*`, a name (and what is below it), `.example.com` (only
    /// what is below), an address, a CIDR; each may end in `:port`.
    pub no_proxy: Option<String>,
}

impl ProxySettings {
    /// One proxy for everything.
    pub fn for_all(url: impl Into<String>) -> Self {
        let url = url.into();
        Self { http: Some(url.clone()), https: Some(url), no_proxy: None }
    }

    /// Reads the usual variables, the lower-case name first, through a function such as `|name| env::var(name).ok()`.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| {
            variable(name)
                .or_else(|| variable(&name.to_ascii_uppercase()))
                .filter(|value| !value.trim().is_empty())
        };
        Self {
            http: read("http_proxy").or_else(|| read("all_proxy")),
            https: read("https_proxy").or_else(|| read("all_proxy")),
            no_proxy: read("no_proxy"),
        }
    }

    /// The proxy for a host, none if it is asked directly.
    pub(crate) fn route(&self, tls: bool, host: &str, port: u16) -> Option<&str> {
        let proxy = if tls { &self.https } else { &self.http };
        let proxy = proxy.as_deref()?;
        let exempt = self.no_proxy.as_deref().unwrap_or("");
        let is_exempt = exempt
            .split([',', ' ', '\t', '\n'])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .any(|entry| matches(entry, host, port));
        (!is_exempt).then_some(proxy)
    }
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings")
            .field("http", &self.http.as_deref().map(without_credentials))
            .field("https", &self.https.as_deref().map(without_credentials))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// A proxy's URL as it may be shown.
pub(crate) fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://<redacted>@{host}"),
        (None, Some((_, host))) => format!("<redacted>@{host}"),
        _ => url.to_owned(),
    }
}

/// Whether an entry of `no_proxy` covers a host.
fn matches(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if let Some((network, length)) = entry.split_once('/') {
        return match (address, network.parse::<IpAddr>(), length.parse::<u32>()) {
            (Some(address), Ok(network), Ok(length)) => is_within(address, network, length),
            _ => false,
        };
    }
    let (entry, wanted_port) = split_port(entry);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    let entry = entry.to_ascii_lowercase();
    if let Some(address) = address {
        return entry.parse::<IpAddr>().is_ok_and(|entry| entry == address);
    }
    let entry = entry.strip_prefix('*').unwrap_or(&entry);
    if entry.starts_with('.') {
        return host.ends_with(entry);
    }
    host == entry || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.'))
}

/// `host:port`, `[v6]:port`, or a host alone (a bare IPv6 address has colons of its own).
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

fn is_within(address: IpAddr, network: IpAddr, length: u32) -> bool {
    let (address, network, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    length <= bits && (length == 0 || (address ^ network) >> (bits - length) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_usual() {
        let covered = [
            ("*", "any.example", 80),
            ("example.com", "example.com", 80),
            ("example.com", "API.Example.com", 5000),
            (".example.com", "api.example.com", 80),
            ("*.example.com", "api.example.com", 80),
            ("10.0.0.5", "10.0.0.5", 1),
            ("10.0.0.0/8", "10.200.3.4", 9696),
            ("fd00::/16", "[fd00:0:1::9]", 9696),
            ("[fd00::1]:5000", "[fd00::1]", 5000),
            ("fd00::1", "fd00::1", 5000),
            ("example.com:5000", "example.com", 5000),
            ("0.0.0.0/0", "1.2.3.4", 80),
        ];
        for (entry, host, port) in covered {
            assert!(matches(entry, host, port), "{entry} covers {host}:{port}");
        }
        let not_covered = [
            ("example.com", "badexample.com", 80),
            (".example.com", "example.com", 80),
            ("10.0.0.0/8", "11.0.0.1", 80),
            ("10.0.0.0/8", "ten.example", 80),
            ("10.0.0.0/33", "10.0.0.1", 80),
            ("example.com:5000", "example.com", 80),
            ("10.0.0.5", "10.0.0.50", 80),
            ("fd00::/16", "10.0.0.1", 80),
        ];
        for (entry, host, port) in not_covered {
            assert!(!matches(entry, host, port), "{entry} does not cover {host}:{port}");
        }
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        let settings = ProxySettings {
            http: Some("http://plain:3128".into()),
            https: Some("http://tunnel:3128".into()),
            no_proxy: Some("direct.example, 192.168.0.0/16".into()),
        };
        assert_eq!(settings.route(false, "cloud", 80), Some("http://plain:3128"));
        assert_eq!(settings.route(true, "cloud", 443), Some("http://tunnel:3128"));
        assert_eq!(settings.route(true, "direct.example", 443), None);
        assert_eq!(settings.route(false, "192.168.7.7", 80), None);
    }

    #[test]
    fn variables_are_read_in_both_cases() {
        let environment = |name: &str| match name {
            "http_proxy" => Some("http://a".to_owned()),
            "HTTPS_PROXY" => Some("http://b".to_owned()),
            "NO_PROXY" => Some(" ".to_owned()),
            _ => None,
        };
        let settings = ProxySettings::from_variables(environment);
        assert_eq!(settings.http.as_deref(), Some("http://a"));
        assert_eq!(settings.https.as_deref(), Some("http://b"));
        assert_eq!(settings.no_proxy, None);
    }

    #[test]
    fn a_proxys_password_is_not_shown() {
        let settings = ProxySettings::for_all("http://user:hunter2@proxy:3128");
        let text = format!("{settings:?}");
        assert!(text.contains("<redacted>@proxy:3128") && !text.contains("hunter2"), "{text}");
    }
}
