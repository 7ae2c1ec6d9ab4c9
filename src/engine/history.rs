//! How long the lines of earlier runs took, from their journals.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::plan::{Line, Plan};
use super::state::{State, Status};
use crate::event::LineId;
use crate::failure::Verdict;
use crate::forecast::{Forecast, Past};
use crate::journal::{self, Bounds, Entry, JournalError, Record};
use crate::redact::redact;
use crate::store::Store;

/// By how many runs a run's time is told: the newest that ended well.
const RUNS: usize = 10;
/// How far back they are looked for: a year of releases is not read for it.
const LOOKED_AT: usize = 60;
/// How many journals are read side by side: a bucket takes its time for each.
const READS: usize = 16;

/// How long what is left of `plan` is likely to take, by earlier runs of `environment` that ended well. What a person
/// answers takes as long as the person does, and is left out.
///
/// # Errors
/// The store's. A run whose journal is damaged is passed over.
pub async fn forecast(
    store: &dyn Store,
    environment: &str,
    plan: &Plan,
    state: &State,
) -> Result<Forecast, JournalError> {
    let past = past(store, environment).await?;
    let left = |line: &&Line| !line.is_a_persons() && state.status(line.id) != Status::Finished;
    let lines: Vec<_> =
        plan.lines.iter().filter(left).map(|line| (line.id, line.phase, redact(&line.name))).collect();
    Ok(Forecast::of(lines.iter().map(|(id, phase, name)| (*id, *phase, &**name)), &past))
}

async fn past(store: &dyn Store, environment: &str) -> Result<Vec<Past>, JournalError> {
    let newest = journal::bounds(store).await?.into_iter().rev().take(LOOKED_AT);
    let looks = newest.map(|bounds| async move {
        let counts = counts(&bounds, store, environment).await;
        Ok::<_, JournalError>(counts.then_some(bounds.run))
    });
    let runs: Vec<String> = stream::iter(looks)
        .buffered(READS)
        .try_filter_map(|run| ready(Ok(run)))
        .take(RUNS)
        .try_collect()
        .await?;
    let reads = runs.iter().map(|run| journal::read(store, run));
    let histories: Vec<_> = stream::iter(reads).buffered(READS).collect().await;
    Ok(histories.into_iter().flatten().map(|history| took(&history.records)).collect())
}

/// Whether a run is one of ours that ended well; one that can't be read is not.
async fn counts(bounds: &Bounds, store: &dyn Store, environment: &str) -> bool {
    matches!(bounds.ended(store).await, Ok(Some((Verdict::Done, _))))
        && matches!(bounds.environment(store).await, Ok(Some(found)) if found == environment)
}

/// How long each line of the way there took. What was found done by a probe was not watched.
fn took(records: &[Record]) -> Past {
    let lines = records.iter().find_map(|record| match &record.entry {
        Entry::Began { lines, .. } => Some(lines),
        _ => None,
    });
    let names: BTreeMap<LineId, _> =
        lines.into_iter().flatten().map(|card| (card.id, (card.phase, card.name.clone()))).collect();
    let finished = records.iter().filter_map(|record| match &record.entry {
        Entry::Finished { line, millis, probed: false, .. } => {
            Some((names.get(line)?.clone(), Duration::from_millis(*millis)))
        }
        _ => None,
    });
    finished.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{LineCard, Phase};
    use crate::journal::{Driver, Journal, RunbookCopy, Target};
    use crate::store::Directory;

    /// A run of one line that took so long.
    async fn run(store: &Arc<dyn Store>, id: &str, environment: &str, seconds: u64, verdict: Verdict) {
        let runbook =
            RunbookCopy { name: "x".into(), origin: "x".into(), text: String::new(), hash: String::new() };
        let target = Target { system: "1".into(), name: "shop".into(), oid: 1 };
        let line = LineId::Line(1);
        let lines = vec![LineCard { id: line, phase: Phase::Before, name: "backup".into(), done: None }];
        let (driver, environment) = (Box::new(Driver::this_process()), environment.to_string());
        let config_hash = String::new();
        let began = Entry::Began { environment, config_hash, runbook, target, driver, lines, rollback: None };
        let (summary, facts, intent) = (String::new(), Default::default(), Default::default());
        let finished = Entry::Finished { line, summary, facts, millis: seconds * 1000, probed: false };
        let started = Entry::Started { line, name: "backup".into(), intent };
        let mut journal = Journal::begin(store.clone(), id.into());
        for entry in [began, started, finished, Entry::Ended { verdict }] {
            journal.append(entry).await.expect("a record");
        }
    }

    #[tokio::test]
    async fn the_newest_runs_of_this_environment_that_ended_well_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> = Arc::new(Directory::new(folder.path()));
        run(&store, "r00", "shop", 500, Verdict::Done).await;
        for n in 1..=10 {
            run(&store, &format!("r{n:02}"), "shop", n, Verdict::Done).await;
        }
        run(&store, "r11", "staging", 99, Verdict::Done).await;
        run(&store, "r12", "shop", 99, Verdict::PutBack).await;
        run(&store, "r13", "shop", 7, Verdict::Done).await;
        std::fs::remove_file(folder.path().join("runs/r13/journal/000002.json")).expect("a damaged journal");
        let past = past(&*store, "shop").await.expect("earlier runs");
        let key = (Phase::Before, "backup".to_string());
        let mut seconds: Vec<u64> = past.iter().map(|run| run[&key].as_secs()).collect();
        seconds.sort_unstable();
        assert_eq!(seconds, (2..=10).collect::<Vec<_>>(), "ten were looked at, and one of them is damaged");
    }
}
