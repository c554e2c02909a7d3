//! TLS: whom to believe, and what to say when belief fails.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

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

/// The settings of the connections that speak TLS. Reads the certificates.
pub(crate) fn configuration(trust: &Trust) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (roots, named) = match trust {
        Trust::Anyone => (Vec::new(), Named::No),
        Trust::Pem(text) => (certificates(text.as_bytes(), "the CA certificate text")?, Named::Yes),
        Trust::File(path) => {
            let text = std::fs::read(path).map_err(|error| {
                Error::new(ErrorKind::Config, format!("cannot read the CA file {}: {error}", path.display()))
            })?;
            (certificates(&text, &path.display().to_string())?, Named::Yes)
        }
        Trust::System => (system_store()?, Named::No),
    };
    let verifier: Arc<dyn ServerCertVerifier> = if *trust == Trust::Anyone {
        Arc::new(Unverified(Arc::clone(&provider)))
    } else {
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(roots.iter().cloned());
        if usable == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "none of the CA certificates can be read: are they X.509?",
            ));
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Config, format!("the CA certificates cannot be used: {error}"))
            })?;
        match named {
            Named::Yes => Arc::new(OwnCertificate { chain, named: roots }),
            Named::No => chain,
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Config, format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether the operator named the certificates one by one.
#[derive(Clone, Copy)]
enum Named {
    Yes,
    No,
}

/// Believes chains as usual, and besides a server that shows the very certificate that the operator named as CA:
/// `openssl req -x509` makes such ones, many small clouds run on them, and OpenSSL's clients take them.
#[derive(Debug)]
struct OwnCertificate {
    chain: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for OwnCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Its dates were looked at before this was found.
            Err(error) if is_ca_itself(&error) && self.named.iter().any(|named| named == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// `ssl_verify_peer: false`.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a server was refused because it shows a CA's certificate as its own.
fn is_ca_itself(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other))
        if matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity)))
}

fn system_store() -> Result<Vec<CertificateDer<'static>>> {
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

fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates =
        CertificateDer::pem_slice_iter(pem).collect::<std::result::Result<Vec<_>, _>>().map_err(|error| {
            Error::new(ErrorKind::Config, format!("{place} holds a broken PEM block: {error}"))
        })?;
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
        error if is_ca_itself(error) => {
            "the server shows a CA's certificate as its own: name that very certificate as the CA, or issue the server one with basicConstraints CA:FALSE"
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
