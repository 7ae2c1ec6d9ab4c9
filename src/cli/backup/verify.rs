//! `backup verify`.

use serde_json::json;

use crate::backup::verify::{self, Mismatch, Proof, Scratch, load_manifest};
use crate::backup::{self, Level, Manifest, Place, proof};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::id;
use crate::steps::{restore_options, session_options};
use crate::time::{now, show_bytes, show_duration};
use crate::ui::layout::fold;
use crate::window::names::{Role, companion};

pub(super) async fn run(
    shell: &Shell,
    config: &Config,
    wanted: &str,
    level: Level,
) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let place = backup::find_any(&*store, &config.environment, wanted).await.map_err(Failure::from)?;
    let scratch = scratch(config);
    let options = restore_options(config, session_options(config, "backstay backup verify"));
    let work = Work::begin(shell);
    let tried = verify::verify(&*store, &place, level, Some(&scratch), &options, &work.progress).await;
    work.end().await;
    let proof = tried.map_err(Failure::from)?;
    let recorded = proof::record(&*store, &place, &proof).await;
    if !proof.holds() {
        let manifest = load_manifest(&*store, &place).await.ok();
        let failure = distrust(&place, &proof, manifest.as_ref());
        // What is wrong with the backup comes first; a store that takes no records may be why.
        return Err(match recorded {
            Ok(_) => failure,
            Err(error) => failure.because_of(format!("and could not record that: {}", Failure::from(error))),
        }
        .into());
    }
    recorded.map_err(Failure::from)?;
    shell.tell(
        &fold(&words(&place, &proof), shell.look.width).join("\n"),
        json!({
            "environment": config.environment, "backup": place.id, "level": level, "at": proof.at,
            "objects": proof.objects, "rows": proof.rows, "stored_bytes": proof.bytes,
            "millis": proof.millis, "restore_millis": proof.restore_millis,
        }),
    );
    Ok(Verdict::Done)
}

/// A side database whose name `cleanup` knows, should we die before it is dropped.
fn scratch(config: &Config) -> Scratch {
    let database = companion(config.database.url.database(), Role::Side, &id::fresh(now()), 1);
    let admin = config.database.maintenance();
    Scratch { admin, database }
}

fn words(place: &Place, proof: &Proof) -> String {
    let duration = |millis| show_duration(std::time::Duration::from_millis(millis));
    let what = match (proof.level, proof.restore_millis) {
        (Level::Manifest, _) => format!("all {} objects are there with their sizes", proof.objects),
        (Level::Read, _) => format!(
            "{} in {} objects read to the last byte, {} rows hold",
            show_bytes(proof.bytes),
            proof.objects,
            proof.rows
        ),
        (Level::Restore, took) => format!(
            "{} rows restored in {}, compared table by table, and dropped",
            proof.rows,
            duration(took.unwrap_or_default())
        ),
    };
    format!("{} is good: {what} (level {}, {})", place.id, proof.level, duration(proof.millis))
}

fn distrust(place: &Place, proof: &Proof, manifest: Option<&Manifest>) -> Failure {
    let failure = Failure::failed(format!("prove backup {} to level {}", place.id, proof.level));
    let causes = proof.mismatches.iter().map(|mismatch| blame(mismatch, manifest));
    causes
        .fold(failure, Failure::because_of)
        .leaving("the backup is as it was found")
        .then("do not rely on this backup: take another, and look after the store's disk")
}

/// How many tables of a damaged object are named.
const NAMED: usize = 5;

/// The mismatch with the tables that it concerns, where it names only an object.
pub(super) fn blame(mismatch: &Mismatch, manifest: Option<&Manifest>) -> String {
    let object = match mismatch {
        Mismatch::Missing { object }
        | Mismatch::Size { object, .. }
        | Mismatch::Hash { object }
        | Mismatch::Undecodable { object, .. }
        | Mismatch::RawSize { object, .. }
        | Mismatch::TooLong { object, .. } => object,
        _ => return mismatch.to_string(),
    };
    let tables = manifest.into_iter().flat_map(|manifest| &manifest.tables);
    let of = tables.filter(|table| table.chunks.iter().any(|chunk| chunk.object == *object));
    let names: Vec<String> = of.map(|table| table.table.to_string()).collect();
    match names.as_slice() {
        [] => mismatch.to_string(),
        [one] => format!("{mismatch} (it holds rows of table {one})"),
        [first @ .., last] if first.len() < NAMED => {
            format!("{mismatch} (it holds rows of tables {} and {last})", first.join(", "))
        }
        // Small tables share an object by the hundred.
        many => {
            let more = many.len() - NAMED;
            format!("{mismatch} (it holds rows of tables {} and {more} more)", many[..NAMED].join(", "))
        }
    }
}
