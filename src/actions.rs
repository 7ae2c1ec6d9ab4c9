//! The files that GitHub Actions gives a step for its summary and its outputs.
//!
//! They are for people and for later steps; a file that can't be written stops nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::event::Event;
use crate::failure::Verdict;
use crate::redact::redact;
use crate::store::Store;
use crate::time::now;
use crate::ui::checklist::Checklist;
use crate::ui::github::{command, summary};

/// How long the store is waited for: the end of the program is behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A step of a workflow that we run in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    summary: Option<PathBuf>,
    output: Option<PathBuf>,
    workspace: Option<PathBuf>,
}

impl Actions {
    /// What the process's environment says of it; nothing outside of GitHub Actions.
    pub fn of(variables: &BTreeMap<String, String>) -> Option<Self> {
        let path = |name: &str| variables.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        (variables.get("GITHUB_ACTIONS").map(String::as_str) == Some("true")).then(|| Self {
            summary: path("GITHUB_STEP_SUMMARY"),
            output: path("GITHUB_OUTPUT"),
            workspace: path("GITHUB_WORKSPACE"),
        })
    }

    /// Adds Markdown to the step's summary, secrets masked.
    pub fn summarize(&self, markdown: &str) {
        append(self.summary.as_deref(), &redact(markdown));
    }

    /// Sets outputs of the step; each is one line.
    pub fn output(&self, outputs: &[(&str, String)]) {
        let lines: String = outputs.iter().map(|(name, value)| command::output(name, value)).collect();
        append(self.output.as_deref(), &lines);
    }

    /// The outputs of every run: `verdict`, `exit`, `run` (empty if none was begun) and `production`.
    pub fn output_end(&self, verdict: Verdict, run: &str, production: &str) {
        self.output(&[
            ("verdict", verdict.word().to_string()),
            ("exit", verdict.exit_code().to_string()),
            ("run", run.to_string()),
            ("production", production.to_string()),
        ]);
    }

    /// A file as an annotation names it: from the repository's root.
    pub fn name_of(&self, path: &Path) -> String {
        let within = self.workspace.as_ref().and_then(|root| path.strip_prefix(root).ok());
        within.unwrap_or(path).display().to_string()
    }

    /// Passes events on, and writes summary and outputs when the run ends; gives the stream for the screen, and the
    /// task that ends when all is written.
    pub fn tee(
        self,
        store: Arc<dyn Store>,
        events: UnboundedReceiver<Event>,
    ) -> (UnboundedReceiver<Event>, tokio::task::JoinHandle<()>) {
        let (screen, seen) = unbounded_channel();
        (seen, tokio::spawn(self.keep(store, events, screen)))
    }

    async fn keep(
        self,
        store: Arc<dyn Store>,
        mut events: UnboundedReceiver<Event>,
        screen: UnboundedSender<Event>,
    ) {
        let mut list = Checklist::default();
        while let Some(event) = events.recv().await {
            // The summary has none of what the screen cleans, line by line, of what programs print.
            if !matches!(event, Event::Output { .. } | Event::Progress { .. }) {
                list.fold(&event, now());
            }
            let _ = screen.send(event);
        }
        let Some(end) = &list.end else { return };
        self.output_end(end.verdict, &end.run, &end.production);
        let preview = format!("runs/{}/preview.sql", end.run);
        let sql = timeout(PATIENCE, store.read(&preview)).await.ok().and_then(Result::ok);
        let sql =
            sql.map(|sql| String::from_utf8_lossy(&sql).into_owned()).filter(|sql| !sql.trim().is_empty());
        if let Some(markdown) = summary::run(&list, sql.as_deref()) {
            self.summarize(&markdown);
        }
    }
}

fn append(path: Option<&Path>, text: &str) {
    let Some(path) = path else { return };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        tracing::warn!(%error, path = %path.display(), "GitHub's file could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn only_githubs_own_word_counts() {
        assert_eq!(Actions::of(&variables(&[("GITHUB_ACTIONS", "false"), ("GITHUB_OUTPUT", "/x")])), None);
        assert_eq!(Actions::of(&variables(&[("GITHUB_ACTIONS", "true")])), Some(Actions::default()));
    }

    #[test]
    fn files_are_added_to_and_what_cannot_be_written_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output").display().to_string();
        let given =
            [("GITHUB_ACTIONS", "true"), ("GITHUB_OUTPUT", &path), ("GITHUB_STEP_SUMMARY", "/no/such")];
        let actions = Actions::of(&variables(&given)).unwrap();
        actions.output(&[("pending", "2".into())]);
        actions.output_end(Verdict::PutBack, "r-1", "the old one");
        actions.summarize("# lost");
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "pending=2\nverdict=put_back\nexit=4\nrun=r-1\nproduction=the old one\n");
    }

    #[test]
    fn a_file_is_named_from_the_repositorys_root() {
        let actions = Actions { workspace: Some("/w/repo".into()), ..Actions::default() };
        assert_eq!(actions.name_of(Path::new("/w/repo/db/migrations/a.sql")), "db/migrations/a.sql");
        assert_eq!(actions.name_of(Path::new("/elsewhere/a.sql")), "/elsewhere/a.sql");
    }
}
