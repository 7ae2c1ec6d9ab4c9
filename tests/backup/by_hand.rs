//! `restore.sh`, without us.

use backstay::backup::fingerprint::Content;
use backstay::pg::SessionOptions;

use crate::common;
use crate::world::{World, admin, count, same_text, small};

#[tokio::test]
async fn restore_sh_needs_only_gunzip_and_psql() {
    let world = World::of_an_owner().await;
    let (place, manifest) = world.write(&small()).await;
    let name = common::fresh_name("by 'hand' \"q\" ");
    let run = async |name: &str| world.restore_by_hand(&place, name, &world.name).await;
    let output = run(&name).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // What an owner may not set again is said, and no reason to fail.
    assert_eq!(said.matches("ERROR").count(), 2, "{said}");
    assert_eq!(said.matches("WARNING").count(), 0, "{said}");
    assert_eq!(Content::of_manifest(&manifest).differences(&world.content(&name, Some(&manifest)).await), []);
    let session = backstay::backup::schema::schema_of;
    let options = SessionOptions::default();
    let by_us = common::fresh_name("by_us");
    world.restore(&manifest, &by_us).await.unwrap();
    same_text(
        &session(&world.info.with_database(&by_us), &options).await.unwrap(),
        &session(&world.info.with_database(&name), &options).await.unwrap(),
    );

    // Over an existing database: refused by the server. With a damaged file: refused before anything.
    assert!(!run(&name).await.status.success());
    let data = world.folder.path().join(place.object("data/1.copy.gz"));
    let mut bytes = std::fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let output = run("never_made").await;
    assert!(!output.status.success());
    let made = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = 'never_made'";
    assert_eq!(count(&admin().await, made).await, 0);
}
