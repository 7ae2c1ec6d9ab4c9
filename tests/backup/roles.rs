//! What a backup keeps of roles and subscriptions.

use backstay::backup::{BackupError, Manifest};
use backstay::store::Store;

use crate::world::{World, admin, quote, small};

#[tokio::test]
async fn globals_are_sql_without_passwords() {
    let world = World::of_an_owner().await;
    let admin = admin().await;
    admin.batch_execute(&format!("ALTER ROLE {} PASSWORD 'geheim123'", quote(&world.name))).await.unwrap();
    let (place, manifest) = world.write(&small()).await;
    let bytes = world.store.read(&place.object("globals.sql.gz")).await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    assert!(!text.contains("SCRAM") && !text.contains("PASSWORD"), "{text}");
    // The owner, the role that was granted something, and the group that it is in.
    assert_eq!(manifest.roles.len(), 3, "{:?}", manifest.roles);
    for role in &manifest.roles {
        assert!(text.contains(&format!("CREATE ROLE {};", quote(role))), "{role} in {text}");
    }
    assert_eq!(text.matches("GRANT ").count(), 1, "{text}");

    // On a server that lacks them, a restore names them and does nothing.
    let lacking = Manifest { roles: vec!["nobody of that name".into()], ..manifest };
    let error = world.restore(&lacking, "never_restored").await.unwrap_err();
    assert!(matches!(&error, BackupError::RolesMissing(roles) if roles == &lacking.roles), "{error}");
}
