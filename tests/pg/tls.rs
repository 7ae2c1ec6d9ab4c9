//! Every `sslmode` against a server with TLS and one without (PostgreSQL manual 34.19.3).

use std::path::{Path, PathBuf};

use backstay::demo::cluster::Cluster;
use backstay::pg::{Refusal, Session, TlsSetupError};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::server::{
    admin, alter, refused, reload, set_hba, start, try_to, until, write_for_server, write_private,
};

const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// An authority, and certificates of it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key.
    fn sign(&self, common_name: &str, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = named(common_name, names).signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn write_root(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, &self.pem).unwrap();
        path
    }
}

fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

async fn switch_tls_on(cluster: &Cluster, certificate: &str, key: &str) {
    write_for_server(cluster, "server.crt", certificate);
    write_for_server(cluster, "server.key", key);
    alter(cluster, "ssl = on").await;
    reload(cluster).await;
}

async fn encrypted(session: &Session) -> bool {
    let text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let seen: bool = session.query_one(text, &[]).await.unwrap().get(0);
    assert_eq!(seen, session.is_encrypted());
    seen
}

#[tokio::test]
async fn modes_on_a_server_with_tls() {
    let cluster = start();
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("our CA"), Authority::new("another CA"));
    let root = authority.write_root(folder.path(), "root.crt").display().to_string();
    let other = stranger.write_root(folder.path(), "other.crt").display().to_string();
    let (certificate, key) = authority.sign("ignored", &["localhost"]);
    switch_tls_on(&cluster, &certificate, &key).await;
    let url =
        |host: &str, rest: &str| format!("postgresql://postgres@{host}:{}/postgres?{rest}", cluster.port());

    for mode in MODES {
        let session =
            try_to(&url("localhost", &format!("sslmode={mode}&sslrootcert={root}"))).await.expect(mode);
        assert_eq!(encrypted(&session).await, !matches!(mode, "disable" | "allow"), "{mode}");
    }

    // The name: only verify-full asks for it.
    for mode in ["require", "verify-ca"] {
        try_to(&url("127.0.0.1", &format!("sslmode={mode}&sslrootcert={root}"))).await.expect(mode);
    }
    let (error, text) = refused(&url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}"))).await;
    assert!(matches!(error.reason, Refusal::CertificateName(_)), "{error:?}");
    assert!(text.contains("sslmode=verify-ca"), "{text}");
    // The name that counts is the host's, also where its address is given.
    let by_address = url("localhost", &format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={root}"));
    try_to(&by_address).await.expect("host beside hostaddr");

    // A root certificate file that is there counts in every mode; prefer falls back to plain.
    for mode in ["require", "verify-ca", "verify-full"] {
        let (error, text) = refused(&url("localhost", &format!("sslmode={mode}&sslrootcert={other}"))).await;
        assert!(matches!(error.reason, Refusal::CertificateNotTrusted(_)), "{mode}: {error:?}");
        assert!(text.contains("sslrootcert=FILE"), "{text}");
    }
    let fallback = try_to(&url("localhost", &format!("sslmode=prefer&sslrootcert={other}"))).await.unwrap();
    assert!(!encrypted(&fallback).await);

    // No file: require goes without, the stronger ones refuse before anything is sent.
    let none = format!("{}/none.crt", folder.path().display());
    let required = try_to(&url("localhost", &format!("sslmode=require&sslrootcert={none}"))).await.unwrap();
    assert!(encrypted(&required).await);
    for mode in ["verify-ca", "verify-full"] {
        let (error, text) = refused(&url("localhost", &format!("sslmode={mode}&sslrootcert={none}"))).await;
        assert!(matches!(error.reason, Refusal::TlsSetup(TlsSetupError::NoRoots { .. })), "{error:?}");
        assert!(text.contains("none.crt"), "{text}");
    }
    let (error, _) = refused(&url("localhost", "sslrootcert=system")).await;
    assert!(
        matches!(
            error.reason,
            Refusal::CertificateNotTrusted(_) | Refusal::TlsSetup(TlsSetupError::NoSystemRoots(_))
        ),
        "{error:?}"
    );
    write_private(&folder.path().join("junk.crt"), "no certificate");
    let junk = format!("{}/junk.crt", folder.path().display());
    let (error, text) = refused(&url("localhost", &format!("sslmode=require&sslrootcert={junk}"))).await;
    assert!(matches!(error.reason, Refusal::TlsSetup(TlsSetupError::File { .. })), "{error:?}");
    assert!(text.contains("junk.crt"), "{text}");

    // TLS 1.3 alone, and a cancel request over TLS.
    let strict = try_to(&url("localhost", "sslmode=require&ssl_min_protocol_version=TLSv1.3")).await.unwrap();
    let version = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(strict.query_one(version, &[]).await.unwrap().get::<_, String>(0), "TLSv1.3");
    let canceller = strict.canceller();
    let (slept, cancelled) = tokio::join!(strict.batch_execute("SELECT pg_sleep(60)"), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        canceller.cancel().await
    });
    cancelled.unwrap();
    assert_eq!(backstay::pg::sqlstate(&slept.unwrap_err()), Some("57014"));
}

#[tokio::test]
async fn modes_on_a_server_without_tls() {
    let cluster = start();
    let folder = tempfile::tempdir().unwrap();
    let root = Authority::new("a CA").write_root(folder.path(), "root.crt").display().to_string();
    for mode in MODES {
        let url = format!(
            "postgresql://postgres@127.0.0.1:{}/postgres?sslmode={mode}&sslrootcert={root}",
            cluster.port()
        );
        if matches!(mode, "disable" | "allow" | "prefer") {
            assert!(!encrypted(&try_to(&url).await.expect(mode)).await);
        } else {
            let (error, text) = refused(&url).await;
            assert!(matches!(error.reason, Refusal::TlsNotOffered(named) if named == mode), "{error:?}");
            assert!(text.contains("ssl = on"), "{text}");
        }
        // On a unix socket libpq never asks for TLS.
        let socket = format!(
            "host={} port={} user=postgres dbname=postgres sslmode={mode} sslrootcert={root}",
            cluster.folder().display(),
            cluster.port()
        );
        try_to(&socket).await.expect(mode);
    }
}

#[tokio::test]
async fn what_pg_hba_demands_is_tried_where_the_mode_leaves_it_open() {
    let cluster = start();
    admin(&cluster)
        .await
        .batch_execute(
            "CREATE ROLE tls_only LOGIN; CREATE ROLE plain_only LOGIN; CREATE ROLE secret LOGIN PASSWORD 'long-secret'; \
             CREATE ROLE certified LOGIN",
        )
        .await
        .unwrap();
    let (authority, folder) = (Authority::new("our CA"), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.sign("localhost", &[]);
    switch_tls_on(&cluster, &certificate, &key).await;
    write_for_server(&cluster, "clients.crt", &authority.pem);
    alter(&cluster, "ssl_ca_file = 'clients.crt'").await;
    set_hba(
        &cluster,
        "hostssl all tls_only 127.0.0.1/32 trust\nhostnossl all plain_only 127.0.0.1/32 trust\n\
         host all secret 127.0.0.1/32 scram-sha-256\nhostssl all certified 127.0.0.1/32 cert",
    )
    .await;
    let url =
        |role: &str, rest: &str| format!("postgresql://{role}@127.0.0.1:{}/postgres?{rest}", cluster.port());

    for mode in ["allow", "prefer", "require"] {
        assert!(encrypted(&try_to(&url("tls_only", &format!("sslmode={mode}"))).await.expect(mode)).await);
    }
    let (error, text) = refused(&url("tls_only", "sslmode=disable")).await;
    assert!(matches!(error.reason, Refusal::NotInHba(_)), "{error:?}");
    assert!(text.contains("write sslmode=require"), "{text}");
    for mode in ["disable", "allow", "prefer"] {
        assert!(!encrypted(&try_to(&url("plain_only", &format!("sslmode={mode}"))).await.expect(mode)).await);
    }
    let (error, text) = refused(&url("plain_only", "sslmode=require")).await;
    assert!(matches!(error.reason, Refusal::NotInHba(_)), "{error:?}");
    assert!(!text.contains("sslmode=require"), "{text}");

    // SCRAM bound to the channel: over TLS only.
    let bound = "secret:long-secret";
    try_to(&url(bound, "sslmode=require&channel_binding=require")).await.expect("a bound channel");
    try_to(&url(bound, "sslmode=require&channel_binding=disable")).await.expect("no binding");
    let (error, text) = refused(&url(bound, "sslmode=disable&channel_binding=require")).await;
    assert!(matches!(error.reason, Refusal::Authentication(_)) && !error.is_transient(), "{error:?}");
    assert!(text.contains("channel binding") && !text.contains("long-secret"), "{text}");
    let (error, _) = refused(&url("secret:wrong-secret", "sslmode=prefer")).await;
    assert!(matches!(error.reason, Refusal::WrongPassword(_)), "{error:?}");

    // A client certificate, and its key that others could read.
    let (certificate, key) = authority.sign("certified", &[]);
    let (certificate_path, key_path) = (folder.path().join("me.crt"), folder.path().join("me.key"));
    write_private(&certificate_path, &certificate);
    write_private(&key_path, &key);
    let mine =
        format!("sslmode=require&sslcert={}&sslkey={}", certificate_path.display(), key_path.display());
    try_to(&url("certified", &mine)).await.expect("a client certificate");
    let (_, text) = refused(&url("certified", "sslmode=require")).await;
    assert!(text.contains("certificate"), "{text}");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&key_path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, text) = refused(&url("certified", &mine)).await;
    assert!(text.contains("chmod 0600"), "{text}");
    std::fs::remove_file(&key_path).unwrap();
    let (error, _) = refused(&url("certified", &mine)).await;
    assert!(matches!(error.reason, Refusal::TlsSetup(TlsSetupError::NoKey { .. })), "{error:?}");
}

/// The recipes of PostgreSQL's own manual (19.9.5): a name in the common name alone, and a self-signed
/// certificate that is its own authority.
#[tokio::test]
async fn the_manuals_certificates_are_trusted_as_libpq_trusts_them() {
    let cluster = start();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("our CA");
    let root = authority.write_root(folder.path(), "root.crt");
    let url = |host: &str, root: &Path| {
        format!(
            "postgresql://postgres@{host}:{}/postgres?sslmode=verify-full&sslrootcert={}",
            cluster.port(),
            root.display()
        )
    };
    let (certificate, key) = authority.sign("localhost", &[]);
    switch_tls_on(&cluster, &certificate, &key).await;
    until("the certificate", async || try_to(&url("localhost", &root)).await.is_ok()).await;
    let (error, _) = refused(&url("127.0.0.1", &root)).await;
    assert!(matches!(error.reason, Refusal::CertificateName(_)), "{error:?}");

    let mut params = named("localhost", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap().pem();
    switch_tls_on(&cluster, &own, &key.serialize_pem()).await;
    let own_root = folder.path().join("own.crt");
    std::fs::write(&own_root, &own).unwrap();
    until("the certificate", async || try_to(&url("localhost", &own_root)).await.is_ok()).await;
    let (error, _) = refused(&url("localhost", &root)).await;
    assert!(matches!(error.reason, Refusal::CertificateNotTrusted(_)), "{error:?}");

    // Of the same name, with another key.
    let impostor = KeyPair::generate().unwrap();
    let own = params.self_signed(&impostor).unwrap().pem();
    std::fs::write(&own_root, &own).unwrap();
    let (error, _) = refused(&url("localhost", &own_root)).await;
    assert!(matches!(error.reason, Refusal::CertificateNotTrusted(_)), "{error:?}");

    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = params.self_signed(&key).unwrap().pem();
    std::fs::write(&own_root, &expired).unwrap();
    switch_tls_on(&cluster, &expired, &key.serialize_pem()).await;
    until("the expired certificate", async || try_to(&url("localhost", &own_root)).await.is_err()).await;
    let (error, text) = refused(&url("localhost", &own_root)).await;
    assert!(matches!(error.reason, Refusal::CertificateNotTrusted(_)), "{error:?}");
    assert!(text.contains("xpired"), "{text}");
}
