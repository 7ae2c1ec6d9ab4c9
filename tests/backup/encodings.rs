//! Databases in other encodings.

use backstay::backup::Level;
use backstay::failure::Failure;

use crate::common;
use crate::world::{World, admin, admin_of, count, dump, quote, small};

/// Bytes of no known encoding, and encodings that are not ours, come back as they were; also those that have no
/// counterpart in Unicode, or another one on the way back.
#[tokio::test]
async fn other_encodings_come_back() {
    for (encoding, table, bytes) in [
        ("SQL_ASCII", "t", "e9ff41df"),
        ("LATIN1", "caf\u{e9} \u{df}", "e9ff41df"),
        ("WIN1252", "caf\u{e9} \u{df}", "80819d41"),
        ("EUC_JP", "\u{65e5}\u{672c}", "c6fca1c0f5a1adb5fcf1"),
        ("KOI8R", "\u{44f}", "d1b3"),
    ] {
        let name = common::fresh_name("coded");
        let admin = admin().await;
        admin.batch_execute(&format!("CREATE ROLE {name} LOGIN CREATEDB")).await.unwrap();
        let create =
            format!("CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'");
        admin.batch_execute(&create).await.unwrap();
        let world = World::on(common::cluster(), common::cluster().url(&name, &name));
        let session = common::session(&world.url).await;
        let table = quote(table);
        session.batch_execute(&format!("CREATE TABLE {table} (x text)")).await.unwrap();
        // Sent past the client's encoding.
        let value = format!("convert_from('\\x{bytes}'::bytea, getdatabaseencoding())");
        let insert = format!("INSERT INTO {table} SELECT {value} FROM generate_series(1, 4000)");
        session.batch_execute(&insert).await.unwrap();
        let word = if encoding == "EUC_JP" {
            "\u{65e5}"
        } else if encoding == "KOI8R" {
            "\u{44f}"
        } else {
            "gr\u{fc}n"
        };
        session
            .batch_execute(&format!(
                "COMMENT ON TABLE {table} IS '{word}'; CREATE VIEW v AS SELECT '{word}' AS c"
            ))
            .await
            .unwrap();
        let (place, manifest) = world.write(&small()).await;
        let back = common::fresh_name("coded_back");
        world.restore(&manifest, &back).await.unwrap_or_else(|e| panic!("{encoding}: {}", Failure::from(e)));
        let by_hand = common::fresh_name("coded_by_hand");
        let output = world.restore_by_hand(&place, &by_hand, &name).await;
        assert!(output.status.success(), "{encoding}: {}", String::from_utf8_lossy(&output.stderr));
        for database in [&back, &by_hand] {
            let restored = admin_of(world.cluster, database).await;
            let same = format!("SELECT count(*) FROM {table} WHERE x::bytea = '\\x{bytes}'");
            assert_eq!(count(&restored, &same).await, 4000, "{encoding}");
            let view = format!("SELECT (c = '{word}')::int::bigint FROM v");
            assert_eq!(count(&restored, &view).await, 1, "{encoding}");
        }
        let measure = world.measure().await;
        let definitions = ["--schema-only"];
        assert_eq!(
            dump(world.cluster, &measure, &definitions).await,
            dump(world.cluster, &back, &definitions).await,
            "{encoding}"
        );
        assert_eq!(world.verify(&place, Level::Restore).await.mismatches, [], "{encoding}");
    }
}
