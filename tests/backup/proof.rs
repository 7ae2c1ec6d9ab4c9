//! How far a backup is proven.

use backstay::backup::proof::record;
use backstay::backup::verify::{Mismatch, Proof, load_manifest};
use backstay::backup::{self, BackupError, Level};

use crate::world::{World, small};

#[tokio::test]
async fn a_proof_is_recorded_beside_the_manifest() {
    let world = World::new("CREATE TABLE a (t text); INSERT INTO a VALUES ('x')").await;
    let (place, manifest) = world.write(&small()).await;
    assert_eq!(load_manifest(&world.store, &place).await.unwrap(), manifest);
    let level = async || backup::list(&world.store, "production").await.unwrap().backups[0].verified;
    assert_eq!(level().await, None);
    let proof = world.verify(&place, Level::Read).await;
    let kept = record(&world.store, &place, &proof).await.unwrap();
    assert_eq!(kept.manifest, Some(manifest.checksum));
    assert_eq!(level().await, Some(Level::Read));
    record(&world.store, &place, &world.verify(&place, Level::Restore).await).await.unwrap();
    assert_eq!(level().await, Some(Level::Restore));
    let mismatches = vec![Mismatch::Missing { object: "x".into() }];
    let broken = Proof { mismatches, at: backstay::time::now(), ..proof };
    record(&world.store, &place, &broken).await.unwrap();
    let refused = backup::find(&world.store, "production", "latest").await.unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
    assert_eq!(backup::find(&world.store, "production", &place.id).await.unwrap(), place);
    assert_eq!(backup::find_any(&world.store, "production", "latest").await.unwrap(), place);
}
