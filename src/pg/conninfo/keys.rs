//! The parameters of a connection, as the PostgreSQL manual lists them (34.1.2), and what becomes of each.

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Honoured.
    Used,
    /// Without effect here, and harmless to leave out.
    Ignored,
    /// It asks for something that backstay does not do, and leaving it out would change what the user means.
    Refused(&'static str),
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name in a URL and in a key=value string.
    pub name: &'static str,
    /// The environment variable of its default (manual 34.15).
    pub variable: Option<&'static str>,
    /// What becomes of it.
    pub fate: Fate,
}

const fn used(name: &'static str, variable: &'static str) -> Key {
    Key { name, variable: Some(variable), fate: Fate::Used }
}

const fn used_without_variable(name: &'static str) -> Key {
    Key { name, variable: None, fate: Fate::Used }
}

const fn ignored(name: &'static str) -> Key {
    Key { name, variable: None, fate: Fate::Ignored }
}

const fn refused(name: &'static str, variable: Option<&'static str>, why: &'static str) -> Key {
    Key { name, variable, fate: Fate::Refused(why) }
}

/// Every parameter that libpq knows.
pub(super) const KEYS: &[Key] = &[
    used("host", "PGHOST"),
    used("hostaddr", "PGHOSTADDR"),
    used("port", "PGPORT"),
    used("dbname", "PGDATABASE"),
    used("user", "PGUSER"),
    used("password", "PGPASSWORD"),
    used("passfile", "PGPASSFILE"),
    used("connect_timeout", "PGCONNECT_TIMEOUT"),
    used("application_name", "PGAPPNAME"),
    used_without_variable("fallback_application_name"),
    used("options", "PGOPTIONS"),
    used("sslmode", "PGSSLMODE"),
    used("sslrootcert", "PGSSLROOTCERT"),
    used("sslcert", "PGSSLCERT"),
    used("sslkey", "PGSSLKEY"),
    used("sslcrl", "PGSSLCRL"),
    used("channel_binding", "PGCHANNELBINDING"),
    used("target_session_attrs", "PGTARGETSESSIONATTRS"),
    used("gssencmode", "PGGSSENCMODE"),
    used_without_variable("keepalives"),
    used_without_variable("keepalives_idle"),
    used_without_variable("keepalives_interval"),
    used_without_variable("keepalives_count"),
    used_without_variable("tcp_user_timeout"),
    ignored("client_encoding"),
    ignored("gssdelegation"),
    ignored("gsslib"),
    ignored("krbsrvname"),
    ignored("load_balance_hosts"),
    ignored("sslcertmode"),
    ignored("sslcompression"),
    ignored("sslsni"),
    refused("replication", None, "backstay opens ordinary sessions only"),
    refused("require_auth", Some("PGREQUIREAUTH"), "backstay can not hold the server to one method"),
    refused("requirepeer", Some("PGREQUIREPEER"), "backstay does not look up the owner of a socket"),
    refused(
        "service",
        Some("PGSERVICE"),
        "backstay reads no service file; write its lines as parameters of the connection",
    ),
    refused("servicefile", None, "backstay reads no service file; write its lines as parameters"),
    refused("sslcrldir", Some("PGSSLCRLDIR"), "name one file with `sslcrl` instead"),
    refused("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), "backstay speaks TLS 1.2 and 1.3"),
    refused("sslnegotiation", Some("PGSSLNEGOTIATION"), "backstay asks for TLS in PostgreSQL's own way only"),
    refused("sslpassword", None, "backstay reads client keys without a passphrase only"),
    // TLS 1.2 is the least that we speak, so a lower bound up to it is met; higher ones are checked where read.
    used("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
];

/// The parameter called `name`.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name that `name` was meant to be, if one is near enough to say so.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    const ALIASES: &[(&str, &str)] = &[
        ("database", "dbname"),
        ("db", "dbname"),
        ("username", "user"),
        ("pass", "password"),
        ("passwd", "password"),
        ("hostname", "host"),
        ("server", "host"),
        ("timeout", "connect_timeout"),
        ("ssl_mode", "sslmode"),
        ("sslca", "sslrootcert"),
        ("sslrootca", "sslrootcert"),
        ("schema", "options"),
        ("search_path", "options"),
        ("currentSchema", "options"),
    ];
    if let Some((_, right)) = ALIASES.iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(name)) {
        return Some(right);
    }
    let honoured = KEYS.iter().filter(|key| key.fate == Fate::Used).map(|key| key.name);
    crate::nearest::nearest(name, honoured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_find_the_right_key() {
        assert_eq!(nearest("sslmod"), Some("sslmode"));
        assert_eq!(nearest("ssl_mode"), Some("sslmode"));
        assert_eq!(nearest("usre"), Some("user"));
        assert_eq!(nearest("database"), Some("dbname"));
        assert_eq!(nearest("aplication_name"), Some("application_name"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn no_key_stands_twice() {
        for (n, key) in KEYS.iter().enumerate() {
            assert!(!KEYS[n + 1..].iter().any(|other| other.name == key.name), "{}", key.name);
        }
    }
}
