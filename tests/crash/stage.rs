//! A project that is set up once and put back to its beginning for every kill, and what must hold afterwards.

use std::time::{Duration, Instant};

use backstay::backup::attributes::DatabaseAttributes;

use crate::app;
use crate::common::pristine::{Pristine, Snapshot};
use crate::common::project::{Ended, Project};
use crate::common::{cluster, session};
use crate::driver::records;

/// A release that ends one way if nobody disturbs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Ends with 0.
    Good,
    /// Its migration fails behind the fence: 4.
    BadMigration,
    /// Its health check fails after `open`: 4.
    Unhealthy,
}

/// A project with a database to be brought back, and what it is before and after a good release.
pub struct Stage {
    /// The project.
    pub project: Project,
    pristine: Pristine,
    new: Snapshot,
}

impl Stage {
    /// A shop with this release before it.
    pub async fn of(release: Release) -> Self {
        let project = Project::shop().await;
        let pristine = Pristine::of(&project).await;
        let new = pristine.migrated(&project, &project.path("migrations")).await;
        let stage = Self { project, pristine, new };
        stage.prepare(release);
        stage.reset().await;
        stage
    }

    fn prepare(&self, release: Release) {
        let project = &self.project;
        let url = app::serve(project.path("version"));
        let health = format!("url = \"{url}\"\ninterval = \"50ms\"\ndeadline = \"300ms\"");
        project.edit(
            "config/production.toml",
            "url = \"${HEALTH_URL:-http://127.0.0.1:8000/health}\"",
            &health,
        );
        let version = if release == Release::Unhealthy { "broken" } else { "new" };
        // The pause is where a kill finds the command under way; the words come after it, so an orphan is seen.
        self.deploy_with(&format!("sleep 0.3; echo {version} > version; echo deployed >> deployed"));
        if release == Release::BadMigration {
            project.write(
                "migrations/bad.sql",
                "-- revision: bad000000001\n-- revises: c08085465bad\n-- A migration that fails half-way\n\n\
                 -- upgrade\nALTER TABLE orders ADD COLUMN half integer;\nSELECT 1 / 0;\n\
                 -- downgrade\nALTER TABLE orders DROP COLUMN half;\n",
            );
        }
    }

    /// Sets what `deploy` does; its undo brings the old version back and says so.
    pub fn deploy_with(&self, script: &str) {
        self.project.set_deploy(script, "echo old > version; echo undone >> deployed");
    }

    /// Puts database and files back to the beginning.
    pub async fn reset(&self) {
        let project = &self.project;
        self.pristine.restore(project).await;
        let _ = std::fs::remove_dir_all(project.path("backstay-store"));
        for file in ["flag", "deployed", "version", "RELEASES.md", "schema.sql"] {
            let _ = std::fs::remove_file(project.path(file));
        }
    }

    /// Everything that must hold once a run has ended with `code`: 0, 3 or 4.
    #[track_caller]
    pub fn expect(&self, ended: &Ended, code: i32, story: &str) -> Verified<'_> {
        assert_eq!(ended.code, code, "{story}\n--- stdout\n{}\n--- stderr\n{}", ended.out, ended.err);
        Verified { stage: self, code, story: story.to_string() }
    }

    /// How often `deploy` and its undo had their effect, in order.
    pub fn deployed(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.project.path("deployed")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// What the last record says, in a word or two.
    pub fn last_record(&self) -> String {
        match records(&self.project).last() {
            None => "no record".into(),
            Some(last) => {
                let kind = last["kind"].as_str().unwrap_or_default();
                let line = last["line"].as_str().unwrap_or_default();
                format!(
                    "record {} ({kind} {line} {})",
                    last["number"],
                    last["name"].as_str().unwrap_or_default()
                )
            }
        }
    }

    /// The line that was started and of which no end stands in the journal.
    pub fn under_way(&self) -> Option<String> {
        let records = records(&self.project);
        let last = records.iter().rfind(|record| record["line"].is_string())?;
        (last["kind"] == "started").then(|| last["name"].as_str().unwrap_or_default().to_string())
    }

    /// Whether the newest run's journal ends with its verdict.
    pub fn has_ended(&self) -> bool {
        records(&self.project).last().is_some_and(|record| record["kind"] == "ended")
    }
}

/// What is left to be looked at after an exit code.
#[must_use]
pub struct Verified<'a> {
    stage: &'a Stage,
    code: i32,
    story: String,
}

impl Verified<'_> {
    /// Looks at the database, the flag, the fence, sessions, the deploy's log and `status`.
    pub async fn and_production(self) {
        let (stage, story) = (self.stage, &self.story);
        let project = &stage.project;
        let names = project.databases().await;
        assert!(names.contains(&project.name), "{story}: no database of that name: {names:?}");
        let left: Vec<&String> = names.iter().filter(|name| **name != project.name).collect();
        let fine = |name: &&String| name.contains("__g_") || name.contains("__f_");
        assert!(left.len() <= 1 && left.iter().all(fine), "{story}: left behind: {left:?}");
        assert!(!project.flag_is_up(), "{story}: the flag is up");
        self.same_database().await;
        self.same_attributes().await;
        self.no_sessions().await;
        self.one_effect();
        self.clean_status();
    }

    async fn same_database(&self) {
        let (schema, content) = self.stage.project.state().await;
        let (wanted_schema, wanted) = if self.code == 0 { &self.stage.new } else { &self.stage.pristine.old };
        assert_eq!(&schema, wanted_schema, "{}: another schema", self.story);
        let different: Vec<String> = wanted
            .differences(&content)
            .into_iter()
            .map(|difference| difference.to_string())
            // When and by which run a migration was applied differs by nature.
            .filter(|difference| self.code != 0 || !difference.contains("backstay"))
            .collect();
        assert!(different.is_empty(), "{}: {different:?}", self.story);
        let mut owner = session(&self.stage.project.url()).await;
        let transaction = owner.transaction().await.expect("a transaction");
        transaction
            .batch_execute("INSERT INTO customers (name, email) VALUES ('x', 'x@y')")
            .await
            .expect("a write");
    }

    async fn same_attributes(&self) {
        let admin = session(&cluster().url("postgres", "postgres")).await;
        let now = DatabaseAttributes::read(&admin, &self.stage.project.name).await.expect("attributes");
        assert_eq!(now, self.stage.pristine.attributes, "{}: other attributes", self.story);
    }

    async fn no_sessions(&self) {
        let admin = session(&cluster().url("postgres", "postgres")).await;
        let query = "SELECT pid, datname::text, application_name, state, left(query, 60) FROM pg_stat_activity \
                     WHERE usename = $1";
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let rows = admin.query(query, &[&self.stage.project.name]).await.expect("sessions");
            if rows.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{}: sessions left: {rows:?}", self.story);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn one_effect(&self) {
        let deployed = self.stage.deployed();
        let times = deployed.iter().filter(|line| *line == "deployed").count();
        if self.code == 0 {
            assert_eq!(deployed, ["deployed"], "{}: the deploy's effects", self.story);
        } else {
            assert!(times <= 1, "{}: deployed twice: {deployed:?}", self.story);
            let undone = deployed.last().is_none_or(|line| line == "undone");
            assert!(undone, "{}: the last word is the deploy's: {deployed:?}", self.story);
        }
        let noted = std::fs::read_to_string(self.stage.project.path("RELEASES.md")).unwrap_or_default();
        let expected = usize::from(self.code == 0);
        assert_eq!(noted.lines().count(), expected, "{}: the changelog: {noted}", self.story);
    }

    fn clean_status(&self) {
        let status = self.stage.project.run(&["status", "--json"]).expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
        let verdict = if self.code == 0 { "done" } else { "put_back" };
        assert_eq!(status["flag"]["value"]["up"], false, "{}: {status}", self.story);
        assert_eq!(status["fence"]["value"]["closed"], false, "{}: {status}", self.story);
        assert!(status["run"]["mends"].is_null(), "{}: {verdict} {status}", self.story);
    }
}
