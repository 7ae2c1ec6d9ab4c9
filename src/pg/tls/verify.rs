//! Whether a server's certificate will do, in libpq's gradations.
//!
//! rustls knows one answer (chain and name, as browsers judge). libpq knows three, and two liberties that
//! PostgreSQL's own manual relies on (19.9.5): a self-signed certificate that is itself the root file, and
//! a name in the certificate's common name where it has no alternative names.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;

/// `id-at-commonName` (RFC 5280, appendix A).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What a certificate must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// That a trusted authority signed it.
    Chain,
    /// That, and that it is this host's.
    ChainAndName,
}

/// Judges the server's certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Option<Trust>,
}

#[derive(Debug)]
struct Trust {
    demand: Demand,
    chain: Arc<WebPkiServerVerifier>,
    /// The root certificates themselves, for a server that shows one of them.
    roots: Arc<RootCertStore>,
}

impl Verifier {
    /// Takes every certificate; the server must still prove that it holds its key, or a password's binding
    /// to the channel (SCRAM) would mean nothing.
    pub(super) fn trusting_anyone(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, trust: None }
    }

    /// Takes what `demand` asks for.
    pub(super) fn new(
        demand: Demand,
        roots: RootCertStore,
        revoked: Vec<CertificateRevocationListDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let roots = Arc::new(roots);
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .with_crls(revoked)
            .build()?;
        Ok(Self { provider, trust: Some(Trust { demand, chain, roots }) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let judged =
            trust.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let judged = match judged {
            // The dates were judged before this; what is left to check is the name.
            Err(error) if is_authority(&error) && trust.knows(end_entity) => {
                rustls::server::ParsedCertificate::try_from(end_entity)
                    .and_then(|parsed| rustls::client::verify_server_name(&parsed, server_name))
                    .map(|()| ServerCertVerified::assertion())
            }
            other => other,
        };
        // The name is judged last: whoever fails there has proven the chain.
        match judged {
            Err(Error::InvalidCertificate(error)) if is_about_the_name(&error) => match trust.demand {
                Demand::Chain => Ok(ServerCertVerified::assertion()),
                Demand::ChainAndName if has_no_names(&error) => {
                    common_name_fits(end_entity, server_name).map(|()| ServerCertVerified::assertion())
                }
                Demand::ChainAndName => Err(Error::InvalidCertificate(error)),
            },
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Trust {
    /// Whether `certificate` has the name and key of one of our roots.
    fn knows(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(anchor) = webpki_anchor(certificate) else { return false };
        self.roots.roots.iter().any(|root| {
            root.subject == anchor.subject && root.subject_public_key_info == anchor.subject_public_key_info
        })
    }
}

/// `certificate` as a trust anchor.
fn webpki_anchor(certificate: &CertificateDer<'_>) -> Result<rustls::pki_types::TrustAnchor<'static>, Error> {
    let mut store = RootCertStore::empty();
    store.add(certificate.clone().into_owned())?;
    store.roots.pop().ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// rustls judges an authority's own certificate as no server's, in an error that it keeps closed.
fn is_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other))
        if format!("{other:?}").contains("CaUsedAsEndEntity"))
}

fn is_about_the_name(error: &CertificateError) -> bool {
    matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

fn has_no_names(error: &CertificateError) -> bool {
    matches!(error, CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty())
}

fn common_name_fits(certificate: &CertificateDer<'_>, server: &ServerName<'_>) -> Result<(), Error> {
    let names = common_names(certificate);
    if names.iter().any(|name| name_fits(name, &server.to_str())) {
        return Ok(());
    }
    Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        expected: server.to_owned(),
        presented: names,
    }))
}

fn common_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = x509_cert::Certificate::from_der(certificate) else { return Vec::new() };
    let attributes = parsed.tbs_certificate.subject.0.iter().flat_map(|set| set.0.iter());
    attributes
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned())
        .collect()
}

/// A star stands for exactly one label, and only as the whole first one (libpq's rule).
fn name_fits(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(suffix) = pattern.strip_prefix('*').filter(|suffix| suffix.starts_with('.')) else {
        return false;
    };
    host.split_once('.').is_some_and(|(first, rest)| {
        !first.is_empty() && !rest.is_empty() && suffix[1..].eq_ignore_ascii_case(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label() {
        assert!(name_fits("DB.example.org", "db.EXAMPLE.org"));
        assert!(name_fits("*.example.org", "db.example.org"));
        assert!(!name_fits("*.example.org", "a.db.example.org"));
        assert!(!name_fits("*.example.org", "example.org"));
        assert!(!name_fits("*", "db"));
        assert!(!name_fits("d*.example.org", "db.example.org"));
        assert!(!name_fits("*.example.org", ".example.org"));
    }
}
