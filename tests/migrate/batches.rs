//! `-- batch: …`: in batches, each row once, whatever dies in between.

use super::singly::die_at;
use super::*;

/// 25 rows; the key is of two columns, of types whose text could be read in more than one way.
const TABLE: &str = "CREATE TABLE \"T\" (k text COLLATE \"C\", d date, n int NOT NULL DEFAULT 0, PRIMARY KEY (d, k)); \
    INSERT INTO \"T\" SELECT 'it''s \\ ' || i, date '2026-01-02' + i % 12 FROM generate_series(1, 25) i";

fn script(body: &str) -> String {
    format!("-- revision: a\n-- transaction: off\n-- upgrade\n-- batch: 10 pause 0ms\n{body}")
}

async fn count(db: &Session, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM \"T\" WHERE {condition}");
    db.query_one(&query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn every_row_is_changed_once() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute(TABLE).await.unwrap();
    db.batch_execute("SET datestyle = 'SQL, DMY'").await.unwrap();
    let folder = Folder::new(&[(
        "1.sql",
        &script("UPDATE \"T\" AS t SET n = t.n + 1\nWHERE n > 5 OR n = 0 -- all\n;"),
    )]);
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["a"]);
    assert_eq!((count(&db, "n = 1").await, count(&db, "true").await), (25, 25));
    let transactions = db.query_one("SELECT count(DISTINCT xmin::text) FROM \"T\"", &[]).await.unwrap();
    assert_eq!(transactions.get::<_, i64>(0), 3);
    let intent = db.query_one("SELECT intent IS NULL FROM backstay_history", &[]).await.unwrap();
    assert!(intent.get::<_, bool>(0));

    folder.write(
        "2.sql",
        &script("DELETE FROM \"T\" WHERE d > '2026-01-06'")
            .replace("revision: a", "revision: b\n-- revises: a"),
    );
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["b"]);
    assert_eq!((count(&db, "d > '2026-01-06'").await, count(&db, "true").await > 0), (0, true));
}

#[tokio::test]
async fn it_goes_on_behind_the_last_batch_that_is_committed() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute(TABLE).await.unwrap();
    db.batch_execute(
        "CREATE TABLE nap (s float); INSERT INTO nap VALUES (60); CREATE FUNCTION nap(date) RETURNS int \
         LANGUAGE sql VOLATILE AS $$SELECT 1 FROM pg_sleep(CASE WHEN $1 = '2026-01-13' THEN (SELECT s FROM nap) END)$$",
    )
    .await
    .unwrap();
    let text = script("UPDATE \"T\" SET n = n + nap(d);\nSELECT 1;");
    let folder = Folder::new(&[("1.sql", &text)]);
    die_at(&url, &folder.load(), "UPDATE \"T\"").await;
    // It may have died in the first two batches, which take no time, or in the last.
    let done = count(&db, "n = 1").await;
    assert!(done % 10 == 0, "{done}");
    let current = migrate::current(&db, folder.load().chain(), &options()).await.unwrap();
    if done > 0 {
        let extent = current.unfinished[0].extent();
        assert!(extent.ends_with(&format!("; batches of statement 1 changed {done} rows")), "{extent}");
        folder.write("1.sql", &text.replace("n + nap", "n + 2 * nap"));
        let refused = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
        assert!(refused.contains("statement 1 was running, and it was edited since"), "{refused}");
    }
    db.batch_execute("UPDATE nap SET s = 0; INSERT INTO \"T\" VALUES ('late', '2027-01-01')").await.unwrap();
    // The size of the batches is no part of what was begun.
    folder.write("1.sql", &text.replace("batch: 10", "batch: 7"));
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["a"]);
    assert_eq!((count(&db, "n = 1").await, count(&db, "n <> 1").await), (26, 0));
}

#[tokio::test]
async fn a_batch_that_fails_says_what_stays() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute(TABLE).await.unwrap();
    let text = script("UPDATE \"T\" SET n = 1 / (d - date '2026-01-08');");
    let folder = Folder::new(&[("1.sql", &text)]);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(error.changed_anything());
    let said = lines(error);
    assert!(said.contains("1.sql:5 (statement 1 of 1): ERROR 22012"), "{said}");
    assert!(
        said.contains(
            "none of the 1 statements of a took effect; batches of the failed one changed 10 rows and stay"
        ),
        "{said}"
    );
    // Nothing more is committed by a second try.
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(!error.changed_anything());
    assert!(lines(error).contains("changed 10 rows and stay"));
}

#[tokio::test]
async fn what_has_no_key_to_go_along_is_refused_by_name() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute(TABLE).await.unwrap();
    db.batch_execute("CREATE TABLE bare (n int)").await.unwrap();
    for (text, why) in [
        ("UPDATE bare SET n = 1;", "bare is no table with a primary key, and batches go along one"),
        ("UPDATE \"T\" SET n = 1, d = d + 1;", "it changes \"d\" of the primary key"),
    ] {
        let folder = Folder::new(&[("1.sql", &script(text))]);
        let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
        assert!(!error.changed_anything());
        let said = lines(error);
        assert!(said.contains(why) && said.contains("1.sql:5"), "{said}");
    }
}
