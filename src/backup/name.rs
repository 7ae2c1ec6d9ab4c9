//! How backups and their objects are named.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::manifest::Codec;

/// The manifest's name within a backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// DDL before the data.
pub(super) const PRE_DATA: &str = "pre-data.sql.gz";
/// DDL after the data: indexes, constraints, triggers, and the filling of materialized views.
pub(super) const POST_DATA: &str = "post-data.sql.gz";
/// The roles that the database names.
pub(super) const GLOBALS: &str = "globals.sql.gz";
/// Subscriptions, apart, never created by a restore.
pub(super) const SUBSCRIPTIONS: &str = "subscriptions.sql";
/// How to restore without backstay: for people, and as a script.
pub(super) const README: &str = "RESTORE.md";
pub(super) const SCRIPT: &str = "restore.sh";

/// The n-th object of tables' rows.
pub(super) fn data(n: u64, codec: Codec) -> String {
    match codec {
        Codec::Gzip { .. } => format!("data/{n}.copy.gz"),
        Codec::Zstd { .. } => format!("data/{n}.copy.zst"),
    }
}

/// The bytes of large objects, as SQL (that they exist, and whose they are, stands in [`PRE_DATA`]): the n-th
/// part, from 1. The parts are one text: they run in their order, on one session.
pub(super) fn large_object_part(n: u64) -> String {
    format!("large-objects/{n}.sql.gz")
}

/// Whether the object of this name is a part of the large objects.
pub(super) fn is_large_objects(object: &str) -> bool {
    large_object_number(object).is_some()
}

/// Which part of the large objects it is.
pub(super) fn large_object_number(object: &str) -> Option<u64> {
    object.strip_prefix("large-objects/")?.strip_suffix(".sql.gz")?.parse().ok()
}

/// Whether the object of this name carries tables' rows.
pub(super) fn is_data(object: &str) -> bool {
    object.starts_with("data/")
}

/// When the backup of this id was begun, if it is an id of ours.
pub fn time_of_id(id: &str) -> Option<Timestamp> {
    let (time, suffix) = id.split_once('-')?;
    if suffix.is_empty() || !suffix.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let at = jiff::civil::DateTime::strptime("%Y%m%dt%H%M%Sz", time).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

/// Where one backup stands on the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The environment's name.
    pub environment: String,
    /// The backup's id.
    pub id: String,
}

impl Place {
    /// A place for a new backup of `environment`, with a fresh [`crate::id`].
    pub fn fresh(environment: &str) -> Self {
        Self { environment: environment.to_string(), id: crate::id::fresh(crate::time::now()) }
    }

    /// The prefix of all its objects, with the last slash.
    pub fn prefix(&self) -> String {
        format!("{}{}/", prefix_of(&self.environment), self.id)
    }

    /// The full name of one of its objects.
    pub fn object(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }
}

/// The prefix of all backups of an environment, with the last slash.
pub(super) fn prefix_of(environment: &str) -> String {
    format!("backups/{environment}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_time_and_sorts_by_it() {
        let id = Place::fresh("x").id;
        let at = time_of_id(&id).unwrap();
        assert!((crate::time::now().as_second() - at.as_second()).abs() <= 2, "{id}");
        assert_eq!(time_of_id("20261120t230205z-k3f9").unwrap().to_string(), "2026-11-20T23:02:05Z");
        assert!(*"20261120t230205z-zzzz" < *"20261120t230206z-aaaa");
    }

    #[test]
    fn parts_of_large_objects_are_numbered() {
        assert_eq!(large_object_number(&large_object_part(12)), Some(12));
        for other in ["data/1.copy.gz", "large-objects/x.sql.gz", "large-objects/1.sql", "pre-data.sql.gz"] {
            assert!(!is_large_objects(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_id_has_no_time() {
        for text in ["", "latest", "20261120t230205z", "20261120t230205z-", "20261320t230205z-abcd", "x-y"] {
            assert_eq!(time_of_id(text), None, "{text}");
        }
    }
}
