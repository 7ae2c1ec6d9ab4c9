//! `backstay runs [RUN]`: the runs on the store, or one run's records.

use clap::Args;
use serde_json::json;

use super::{Shell, Trouble};
use crate::engine::standing;
use crate::engine::state::State;
use crate::failure::{Failure, Verdict};
use crate::journal::{self, Entry, Record};
use crate::time::{between, show_duration};
use crate::ui::table::{Column, render};

/// The runs on the store, or one run's records
#[derive(Debug, Args)]
pub struct Runs {
    /// One run: an id, a unique prefix of one, or latest
    run: Option<String>,
}

pub(super) async fn run(shell: &Shell, command: &Runs) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let store = shell.store(&config);
    match &command.run {
        None => list(shell, &*store, &journal::runs(&*store).await.map_err(Failure::from)?).await?,
        Some(wanted) => {
            let run = standing::named(&*store, wanted).await?;
            let history = journal::read(&*store, &run).await.map_err(Failure::from)?;
            show(shell, &run, &history.records);
        }
    }
    Ok(Verdict::Done)
}

const RUNS: [Column; 6] = [
    Column::id("run"),
    Column::text("environment"),
    Column::text("runbook"),
    Column::number("took"),
    // Cut it would say nothing.
    Column::id("verdict"),
    Column::text("first cause"),
];

async fn list(shell: &Shell, store: &dyn crate::store::Store, runs: &[String]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for run in runs.iter().rev() {
        let summary = match journal::read(store, run).await {
            Ok(history) => Summary::of(&history.records),
            Err(error) => Summary { verdict: format!("unreadable: {error}"), ..Summary::default() },
        };
        documents.push(json!({
            "run": run, "environment": summary.environment, "runbook": summary.runbook,
            "verdict": summary.verdict, "cause": summary.cause,
        }));
        rows.push(vec![
            run.clone(),
            summary.environment,
            summary.runbook,
            summary.took,
            spoken(&summary.verdict),
            summary.cause,
        ]);
    }
    let text = if rows.is_empty() {
        format!("no runs in {}", store.url())
    } else {
        render(&RUNS, &rows, shell.look)
    };
    shell.tell(&text, json!(documents));
    Ok(())
}

/// A run in one row.
#[derive(Default)]
struct Summary {
    environment: String,
    runbook: String,
    took: String,
    verdict: String,
    cause: String,
}

impl Summary {
    fn of(records: &[Record]) -> Self {
        let state = State::of(records);
        let mut summary = Summary { verdict: verdict_word(&state), ..Summary::default() };
        if let Some(Entry::Began { environment, runbook, .. }) = records.first().map(|r| &r.entry) {
            summary.environment.clone_from(environment);
            summary.runbook.clone_from(&runbook.name);
        }
        if let (Some(first), Some(last)) = (records.first(), records.last()) {
            summary.took = show_duration(between(first.at, last.at));
        }
        summary.cause = state.first_failure.map(|(_, failure)| failure.to_string()).unwrap_or_default();
        summary
    }
}

/// How a run stands, in a word that stays the same.
pub(super) fn verdict_word(state: &State) -> String {
    match state.ended {
        None => "unfinished".into(),
        Some(verdict) => verdict.word().to_string(),
    }
}

/// That word for people; a sentence stays as it is.
pub(super) fn spoken(verdict: &str) -> String {
    if verdict.contains(' ') { verdict.to_string() } else { verdict.replace('_', " ") }
}

fn show(shell: &Shell, run: &str, records: &[Record]) {
    const COLUMNS: [Column; 4] =
        [Column::number("record"), Column::id("time (UTC)"), Column::number("epoch"), Column::text("what")];
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let at = record.at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
            vec![record.number.to_string(), at, record.epoch.to_string(), words(&record.entry)]
        })
        .collect();
    shell.tell(&render(&COLUMNS, &rows, shell.look), json!({ "run": run, "records": records }));
}

fn words(entry: &Entry) -> String {
    match entry {
        Entry::Began { runbook, environment, driver, .. } => {
            format!("began {} on {environment}, driven by {driver}", runbook.name)
        }
        Entry::TookOver { driver } => format!("taken over by {driver}"),
        Entry::Started { line, name, .. } => format!("{line} started: {name}"),
        Entry::Finished { line, summary, probed, .. } => {
            format!("{line} {}: {summary}", if *probed { "found finished" } else { "finished" })
        }
        Entry::Failed { line, failure, .. } => format!("{line} failed: {failure}"),
        Entry::Abandoned { line, why } => format!("{line} had no effect: {why}"),
        Entry::PutBackBegan { .. } => "putting back".into(),
        Entry::PutBackFound { found, by } => found.words(by),
        Entry::PutBackAnyway { who } => format!("{who} decided to put back although others wrote"),
        Entry::KeepNew { who } => format!("{who} decided to keep the new version"),
        Entry::FlagIsDown { who } => format!("{who} said that the flag is down on its machine"),
        Entry::OutsideSchedule { who, why, was } => {
            format!("{who} runs it outside of the schedule ({was}): {why}")
        }
        Entry::Interrupted { how, .. } => format!("interrupted: {how}"),
        Entry::Ended { verdict } => {
            format!("ended: exit {}, production is {}", verdict.exit_code(), verdict.production())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Look;

    #[test]
    fn sixty_columns_are_enough() {
        let row = |run: &str, took: &str, verdict: &str, cause: &str| {
            [run, "production", "release", took, &spoken(verdict), cause].map(String::from).to_vec()
        };
        let rows = vec![
            row("20261121t004450z-3xp5", "14 s", "done", ""),
            row(
                "20261121t004217z-5kqw",
                "9.2 s",
                "interrupted_in_window",
                "could not upgrade 56d701cf2472 at one_booking_each.sql:6",
            ),
        ];
        let narrow = render(&RUNS, &rows, Look { width: 60, unicode: true, ..Look::BARE });
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        insta::assert_snapshot!("runs_narrow", narrow);
    }
}
