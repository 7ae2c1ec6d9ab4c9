//! Where a database is and how it is reached, as its users write it: libpq's URLs and key=value strings,
//! SQLAlchemy's URLs, libpq's environment variables and password file (PostgreSQL manual 34.1, 34.15, 34.16).

mod error;
mod keys;
mod passfile;
mod resolve;
mod surroundings;
mod text;
mod values;
mod write;

use std::path::PathBuf;
use std::time::Duration;

pub use error::{ConnInfoError, Problem};
use surroundings::Surroundings;
use text::Dialect;
pub use values::SslMode;
pub(super) use values::{ChannelBinding, Endpoint, Keepalives, Secret, TargetSession, Timers, Tls};

/// A described connection: one database of one server (or of the first of several that answers).
///
/// Its `Debug` and every error about it show no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnInfo {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application_name: Option<String>,
    pub(super) options: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) tls: Tls,
    pub(super) channel_binding: ChannelBinding,
    pub(super) target_session: TargetSession,
    keepalives: Keepalives,
    silence: Duration,
    passfile: Option<PathBuf>,
    scheme: Option<String>,
    dialect: Dialect,
    drivers_own: Vec<(String, String)>,
    notes: Vec<String>,
}

impl ConnInfo {
    /// Reads a URL (`postgresql://…`, also with SQLAlchemy's drivers) or a key=value string, and fills in what
    /// it leaves open from the `PG*` variables, the password file and libpq's defaults.
    ///
    /// The password, wherever it came from, is registered for masking.
    ///
    /// # Errors
    /// If the text can't be understood. The error holds no piece of it that may belong to a password.
    ///
    /// ```
    /// let info = backstay::pg::ConnInfo::parse("postgresql://app:p%40ss@127.0.0.1/shop").unwrap();
    /// assert_eq!(info.describe(), "shop on 127.0.0.1:5432");
    /// ```
    pub fn parse(text: &str) -> Result<Self, ConnInfoError> {
        Self::parse_in(text, &Surroundings::of_this_process())
    }

    fn parse_in(text: &str, around: &Surroundings) -> Result<Self, ConnInfoError> {
        let written = text::read(text)?;
        // Registered first: whatever goes wrong after this can't show it.
        if let Some(password) = written.values.get("password") {
            crate::redact::register(password);
        }
        Ok(resolve::resolve(written, around, surroundings::read_passfile)?)
    }

    /// The same server and user, another database.
    ///
    /// The password stays: roles belong to the server, not to a database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        Self { database: name.to_string(), ..self.clone() }
    }

    /// The same; sessions and client tools notice a dead peer within `silence`, where the text does not say
    /// otherwise (`keepalives_idle`, `tcp_user_timeout` and so on). One minute if this is never called.
    #[must_use]
    pub fn noticing_silence_within(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// The same, at one of its places.
    pub(super) fn at(&self, place: &Endpoint) -> Self {
        Self { endpoints: vec![place.clone()], target_session: TargetSession::Any, ..self.clone() }
    }

    /// How long the other side may be silent before it is looked after.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// The kernel's timers of its connections.
    pub(super) fn timers(&self) -> Timers {
        self.keepalives.within(self.silence)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The role's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The host (a name, an address or a socket's folder); several are separated by commas.
    pub fn host(&self) -> String {
        self.endpoints.iter().map(|place| place.host.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The port of the first host.
    pub fn port(&self) -> u16 {
        self.endpoints.first().map_or(5432, |place| place.port)
    }

    /// The `sslmode` in force.
    pub fn ssl_mode(&self) -> SslMode {
        self.tls.mode
    }

    /// `shop on 127.0.0.1:5432`: for people, without user and password.
    pub fn describe(&self) -> String {
        let places: Vec<String> = self.endpoints.iter().map(Endpoint::describe).collect();
        format!("{} on {}", self.database, places.join(","))
    }

    /// What a person should know about how this was resolved: a password file that was passed over, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether `candidate` is a password of this connection; one of less than four characters is nobody's secret.
    pub fn has_password(&self, candidate: &str) -> bool {
        let known = self.endpoints.iter().filter_map(|place| place.password.as_ref());
        candidate.len() >= 4 && known.into_iter().any(|password| password.reveal() == candidate)
    }

    /// The first password that is known.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.endpoints.iter().find_map(|place| place.password.as_ref())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
