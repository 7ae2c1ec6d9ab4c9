//! No session: which of the hosts said why, and what a person does about it.

use std::time::Duration;

use super::conninfo::{ConnInfo, SslMode};
use super::refusal::Refusal;
use super::tls::TlsSetupError;
use crate::failure::Failure;
use crate::time::show_duration;
use crate::words::shell_word;

/// No session; worded to follow "could not". Holds no password.
#[derive(Debug, thiserror::Error)]
#[error("connect to {} on {} as {}: {}{}", .0.database, .0.place, .0.user, .0.reason, .0.tried())]
pub struct ConnectError(Box<Refused>);

/// Who was refused, where and why; [`ConnectError`] derefs to it.
#[derive(Debug)]
pub struct Refused {
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
    /// For how long it was tried, if more than once.
    pub tried_for: Option<Duration>,
    mode: SslMode,
    notes: Vec<String>,
}

impl Refused {
    fn tried(&self) -> String {
        self.tried_for.map(|time| format!(" (tried for {})", show_duration(time))).unwrap_or_default()
    }
}

impl std::ops::Deref for ConnectError {
    type Target = Refused;
    fn deref(&self) -> &Refused {
        &self.0
    }
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
        Self(Box::new(Refused {
            database: info.database.clone(),
            place,
            user: info.user.clone(),
            reason,
            elsewhere: attempts,
            tried_for: None,
            mode: info.tls.mode,
            notes: info.notes().to_vec(),
        }))
    }

    /// The same, once it was tried again and again for so long.
    pub(super) fn after(mut self, time: Duration) -> Self {
        self.0.tried_for = Some(time).filter(|time| *time >= Duration::from_secs(1));
        self
    }

    /// Whether trying again a little later may help: the server starts, is full, or was not reached.
    pub fn is_transient(&self) -> bool {
        // A wrong password stays wrong; sending it again may lock the account.
        let elsewhere = || self.elsewhere.iter().any(|(_, reason)| reason.is_transient());
        self.reason.is_transient() || (!self.reason.is_final() && elsewhere())
    }

    /// Whether nobody answered at all: the network, or a machine or a server that is down.
    pub(super) fn is_no_answer(&self) -> bool {
        use Refusal::{Broken, ConnectionRefused, Network, Timeout};
        matches!(self.reason, ConnectionRefused | Network(_) | Timeout(_) | Broken(_))
    }

    /// What to do next: whole sentences, and lines to type.
    fn remedies(&self) -> Vec<String> {
        let Refused { database, place, user, .. } = &**self;
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
            Refusal::Authentication(_) => one(
                "Let pg_hba.conf ask this role for scram-sha-256, md5, a password or a certificate; \
                 channel_binding=require needs TLS and SCRAM."
                    .into(),
            ),
            Refusal::NotInHba(_) => self.remedies_of_hba(),
            Refusal::RoleRejected(_) => {
                one(format!("Check that role {user:?} exists, may log in, and is the one meant: psql -c '\\du'"))
            }
            Refusal::NoSuchDatabase(_) => one(format!(
                "Check the name. If a release is under way or was interrupted, `backstay status` tells; otherwise \
                 create it: createdb {} -O {} {}",
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
            Refusal::CertificateNotTrusted(text) if text.contains("xpired") => {
                one("Renew the server's certificate, or put this machine's clock right.".into())
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
            Refusal::TlsSetup(_) => {
                one("Mend that file, or name the right one: sslrootcert=, sslcert=, sslkey=, sslcrl=.".into())
            }
            Refusal::TlsFailed(_) | Refusal::Server { .. } | Refusal::Broken(_) => {
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
        let mut failure = Failure::refused(what).because_of(format!("{}{}", error.reason, error.tried()));
        for (place, reason) in &error.elsewhere {
            failure = failure.because_of(format!("{place}: {reason}"));
        }
        for next in error.remedies() {
            failure = failure.then(next);
        }
        if matches!(error.reason, Refusal::WrongPassword(_) | Refusal::PasswordMissing) {
            for note in &error.notes {
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
        assert!(!error.is_transient(), "a wrong password is not tried again");
        assert_eq!(error.elsewhere.len(), 2);
        let failure = Failure::from(error);
        assert_eq!(failure.what, "connect to d on b:1 as u");
        assert!(failure.causes[0].contains("FATAL: no"));
    }
}
