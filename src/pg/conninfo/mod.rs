//! Where a database is and how it is reached, as its users write it: libpq's URLs and key=value strings,
//! SQLAlchemy's URLs, libpq's environment variables and password file (PostgreSQL manual 34.1, 34.15, 34.16).

mod error;
mod keys;
mod passfile;
mod resolve;
mod surroundings;
mod text;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::{ConnInfoError, Problem};
use surroundings::Surroundings;
use text::{Dialect, encode};

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
    pub(super) keepalives: Keepalives,
    passfile: Option<PathBuf>,
    scheme: Option<String>,
    dialect: Dialect,
    notes: Vec<String>,
}

/// One place where the server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A host name, an address, or the folder of a unix socket (it begins with `/`).
    pub host: String,
    /// `hostaddr`: goes before looking the name up.
    pub address: Option<IpAddr>,
    /// The port; for a socket it is a part of its name.
    pub port: u16,
    /// The password for this place; the password file may hold one for each.
    pub password: Option<Secret>,
}

impl Endpoint {
    /// The socket's path, if this is a unix socket.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        let folder = self.host.starts_with('/') && self.address.is_none();
        folder.then(|| PathBuf::from(&self.host).join(format!(".s.PGSQL.{}", self.port)))
    }

    /// `127.0.0.1:5432`, `[::1]:5432`, `/var/run/postgresql:5432`.
    pub(super) fn describe(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A text that `Debug` does not show, and that is masked wherever text leaves the program.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// Registers `text` for masking and keeps it.
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        crate::redact::register(&text);
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(crate::redact::MASK)
    }
}

/// How TLS is to be used (manual 34.19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub mode: SslMode,
    pub system_roots: bool,
    pub root: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub revoked: Option<PathBuf>,
    /// `~/.postgresql`, where the defaults of the files lie.
    pub default_folder: Option<PathBuf>,
    pub only_13: bool,
}

/// `sslmode` (manual 34.19.3), from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// Plain first; TLS if the server insists.
    Allow,
    /// TLS if the server offers it; the default.
    Prefer,
    /// TLS; the certificate counts only if there is a root certificate file.
    Require,
    /// TLS with a trusted certificate, whatever name it bears.
    VerifyCa,
    /// TLS with a trusted certificate that bears the host's name.
    VerifyFull,
}

impl SslMode {
    pub(super) const NAMES: &'static [(&'static str, SslMode)] = &[
        ("disable", SslMode::Disable),
        ("allow", SslMode::Allow),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];

    /// The name in a URL.
    pub fn name(self) -> &'static str {
        name_of(Self::NAMES, self)
    }
}

/// `channel_binding`: whether the password's proof must be bound to the TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

impl ChannelBinding {
    const NAMES: &'static [(&'static str, ChannelBinding)] = &[
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
}

/// `target_session_attrs`: which of several servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TargetSession {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl TargetSession {
    const NAMES: &'static [(&'static str, TargetSession)] = &[
        ("any", TargetSession::Any),
        ("read-write", TargetSession::ReadWrite),
        ("read-only", TargetSession::ReadOnly),
        ("primary", TargetSession::Primary),
        ("standby", TargetSession::Standby),
        ("prefer-standby", TargetSession::PreferStandby),
    ];

    pub(super) fn name(self) -> &'static str {
        name_of(Self::NAMES, self)
    }
}

fn name_of<T: PartialEq>(names: &'static [(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, v)| *v == value).map_or("", |(name, _)| name)
}

/// How a dead peer is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keepalives {
    pub on: bool,
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
    pub user_timeout: Duration,
}

impl Default for Keepalives {
    /// A dead peer is noticed within a minute.
    fn default() -> Self {
        Self {
            on: true,
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            user_timeout: Duration::from_secs(60),
        }
    }
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

    /// A URL of it all, with the password: for a child's `DATABASE_URL`, never for a text.
    ///
    /// It has the scheme that was written (`postgresql+asyncpg://`) and only parameters that this driver takes.
    /// Several hosts share one password in it, the first known.
    pub fn to_url(&self) -> String {
        let mut url = format!("{}://{}", self.scheme.as_deref().unwrap_or("postgresql"), encode(&self.user));
        if let Some(password) = self.password() {
            url.push(':');
            url.push_str(&encode(password.reveal()));
        }
        url.push('@');
        let mut query: Vec<(&str, String)> = Vec::new();
        if self.endpoints.iter().any(|place| place.socket().is_some()) {
            // A socket's folder fits into no host part that every driver reads.
            query.push(("host", self.host()));
            query.push(("port", self.ports()));
        } else {
            let places: Vec<String> = self.endpoints.iter().map(host_part).collect();
            url.push_str(&places.join(","));
        }
        url.push('/');
        url.push_str(&encode(&self.database));
        match self.dialect {
            Dialect::Libpq => query.extend(self.libpq_parameters()),
            Dialect::Asyncpg => query.push(("ssl", self.tls.mode.name().to_string())),
            Dialect::Pg8000 => {}
        }
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
        if !pairs.is_empty() {
            url.push('?');
            url.push_str(&pairs.join("&"));
        }
        url
    }

    /// The environment of `psql`, `pg_dump` and other children of libpq: everything, the password too, so
    /// that nothing of it stands among their arguments, where every user of the machine can read it.
    pub fn tool_env(&self) -> Vec<(String, String)> {
        let mut env = vec![
            ("PGHOST", self.host()),
            ("PGPORT", self.ports()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.database.clone()),
            // GSSAPI is never ours; asking for it costs a round trip on servers that know it.
            ("PGGSSENCMODE", "disable".to_string()),
        ];
        if let Some(password) = self.password() {
            env.push(("PGPASSWORD", password.reveal().to_string()));
        }
        if let Some(passfile) = &self.passfile {
            env.push(("PGPASSFILE", passfile.display().to_string()));
        }
        for (key, value) in self.libpq_parameters() {
            if let Some(variable) = keys::find(key).and_then(|key| key.variable) {
                env.push((variable, value));
            }
        }
        env.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// The first password that is known.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.endpoints.iter().find_map(|place| place.password.as_ref())
    }

    fn ports(&self) -> String {
        self.endpoints.iter().map(|place| place.port.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Every parameter beside who, where and the password that differs from libpq's default.
    fn libpq_parameters(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let differs = |name: &'static str, default: bool| (!default).then(|| name.to_string());
        let seconds = |now: Duration, default: Duration| (now != default).then(|| now.as_secs().to_string());
        let (keep, kept) = (self.keepalives, Keepalives::default());
        let root = if self.tls.system_roots { Some("system".to_string()) } else { path(&self.tls.root) };
        let binding = name_of(ChannelBinding::NAMES, self.channel_binding);
        let parameters = [
            ("hostaddr", self.addresses()),
            ("sslmode", Some(self.tls.mode.name().to_string())),
            ("sslrootcert", root),
            ("sslcert", path(&self.tls.certificate)),
            ("sslkey", path(&self.tls.key)),
            ("sslcrl", path(&self.tls.revoked)),
            ("ssl_min_protocol_version", self.tls.only_13.then(|| "TLSv1.3".to_string())),
            ("channel_binding", differs(binding, self.channel_binding == ChannelBinding::Prefer)),
            (
                "target_session_attrs",
                differs(self.target_session.name(), self.target_session == TargetSession::Any),
            ),
            ("application_name", self.application_name.clone()),
            ("options", self.options.clone()),
            ("connect_timeout", self.connect_timeout.map(|limit| limit.as_secs().to_string())),
            ("keepalives", (!keep.on).then(|| "0".to_string())),
            ("keepalives_idle", seconds(keep.idle, kept.idle)),
            ("keepalives_interval", seconds(keep.interval, kept.interval)),
            ("keepalives_count", (keep.count != kept.count).then(|| keep.count.to_string())),
            (
                "tcp_user_timeout",
                (keep.user_timeout != kept.user_timeout).then(|| keep.user_timeout.as_millis().to_string()),
            ),
        ];
        parameters.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn addresses(&self) -> Option<String> {
        let all: Vec<String> =
            self.endpoints.iter().map(|p| p.address.map(|a| a.to_string()).unwrap_or_default()).collect();
        all.iter().any(|address| !address.is_empty()).then(|| all.join(","))
    }
}

fn host_part(place: &Endpoint) -> String {
    if place.host.contains(':') {
        format!("[{}]:{}", place.host.replace('%', "%25"), place.port)
    } else {
        format!("{}:{}", encode(&place.host), place.port)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
