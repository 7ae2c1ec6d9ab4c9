//! Failures while the database is ours alone: exit 4, the old one serves.

use backstay::event::Progress;
use backstay::pg::SessionOptions;
use backstay::window::guard::{self, Sample};

use crate::common::project::Project;
use crate::common::{cluster, session};
use crate::sabotage::waits;
use crate::scene::Scene;

#[tokio::test]
async fn a_database_that_can_not_be_closed_is_opened_unchanged() {
    let mut scene = Scene::open("close: a superuser's session").await;
    scene.project.edit("config/production.toml", "[database]\n", "[database]\nclose_timeout = \"1s\"\n");
    scene.project.add_gate("before");
    let running = scene.release_to_gate("before");
    let superuser = session(&cluster().url("postgres", &scene.project.name)).await;
    scene.open_gate("before");
    let ended = running.end().expect(4);
    ended.says("end every session in the database").says("of postgres");
    superuser.simple_query("SELECT 1").await.expect("the superuser was left alone");
    superuser.close().await;
    scene.is_put_back().await;
    assert_eq!(scene.project.databases().await, [scene.project.name.clone()]);

    let mut scene = Scene::open("close: a prepared transaction").await;
    let prepare = "BEGIN; DELETE FROM orders WHERE id = 1; PREPARE TRANSACTION 'left over'";
    let prepare = scene.project.sql(prepare);
    scene.project.add_command("before", &prepare);
    scene.release(4).says("the prepared transaction 'left over' of").says("ROLLBACK PREPARED 'left over'");
    let name = scene.project.name.clone();
    scene.as_superuser(&name, "ROLLBACK PREPARED 'left over'").await;
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_guard_that_can_not_be_dressed_as_production_is_none() {
    let mut scene = Scene::open("guard: an attribute that our role may not set").await;
    let set = format!("ALTER DATABASE {} SET log_min_messages = 'error'", scene.project.name);
    let set = scene.project.superuser_sql(&set);
    scene.project.add_command("before", &set);
    scene.release(4).says("log_min_messages").says("permission denied to set parameter");
    let reset = format!("ALTER DATABASE {} RESET log_min_messages", scene.project.name);
    scene.as_superuser("postgres", &reset).await;
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_migration_that_breaks_is_taken_back() {
    for (name, head, upgrade, cause) in [
        (
            "migrate: an error in a transaction",
            "",
            "UPDATE orders SET note = 'gone'; ALTER TABLE orders ADD COLUMN priority int;",
            "column \"priority\" of relation \"orders\" already exists",
        ),
        (
            "migrate: half-way outside a transaction",
            "-- transaction: off\n",
            "DELETE FROM order_items;\nCREATE INDEX CONCURRENTLY half_way ON orders (note);\nSELECT 1 / (SELECT 0);",
            "division by zero",
        ),
    ] {
        let mut scene = Scene::open(name).await;
        scene.project.add_migration(head, upgrade);
        scene.release(4).says(cause).says("production was put back");
        scene.is_put_back().await;
        assert!(!scene.project.path("deployed").exists(), "{name}: deployed");
        scene.status_says("leftover", "a failed database");
    }
}

#[tokio::test]
async fn what_was_not_approved_is_not_migrated() {
    let mut scene = Scene::open("migrate: a migration edited after its approval").await;
    scene.project.add_command("before", "sed -i s/BETWEEN/NOT\\ BETWEEN/ migrations/*priority*");
    scene.release(4).says("changed since the preview");
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_verification_that_fails_puts_back() {
    let mut scene = Scene::open("verify: a wrong number of tables").await;
    scene.project.edit("runbooks/release.toml", "step = \"verify\"\n", "step = \"verify\"\ntables = 99\n");
    scene.release(4).says("tables, not 99");
    scene.is_put_back().await;

    let mut scene = Scene::open("verify: rows are lost").await;
    scene.project.add_migration("", "DELETE FROM order_items WHERE order_id < 10;");
    scene.release(4).says("order_items has 191 rows; it had 200");
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_command_in_the_closed_database_that_fails_puts_back() {
    let mut scene = Scene::open("during: a command writes and fails").await;
    let delete = scene.project.sql("DELETE FROM order_items");
    scene.project.add_command("during", &format!("{delete}; echo half a data load; exit 9"));
    scene.release(4).says("half a data load").says("exit status: 9");
    scene.is_put_back().await;
}

#[tokio::test]
async fn the_name_being_taken_when_the_database_opens_needs_a_person() {
    let mut scene = Scene::open("open: another database has the name").await;
    let name = scene.project.name.clone();
    let create = scene.project.superuser_sql(&format!("CREATE DATABASE {name}"));
    scene.project.add_command("during", &create);
    let ended = scene.release(5);
    ended.says("has that name already").says("Putting production back failed too");
    scene.is_in_maintenance();
    scene.status_says("fence", "CLOSED");
    scene.run(&["run", "release", "--yes"], 3).says("backstay resume");
    // The stranger is sent away, as a person would; nobody may be in it.
    scene.as_superuser("postgres", &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    scene.run(&["resume"], 4);
    scene.is_put_back().await;
}

#[tokio::test]
async fn the_closed_database_is_out_of_reach() {
    let mut scene = Scene::open("during: nobody gets in").await;
    scene.project.add_command("during", &format!("{}; exit 1", waits("during")));
    let running = scene.release_to_gate("during");
    let before = scene.seen();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let after = scene.seen();
    assert_eq!(before.connections, after.connections, "somebody got in");
    assert!(after.refusals > before.refusals, "nobody tried");
    scene.status_says("fence", "CLOSED");
    scene.status_says("flag", "UP");
    scene.open_gate("during");
    running.end().expect(4);
    scene.is_put_back().await;
}

/// Autovacuum works behind the fence too: the maps that it makes of a table are no difference, a row is one.
#[tokio::test]
async fn a_guard_is_equal_whatever_vacuum_did_in_between() {
    let project = Project::shop().await;
    let (source, guard) = (project.info(), format!("{}_guard", project.name));
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let clone = format!("CREATE DATABASE {guard} TEMPLATE {0} OWNER {0}", project.name);
    admin.batch_execute(&clone).await.expect("a guard");
    session(&project.url()).await.batch_execute("VACUUM").await.expect("a vacuum");
    let copy = source.with_database(&guard);
    let verify = async || {
        let sample = Sample { bytes: 50_000_000 };
        guard::verify(&source, &copy, &SessionOptions::default(), sample, &Progress::none()).await
    };
    let (_, compared) = verify().await.expect("an equal guard");
    assert!(compared >= 5, "only {compared} tables were compared");
    session(&project.url())
        .await
        .execute("UPDATE products SET stock = 11 WHERE id = 1", &[])
        .await
        .expect("a write");
    let told = verify().await.expect_err("a guard that lacks a write").to_string();
    assert!(told.contains("products"), "{told}");
}
