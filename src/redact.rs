//! Secrets leave this program nowhere (invariant 10).
//!
//! Every secret that is read (a password, a `${NAME}` of the config) is [`register`]ed as it is read;
//! every text that leaves (terminal, JSON, journal, log, report, error) passes through [`redact`],
//! which knows it by value, however it is written on the way: as it is, percent-encoded, escaped for JSON, quoted for
//! SQL, a shell or HTML, each character in its own way if it must be; and as base64 (also in the middle of a longer
//! text: `user:password`) and as hexadecimal digits.
//!
//! What it can't know: a secret that is cut in two before it gets here (a program that writes half of it on one line
//! and half on the next, base64 that is wrapped in it), one that is compressed or hashed, one under four characters, and
//! base64 of one under six. A secret of several lines is known line by line, from sixteen characters on.

mod spelling;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use spelling::Needle;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Shorter values are not masked: masking `a` everywhere hides the text and not the secret.
const SHORTEST: usize = 4;

/// A line of a longer secret that is shorter than this is not known by itself: it may be a bracket.
const SHORTEST_LINE: usize = 16;

static SECRETS: RwLock<Secrets> = RwLock::new(Secrets::new());

/// Remembers `secret`, so that no text shows it from now on. Values under four characters are not masked.
pub fn register(secret: &str) {
    if secret.len() < SHORTEST || SECRETS.read().unwrap_or_else(PoisonError::into_inner).holds(secret) {
        return;
    }
    SECRETS.write().unwrap_or_else(PoisonError::into_inner).add(secret);
}

/// Forgets all secrets: a fuzzer reads more of them in a minute than any process does in its life.
// In tests too, so that it is at least compiled where the fuzz targets are not.
#[cfg(any(test, fuzzing))]
pub fn forget_all() {
    *SECRETS.write().unwrap_or_else(PoisonError::into_inner) = Secrets::new();
}

/// `text` with every registered secret masked.
pub fn redact(text: &str) -> Cow<'_, str> {
    SECRETS.read().unwrap_or_else(PoisonError::into_inner).mask(text)
}

/// Whether `text` shows `secret`, in whatever spelling; for a look at files that are not ours.
pub fn shows(text: &str, secret: &str) -> bool {
    if secret.len() < SHORTEST {
        return false;
    }
    let mut only = Secrets::new();
    only.add(secret);
    matches!(only.mask(text), Cow::Owned(_))
}

/// What is masked, and where to look for it.
struct Secrets {
    known: Vec<String>,
    needles: Vec<Needle>,
    /// For each byte the needles that begin with it.
    beginning: Vec<Vec<u32>>,
}

impl Secrets {
    const fn new() -> Self {
        Self { known: Vec::new(), needles: Vec::new(), beginning: Vec::new() }
    }

    fn holds(&self, secret: &str) -> bool {
        self.known.iter().any(|known| known == secret)
    }

    fn add(&mut self, secret: &str) {
        if self.holds(secret) {
            return;
        }
        self.known.push(secret.to_string());
        self.needles.extend(spelling::needles(secret));
        let lines = secret.lines().map(str::trim).filter(|line| *line != secret);
        for line in lines.filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----")) {
            self.needles.extend(spelling::needles(line));
        }
        self.needles.sort();
        self.needles.dedup();
        self.beginning = vec![Vec::new(); 256];
        for (number, needle) in (0u32..).zip(&self.needles) {
            self.beginning[usize::from(needle.first_byte())].push(number);
        }
    }

    fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for place in found {
            out.push_str(text.get(at..place.start).unwrap_or_default());
            out.push_str(MASK);
            at = place.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// Where secrets stand. Those that overlap are one place: a password inside a URL must not leave the URL's rest
    /// standing, nor one secret the end of another.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.needles.is_empty() {
            return found;
        }
        for at in 0..text.len() {
            let mut longest = None;
            spelling::first_bytes(text, at, |byte| {
                let candidates = self.beginning[usize::from(byte)].iter();
                let ends = candidates.filter_map(|number| self.needles[*number as usize].end_at(text, at));
                longest = longest.max(ends.max());
            });
            let Some(end) = longest else { continue };
            match found.last_mut() {
                Some(before) if at < before.end => before.end = before.end.max(end),
                _ => found.push(at..end),
            }
        }
        found
    }
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

    /// What programs make of a secret, and that nothing of it is left.
    #[test]
    fn what_other_programs_make_of_it_is_masked() {
        const SECRET: &str = "pä'ss \"w\\o/r+d&<$é🔑";
        register(SECRET);
        for written in [
            // python: urllib.parse.quote, quote_plus; JavaScript: encodeURIComponent; lower case, as some servers write it
            "p%C3%A4%27ss%20%22w%5Co/r%2Bd%26%3C%24%C3%A9%F0%9F%94%91",
            "p%C3%A4%27ss+%22w%5Co%2Fr%2Bd%26%3C%24%C3%A9%F0%9F%94%91",
            "p%C3%A4'ss%20%22w%5Co%2Fr%2Bd%26%3C%24%C3%A9%F0%9F%94%91",
            "p%c3%a4%27ss%20%22w%5co%2fr%2bd%26%3c%24%c3%a9%f0%9f%94%91",
            // json.dumps with and without ensure_ascii; PHP escapes the slash; JSON within JSON
            r#"p\u00e4'ss \"w\\o/r+d&<$\u00e9\ud83d\udd11"#,
            r#"pä'ss \"w\\o\/r+d\u0026\u003c$é🔑"#,
            r#"pä'ss \\\"w\\\\o/r+d&<$é🔑"#,
            // an SQL literal, an identifier, an escape string
            "pä''ss \"w\\o/r+d&<$é🔑",
            "pä'ss \"\"w\\o/r+d&<$é🔑",
            r#"pä\'ss "w\\o/r+d&<$é🔑"#,
            // shells: printf %q, python's shlex.quote, double quotes
            r#"pä\'ss\ \"w\\o/r+d\&\<\$é🔑"#,
            r#"pä'\''ss "w\o/r+d&<$é🔑"#,
            r#"pä'"'"'ss "w\o/r+d&<$é🔑"#,
            r#"pä'ss \"w\\o/r+d&<\$é🔑"#,
            // HTML
            "pä&#39;ss &quot;w\\o/r+d&amp;&lt;$é🔑",
            "pä&#x27;ss &#34;w\\o/r+d&amp;&lt;$é🔑",
            // Rust's Debug
            "pä\\'ss \\\"w\\\\o/r+d&<$\\u{e9}\\u{1f511}",
        ] {
            assert_eq!(redact(&format!("<{written}>")), "<***>", "{written}");
        }
    }

    #[test]
    fn base64_is_masked_wherever_it_stands() {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
        const SECRET: &str = "hunter2?>~base64\u{ff}";
        register(SECRET);
        for before in ["", "u", "us", "use", "postgres:", "\u{ff}\u{fe}"] {
            for after in ["", "x", "@host/db", "~~~"] {
                let text = format!("{before}{SECRET}{after}");
                for encoded in [STANDARD.encode(&text), STANDARD_NO_PAD.encode(&text), URL_SAFE.encode(&text)]
                {
                    let shown = redact(&encoded).into_owned();
                    assert!(shown.contains(MASK), "{text}: {shown}");
                    // At most the characters that hold bits of its neighbours too are left.
                    let left = shown.replace(MASK, "").len();
                    let neighbours = (before.len() + after.len()) * 4 / 3 + 7;
                    assert!(left <= neighbours, "{text}: {shown}");
                }
            }
        }
        assert_eq!(redact("\\x68756e746572323f3e7e626173653634c3bf"), "\\x***");
        assert_eq!(redact("68756E746572323F3E7E626173653634C3BF"), "***");
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        register("postgres://u:longpassword@h/d");
        register("longpassword");
        register("overlap-one-two");
        register("two-overlap");
        assert_eq!(redact("x postgres://u:longpassword@h/d y"), "x *** y");
        assert_eq!(redact("overlap-one-two-overlap"), "***");
        assert_eq!(redact("longpasswordlongpassword"), "******");
    }

    #[test]
    fn a_secret_of_several_lines_is_known_line_by_line() {
        register(
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n}\n-----END PRIVATE KEY-----",
        );
        assert_eq!(redact("1 | MIIEvQIBADANBgkqhkiG9w0B"), "1 | ***");
        assert_eq!(
            redact("-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B\\n"),
            "-----BEGIN PRIVATE KEY-----\\n***\\n"
        );
        assert_eq!(redact("} -----BEGIN PRIVATE KEY-----"), "} -----BEGIN PRIVATE KEY-----");
    }

    #[test]
    fn short_values_stay() {
        register("abc");
        assert_eq!(redact("abc"), "abc");
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        register("some-secret-for-plain-texts");
        for text in [
            "", "%", "%4", "100 %", "\\", "\\u12", "&#", "'", "''", "\"\"\"\"", "+", "&amp;", "%zz%C3", "ü\\",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_in_a_text_that_is_not_ours() {
        assert!(shows("DATABASE_URL=postgres://u:p%40ss@h/d\n", "p@ss"));
        assert!(!shows("DATABASE_URL=postgres://u:p@ss@h/d\n", "p@ss-other") && !shows("abc", "abc"));
    }
}
