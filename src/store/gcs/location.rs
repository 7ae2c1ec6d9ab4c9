//! `gs://bucket/prefix`: which bucket, and what all names in it begin with.

use std::fmt;

/// A bucket, and the folder in it that the store lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    bucket: String,
    /// Without a slash at its end; empty for the whole bucket.
    prefix: String,
}

/// Why a URL names no place in Cloud Storage. Reads as a sentence of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// It begins with something else than `gs://`.
    #[error("it does not begin with gs://")]
    Scheme,
    /// The bucket's name can't be one.
    #[error(
        "a bucket's name has 3 to 222 small letters, digits, `-`, `_` and `.`, and begins and ends with a letter or \
         a digit"
    )]
    Bucket,
    /// The prefix has parts that no object of a store has.
    #[error(
        "behind the bucket, a path has parts of letters, digits, `.`, `_` and `-` that begin with no `.`"
    )]
    Prefix,
}

impl Location {
    /// Reads `gs://bucket` or `gs://bucket/prefix`; a slash at the end means nothing.
    ///
    /// # Errors
    /// If the URL has another form, or names that Cloud Storage or a store does not take (Cloud Storage's
    /// documentation, "About Cloud Storage buckets").
    pub fn parse(url: &str) -> Result<Self, BadLocation> {
        let path = url.strip_prefix("gs://").ok_or(BadLocation::Scheme)?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !is_bucket(bucket) {
            return Err(BadLocation::Bucket);
        }
        if !prefix.is_empty() && !crate::store::is_name(prefix) {
            return Err(BadLocation::Prefix);
        }
        Ok(Self { bucket: bucket.to_string(), prefix: prefix.to_string() })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The name that the store's object `name` (or prefix of names) has in the bucket.
    pub(super) fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}/{name}", self.prefix) }
    }

    /// The store's name of the bucket's object `full`, if it is below the prefix.
    pub(super) fn own<'a>(&self, full: &'a str) -> Option<&'a str> {
        if self.prefix.is_empty() {
            return Some(full);
        }
        full.strip_prefix(self.prefix.as_str())?.strip_prefix('/')
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gs://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

fn is_bucket(name: &str) -> bool {
    let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    (3..=222).contains(&bytes.len())
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones_read_back() {
        for (url, shown) in [
            ("gs://acme-backups", "gs://acme-backups"),
            ("gs://acme-backups/", "gs://acme-backups"),
            ("gs://acme.example.com/shop/production", "gs://acme.example.com/shop/production"),
            ("gs://a_1/x/", "gs://a_1/x"),
        ] {
            assert_eq!(Location::parse(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn names_go_in_and_out() {
        let whole = Location::parse("gs://bucket").unwrap();
        assert_eq!((whole.full("runs/r").as_str(), whole.own("runs/r")), ("runs/r", Some("runs/r")));
        let part = Location::parse("gs://bucket/a/b").unwrap();
        assert_eq!((part.full("runs/r").as_str(), part.own("a/b/runs/r")), ("a/b/runs/r", Some("runs/r")));
        assert_eq!(part.own("a/bc/runs/r"), None);
        assert_eq!(part.full(""), "a/b/");
    }

    #[test]
    fn bad_ones_are_refused() {
        use BadLocation::*;
        for (url, why) in [
            ("s3://bucket", Scheme),
            ("gs:/bucket", Scheme),
            ("gs://", Bucket),
            ("gs:///prefix", Bucket),
            ("gs://ab", Bucket),
            ("gs://Bucket", Bucket),
            ("gs://-bucket", Bucket),
            ("gs://bucket-", Bucket),
            ("gs://user@bucket", Bucket),
            ("gs://bücket", Bucket),
            ("gs://bucket?x=1", Bucket),
            ("gs://bucket//x", Prefix),
            ("gs://bucket/x//", Prefix),
            ("gs://bucket/../x", Prefix),
            ("gs://bucket/.x", Prefix),
            ("gs://bucket/a b", Prefix),
            ("gs://bucket/a#b", Prefix),
        ] {
            assert_eq!(Location::parse(url), Err(why), "{url}");
        }
    }
}
