//! Databases in other encodings.

use backstay::backup::Level;
use backstay::failure::Failure;

use crate::common;
use crate::world::{World, admin, count, quote, small};

/// Bytes of no known encoding, and an encoding that is not ours, come back as they were.
#[tokio::test]
async fn other_encodings_come_back() {
    for (encoding, table) in [("SQL_ASCII", "t"), ("LATIN1", "caf\u{e9} \u{df}")] {
        let name = common::fresh_name("coded");
        let admin = admin().await;
        admin.batch_execute(&format!("CREATE ROLE {name} LOGIN CREATEDB")).await.unwrap();
        let create =
            format!("CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'");
        admin.batch_execute(&create).await.unwrap();
        let world = World::on(common::cluster().url(&name, &name));
        let session = common::session(&world.url).await;
        let table = quote(table);
        session.batch_execute(&format!("CREATE TABLE {table} (x text)")).await.unwrap();
        // Bytes that are no UTF-8, sent past the client's encoding.
        let bytes = "convert_from('\\xe9ff41df'::bytea, getdatabaseencoding())";
        session.batch_execute(&format!("INSERT INTO {table} VALUES ({bytes})")).await.unwrap();
        session
            .batch_execute(&format!(
                "COMMENT ON TABLE {table} IS 'Gr\u{fc}\u{df}e'; CREATE VIEW v AS SELECT 'gr\u{fc}n' AS c"
            ))
            .await
            .unwrap();
        let (place, manifest) = world.write(&small()).await;
        let back = common::fresh_name("coded_back");
        world.restore(&manifest, &back).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        let restored = common::session(&common::cluster().url(&name, &back)).await;
        for sql in [
            format!("SELECT (x::bytea = '\\xe9ff41df')::int::bigint FROM {table}"),
            "SELECT (c = 'gr\u{fc}n')::int::bigint FROM v".to_string(),
        ] {
            assert_eq!(count(&restored, &sql).await, 1, "{encoding}");
        }
        drop(restored);
        assert_eq!(world.verify(&place, Level::Restore).await.mismatches, [], "{encoding}");
    }
}
