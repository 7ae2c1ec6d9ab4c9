//! The parts of a described connection, as values.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One place where the server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pg) struct Endpoint {
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
    pub(in crate::pg) fn socket(&self) -> Option<PathBuf> {
        let folder = self.host.starts_with('/') && self.address.is_none();
        folder.then(|| PathBuf::from(&self.host).join(format!(".s.PGSQL.{}", self.port)))
    }

    /// `127.0.0.1:5432`, `[::1]:5432`, `/var/run/postgresql:5432`.
    pub(in crate::pg) fn describe(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A text that `Debug` does not show, and that is masked wherever text leaves the program.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::pg) struct Secret(pub(super) String);

impl Secret {
    /// Registers `text` for masking and keeps it.
    pub(in crate::pg) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        crate::redact::register(&text);
        Self(text)
    }

    pub(in crate::pg) fn reveal(&self) -> &str {
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
pub(in crate::pg) struct Tls {
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
    pub(in crate::pg) const NAMES: &'static [(&'static str, SslMode)] = &[
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
pub(in crate::pg) enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

impl ChannelBinding {
    pub(in crate::pg) const NAMES: &'static [(&'static str, ChannelBinding)] = &[
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
}

/// `target_session_attrs`: which of several servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::pg) enum TargetSession {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl TargetSession {
    pub(in crate::pg) const NAMES: &'static [(&'static str, TargetSession)] = &[
        ("any", TargetSession::Any),
        ("read-write", TargetSession::ReadWrite),
        ("read-only", TargetSession::ReadOnly),
        ("primary", TargetSession::Primary),
        ("standby", TargetSession::Standby),
        ("prefer-standby", TargetSession::PreferStandby),
    ];

    pub(in crate::pg) fn name(self) -> &'static str {
        name_of(Self::NAMES, self)
    }
}

pub(super) fn name_of<T: PartialEq>(names: &'static [(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, v)| *v == value).map_or("", |(name, _)| name)
}

/// How long the other side may be silent, where nobody says otherwise.
pub(in crate::pg) const SILENCE: Duration = Duration::from_secs(60);

/// How a dead peer is noticed, as far as the text of the connection says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::pg) struct Keepalives {
    pub off: bool,
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
    pub count: Option<u32>,
    pub user_timeout: Option<Duration>,
}

/// The kernel's timers of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pg) struct Timers {
    pub keepalives: bool,
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
    pub user_timeout: Duration,
}

impl Keepalives {
    /// With what is not said filled in so that a dead peer is noticed within `silence`: half of it until the
    /// first probe, then three probes.
    pub(in crate::pg) fn within(self, silence: Duration) -> Timers {
        let part = |n: u32| (silence / n).max(Duration::from_secs(1));
        Timers {
            keepalives: !self.off,
            idle: self.idle.unwrap_or(part(2)),
            interval: self.interval.unwrap_or(part(6)),
            count: self.count.unwrap_or(3),
            user_timeout: self.user_timeout.unwrap_or(silence),
        }
    }
}
