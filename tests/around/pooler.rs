//! Releases behind a real PgBouncer in transaction mode, under clients that write all the time.

use std::collections::BTreeSet;

use crate::bouncer::Bouncer;
use crate::clients::{Clients, Seen, written};
use crate::driver::Driver;
use crate::ground::Ground;

/// The shop, its application behind PgBouncer, our own work past it.
async fn behind_a_bouncer(pooler_timeout: &str) -> (Ground, Bouncer) {
    let ground = Ground::with(&[]).await;
    let bouncer = Bouncer::before(&ground, "");
    let name = ground.project.name.clone();
    ground.connect_by(&format!("url = \"{}\"\nadmin_url = \"${{DATABASE_URL}}\"", bouncer.url(&name, &name)));
    ground.add_to_config(&bouncer.commands(&name, pooler_timeout));
    (ground, bouncer)
}

fn clients(ground: &Ground, bouncer: &Bouncer) -> Clients {
    Clients::at(&bouncer.url(&ground.project.name, &ground.project.name), 8)
}

/// Every acknowledged write is in the database that serves; nobody met an error.
async fn all_are_there(ground: &Ground, seen: &Seen) {
    assert_eq!(seen.errors, Vec::<String>::new(), "a client met an error");
    let live = written(&ground.superuser(&ground.project.name).await).await;
    let lost: BTreeSet<_> = seen.acknowledged.difference(&live).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
}

#[tokio::test]
async fn no_client_meets_an_error_in_a_good_release() {
    let (ground, bouncer) = behind_a_bouncer("30s").await;
    let clients = clients(&ground, &bouncer);
    clients.write_more(50).await;
    let ended = ground.project.run(&["run", "release", "--yes"]).expect(0);
    assert!(
        ended.err.contains("; the pooler is paused") && ended.err.contains("; the pooler goes on"),
        "{}",
        ended.err
    );
    clients.write_more(50).await;
    all_are_there(&ground, &clients.stop().await).await;
}

#[tokio::test]
async fn nor_where_the_migration_fails() {
    let (ground, bouncer) = behind_a_bouncer("30s").await;
    ground.break_the_migration();
    let clients = clients(&ground, &bouncer);
    clients.write_more(50).await;
    ground.project.run(&["run", "release", "--yes"]).expect(4);
    clients.write_more(50).await;
    all_are_there(&ground, &clients.stop().await).await;
}

#[tokio::test]
async fn nor_where_it_is_put_back_after_they_wrote_and_every_write_is_kept() {
    let (ground, bouncer) = behind_a_bouncer("30s").await;
    ground.project.set_deploy("exit 1", "true");
    ground.add_to_config("[window]\non_writes = \"put-back\"");
    let clients = clients(&ground, &bouncer);
    clients.write_more(50).await;
    ground.project.run(&["run", "release", "--yes"]).expect(4);
    clients.write_more(50).await;
    let seen = clients.stop().await;
    assert_eq!(seen.errors, Vec::<String>::new(), "a client met an error");
    let mut kept = written(&ground.superuser(&ground.project.name).await).await;
    let failed = ground.project.databases().await.into_iter().find(|name| name.contains("__f_"));
    let failed = failed.expect("the failed database");
    let admin = ground.superuser("postgres").await;
    let open = format!("ALTER DATABASE \"{failed}\" ALLOW_CONNECTIONS true");
    admin.batch_execute(&open).await.expect("opened for a look");
    kept.extend(written(&ground.superuser(&failed).await).await);
    let lost: BTreeSet<_> = seen.acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
}

#[tokio::test]
async fn a_resume_lets_those_go_on_whom_a_dead_driver_left_waiting() {
    let (ground, bouncer) = behind_a_bouncer("30s").await;
    let clients = clients(&ground, &bouncer);
    clients.write_more(50).await;
    let mut driver = Driver::start(&ground.project, &["run", "release", "--yes"]);
    driver.starts(&ground.project, "clone the guard");
    driver.kill();
    ground.project.run(&["resume", "--yes"]).expect(0);
    clients.write_more(50).await;
    all_are_there(&ground, &clients.stop().await).await;
}

/// As it happens to every session when many share the server's few: what one transaction prepared, the next one
/// does not find.
#[tokio::test]
async fn the_application_s_way_in_needs_no_prepared_statements() {
    let ground = Ground::with(&[]).await;
    let forgets = "server_reset_query = DISCARD ALL\nserver_reset_query_always = 1";
    let bouncer = Bouncer::before(&ground, forgets);
    let name = ground.project.name.clone();
    ground.connect_by(&format!("url = \"{}\"\nadmin_url = \"${{DATABASE_URL}}\"", bouncer.url(&name, &name)));
    ground.add_to_config(&bouncer.commands(&name, "30s"));
    ground.add_to_config("[[health.sql]]\nexpect = \"SELECT count(*) > 0 FROM customers\"");
    let ended = ground.project.run(&["run", "release", "--yes"]).expect(0);
    assert!(ended.err.contains("SQL check true"), "{}", ended.err);
}

#[tokio::test]
async fn a_pause_that_hangs_turns_back_in_time_and_harms_nobody() {
    let (ground, bouncer) = behind_a_bouncer("1s").await;
    // A transaction that stays open: PAUSE waits for it.
    let url = bouncer.url(&ground.project.name, &ground.project.name);
    let busy = crate::common::session(&url).await;
    busy.batch_execute("BEGIN; SELECT count(*) FROM customers").await.expect("a transaction");
    let ended = ground.project.run(&["run", "release", "--yes"]).expect(4);
    for words in ["could not pause the pooler", "did not end within 1.0 s", "[database.pooler] timeout"] {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
    busy.batch_execute("INSERT INTO customers (name, email) VALUES ('w-x', 'x'); COMMIT")
        .await
        .expect("it goes on");
    assert!(written(&ground.superuser(&ground.project.name).await).await.contains("w-x"));
}

#[tokio::test]
async fn a_bouncer_that_met_the_closed_database_is_waited_for() {
    let ground = Ground::with(&[]).await;
    let bouncer = Bouncer::before(&ground, "server_login_retry = 3");
    let name = ground.project.name.clone();
    ground.connect_by(&format!("url = \"{}\"\nadmin_url = \"${{DATABASE_URL}}\"", bouncer.url(&name, &name)));
    ground.break_the_migration();
    // Nobody pauses: its clients meet errors, and it stops asking the server for a while.
    let clients = Clients::at(&bouncer.url(&name, &name), 8);
    clients.write_more(50).await;
    ground.project.run(&["run", "release", "--yes"]).expect(4);
    clients.write_more(20).await;
    let seen = clients.stop().await;
    let live = written(&ground.superuser(&name).await).await;
    assert!(seen.acknowledged.is_subset(&live), "acknowledged, and lost");
}

/// A pooler that is not told to go on: the run turns back and stays in maintenance, for the proof goes through the
/// pooler. It says what a person has to do; once the command is mended, the next resume tells the pooler itself.
#[tokio::test]
async fn a_resume_that_fails_leaves_production_in_maintenance_until_the_pooler_heeds_it() {
    let (ground, bouncer) = behind_a_bouncer("5s").await;
    let project = &ground.project;
    project.edit("config/production.toml", "RESUME ", "RESUMB ");
    project.edit("config/production.toml", "[database]\n", "[database]\nrestart_timeout = \"1s\"\n");
    let ended = project.run(&["run", "release", "--yes"]).expect(5);
    let words = [
        "could not resume the pooler",
        "invalid command 'RESUMB",
        "the pooler did not resume, which it may have done before",
        "Putting production back failed too",
        "try [database.pooler] resume by hand",
        "in maintenance, flag up",
    ];
    for words in words {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
    assert!(project.flag_is_up());
    project.edit("config/production.toml", "RESUMB ", "RESUME ");
    let ended = project.run(&["resume", "--yes"]).expect(4);
    assert!(ended.err.contains("could not resume the pooler"), "the first cause is hidden:\n{}", ended.err);
    assert!(!project.flag_is_up());
    let front = crate::common::session(&bouncer.url(&project.name, &project.name)).await;
    front.batch_execute("INSERT INTO customers (name, email) VALUES ('w-y', 'y')").await.expect("a write");
    let query = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'priority'";
    let row = ground.superuser(&project.name).await.query_one(query, &[]).await.expect("the columns");
    assert_eq!(row.get::<_, i64>(0), 0, "the new schema serves");
}
