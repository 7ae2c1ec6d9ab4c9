//! `backup show`.

use std::time::Duration;

use serde_json::json;

use super::contents;
use crate::backup::manifest::{Codec, Table};
use crate::backup::proof::{self, ProofRecord, Trial};
use crate::backup::verify::load_manifest;
use crate::backup::{self, Manifest, Place};
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::store::Store;
use crate::time::{between, now, show_age, show_bytes, show_duration};
use crate::ui::table::{Column, render};
use crate::words::count;

/// Tables that are shown; `--json` has all.
const SHOWN: usize = 40;

pub(super) async fn show(shell: &Shell, config: &Config, wanted: &str) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let place = backup::find_any(&*store, &config.environment, wanted).await.map_err(Failure::from)?;
    let manifest = load_manifest(&*store, &place).await.map_err(Failure::from)?;
    let proofs = proofs(&*store, &place).await.map_err(Failure::from)?;
    let trials: Vec<Trial> = proofs.iter().map(|(trial, _)| *trial).collect();
    let mut facts = facts(&manifest);
    facts.extend(describe_proofs(&proofs, &manifest));
    facts.extend(ways_back(&manifest, &*store, &place));
    let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<10}  {value}")).collect();
    let records: Vec<_> = proofs.iter().map(|(trial, record)| tell(*trial, record.as_ref())).collect();
    shell.tell(
        &format!("{}\n\n{}", facts.join("\n"), tables(&manifest, shell)),
        json!({
            "environment": config.environment, "backup": place.id,
            "verified": proof::best(&trials).map(|trial| trial.level),
            "damaged_at": proof::damage(&trials).map(|trial| trial.at),
            "rows": manifest.rows(), "raw_bytes": manifest.raw_bytes(),
            "stored_bytes": manifest.stored_bytes(), "proofs": records, "manifest": manifest,
        }),
    );
    Ok(Verdict::Done)
}

/// Every proof with its record, oldest first; no record where that cannot be understood.
async fn proofs(
    store: &dyn Store,
    place: &Place,
) -> Result<Vec<(Trial, Option<ProofRecord>)>, backup::BackupError> {
    let mut proofs = Vec::new();
    for trial in proof::trials(store, place).await? {
        proofs.push((trial, proof::read(store, place, trial).await?));
    }
    Ok(proofs)
}

fn tell(trial: Trial, record: Option<&ProofRecord>) -> serde_json::Value {
    json!({
        "held": trial.held, "level": trial.level, "at": trial.at,
        "millis": record.map(|record| record.millis),
        "restore_millis": record.and_then(|record| record.restore_millis),
        "mismatches": record.map(|record| &record.mismatches),
    })
}

fn facts(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let (database, snapshot) = (&manifest.database, &manifest.snapshot);
    let or_none = |names: Vec<String>| if names.is_empty() { "none".to_string() } else { names.join(", ") };
    let extensions = manifest.extensions.iter().map(|e| format!("{} {}", e.name, e.version)).collect();
    let mut rest = count(manifest.sequences.len() as u64, "sequence", "sequences");
    if let Some(objects) = &manifest.large_objects {
        rest.push_str(&format!(", {} of large objects", count(objects.rows, "page", "pages")));
    }
    let codec = match manifest.codec {
        Codec::Gzip { level } => format!("gzip, level {level}"),
        Codec::Zstd { level } => format!("zstd, level {level}"),
    };
    vec![
        ("backup", manifest.id.clone()),
        (
            "taken",
            format!(
                "{} ({} ago), position {} in the write-ahead log",
                snapshot.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
                show_age(between(snapshot.at, now())),
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
        ("server", format!("{}, dumped by pg_dump {}", manifest.server.name, manifest.server.pg_dump)),
        ("contents", format!("{}, {rest}", contents(manifest))),
        (
            "objects",
            format!(
                "{}, {} before compression ({codec})",
                manifest.objects.len(),
                show_bytes(manifest.raw_bytes())
            ),
        ),
        ("roles", or_none(manifest.roles.clone())),
        ("extensions", or_none(extensions)),
    ]
}

/// One row a proof, the newest first.
fn describe_proofs(
    proofs: &[(Trial, Option<ProofRecord>)],
    manifest: &Manifest,
) -> Vec<(&'static str, String)> {
    let trials: Vec<Trial> = proofs.iter().map(|(trial, _)| *trial).collect();
    let mut rows: Vec<String> = proofs
        .iter()
        .rev()
        .map(|(trial, record)| describe_proof(*trial, record.as_ref(), manifest))
        .collect();
    if proof::damage(&trials).is_some() {
        rows.insert(0, "DAMAGED: it failed a proof, and none of that level held since".to_string());
    }
    if rows.is_empty() {
        rows.push("not proven".to_string());
    }
    rows.into_iter().enumerate().map(|(i, row)| (if i == 0 { "proofs" } else { "" }, row)).collect()
}

fn describe_proof(trial: Trial, record: Option<&ProofRecord>, manifest: &Manifest) -> String {
    let ago = show_age(between(trial.at, now()));
    let Some(record) = record else {
        return format!("{}, {ago} ago: its record cannot be understood", trial.level);
    };
    if let Some(first) = record.mismatches.first() {
        let more = match record.mismatches.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        return format!("FAILED {}, {ago} ago: {first}{more}", trial.level);
    }
    let took = |millis| show_duration(Duration::from_millis(millis));
    let restored = record.restore_millis.map(|millis| format!(", restored in {}", took(millis)));
    let other = match record.manifest.as_ref() == Some(&manifest.checksum) {
        true => "",
        false => "; of another manifest: it proves nothing",
    };
    format!("{}, {ago} ago, in {}{}{other}", trial.level, took(record.millis), restored.unwrap_or_default())
}

fn ways_back(manifest: &Manifest, store: &dyn Store, place: &Place) -> Vec<(&'static str, String)> {
    let (id, environment) = (&manifest.id, &manifest.environment);
    let folder = format!("{}/{}", store.url().trim_end_matches('/'), place.prefix());
    vec![
        ("restore", format!("backstay backup restore {id} --as DATABASE -e {environment}")),
        ("by hand", format!("RESTORE.md and restore.sh in {folder}")),
    ]
}

/// The tables, the largest first.
fn tables(manifest: &Manifest, shell: &Shell) -> String {
    const COLUMNS: [Column; 3] = [Column::id("table"), Column::number("rows"), Column::number("bytes")];
    let bytes = |table: &Table| table.chunks.iter().map(|chunk| chunk.bytes).sum::<u64>();
    let mut tables: Vec<(&Table, u64)> = manifest.tables.iter().map(|table| (table, bytes(table))).collect();
    tables.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let row = |(table, bytes): &(&Table, u64)| {
        vec![table.table.to_string(), table.rows.to_string(), show_bytes(*bytes)]
    };
    let rows: Vec<_> = tables.iter().take(SHOWN).map(row).collect();
    let mut text = render(&COLUMNS, &rows, shell.look);
    if let Some(rest) = tables.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        let bytes = show_bytes(rest.iter().map(|(_, bytes)| bytes).sum());
        text.push_str(&format!("and {} more, {bytes}; --json has all\n", rest.len()));
    }
    text
}
