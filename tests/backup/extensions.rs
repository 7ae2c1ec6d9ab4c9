//! Extensions' configuration tables, whose rows are the user's: of an extension of our own.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use backstay::backup::Level;
use backstay::demo::cluster::Cluster;
use backstay::failure::Failure;

use crate::world::{World, admin, admin_of, count, same_dumps, small};

const CONTROL: &str = "default_version = '1.0'\nschema = kept\n";

/// Rows refer to each other across the tables, against the order of their names and sizes.
const TABLES: &str = r#"
CREATE TABLE z_parents (key text PRIMARY KEY, builtin boolean NOT NULL DEFAULT false);
INSERT INTO z_parents VALUES ('shipped', true);
CREATE TABLE m_middle (id integer PRIMARY KEY, key text REFERENCES z_parents, above integer REFERENCES m_middle);
CREATE TABLE a_children (n serial, middle integer NOT NULL REFERENCES m_middle, pad text, doubled integer GENERATED ALWAYS AS (length(pad) * 2) STORED);
CREATE TABLE not_kept (x integer);
CREATE TABLE moved (x integer);
ALTER TABLE moved SET SCHEMA pg_catalog;
SELECT pg_extension_config_dump('z_parents', 'WHERE NOT builtin');
SELECT pg_extension_config_dump('m_middle', '');
SELECT pg_extension_config_dump('a_children', '');
SELECT pg_extension_config_dump('a_children_n_seq', '');
SELECT pg_extension_config_dump('pg_catalog.moved', '');
"#;

/// A server whose programs stand in a folder of ours beside an extension of ours: it finds its files by where it
/// stands itself (PostgreSQL's `make_relative_path`), so nothing is written to where the system's are.
async fn cluster_with_an_extension(folder: &Path) -> &'static Cluster {
    let rows = admin().await;
    let place = async |what: &str| -> PathBuf {
        let sql = "SELECT setting FROM pg_catalog.pg_config() WHERE name = $1";
        PathBuf::from(rows.query_one(sql, &[&what]).await.unwrap().get::<_, String>(0))
    };
    let [programs, libraries, modules, share] =
        [place("BINDIR").await, place("LIBDIR").await, place("PKGLIBDIR").await, place("SHAREDIR").await];
    let prefix: PathBuf =
        programs.components().zip(share.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let ours = |path: &Path| folder.join(path.strip_prefix(&prefix).unwrap());
    let mirror = |from: &Path, but: &str| {
        std::fs::create_dir_all(ours(from)).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != but {
                symlink(entry.path(), ours(from).join(entry.file_name())).unwrap();
            }
        }
    };
    // What a link leads to is where a program believes to stand: the server's own are copied.
    std::fs::create_dir_all(ours(&programs)).unwrap();
    for program in ["postgres", "initdb", "pg_ctl"] {
        std::fs::copy(programs.join(program), ours(&programs).join(program)).unwrap();
    }
    // Libraries of its own, beside its modules, not the system's.
    if modules.parent() == Some(&libraries) {
        mirror(&libraries, modules.file_name().unwrap().to_str().unwrap());
    }
    mirror(&modules, "");
    mirror(&share, "extension");
    mirror(&share.join("extension"), "");
    let extension = ours(&share.join("extension"));
    std::fs::write(extension.join("own.control"), CONTROL).unwrap();
    std::fs::write(extension.join("own--1.0.sql"), TABLES).unwrap();
    Box::leak(Box::new(Cluster::start_with(&ours(&programs), &[]).unwrap()))
}

#[tokio::test]
async fn rows_of_configuration_tables_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster_with_an_extension(folder.path()).await;
    let admin = admin_of(cluster, "postgres").await;
    admin.batch_execute("CREATE DATABASE extended").await.unwrap();
    let session = admin_of(cluster, "extended").await;
    session
        .batch_execute(
            "CREATE EXTENSION own; SET search_path = kept; \
             INSERT INTO z_parents SELECT 'k' || n FROM generate_series(1, 10) n; \
             INSERT INTO m_middle SELECT n, 'k' || (n % 10 + 1), NULLIF(n - 1, 0) FROM generate_series(1, 500) n; \
             INSERT INTO a_children (middle, pad) SELECT n % 500 + 1, repeat('x', 100) FROM generate_series(1, 9000) n; \
             INSERT INTO not_kept VALUES (1); INSERT INTO pg_catalog.moved VALUES (1), (2); \
             CREATE TABLE beside AS SELECT generate_series(1, 10) AS x; \
             CREATE ROLE reader; GRANT SELECT ON z_parents TO reader",
        )
        .await
        .unwrap();
    drop(session);
    let world = World::on(cluster, cluster.url("postgres", "extended"));
    let (place, manifest) = world.write(&small()).await;
    world.restore(&manifest, "restored").await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    same_dumps(cluster, &world.measure().await, "restored").await;
    let session = admin_of(cluster, "restored").await;
    assert_eq!(count(&session, "SELECT count(*) FROM kept.z_parents").await, 11);
    assert_eq!(count(&session, "SELECT count(*) FROM kept.a_children").await, 9000);
    assert_eq!(count(&session, "SELECT count(*) FROM pg_catalog.moved").await, 2);
    let output = world.restore_by_hand(&place, "by_hand", "postgres").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    same_dumps(cluster, "restored", "by_hand").await;
    assert_eq!(world.verify(&place, Level::Restore).await.mismatches, []);
}
