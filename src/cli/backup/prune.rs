//! `backup prune`.

use serde_json::json;

use super::Prune;
use super::show::age;
use crate::backup::list::{Keep, Listing, remove, to_prune};
use crate::backup::{self, BackupEntry};
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::engine::begin;
use crate::failure::{Failure, Verdict};
use crate::journal;
use crate::store::Store;
use crate::time::{now, show_bytes};

pub(super) async fn run(shell: &Shell, config: &Config, order: &Prune) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let listing = backup::list(&*store, &config.environment).await.map_err(Failure::from)?;
    let keep = Keep { needed: needed(&*store, &listing).await?, ..keep(order) };
    let going: Vec<&BackupEntry> = to_prune(&listing, &keep, now());
    if !going.is_empty() {
        for entry in &going {
            shell.note(&format!("to remove  {}", describe(entry, &listing)));
        }
        if !shell.confirm(&format!("Remove these {}?", going.len()), order.yes)? {
            return Err(Failure::refused("prune")
                .because_of("the answer was no")
                .leaving("nothing was removed")
                .into());
        }
    }
    let mut removed: Vec<&str> = Vec::new();
    for entry in going {
        remove(&*store, &config.environment, entry).await.map_err(|error| {
            Failure::from(error).leaving(match removed.as_slice() {
                [] => format!("{} may be removed in part", entry.id),
                ids => format!("removed: {}; {} may be removed in part", ids.join(", "), entry.id),
            })
        })?;
        removed.push(&entry.id);
    }
    let left = |list: &[BackupEntry]| -> Vec<String> {
        let ids = list.iter().map(|entry| entry.id.clone());
        ids.filter(|id| !removed.contains(&id.as_str())).collect()
    };
    let (kept, leftovers) = (left(&listing.backups), left(&listing.incomplete));
    let mut lines: Vec<String> = removed.iter().map(|id| format!("removed {id}")).collect();
    let leftover = match leftovers.len() {
        0 => String::new(),
        n => format!(", and {n} leftovers that may be backups being written now"),
    };
    lines.push(format!("kept {} backups{leftover}", kept.len()));
    shell.tell(
        &lines.join("\n"),
        json!({
            "environment": config.environment, "removed": removed, "kept": kept, "leftovers": leftovers,
        }),
    );
    Ok(Verdict::Done)
}

fn keep(order: &Prune) -> Keep {
    let newest = match (order.keep, order.older_than) {
        (Some(newest), _) => newest,
        (None, Some(_)) => 1,
        (None, None) => Keep::default().newest,
    };
    Keep { newest, younger_than: order.older_than, ..Keep::default() }
}

/// The backups that unfinished runs speak of: production may have to be put back from them.
async fn needed(store: &dyn Store, listing: &Listing) -> Result<Vec<String>, Failure> {
    let mut needed = Vec::new();
    for run in journal::runs(store).await? {
        let history = journal::read(store, &run).await?;
        if begin::ended(&history.records) {
            continue;
        }
        let said = serde_json::to_string(&history.records)
            .map_err(|error| Failure::internal(format!("read run {run}")).caused_by(&error))?;
        let ids = listing.backups.iter().chain(&listing.incomplete).map(|entry| &entry.id);
        needed.extend(ids.filter(|id| said.contains(id.as_str())).cloned());
    }
    Ok(needed)
}

fn describe(entry: &BackupEntry, listing: &Listing) -> String {
    let what = match listing.incomplete.contains(entry) {
        true => "leftover".to_string(),
        false => entry.verified.map_or("not verified".to_string(), |level| format!("verified: {level}")),
    };
    format!("{}: {} old, {}, {what}", entry.id, age(entry), show_bytes(entry.bytes))
}
