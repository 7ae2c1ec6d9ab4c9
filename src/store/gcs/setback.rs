//! One request that failed: of which kind, and what was said, without addresses and without secrets.

use std::error::Error;
use std::time::Duration;

use google_cloud_auth::errors::CredentialsError;

/// How one try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setback {
    pub kind: Kind,
    /// What the service or the system said.
    pub said: String,
}

/// The kinds that are dealt with differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 412: the object is there.
    Precondition,
    /// 404: there is no such object.
    NoObject,
    /// 404: there is no such bucket.
    NoBucket,
    /// No credentials could be had; whether that may pass.
    NoCredentials { passes: bool },
    /// 401: the credentials were not taken.
    Unauthenticated,
    /// 403.
    Denied,
    /// The service is busy, ill or limits us: 408, 429, 5xx; 410 ends an upload session.
    Busy,
    /// The connection was not made, broke, or was silent.
    Broken,
    /// Bytes were changed or lost on the way.
    Garbled,
    /// Anything else.
    Refused,
}

/// Nobody reads more of an answer than this, in characters.
const LONGEST: usize = 300;

impl Setback {
    /// Whether the same request may succeed a little later (Cloud Storage's documentation, "Retry strategy").
    pub fn passes(&self) -> bool {
        match self.kind {
            Kind::Busy | Kind::Broken | Kind::Garbled => true,
            Kind::NoCredentials { passes } => passes,
            _ => false,
        }
    }

    pub fn new(kind: Kind, said: impl Into<String>) -> Self {
        Self { kind, said: said.into() }
    }

    /// Nothing came for so long.
    pub fn silent(bound: Duration) -> Self {
        Self::new(Kind::Broken, format!("no answer within {:.1} s", bound.as_secs_f64()))
    }

    /// It came, but not to its end for so long.
    pub fn slow(bound: Duration) -> Self {
        Self::new(
            Kind::Broken,
            format!("the answer had not come to its end after {:.1} s", bound.as_secs_f64()),
        )
    }

    /// An answer that is no success, with its body.
    pub fn answered(status: u16, body: &[u8]) -> Self {
        let message = message(body);
        let says = |word: &str| message.to_ascii_lowercase().contains(word);
        let kind = match status {
            // A proof that bytes were changed on the way up: the service kept nothing.
            400 if says("crc32c") || says("md5") || says("checksum") => Kind::Garbled,
            401 => Kind::Unauthenticated,
            403 => Kind::Denied,
            404 if says("bucket does not exist") || says("bucket was not found") => Kind::NoBucket,
            404 => Kind::NoObject,
            412 => Kind::Precondition,
            408 | 410 | 429 | 500..=599 => Kind::Busy,
            _ => Kind::Refused,
        };
        let said = match message.as_str() {
            "" => format!("the service answered {status}"),
            message => format!("the service answered {status} ({message})"),
        };
        Self { kind, said }
    }
}

impl From<google_cloud_storage::Error> for Setback {
    fn from(error: google_cloud_storage::Error) -> Self {
        if let Some(code) = error.http_status_code() {
            // Of a body in the API's form the crate keeps the message, of any other the body.
            return match (error.status(), error.http_payload()) {
                (Some(status), _) => Self::answered(code, status.message.as_bytes()),
                (None, body) => Self::answered(code, body.map_or(&[][..], |body| body)),
            };
        }
        // Looked for first: where an upload session is begun, the crate hides it in an error of another kind.
        if let Some(credentials) = find::<CredentialsError>(&error) {
            return credentials.into();
        }
        if error.is_connect() {
            return Self::new(Kind::Broken, format!("could not connect: {}", innermost(&error)));
        }
        if error.is_timeout() || error.is_io() || error.is_transport() {
            return Self::new(Kind::Broken, format!("the connection broke: {}", innermost(&error)));
        }
        // A good status, and then a body that broke off: whether it was read as JSON is no matter.
        if find::<reqwest::Error>(&error).is_some() && find::<serde_json::Error>(&error).is_none() {
            return Self::new(Kind::Broken, format!("the connection broke: {}", innermost(&error)));
        }
        Self::new(Kind::Refused, format!("the answer was not understood: {}", innermost(&error)))
    }
}

impl From<reqwest::Error> for Setback {
    fn from(error: reqwest::Error) -> Self {
        let verb = if error.is_connect() { "could not connect" } else { "the connection broke" };
        Self::new(Kind::Broken, format!("{verb}: {}", innermost(&error)))
    }
}

impl From<&CredentialsError> for Setback {
    fn from(error: &CredentialsError) -> Self {
        Self::new(Kind::NoCredentials { passes: error.is_transient() }, why_no_credentials(error))
    }
}

/// The crate wraps its errors in each other; the innermost of them says what was refused, and below it stands
/// what the system said.
fn why_no_credentials(error: &CredentialsError) -> String {
    let mut words = String::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            words = line(&error.to_string());
            // What the crate thinks of another try is not what we do.
            for opinion in [" but future attempts may succeed", " and future attempts will not succeed"] {
                words = words.strip_suffix(opinion).map(str::to_string).unwrap_or(words);
            }
        }
        next = error.source();
    }
    let system = innermost(error);
    if system.starts_with(&words) { words } else { format!("{words}: {system}") }
}

/// The words at the bottom of the chain: what the system said. `reqwest`'s own words hold the whole address
/// (and with it the key of an upload session), so they are left out.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut words = String::from("the request failed");
    let mut next = Some(error);
    while let Some(error) = next {
        if !error.is::<reqwest::Error>() && !error.is::<google_cloud_storage::Error>() {
            words = line(&error.to_string());
        }
        next = error.source();
    }
    words
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The message of an error's body: of the JSON API's form, or plain text. A page of HTML says nothing.
fn message(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) {
        return json.pointer("/error/message").and_then(|m| m.as_str()).map(line).unwrap_or_default();
    }
    if text.trim_start().starts_with('<') { String::new() } else { line(&text) }
}

/// `text` as one bounded line.
fn line(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        for (status, body, kind, passes) in [
            (401, "Invalid Credentials", Kind::Unauthenticated, false),
            (403, "x does not have storage.objects.get access", Kind::Denied, false),
            (404, "No such object: b/o", Kind::NoObject, false),
            (404, "The specified bucket does not exist.", Kind::NoBucket, false),
            (
                412,
                "At least one of the pre-conditions you specified did not hold.",
                Kind::Precondition,
                false,
            ),
            (400, "Provided CRC32C \"x\" doesn't match calculated CRC32C \"y\".", Kind::Garbled, true),
            (400, "Invalid argument.", Kind::Refused, false),
            (408, "", Kind::Busy, true),
            (429, "The rate of change requests to the object exceeds the rate limit.", Kind::Busy, true),
            (500, "", Kind::Busy, true),
            (503, "<html>We're sorry</html>", Kind::Busy, true),
            (302, "", Kind::Refused, false),
        ] {
            let setback = Setback::answered(status, body.as_bytes());
            assert_eq!((setback.kind, setback.passes()), (kind, passes), "{status} {body}");
        }
    }

    #[test]
    fn a_body_is_read_as_the_json_api_writes_it() {
        let body = br#"{"error": {"code": 403, "message": "robot does not have\n  storage.objects.get access", "errors": []}}"#;
        let said = Setback::answered(403, body).said;
        assert_eq!(said, "the service answered 403 (robot does not have storage.objects.get access)");
        assert_eq!(Setback::answered(502, b"<html>").said, "the service answered 502");
        assert_eq!(Setback::answered(500, b"{}").said, "the service answered 500");
        assert!(Setback::answered(500, &[b'x'; 9000]).said.len() < 400);
        assert!(!Setback::answered(500, &[0xff, 0xfe]).said.is_empty());
    }

    #[tokio::test]
    async fn an_address_is_never_said() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let error = reqwest::get("http://127.0.0.1:1/o?upload_id=secret").await.unwrap_err();
        assert!(error.to_string().contains("secret"));
        let setback = Setback::from(error);
        assert_eq!(setback.kind, Kind::Broken);
        assert!(setback.said.starts_with("could not connect: "), "{}", setback.said);
        assert!(!setback.said.contains("secret"), "{}", setback.said);
    }
}
