//! `backup prune`.

use serde_json::json;

use super::Prune;
use super::list::{age, standing};
use crate::backup::list::{Keep, Listing, remove, to_prune};
use crate::backup::{self, BackupEntry};
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::engine::standing;
use crate::failure::{Failure, Verdict};
use crate::journal;
use crate::store::Store;
use crate::time::{between, now, show_bytes};
use crate::words::count;

pub(super) async fn run(shell: &Shell, config: &Config, order: &Prune) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let listing = backup::list(&*store, &config.environment).await.map_err(Failure::from)?;
    let keep = Keep { needed: needed(&*store, &listing, config).await?, ..keep(order) };
    let going: Vec<&BackupEntry> = to_prune(&listing, &keep, now());
    if order.dry_run {
        return Ok(tell_plan(shell, config, &listing, &going));
    }
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
    let (kept, leftovers) = left(&listing, &removed);
    let mut lines: Vec<String> = removed.iter().map(|id| format!("removed {id}")).collect();
    lines.push(describe_left(&kept, &leftovers));
    shell.tell(
        &lines.join("\n"),
        json!({
            "environment": config.environment, "removed": removed, "kept": kept, "leftovers": leftovers,
        }),
    );
    Ok(Verdict::Done)
}

/// What would be removed, and nothing is.
fn tell_plan(shell: &Shell, config: &Config, listing: &Listing, going: &[&BackupEntry]) -> Verdict {
    let ids: Vec<&str> = going.iter().map(|entry| entry.id.as_str()).collect();
    let (kept, leftovers) = left(listing, &ids);
    let mut lines: Vec<String> =
        going.iter().map(|entry| format!("to remove  {}", describe(entry, listing))).collect();
    lines.push(format!("would be {}", describe_left(&kept, &leftovers)));
    shell.tell(
        &lines.join("\n"),
        json!({
            "environment": config.environment, "removed": [], "to_remove": ids, "kept": kept,
            "leftovers": leftovers,
        }),
    );
    Verdict::Done
}

/// The ids of backups and leftovers that stay once `removed` is gone.
fn left<'a>(listing: &'a Listing, removed: &[&str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let of = |list: &'a [BackupEntry]| {
        list.iter().map(|entry| entry.id.as_str()).filter(|id| !removed.contains(id)).collect()
    };
    (of(&listing.backups), of(&listing.incomplete))
}

fn describe_left(kept: &[&str], leftovers: &[&str]) -> String {
    let leftover = match leftovers.len() as u64 {
        0 => String::new(),
        n => format!(", and {} that may be backups being written now", count(n, "leftover", "leftovers")),
    };
    format!("kept {}{leftover}", count(kept.len() as u64, "backup", "backups"))
}

fn keep(order: &Prune) -> Keep {
    let newest = match (order.keep, order.older_than) {
        (Some(newest), _) => newest,
        (None, Some(_)) => 1,
        (None, None) => Keep::default().newest,
    };
    Keep {
        newest,
        younger_than: order.older_than,
        needed: Vec::new(),
        leftovers_younger_than: order.leftovers_older_than,
    }
}

/// The backups that a run speaks of from which production may still have to be put back: it is unfinished, or
/// ended so lately that its guard is kept as well.
async fn needed(store: &dyn Store, listing: &Listing, config: &Config) -> Result<Vec<String>, Failure> {
    let mut needed = Vec::new();
    for run in journal::runs(store).await? {
        let history = journal::read(store, &run).await?;
        let lately = history.records.last().is_some_and(|last| between(last.at, now()) < config.window.keep);
        if standing::ended(&history.records) && !lately {
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
        false => standing(entry, false),
    };
    format!("{}: {} old, {}, {what}", entry.id, age(entry), show_bytes(entry.bytes))
}
