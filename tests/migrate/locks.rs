//! Waiting: for locks of others, and for others who migrate.

use std::time::Duration;

use backstay::event::{Event, Events, LineId, Progress};
use backstay::migrate::{self, Options};
use backstay::pg::ConnInfo;

use super::*;

#[tokio::test]
async fn who_holds_the_lock_is_named() {
    let url = fresh_database().await;
    let (mut db, blocker) = (session(&url).await, session(&url).await);
    db.batch_execute("CREATE TABLE t (x int)").await.unwrap();
    let blocking = pid(&blocker).await;
    blocker.batch_execute("SET application_name = 'nightly report'; BEGIN; LOCK TABLE t").await.unwrap();
    let folder = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nALTER TABLE t ADD y int;")]);
    let migrations = folder.load();
    let observed = Options { observer: Some(ConnInfo::parse(&url).unwrap()), ..options() };
    for options in [options(), observed] {
        let result = migrate::upgrade(&mut db, &migrations, "head", &options, &Progress::none()).await;
        let text = lines(result.unwrap_err());
        for part in [
            "ERROR 55P03",
            "tried 2 times",
            &format!(
                "it waited for pid {blocking} (user app_1, application nightly report, idle in transaction, for"
            ),
            "LOCK TABLE t",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // Once it goes, a retry gets through.
    let patient = Options { lock_retries: 20, ..options() };
    let silent = Progress::none();
    let run = migrate::upgrade(&mut db, &migrations, "head", &patient, &silent);
    let release = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        blocker.batch_execute("COMMIT").await.unwrap();
    };
    let (result, ()) = tokio::join!(run, release);
    assert_eq!(ids(&result.unwrap()), ["a"]);
}

#[tokio::test]
async fn eight_upgrades_at_once_apply_each_once() {
    let url = fresh_database().await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let mut db = session(&url).await;
        tasks.push(tokio::spawn(async move { up(&mut db, &shop(), "head").await.unwrap().revisions.len() }));
    }
    let mut applied = 0;
    for task in tasks {
        applied += task.await.unwrap();
    }
    assert_eq!(applied, 3);
    let db = session(&url).await;
    assert_eq!(migrate::entries(&db, &options()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn whoever_holds_the_lock_of_the_migrators_is_named() {
    let url = fresh_database().await;
    let (mut db, mut other) = (session(&url).await, session(&url).await);
    other.batch_execute("SET application_name = 'replica 3'").await.unwrap();
    let folder = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(2.5);")]);
    let (migrations, holder) = (folder.load(), pid(&other).await);
    let impatient = Options { lock_wait: Duration::from_millis(900), ..options() };
    let (events, mut heard) = Events::channel();
    let progress = events.progress(LineId::Line(1));
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        migrate::upgrade(&mut db, &migrations, "head", &impatient, &progress).await
    };
    let (first, second) = tokio::join!(up(&mut other, &migrations, "head"), second);
    assert_eq!(ids(&first.unwrap()), ["a"]);
    let text = lines(second.unwrap_err());
    assert!(text.contains(&format!("pid {holder} (user app_1, application replica 3, active")), "{text}");
    let said = heard.recv().await.unwrap();
    assert!(matches!(said, Event::Note { text, .. } if text.contains("waiting for pid")));
}

#[tokio::test]
async fn two_roots_in_one_schema_have_one_history() {
    let url = fresh_database().await;
    let (mut one, mut two) = (session(&url).await, session(&url).await);
    let ai = Options { version_table: "alembic_version_ai".to_string(), ..options() };
    let first = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(0.3);")]);
    let second = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(0.3), 2;")]);
    let (first, second, silent) = (first.load(), second.load(), Progress::none());
    let (a, b) =
        tokio::join!(up(&mut one, &first, "head"), migrate::upgrade(&mut two, &second, "head", &ai, &silent));
    assert_eq!((ids(&a.unwrap()), ids(&b.unwrap())), (vec!["a"], vec!["a"]));
    let current = migrate::current(&two, second.chain(), &ai).await.unwrap();
    assert!(current.edited.is_empty(), "the other root's revision of that id is another");
    assert_eq!(migrate::entries(&two, &ai).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_alter_behind_an_open_transaction_holds_nobody_up() {
    let url = fresh_database().await;
    let (mut db, old, probe) = (session(&url).await, session(&url).await, session(&url).await);
    db.batch_execute("CREATE TABLE t (x int)").await.unwrap();
    let blocking = pid(&old).await;
    old.batch_execute("SET application_name = 'nightly report'; BEGIN; SELECT count(*) FROM t")
        .await
        .unwrap();
    let bound = Duration::from_millis(200);
    let patient = Options {
        lock_timeout: bound,
        lock_retries: 20,
        observer: Some(ConnInfo::parse(&url).unwrap()),
        ..options()
    };
    let text = "-- revision: a\n-- upgrade\nINSERT INTO t VALUES (1);\nALTER TABLE t ADD y int;";
    let (folder, ended) = (Folder::new(&[("1.sql", text)]), std::cell::Cell::new(false));
    let (events, mut heard) = Events::channel();
    let (migrations, progress) = (folder.load(), events.progress(LineId::Line(1)));
    let run = async {
        let result = migrate::upgrade(&mut db, &migrations, "head", &patient, &progress).await;
        ended.set(true);
        result
    };
    let ends = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        old.batch_execute("COMMIT").await.unwrap();
    };
    // What the application does meanwhile.
    let application = async {
        let (mut longest, mut queries) = (Duration::ZERO, 0);
        while !ended.get() {
            let asked = std::time::Instant::now();
            probe.query("SELECT count(*) FROM t", &[]).await.unwrap();
            longest = longest.max(asked.elapsed());
            queries += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (longest, queries)
    };
    let (result, (), (longest, queries)) = tokio::join!(run, ends, application);
    assert_eq!(ids(&result.unwrap()), ["a"]);
    assert!(longest < bound + Duration::from_secs(1), "a query waited for {longest:?}");
    assert!(longest > bound / 4, "nobody waited at all: {longest:?}");
    assert!(queries > 20, "{queries}");
    drop((events, progress));
    let mut notes = String::new();
    while let Some(event) = heard.recv().await {
        if let Event::Note { text, .. } = event {
            notes.push_str(&text);
            notes.push('\n');
        }
    }
    let blocker =
        format!("pid {blocking} (user app_1, application nightly report, idle in transaction, for ");
    assert!(notes.contains(&format!("waiting for {blocker}")), "told while it waits: {notes}");
    assert!(notes.contains("BEGIN; SELECT count(*) FROM t"), "{notes}");
    let retry = "a did not get its lock in time (pid ";
    assert!(notes.contains(retry) && notes.contains("retry 2 of 20"), "{notes}");
}
