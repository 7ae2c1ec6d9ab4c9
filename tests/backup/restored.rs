//! A restored database is the database.

use backstay::backup::attributes::apply_attributes;
use backstay::backup::fingerprint::Content;
use backstay::backup::verify::Mismatch;
use backstay::backup::{self, BackupError, DatabaseAttributes, Level, TableName};
use backstay::failure::Failure;

use crate::common;
use crate::world::{World, admin, admin_of, count, same_dumps, small};

#[tokio::test]
async fn a_restored_database_is_the_database() {
    let world = World::of_an_owner().await;
    let (place, manifest) = world.write(&small()).await;

    let original = world.content(&world.name, None).await;
    assert_eq!(Content::of_manifest(&manifest).differences(&original), []);
    assert!(original.large_objects.is_some());
    assert_eq!(original.tables.values().map(|t| t.rows).sum::<u64>(), manifest.rows());

    let name = common::fresh_name("Restored \"db\" \\ ; 'x' ");
    world.restore(&manifest, &name).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    assert_eq!(original.differences(&world.content(&name, Some(&manifest)).await), []);

    // pg_restore is the measure: what it makes of pg_dump's own dump, ours makes too.
    same_dumps(world.cluster, &world.measure().await, &name).await;

    // Materialized views are filled, in their order.
    let session = admin_of(world.cluster, &name).await;
    assert_eq!(count(&session, "SELECT n FROM public.a_second").await, 99);
    assert_eq!(count(&session, "SELECT count(*) FROM pg_catalog.pg_matviews WHERE NOT ispopulated").await, 1);
    assert_eq!(count(&session, "SELECT nextval('public.loose')").await % 7, 3);
    drop(session);

    // Nothing is ever restored over a database that is there.
    let error = world.restore(&manifest, &name).await.unwrap_err();
    assert!(matches!(error, BackupError::DatabaseExists(_)), "{error}");

    // What belongs to the database itself: only what an owner may not set is left out, and named.
    let admin = admin().await;
    let wanted = DatabaseAttributes::read(&admin, &world.name).await.unwrap();
    assert_eq!(wanted, manifest.database);
    let refused = apply_attributes(&admin, &name, &wanted).await.unwrap();
    assert_eq!(refused, []);
    let given = DatabaseAttributes::read(&admin, &name).await.unwrap();
    assert_eq!(DatabaseAttributes { name: world.name.clone(), ..given }, wanted);
    // An owner may set neither another role's settings nor parameters that no module defines: said to be so.
    let owner = common::session(&common::cluster().url(&world.name, "postgres")).await;
    let refused = apply_attributes(&owner, &name, &wanted).await.unwrap();
    assert!(refused.len() == 2 && refused[0].statement.contains("tenant"), "{refused:?}");
    assert!(refused[1].statement.starts_with("ALTER ROLE"), "{refused:?}");

    let proof = world.verify(&place, Level::Restore).await;
    assert_eq!(proof.mismatches, []);
    assert!(proof.restore_millis.is_some());
    let left = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname LIKE 'scratch%'";
    assert_eq!(count(&admin, left).await, 0);
}

#[tokio::test]
async fn what_differs_is_named() {
    let world = World::new("CREATE TABLE a (id serial, t text); INSERT INTO a (t) VALUES ('x'), ('y')").await;
    let before = world.content(&world.name, None).await;
    let session = common::session(&world.url).await;
    session
        .batch_execute("UPDATE a SET t = 'z' WHERE id = 1; SELECT nextval('a_id_seq'); CREATE TABLE b ()")
        .await
        .unwrap();
    let said: Vec<String> =
        before.differences(&world.content(&world.name, None).await).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"table "public"."a": as many rows (2), but other content"#,
            r#"table "public"."b": not there and 0 rows"#,
            r#"sequence "public"."a_id_seq": 2 and 3"#,
        ]
    );
    assert!(before.tables.contains_key(&TableName::new("public", "a")));
}

#[tokio::test]
async fn a_damaged_backup_leaves_no_database_behind() {
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a SELECT md5(n::text) FROM generate_series(1, 5000) n",
    )
    .await;
    let (place, manifest) = world.write(&backup::write::Options::default()).await;
    let path = world.folder.path().join(place.object("data/1.copy.gz"));
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 3;
    bytes[end] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = world.restore(&manifest, "never_whole").await.unwrap_err();
    assert!(
        matches!(&error, BackupError::Mismatch(Mismatch::Hash { object }) if object == "data/1.copy.gz"),
        "{error}"
    );
    let left = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = 'never_whole'";
    assert_eq!(count(&admin().await, left).await, 0);
}
