//! Sessions on a physical replica, while their database is renamed and swapped.

use backstay::pg::Session;

use crate::ground::{Ground, last_word};
use crate::standby::Standby;

const WAL: [&str; 2] = ["wal_level = replica", "max_wal_senders = 5"];

async fn shop_with_a_replica() -> (Ground, Standby) {
    let ground = Ground::with(&WAL).await;
    let standby = Standby::of(&ground.cluster, "analytics").await;
    (ground, standby)
}

fn declare(ground: &Ground, standby: &Standby, timeout: &str) {
    ground.add_to_config(&format!(
        "[[replicas]]\nname = \"analytics\"\nurl = \"{}\"\n[window]\nreplica_timeout = \"{timeout}\"",
        standby.url(&ground.project.name, &ground.project.name)
    ));
}

/// The database that a session is in.
async fn oid(session: &Session) -> u32 {
    let query = "SELECT oid FROM pg_database WHERE datname = current_database()";
    session.query_one(query, &[]).await.expect("its database").get(0)
}

#[tokio::test]
async fn its_sessions_stay_in_a_good_release_and_are_ended_after_a_put_back() {
    let (ground, standby) = shop_with_a_replica().await;
    let project = &ground.project;
    declare(&ground, &standby, "30s");
    let reader = standby.session(&project.name, &project.name).await;
    let before = oid(&reader).await;

    project.run(&["run", "release", "--yes"]).expect(0);
    assert_eq!(oid(&reader).await, before, "it was renamed away and back, and is the same database");

    ground.break_the_migration();
    let ended = project.run(&["run", "release", "--yes"]).expect(4);
    assert!(ended.err.contains("replica analytics: 1 session ended"), "{}", ended.err);
    assert!(reader.simple_query("SELECT 1").await.is_err(), "its session went on in the failed database");
    let anew = standby.session(&project.name, &project.name).await;
    let live = ground.superuser(&project.name).await;
    assert_eq!(oid(&anew).await, oid(&live).await, "a new session is in the database that serves");
    assert_ne!(oid(&anew).await, before);
}

#[tokio::test]
async fn one_that_is_not_declared_is_refused_and_may_be_accepted() {
    let (ground, standby) = shop_with_a_replica().await;
    let project = &ground.project;
    let ended = project.run(&["run", "release", "--yes"]).expect(3);
    for words in ["the physical replica analytics at", "[[replicas]]", "undeclared_replicas = \"allow\""] {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
    ground.add_to_config("[window]\nundeclared_replicas = \"allow\"");
    ground.break_the_migration();
    let reader = standby.session(&project.name, &project.name).await;
    let failed = oid(&reader).await;
    project.run(&["run", "release", "--yes"]).expect(4);
    assert_eq!(oid(&reader).await, failed, "nobody ended it: it reads on in the failed database");
}

#[tokio::test]
async fn one_that_lags_holds_nothing_back_and_is_named() {
    let (ground, standby) = shop_with_a_replica().await;
    let project = &ground.project;
    declare(&ground, &standby, "1s");
    ground.break_the_migration();
    let own = standby.session("postgres", "postgres").await;
    own.batch_execute("SELECT pg_wal_replay_pause()").await.expect("paused");
    let ended = project.run(&["run", "release", "--yes", "--json"]).expect(4);
    let next = last_word(&ended)["next"].to_string();
    assert!(next.contains("on the replica analytics") && next.contains("pg_terminate_backend"), "{next}");
    assert!(ended.out.contains("after 1.0 s it has replayed"), "{}", ended.out);
}

#[tokio::test]
async fn one_that_dies_in_the_window_holds_nothing_back_and_is_named() {
    let (ground, standby) = shop_with_a_replica().await;
    let project = &ground.project;
    declare(&ground, &standby, "20s");
    // SIGQUIT is an immediate stop.
    let pid = standby.server.data.join("postmaster.pid").display().to_string();
    project.set_deploy(&format!("kill -QUIT $(head -1 {pid}); exit 1"), "true");
    let ended = project.run(&["run", "release", "--yes", "--json"]).expect(4);
    let next = last_word(&ended)["next"].to_string();
    assert!(next.contains("on the replica analytics"), "{next}");
}

#[tokio::test]
async fn a_wrong_declaration_is_found_before_the_window() {
    let (ground, standby) = shop_with_a_replica().await;
    let project = &ground.project;
    let other = Ground::with(&[]).await;
    ground.add_to_config(&format!(
        "[[replicas]]\nname = \"analytics\"\nurl = \"{}\"\n[[replicas]]\nname = \"gone\"\nurl = \"{}\"",
        ground.cluster.url(&project.name, &project.name),
        other.cluster.url("postgres", "postgres").replace(&other.cluster.port().to_string(), "1"),
    ));
    let ended = project.run(&["doctor"]).expect(3);
    assert!(ended.out.contains("declared as the replica analytics, and follows nobody"), "{}", ended.out);
    assert!(ended.out.contains("the replica gone can't be asked"), "{}", ended.out);

    // A session of a superuser there is beyond us, as it is here.
    let _kept = standby.session("postgres", &project.name).await;
    project.edit(
        "config/production.toml",
        &ground.cluster.url(&project.name, &project.name),
        &standby.url(&project.name, &project.name),
    );
    let ended = project.run(&["doctor"]).expect(3);
    assert!(ended.out.contains("on the replica analytics: process"), "{}", ended.out);
}

#[tokio::test]
async fn one_that_stops_replaying_is_seen_after_the_release() {
    let (ground, standby) = shop_with_a_replica().await;
    let project = &ground.project;
    declare(&ground, &standby, "1s");
    let watch = "[[after]]\nstep = \"watch\"\nfor = \"30s\"\nevery = \"200ms\"\non_breach = \"stop\"\nhealth = false\nlag = \"500ms\"\n";
    project.write("runbooks/look.toml", &watch.replace("30s", "1s"));
    let ended = project.run(&["run", "look", "--yes"]).expect(0);
    assert!(ended.err.contains("replicas at most"), "{}", ended.err);

    project.write("runbooks/look.toml", watch);
    let own = standby.session("postgres", "postgres").await;
    own.batch_execute("SELECT pg_wal_replay_pause()").await.expect("paused");
    let owner = crate::common::session(&project.url()).await;
    owner.batch_execute("DELETE FROM order_items").await.expect("a write");
    let ended = project.run(&["run", "look", "--yes"]).expect(7);
    assert!(ended.err.contains("replica analytics: it is "), "{}", ended.err);
    assert!(ended.err.contains(" behind, more than 0.5 s, 3 looks in a row"), "{}", ended.err);
}
