//! TLS by rustls, with `sslmode` as libpq honours it (PostgreSQL manual 34.19).

pub(super) mod handshake;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::{SslMode, Tls};
use crate::words::shell_path;
use verify::{Demand, Verifier};

/// What TLS needs and does not have, or can't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsSetupError {
    /// The mode asks for trust, and there is nothing to trust.
    #[error("sslmode={mode} needs a root certificate, and there is none at {}", path.display())]
    NoRoots {
        /// The mode.
        mode: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The operating system has no root certificates.
    #[error("sslrootcert=system: the system's root certificates can't be read: {0}")]
    NoSystemRoots(String),
    /// A file that was named can't be read as what it should be.
    #[error("the {role} {} can't be used: {why}", path.display())]
    File {
        /// `root certificate`, `client certificate`, `client key`, `revocation list`.
        role: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A client certificate without its key.
    #[error("there is a client certificate {} and no key for it at {}", certificate.display(), key.display())]
    NoKey {
        /// The certificate.
        certificate: PathBuf,
        /// Where the key was looked for.
        key: PathBuf,
    },
    /// rustls refuses the whole.
    #[error("TLS can't be set up: {0}")]
    Rustls(String),
}

/// Makes the TLS side of a connection: reads certificates, the system's only if they are asked for.
///
/// Blocks for the time that reading some small files takes.
pub(super) fn connector(tls: &Tls) -> Result<MakeRustlsConnect, TlsSetupError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if tls.only_13 { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| TlsSetupError::Rustls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier(tls, provider)?));
    let config = match client_certificate(tls)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key.secret).map_err(|error| {
            TlsSetupError::File { role: "client key", path: key.path, why: error.to_string() }
        })?,
        None => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// What the mode demands of the server's certificate. As in libpq a root certificate file that is there
/// makes every mode check the chain; the modes below `verify-ca` go without if it is not there.
fn verifier(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Verifier, TlsSetupError> {
    let demand = match tls.mode {
        SslMode::VerifyFull => Demand::ChainAndName,
        _ => Demand::Chain,
    };
    let Some(roots) = roots(tls)? else { return Ok(Verifier::trusting_anyone(provider)) };
    Verifier::new(demand, roots, revoked(tls)?, provider)
        .map_err(|error| TlsSetupError::Rustls(error.to_string()))
}

fn roots(tls: &Tls) -> Result<Option<RootCertStore>, TlsSetupError> {
    if tls.system_roots {
        return system_roots().map(Some);
    }
    let Some(path) = file_or_default(&tls.root, tls, "root.crt") else {
        return match tls.mode {
            SslMode::VerifyCa | SslMode::VerifyFull => {
                let path = tls.root.clone().or_else(|| default_of(tls, "root.crt"));
                Err(TlsSetupError::NoRoots { mode: tls.mode.name(), path: path.unwrap_or_default() })
            }
            _ => Ok(None),
        };
    };
    let refused = |why: String| TlsSetupError::File { role: "root certificate", path: path.clone(), why };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&path, "root certificate")? {
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    Ok(Some(roots))
}

fn system_roots() -> Result<RootCertStore, TlsSetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { "there are none".to_string() } else { why.join("; ") };
        return Err(TlsSetupError::NoSystemRoots(why));
    }
    Ok(roots)
}

fn revoked(tls: &Tls) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsSetupError> {
    let Some(path) = file_or_default(&tls.revoked, tls, "root.crl") else { return Ok(Vec::new()) };
    let refused = |why: String| TlsSetupError::File { role: "revocation list", path: path.clone(), why };
    CertificateRevocationListDer::pem_file_iter(&path)
        .map_err(|error| refused(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(error.to_string()))
}

/// A client's key and where it was read.
struct ClientKey {
    path: PathBuf,
    secret: PrivateKeyDer<'static>,
}

fn client_certificate(tls: &Tls) -> Result<Option<(Vec<CertificateDer<'static>>, ClientKey)>, TlsSetupError> {
    let Some(path) = file_or_default(&tls.certificate, tls, "postgresql.crt") else { return Ok(None) };
    let chain = certificates(&path, "client certificate")?;
    let key_path = tls.key.clone().or_else(|| default_of(tls, "postgresql.key")).unwrap_or_default();
    if !key_path.exists() {
        return Err(TlsSetupError::NoKey { certificate: path, key: key_path });
    }
    let refused = |why: String| TlsSetupError::File { role: "client key", path: key_path.clone(), why };
    check_permissions(&key_path).map_err(refused)?;
    let secret = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| refused(error.to_string()))?;
    Ok(Some((chain, ClientKey { path: key_path, secret })))
}

/// As libpq: a key is for its owner alone, or for root and a group.
fn check_permissions(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let open = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & open != 0 {
        return Err(format!("others may read it; `chmod 0600 {}` mends that", shell_path(path)));
    }
    Ok(())
}

fn certificates(path: &Path, role: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let refused = |why: String| TlsSetupError::File { role, path: path.to_path_buf(), why };
    let found = CertificateDer::pem_file_iter(path)
        .map_err(|error| refused(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(error.to_string()))?;
    if found.is_empty() { Err(refused("it holds no certificate in PEM form".into())) } else { Ok(found) }
}

/// The file that was named, if it exists, or the one in `~/.postgresql`, if that exists.
fn file_or_default(named: &Option<PathBuf>, tls: &Tls, name: &str) -> Option<PathBuf> {
    named.clone().or_else(|| default_of(tls, name)).filter(|path| path.exists())
}

fn default_of(tls: &Tls, name: &str) -> Option<PathBuf> {
    tls.default_folder.as_ref().map(|folder| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_told_with_a_line_that_survives_the_shell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client's key");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let why = check_permissions(&path).unwrap_err();
        let quoted = path.display().to_string().replace('\'', r"'\''");
        assert!(why.contains(&format!("`chmod 0600 '{quoted}'`")), "{why}");
    }
}
