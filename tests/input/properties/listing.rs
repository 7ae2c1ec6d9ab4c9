//! Whatever objects lie on the store, a listing of its backups and runs is made of them, and pruning never takes the
//! last good backup.
//!
//! An input is the objects' names, one a line, below the backups of one environment; a number behind a name is its size.

use std::time::Duration;

use backstay::backup::list::{Keep, Listing, to_prune};
use backstay::backup::{BackupEntry, Place, find, find_any, list, proof};
use backstay::journal;

use super::memory::{Memory, at_once};

const ENVIRONMENT: &str = "production";

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut store = Memory::default();
    for line in text.lines() {
        let (name, size) = line.split_once(' ').unwrap_or((line, ""));
        for name in [format!("backups/{ENVIRONMENT}/{name}"), format!("runs/{name}")] {
            store.sizes.insert(name.clone(), size.parse().unwrap_or(1));
            store.objects.insert(name, Vec::new());
        }
    }
    let runs = at_once(journal::runs(&store)).expect("a store in memory");
    assert!(runs.iter().all(|run| !run.contains('/')));
    let listing = at_once(list(&store, ENVIRONMENT)).expect("a store in memory");
    assert!(listing.backups.is_sorted_by(|one, next| one.id < next.id));
    for entry in listing.backups.iter().chain(&listing.incomplete) {
        is_told_by_its_names(&store, entry);
    }
    is_found(&store, &listing);
    for (newest, hours) in [(0, 0), (1, 24), (3, 24 * 365), (usize::MAX, u64::MAX / 7200)] {
        keeps_the_last_good_one(&listing, newest, Duration::from_secs(hours * 3600));
    }
}

fn is_told_by_its_names(store: &Memory, entry: &BackupEntry) {
    let place = Place { environment: ENVIRONMENT.to_string(), id: entry.id.clone() };
    let trials = at_once(proof::trials(store, &place)).expect("a store in memory");
    assert!(trials.is_sorted_by_key(|trial| trial.at));
    assert_eq!(entry.verified.is_some(), trials.iter().any(|trial| trial.held));
    assert_eq!(entry.damaged_at, proof::damage(&trials).map(|trial| trial.at));
}

fn is_found(store: &Memory, listing: &Listing) {
    let ids: Vec<&str> = listing.backups.iter().map(|entry| entry.id.as_str()).collect();
    for id in &ids {
        let found = at_once(find_any(store, ENVIRONMENT, id));
        assert!(id.is_empty() || found.is_ok_and(|place| place.id == *id) || *id == "latest", "{id:?}");
    }
    if let Ok(latest) = at_once(find(store, ENVIRONMENT, "latest")) {
        let entry = listing.backups.iter().find(|entry| entry.id == latest.id).expect("one of the backups");
        assert!(entry.at.is_some() && entry.damaged_at.is_none());
    }
}

fn keeps_the_last_good_one(listing: &Listing, newest: usize, leftovers_younger_than: Duration) {
    let needed = listing.backups.first().map(|entry| entry.id.clone());
    let keep =
        Keep { newest, needed: needed.into_iter().collect(), leftovers_younger_than, ..Keep::default() };
    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
    let going = to_prune(listing, &keep, now);
    let goes = |entry: &BackupEntry| going.iter().any(|gone| gone.id == entry.id);
    let ours = || listing.backups.iter().filter(|entry| entry.at.is_some());
    let sound: Vec<_> = ours().filter(|entry| entry.damaged_at.is_none()).collect();
    assert!(!sound.last().is_some_and(|newest| goes(newest)), "the newest good one goes");
    let best = sound.iter().map(|entry| entry.verified).max();
    assert!(
        sound.is_empty() || sound.iter().any(|e| Some(e.verified) == best && !goes(e)),
        "the best one goes"
    );
    assert!(!listing.backups.first().is_some_and(goes), "one that is needed goes");
    assert!(going.iter().all(|entry| entry.at.is_some()), "one that is not ours goes");
}
