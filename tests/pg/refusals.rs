//! Every way in which a server says no, provoked.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use backstay::pg::{Refusal, SessionOptions, connect, connect_with_retry};

use crate::server::{admin, info, refused, set_hba, start, try_to, until};

#[tokio::test]
async fn who_may_not_come_in_is_told_why() {
    let cluster = start();
    let session = admin(&cluster).await;
    for statement in [
        "CREATE ROLE locked LOGIN PASSWORD 'right-horse'",
        "CREATE ROLE rejected LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE nologin; CREATE ROLE app LOGIN",
        "CREATE ROLE single LOGIN CONNECTION LIMIT 1",
        "CREATE DATABASE closed ALLOW_CONNECTIONS false",
        "CREATE DATABASE private",
        "REVOKE CONNECT ON DATABASE private FROM PUBLIC",
    ] {
        session.batch_execute(statement).await.expect(statement);
    }
    set_hba(
        &cluster,
        "host all locked 127.0.0.1/32 scram-sha-256\nhost all rejected 127.0.0.1/32 reject\n\
         hostssl all stranger 127.0.0.1/32 trust\nhost all app,nologin,nobody,single 127.0.0.1/32 trust",
    )
    .await;
    let at = format!("127.0.0.1:{}", cluster.port());

    let (error, text) = refused(&format!("postgresql://locked:wrong-horse@{at}/postgres")).await;
    assert!(matches!(error.reason, Refusal::WrongPassword(_)), "{error:?}");
    assert!(
        text.contains("SQLSTATE 28P01") && text.contains("Check the password of role \"locked\""),
        "{text}"
    );
    assert!(!text.contains("horse") && !format!("{error:?}").contains("horse"), "{text}");
    assert!(!error.is_transient());

    let (error, text) = refused(&format!("postgresql://locked@{at}/postgres")).await;
    assert!(matches!(error.reason, Refusal::PasswordMissing), "{error:?}");
    assert!(text.contains("PGPASSWORD"), "{text}");
    try_to(&format!("postgresql://locked:right-horse@{at}/postgres")).await.expect("the right password");

    for (role, word) in [("rejected", "rejects"), ("stranger", "no pg_hba.conf entry")] {
        let (error, text) = refused(&format!("postgresql://{role}@{at}/postgres")).await;
        assert!(matches!(error.reason, Refusal::NotInHba(_)), "{error:?}");
        assert!(
            text.contains(word) && text.contains("pg_reload_conf") && text.contains("sslmode=require"),
            "{text}"
        );
    }

    let (error, text) = refused(&format!("postgresql://app@{at}/o'dd%20shop")).await;
    assert!(matches!(error.reason, Refusal::NoSuchDatabase(_)), "{error:?}");
    assert!(
        text.contains(&format!(r"createdb -h 127.0.0.1 -p {} -O app 'o'\''dd shop'", cluster.port())),
        "{text}"
    );

    for role in ["nobody", "nologin"] {
        let (error, text) = refused(&format!("postgresql://{role}@{at}/postgres")).await;
        assert!(matches!(error.reason, Refusal::RoleRejected(_)), "{error:?}");
        assert!(text.contains(role) && text.contains("may log in"), "{text}");
    }
    for database in ["closed", "private"] {
        let (error, text) = refused(&format!("postgresql://app@{at}/{database}")).await;
        assert!(matches!(error.reason, Refusal::DatabaseClosed(_)), "{error:?}");
        assert!(text.contains("backstay status"), "{text}");
    }

    let only = format!("postgresql://single@{at}/postgres");
    let held = try_to(&only).await.expect("the only session");
    let (error, text) = refused(&only).await;
    assert!(matches!(error.reason, Refusal::TooManyConnections(_)) && error.is_transient(), "{error:?}");
    assert!(text.contains("53300"), "{text}");
    // It is worth waiting for.
    let waiting = tokio::spawn(async move {
        connect_with_retry(&info(&only), &SessionOptions::default(), Duration::from_secs(10)).await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    held.close().await;
    waiting.await.unwrap().expect("a session once there is room");
}

#[tokio::test]
async fn where_nobody_listens() {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let (error, text) = refused(&format!("postgresql://u:p4ss-word@127.0.0.1:{free}/db")).await;
    assert!(matches!(error.reason, Refusal::ConnectionRefused) && error.is_transient(), "{error:?}");
    assert!(text.contains(&format!("pg_isready -h 127.0.0.1 -p {free}")), "{text}");
    assert!(!text.contains("p4ss-word"), "{text}");

    let (error, text) = refused("postgresql://u@no-such-host.invalid/db").await;
    assert!(matches!(error.reason, Refusal::NoSuchHost { .. }), "{error:?}");
    assert!(text.contains("no-such-host.invalid"), "{text}");

    let (error, text) = refused("host=/nonexistent user=u").await;
    assert!(matches!(error.reason, Refusal::NoSocket(_)), "{error:?}");
    assert!(text.contains("/nonexistent/.s.PGSQL.5432"), "{text}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_waited_for_no_longer_than_asked() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = SessionOptions { connect_timeout: Duration::from_millis(300), ..SessionOptions::default() };
    let start = Instant::now();
    let silent_url = format!("postgresql://u@127.0.0.1:{port}/db");
    let error = connect(&info(&silent_url), &options).await.expect_err("silence");
    assert!(matches!(error.reason, Refusal::Timeout(_)) && error.is_transient(), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let start = Instant::now();
    let defaults = SessionOptions::default();
    let error = connect_with_retry(&info(&silent_url), &defaults, Duration::from_millis(500)).await;
    assert!(matches!(error.expect_err("silence").reason, Refusal::Timeout(_)));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_no_postgresql_is_said_to_be_none() {
    let web = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = web.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            use std::io::{Read, Write};
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    for mode in ["disable", "prefer", "require"] {
        let text = format!("postgresql://u@127.0.0.1:{port}/db?sslmode={mode}");
        let (error, text) = refused(&text).await;
        assert!(matches!(error.reason, Refusal::Broken(_) | Refusal::TlsNotOffered(_)), "{error:?}");
        assert!(text.contains(&port.to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_it_is_worth_trying_again() {
    let cluster = start();
    let url = cluster.url("postgres", "postgres");
    let held = try_to(&url).await.unwrap();
    let pid = std::fs::read_to_string(cluster.folder().join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().and_then(|line| line.parse().ok()).and_then(rustix::process::Pid::from_raw);
    // A smart shutdown waits for the sessions that are there and takes no more.
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
    until("the end of new sessions", async || try_to(&url).await.is_err()).await;
    let (error, text) = refused(&url).await;
    assert!(matches!(error.reason, Refusal::NotReady(_)) && error.is_transient(), "{error:?}");
    assert!(text.contains("57P03") && text.contains("try again"), "{text}");
    drop(held);
    until("the end of the server", async || {
        matches!(try_to(&url).await, Err(error) if matches!(error.reason, Refusal::ConnectionRefused))
    })
    .await;
}

#[tokio::test]
async fn of_several_hosts_the_first_that_will_do_is_taken() {
    let cluster = start();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let port = cluster.port();
    let both = format!("postgresql://postgres@127.0.0.1:{free},127.0.0.1:{port}/postgres");
    try_to(&both).await.expect("the second host");
    try_to(&format!("{both}?target_session_attrs=read-write")).await.expect("a primary");
    try_to(&format!("{both}?target_session_attrs=prefer-standby")).await.expect("no standby, so any");
    let (error, text) = refused(&format!("{both}?target_session_attrs=standby")).await;
    assert!(matches!(error.reason, Refusal::WrongKind("standby")), "{error:?}");
    assert!(text.contains(&format!("127.0.0.1:{free}: connection refused")), "{text}");
}
