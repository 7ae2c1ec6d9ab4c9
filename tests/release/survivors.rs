//! What goes on writing when every session was ended: ended, refused, or named; and nothing of it slips between
//! close and guard, or between the last count and the swap.

use crate::common::{cluster, session};
use crate::scene::Scene;

#[tokio::test]
async fn what_was_not_committed_at_the_close_is_in_neither_database() {
    let mut scene = Scene::open("a long transaction at the close, and another at the put-back").await;
    scene.project.add_gate("before");
    let running = scene.release_that_fails_at_its_gate_after("before");
    let before = session(&scene.project.url()).await;
    let write = "BEGIN; UPDATE customers SET name = 'Eve' WHERE id = 1; \
                 DELETE FROM order_items WHERE order_id = 3";
    before.batch_execute(write).await.expect("a transaction");
    scene.open_gate("before");
    scene.reaches_gate("deploy");
    assert!(before.batch_execute("COMMIT").await.is_err(), "its session was ended");
    let during = session(&scene.project.url()).await;
    let write = "BEGIN; UPDATE products SET stock = 0; DELETE FROM order_items";
    during.batch_execute(write).await.expect("a transaction");
    scene.open_gate("deploy");
    // Its counters rose, and no row of it is there: nothing is dropped, so nobody is asked.
    running.end().expect(4);
    assert!(during.batch_execute("COMMIT").await.is_err(), "its session was ended");
    let failed = scene.companion("f").await;
    scene.is_put_back().await;
    scene.as_superuser("postgres", &format!("ALTER DATABASE \"{failed}\" ALLOW_CONNECTIONS true")).await;
    for database in [&scene.project.name, &failed] {
        let there = session(&cluster().url("postgres", database)).await;
        let query = "SELECT (SELECT count(*) FROM customers WHERE name = 'Eve') + (SELECT count(*) FROM products \
                     WHERE stock = 0), (SELECT count(*) FROM order_items)";
        let row = there.query_one(query, &[]).await.expect("an answer");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 200), "{database}");
    }
}

#[tokio::test]
async fn a_transaction_prepared_after_open_is_named_before_the_put_back() {
    let mut scene = Scene::open("a prepared transaction after open").await;
    let running = scene.release_that_fails_at_its_gate();
    let prepare = "BEGIN; UPDATE products SET stock = 3 WHERE id = 1; \
                   PREPARE TRANSACTION 'it''s ours'";
    scene.others_write(prepare).await;
    scene.open_gate("deploy");
    let ended = running.end().expect(5);
    ended
        .says("exit status: 3")
        .says("the prepared transaction 'it''s ours' of")
        .says("COMMIT PREPARED 'it''s ours'");
    scene.is_in_maintenance();
    scene.status_says("fence", "open");
    scene.others_write("COMMIT PREPARED 'it''s ours'").await;
    scene.run(&["resume"], 5).says("public.products: 1 row new or changed");
    let run = scene.run_id();
    scene.run(&["resume", &run, "--put-back"], 4).says("1 table, 1 row");
    scene.is_put_back().await;
}

#[tokio::test]
async fn what_a_subscription_applies_is_seen_and_its_worker_is_named() {
    let mut scene = Scene::open("a subscription's worker writes after open").await;
    scene.project.edit("config/production.toml", "[database]\n", "[database]\nclose_timeout = \"2s\"\n");
    let publisher = format!("{}_publisher", scene.project.name);
    scene.as_superuser("postgres", &format!("CREATE DATABASE {publisher}")).await;
    let table = "CREATE TABLE readings (id int PRIMARY KEY, value text)";
    scene.as_superuser(&publisher, table).await;
    scene.as_superuser(&publisher, "CREATE PUBLICATION readings FOR TABLE readings").await;
    scene.as_superuser(&publisher, "SELECT pg_create_logical_replication_slot('readings', 'pgoutput')").await;
    session(&scene.project.url()).await.batch_execute(table).await.expect("a table");
    scene.look_again().await;
    let running = scene.release_that_fails_at_its_gate();
    let subscribe = format!(
        "CREATE SUBSCRIPTION readings CONNECTION '{}' PUBLICATION readings \
         WITH (create_slot = false, copy_data = false, slot_name = 'readings')",
        cluster().url("postgres", &publisher)
    );
    scene.as_superuser(&scene.project.name.clone(), &subscribe).await;
    scene.as_superuser(&publisher, "INSERT INTO readings VALUES (1, 'applied')").await;
    scene.comes_true("SELECT count(*) = 1 FROM readings").await;
    scene.open_gate("deploy");
    let ended = running.end().expect(5);
    ended.says("public.readings: 1 row new or changed");
    let run = scene.run_id();
    let ended = scene.run(&["resume", &run, "--put-back"], 5);
    ended
        .says("the subscription \"readings\" of postgres writes")
        .says("ALTER SUBSCRIPTION \"readings\" DISABLE");
    scene.is_in_maintenance();
    scene.status_says("fence", "open");
    scene.as_superuser(&scene.project.name.clone(), "ALTER SUBSCRIPTION readings DISABLE").await;
    scene.run(&["resume"], 4).says("1 table, 1 row");
    let failed = scene.companion("f").await;
    scene.as_superuser("postgres", &format!("ALTER DATABASE \"{failed}\" ALLOW_CONNECTIONS true")).await;
    let end = "ALTER SUBSCRIPTION readings SET (slot_name = NONE)";
    scene.as_superuser(&failed, end).await;
    scene.as_superuser(&failed, "DROP SUBSCRIPTION readings").await;
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_subscription_made_after_the_preflight_is_refused_behind_the_fence() {
    let mut scene = Scene::open("a subscription between preflight and close").await;
    scene.project.edit("config/production.toml", "[database]\n", "[database]\nclose_timeout = \"1s\"\n");
    scene.project.add_gate("before");
    let running = scene.release_to_gate("before");
    let name = scene.project.name.clone();
    let nowhere = "CREATE SUBSCRIPTION nowhere CONNECTION 'host=127.0.0.1 port=1' PUBLICATION none \
                   WITH (connect = false, slot_name = NONE)";
    scene.as_superuser(&name, nowhere).await;
    // Enabled in the catalog alone: its worker comes and goes.
    scene
        .as_superuser(&name, "UPDATE pg_catalog.pg_subscription SET subenabled = true, subslotname = 'x'")
        .await;
    scene.open_gate("before");
    running.end().expect(4).says("the subscription \"nowhere\" of postgres writes");
    scene
        .as_superuser(&name, "UPDATE pg_catalog.pg_subscription SET subenabled = false, subslotname = NULL")
        .await;
    scene.as_superuser(&name, "DROP SUBSCRIPTION nowhere").await;
    scene.is_put_back().await;
    assert_eq!(scene.project.databases().await, [name]);
}

impl Scene {
    /// As [`Scene::release_that_fails_at_its_gate`], held up before by another gate.
    fn release_that_fails_at_its_gate_after(&self, gate: &str) -> crate::scene::Running {
        let deploy = format!("{}; exit 3", crate::sabotage::waits("deploy"));
        self.project.deploys(&deploy, "");
        self.release_to_gate(gate)
    }

    /// Waits until the release stands at a gate.
    fn reaches_gate(&self, gate: &str) {
        let at = self.project.path(&format!("at-{gate}"));
        crate::common::project::wait_until("the gate", || at.exists());
    }

    /// Waits until a query is true in the project's database.
    async fn comes_true(&self, query: &str) {
        let there = session(&cluster().url("postgres", &self.project.name)).await;
        for _ in 0..2_000 {
            if there.query_one(query, &[]).await.expect("an answer").get(0) {
                return there.close().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{}: {query} did not come true", self.name);
    }
}
