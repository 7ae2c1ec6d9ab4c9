//! HTTP as we speak it: TLS by the same crates as to PostgreSQL, with the system's certificates.

use std::sync::Arc;

use crate::failure::Failure;

/// A client, but for what its user wants of it. The certificates are read only if an address is `secure`.
///
/// # Errors
/// A defect: TLS can't be set up.
pub(crate) fn client(secure: bool) -> Result<reqwest::ClientBuilder, Failure> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls(secure)?)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("backstay/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(0))
}

fn tls(secure: bool) -> Result<rustls::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    if secure {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| Failure::internal("set up TLS for HTTPS").caused_by(&error))
}

/// Whether an address needs certificates.
pub(crate) fn is_secure(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}
