//! Every kind of object that PostgreSQL has, as `pg_dump` and `pg_restore` carry it.

use backstay::backup::Level;
use backstay::backup::fingerprint::Content;
use backstay::failure::Failure;

use crate::common;
use crate::world::{World, admin_of, count, same_dumps, small};

#[tokio::test]
async fn every_kind_comes_back_as_by_pg_restore() {
    comes_back(&World::of_a_superuser(8).await).await;
}

/// `cargo nextest run --test backup --run-ignored only huge`: needs some gigabytes of memory.
#[tokio::test]
#[ignore = "long"]
async fn huge_rows_come_back_as_by_pg_restore() {
    comes_back(&World::of_a_superuser(300).await).await;
}

async fn comes_back(world: &World) {
    let (place, manifest) = world.write(&small()).await;
    let original = world.content(&world.name, None).await;
    assert_eq!(Content::of_manifest(&manifest).differences(&original), []);
    // Servers before 14 cannot read a range of a heap by itself.
    let cut = manifest.tables.iter().filter(|table| table.chunks.len() > 1).count();
    assert_eq!(cut > 3, common::version() >= 140_000, "{cut} tables are cut");

    let name = common::fresh_name("restored");
    world.restore(&manifest, &name).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    let measure = world.measure().await;
    same_dumps(world.cluster, &measure, &name).await;
    assert_eq!(original.differences(&world.content(&name, Some(&manifest)).await), []);

    let session = admin_of(world.cluster, &name).await;
    let view = "SELECT count(*) FROM pg_catalog.pg_matviews WHERE NOT ispopulated";
    assert_eq!(count(&session, view).await, 2);
    assert_eq!(count(&session, "SELECT n FROM public.a_second").await, 99);
    assert_eq!(count(&session, "SELECT f FROM public.a_first_by_function").await, 99);
    assert_eq!(
        count(
            &session,
            "SELECT count(*) FROM pg_catalog.pg_subscription s \
        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()"
        )
        .await,
        0
    );

    let by_hand = common::fresh_name("by hand ");
    let output = world.restore_by_hand(&place, &by_hand, "postgres").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    same_dumps(world.cluster, &measure, &by_hand).await;

    let proof = world.verify(&place, Level::Restore).await;
    assert_eq!(proof.mismatches, []);
}

/// A hash of an enum's value is of its oid, so after a restore rows belong into other partitions.
#[tokio::test]
async fn partitions_by_the_hash_of_an_enum_come_back() {
    let world = World::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'a', 'b', 'c', 'd', 'e'); \
         CREATE TABLE moods (m mood, n integer) PARTITION BY HASH (m); \
         CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 3, REMAINDER 0); \
         CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 3, REMAINDER 1); \
         CREATE TABLE moods_2 PARTITION OF moods FOR VALUES WITH (MODULUS 3, REMAINDER 2); \
         INSERT INTO moods SELECT m, n FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 100) n",
    )
    .await;
    let (place, manifest) = world.write(&small()).await;
    let name = common::fresh_name("restored");
    world.restore(&manifest, &name).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    same_dumps(world.cluster, &world.measure().await, &name).await;
    assert_eq!(world.verify(&place, Level::Restore).await.mismatches, []);
}
