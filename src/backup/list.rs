//! Which backups an environment has, how to name one, and which may go.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::name::{MANIFEST, Place, prefix_of, time_of_id};
use super::proof::{self, Trial};
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
    /// When it was last proven to that level.
    pub verified_at: Option<Timestamp>,
    /// When it failed a proof that no later one refutes: it is not to be relied on.
    pub damaged_at: Option<Timestamp>,
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

/// What a listing tells of one backup.
#[derive(Default)]
struct Found {
    bytes: u64,
    complete: bool,
    trials: Vec<Trial>,
}

fn group<'a>(objects: impl Iterator<Item = (&'a str, &'a str, u64)>) -> Listing {
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    for (id, object, bytes) in objects {
        let one = found.entry(id).or_default();
        one.bytes = one.bytes.saturating_add(bytes);
        one.complete |= object == MANIFEST;
        one.trials.extend(Trial::of_object(object));
    }
    let mut listing = Listing::default();
    for (id, found) in found {
        let best = proof::best(&found.trials);
        let entry = BackupEntry {
            id: id.to_string(),
            at: time_of_id(id),
            bytes: found.bytes,
            verified: best.map(|trial| trial.level),
            verified_at: best.map(|trial| trial.at),
            damaged_at: proof::damage(&found.trials).map(|trial| trial.at),
        };
        let list = if found.complete { &mut listing.backups } else { &mut listing.incomplete };
        list.push(entry);
    }
    listing
}

/// Finds a backup to rely on by its id, a unique prefix of one, or `latest`.
///
/// # Errors
/// [`BackupError::NotFound`] if none or several answer to it; [`BackupError::Damaged`] if it is to be the
/// latest, and that failed a proof: an older one in its place would be older data, unasked. Else what the
/// store says.
pub async fn find(store: &dyn Store, environment: &str, wanted: &str) -> Result<Place, BackupError> {
    let listing = list(store, environment).await?;
    let place = pick(&listing, environment, wanted)?;
    if wanted == "latest" {
        refuse_damaged(&listing, &place)?;
    }
    Ok(place)
}

/// Finds a backup to look at, as [`find`] does, be it damaged or not.
///
/// # Errors
/// As [`find`].
pub async fn find_any(store: &dyn Store, environment: &str, wanted: &str) -> Result<Place, BackupError> {
    pick(&list(store, environment).await?, environment, wanted)
}

fn pick(listing: &Listing, environment: &str, wanted: &str) -> Result<Place, BackupError> {
    let id = choose(listing, wanted).map_err(|reason| BackupError::NotFound {
        wanted: wanted.to_string(),
        environment: environment.to_string(),
        reason,
    })?;
    Ok(Place { environment: environment.to_string(), id })
}

fn refuse_damaged(listing: &Listing, place: &Place) -> Result<(), BackupError> {
    let damaged = |entry: &&BackupEntry| entry.damaged_at.is_some();
    if !listing.backups.iter().filter(damaged).any(|entry| entry.id == place.id) {
        return Ok(());
    }
    let mut sound = listing.backups.iter().rev().filter(|entry| entry.at.is_some() && !damaged(entry));
    Err(BackupError::Damaged {
        damaged: place.id.clone(),
        environment: place.environment.clone(),
        sound: sound.next().map(|entry| entry.id.clone()),
    })
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
    /// The newest so many backups that failed no proof; at least one is kept always.
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
/// Of those that failed no proof the newest stays, and the newest that is proven best: never the last good
/// one. A damaged one counts for nothing, and goes when its time comes.
pub fn to_prune<'a>(listing: &'a Listing, keep: &Keep, now: Timestamp) -> Vec<&'a BackupEntry> {
    let young = |entry: &BackupEntry, than: Duration| match entry.at {
        Some(at) => crate::time::between(at, now) < than,
        // An id that tells no time is not ours: leave it.
        None => true,
    };
    let sound = || listing.backups.iter().filter(|entry| entry.damaged_at.is_none());
    let newest = sound().rev().filter(|entry| entry.at.is_some()).take(keep.newest.max(1));
    // What is younger than the last of these is one of them, or damaged and not yet of an age to go.
    let since = newest.last().map(|entry| entry.id.as_str());
    let best = sound().max_by_key(|entry| entry.verified).map(|entry| entry.id.as_str());
    let kept = |entry: &&BackupEntry| {
        since.is_none_or(|since| entry.id.as_str() >= since)
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
    remove_all(store, &Place { environment: environment.to_string(), id: entry.id.clone() }).await
}

/// Removes whatever is at a place, the manifest first.
pub(super) async fn remove_all(store: &dyn Store, place: &Place) -> Result<(), BackupError> {
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
    fn a_damaged_one_is_not_relied_on_and_not_the_last_good_one() {
        let good = ("20260104t000000z-dddd", "verified-read-20260104t000100z.json", 1);
        let failed = ("20260104t000000z-dddd", "failed-read-20260105t000000.500z.json", 1);
        let later = ("20260104t000000z-dddd", "verified-restore-20260106t000000z.json", 1);
        let entry = |objects: &[_]| listing(objects).backups[2].clone();
        let damaged = [OBJECTS, &[good, failed]].concat();
        assert_eq!(entry(&damaged).verified, Some(Level::Read));
        assert_eq!(entry(&damaged).damaged_at.unwrap().to_string(), "2026-01-05T00:00:00.5Z");
        assert_eq!(entry(&[damaged.as_slice(), &[later]].concat()).damaged_at, None);

        let listing = listing(&damaged);
        let latest = pick(&listing, "x", "latest").unwrap();
        let refused = refuse_damaged(&listing, &latest).unwrap_err();
        let BackupError::Damaged { sound, .. } = refused else { panic!("{refused}") };
        assert_eq!(sound.unwrap(), "20260102t000000z-bbbb");

        // It counts for nothing: bbbb is the newest good one. Old enough, it goes as any other.
        let now = "2026-02-01T00:00:00Z".parse().unwrap();
        let one = Keep { newest: 1, ..Keep::default() };
        assert_eq!(
            to_prune(&listing, &one, now).iter().map(|e| &*e.id).collect::<Vec<_>>(),
            ["20260103t000000z-cccc"]
        );
        let newer = [&damaged[..], &[("20260107t000000z-eeee", "manifest.json", 1)]].concat();
        let listing = group(newer.into_iter());
        let going: Vec<_> = to_prune(&listing, &one, now).iter().map(|e| &*e.id).collect();
        assert_eq!(going, ["20260102t000000z-bbbb", "20260104t000000z-dddd", "20260103t000000z-cccc"]);
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
