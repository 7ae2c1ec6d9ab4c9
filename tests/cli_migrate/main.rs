//! `backstay migrate …`, the real program on a real server.

#[path = "../common/mod.rs"]
mod common;
mod files;

use common::command_line::{CommandLine, SECRET};

use std::process::{Command, Stdio};
use std::time::Duration;

use backstay::pg::ConnInfo;
use backstay::window::admin::Admin;
use serde_json::json;

const FIRST: &str = "-- revision: c08085465bad\n-- Initial schema\n\n-- upgrade\n\
    CREATE TABLE users (id int PRIMARY KEY);\nINSERT INTO users VALUES (1);\n-- downgrade\nDROP TABLE users;\n";
const SECOND: &str = "-- revision: 989ceebf408f\n-- revises: c08085465bad\n-- Add priority to questions\n\n\
    -- upgrade\nALTER TABLE users ADD priority int;\n-- downgrade\nALTER TABLE users DROP priority;\n";

/// With two migrations that are good.
async fn project(toml: &str) -> CommandLine {
    let project = CommandLine::new(toml).await;
    project.write("migrations/1_initial.sql", FIRST);
    project.write("migrations/2_priority.sql", SECOND);
    project
}

#[tokio::test]
async fn up_and_down_as_with_alembic() {
    let p = project("").await;
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "");
    assert_eq!(p.expect(0, &["migrate", "heads"]).stdout, "989ceebf408f (head)\n");
    let up = p.expect(0, &["migrate", "upgrade", "head"]);
    assert!(up.stdout.starts_with("applied c08085465bad, 989ceebf408f in "), "{}", up.stdout);
    let lines: Vec<&str> = up.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", up.stderr);
    assert!(lines[0].starts_with("Running upgrade  -> c08085465bad, Initial schema ("), "{}", lines[0]);
    assert!(
        lines[1].starts_with("Running upgrade c08085465bad -> 989ceebf408f, Add priority"),
        "{}",
        lines[1]
    );
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "989ceebf408f (head)\n");
    assert_eq!(p.expect(0, &["migrate", "upgrade", "head"]).stdout, "nothing to upgrade\n");

    let down = p.expect(0, &["migrate", "downgrade", "-1"]);
    down.says(&["Running downgrade 989ceebf408f -> c08085465bad, Add priority to questions ("]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "c08085465bad\n");
    p.expect(0, &["migrate", "upgrade", "+1"]);
    p.expect(0, &["migrate", "downgrade", "c08"]);
    p.expect(0, &["migrate", "downgrade", "base"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "");
    assert_eq!(p.ask("SELECT count(*) FROM pg_tables WHERE tablename = 'users'").await, "0");
}

#[tokio::test]
async fn what_is_looked_at() {
    let p = project("").await;
    assert_eq!(
        p.expect(0, &["migrate", "history"]).stdout,
        "c08085465bad -> 989ceebf408f (head), Add priority to questions\n\
         <base> -> c08085465bad, Initial schema\n"
    );
    let status = p.expect(0, &["migrate", "status"]).stdout;
    assert_eq!(
        status,
        "main (public.alembic_version): at no revision, 2 pending\n  pending: c08085465bad, Initial schema\n  \
         pending: 989ceebf408f, Add priority to questions\n  -> backstay migrate upgrade heads -e test\n"
    );
    p.expect(0, &["migrate", "upgrade", "c08085465bad"]);
    let marked = p.expect(0, &["migrate", "history", "-i"]).stdout;
    assert!(marked.contains("<base> -> c08085465bad (current), Initial schema"), "{marked}");
    let long = p.expect(0, &["migrate", "history", "-v", "-i"]).stdout;
    assert!(long.contains("Rev: c08085465bad (current)\nParent: <base>\nPath: "), "{long}");
    assert!(long.contains(&format!("Z by {} in 0.", p.database)), "{long}");
    let current = p.expect(0, &["migrate", "current", "-v"]);
    assert!(current.stdout.contains("\n    Initial schema\n"), "{}", current.stdout);
}

#[tokio::test]
async fn every_answer_as_json() {
    let p = project("").await;
    let up = p.json(0, &["migrate", "upgrade", "+1"]);
    assert_eq!((&up["verb"], &up["target"], &up["name"]), (&json!("upgrade"), &json!("+1"), &json!("main")));
    assert_eq!(up["revisions"][0]["revision"], "c08085465bad");
    assert!(up["revisions"][0]["millis"].is_u64());
    for verb in ["current", "status"] {
        let root = &p.json(0, &["migrate", verb])["migrations"][0];
        assert_eq!((&root["state"], &root["revisions"]), (&json!("at"), &json!(["c08085465bad"])));
        assert_eq!(root["pending"][0]["revision"], "989ceebf408f");
        assert_eq!(root["heads"], json!(["989ceebf408f"]));
    }
    assert_eq!(p.json(0, &["migrate", "heads"])["migrations"][0]["heads"], json!(["989ceebf408f"]));
    let history = p.json(0, &["migrate", "history", "-i"]);
    let revision = &history["migrations"][0]["revisions"][1];
    assert_eq!((&revision["revision"], &revision["current"]), (&json!("c08085465bad"), &json!(true)));
    assert!(revision["applied_at"].is_string());
    let stamped = p.json(0, &["migrate", "stamp", "head"]);
    assert_eq!(stamped["changes"], json!([{ "from": "c08085465bad", "to": "989ceebf408f" }]));
    let sql = p.json(0, &["migrate", "upgrade", "c08:head", "--sql"]);
    assert!(sql["sql"].as_str().is_some_and(|sql| sql.contains("ADD priority")));
    let refused = p.json(2, &["migrate", "upgrade", "nowhere"]);
    assert_eq!((&refused["exit"], &refused["verdict"]), (&json!(2), &json!("usage")));
    p.expect(0, &["migrate", "stamp", "c08085465bad"]);
    assert_eq!(p.json(0, &["migrate", "downgrade", "base"])["revisions"][0]["revision"], "c08085465bad");
}

#[tokio::test]
async fn sql_is_all_that_is_printed_and_it_runs() {
    let p = project("protected = true").await;
    let up = p.expect(0, &["migrate", "upgrade", "head", "--sql"]);
    assert_eq!(up.stderr, "");
    assert!(up.stdout.starts_with("BEGIN;\n\n-- Running upgrade  -> c08085465bad"), "{}", up.stdout);
    psql(&p, &up.stdout);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "989ceebf408f (head)\n");
    let part = p.expect(0, &["migrate", "upgrade", "c08085465bad:989", "--sql"]).stdout;
    assert!(part.contains("ADD priority") && !part.contains("CREATE TABLE users"), "{part}");
    let down = p.expect(0, &["migrate", "downgrade", "989:base", "--sql"]).stdout;
    psql(&p, &down);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "");
    assert_eq!(p.expect(0, &["migrate", "upgrade", "head:head", "--sql"]).stdout, "-- nothing to do\n");
    p.expect(2, &["migrate", "downgrade", "-1", "--sql"]).says(&["FROM:TO"]);
    p.expect(2, &["migrate", "upgrade", "a:b", "--unguarded"]).says(&["a range is for --sql"]);
    // No database is asked.
    let nowhere = p.run_with("postgresql://x@127.0.0.1:1/x", &["migrate", "upgrade", "head", "--sql"]);
    assert_eq!((nowhere.code, nowhere.stdout), (0, up.stdout));
    // Masked SQL would run, and do something else.
    let third = format!("-- revision: c\n-- revises: 989ceebf408f\n-- upgrade\nSELECT '{SECRET}';\n");
    p.write("migrations/3.sql", &third);
    p.expect(2, &["migrate", "upgrade", "head", "--sql"]).says(&["a secret"]);
}

fn psql(p: &CommandLine, sql: &str) {
    use std::io::Write;
    let mut child = Command::new(common::cluster().binaries().join("psql"))
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", &p.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("psql");
    child.stdin.take().expect("a pipe").write_all(sql.as_bytes()).expect("written");
    assert!(child.wait().expect("an end").success());
}

#[tokio::test]
async fn a_protected_environment_needs_a_word() {
    let p = project("protected = true\n[maintenance]\nflag = { file = \"flag\" }").await;
    for verb in [&["upgrade", "head"], &["downgrade", "-1"], &["stamp", "head"]] {
        let answer = p.expect(2, &[&["migrate"], verb.as_slice()].concat());
        answer.says(&["protected = true", "--unguarded", "nothing was changed"]);
        assert_eq!(answer.stderr.contains("backstay run release"), verb[0] == "upgrade", "{verb:?}");
    }
    for verb in ["on", "off"] {
        let answer = p.expect(2, &["maintenance", verb]);
        answer.says(&["backstay status -e test", "--unguarded"]);
        assert!(!answer.stderr.contains("run release"), "{verb}");
    }
    assert_eq!(p.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, "0");
    let status = p.expect(0, &["migrate", "status"]).stdout;
    assert!(status.contains("-> backstay run release -e test"), "{status}");
    p.expect(0, &["migrate", "upgrade", "head", "--unguarded"]);
    p.expect(0, &["migrate", "downgrade", "-1", "--unguarded"]);
    p.expect(0, &["migrate", "stamp", "head", "--unguarded"]);
}

#[tokio::test]
async fn the_exit_code_says_whether_anything_is_committed() {
    let p = project("").await;
    let third = p.write(
        "migrations/3.sql",
        "-- revision: c\n-- revises: 989ceebf408f\n-- upgrade\nCREATE TABLE t (i int);\nSELECT 1/0;\n",
    );
    let part = p.expect(7, &["migrate", "upgrade", "head"]);
    part.says(&[
        "Running upgrade c08085465bad -> 989ceebf408f",
        "3.sql:5 (statement 2 of 2)",
        "division by zero",
    ]);
    part.says(&["nothing of c is left", "committed before it: c08085465bad, 989ceebf408f"]);
    let nothing = p.json(3, &["migrate", "upgrade", "head"]);
    assert_eq!((&nothing["exit"], &nothing["verdict"]), (&json!(3), &json!("refused")));
    std::fs::write(
        third,
        "-- revision: c\n-- revises: 989ceebf408f\n-- transaction: off\n-- upgrade\nCREATE TABLE t (i int);\n\
         SELECT 1/0;\n",
    )
    .expect("written");
    p.expect(7, &["migrate", "upgrade", "head"]).says(&["statement 1 of 2 of c took effect"]);
    let status = p.expect(0, &["migrate", "status"]).stdout;
    assert!(status.contains("upgrade of c was broken off: statement 1 of 2 took effect"), "{status}");
    // The same again: nothing more took effect.
    p.expect(3, &["migrate", "upgrade", "head"]);
}

#[tokio::test]
async fn wrong_targets_and_what_stands_in_the_way() {
    let p = project("").await;
    p.expect(2, &["migrate", "upgrade", "nowhere"]).says(&["\"nowhere\"", "migrate history"]);
    p.expect(2, &["migrate", "upgrade", "-1"]).says(&["wrong way"]);
    p.expect(2, &["migrate", "upgrade"]).says(&["<TARGET>"]);
    p.expect(2, &["migrate", "upgrade", "--hard", "head"]).says(&["--hard"]);
    p.expect(3, &["migrate", "downgrade", "-1"]).says(&["goes further", "nothing was changed"]);
    p.expect(0, &["migrate", "upgrade", "head"]);
    let edited = p.write("migrations/1_initial.sql", &FIRST.replace("(1)", "(2)"));
    p.write("migrations/3.sql", "-- revision: c\n-- revises: 989ceebf408f\n-- upgrade\nSELECT 1;\n");
    p.expect(3, &["migrate", "upgrade", "head"]).says(&["1_initial.sql (c08085465bad)", "edited"]);
    p.expect(0, &["migrate", "current"]).says(&["was edited after it was applied", "stamp c08085465bad"]);
    std::fs::write(edited, FIRST).expect("written");
    p.session().await.batch_execute("UPDATE alembic_version SET version_num = 'feed'").await.expect("set");
    p.expect(3, &["migrate", "upgrade", "head"]).says(&["can't locate revision feed", "stamp --purge"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "feed (unknown: no file has it)\n");
    assert_eq!(p.json(0, &["migrate", "status"])["migrations"][0]["pending"], json!(null));
    p.expect(0, &["migrate", "stamp", "--purge", "989"]);
    p.expect(0, &["migrate", "upgrade", "head"]);
}

#[tokio::test]
async fn files_that_make_no_chain() {
    let p = project("").await;
    let gap = p.write("migrations/3.sql", "-- revision: c\n-- revises: missing\n-- upgrade\nSELECT 1;\n");
    p.expect(2, &["migrate", "upgrade", "head"]).says(&["3.sql", "missing"]);
    std::fs::write(&gap, SECOND).expect("written");
    p.expect(2, &["migrate", "history"]).says(&["2_priority.sql", "3.sql", "989ceebf408f"]);
    std::fs::write(&gap, "no header").expect("written");
    p.expect(2, &["migrate", "current"]).says(&["3.sql"]);
    std::fs::remove_file(gap).expect("removed");
    std::fs::rename(p.path().join("migrations"), p.path().join("elsewhere")).expect("renamed");
    p.expect(2, &["migrate", "upgrade", "head"]).says(&[
        "migrations",
        "No such file",
        "[migrations] directory",
    ]);
    assert_eq!(p.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, "0");
}

#[tokio::test]
async fn tables_without_a_version_are_told() {
    let p = project("").await;
    p.session().await.batch_execute("CREATE TABLE users (id int)").await.expect("a table");
    p.expect(0, &["migrate", "current"])
        .says(&["names no revision", "backstay migrate stamp REVISION -e test"]);
    assert_eq!(p.json(0, &["migrate", "current"])["migrations"][0]["state"], "unversioned");
    assert_eq!(p.expect(0, &["migrate", "stamp", "c08"]).stdout, "stamped <base> -> c08085465bad\n");
    p.expect(0, &["migrate", "upgrade", "head"]);
}

#[tokio::test]
async fn one_of_several_roots_is_named() {
    let p = project(
        "[[migrations]]\nname = \"main\"\n[[migrations]]\nname = \"ai\"\ndirectory = \"ai\"\n\
         version_table = \"alembic_version_ai\"\n",
    )
    .await;
    p.write("ai/1.sql", "-- revision: a1\n-- First\n-- upgrade\nCREATE TABLE ai (i int);\n");
    p.expect(2, &["migrate", "upgrade", "+1"]).says(&["main, ai", "--name main"]);
    p.expect(2, &["migrate", "--name", "x", "upgrade", "head"]).says(&["called x", "main, ai"]);
    p.expect(0, &["migrate", "--name", "ai", "upgrade", "head"]);
    p.expect(0, &["migrate", "upgrade", "c08", "-n", "main"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "main: c08085465bad\nai: a1 (head)\n");
    assert_eq!(
        p.json(0, &["migrate", "current", "-n", "ai"])["migrations"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_run_keeps_direct_migrations_out() {
    let p = project("").await;
    let info = ConnInfo::parse(&p.url).expect("a URL").with_database("postgres");
    let options = backstay::pg::SessionOptions {
        application_name: "backstay 20261120t230205z-k3f9 1 lock".into(),
        ..Default::default()
    };
    let lock = Admin::acquire(info, options, &p.database, Duration::ZERO).await.expect("the lock");
    for verb in [["upgrade", "head"], ["downgrade", "base"], ["stamp", "head"]] {
        let answer = p.expect(3, &["migrate", verb[0], verb[1]]);
        answer.says(&["driver 1 of run 20261120t230205z-k3f9", "nothing was changed", "backstay status"]);
    }
    p.expect(0, &["migrate", "current"]);
    drop(lock);
    // The server frees the lock when it sees that the connection is gone.
    for _ in 0..50 {
        if p.run(&["migrate", "upgrade", "head"]).code == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the lock was not freed");
}

#[tokio::test]
async fn another_migrator_is_waited_for_as_long_as_said() {
    let p = project("").await;
    p.expect(0, &["migrate", "upgrade", "c08"]);
    let blocker = p.session().await;
    let key = backstay::migrate::Options { schema: Some("public".into()), ..Default::default() };
    let key = backstay::migrate::Tables::resolve(&blocker, &key).await.expect("tables").lock_key();
    blocker.execute("SELECT pg_advisory_lock($1)", &[&key]).await.expect("locked");
    let answer = p.expect(3, &["migrate", "upgrade", "head", "--lock-wait", "300ms"]);
    answer.says(&["someone else has been migrating", "--lock-wait"]);
}

#[tokio::test]
async fn a_fenced_database_and_one_that_is_not_there() {
    let p = project("").await;
    let admin = common::session(&common::cluster().url("postgres", "postgres")).await;
    let fenced = format!("{}__w_20261120t230205z-k3f9_1", p.database);
    admin
        .batch_execute(&format!("ALTER DATABASE {} RENAME TO \"{fenced}\"", p.database))
        .await
        .expect("renamed");
    for verb in [&["migrate", "current"][..], &["migrate", "upgrade", "head"]] {
        p.expect(3, verb).says(&["could not connect", &p.database, "does not exist"]);
    }
    let nowhere = p.url.replacen(&format!(":{}/", common::cluster().port()), ":1/", 1);
    let answer = p.run_with(&nowhere, &["migrate", "current"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    answer.says(&["127.0.0.1:1"]);
}

#[tokio::test]
async fn verbose_shows_every_statement_without_secrets() {
    let p = project("").await;
    let third = format!(
        "-- revision: c\n-- revises: 989ceebf408f\n-- upgrade\nALTER ROLE CURRENT_USER PASSWORD '{SECRET}';\n"
    );
    p.write("migrations/3.sql", &third);
    let answer = p.expect(0, &["-v", "migrate", "upgrade", "head"]);
    answer.says(&["sql: CREATE TABLE users (id int PRIMARY KEY);", "sql: COMMIT", "PASSWORD '***'"]);
    answer.says(&[
        "sql: BEGIN ISOLATION LEVEL READ COMMITTED;",
        "pg_try_advisory_lock",
        "sql: with parameters: [",
    ]);
    assert!(answer.stdout.starts_with("applied "), "{}", answer.stdout);
    assert!(!p.expect(0, &["migrate", "current"]).stderr.contains("sql:"));
    // There, -v is Alembic's.
    let details = p.expect(0, &["migrate", "current", "-v"]);
    assert!(details.stdout.starts_with("Rev: c (head)") && !details.stderr.contains("sql:"), "{details:?}");
    p.expect(0, &["migrate", "current", "-vv"]).says(&["sql: SELECT version_num"]);
}
