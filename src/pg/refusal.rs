//! Why a session could not be had, and what a person does about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::answer::{describe_answer, describe_error};
use super::conninfo::{ConnInfo, SslMode};
use super::tls::TlsSetupError;
use crate::failure::Failure;

/// No session; worded to follow "could not". Holds no password.
#[derive(Debug, thiserror::Error)]
#[error("connect to {database} on {place} as {user}: {reason}")]
pub struct ConnectError {
    /// The database.
    pub database: String,
    /// The host and port that the reason is about.
    pub place: String,
    /// The role.
    pub user: String,
    /// Why not.
    pub reason: Refusal,
    /// The other hosts that were tried, each with its reason.
    pub elsewhere: Vec<(String, Refusal)>,
    mode: SslMode,
    notes: Vec<String>,
}

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
        let text = describe_answer(answer);
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
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        match error {
            rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
                Self::CertificateName(error.to_string())
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

impl ConnectError {
    /// `attempts` are the places that were tried, with their reasons; never empty.
    pub(super) fn new(info: &ConnInfo, mut attempts: Vec<(String, Refusal)>) -> Self {
        // The place that said the most stands for all: an answer of a server, else the last one.
        let telling = attempts.iter().position(|(_, reason)| reason.is_final());
        let at = telling.unwrap_or(attempts.len().saturating_sub(1));
        let (place, reason) = if attempts.is_empty() {
            (info.host(), Refusal::Broken("no host to try".into()))
        } else {
            attempts.remove(at)
        };
        Self {
            database: info.database.clone(),
            place,
            user: info.user.clone(),
            reason,
            elsewhere: attempts,
            mode: info.tls.mode,
            notes: info.notes().to_vec(),
        }
    }

    /// Whether trying again a little later may help: the server starts, is full, or was not reached.
    pub fn is_transient(&self) -> bool {
        self.reason.is_transient() || self.elsewhere.iter().any(|(_, reason)| reason.is_transient())
    }

    /// What to do next: whole sentences, and lines to type.
    fn remedies(&self) -> Vec<String> {
        let ConnectError { database, place, user, .. } = self;
        let one = |text: String| vec![text];
        match &self.reason {
            Refusal::NoSuchHost { temporary: true, .. } => {
                one("The name server did not answer: check this machine's network, then try again.".into())
            }
            Refusal::NoSuchHost { host, .. } => one(format!("Check the host name {host:?} for a typing error.")),
            Refusal::ConnectionRefused | Refusal::NoSocket(_) => {
                one(format!("Check that PostgreSQL runs and that host and port are right: pg_isready {}", arguments(place)))
            }
            Refusal::Network(_) | Refusal::Timeout(_) => {
                one(format!("Check the network, a firewall or an allow-list between this machine and {place}."))
            }
            Refusal::WrongPassword(_) => {
                one(format!("Check the password of role {user:?} and that special characters in the URL are percent-encoded."))
            }
            Refusal::PasswordMissing => {
                one("Give the password in the URL, in PGPASSWORD or in ~/.pgpass.".into())
            }
            Refusal::NotInHba(_) => self.remedies_of_hba(),
            Refusal::RoleRejected(_) => {
                one(format!("Check that role {user:?} exists, may log in, and is the one meant: psql -c '\\du'"))
            }
            Refusal::NoSuchDatabase(_) => one(format!(
                "Check the name, or create it: createdb {} -O {} {}",
                arguments(place),
                shell_word(user),
                shell_word(database)
            )),
            Refusal::DatabaseClosed(_) => one(format!(
                "If a release is under way or was interrupted, `backstay status` tells; otherwise an owner may \
                 GRANT CONNECT ON DATABASE {} TO {}.",
                super::quote_ident(database),
                super::quote_ident(user)
            )),
            Refusal::TooManyConnections(_) => {
                one("Close connections that are not needed, or raise max_connections or the CONNECTION LIMIT.".into())
            }
            Refusal::NotReady(_) => one("The server starts or stops: wait a little and try again.".into()),
            Refusal::TlsNotOffered(_) => {
                one("Switch TLS on in the server (ssl = on), or write sslmode=disable if the network is private.".into())
            }
            Refusal::CertificateNotTrusted(_) => {
                one("Give the authority's certificate as sslrootcert=FILE (or `system` for a public one).".into())
            }
            Refusal::CertificateName(_) => one(
                "Use the host name that the certificate bears, or sslmode=verify-ca to trust it under any name.".into(),
            ),
            Refusal::TlsFailed(text) if text.contains("UnsupportedCertVersion") => {
                one("Give the server a certificate of X.509 version 3; rustls reads no older ones.".into())
            }
            Refusal::TlsSetup(TlsSetupError::NoRoots { .. }) => {
                one("Give the authority's certificate as sslrootcert=FILE, or sslrootcert=system for a public one.".into())
            }
            Refusal::WrongKind(_) => one("Name the primary server, or wait until one is promoted.".into()),
            Refusal::TlsFailed(_) | Refusal::TlsSetup(_) | Refusal::Server { .. } | Refusal::Broken(_) => {
                one(format!("Check that {place} is a PostgreSQL server or pooler, and look into its log."))
            }
        }
    }

    fn remedies_of_hba(&self) -> Vec<String> {
        let mut next = vec![format!(
            "Let pg_hba.conf admit this machine for database {:?} and role {:?}, then: SELECT pg_reload_conf();",
            self.database, self.user
        )];
        if self.mode < SslMode::Require {
            next.push("If the server admits TLS connections only, write sslmode=require.".into());
        }
        next
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let what = format!("connect to {} on {} as {}", error.database, error.place, error.user);
        let mut failure = Failure::refused(what).because_of(error.reason.to_string());
        for (place, reason) in &error.elsewhere {
            failure = failure.because_of(format!("{place}: {reason}"));
        }
        for next in error.remedies() {
            failure = failure.then(next);
        }
        if matches!(error.reason, Refusal::WrongPassword(_) | Refusal::PasswordMissing) {
            for note in error.notes {
                failure = failure.then(format!("Mind that {note}."));
            }
        }
        failure
    }
}

/// `-h HOST -p PORT` for a place.
fn arguments(place: &str) -> String {
    match place.rsplit_once(':') {
        Some((host, port)) => {
            format!("-h {} -p {port}", shell_word(host.trim_start_matches('[').trim_end_matches(']')))
        }
        None => format!("-h {}", shell_word(place)),
    }
}

/// `word` as a shell takes it for one word.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(shell_word("shop"), "shop");
        assert_eq!(shell_word("my shop"), "'my shop'");
        assert_eq!(shell_word("o'x"), r"'o'\''x'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(arguments("[::1]:5432"), "-h ::1 -p 5432");
    }

    #[test]
    fn the_telling_reason_comes_first() {
        let info = ConnInfo::parse("host=a,b,c user=u dbname=d").unwrap();
        let attempts = vec![
            ("a:1".to_string(), Refusal::ConnectionRefused),
            ("b:1".to_string(), Refusal::WrongPassword("FATAL: no".into())),
            ("c:1".to_string(), Refusal::Timeout(Duration::from_secs(1))),
        ];
        let error = ConnectError::new(&info, attempts);
        assert_eq!(error.place, "b:1");
        assert_eq!(error.elsewhere.len(), 2);
        let failure = Failure::from(error);
        assert_eq!(failure.what, "connect to d on b:1 as u");
        assert!(failure.causes[0].contains("FATAL: no"));
    }
}
