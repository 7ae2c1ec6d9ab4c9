//! `backup list`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::backup::list::{BackupEntry, Keep, Listing, list as look};
use crate::backup::summary::{Summary, summarize};
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::time::{between, now, show_age, show_bytes, show_duration};
use crate::ui::table::{Column, render};

pub(super) async fn list(shell: &Shell, config: &Config) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let listing = look(&*store, &config.environment).await.map_err(Failure::from)?;
    let backups = summarize(&*store, &config.environment, &listing.backups).await.map_err(Failure::from)?;
    let mut text = match backups.as_slice() {
        [] => format!("no backups of {} in {}\n", config.environment, store.url()),
        backups => table(backups, shell),
    };
    text.push_str(&damaged(&backups, config));
    text.push_str(&leftovers(&listing, config, shell));
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "store": store.url(), "backups": backups,
            "incomplete": listing.incomplete,
        }),
    );
    Ok(Verdict::Done)
}

fn table(backups: &[Summary], shell: &Shell) -> String {
    const COLUMNS: [Column; 6] = [
        Column::id("backup"),
        Column::number("age"),
        Column::number("stored"),
        Column::text("database"),
        Column::id("proven"),
        Column::number("restored in"),
    ];
    let row = |backup: &Summary| {
        let restored = backup.restore_millis.map(|millis| show_duration(Duration::from_millis(millis)));
        vec![
            backup.entry.id.clone(),
            age(&backup.entry),
            show_bytes(backup.entry.bytes),
            backup.database.clone().unwrap_or_default(),
            standing(&backup.entry, backup.refused.is_some()),
            restored.unwrap_or_default(),
        ]
    };
    render(&COLUMNS, &backups.iter().rev().map(row).collect::<Vec<_>>(), shell.look)
}

fn damaged(backups: &[Summary], config: &Config) -> String {
    let why = |backup: &Summary| match &backup.refused {
        Some(reason) => format!("{}: its manifest is refused: {reason}\n", backup.entry.id),
        None => {
            format!("-> backstay backup show {} -e {}\n", backup.entry.id, config.environment)
        }
    };
    let lines: String = backups.iter().rev().filter(|backup| backup.is_damaged()).map(why).collect();
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\na damaged backup failed a proof, and none of that level held since: do not rely on it\n{lines}"
    )
}

fn leftovers(listing: &Listing, config: &Config, shell: &Shell) -> String {
    const COLUMNS: [Column; 3] = [Column::id("leftover"), Column::number("age"), Column::number("stored")];
    if listing.incomplete.is_empty() {
        return String::new();
    }
    let row = |entry: &BackupEntry| vec![entry.id.clone(), age(entry), show_bytes(entry.bytes)];
    let rows: Vec<_> = listing.incomplete.iter().rev().map(row).collect();
    format!(
        "\n{}leftovers have no manifest: interrupted, or being written now; they are no backups\n-> {}",
        render(&COLUMNS, &rows, shell.look),
        removal(listing.incomplete.iter(), config, now())
    )
}

/// The command that removes these leftovers.
pub(in crate::cli) fn removal<'a>(
    mut leftovers: impl Iterator<Item = &'a BackupEntry>,
    config: &Config,
    now: Timestamp,
) -> String {
    let patience = Keep::default().leftovers_younger_than;
    let prune = format!("backstay backup prune -e {}", config.environment);
    if leftovers.all(|entry| entry.at.is_some_and(|at| between(at, now) >= patience)) {
        return prune;
    }
    format!("{prune}   (if none is being written now, at once with --leftovers-older-than 0s)")
}

/// How old a backup is, by its own id.
pub(super) fn age(entry: &BackupEntry) -> String {
    entry.at.map_or("unknown".to_string(), |at| show_age(between(at, now())))
}

/// How far it is proven, and when that was; or that it is damaged.
pub(in crate::cli) fn standing(entry: &BackupEntry, refused: bool) -> String {
    let ago = |at: Timestamp| show_age(between(at, now()));
    match (entry.damaged_at, entry.verified, entry.verified_at) {
        (Some(at), ..) => format!("DAMAGED, {} ago", ago(at)),
        _ if refused => "DAMAGED".to_string(),
        (None, Some(level), Some(at)) => format!("{level}, {} ago", ago(at)),
        (None, ..) => "not proven".to_string(),
    }
}
