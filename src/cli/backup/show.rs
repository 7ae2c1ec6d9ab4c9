//! `backup list` and `backup show`.

use serde_json::json;

use super::contents;
use crate::backup::verify::load_manifest;
use crate::backup::{self, BackupEntry, Manifest};
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::time::{between, now, show_bytes, show_duration};
use crate::ui::table::{Column, render};

pub(super) async fn list(shell: &Shell, config: &Config) -> Result<Verdict, Trouble> {
    const COLUMNS: [Column; 4] =
        [Column::id("backup"), Column::number("age"), Column::number("stored"), Column::id("verified")];
    let store = shell.store(config);
    let listing = backup::list(&*store, &config.environment).await.map_err(Failure::from)?;
    let mut text = match listing.backups.as_slice() {
        [] => format!("no backups of {} in {}\n", config.environment, store.url()),
        backups => {
            let rows: Vec<_> = backups.iter().rev().map(|entry| cells(entry, level(entry))).collect();
            render(&COLUMNS, &rows, shell.look)
        }
    };
    if !listing.incomplete.is_empty() {
        const LEFT: [Column; 3] = [Column::id("leftover"), Column::number("age"), Column::number("stored")];
        let rows: Vec<_> = listing.incomplete.iter().rev().map(|entry| cells(entry, String::new())).collect();
        text.push_str(&format!("\n{}", render(&LEFT, &rows, shell.look)));
        text.push_str("leftovers have no manifest: interrupted, or being written now; they are no backups\n");
        text.push_str(&format!("-> backstay backup prune -e {}", config.environment));
    }
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "store": store.url(), "backups": listing.backups,
            "incomplete": listing.incomplete,
        }),
    );
    Ok(Verdict::Done)
}

fn cells(entry: &BackupEntry, verified: String) -> Vec<String> {
    vec![entry.id.clone(), age(entry), show_bytes(entry.bytes), verified]
}

/// How old a backup is, by its own id.
pub(super) fn age(entry: &BackupEntry) -> String {
    entry.at.map_or("unknown".to_string(), |at| show_duration(between(at, now())))
}

/// The level that it is proven to, in words.
fn level(entry: &BackupEntry) -> String {
    entry.verified.map_or("not verified".to_string(), |level| level.to_string())
}

pub(super) async fn show(shell: &Shell, config: &Config, wanted: &str) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let place = backup::find(&*store, &config.environment, wanted).await.map_err(Failure::from)?;
    let manifest = load_manifest(&*store, &place).await.map_err(Failure::from)?;
    let listing = backup::list(&*store, &config.environment).await.map_err(Failure::from)?;
    let entry = listing.backups.into_iter().find(|entry| entry.id == place.id);
    let verified = entry.as_ref().and_then(|entry| entry.verified);
    let text = format!(
        "{}\n\n{}",
        facts(&manifest, entry.as_ref().map(level).unwrap_or_default()),
        tables(&manifest, shell)
    );
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "backup": place.id, "verified": verified,
            "rows": manifest.rows(), "raw_bytes": manifest.raw_bytes(),
            "stored_bytes": manifest.stored_bytes(), "manifest": manifest,
        }),
    );
    Ok(Verdict::Done)
}

fn facts(manifest: &Manifest, verified: String) -> String {
    let (database, snapshot) = (&manifest.database, &manifest.snapshot);
    let or_none = |names: Vec<String>| if names.is_empty() { "none".to_string() } else { names.join(", ") };
    let extensions = manifest.extensions.iter().map(|e| format!("{} {}", e.name, e.version)).collect();
    let mut rest = format!("{} sequences", manifest.sequences.len());
    if let Some(objects) = &manifest.large_objects {
        rest.push_str(&format!(", {} pages of large objects", objects.rows));
    }
    let facts = [
        ("backup", manifest.id.clone()),
        (
            "taken",
            format!(
                "{} ({} ago), position {} in the write-ahead log",
                snapshot.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
                show_duration(between(snapshot.at, now())),
                snapshot.lsn
            ),
        ),
        (
            "database",
            format!(
                "{}, owned by {}, {}, {}",
                database.name, database.owner, database.encoding, database.collate
            ),
        ),
        ("server", manifest.server.name.clone()),
        ("pg_dump", manifest.server.pg_dump.clone()),
        ("contents", format!("{}, {rest}", contents(manifest))),
        (
            "objects",
            format!("{}, {} before compression", manifest.objects.len(), show_bytes(manifest.raw_bytes())),
        ),
        ("verified", verified),
        ("roles", or_none(manifest.roles.clone())),
        ("extensions", or_none(extensions)),
    ];
    facts.map(|(name, value)| format!("{name:<10}  {value}")).join("\n")
}

fn tables(manifest: &Manifest, shell: &Shell) -> String {
    const COLUMNS: [Column; 3] = [Column::id("table"), Column::number("rows"), Column::number("stored")];
    let stored = |table: &backup::manifest::Table| {
        let objects = table.chunks.iter().filter_map(|chunk| manifest.object(&chunk.object));
        show_bytes(objects.map(|object| object.stored_bytes).sum())
    };
    let rows: Vec<_> = manifest
        .tables
        .iter()
        .map(|table| vec![table.table.to_string(), table.rows.to_string(), stored(table)])
        .collect();
    render(&COLUMNS, &rows, shell.look)
}
