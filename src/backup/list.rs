//! Which backups an environment has, how to name one, and which may go.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::name::{MANIFEST, Place, prefix_of, time_of_id};
use super::verify::Level;
use crate::store::Store;

/// One backup, as the store's listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupEntry {
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub at: Option<Timestamp>,
    /// Bytes on the store, in all.
    pub bytes: u64,
    /// The highest level to which it was ever proven.
    pub verified: Option<Level>,
}

/// What an environment has on the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    /// Backups, oldest first.
    pub backups: Vec<BackupEntry>,
    /// Objects without a manifest: a backup that is being written now, or one that was interrupted.
    pub incomplete: Vec<BackupEntry>,
}

/// Lists the backups of `environment`; reads no object.
///
/// # Errors
/// If the store refuses.
pub async fn list(store: &dyn Store, environment: &str) -> Result<Listing, BackupError> {
    let prefix = prefix_of(environment);
    let entries = store.list(&prefix).await.map_err(|e| BackupError::store(store, e))?;
    let objects = entries.iter().filter_map(|entry| {
        let (id, object) = entry.name.strip_prefix(&prefix)?.split_once('/')?;
        Some((id, object, entry.bytes))
    });
    Ok(group(objects))
}

fn group<'a>(objects: impl Iterator<Item = (&'a str, &'a str, u64)>) -> Listing {
    let mut found: BTreeMap<&str, (BackupEntry, bool)> = BTreeMap::new();
    for (id, object, bytes) in objects {
        let (entry, complete) = found.entry(id).or_insert_with(|| {
            let entry = BackupEntry { id: id.to_string(), at: time_of_id(id), bytes: 0, verified: None };
            (entry, false)
        });
        entry.bytes += bytes;
        *complete |= object == MANIFEST;
        entry.verified = entry.verified.max(proven(object));
    }
    let (complete, incomplete): (Vec<_>, Vec<_>) = found.into_values().partition(|(_, complete)| *complete);
    Listing {
        backups: complete.into_iter().map(|(entry, _)| entry).collect(),
        incomplete: incomplete.into_iter().map(|(entry, _)| entry).collect(),
    }
}

/// The level that an object's name is the record of.
fn proven(object: &str) -> Option<Level> {
    let rest = object.strip_prefix("verified-")?.strip_suffix(".json")?;
    rest.split_once('-')?.0.parse().ok()
}

/// Finds a backup by its id, a unique prefix of one, or `latest`.
///
/// # Errors
/// [`BackupError::NotFound`] if none or several answer to it; else what the store says.
pub async fn find(store: &dyn Store, environment: &str, wanted: &str) -> Result<Place, BackupError> {
    let listing = list(store, environment).await?;
    let id = choose(&listing, wanted).map_err(|reason| BackupError::NotFound {
        wanted: wanted.to_string(),
        environment: environment.to_string(),
        reason,
    })?;
    Ok(Place { environment: environment.to_string(), id })
}

fn choose(listing: &Listing, wanted: &str) -> Result<String, String> {
    // An id that tells no time is not ours: it can be named, but it is never the latest.
    let named = |entry: &&BackupEntry| wanted != "latest" || entry.at.is_some();
    let ids: Vec<String> = listing.backups.iter().filter(named).map(|entry| entry.id.clone()).collect();
    let interrupted = || listing.incomplete.iter().any(|entry| entry.id.starts_with(wanted));
    match crate::id::pick(&ids, wanted) {
        Ok(_) if wanted.is_empty() => Err("it names none".to_string()),
        Ok(id) => Ok(id.to_string()),
        Err(several) if !several.is_empty() => Err(format!("several begin so: {}", several.join(", "))),
        Err(_) if wanted == "latest" => Err("there is no backup yet".to_string()),
        Err(_) if interrupted() => Err("it was interrupted and has no manifest: it is no backup".to_string()),
        Err(_) => Err("no backup has an id that begins so".to_string()),
    }
}

/// What pruning keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many backups; at least one is kept always.
    pub newest: usize,
    /// And all that are younger than this.
    pub younger_than: Option<Duration>,
    /// And these, which something still needs.
    pub needed: Vec<String>,
    /// Leftovers without a manifest younger than this may be backups that are being written now.
    pub leftovers_younger_than: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            newest: 7,
            younger_than: None,
            needed: Vec::new(),
            leftovers_younger_than: Duration::from_secs(24 * 3600),
        }
    }
}

/// Which backups and leftovers may go. Pure.
///
/// The newest backup stays, and the newest that is proven best: never the last good one.
pub fn to_prune<'a>(listing: &'a Listing, keep: &Keep, now: Timestamp) -> Vec<&'a BackupEntry> {
    let young = |entry: &BackupEntry, than: Duration| match entry.at {
        Some(at) => crate::time::between(at, now) < than,
        // An id that tells no time is not ours: leave it.
        None => true,
    };
    let ours = listing.backups.iter().rev().filter(|entry| entry.at.is_some());
    let newest: Vec<&str> = ours.take(keep.newest.max(1)).map(|entry| entry.id.as_str()).collect();
    let best = listing.backups.iter().max_by_key(|entry| entry.verified).map(|entry| entry.id.as_str());
    let kept = |entry: &&BackupEntry| {
        newest.contains(&entry.id.as_str())
            || best == Some(entry.id.as_str())
            || entry.at.is_none()
            || keep.needed.contains(&entry.id)
            || keep.younger_than.is_some_and(|than| young(entry, than))
    };
    let backups = listing.backups.iter().filter(|entry| !kept(entry));
    let leftovers = listing
        .incomplete
        .iter()
        .filter(|entry| !young(entry, keep.leftovers_younger_than) && !keep.needed.contains(&entry.id));
    backups.chain(leftovers).collect()
}

/// Removes what [`to_prune`] names, or with `dry_run` only names it. The manifest goes first, so that a crash
/// leaves no backup that looks whole.
///
/// # Errors
/// If the store refuses; what was removed by then stays removed.
pub async fn prune(
    store: &dyn Store,
    environment: &str,
    keep: &Keep,
    dry_run: bool,
) -> Result<Vec<BackupEntry>, BackupError> {
    let listing = list(store, environment).await?;
    let going: Vec<BackupEntry> = to_prune(&listing, keep, crate::time::now()).into_iter().cloned().collect();
    if !dry_run {
        for entry in &going {
            remove(store, environment, entry).await?;
        }
    }
    Ok(going)
}

/// Removes one backup, or what is left of one, as [`prune`] does.
///
/// # Errors
/// If the store refuses.
pub async fn remove(store: &dyn Store, environment: &str, entry: &BackupEntry) -> Result<(), BackupError> {
    let place = Place { environment: environment.to_string(), id: entry.id.clone() };
    let refused = |e| BackupError::store(store, e);
    store.delete(&place.object(MANIFEST)).await.map_err(refused)?;
    for entry in store.list(&place.prefix()).await.map_err(refused)? {
        store.delete(&entry.name).await.map_err(refused)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: &[(&str, &str, u64)] = &[
        ("20260101t000000z-aaaa", "manifest.json", 10),
        ("20260101t000000z-aaaa", "verified-read-20260101t000100z.json", 1),
        ("20260101t000000z-aaaa", "verified-restore-20260102t000100z.json", 1),
        ("20260102t000000z-bbbb", "manifest.json", 10),
        ("20260103t000000z-cccc", "data/1.copy.gz", 5),
        ("20260104t000000z-dddd", "data/1.copy.gz", 5),
        ("20260104t000000z-dddd", "manifest.json", 10),
        ("by-hand", "manifest.json", 10),
    ];

    fn listing(objects: &[(&'static str, &'static str, u64)]) -> Listing {
        group(objects.iter().copied())
    }

    fn ids(entries: &[BackupEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn without_a_manifest_there_is_no_backup() {
        let listing = listing(OBJECTS);
        assert_eq!(ids(&listing.incomplete), ["20260103t000000z-cccc"]);
        assert_eq!(listing.backups.len(), 4);
        assert_eq!(listing.backups[0].verified, Some(Level::Restore));
        assert_eq!(listing.backups[0].bytes, 12);
        assert_eq!(listing.backups[2].bytes, 15);
    }

    #[test]
    fn one_is_found_by_what_is_unique() {
        let listing = listing(&OBJECTS[..7]);
        assert_eq!(choose(&listing, "latest").unwrap(), "20260104t000000z-dddd");
        assert_eq!(choose(&listing, "20260102").unwrap(), "20260102t000000z-bbbb");
        assert!(choose(&listing, "2026").unwrap_err().contains("several"));
        assert!(choose(&listing, "20260103").unwrap_err().contains("no manifest"));
        assert!(choose(&listing, "").is_err());
        assert!(choose(&Listing::default(), "latest").is_err());
    }

    #[test]
    fn the_last_good_one_stays() {
        let listing = listing(OBJECTS);
        let now = "2026-01-04T01:00:00Z".parse().unwrap();
        let going = |keep: &Keep| -> Vec<String> {
            to_prune(&listing, keep, now).into_iter().map(|entry| entry.id.clone()).collect()
        };
        let none = Keep { newest: 0, ..Keep::default() };
        // aaaa is proven best, dddd is the newest, by-hand is not ours; cccc is an old leftover.
        assert_eq!(going(&none), ["20260102t000000z-bbbb", "20260103t000000z-cccc"]);
        let younger = Keep { younger_than: Some(Duration::from_secs(26 * 3600)), ..none.clone() };
        assert_eq!(going(&younger), ["20260102t000000z-bbbb", "20260103t000000z-cccc"]);
        let needed = Keep { needed: vec!["20260102t000000z-bbbb".into()], ..younger.clone() };
        assert_eq!(going(&needed), ["20260103t000000z-cccc"]);
        let leftovers = Keep { leftovers_younger_than: Duration::from_secs(48 * 3600), ..needed };
        assert!(going(&leftovers).is_empty());
    }
}
