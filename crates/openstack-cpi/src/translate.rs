//! OpenStack's errors in the words that operators of the Ruby CPI search for, with the request and its id instead
//! of a dump of the whole exchange.

use openstack::{Error, ErrorKind, Service};

use crate::error::CpiError;

const SEE_LOG: &str = "Check task debug log for details.";

/// An error of a request as an error of the call.
pub fn cloud_error(auth_url: &str, error: &Error) -> CpiError {
    let detail = detail_of(error);
    let text = match (error.kind(), error.status()) {
        (ErrorKind::Unauthorized, _) => format!(
            "Unable to connect to the OpenStack Keystone API {auth_url}\nThe credentials are refused or expired: check \
             username and api_key, or the application credential. {detail}"
        ),
        (ErrorKind::NoEndpoint, _) => {
            service_unreachable(error, &format!("{detail}. Check region and endpoint_type"))
        }
        (ErrorKind::Connection | ErrorKind::Tls | ErrorKind::Timeout, None) => match error.service() {
            None | Some(Service::Identity) => {
                format!("Unable to connect to the OpenStack Keystone API {auth_url}\n{detail}")
            }
            Some(_) => service_unreachable(error, &detail),
        },
        (_, Some(413)) => format!("OpenStack API Request Entity Too Large error: {detail}\n{SEE_LOG}"),
        (ErrorKind::RateLimited, _) => {
            format!("OpenStack API Too Many Requests error, still after the retries: {detail}\n{SEE_LOG}")
        }
        (_, Some(500)) => format!("OpenStack API Internal Server error. {SEE_LOG}\n{detail}"),
        (_, Some(503)) => format!("OpenStack API Service Unavailable error. {SEE_LOG}\n{detail}"),
        (ErrorKind::BadRequest, _) => in_words("BadRequest", &detail),
        (_, Some(403)) => in_words("Forbidden", &detail),
        (_, Some(404)) => in_words("NotFound", &detail),
        (_, Some(409)) => in_words("Conflict", &detail),
        _ => format!("OpenStack API error: {detail}\n{SEE_LOG}"),
    };
    CpiError::cloud(text)
}

fn in_words(word: &str, detail: &str) -> String {
    format!("OpenStack API {word} {detail}.\n{SEE_LOG}")
}

fn service_unreachable(error: &Error, detail: &str) -> String {
    let service = match error.service() {
        Some(Service::LoadBalancer) => "Load Balancer",
        Some(service) => service.title(),
        None => "Identity",
    };
    format!("Unable to connect to the OpenStack {service} Service API: {detail}. {SEE_LOG}")
}

/// `Neutron POST /v2.0/ports (IP address … already allocated …; request id req-…)`.
fn detail_of(error: &Error) -> String {
    let mut text = String::new();
    if let Some(service) = error.service() {
        text = format!("{} {} {} ", service.project(), error.method(), error.path());
    }
    let message = error.message().trim().trim_end_matches('.');
    match error.request_id() {
        Some(id) => format!("{text}({message}; request id {id})"),
        None => format!("{text}({message})"),
    }
}
