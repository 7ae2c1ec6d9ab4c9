//! What a session sets, hears and leaves behind.

use std::time::Duration;

use backstay::pg::{ConnInfo, SessionOptions, connect, describe_error, quote_ident, sqlstate};

use crate::common::{cluster, fresh_database, fresh_name, session};
use crate::server::{info, try_to, until};

async fn show(session: &backstay::pg::Session, setting: &str) -> String {
    session.query_one(&format!("SHOW {setting}"), &[]).await.expect(setting).get(0)
}

#[tokio::test]
async fn settings_hold_whatever_the_role_says() {
    let url = fresh_database().await;
    let role = info(&url).user().to_string();
    let admin = session(&cluster().url("postgres", "postgres")).await;
    admin
        .batch_execute(&format!(
            "ALTER ROLE {role} SET statement_timeout = '5s'; ALTER ROLE {role} SET idle_session_timeout = '1s'; \
             ALTER ROLE {role} SET lock_timeout = '1s'; ALTER ROLE {role} SET search_path = evil, public"
        ))
        .await
        .unwrap();
    let plain = try_to(&url).await.unwrap();
    for (setting, value) in [
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("idle_session_timeout", "0"),
        ("client_connection_check_interval", "500ms"),
        ("tcp_keepalives_idle", "30"),
        ("search_path", "evil, public"),
        ("application_name", "backstay"),
    ] {
        assert_eq!(show(&plain, setting).await, value, "{setting}");
    }
    let options = SessionOptions {
        application_name: "backstay 20260101T000000Z-ab12 epoch 3 äöü with a name that is far too long"
            .into(),
        statement_timeout: Some(Duration::from_millis(1500)),
        lock_timeout: Some(Duration::from_secs(2)),
        idle_in_transaction_session_timeout: None,
        ..SessionOptions::default()
    };
    let tuned = connect(&info(&url), &options).await.unwrap();
    assert_eq!(show(&tuned, "statement_timeout").await, "1500ms");
    assert_eq!(show(&tuned, "lock_timeout").await, "2s");
    assert_eq!(show(&tuned, "idle_in_transaction_session_timeout").await, "0");
    let named = "SELECT application_name FROM pg_stat_activity WHERE pid = $1";
    let name: String = admin.query_one(named, &[&tuned.pid()]).await.unwrap().get(0);
    assert!(name.starts_with("backstay 20260101T000000Z-ab12 epoch 3") && name.len() <= 63, "{name}");
    assert_eq!(tuned.server_version() / 10_000, 15);
    assert!(!tuned.in_recovery() && !tuned.is_encrypted() && !tuned.is_closed());
}

#[tokio::test]
async fn a_dropped_session_leaves_no_backend() {
    let url = fresh_database().await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let gone = async |pid: i32| {
        let row = admin.query_one("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", &[&pid]).await;
        row.unwrap().get::<_, i64>(0) == 0
    };
    let idle = try_to(&url).await.unwrap();
    let pid = idle.pid();
    drop(idle);
    until("the end of the idle backend", async || gone(pid).await).await;

    let closed = try_to(&url).await.unwrap();
    let pid = closed.pid();
    closed.close().await;
    until("the end of the closed backend", async || gone(pid).await).await;

    let busy = try_to(&url).await.unwrap();
    let pid = busy.pid();
    let asleep = tokio::time::timeout(Duration::from_millis(200), busy.batch_execute("SELECT pg_sleep(60)"));
    asleep.await.expect_err("it sleeps");
    drop(busy);
    let took = until("the end of the busy backend", async || gone(pid).await).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_connect_timeout_of_zero_is_no_limit() {
    let url = format!("{}?connect_timeout=0", fresh_database().await);
    try_to(&url).await.expect("a session");
    let second = Duration::from_secs(1);
    backstay::pg::connect_with_retry(&info(&url), &SessionOptions::default(), second)
        .await
        .expect("a session");
}

#[tokio::test]
async fn notices_are_kept_in_order() {
    let session = try_to(&fresh_database().await).await.unwrap();
    assert!(session.notices().is_empty());
    session
        .batch_execute("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two' USING HINT = 'look'; END $$")
        .await
        .unwrap();
    let notices = session.notices();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[0].starts_with("NOTICE: one"), "{notices:?}");
    assert!(notices[1].contains("WARNING: two\nHINT: look"), "{notices:?}");
    assert!(session.notices().is_empty());
}

#[tokio::test]
async fn a_statement_can_be_cancelled_from_outside() {
    let session = try_to(&fresh_database().await).await.unwrap();
    let canceller = session.canceller();
    let (slept, cancelled) = tokio::join!(session.batch_execute("SELECT pg_sleep(60)"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        canceller.cancel().await
    });
    cancelled.unwrap();
    assert_eq!(sqlstate(&slept.unwrap_err()), Some("57014"));
    session.batch_execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn why_a_session_ended_is_known() {
    let url = fresh_database().await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let victim = try_to(&url).await.unwrap();
    admin.execute("SELECT pg_terminate_backend($1)", &[&victim.pid()]).await.unwrap();
    until("the end", async || victim.is_closed()).await;
    assert!(victim.ended_because().unwrap().contains("57P01"), "{:?}", victim.ended_because());
}

#[tokio::test]
async fn errors_of_statements_are_told_in_full() {
    let session = try_to(&fresh_database().await).await.unwrap();
    session.batch_execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await.unwrap();
    let error = session.batch_execute("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(
        describe_error(&error),
        "ERROR: duplicate key value violates unique constraint \"t_pkey\"\n\
         DETAIL: Key (id)=(1) already exists.\nSQLSTATE 23505"
    );
}

#[tokio::test]
async fn hostile_names_of_databases_and_roles() {
    let admin = session(&cluster().url("postgres", "postgres")).await;
    for stem in ["Ärger & Co", "o'clock \"x\"", "a@b/c?d#e%f", "sp ace;--", "日本語"] {
        let name = fresh_name(stem);
        let ident = quote_ident(&name);
        admin.batch_execute(&format!("CREATE ROLE {ident} LOGIN")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {ident} OWNER {ident}")).await.unwrap();
        let mut info: ConnInfo = info(&format!("host=127.0.0.1 port={} user=x dbname=x", cluster().port()));
        info = info.with_database(&name);
        let quoted = name.replace('\\', r"\\").replace('\'', r"\'");
        let text = format!("host=127.0.0.1 port={} user='{quoted}' dbname='{quoted}'", cluster().port());
        let direct = ConnInfo::parse(&text).unwrap();
        assert_eq!(direct.database(), info.database());
        let by_url = ConnInfo::parse(&direct.to_url()).unwrap();
        let session = connect(&by_url, &SessionOptions::default()).await.unwrap();
        let row =
            session.query_one("SELECT current_database()::text, current_user::text", &[]).await.unwrap();
        assert_eq!((row.get::<_, String>(0), row.get::<_, String>(1)), (name.clone(), name));
    }
}
