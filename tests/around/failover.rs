//! The primary dies in the window, and its synchronous standby is promoted: the run goes on there, or is resumed
//! there. What was acknowledged to a client is on the standby, so nothing of it is lost.

use crate::clients::{Clients, written};
use crate::driver::Driver;
use crate::ground::Ground;
use crate::standby::{Standby, until};

/// No commit is acknowledged before it is on this standby too.
async fn synchronous_standby(ground: &Ground) -> Standby {
    let standby = Standby::of(&ground.cluster, "twin").await;
    commits_wait_for(ground, "twin").await;
    let admin = ground.superuser("postgres").await;
    until(&admin, "SELECT sync_state FROM pg_stat_replication", "sync").await;
    standby
}

async fn commits_wait_for(ground: &Ground, standby: &str) {
    let admin = ground.superuser("postgres").await;
    let names = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
    // Also where no commit is answered: these two are.
    admin.batch_execute(&names).await.expect("a setting");
    admin.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
}

async fn promoted_at(line: &str) {
    let ground = Ground::with(&["wal_level = replica"]).await;
    let project = &ground.project;
    let standby = synchronous_standby(&ground).await;
    let one = format!("127.0.0.1:{}", ground.cluster.port());
    let both = project.url().replace(&one, &format!("{one},127.0.0.1:{}", standby.port));
    let url = format!("{both}?target_session_attrs=read-write");
    ground.connect_by(&format!("url = \"{url}\""));
    ground.add_to_config(&format!(
        "[[replicas]]\nname = \"twin\"\nurl = \"{}\"\n[window]\non_writes = \"put-back\"",
        standby.url(&project.name, &project.name)
    ));
    project.set_deploy("sleep 0.5", "true");
    let clients = Clients::at(&url, 2);
    clients.write_more(20).await;

    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, line);
    ground.server().stop("immediate");
    standby.server.control(&["promote"]);
    let mut ended = driver.ended();
    if matches!(ended.code, 6 | 8) {
        ended = project.run(&["resume", "--yes"]);
    }
    assert!(matches!(ended.code, 0 | 4), "{line}: {ended:?}");
    assert!(!project.flag_is_up(), "{line}");
    clients.write_more(5).await;
    let seen = clients.stop().await;
    let mut kept = written(&standby.session("postgres", &project.name).await).await;
    let admin = standby.session("postgres", "postgres").await;
    let failed =
        format!("SELECT datname::text FROM pg_database WHERE datname LIKE '{}\\_\\_f\\_%'", project.name);
    for row in admin.query(&failed, &[]).await.expect("databases") {
        let name: String = row.get(0);
        let open = format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true");
        admin.batch_execute(&open).await.expect("opened for a look");
        kept.extend(written(&standby.session("postgres", &name).await).await);
    }
    let lost: Vec<_> = seen.acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "{line}: acknowledged, and lost: {lost:?}");
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn before_the_guard() {
    promoted_at("close the database").await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn while_the_guard_is_made() {
    promoted_at("clone the guard").await;
}

#[tokio::test]
async fn in_the_migration() {
    promoted_at("migrate").await;
}

#[tokio::test]
async fn after_open() {
    promoted_at("deploy").await;
}

/// A migration's commit waits on a session of its own; its failure says for what.
#[tokio::test]
#[ignore = "long: make test-around"]
async fn a_synchronous_standby_that_is_lost_in_the_migration() {
    let ground = Ground::with(&["wal_level = replica"]).await;
    let project = &ground.project;
    let standby = synchronous_standby(&ground).await;
    ground.connect_by(&format!("url = \"{}\"\nnetwork_timeout = \"1s\"", project.url()));
    ground.add_to_config("[window]\nundeclared_replicas = \"allow\"");
    project.write(
        "migrations/slow.sql",
        "-- revision: 510000000001\n-- revises: c08085465bad\n-- Takes its time\n\n-- upgrade\n\
         SELECT pg_sleep(2);\nCREATE TABLE slow (id int);\n-- downgrade\nDROP TABLE slow;\n",
    );
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "migrate");
    standby.server.stop("immediate");
    let ended = driver.ended().expect(5);
    assert!(ended.err.contains("waits for a synchronous standby"), "{}", ended.err);
    commits_wait_for(&ground, "").await;
    project.run(&["resume", "--yes"]).expect(4);
}

/// The server would hold back the answer to a commit for ever. A release that meets that stops, and says why.
#[tokio::test]
async fn a_synchronous_standby_that_is_lost_is_not_waited_for_for_ever() {
    let ground = Ground::with(&["wal_level = replica"]).await;
    let project = &ground.project;
    let standby = synchronous_standby(&ground).await;
    ground.connect_by(&format!("url = \"{}\"\nnetwork_timeout = \"1s\"", project.url()));
    ground.add_to_config("[window]\nundeclared_replicas = \"allow\"");
    let pid = standby.server.data.join("postmaster.pid").display().to_string();
    project.set_deploy(&format!("kill -QUIT $(head -1 {pid}); exit 1"), "true");
    let ended = project.run(&["run", "release", "--yes"]).expect(5);
    assert!(ended.err.contains("waits for a synchronous standby"), "{}", ended.err);
    commits_wait_for(&ground, "").await;
    project.run(&["resume", "--yes"]).expect(4);
    assert!(!project.flag_is_up());

    commits_wait_for(&ground, "twin").await;
    let ended = project.run(&["run", "release", "--yes"]).expect(3);
    for words in
        ["every commit waits for a synchronous standby (twin)", "ALTER SYSTEM SET synchronous_standby_names"]
    {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
}
