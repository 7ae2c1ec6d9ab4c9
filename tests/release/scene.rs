//! One release of the shop under the storm: what was before, how it ended, and whether production is what
//! the exit code says.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use backstay::backup::schema::compare_schemas;
use serde_json::Value;

use crate::common::project::{Ended, Project, wait_until};
use crate::common::{cluster, session};
use crate::production::{Production, look};
use crate::storm::{self, Storm, Tally};

/// The revision before the release, and after it.
pub const OLD: &str = "989ceebf408f";
/// See [`OLD`].
pub const NEW: &str = "c08085465bad";

/// A project in a storm.
pub struct Scene {
    /// What is played, for messages.
    pub name: &'static str,
    /// The project.
    pub project: Project,
    before: Production,
    storm: Storm,
}

impl Scene {
    /// The shop, with the storm blowing.
    pub async fn open(name: &'static str) -> Self {
        eprintln!("== {name}");
        let project = Project::shop().await;
        Storm::prepare(&project).await;
        let before = look(&project).await;
        let storm = Storm::start(&project);
        Self { name, project, before, storm }
    }

    /// What was before is what is now: the test changed something on purpose.
    pub async fn look_again(&mut self) {
        self.before = look(&self.project).await;
    }

    /// What the storm saw until now.
    pub fn seen(&self) -> Tally {
        self.storm.seen()
    }

    /// Runs the release to its end.
    #[track_caller]
    pub fn release(&self, code: i32) -> Ended {
        self.run(&["run", "release", "--yes"], code)
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], code: i32) -> Ended {
        let ended = self.project.run(arguments);
        assert_eq!(
            ended.code, code,
            "{}: {arguments:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.name, ended.out, ended.err
        );
        ended
    }

    /// Ends the storm, and makes sure that it blew.
    pub fn calm(&mut self) -> Tally {
        let tally = self.storm.calm();
        eprintln!(
            "   storm: {} connections, {} refused, {} cut off, {} statements, {} writes acknowledged",
            tally.connections,
            tally.refusals,
            tally.cut,
            tally.reads,
            tally.acknowledged.len()
        );
        assert!(tally.connections >= storm::CLIENTS as u64, "{}: {tally:?}", self.name);
        tally
    }

    /// Exit 3: production and flag are untouched.
    pub async fn is_untouched(&mut self) {
        let tally = self.calm();
        self.is_the_old_one(&tally).await;
        assert_eq!(self.project.databases().await, std::slice::from_ref(&self.project.name), "{}", self.name);
        assert!(!self.project.path("deployed").exists(), "{}: deployed", self.name);
        let flag = std::fs::read_to_string(self.project.path("flag"));
        assert!(
            flag.is_err() || flag.is_ok_and(|held| held == "run=somebody-else\n"),
            "{}: the flag",
            self.name
        );
    }

    /// Exit 4: the old one serves, verified, and nothing is left up.
    pub async fn is_put_back(&mut self) {
        self.is_serving_old("put_back").await;
    }

    /// There was a window, and the schema and the content are as they were.
    pub async fn is_serving_old(&mut self, verdict: &str) {
        let tally = self.calm();
        assert!(tally.cut > 0 && tally.refusals > 0, "{}: the window shut nobody out: {tally:?}", self.name);
        self.is_the_old_one(&tally).await;
        assert!(!self.project.flag_is_up(), "{}: the flag is up", self.name);
        self.has_no_fence().await;
        self.status_says_all(&[("run", verdict), ("flag", "down"), ("fence", "open")]);
    }

    /// Exit 0 and 7: the new one serves.
    pub async fn is_new(&mut self, verdict: &str) {
        let tally = self.calm();
        assert!(tally.cut > 0 && tally.refusals > 0, "{}: the window shut nobody out: {tally:?}", self.name);
        assert_eq!(self.revision().await, NEW, "{}", self.name);
        let now = look(&self.project).await;
        assert_eq!(now.attributes, self.before.attributes, "{}", self.name);
        assert!(!self.project.flag_is_up(), "{}: the flag is up", self.name);
        self.has_no_fence().await;
        self.kept_writes(&self.project.name, &tally).await;
        self.lets_write().await;
        self.status_says_all(&[("run", verdict), ("flag", "down"), ("fence", "open")]);
    }

    /// Exit 5: the flag is up, the run can be resumed, and `status` says so. The storm goes on.
    pub fn is_in_maintenance(&self) {
        assert!(self.project.flag_is_up(), "{}: the flag is down", self.name);
        let status = self.status_says_all(&[("run", "not_put_back"), ("flag", "UP")]);
        let mends = status["run"]["mends"].to_string();
        assert!(mends.contains("backstay resume"), "{}: {mends}", self.name);
    }

    async fn is_the_old_one(&self, tally: &Tally) {
        let (name, now) = (self.name, look(&self.project).await);
        assert_eq!(compare_schemas(&self.before.schema, &now.schema), None, "{name}: the schema");
        let differences = self.before.content.differences(&now.content);
        assert!(differences.is_empty(), "{name}: {differences:?}");
        assert_eq!(now.attributes, self.before.attributes, "{name}: the database's attributes");
        assert_eq!(self.revision().await, OLD, "{name}");
        self.kept_writes(&self.project.name, tally).await;
        self.lets_write().await;
    }

    /// Every acknowledged write of the storm is in this database.
    pub async fn kept_writes(&self, database: &str, tally: &Tally) {
        let admin = session(&cluster().url("postgres", database)).await;
        let rows =
            admin.query(&format!("SELECT id FROM {}", storm::TABLE), &[]).await.expect("the storm's rows");
        let there: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        let lost: Vec<_> = tally.acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "{}: acknowledged writes are lost: {lost:?}", self.name);
    }

    /// A fresh session of the application's can write.
    pub async fn lets_write(&self) {
        let session = session(&self.project.url()).await;
        let written = session.execute(&format!("INSERT INTO {} VALUES (-1)", storm::TABLE), &[]).await;
        assert_eq!(written.expect("a write in a fresh session"), 1, "{}", self.name);
        session
            .execute(&format!("DELETE FROM {} WHERE id = -1", storm::TABLE), &[])
            .await
            .expect("tidied up");
    }

    /// No database of this project is called as behind a fence, and production lets sessions in.
    pub async fn has_no_fence(&self) {
        let names = self.project.databases().await;
        assert!(names.contains(&self.project.name), "{}: {names:?}", self.name);
        assert!(!names.iter().any(|name| name.contains("__w_")), "{}: {names:?}", self.name);
    }

    /// The one companion of this kind: `g` for guard, `f` for failed.
    pub async fn companion(&self, letter: &str) -> String {
        let names = self.project.databases().await;
        let found: Vec<_> = names
            .iter()
            .filter(|name| name.starts_with(&format!("{}__{letter}_", self.project.name)))
            .collect();
        assert_eq!(found.len(), 1, "{}: of {letter}: {names:?}", self.name);
        found[0].clone()
    }

    /// What the version table of production says.
    pub async fn revision(&self) -> String {
        let session = session(&self.project.url()).await;
        let row = session.query_one("SELECT version_num::text FROM alembic_version", &[]).await;
        row.expect("one revision").get(0)
    }

    /// `backstay status`, as programs read it.
    pub fn status(&self) -> Value {
        let ended = self.run(&["status", "--json"], 0);
        serde_json::from_str(&ended.out).expect("one JSON document")
    }

    /// What `backstay status` says of a thing.
    pub fn status_says(&self, thing: &str, text: &str) {
        self.status_says_all(&[(thing, text)]);
    }

    /// What `backstay status` says of several things at once.
    pub fn status_says_all(&self, facts: &[(&str, &str)]) -> Value {
        let status = self.status();
        facts.iter().for_each(|(thing, text)| self.says_of(&status, thing, text));
        status
    }

    fn says_of(&self, status: &Value, thing: &str, text: &str) {
        // A person reads a verdict's words; the token is in the value.
        let text = &if thing == "run" { text.replace('_', " ") } else { text.to_string() };
        let facts = status[thing].as_array().cloned().unwrap_or_else(|| vec![status[thing].clone()]);
        let said: Vec<_> = facts.iter().filter_map(|fact| fact["text"].as_str()).collect();
        assert!(
            said.iter().any(|said| said.contains(text.as_str())),
            "{}: {thing} is {said:?}, not {text:?}",
            self.name
        );
    }

    /// The id of the newest run.
    pub fn run_id(&self) -> String {
        let journal = self.project.journal();
        journal[0].1["run"].as_str().expect("a run").to_string()
    }

    /// Statements of a superuser, in this database.
    pub async fn as_superuser(&self, database: &str, statements: &str) {
        let admin = session(&cluster().url("postgres", database)).await;
        admin.batch_execute(statements).await.unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
        // Dropped, it would end when this runtime comes round to it: after the run that the test waits for.
        admin.close().await;
    }

    /// Starts the release, which a gate holds up; comes back when it stands there.
    pub fn release_to_gate(&self, gate: &str) -> Running {
        let mut command = self.project.command(&["run", "release", "--yes"]);
        let running = Running::start(&mut command);
        let at = self.project.path(&format!("at-{gate}"));
        wait_until("the gate", || at.exists());
        running
    }

    /// Lets the release through a gate.
    pub fn open_gate(&self, gate: &str) {
        self.project.write(&format!("open-{gate}"), "");
    }
}

/// A run of the binary that goes on while the test does something.
pub struct Running(Child);

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary"))
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("a dead driver");
    }

    /// Waits for its end.
    pub fn end(self) -> Ended {
        Ended::of(self.0.wait_with_output().expect("an end"))
    }
}

impl Ended {
    /// Fails unless this was said, whatever the lines were broken at.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let said = self.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(text), "{text:?} was not said:\n{}", self.err);
        self
    }
}
