//! A described connection written out again: as a URL for a child, as environment for libpq's programs.

use std::path::PathBuf;
use std::time::Duration;

use super::text::{Dialect, encode, encode_lightly};
use super::values::{ChannelBinding, Endpoint, TargetSession, name_of};
use super::{ConnInfo, keys};

impl ConnInfo {
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
        if !self.endpoints.iter().all(fits_host_part) {
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
        query.extend(self.drivers_own.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        if !pairs.is_empty() {
            url.push('?');
            url.push_str(&pairs.join("&"));
        }
        url
    }

    /// A URL of who, where and which database alone, with the password, and with `scheme` before its `://`: for a
    /// child that may make a URL for another driver of it, or put it where a `%` has a meaning. All the rest is in
    /// [`Self::session_env`], which every driver above libpq reads, and asyncpg as far as TLS goes.
    ///
    /// What was written for a driver alone is kept for that driver. The password, as it is spelled here, is
    /// registered for masking.
    pub fn to_plain_url(&self, scheme: &str) -> String {
        let mut url = format!("{scheme}://{}", encode_lightly(&self.user));
        if let Some(password) = self.password() {
            let spelled = encode_lightly(password.reveal());
            crate::redact::register(&spelled);
            url.push(':');
            url.push_str(&spelled);
        }
        url.push('@');
        let mut query: Vec<(&str, String)> = Vec::new();
        match self.endpoints.as_slice() {
            [one] if fits_host_part(one) => url.push_str(&host_part(one)),
            _ => query.extend([("host", self.host()), ("port", self.ports())]),
        }
        url.push('/');
        url.push_str(&encode_lightly(&self.database));
        if self.scheme.as_deref() == Some(scheme) {
            query.extend(self.drivers_own.iter().map(|(key, value)| (key.as_str(), value.clone())));
        }
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{}={}", encode(key), encode_path(value))).collect();
        if !pairs.is_empty() {
            url.push('?');
            url.push_str(&pairs.join("&"));
        }
        url
    }

    /// What stood before `://`, if it was a URL: `postgresql+asyncpg`.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// [`Self::tool_env`] without who, where and which database: how a session shall be.
    pub fn session_env(&self) -> Vec<(String, String)> {
        const ELSEWHERE: [&str; 7] =
            ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGPASSFILE", "PGGSSENCMODE"];
        let mut env = self.tool_env();
        env.retain(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
        env
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

    /// The timers by which a dead peer is noticed, for a program of libpq: no environment variable has them. Only
    /// numbers; who, where and the password are in [`Self::tool_env`].
    pub fn tool_keepalives(&self) -> String {
        let timers = self.timers();
        format!(
            "keepalives={} keepalives_idle={} keepalives_interval={} keepalives_count={} tcp_user_timeout={}",
            u8::from(timers.keepalives),
            timers.idle.as_secs(),
            timers.interval.as_secs(),
            timers.count,
            timers.user_timeout.as_millis()
        )
    }

    fn ports(&self) -> String {
        self.endpoints.iter().map(|place| place.port.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Every parameter beside who, where and the password that differs from libpq's default.
    fn libpq_parameters(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let differs = |name: &'static str, default: bool| (!default).then(|| name.to_string());
        let seconds = |said: Option<Duration>| said.map(|time| time.as_secs().to_string());
        let keep = self.keepalives;
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
            ("keepalives", keep.off.then(|| "0".to_string())),
            ("keepalives_idle", seconds(keep.idle)),
            ("keepalives_interval", seconds(keep.interval)),
            ("keepalives_count", keep.count.map(|count| count.to_string())),
            ("tcp_user_timeout", keep.user_timeout.map(|time| time.as_millis().to_string())),
        ];
        parameters.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn addresses(&self) -> Option<String> {
        let all: Vec<String> =
            self.endpoints.iter().map(|p| p.address.map(|a| a.to_string()).unwrap_or_default()).collect();
        all.iter().any(|address| !address.is_empty()).then(|| all.join(","))
    }
}

/// A value of a query, where `/` and `,` may stand as they are (RFC 3986, section 3.4).
fn encode_path(value: &str) -> String {
    encode(value).replace("%2F", "/").replace("%2C", ",")
}

/// A socket's folder fits into no host part that every driver reads, nor does what has colons and is no IPv6 address.
fn fits_host_part(place: &Endpoint) -> bool {
    let of_address = |b: u8| b.is_ascii_alphanumeric() || b":.%_-".contains(&b);
    place.socket().is_none() && (!place.host.contains(':') || place.host.bytes().all(of_address))
}

fn host_part(place: &Endpoint) -> String {
    if place.host.contains(':') {
        format!("[{}]:{}", place.host.replace('%', "%25"), place.port)
    } else {
        format!("{}:{}", encode(&place.host), place.port)
    }
}
