//! Failures after `open` with a write of somebody else: nothing is dropped that nobody agreed to drop.

use crate::common::{cluster, session};
use crate::scene::{NEW, Scene};

/// A kind of write, what must be said of it, and a query that is true where it is.
struct Write {
    name: &'static str,
    statement: &'static str,
    said: &'static str,
    there: &'static str,
}

const ROWS: [Write; 4] = [
    Write {
        name: "a row is inserted",
        statement: "INSERT INTO customers (name, email) VALUES ('Ada', 'ada@example.org')",
        said: "public.customers: 1 row new or changed",
        there: "SELECT EXISTS (SELECT FROM customers WHERE name = 'Ada')",
    },
    Write {
        name: "a row is updated",
        statement: "UPDATE products SET stock = 77 WHERE id = 1",
        said: "public.products: 1 row new or changed",
        there: "SELECT stock = 77 FROM products WHERE id = 1",
    },
    Write {
        name: "a row is deleted",
        statement: "DELETE FROM order_items WHERE order_id = 1",
        said: "public.order_items: 1 row deleted",
        there: "SELECT count(*) = 199 FROM order_items",
    },
    Write {
        name: "a table is truncated",
        statement: "TRUNCATE order_items",
        said: "public.order_items: truncated or rewritten, 200 rows deleted",
        there: "SELECT count(*) = 0 FROM order_items",
    },
];

const OBJECTS: [Write; 4] = [
    Write {
        name: "a sequence is used",
        statement: "SELECT nextval('customers_id_seq')",
        said: "public.customers_id_seq: advanced to 201",
        there: "SELECT last_value = 201 FROM customers_id_seq",
    },
    Write {
        name: "a table is created",
        statement: "CREATE TABLE guests (id int)",
        said: "public.guests: created",
        there: "SELECT to_regclass('guests') IS NOT NULL",
    },
    Write {
        name: "a column is added",
        statement: "ALTER TABLE customers ADD COLUMN phone text",
        said: "public.customers.phone: a column was changed",
        there: "SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'phone')",
    },
    Write {
        name: "a large object is made",
        statement: "SELECT lo_create(4711)",
        said: "1 large object was made or changed",
        there: "SELECT EXISTS (SELECT FROM pg_largeobject_metadata WHERE oid = 4711)",
    },
];

#[tokio::test]
async fn a_row_inserted_or_updated_is_named_and_kept() {
    for write in &ROWS[..2] {
        stops_and_is_put_back_by_a_person(write).await;
    }
}

#[tokio::test]
async fn a_row_deleted_or_a_table_truncated_is_named_and_kept() {
    for write in &ROWS[2..] {
        stops_and_is_put_back_by_a_person(write).await;
    }
}

#[tokio::test]
async fn a_sequence_used_or_a_table_created_is_named_and_kept() {
    for write in &OBJECTS[..2] {
        stops_and_is_put_back_by_a_person(write).await;
    }
}

#[tokio::test]
async fn a_column_added_or_a_large_object_made_is_named_and_kept() {
    for write in &OBJECTS[2..] {
        stops_and_is_put_back_by_a_person(write).await;
    }
}

async fn stops_and_is_put_back_by_a_person(write: &Write) {
    let mut scene = Scene::open(write.name).await;
    scene.project.deploys(&format!("{}; exit 3", scene.project.sql(write.statement)), "");
    let ended = scene.release(5);
    ended.says(write.said).says("exit status: 3").says("NOT put back").says("--put-back");
    stands_open_and_new(&scene, write).await;
    let before = scene.seen();
    let run = scene.run_id();
    scene.run(&["resume", &run, "--put-back"], 4);
    let failed = scene.companion("f").await;
    scene.is_put_back().await;
    assert!(holds(&failed, write.there).await, "{}: the failed database lost it", write.name);
    scene.kept_writes(&failed, &before).await;
    scene.status_says("leftover", "a failed database");
}

/// The flag is up, the database open with the new schema and the write.
async fn stands_open_and_new(scene: &Scene, write: &Write) {
    scene.is_in_maintenance();
    scene.status_says("fence", "open");
    assert_eq!(scene.revision().await, NEW, "{}", write.name);
    assert!(holds(&scene.project.name, write.there).await, "{}", write.name);
    scene.lets_write_aside().await;
}

/// Whether the query is true there. Kept databases are closed; a superuser can open them.
async fn holds(database: &str, query: &str) -> bool {
    let admin = session(&cluster().url("postgres", "postgres")).await;
    admin
        .batch_execute(&format!("ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS true"))
        .await
        .expect("opened");
    let there = session(&cluster().url("postgres", database)).await;
    there.query_one(query, &[]).await.expect("an answer").get(0)
}

#[tokio::test]
async fn a_write_of_a_client_that_is_still_connected_is_seen_behind_the_fence() {
    let write = &ROWS[2];
    let mut scene = Scene::open("a client deleted a row and stays").await;
    scene.project.deploys(&format!("{}; exit 3", crate::sabotage::waits("deploy")), "");
    let running = scene.release_to_gate("deploy");
    let client = session(&scene.project.url()).await;
    client.batch_execute(write.statement).await.expect("an acknowledged write");
    scene.open_gate("deploy");
    running.end().expect(5).says(write.said).says("exit status: 3").says("--put-back");
    stands_open_and_new(&scene, write).await;
    // Asked again without an answer, it stays as it is.
    scene.run(&["resume"], 5).says(write.said).says("--put-back");
    stands_open_and_new(&scene, write).await;
    let run = scene.run_id();
    scene.run(&["resume", &run, "--put-back"], 4);
    let failed = scene.companion("f").await;
    scene.is_put_back().await;
    assert!(holds(&failed, write.there).await);
}

#[tokio::test]
async fn the_config_may_say_that_writes_go_to_the_kept_database() {
    let write = &ROWS[0];
    let mut scene = Scene::open("on_writes = put-back").await;
    scene.project.edit(
        "config/production.toml",
        "[store]\n",
        "[window]\non_writes = \"put-back\"\n\n[store]\n",
    );
    scene.project.deploys(&format!("{}; exit 3", scene.project.sql(write.statement)), "");
    scene.release(4).says(write.said);
    let failed = scene.companion("f").await;
    scene.is_put_back().await;
    assert!(holds(&failed, write.there).await);
}

impl Scene {
    /// A fresh session can write a thing that no later look sees.
    async fn lets_write_aside(&self) {
        let fresh = session(&self.project.url()).await;
        let written =
            fresh.batch_execute("CREATE TEMPORARY TABLE aside (id int); INSERT INTO aside VALUES (1)").await;
        written.unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
    }
}

#[tokio::test]
async fn a_person_may_keep_the_new_version_once_it_is_healthy() {
    let write = &ROWS[0];
    let mut scene = Scene::open("the new version is kept").await;
    scene.project.deploys(&format!("{}; exit 3", scene.project.sql(write.statement)), "");
    scene.add_to_config("interval = \"100ms\"\ndeadline = \"1s\"\n");
    scene.release(5).says("--keep-new");
    let run = scene.run_id();
    scene.project.write("health", "503");
    scene.run(&["resume", &run, "--keep-new"], 5).says("503");
    scene.is_in_maintenance();
    std::fs::remove_file(scene.project.path("health")).expect("removed");
    scene.run(&["resume", &run], 7);
    scene.is_new("changed_but_failing").await;
    assert!(holds(&scene.project.name, write.there).await);
}

/// Kept, and ill for good: the decision is taken back.
#[tokio::test]
async fn a_new_version_that_does_not_get_well_is_put_back_after_all() {
    let write = &ROWS[0];
    let mut scene = Scene::open("kept, then put back").await;
    scene.project.deploys(
        &format!("{}; echo 503 > health; exit 3", scene.project.sql(write.statement)),
        "rm -f health",
    );
    scene.add_to_config("interval = \"100ms\"\ndeadline = \"1s\"\n");
    scene.release(5);
    let run = scene.run_id();
    let kept = scene.run(&["resume", &run, "--keep-new"], 5);
    kept.says("503").says("tries to keep the new version again").says("--put-back");
    scene.run(&["resume", &run, "--put-back"], 4).says("others' writes are kept as");
    let failed = scene.companion("f").await;
    scene.is_put_back().await;
    assert!(holds(&failed, write.there).await);
}
