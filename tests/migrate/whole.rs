//! Scripts in one transaction.

use std::time::Duration;

use backstay::event::Progress;
use backstay::migrate::{self, Options};

use super::*;

#[tokio::test]
async fn a_script_that_fails_leaves_no_trace() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[(
        "1.sql",
        "-- revision: a\n-- First\n-- upgrade\nCREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\n\nSELECT 1 / 0 FROM t;\n",
    )]);
    let before = dump(&url);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(!error.changed_anything());
    let text = lines(error);
    let path = folder.0.path().join("1.sql");
    let place = format!(
        "could not upgrade a at {}:7 (statement 3 of 3): ERROR 22012: division by zero",
        path.display()
    );
    assert!(text.starts_with(&place), "{text}");
    assert!(text.contains("nothing of a is left: it was rolled back"), "{text}");
    assert_eq!(dump(&url), before, "not even a version table");

    // A first script that is good stays.
    folder.write("0.sql", "-- revision: z\n-- upgrade\nCREATE TABLE z ();\n");
    folder
        .write("1.sql", "-- revision: a\n-- revises: z\n-- upgrade\nCREATE TABLE t ();\nCREATE TABLE t ();");
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert_eq!(error.committed, ["z"]);
    assert_eq!(rows(&db, &folder.load()).await, ["z"]);
    let found =
        db.query_one("SELECT to_regclass('t') IS NULL AND to_regclass('z') IS NOT NULL", &[]).await.unwrap();
    assert!(found.get::<_, bool>(0));
}

#[tokio::test]
async fn a_statement_may_not_take_longer_than_allowed() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let hasty = Options { statement_timeout: Duration::from_millis(100), ..options() };
    for off in ["", "-- transaction: off\n"] {
        let text = format!("-- revision: a\n{off}-- upgrade\nDO 'BEGIN PERFORM pg_sleep(20); END';");
        let folder = Folder::new(&[("1.sql", &text)]);
        let result = migrate::upgrade(&mut db, &folder.load(), "head", &hasty, &Progress::none()).await;
        let text = lines(result.unwrap_err());
        assert!(text.contains("ERROR 57014: canceling statement due to statement timeout"), "{text}");
    }
    let row = db.query_one("SHOW statement_timeout", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "0");
}

#[tokio::test]
async fn a_commit_that_is_refused_leaves_no_trace() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[(
        "1.sql",
        "-- revision: a\n-- upgrade\nCREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO c VALUES (1);\n",
    )]);
    let before = dump(&url);
    let text = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
    assert!(text.contains("at the end of") && text.contains("ERROR 23503"), "{text}");
    assert_eq!(dump(&url), before);
}

#[tokio::test]
async fn a_session_that_dies_in_mid_migration_leaves_no_trace() {
    let url = fresh_database().await;
    let (mut db, killer) = (session(&url).await, session(&url).await);
    let body = "CREATE TABLE t ();\nSELECT pg_sleep(30);";
    let folder = Folder::new(&[("1.sql", &format!("-- revision: a\n-- upgrade\n{body}"))]);
    let before = dump(&url);
    let victim = pid(&db).await;
    let migrations = folder.load();
    let run = up(&mut db, &migrations, "head");
    let kill = async {
        until_runs(&killer, victim, "pg_sleep(30)").await;
        killer.query("SELECT pg_terminate_backend($1)", &[&victim]).await.unwrap();
    };
    let (result, ()) = tokio::join!(run, kill);
    let error = result.unwrap_err();
    assert!(!error.changed_anything());
    assert!(lines(error).contains("FATAL 57P01"));
    assert_eq!(dump(&url), before);

    // The lock went with the session.
    folder.write("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t ();");
    let mut again = session(&url).await;
    assert_eq!(ids(&up(&mut again, &folder.load(), "head").await.unwrap()), ["a"]);
}

#[tokio::test]
async fn what_a_script_sets_does_not_outlive_it() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[
        (
            "1.sql",
            "-- revision: a\n-- upgrade\nSELECT pg_catalog.set_config('search_path', '', false);\nSET lock_timeout = 0; SET standard_conforming_strings = off; SET ROLE pg_database_owner;\nCREATE TABLE public.t ();\n",
        ),
        (
            "2.sql",
            "-- revision: b\n-- revises: a\n-- transaction: off\n-- upgrade\nSET search_path = pg_catalog;\nCREATE TABLE u ();\n",
        ),
        ("3.sql", "-- revision: c\n-- revises: b\n-- upgrade\nSELECT 'a\\' AS b; CREATE TABLE v ();"),
    ]);
    up(&mut db, &folder.load(), "head").await.unwrap();
    let row = db.query_one("SELECT to_regclass('public.v') IS NOT NULL, current_setting('search_path'), current_setting('lock_timeout'), current_user = session_user", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0) && row.get::<_, bool>(3));
    assert_eq!(row.get::<_, String>(1), "\"$user\", public");
}
