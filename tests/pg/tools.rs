//! The client programs on a real server.

use backstay::failure::Failure;
use backstay::pg::quote_ident;
use backstay::pg::tools::{self, ToolError};

use crate::common::{cluster, fresh_database, session};
use crate::server::{admin, info, set_hba, start, until};

#[tokio::test]
async fn programs_are_found_or_it_is_said_how_to_get_them() {
    let found = tools::find("pg_dump", 150_000).await.unwrap();
    assert_eq!(found.version / 10_000, 15);
    let same = tools::find_in(Some(cluster().binaries()), "pg_dump", 130_000).await.unwrap();
    assert_eq!(same.version, found.version);

    let error = tools::find("pg_dump", 990_001).await.unwrap_err();
    assert!(matches!(error, ToolError::TooOld { server: 990_001, .. }), "{error:?}");
    assert!(error.to_string().contains("99.1"), "{error}");
    assert!(Failure::from(error).next[0].contains("postgresql-client-99"));

    let empty = tempfile::tempdir().unwrap();
    let error = tools::find_in(Some(empty.path()), "pg_dump", 150_018).await.unwrap_err();
    assert!(error.to_string().contains(&empty.path().display().to_string()), "{error}");
    assert!(Failure::from(error).next[0].contains("apt-get install postgresql-client-15"));
}

#[tokio::test]
async fn a_dump_needs_no_argument_and_shows_no_password() {
    let cluster = start();
    let admin = admin(&cluster).await;
    let name = "shop \"x\" o'y = postgresql://z";
    admin.batch_execute("CREATE ROLE app LOGIN PASSWORD 'p@ss w/rd#%'").await.unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {} OWNER app", quote_ident(name))).await.unwrap();
    set_hba(&cluster, "host all app 127.0.0.1/32 scram-sha-256").await;
    let url = format!("postgresql://app:p%40ss%20w%2Frd%23%25@127.0.0.1:{}/x", cluster.port());
    let info = info(&url).with_database(name);
    let owner = backstay::pg::connect(&info, &Default::default()).await.unwrap();
    owner.batch_execute("CREATE TABLE items (id int); INSERT INTO items VALUES (1), (2)").await.unwrap();

    let dump = tools::find("pg_dump", owner.server_version()).await.unwrap();
    let text = String::from_utf8(dump.collect(dump.command(&info)).await.unwrap()).unwrap();
    assert!(text.contains("CREATE TABLE public.items"), "{text}");
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
    assert_eq!(dump.run_to(dump.command(&info), &mut file).await.unwrap(), text.len() as u64);

    let command = dump.command(&info);
    assert_eq!(command.as_std().get_args().count(), 0);

    let psql = tools::find("psql", owner.server_version()).await.unwrap();
    let mut command = psql.command(&info);
    command.args(["-X", "-At", "-v", "ON_ERROR_STOP=1"]);
    let answer = psql.feed(command, &mut &b"SELECT count(*) FROM items;"[..]).await.unwrap();
    assert_eq!(answer, b"2\n");

    let wrong = crate::server::info(&format!("postgresql://app:wr0ng-secret@127.0.0.1:{}/x", cluster.port()));
    let error = dump.collect(dump.command(&wrong)).await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    assert!(!error.to_string().contains("wr0ng"), "{error}");
}

#[tokio::test]
async fn a_program_that_fails_says_why_even_while_it_is_fed() {
    let url = fresh_database().await;
    let psql = tools::find("psql", 150_000).await.unwrap();
    let mut command = psql.command(&info(&url));
    command.args(["-X", "-v", "ON_ERROR_STOP=1"]);
    let mut script = b"SELECT no_such_function();\n".to_vec();
    script.extend(std::iter::repeat_n(b"SELECT 1;\n", 200_000).flatten());
    let error = psql.feed(command, &mut script.as_slice()).await.unwrap_err();
    assert!(error.to_string().contains("no_such_function"), "{error}");

    // An output that takes no more: its error is the cause, and nothing hangs.
    let mut command = psql.command(&info(&url));
    command.args(["-X", "-c", "SELECT repeat('x', 10000000)"]);
    let mut full = tokio::fs::OpenOptions::new().write(true).open("/dev/full").await.unwrap();
    let error = psql.run_to(command, &mut full).await.unwrap_err();
    assert!(matches!(error, ToolError::Io { .. }) && error.to_string().contains("space"), "{error:?}");
}

#[tokio::test]
async fn a_program_ends_with_whoever_runs_it() {
    let url = fresh_database().await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let psql = tools::find("psql", 150_000).await.unwrap();
    let mut command = psql.command(&info(&url));
    command.args(["-X", "-c", "SELECT pg_sleep(60)"]).env("PGAPPNAME", "sleeper");
    command.env("PGOPTIONS", "-c client_connection_check_interval=200ms");
    let count = async || {
        let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sleeper'";
        admin.query_one(text, &[]).await.unwrap().get::<_, i64>(0)
    };
    {
        let running = psql.collect(command);
        tokio::pin!(running);
        let started = until("the sleeper", async || count().await == 1);
        tokio::select! {
            _ = &mut running => panic!("it should sleep"),
            _ = started => {}
        }
    }
    // Its backend looks whether its client is still there.
    until("the end", async || count().await == 0).await;
}
