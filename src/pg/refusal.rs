//! The reasons for which a server, or the way to it, refuses a session.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::answer::{describe_answer, describe_error};
use super::conninfo::SslMode;
use super::tls::TlsSetupError;

/// Why a server did not give a session.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The host's name has no address.
    #[error("the host name {host:?} has no address: {cause}")]
    NoSuchHost {
        /// The name.
        host: String,
        /// In the resolver's words.
        cause: String,
        /// The resolver itself was not reached; another time the name may be found.
        temporary: bool,
    },
    /// Nothing listens there.
    #[error("connection refused: nothing listens on this port")]
    ConnectionRefused,
    /// The unix socket is not there.
    #[error("there is no socket {}: no server listens there", .0.display())]
    NoSocket(PathBuf),
    /// The network refused.
    #[error("the network refused: {0}")]
    Network(io::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// 28P01: wrong password.
    #[error("{0}")]
    WrongPassword(String),
    /// The server asks for a password, and there is none.
    #[error("the server asks for a password, and none was given")]
    PasswordMissing,
    /// The server's way of authentication is not one of ours, or breaks its own rules.
    #[error("{0}")]
    Authentication(String),
    /// 28000 out of `pg_hba.conf`: no line for this host, role and database, or a line that rejects.
    #[error("{0}")]
    NotInHba(String),
    /// 28000: no such role, or one that may not log in, or a certificate or system user that does not match.
    #[error("{0}")]
    RoleRejected(String),
    /// 3D000.
    #[error("{0}")]
    NoSuchDatabase(String),
    /// 55000 or 42501: the database takes no connections, or none of this role.
    #[error("{0}")]
    DatabaseClosed(String),
    /// 53300.
    #[error("{0}")]
    TooManyConnections(String),
    /// 57P03: starting, shutting down or in recovery.
    #[error("{0}")]
    NotReady(String),
    /// TLS is required by `sslmode`, and the server has none.
    #[error("the server does not offer TLS, and sslmode={0} requires it")]
    TlsNotOffered(&'static str),
    /// The certificate does not prove what `sslmode` demands.
    #[error("the server's certificate is not trusted: {0}")]
    CertificateNotTrusted(String),
    /// The certificate is another host's.
    #[error("the server's certificate is for another name: {0}")]
    CertificateName(String),
    /// The handshake failed otherwise.
    #[error("the TLS handshake failed: {0}")]
    TlsFailed(String),
    /// Our own side of TLS is not complete.
    #[error(transparent)]
    TlsSetup(#[from] TlsSetupError),
    /// A working server, but not of the kind that `target_session_attrs` asks for.
    #[error("the server is not what target_session_attrs={0} asks for")]
    WrongKind(&'static str),
    /// Anything else that the server said.
    #[error("{text}")]
    Server {
        /// The SQLSTATE.
        sqlstate: String,
        /// Its words.
        text: String,
    },
    /// The connection broke, or the other side speaks no PostgreSQL.
    #[error("{0}")]
    Broken(String),
}

impl Refusal {
    /// From tokio-postgres, in an attempt under `mode`.
    pub(super) fn of(error: &Error, mode: SslMode) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Self::of_answer(answer);
        }
        let text = describe_error(error);
        if text.contains("password missing") {
            return Self::PasswordMissing;
        }
        if text.starts_with("authentication error") {
            return Self::Authentication(text);
        }
        if text.contains("server does not support TLS") {
            return Self::TlsNotOffered(mode.name());
        }
        if let Some(tls) = cause::<rustls::Error>(error) {
            return Self::of_tls(tls);
        }
        match cause::<io::Error>(error) {
            Some(io) if text.contains("TLS handshake") => Self::TlsFailed(io.to_string()),
            _ => Self::Broken(text),
        }
    }

    fn of_answer(answer: &DbError) -> Self {
        // One line: it becomes a part of a sentence.
        let text = describe_answer(answer).replace('\n', "; ");
        // Servers speak in their own language; SQLSTATE and the routine's name are in none.
        match (answer.code().code(), answer.routine()) {
            ("28P01", _) => Self::WrongPassword(text),
            ("28000", Some("ClientAuthentication")) => Self::NotInHba(text),
            ("28000", _) => Self::RoleRejected(text),
            ("3D000", _) => Self::NoSuchDatabase(text),
            ("55000" | "42501", _) => Self::DatabaseClosed(text),
            ("53300", _) => Self::TooManyConnections(text),
            ("57P03", _) => Self::NotReady(text),
            (sqlstate, _) => Self::Server { sqlstate: sqlstate.to_string(), text },
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
        match error {
            rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
                Self::CertificateName(error.to_string())
            }
            rustls::Error::InvalidCertificate(UnknownIssuer) => {
                Self::CertificateNotTrusted("none of the root certificates in use signed it".into())
            }
            rustls::Error::InvalidCertificate(_) => Self::CertificateNotTrusted(error.to_string()),
            other => Self::TlsFailed(other.to_string()),
        }
    }

    /// From the operating system, while connecting a socket.
    pub(super) fn of_io(error: io::Error, socket: Option<PathBuf>) -> Self {
        match (error.kind(), socket) {
            (io::ErrorKind::NotFound, Some(path)) => Self::NoSocket(path),
            (io::ErrorKind::ConnectionRefused, _) => Self::ConnectionRefused,
            _ => Self::Network(error),
        }
    }

    /// Whether the same attempt may succeed a little later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ConnectionRefused
            | Self::NoSocket(_)
            | Self::Network(_)
            | Self::Timeout(_)
            | Self::TooManyConnections(_)
            | Self::NotReady(_)
            | Self::WrongKind(_)
            | Self::Broken(_) => true,
            Self::NoSuchHost { temporary, .. } => *temporary,
            // Connection exceptions (a pooler's too), lack of resources, and a server that goes down.
            Self::Server { sqlstate, .. } => {
                sqlstate.starts_with("08") || sqlstate.starts_with("53") || sqlstate.starts_with("57P")
            }
            _ => false,
        }
    }

    /// The server knows us and said no: as in libpq, other hosts are not asked then (manual 34.1.1.3).
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::WrongPassword(_)
                | Self::PasswordMissing
                | Self::Authentication(_)
                | Self::NotInHba(_)
                | Self::RoleRejected(_)
                | Self::NoSuchDatabase(_)
                | Self::TlsSetup(_)
        )
    }

    /// The server rejected who we are or how we came: by the other kind of connection it may be different.
    pub(super) fn may_differ_with_or_without_tls(&self) -> bool {
        matches!(
            self,
            Self::NotInHba(_) | Self::RoleRejected(_) | Self::WrongPassword(_) | Self::PasswordMissing
        )
    }

    /// Whether it came of TLS itself.
    pub(super) fn is_about_tls(&self) -> bool {
        matches!(
            self,
            Self::TlsNotOffered(_)
                | Self::CertificateNotTrusted(_)
                | Self::CertificateName(_)
                | Self::TlsFailed(_)
        )
    }
}

fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error keeps what it was made of where `source` does not look.
        let inner = error.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<T>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
