//! TLS: whom to believe, and what to say when belief fails.

use std::io;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::config::Trust;
use crate::error::{Error, ErrorKind, Result};

/// Where distributions keep their certificates, as one PEM file.
const SYSTEM_STORES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The settings of the agents that speak TLS.
pub(crate) fn configuration(trust: &Trust) -> Result<TlsConfig> {
    let builder = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let roots = match trust {
        Trust::Anyone => return Ok(builder.disable_verification(true).root_certs(no_roots()).build()),
        Trust::Pem(text) => certificates(text.as_bytes(), "the CA certificate text")?,
        Trust::File(path) => {
            let text = std::fs::read(path).map_err(|error| {
                Error::new(ErrorKind::Config, format!("cannot read the CA file {}: {error}", path.display()))
            })?;
            certificates(&text, &path.display().to_string())?
        }
        Trust::System => system_store()?,
    };
    Ok(builder.root_certs(RootCerts::new_with_certs(&roots)).build())
}

fn no_roots() -> RootCerts {
    RootCerts::new_with_certs(&[])
}

fn system_store() -> Result<Vec<Certificate<'static>>> {
    for path in SYSTEM_STORES {
        if let Ok(text) = std::fs::read(path) {
            return certificates(&text, path);
        }
    }
    Err(Error::new(
        ErrorKind::Config,
        format!(
            "no certificate store on this machine (looked for {}): install the package ca-certificates, or name a CA file",
            SYSTEM_STORES.join(", ")
        ),
    ))
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<Certificate<'static>>> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{place} holds a broken PEM block: {error}"),
                ));
            }
        }
    }
    if certificates.is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{place} holds no certificate: it needs a block '-----BEGIN CERTIFICATE-----'"),
        ));
    }
    Ok(certificates)
}

/// The reason of a TLS failure that came up as an I/O error, if it is one.
pub(crate) fn explain(error: &io::Error) -> Option<String> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(explain_error(tls))
}

/// The reason and the mend.
pub(crate) fn explain_error(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let mend = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "its issuer is not trusted here; name the CA's certificate (connection_options.ca_cert, or cacert in clouds.yaml)"
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "renew the server's certificate, or set this machine's clock right"
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "ask it by a name that its certificate holds",
        rustls::Error::InvalidCertificate(Certificate::Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "the server shows a CA certificate as its own: issue it one with basicConstraints CA:FALSE"
        }
        rustls::Error::InvalidMessage(_) => "does that port speak TLS at all? try http:// in the URL",
        _ => return error.to_string(),
    };
    format!("{error}: {mend}")
}

/// The value of a `Proxy-Authorization` header (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position <= chunk.len() {
                let index = (word >> (18 - 6 * position)) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_those_of_the_rfc() {
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
    }

    #[test]
    fn a_ca_that_is_none_is_named() {
        let error = configuration(&Trust::File("/nowhere/ca.pem".into())).unwrap_err();
        assert!(error.message().contains("/nowhere/ca.pem"), "{error}");
        let error = configuration(&Trust::Pem("hello".into())).unwrap_err();
        assert!(error.message().contains("BEGIN CERTIFICATE"), "{error}");
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert_eq!(configuration(&Trust::Pem(broken.into())).unwrap_err().kind(), ErrorKind::Config);
    }
}
