//! Secrets leave this program nowhere (invariant 10).
//!
//! Every secret that is read (a password, a `${NAME}` of the config) is [`register`]ed as it is read;
//! every text that leaves (terminal, JSON, journal, log, report, error) passes through [`redact`],
//! which knows it by value, in the spellings that it takes on the way: as it is, percent-encoded,
//! escaped for JSON.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Shorter values are not masked: masking `a` everywhere hides the text and not the secret.
const SHORTEST: usize = 4;

static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Remembers `secret`, so that no text shows it from now on. Values under four characters are not masked.
pub fn register(secret: &str) {
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for form in spellings(secret) {
        if form.len() >= SHORTEST && !secrets.contains(&form) {
            secrets.push(form);
        }
    }
    // Longest first: a password inside a registered URL must not leave the URL's rest standing.
    secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
}

/// `text` with every registered secret masked.
pub fn redact(text: &str) -> Cow<'_, str> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let mut out = Cow::Borrowed(text);
    for secret in secrets.iter() {
        if out.contains(secret.as_str()) {
            out = Cow::Owned(out.replace(secret.as_str(), MASK));
        }
    }
    out
}

fn spellings(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (b as char).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect();
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_string();
    vec![secret.to_string(), percent.to_lowercase(), percent, json]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_spelling() {
        register("s3cr$t \"q\"/x");
        assert_eq!(redact("a s3cr$t \"q\"/x b"), "a *** b");
        assert_eq!(redact("postgres://u:s3cr%24t%20%22q%22%2Fx@h/d"), "postgres://u:***@h/d");
        assert_eq!(redact(r#"{"p":"s3cr$t \"q\"/x"}"#), r#"{"p":"***"}"#);
    }

    #[test]
    fn the_longer_secret_goes_first() {
        register("postgres://u:longpassword@h/d");
        register("longpassword");
        assert_eq!(redact("x postgres://u:longpassword@h/d y"), "x *** y");
    }

    #[test]
    fn short_values_stay() {
        register("abc");
        assert_eq!(redact("abc"), "abc");
    }
}
