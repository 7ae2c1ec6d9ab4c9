//! An empty database with everything applied: `--create-database` and `migrate reset`.

use std::time::Duration;

use backstay::pg::ConnInfo;
use backstay::window::admin::Admin;
use serde_json::json;

use crate::common::command_line::CommandLine;
use crate::common::{self, session};
use crate::project::{INDEX, churn_risk};

async fn drop_database(p: &CommandLine) {
    let admin = session(&common::cluster().url("postgres", "postgres")).await;
    admin.batch_execute(&format!("DROP DATABASE {}", p.database)).await.unwrap();
}

#[tokio::test]
async fn a_database_is_made_by_the_first_of_many() {
    let p = churn_risk("").await;
    drop_database(&p).await;
    let refused = p.expect(3, &["migrate", "upgrade", "head"]);
    refused.says(&["does not exist"]);
    let status = p.expect(0, &["status"]).stdout;
    assert!(status.contains("migrate upgrade heads --create-database -e test"), "{status}");
    // As N replicas of an application do it when they start.
    let answers = std::thread::scope(|scope| {
        let replica = || p.run(&["migrate", "upgrade", "head", "--create-database"]);
        let replicas: Vec<_> = (0..4).map(|_| scope.spawn(replica)).collect();
        replicas.into_iter().map(|replica| replica.join().unwrap()).collect::<Vec<_>>()
    });
    for answer in &answers {
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    let made = answers.iter().filter(|answer| answer.stderr.contains("created database")).count();
    let applied = answers.iter().filter(|answer| answer.stdout.contains("applied c08085465bad, ")).count();
    assert_eq!((made, applied), (1, 1), "{answers:?}");
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, format!("{INDEX} (head)\n"));
    let again = p.json(0, &["migrate", "upgrade", "head", "--create-database"]);
    assert_eq!((&again["created_database"], &again["revisions"]), (&json!(false), &json!([])));
    assert_eq!(
        p.ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()").await,
        p.database
    );
}

#[tokio::test]
async fn it_is_made_for_the_applications_role() {
    let p = churn_risk("").await;
    drop_database(&p).await;
    let admin_url = common::cluster().url("postgres", "postgres");
    let toml = format!("[database]\nadmin_url = \"{admin_url}\"\nurl = \"${{DATABASE_URL}}\"\n");
    p.write("config/test.toml", &toml);
    p.expect(0, &["migrate", "upgrade", "head", "--create-database"])
        .says(&[&format!("created database {0}, owned by {0}", p.database)]);
    assert_eq!(
        p.ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()").await,
        p.database
    );
}

#[tokio::test]
async fn reset_drops_and_applies_everything() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    let change = format!(
        "INSERT INTO tenants VALUES ('00000000-0000-0000-0000-000000000001', 'x', 'x'); CREATE TABLE mine (id int); \
         COMMENT ON DATABASE {0} IS 'keep me'; ALTER DATABASE {0} SET work_mem = '8MB'",
        p.database
    );
    let session = p.session().await;
    session.batch_execute(&change).await.unwrap();
    session.close().await;
    p.expect(2, &["migrate", "reset"]).says(&["there is no terminal to ask on", "--yes"]);
    assert_eq!(p.ask("SELECT count(*) FROM tenants").await, "1");
    let done = p.expect(0, &["migrate", "reset", "--yes"]);
    assert_eq!(done.stdout, format!("{} was dropped and made anew: 3 revisions applied\n", p.database));
    assert_eq!(p.ask("SELECT count(*) FROM tenants").await, "0");
    assert_eq!(p.ask("SELECT to_regclass('mine') IS NULL").await, "t");
    assert_eq!(p.ask("SHOW work_mem").await, "8MB");
    let comment =
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    assert_eq!(p.ask(comment).await, "keep me");
    p.expect(0, &["migrate", "check"]);
    // What a reset that died left: no database.
    drop_database(&p).await;
    let done = p.json(0, &["migrate", "reset", "--yes"]);
    assert_eq!((&done["dropped"], &done["revisions"]), (&json!(false), &json!(3)));
}

#[tokio::test]
async fn reset_is_refused_where_it_may_do_harm() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.configure("production", "protected = true");
    for more in [&[][..], &["--unguarded"], &["--yes", "--force", "--unguarded"]] {
        let answer = p.expect(2, &[&["migrate", "reset", "-e", "production"], more].concat());
        answer.says(&["protected = true", "nothing was changed"]);
    }
    // Someone is in it.
    let application = p.session().await;
    application.batch_execute("SET application_name = 'the api'").await.unwrap();
    p.expect(3, &["migrate", "reset", "-e", "test", "--yes"]).says(&[
        "the api is in it",
        "--force",
        "nothing was changed",
    ]);
    // A run holds the lock.
    let info = ConnInfo::parse(&p.url).unwrap().with_database("postgres");
    let lock = Admin::acquire(info, Default::default(), &p.database, Duration::ZERO).await.unwrap();
    p.expect(3, &["migrate", "reset", "-e", "test", "--yes", "--force"])
        .says(&["take the lock", "nothing was changed"]);
    p.expect(3, &["migrate", "upgrade", "head", "-e", "test"]).says(&["take the lock"]);
    lock.session().batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    // Files that make no chain are found before anything is dropped.
    p.write("migrations/9.sql", "-- revision: x\n-- revises: nowhere\n-- upgrade\nSELECT 1;\n");
    p.expect(2, &["migrate", "reset", "-e", "test", "--yes", "--force"]).says(&["gap in the chain"]);
    assert_eq!(application.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    p.write("migrations/9.sql", "-- revision: x\n-- revises: 20251117000000\n-- upgrade\nSELECT 1/0;\n");
    p.expect(7, &["migrate", "reset", "-e", "test", "--yes", "--force"]).says(&[
        "division by zero",
        "was made anew",
        "backstay migrate upgrade heads -e test",
    ]);
    assert_eq!(p.expect(0, &["migrate", "current", "-e", "test"]).stdout, format!("{INDEX}\n"));
}
