//! What `status` says of backups: the last one, how far any is proven, what failed, what is left over.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Fact, LEFTOVER};
use crate::backup::summary::{Summary, summarize};
use crate::backup::{self, BackupEntry, BackupError, Level};
use crate::cli::backup::list::{removal, standing};
use crate::config::Config;
use crate::store::Store;
use crate::time::{between, now, show_age, show_bytes, show_duration};

const LAST: &str = "last backup";
const PROOF: &str = "last proof";
const DAMAGED: &str = "damaged";

pub(super) async fn look(config: &Config, store: &dyn Store) -> Vec<Fact> {
    match facts(config, store).await {
        Ok(facts) => facts,
        Err(error) => vec![Fact::unknown(LAST, &error.into())],
    }
}

async fn facts(config: &Config, store: &dyn Store) -> Result<Vec<Fact>, BackupError> {
    let listing = backup::list(store, &config.environment).await?;
    let last = listing.backups.iter().rev().find(|entry| entry.at.is_some());
    let proven =
        listing.backups.iter().filter(|entry| entry.damaged_at.is_none() && entry.verified.is_some());
    let best = proven.max_by_key(|entry| (entry.verified, entry.verified_at));
    let mut facts = vec![
        last_backup(config, read(store, config, last).await?.as_ref()),
        last_proof(config, read(store, config, best).await?.as_ref(), last.is_some()),
    ];
    let damaged = listing.backups.iter().filter(|entry| entry.damaged_at.is_some());
    facts.extend(damaged_ones(config, &damaged.collect::<Vec<_>>()));
    facts.extend(listing.incomplete.iter().map(|entry| leftover(config, entry)));
    Ok(facts)
}

async fn read(
    store: &dyn Store,
    config: &Config,
    entry: Option<&BackupEntry>,
) -> Result<Option<Summary>, BackupError> {
    let Some(entry) = entry else { return Ok(None) };
    Ok(summarize(store, &config.environment, std::slice::from_ref(entry)).await?.pop())
}

fn last_backup(config: &Config, last: Option<&Summary>) -> Fact {
    let create = format!("backstay backup create -e {}", config.environment);
    let Some(last) = last else { return Fact::new(LAST, "none", Value::Null).mended_by(create) };
    let age = last.entry.at.map(|at| between(at, now())).unwrap_or_default();
    let text = format!(
        "{}, {} old, {}",
        last.entry.id,
        show_age(age),
        standing(&last.entry, last.refused.is_some())
    );
    let value = json!({
        "backup": last.entry.id, "age_millis": crate::event::millis(age), "verified": last.entry.verified,
        "damaged": last.is_damaged(),
    });
    let fact = Fact::new(LAST, text, value);
    match last.entry.verified {
        _ if last.is_damaged() => fact.mended_by(create),
        Some(Level::Restore) => fact,
        _ => fact.mended_by(format!(
            "backstay backup verify {} --level restore -e {}",
            last.entry.id, config.environment
        )),
    }
}

/// The highest level that any sound backup was proven to, and when that was last. Where there is none to prove, the line
/// above says what to do.
fn last_proof(config: &Config, best: Option<&Summary>, is_any: bool) -> Fact {
    let proven = best.and_then(|best| Some((best, best.entry.verified?, best.entry.verified_at?)));
    let Some((best, level, at)) = proven else {
        let none = Fact::new(PROOF, "none", Value::Null);
        let verify = format!("backstay backup verify latest --level restore -e {}", config.environment);
        return if is_any { none.mended_by(verify) } else { none };
    };
    let age = between(at, now());
    let restored = best.restore_millis.map(|millis| show_duration(Duration::from_millis(millis)));
    let restored = restored.map(|took| format!(", restored in {took}")).unwrap_or_default();
    Fact::new(
        PROOF,
        format!("{level} of {}, {} ago{restored}", best.entry.id, show_age(age)),
        json!({
            "backup": best.entry.id, "level": level, "at": at, "age_millis": crate::event::millis(age),
            "restore_millis": best.restore_millis,
        }),
    )
}

fn damaged_ones(config: &Config, damaged: &[&BackupEntry]) -> Option<Fact> {
    let ids: Vec<&str> = damaged.iter().map(|entry| entry.id.as_str()).collect();
    let last = ids.last()?;
    let text = format!("{}: failed a proof, not to be relied on", ids.join(", "));
    Some(
        Fact::new(DAMAGED, text, json!({ "backups": ids }))
            .mended_by(format!("backstay backup show {last} -e {}", config.environment)),
    )
}

fn leftover(config: &Config, entry: &BackupEntry) -> Fact {
    let begun = entry.at.map(|at| format!(", begun {} ago", show_age(between(at, now()))));
    let text = format!(
        "backup {}{}, {}: interrupted, or being written now",
        entry.id,
        begun.unwrap_or_default(),
        show_bytes(entry.bytes)
    );
    Fact::new(LEFTOVER, text, json!({ "backup": entry.id })).mended_by(removal(
        std::iter::once(entry),
        config,
        now(),
    ))
}
