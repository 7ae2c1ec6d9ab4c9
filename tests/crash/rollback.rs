//! `backstay rollback`: a release that has ended is taken back, by each way, from wherever the store is, and whoever dies
//! over it.

use std::path::{Path, PathBuf};
use std::process::Command;

use backstay::demo::cluster::Cluster;
use backstay::window::ledger::{Document, FileKind};
use serde_json::Value;

use crate::common::project::{Ended, Project, SENTINEL};
use crate::common::{cluster, session};
use crate::driver::{Driver, records};

pub const OLD: &str = "989ceebf408f";
pub const NEW: &str = "c08085465bad";

/// What users do once the release serves: three rows, one deletion.
const WRITES: &str =
    "INSERT INTO customers (name, email) VALUES ('Ada', 'ada@example.org'), ('Grace', 'g@example.org');
    UPDATE orders SET note = 'urgent' WHERE id = 7;
    DELETE FROM order_items WHERE order_id = 9";

/// A shop that was released to, and written to since.
pub struct Scene {
    pub project: Project,
    release: String,
}

impl Scene {
    pub async fn released() -> Self {
        let project = Project::shop().await;
        project.set_deploy("echo new >> deployed", "echo old >> deployed");
        Self::release(project).await
    }

    async fn release(project: Project) -> Self {
        project.run(&["run", "release", "--yes"]).expect(0);
        let release = records(&project)[0]["run"].as_str().expect("a run").to_string();
        let users = session(&project.url()).await;
        users.batch_execute(WRITES).await.expect("writes");
        users.close().await;
        Self { project, release }
    }

    fn rolls_back(&self, arguments: &[&str], code: i32) -> Ended {
        self.project.run(&[&["rollback"], arguments].concat()).expect(code)
    }

    /// The revision, and how many of the rows that users wrote are in production.
    pub async fn serves(&self) -> (String, i64) {
        serves(&self.project.url()).await
    }

    /// Nothing of the window is left: the flag is down, nothing is fenced.
    pub async fn is_calm(&self) {
        let names = self.project.databases().await;
        assert!(!self.project.flag_is_up() && !names.iter().any(|name| name.contains("__w_")), "{names:?}");
    }

    /// Until the newest run is another one than the release.
    pub fn waits_for_a_run(&self) {
        let is_new = |record: &Value| record["run"] != self.release;
        crate::patiently("a run", || records(&self.project).first().is_some_and(is_new));
    }

    /// What the newest run's ledger has of each table: rows and deletions.
    pub fn ledger_counts(&self) -> Vec<(String, Option<u64>, u64)> {
        self.ledger().counts().into_iter().map(|(name, rows, gone)| (name.to_string(), rows, gone)).collect()
    }

    fn ledger(&self) -> Ledger {
        Ledger::newest(&self.project.path("backstay-store"))
    }
}

async fn serves(url: &str) -> (String, i64) {
    let owner = session(url).await;
    let query = "SELECT version_num::text, (SELECT count(*) FROM customers WHERE name IN ('Ada', 'Grace')) \
                 + (SELECT count(*) FROM orders WHERE note = 'urgent') FROM alembic_version";
    let row = owner.query_one(query, &[]).await.expect("production");
    (row.get(0), row.get(1))
}

/// The ledger of the newest run.
struct Ledger {
    folder: PathBuf,
    document: Document,
}

impl Ledger {
    fn newest(store: &Path) -> Self {
        let runs = std::fs::read_dir(store.join("runs")).expect("runs");
        let run = runs.map(|entry| entry.expect("a run").path()).max().expect("a run");
        let epochs = std::fs::read_dir(run.join("ledger")).expect("a ledger");
        let folder = epochs.map(|entry| entry.expect("an epoch").path()).max().expect("an epoch");
        let document = Document::parse(&std::fs::read(folder.join("ledger.json")).expect("ledger.json"));
        Self { folder, document: document.expect("a ledger") }
    }

    /// What each table has in it: rows and deletions.
    fn counts(&self) -> Vec<(&str, Option<u64>, u64)> {
        let tables = self.document.tables.iter();
        let mut counts: Vec<_> =
            tables.map(|table| (&*table.table.name, table.rows, table.deleted)).collect();
        counts.sort_unstable();
        counts
    }

    /// Loads it as an operator would.
    fn load(&self, url: &str) {
        let file = |kind: FileKind| self.document.files.iter().filter(move |file| file.kind == kind);
        for one in file(FileKind::Deleted).chain(file(FileKind::Rows)).chain(file(FileKind::Sequences)) {
            let psql = cluster().binaries().join("psql");
            let script = format!("gunzip -c \"$1\" | {} -X -v ON_ERROR_STOP=1 -d \"$2\"", psql.display());
            let path = self.folder.join(&one.name);
            let loaded = Command::new("sh").args(["-c", &script, "sh"]).arg(path).arg(url).output();
            let loaded = loaded.expect("psql");
            assert!(loaded.status.success(), "{}: {loaded:?}", one.name);
        }
    }
}

/// The emergency at its worst: the machine that released is gone, the store is there.
#[tokio::test]
async fn by_guard_from_another_directory() {
    let scene = Scene::released().await;
    let project = &scene.project;
    let elsewhere = tempfile::tempdir().expect("a folder");
    let at = |name: &str| elsewhere.path().join(name);
    std::fs::create_dir(at("config")).expect("a folder");
    std::fs::rename(project.path("config/production.toml"), at("config/production.toml")).expect("a config");
    std::fs::rename(project.path("backstay-store"), at("store")).expect("the store");
    let env = std::fs::read_to_string(project.path(".env.production")).expect("an env file");
    std::fs::write(at(".env.production"), format!("{env}BACKSTAY_STORE=file://{}\n", at("store").display()))
        .expect("an env file");
    crate::common::keep_private(&at(".env.production"));
    for gone in ["runbooks", "migrations"] {
        std::fs::remove_dir_all(project.path(gone)).expect("gone");
    }

    let mut command = project.command(&["rollback", "--by", "guard", "--yes"]);
    let ended = Ended::of(command.current_dir(elsewhere.path()).output().expect("a run")).expect(0);
    for words in
        ["takes production's place", "3 rows and 1 deletion of since go to the ledger", "kept as runs/"]
    {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    assert_eq!(scene.serves().await, (OLD.to_string(), 0));
    scene.is_calm().await;
    assert_eq!(std::fs::read_to_string(at("deployed")).expect("old code"), "old\n");
    let kept = project.databases().await.into_iter().find(|name| name.contains("__f_")).expect("kept");

    let ledger = Ledger::newest(&at("store"));
    let wanted = [("customers", Some(2), 0), ("order_items", Some(0), 1), ("orders", Some(1), 0)];
    assert_eq!(ledger.counts(), wanted);
    assert_eq!(ledger.document.database.kept_as, kept);
    ledger.load(&project.url());
    assert_eq!(scene.serves().await, (OLD.to_string(), 3), "and they load again");

    let again = project.command(&["rollback", "--yes"]).current_dir(elsewhere.path()).output();
    let refused = Ended::of(again.expect("a run")).expect(3);
    assert!(refused.err.contains("a rollback itself"), "{}", refused.err);
}

#[tokio::test]
async fn by_downgrade_what_was_written_stays() {
    let scene = Scene::released().await;
    let users = session(&scene.project.url()).await;
    users.batch_execute("UPDATE orders SET priority = 2 WHERE id = 8").await.expect("a write");
    // The migration's own downgrade refuses to lose that.
    let ended = scene.rolls_back(&["--by", "downgrade", "--yes"], 4);
    assert!(ended.err.contains("Keep them elsewhere first"), "{}", ended.err);
    assert_eq!(scene.serves().await, (NEW.to_string(), 3));
    scene.is_calm().await;
    // Production is a clone of what the release opened now, and what was written since is known all the same.
    let users = session(&scene.project.url()).await;
    users.batch_execute("UPDATE orders SET priority = 0 WHERE id = 8").await.expect("a write");
    users.close().await;
    // It is what is recommended where somebody wrote.
    let ended = scene.rolls_back(&["--json", "--yes"], 0);
    let first: Value = serde_json::from_str(ended.out.lines().next().expect("an object")).expect("JSON");
    assert_eq!((&first["event"], &first["chosen"]), (&"rollback".into(), &"downgrade".into()), "{first}");
    assert_eq!((&first["written"]["rows"], &first["written"]["deleted"]), (&4.into(), &1.into()), "{first}");
    assert_eq!(first["release"]["run"], scene.release, "{first}");
    let last: Value = serde_json::from_str(ended.out.lines().last().expect("an object")).expect("JSON");
    assert_eq!((&last["verdict"], &last["exit"]), (&"done".into(), &0.into()), "{last}");
    assert_eq!(scene.serves().await, (OLD.to_string(), 3));
    scene.is_calm().await;
    assert_eq!(std::fs::read_to_string(scene.project.path("deployed")).unwrap(), "new\nold\n");
}

#[tokio::test]
async fn from_the_backup_and_back_again_if_the_old_code_is_ill() {
    let scene = Scene::released().await;
    let health = "[[health.http]]";
    scene.project.edit(
        "config/production.toml",
        health,
        &format!("{health}\ninterval = \"50ms\"\ndeadline = \"300ms\""),
    );
    scene.project.set_deploy("rm -f health", "echo 503 > health");
    let ended = scene.rolls_back(&["--by", "backup", "--yes"], 4);
    assert!(ended.err.contains("as before the rollback, serving, verified"), "{}", ended.err);
    assert_eq!(scene.serves().await, (NEW.to_string(), 3), "production is as it was");
    scene.is_calm().await;

    scene.project.set_deploy("true", "true");
    scene.rolls_back(&["--by", "backup", "--yes"], 0);
    assert_eq!(scene.serves().await, (OLD.to_string(), 0));
    scene.is_calm().await;
    let ledger = scene.ledger();
    let found = ledger.counts();
    assert!(
        found.contains(&("customers", Some(2), 0)) && found.contains(&("order_items", Some(0), 1)),
        "{found:?}"
    );
    let owner = session(&scene.project.url()).await;
    let query = "SELECT rolconnlimit = -1 AND datconnlimit = 150 FROM pg_database, pg_roles \
                 WHERE datname = current_database() AND rolname = current_user";
    assert!(owner.query_one(query, &[]).await.expect("attributes").get::<_, bool>(0), "its attributes");
}

#[tokio::test]
async fn a_database_that_is_gone_comes_from_the_store() {
    let scene = Scene::released().await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    for name in scene.project.databases().await {
        admin.batch_execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await.expect("a disaster");
    }
    // The first try fails, and is gone on with: there is nothing to go back to.
    scene.project.set_deploy("true", "exit 3");
    let ended = scene.rolls_back(&["--yes"], 5);
    assert!(ended.err.contains("the database is gone"), "{}", ended.err);
    assert!(scene.project.flag_is_up());
    scene.project.set_deploy("true", "true");
    let again = scene.project.run(&["resume", "--yes"]);
    // The runbook's variables were changed meanwhile, not its lines.
    again.expect(0);
    assert_eq!(scene.serves().await, (OLD.to_string(), 0));
    scene.is_calm().await;
}

/// The server itself is gone: another one, empty, has nothing but the role that connects. What else the backup names is made.
#[tokio::test]
async fn a_server_that_is_gone_comes_from_the_store() {
    let project = Project::shop().await;
    let (name, readers) = (project.name.clone(), format!("{}_readers", project.name));
    let admin = session(&cluster().url("postgres", "postgres")).await;
    admin.batch_execute(&format!("CREATE ROLE {readers}")).await.expect("a role");
    let owner = session(&project.url()).await;
    owner.batch_execute(&format!("GRANT SELECT ON customers TO {readers}")).await.expect("a grant");
    owner.close().await;
    let scene = Scene::release(project).await;
    let other =
        Cluster::start_from(&crate::common::pack(), &["max_connections = 50"]).expect("another server");
    let admin = session(&other.url("postgres", "postgres")).await;
    admin
        .batch_execute(&format!("CREATE ROLE {name} LOGIN CREATEDB CREATEROLE PASSWORD '{SENTINEL}'"))
        .await
        .expect("the role that connects");
    let (here, there) = (format!(":{}/", cluster().port()), format!(":{}/", other.port()));
    scene.project.edit(".env.production", &here, &there);
    let ended = scene.rolls_back(&["--by", "backup", "--yes"], 0);
    assert!(ended.err.contains("gone: there is none of production's name"), "{}", ended.err);
    assert_eq!(serves(&other.url(&name, &name)).await, (OLD.to_string(), 0));
    let query = "SELECT has_table_privilege($1, 'customers', 'SELECT')";
    let restored = session(&other.url(&name, &name)).await;
    assert!(restored.query_one(query, &[&readers]).await.expect("a grant").get::<_, bool>(0));
    assert!(!scene.project.flag_is_up());
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let project = Project::shop().await;
    project.set_deploy("true", "true");
    let nothing = project.run(&["rollback", "--yes"]).expect(3);
    assert!(nothing.err.contains("has put a new version into production"), "{}", nothing.err);
    let scene = Scene::release(project).await;
    let unanswered = scene.rolls_back(&[], 2);
    assert!(
        unanswered.err.contains("give --yes") && unanswered.err.contains("recommended"),
        "{}",
        unanswered.err
    );
    let untold = scene.project.run(&["run", "emergency-rollback", "--yes"]).expect(2);
    assert!(untold.err.contains("backstay rollback"), "{}", untold.err);
    scene.project.run(&["cleanup", "--yes", "--older-than", "0s"]).expect(0);
    let cleaned = scene.rolls_back(&["--by", "guard", "--yes"], 3);
    for words in ["was cleaned up", "backstay rollback --by downgrade", "backstay rollback --by backup"] {
        assert!(cleaned.err.contains(words), "{words}: {}", cleaned.err);
    }
    assert_eq!(scene.serves().await, (NEW.to_string(), 3));
    scene.is_calm().await;

    let mut driver = Driver::start(&scene.project, &["run", "release", "--yes"]);
    scene.waits_for_a_run();
    driver.starts(&scene.project, "backup");
    driver.kill();
    let unfinished = scene.rolls_back(&["--by", "downgrade", "--yes"], 3);
    assert!(
        unfinished.err.contains("is not finished") && unfinished.err.contains("backstay resume"),
        "{}",
        unfinished.err
    );
}

/// Whoever dies over it: the next driver ends it, or production is as it was.
#[tokio::test]
async fn a_rollback_that_is_killed_is_gone_on_with() {
    for (line, code) in [
        ("close the database", 0),
        ("rollback by the guard", 0),
        ("open the database", 0),
        ("start the old code", 4),
    ] {
        let project = Project::shop().await;
        project.set_deploy("echo new >> deployed", "sleep 0.2; echo old >> deployed");
        let scene = Scene::release(project).await;
        let mut driver = Driver::start(&scene.project, &["rollback", "--by", "guard", "--yes"]);
        scene.waits_for_a_run();
        driver.starts(&scene.project, line);
        driver.kill();
        let ended = scene.project.run(&["resume", "--yes"]);
        assert_eq!(ended.code, code, "{line}: {}", ended.err);
        let wanted = if code == 0 { (OLD, 0) } else { (NEW, 3) };
        assert_eq!(scene.serves().await, (wanted.0.to_string(), wanted.1), "{line}");
        scene.is_calm().await;
        if code == 0 {
            let ledger = scene.ledger();
            let wanted = [("customers", Some(2), 0), ("order_items", Some(0), 1), ("orders", Some(1), 0)];
            assert_eq!(ledger.counts(), wanted, "{line}");
        }
    }
}

/// A rollback has other lines than its runbook alone tells: it takes no guard where another database takes production's
/// place. What was answered before the death of its driver is not asked again.
#[tokio::test]
async fn a_rollback_with_a_checklist_is_gone_on_with() {
    let project = Project::shop().await;
    let shipped = include_str!("../../runbooks/emergency-rollback.toml");
    let own = "\n[[after]]\nstep = \"checklist\"\nname = \"tell\"\nask = \"Is support told?\"\n\
               [[after]]\nstep = \"command\"\nname = \"linger\"\nrun = [\"sh\", \"-c\", \"test -e quick || sleep 30\"]\n";
    project.write("runbooks/emergency-rollback.toml", &format!("{shipped}{own}"));
    let scene = Scene::release(project).await;
    let refused = scene.rolls_back(&["--by", "guard", "--yes"], 2);
    assert!(refused.err.contains("\"Is support told?\" = "), "{}", refused.err);
    scene.project.write("answers.toml", "\"Is support told?\" = true\n");
    let told = ["rollback", "--by", "guard", "--yes", "--answers", "answers.toml"];
    let mut driver = Driver::start(&scene.project, &told);
    scene.waits_for_a_run();
    driver.starts(&scene.project, "linger");
    driver.kill();
    scene.project.write("quick", "");
    scene.project.run(&["resume", "--yes"]).expect(0);
    assert_eq!(scene.serves().await, (OLD.to_string(), 0));
    scene.is_calm().await;
}
