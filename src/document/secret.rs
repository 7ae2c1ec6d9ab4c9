//! What is a secret: by the name it goes by, or by being the password of a URL.

use std::ops::Range;

use crate::redact;

/// Parts of a name that make what it names a secret, wherever they stand in it.
const TELLING: [&str; 8] =
    ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY", "AUTHORIZATION"];
/// Words that do so only as a whole word of the name: `KEYBOARD` is none.
const TELLING_WORDS: [&str; 7] = ["KEY", "PASS", "PWD", "DSN", "COOKIE", "AUTH", "BEARER"];
/// Last words of names whose values are plainly no secret. Masked, they would blind every message:
/// "could not connect to *** on ***".
const PLAIN: [&str; 25] = [
    "HOST",
    "HOSTNAME",
    "PORT",
    "USER",
    "USERNAME",
    "NAME",
    "DATABASE",
    "DB",
    "SCHEMA",
    "DIR",
    "DIRECTORY",
    "FOLDER",
    "PATH",
    "FILE",
    "FLAG",
    "DISK",
    "STORE",
    "BUCKET",
    "REGION",
    "ZONE",
    "ENV",
    "ENVIRONMENT",
    "STAGE",
    "VERSION",
    "SERVICE",
];

/// Whether what goes by `name` (a variable, a key, a header) is a secret.
pub(crate) fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // The working directory, which every shell exports.
    if name == "PWD" || name == "OLDPWD" {
        return false;
    }
    TELLING.iter().any(|part| name.contains(part)) || words(&name).any(|w| TELLING_WORDS.contains(&w))
}

/// Registers the value of a variable, if it is one to hide: by its name, or a URL that lets someone in.
/// With `all`, any value is hidden unless its name plainly names no secret.
pub(crate) fn register_variable(name: &str, value: &str, all: bool) {
    let passwords = passwords(value);
    for place in &passwords {
        redact::register(&value[place.clone()]);
        redact::register(&decode_percent(&value[place.clone()]));
    }
    if is_telling(name) || !passwords.is_empty() || (all && !is_plain(name, value)) {
        redact::register(value);
    }
}

/// Registers what a literal of a file gives away.
pub(crate) fn register_literal(key: &str, value: &str) {
    for place in passwords(value) {
        redact::register(&value[place.clone()]);
        redact::register(&decode_percent(&value[place]));
    }
    if is_telling(key) {
        redact::register(value);
        // `Authorization: Bearer …`: the credential alone is a secret too.
        if let Some((_, credential)) = value.split_once(' ') {
            redact::register(credential);
        }
    }
}

/// The passwords in a connection string: of a URL, or of libpq's `key=value` form.
pub(crate) fn passwords(text: &str) -> Vec<Range<usize>> {
    match url_password(text) {
        Some(place) => vec![place],
        None => super::mask::values_of_telling_keys(text),
    }
}

/// The passwords in a connection string, as they are meant.
pub(crate) fn passwords_in(text: &str) -> Vec<String> {
    passwords(text).into_iter().map(|place| decode_percent(&text[place])).collect()
}

/// The password of `scheme://user:password@host`. It ends at the *last* `@`: people forget to encode
/// theirs, and too much masked is better than too little.
pub(crate) fn url_password(url: &str) -> Option<Range<usize>> {
    let start = url.find("://")? + 3;
    let end = match url[start..].rfind('@') {
        Some(at) => start + at,
        // No host follows. What is no port either may be a password that lost its end.
        None => start + url[start..].find(['/', '?', '#']).unwrap_or(url.len() - start),
    };
    let password = start + url[start..end].find(':')? + 1..end;
    let port = end == url.len() || !url[end..].starts_with('@');
    let harmless =
        port && (url[start..].starts_with('[') || url[password.clone()].bytes().all(|b| b.is_ascii_digit()));
    (!password.is_empty() && !harmless).then_some(password)
}

fn is_plain(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let last = words(&name).last().unwrap_or_default();
    // A path leads to a secret at most. An address without user or query lets nobody in; in PostgreSQL's, without a password (elsewhere a
    // user alone may be a token).
    let address = value.contains("://") && (value.starts_with("postgres") || !value.contains(['@', '?']));
    PLAIN.contains(&last) || address || value.starts_with('/')
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty())
}

fn decode_percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets() {
        for name in
            ["API_KEY", "db.password", "PGPASSWORD", "X-Api-Key", "Authorization", "SENTRY_DSN", "DB_PASS"]
        {
            assert!(is_telling(name), "{name}");
        }
        for name in ["foreign_keys", "PWD", "KEYBOARD", "url", "directory", "PASSENGERS", "compass"] {
            assert!(!is_telling(name), "{name}");
        }
    }

    #[test]
    fn passwords_of_urls_are_found() {
        let of = |url: &str| url_password(url).map(|place| url[place].to_string());
        assert_eq!(of("postgres://u:p@h/d").as_deref(), Some("p"));
        assert_eq!(of("postgres://u:p@ss@h/d").as_deref(), Some("p@ss"));
        assert_eq!(of("postgres://u:a/b?c#d@h/d").as_deref(), Some("a/b?c#d"));
        assert_eq!(of("postgres://u:cut-off").as_deref(), Some("cut-off"));
        for url in [
            "http://[::1]:8000/x",
            "postgres://u@h/d",
            "postgres://h:5432/d",
            "http://127.0.0.1:8000/x",
            "postgres://u:@h/d",
            "text",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn passwords_of_key_value_strings_are_found() {
        let text = "host=h password='s p' user=u";
        assert_eq!(passwords(text).into_iter().map(|p| &text[p]).collect::<Vec<_>>(), ["s p"]);
    }

    #[test]
    fn a_variable_is_hidden_unless_plain() {
        register_variable("SOME_THING_ODD", "odd-value-1", true);
        register_variable("SECRET_DB_NAME", "odd-value-2", false);
        register_variable("PGDATABASE", "plain-value-3", false);
        register_variable("APP_HOST", "plain-value-4", true);
        register_variable("HEALTH_URL", "http://plain-value-5:80/h", true);
        register_variable("OPEN_URL", "postgres://plain-value-8@h/d?sslmode=require", true);
        register_variable("HOOK_URL", "http://h/odd-value-6?sig=x", true);
        register_variable("MAIN_URL", "postgres://u:odd%2Dvalue%2D7@h/d", false);
        let shown = redact::redact(
            "odd-value-1 odd-value-2 plain-value-3 plain-value-4 http://plain-value-5:80/h \
             postgres://plain-value-8@h/d?sslmode=require http://h/odd-value-6?sig=x odd-value-7 odd%2Dvalue%2D7",
        )
        .into_owned();
        assert_eq!(
            shown,
            "*** *** plain-value-3 plain-value-4 http://plain-value-5:80/h \
             postgres://plain-value-8@h/d?sslmode=require *** *** ***"
        );
    }
}
