//! Reads what a user wrote: connection URLs and key=value strings (PostgreSQL manual 34.1.1). Pure.
//!
//! Where libpq guesses, this refuses: an `@` in a host or in the path means that the password was not
//! escaped, and guessing would connect somewhere else with a piece of it.

use std::collections::BTreeMap;

use super::error::Problem;
use super::keys::{self, Fate};

/// Which driver a URL is written for; a URL for a child is written for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Dialect {
    /// libpq itself, psycopg and everything that passes parameters on to libpq.
    #[default]
    Libpq,
    /// asyncpg under SQLAlchemy: `ssl=` in place of `sslmode=`, and no libpq parameters.
    Asyncpg,
    /// pg8000 under SQLAlchemy: no parameters.
    Pg8000,
}

/// What was written, before any default.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Written {
    /// The scheme of a URL as the user wrote it: `postgresql+asyncpg`.
    pub scheme: Option<String>,
    /// Whom it is written for.
    pub dialect: Dialect,
    /// Parameter names and values, decoded.
    pub values: BTreeMap<&'static str, String>,
    /// Parameters of a driver that is not libpq: nothing to us, and passed on to a child.
    pub drivers_own: Vec<(String, String)>,
}

/// Reads `text`.
pub(super) fn read(text: &str) -> Result<Written, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.starts_with(['"', '\'', '`']) {
        return Err(Problem::Quoted);
    }
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(|c: char| c == '=' || c.is_whitespace()) => {
            let dialect = dialect_of(scheme)?;
            let mut written = Written { scheme: Some(scheme.to_string()), dialect, ..Written::default() };
            read_url(rest, &mut written)?;
            Ok(written)
        }
        _ if text.contains('=') => Ok(Written { values: read_pairs(text)?, ..Written::default() }),
        _ => Err(Problem::Shape),
    }
}

fn dialect_of(scheme: &str) -> Result<Dialect, Problem> {
    // Text before `://` that looks like no scheme may be anything, a password too: it is not shown.
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    if scheme.len() > 32 || !scheme.chars().all(plain) {
        return Err(Problem::Shape);
    }
    let (base, driver) = scheme.split_once('+').map_or((scheme, None), |(base, driver)| (base, Some(driver)));
    if base != "postgres" && base != "postgresql" {
        return Err(Problem::Scheme { scheme: scheme.to_string() });
    }
    match driver {
        None | Some("psycopg" | "psycopg2" | "psycopg_async" | "psycopg2cffi") => Ok(Dialect::Libpq),
        Some("asyncpg") => Ok(Dialect::Asyncpg),
        Some("pg8000") => Ok(Dialect::Pg8000),
        Some(driver) => Err(Problem::Driver { driver: driver.to_string() }),
    }
}

/// Reads what stands after `://`.
fn read_url(rest: &str, written: &mut Written) -> Result<(), Problem> {
    // As libpq: credentials end at the first `@`, if it comes before the first `/`.
    let (credentials, place) = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    };
    let mut read = || {
        if let Some(credentials) = credentials {
            read_credentials(credentials, &mut written.values)?;
        }
        read_place(place, written)
    };
    // An `@` further on explains whatever went wrong, and no piece of the text may be shown then.
    let stray = place.contains('@');
    read().map_err(|problem| if stray { Problem::Unescaped } else { problem })
}

fn read_credentials(text: &str, values: &mut BTreeMap<&'static str, String>) -> Result<(), Problem> {
    let (user, password) = text.split_once(':').map_or((text, ""), |(user, password)| (user, password));
    store(values, "user", decode(user, "user name")?);
    store(values, "password", decode(password, "password")?);
    Ok(())
}

fn read_place(text: &str, written: &mut Written) -> Result<(), Problem> {
    let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
    let (hosts, database) = split_path(place);
    if hosts.contains('@') || database.contains('@') {
        return Err(Problem::Unescaped);
    }
    read_hosts(hosts, &mut written.values)?;
    store(&mut written.values, "dbname", decode(database, "database name")?);
    query.map_or(Ok(()), |query| read_query(query, written))
}

fn split_path(place: &str) -> (&str, &str) {
    place.split_once('/').unwrap_or((place, ""))
}

fn read_hosts(text: &str, values: &mut BTreeMap<&'static str, String>) -> Result<(), Problem> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in text.split(',') {
        let (host, port) = match one.strip_prefix('[') {
            Some(inner) => {
                let (address, after) = inner.split_once(']').ok_or(Problem::Bracket)?;
                if address.is_empty() || !(after.is_empty() || after.starts_with(':')) {
                    return Err(Problem::Bracket);
                }
                (address, after.trim_start_matches(':'))
            }
            None => one.split_once(':').unwrap_or((one, "")),
        };
        // Not shown: with a password that was not escaped, the "port" is a piece of it.
        if !port.chars().all(|c| c.is_ascii_digit()) {
            return Err(port_expected("port"));
        }
        hosts.push(decode(host, "host name")?);
        ports.push(port.to_string());
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        values.insert("host", hosts.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        values.insert("port", ports.join(","));
    }
    Ok(())
}

pub(super) fn port_expected(name: &'static str) -> Problem {
    Problem::Value { name, expected: "a number from 1 to 65535".into() }
}

fn read_query(query: &str, written: &mut Written) -> Result<(), Problem> {
    let values = &mut written.values;
    let mut hosts: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(Problem::Query)?;
        if value.contains('=') {
            return Err(Problem::Query);
        }
        let key = decode(key, "name of a parameter")?;
        let value = decode(value, "value of a parameter")?;
        match key.as_str() {
            "ssl" => drop(values.insert("sslmode", ssl_as_sslmode(&value))),
            // SQLAlchemy writes several hosts as several parameters, each with its port.
            "host" if query_has_several_hosts(query) => hosts.push(value),
            _ if written.dialect != Dialect::Libpq && keys::find(&key).is_none() => {
                written.drivers_own.push((key, value));
            }
            _ => drop(values.insert(accept(&key, true)?, value)),
        }
    }
    if !hosts.is_empty() {
        let parts: Vec<(&str, &str)> =
            hosts.iter().map(|host| host.rsplit_once(':').unwrap_or((host, ""))).collect();
        values.insert("host", parts.iter().map(|part| part.0).collect::<Vec<_>>().join(","));
        values.insert("port", parts.iter().map(|part| part.1).collect::<Vec<_>>().join(","));
    }
    Ok(())
}

fn query_has_several_hosts(query: &str) -> bool {
    query.split('&').filter(|pair| pair.starts_with("host=")).count() > 1
}

/// JDBC's and asyncpg's `ssl=`.
fn ssl_as_sslmode(value: &str) -> String {
    match value {
        "true" | "True" => "require".into(),
        "false" | "False" => "disable".into(),
        mode => mode.into(),
    }
}

/// Reads `key = value key='value with spaces'`.
fn read_pairs(text: &str) -> Result<BTreeMap<&'static str, String>, Problem> {
    let mut values = BTreeMap::new();
    let mut rest = text.trim_start();
    let mut word = 0;
    while !rest.is_empty() {
        word += 1;
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let after = after.trim_start().strip_prefix('=').ok_or(Problem::NoEquals { word })?;
        // Past an unquoted password every word may be a piece of it.
        let key = accept(key, !values.contains_key("password"))?;
        let (value, after) = read_value(after.trim_start(), key)?;
        if value.contains('\0') {
            return Err(Problem::NotText { part: "value of a parameter" });
        }
        values.insert(key, value);
        rest = after.trim_start();
    }
    Ok(values)
}

/// One value, quoted or not, and what stands after it.
fn read_value<'t>(text: &'t str, key: &'static str) -> Result<(String, &'t str), Problem> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &text[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err(Problem::OpenQuote { key }) } else { Ok((value, "")) }
}

/// The known parameter `name`; `shown` says whether an error may repeat it.
fn accept(name: &str, shown: bool) -> Result<&'static str, Problem> {
    let Some(key) = keys::find(name) else {
        let nearest = keys::nearest(name);
        let key = (shown && name.chars().count() <= 63).then(|| name.to_string());
        return Err(Problem::UnknownKey { key, nearest });
    };
    match key.fate {
        Fate::Used | Fate::Ignored => Ok(key.name),
        Fate::Refused(why) => Err(Problem::Unsupported { name: key.name, why }),
    }
}

fn store(values: &mut BTreeMap<&'static str, String>, key: &'static str, value: String) {
    if !value.is_empty() {
        values.insert(key, value);
    }
}

/// Percent-decodes; `part` is what an error calls the text.
fn decode(text: &str, part: &'static str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = after.get(..2).ok_or(Problem::Percent)?;
            let digits = std::str::from_utf8(digits).map_err(|_| Problem::Percent)?;
            if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(Problem::Percent);
            }
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| Problem::Percent)?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    if bytes.contains(&0) {
        return Err(Problem::NotText { part });
    }
    String::from_utf8(bytes).map_err(|_| Problem::NotText { part })
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(super) fn encode(text: &str) -> String {
    encode_except(text, b"-._~")
}

/// As [`encode`], but leaves what may stand in a user's name, a password or a path as it is (RFC 3986, section
/// 3.2.1), all but `+`, which some readers take for a blank.
pub(super) fn encode_lightly(text: &str) -> String {
    encode_except(text, b"-._~!$&'()*,;=")
}

fn encode_except(text: &str, plain: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
