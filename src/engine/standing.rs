//! What journals say of how their runs stand, for whoever does not drive them.

use std::future::ready;
use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::decide;
use super::plan::Plan;
use super::state::{State, Status};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::id;
use crate::journal::{self, Entry, JournalError, RunbookCopy};
use crate::rollback::Order;
use crate::runbook::{Runbook, StepKind};
use crate::steps::Action;
use crate::store::Store;

/// How many journals are looked at side by side: a bucket takes its time for each.
const LOOKS: usize = 16;

/// The newest run of `environment` that has not ended. Another environment's journal is in nobody's way here, however
/// damaged.
///
/// # Errors
/// The store's; a journal of which not even that can be read whose it is.
pub async fn unfinished(store: &dyn Store, environment: &str) -> Result<Option<String>, JournalError> {
    let looks = journal::bounds(store).await?.into_iter().rev().map(|bounds| async move {
        let ours = match bounds.ended(store).await {
            Ok(Some((verdict, _))) if is_over(verdict) => false,
            ended => {
                let ours = bounds.environment(store).await?.as_deref() == Some(environment);
                ours && ended.map(|_| true)?
            }
        };
        Ok(ours.then_some(bounds.run))
    });
    let mut found = pin!(stream::iter(looks).buffered(LOOKS).try_filter_map(|run| ready(Ok(run))));
    found.try_next().await
}

/// The run that a person named: by its id, a unique prefix of one, or `latest`.
///
/// # Errors
/// There is none, or several begin so (exit 2); the store's.
pub async fn named(store: &dyn Store, wanted: &str) -> Result<String, Failure> {
    let runs = journal::runs(store).await?;
    id::pick(&runs, wanted).map(String::from).map_err(|candidates| {
        let failure = Failure::usage(format!("find the run {wanted}"));
        let url = store.url();
        match candidates.as_slice() {
            [] if runs.is_empty() => failure.because_of(format!("the store {url} has no runs yet")),
            [] => failure.because_of(format!("the store {url} has none of that name")),
            several => failure.because_of(format!("several begin so: {}", several.join(", "))),
        }
        .then("backstay runs lists them")
    })
}

/// Whether nothing is left to do for a run: it ended otherwise than by a person's being needed.
pub fn ended(records: &[journal::Record]) -> bool {
    State::of(records).ended.is_some_and(is_over)
}

fn is_over(verdict: Verdict) -> bool {
    verdict != Verdict::NotPutBack
}

/// A run that has ended can't be resumed.
///
/// # Errors
/// A refusal that says so.
pub fn refuse_ended(run: &str, records: &[journal::Record]) -> Result<(), Failure> {
    if !ended(records) {
        return Ok(());
    }
    Err(Failure::usage(format!("resume run {run}"))
        .because_of("it has ended")
        .then(format!("backstay runs {run} shows how")))
}

/// What production is while nobody could take the run over: as the driver before left it.
pub fn verdict(plan: &Plan, state: &State) -> Verdict {
    state.ended.unwrap_or_else(|| decide::interrupted(plan, state))
}

/// Whether a run, once it is resumed, comes to its approve line.
pub fn is_to_ask(plan: &Plan, state: &State) -> bool {
    let approve = plan.find(|action| matches!(action, Action::Step(StepKind::Approve)));
    approve.is_some_and(|line| state.status(line.id) != Status::Finished)
}

/// The plan of a run that was begun.
pub fn plan_of(config: &Config, runbook: &Runbook, records: &[journal::Record]) -> Plan {
    Plan::of(runbook, config, order_of(records))
}

/// What a rollback was told; none for every other run.
pub fn order_of(records: &[journal::Record]) -> Option<&Order> {
    records.iter().find_map(|record| match &record.entry {
        Entry::Began { rollback, .. } => rollback.as_deref(),
        _ => None,
    })
}

/// The environment that a run belongs to.
pub fn environment_of(records: &[journal::Record]) -> Option<&str> {
    records.iter().find_map(|record| match &record.entry {
        Entry::Began { environment, .. } => Some(environment.as_str()),
        _ => None,
    })
}

/// The runbook that a run follows, if the journal's copy is whole (no secret was masked in it).
pub fn runbook_of(records: &[journal::Record]) -> Option<&RunbookCopy> {
    records.iter().find_map(|record| match &record.entry {
        Entry::Began { runbook, .. } => Some(runbook),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::event::LineId;
    use crate::journal::{Driver, Journal, Target};
    use crate::store::Directory;

    async fn begin(store: &Arc<dyn Store>, run: &str, environment: &str) -> Journal {
        let runbook =
            RunbookCopy { name: "x".into(), origin: "x".into(), text: String::new(), hash: String::new() };
        let target = Target { system: "1".into(), name: "shop".into(), oid: 1 };
        let mut journal = Journal::begin(store.clone(), run.into());
        let driver = Box::new(Driver::this_process());
        let environment = environment.to_string();
        let (config_hash, lines) = (String::new(), Vec::new());
        let began = Entry::Began { environment, config_hash, runbook, target, driver, lines, rollback: None };
        journal.append(began).await.unwrap();
        journal
    }

    async fn end(mut journal: Journal, verdict: Verdict) {
        let intent = serde_json::Value::Null;
        journal.append(Entry::Started { line: LineId::Line(1), name: "a".into(), intent }).await.unwrap();
        journal.append(Entry::Ended { verdict }).await.unwrap();
    }

    fn tear(folder: &Path, run: &str, record: u32) {
        std::fs::write(folder.join(format!("runs/{run}/journal/{record:06}.json")), "torn").unwrap();
    }

    #[tokio::test]
    async fn only_this_environment_s_runs_are_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Directory::new(folder.path()));
        let unfinished = |environment| unfinished(&*store, environment);
        end(begin(&store, "r1", "shop").await, Verdict::Done).await;
        end(begin(&store, "r2", "staging").await, Verdict::NotPutBack).await;
        assert_eq!(unfinished("shop").await.unwrap(), None);
        assert_eq!(unfinished("staging").await.unwrap().as_deref(), Some("r2"));

        begin(&store, "r3", "shop").await;
        assert_eq!(unfinished("shop").await.unwrap().as_deref(), Some("r3"));
        // Its last record was torn: what that was nobody knows.
        tear(folder.path(), "r2", 3);
        assert_eq!(unfinished("staging").await.unwrap().as_deref(), Some("r2"));
    }

    #[tokio::test]
    async fn a_damaged_journal_is_in_the_way_of_its_own_environment() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Directory::new(folder.path()));
        begin(&store, "r1", "staging").await.append(Entry::Ended { verdict: Verdict::Done }).await.unwrap();
        let mut journal = begin(&store, "r2", "staging").await;
        for who in ["a", "b"] {
            journal.append(Entry::KeepNew { who: who.into() }).await.unwrap();
        }
        std::fs::remove_file(folder.path().join("runs/r2/journal/000002.json")).unwrap();
        tear(folder.path(), "r2", 3);
        assert_eq!(unfinished(&*store, "shop").await.unwrap(), None);
        let damaged = unfinished(&*store, "staging").await;
        assert!(matches!(damaged, Err(JournalError::Damaged { .. })), "{damaged:?}");
    }
}
