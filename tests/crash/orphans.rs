//! What goes on after the driver's death: statements in the server, programs on the machine.

use std::time::Duration;

use backstay::window::tag::Tag;

use crate::driver::Driver;
use crate::stage::{Release, Stage};

const AFTER: &str =
    "-- revision: slow00000001\n-- revises: c08085465bad\n-- A migration that takes its time\n";

fn migration(stage: &Stage, options: &str, upgrade: &str) {
    stage.project.write(
        "migrations/slow.sql",
        &format!("{AFTER}{options}\n-- upgrade\n{upgrade}\n\n-- downgrade\nSELECT 1;\n"),
    );
}

/// Kills the release in its migration, while the server is in `pg_sleep`.
async fn killed_in_its_sleep(stage: &Stage, arguments: &[&str]) {
    let mut driver = Driver::start(&stage.project, arguments);
    driver.starts(&stage.project, "migrate");
    let admin = crate::common::session(&crate::common::cluster().url("postgres", "postgres")).await;
    let query = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'PgSleep'";
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while admin.query_one(query, &[&stage.project.name]).await.expect("sessions").get::<_, i64>(0) == 0 {
        assert!(std::time::Instant::now() < deadline, "nobody sleeps");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    driver.kill();
}

/// Whoever is behind the fence names the run and its driver, the watcher of a long statement too: what a takeover has to
/// end is known by that.
#[tokio::test]
async fn every_session_behind_the_fence_names_its_driver() {
    let stage = Stage::of(Release::Good).await;
    migration(&stage, "", "SELECT pg_sleep(30);");
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    let admin = crate::common::session(&crate::common::cluster().url("postgres", "postgres")).await;
    let query =
        "SELECT application_name FROM pg_stat_activity WHERE usename = $1 AND datname LIKE '%\\_\\_w\\_%'";
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let mut names: Vec<String> = Vec::new();
    while names.len() < 2 {
        assert!(std::time::Instant::now() < deadline, "nobody watches: {names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let rows = admin.query(query, &[&stage.project.name]).await.expect("sessions");
        names = rows.iter().map(|row| row.get(0)).collect();
    }
    driver.kill();
    for name in names {
        assert!(Tag::parse(&name).is_some_and(|tag| tag.epoch == 1), "{name}");
    }
    // The migration before it is applied; what is left of what was approved has changed meanwhile.
    stage.project.edit("migrations/slow.sql", "30", "0");
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(ended.err.contains("could not migrate what was approved"), "{}", ended.err);
    stage.expect(&ended, 4, "edited between death and resume").and_production().await;
}

/// The statement of the dead driver ends with it; the next ones apply the migration once, or put it back.
#[tokio::test]
async fn a_statement_of_a_dead_driver_takes_no_effect() {
    let stage = Stage::of(Release::Good).await;
    stage.project.edit("runbooks/release.toml", "to = \"head\"", "to = \"slow00000001\"");
    migration(
        &stage,
        "",
        "INSERT INTO customers (name, email) VALUES ('early', 'early');\nSELECT pg_sleep(2);\nUPDATE customers SET name = name || '+' WHERE id <= 3;",
    );
    killed_in_its_sleep(&stage, &["run", "release", "--yes"]).await;
    killed_in_its_sleep(&stage, &["resume", "--yes"]).await;
    let ended = stage.project.run(&["resume", "--yes"]).expect(0);
    assert!(ended.err.contains("slow00000001"), "{}", ended.err);
    // Longer than any orphan could have slept on.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let owner = crate::common::session(&stage.project.url()).await;
    let query = "SELECT count(*) FILTER (WHERE email = 'early'), count(*) FILTER (WHERE name LIKE '%+'), \
                 count(*) FILTER (WHERE name LIKE '%++') FROM customers";
    let row = owner.query_one(query, &[]).await.expect("the customers");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (1, 3, 0), "applied once");
}

/// Outside a transaction nobody can know how far it came: the guard is put back, whatever the orphan did.
#[tokio::test]
async fn a_migration_outside_a_transaction_that_was_under_way_is_put_back() {
    let stage = Stage::of(Release::Good).await;
    migration(
        &stage,
        "-- transaction: off\n",
        "ALTER TABLE orders ADD COLUMN one integer;\nSELECT pg_sleep(3);\nALTER TABLE orders ADD COLUMN two integer;",
    );
    killed_in_its_sleep(&stage, &["run", "release", "--yes"]).await;
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(ended.err.contains("outside a transaction"), "{}", ended.err);
    let resumed = stage.expect(&ended, 4, "killed between two statements outside a transaction");
    tokio::time::sleep(Duration::from_millis(3200)).await;
    resumed.and_production().await;
}

/// A deploy script that survives its driver must not have the last word.
#[tokio::test]
async fn a_deploy_that_outlives_its_driver_does_not_deploy_after_its_undo() {
    let stage = Stage::of(Release::Good).await;
    stage.deploy_with("(sleep 2; echo deployed >> deployed) & sleep 2; echo deployed >> deployed");
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "deploy");
    std::thread::sleep(Duration::from_millis(100));
    driver.kill();
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(ended.err.contains("still alive"), "{}", ended.err);
    let resumed = stage.expect(&ended, 4, "the deploy outlived its driver");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(stage.deployed(), ["undone"]);
    resumed.and_production().await;
}

/// A migrator that we can't find, and that connects again and again under the name it was given, stays out.
#[tokio::test]
async fn a_migrator_that_outlives_its_driver_is_fenced_out() {
    let stage = Stage::of(Release::Good).await;
    stage.project.edit(
        "runbooks/release.toml",
        "[[during]]\nstep = \"verify\"",
        "[[during]]\nstep = \"command\"\nname = \"load\"\nrun = [\"sh\", \"loader\"]\nundo = \"none\"\n\n[[during]]\nstep = \"verify\"",
    );
    let psql = crate::common::cluster().binaries().join("psql");
    // It sheds the marks in its environment, as a migrator started through sudo does.
    stage.project.write(
        "loader",
        &format!(
            "url=$DATABASE_URL\nenv -i setsid sh -c 'while [ ! -e enough ]; do {} -qc \"INSERT INTO customers (name, email) \
             VALUES (now()::text, clock_timestamp()::text)\" \"$0\"; sleep 0.01; done' \"$url\" >/dev/null 2>&1 &\nsleep 20\n",
            psql.display()
        ),
    );
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "load");
    std::thread::sleep(Duration::from_millis(500));
    driver.kill();
    let ended = stage.project.run(&["resume", "--yes"]);
    let resumed = stage.expect(&ended, 4, "a loader went on writing");
    std::thread::sleep(Duration::from_millis(500));
    stage.project.write("enough", "");
    resumed.and_production().await;
}

/// What the flag and the pooler are told with: the first to be told `$(cat hangs)` says who it is, and hangs.
const TOLD: &str = "\
if [ \"$1\" = \"$(cat hangs)\" ] && [ ! -e orphan ]; then
  echo $$ > orphan.new; mv orphan.new orphan
  while [ ! -e go ]; do sleep 0.02; done
fi
case $1 in on) touch flag;; off) rm -f flag;; status) test -e flag;; *) echo $1 >> pooler;; esac
";

/// A program of the flag or of the pooler that survives its driver must not have the last word: it would raise the
/// flag over a run that has ended, take the next one's down, or pause production.
#[tokio::test]
async fn what_tells_the_flag_or_the_pooler_does_not_outlive_its_driver() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    let flag = "flag = { file = \"${MAINTENANCE_FLAG:-/opt/app/maintenance}\" }";
    assert!(config.contains(flag), "{config}");
    let told = |verb: &str| format!("[\"sh\", \"told\", \"{verb}\"]");
    let commands =
        format!("flag = {{ on = {}, off = {}, status = {} }}", told("on"), told("off"), told("status"));
    let pooler = format!("[database.pooler]\npause = {}\nresume = {}\n", told("pause"), told("resume"));
    let config = config.replace(flag, &commands);
    let config = config
        .replace("url = \"${DATABASE_URL}\"", "url = \"${DATABASE_URL}\"\nadmin_url = \"${ADMIN_URL}\"");
    project.write("config/production.toml", &format!("{config}\n{pooler}"));
    // Another name for the same place: a pooler must be got past.
    let env = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
    let admin_url = project.url().replace("127.0.0.1", "localhost");
    project.write(".env.production", &format!("{env}ADMIN_URL={admin_url}\n"));
    project.write("told", TOLD);
    for (verb, line) in [
        ("on", "raise the flag"),
        ("pause", "close the database"),
        ("resume", "open the database"),
        ("off", "clear the flag"),
    ] {
        stage.reset().await;
        let _ = std::fs::remove_file(project.path("orphan"));
        project.write("hangs", verb);
        let mut driver = Driver::start(project, &["run", "release", "--yes"]);
        driver.starts(project, line);
        crate::patiently(verb, || project.path("orphan").exists());
        driver.kill();
        let ended = project.run(&["resume", "--yes"]);
        let resumed = stage.expect(&ended, 0, &format!("{verb} hung, and its driver was killed"));
        assert!(!crate::runs_on(project, "orphan"), "{verb} outlived its driver");
        resumed.and_production().await;
    }
}
