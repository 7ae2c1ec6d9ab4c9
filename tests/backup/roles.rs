//! What a backup keeps of roles and subscriptions.

use std::io::Read as _;

use backstay::backup::{self, BackupError, Manifest, Place};
use backstay::demo::cluster::Cluster;
use backstay::event::Progress;
use backstay::failure::Failure;
use backstay::pg::ConnInfo;
use backstay::store::Store;

use crate::common;
use crate::world::{World, admin, admin_of, dump, quote, same_text, small, sorted, tool};

async fn globals(world: &World, place: &Place) -> String {
    let bytes = world.store.read(&place.object("globals.sql.gz")).await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn globals_are_sql_without_passwords() {
    let world = World::of_an_owner().await;
    let admin = admin().await;
    admin.batch_execute(&format!("ALTER ROLE {} PASSWORD 'geheim123'", quote(&world.name))).await.unwrap();
    let (place, manifest) = world.write(&small()).await;
    let text = globals(&world, &place).await;
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

/// Each kind of naming brings its role along, and nobody else comes.
#[tokio::test]
async fn every_role_that_the_database_names_is_there() {
    let admin = admin().await;
    let name = |stem: &str| common::fresh_name(stem);
    let kinds = [
        "owner", "grantee", "column", "default", "policy", "setting", "mapping", "large", "grantor",
        "dbgrant", "stranger",
    ];
    let roles = kinds.map(name);
    let [owner, grantee, column, default, policy, setting, mapping, large, grantor, dbgrant, _] =
        roles.each_ref().map(|r| quote(r));
    for role in &roles {
        admin.batch_execute(&format!("CREATE ROLE {}", quote(role))).await.unwrap();
    }
    let (outer, inner) = (name("outer"), name("inner"));
    admin.batch_execute(&format!(
        "CREATE ROLE {outer}; CREATE ROLE {inner}; GRANT {outer} TO {inner} WITH ADMIN OPTION; GRANT {inner} TO {grantee}; \
         GRANT pg_monitor TO {grantee}; ALTER ROLE {inner} SET search_path TO 'a, \"b\"', public; \
         COMMENT ON ROLE {outer} IS 'it''s \\ ;'"
    )).await.unwrap();
    let world = World::new("CREATE TABLE t (x int); CREATE SCHEMA theirs").await;
    let session = admin_of(world.cluster, &world.name).await;
    let database = quote(&world.name);
    session.batch_execute(&format!(
        "CREATE TABLE theirs.o (); ALTER TABLE theirs.o OWNER TO {owner}; GRANT SELECT ON t TO {grantee}; \
         GRANT UPDATE (x) ON t TO {column}; ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {default}; \
         CREATE POLICY p ON t TO {policy} USING (true); ALTER ROLE {setting} IN DATABASE {database} SET work_mem = '1MB'; \
         CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw; \
         CREATE USER MAPPING FOR {mapping} SERVER s; SELECT lo_create(9); ALTER LARGE OBJECT 9 OWNER TO {large}; \
         GRANT SELECT ON t TO {grantor} WITH GRANT OPTION; SET ROLE {grantor}; GRANT SELECT ON t TO PUBLIC; RESET ROLE; \
         GRANT CONNECT ON DATABASE {database} TO {dbgrant}"
    )).await.unwrap();
    let superuser = World::on(world.cluster, world.cluster.url("postgres", &world.name));
    let (place, manifest) = superuser.write(&small()).await;
    let mut wanted: Vec<String> = roles[..10].to_vec();
    wanted.extend([outer, inner.clone(), world.name.clone(), "postgres".to_string()]);
    wanted.sort();
    assert_eq!(manifest.roles, wanted);
    let text = globals(&superuser, &place).await;
    assert!(text.contains("SET \"search_path\" TO 'a, \"b\"', 'public';"), "{text}");
    assert!(text.contains("GRANT \"pg_monitor\" TO ") && text.contains("IS  E'it''s \\\\ ;'"), "{text}");
}

#[tokio::test]
async fn an_empty_server_becomes_the_same_by_globals_and_restore() {
    let world = World::of_a_superuser(1).await;
    let (place, manifest) = world.write(&small()).await;
    let empty: &'static Cluster =
        Box::leak(Box::new(Cluster::start_with(world.cluster.binaries(), &[]).unwrap()));
    let there = ConnInfo::parse(&empty.url("postgres", "postgres")).unwrap();
    let restore = async || {
        backup::restore(&world.store, &manifest, &there, "restored", &Default::default(), &Progress::none())
            .await
    };
    let error = restore().await.unwrap_err();
    assert!(matches!(&error, BackupError::RolesMissing(missing) if missing.len() == 2), "{error}");

    let file = world.folder.path().join("globals.sql");
    std::fs::write(&file, globals(&world, &place).await).unwrap();
    // As RESTORE.md has it: that the first superuser is there already stops nothing.
    tool(empty, "psql", "postgres", &["-X", "-q", "-f", file.to_str().unwrap()]).await;
    // A tablespace is a place on a server's disk: whoever has the server makes it.
    let session = admin_of(empty, "postgres").await;
    session.batch_execute("SET allow_in_place_tablespaces = on").await.unwrap();
    let spaces =
        admin().await.query("SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid >= 16384", &[]).await;
    for row in spaces.unwrap() {
        let space = quote(row.get(0));
        session.batch_execute(&format!("CREATE TABLESPACE {space} LOCATION ''")).await.unwrap();
    }
    restore().await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    let definitions = ["--schema-only", "--no-subscriptions"];
    let (ours, measure) = (dump(empty, "restored", &definitions).await, world.measure().await);
    same_text(&dump(world.cluster, &measure, &definitions).await, &ours);
    let all = ["--no-subscriptions"];
    let (one, other) = (dump(world.cluster, &measure, &all).await, dump(empty, "restored", &all).await);
    same_text(&sorted(&one), &sorted(&other));
    // The roles themselves: memberships, settings, comments, limits.
    let roles = async |cluster: &Cluster| {
        let said = tool(cluster, "pg_dumpall", "postgres", &["--roles-only", "--no-role-passwords"]).await;
        let text = String::from_utf8(said).unwrap();
        let kept = |line: &&str| !line.contains("restrict ");
        sorted(&text.lines().filter(kept).collect::<Vec<_>>().join("\n"))
    };
    same_text(&roles(world.cluster).await, &roles(empty).await);
}

#[tokio::test]
async fn subscriptions_are_kept_apart_and_never_restored() {
    let mut options = "connect = false, slot_name = 'it_s', synchronous_commit = 'local'".to_string();
    for (since, option) in [
        (140_000, "binary = true, streaming = on"),
        (150_000, "two_phase = on, disable_on_error = true"),
        (160_000, "origin = none, run_as_owner = true, password_required = false"),
        (170_000, "failover = true"),
    ] {
        if common::version() >= since {
            options += ", ";
            options += option;
        }
    }
    let world = World::new("CREATE TABLE t (x int)").await;
    let session = admin_of(world.cluster, &world.name).await;
    let create =
        "CREATE SUBSCRIPTION \"s; 'x'\" CONNECTION 'host=h password=geheim123' PUBLICATION a, \"b;c\"";
    for sql in [
        &format!("{create} WITH ({options})"),
        "CREATE SUBSCRIPTION bare CONNECTION '' PUBLICATION a WITH (connect = false, slot_name = NONE)",
        "COMMENT ON SUBSCRIPTION bare IS 'it''s'",
    ] {
        session.batch_execute(sql).await.unwrap();
    }
    // The owner's backup, who may not read the connection; before 14 not all of the options either.
    let user = if common::version() < 140_000 { "postgres" } else { &world.name };
    let reader = World::on(world.cluster, world.cluster.url(user, &world.name));
    let (place, manifest) = reader.write(&small()).await;
    let stored = reader.store.read(&place.object("subscriptions.sql")).await.unwrap();
    let text = String::from_utf8(stored).unwrap();
    assert!(!text.contains("geheim"), "{text}");
    reader.restore(&manifest, "without_subscriptions").await.unwrap();
    let entries = async |database: &str| {
        let text = dump(world.cluster, database, &["--schema-only"]).await;
        let statements: Vec<String> = text
            .split(";\n")
            .filter(|statement| statement.contains("SUBSCRIPTION "))
            .map(|statement| {
                let sql: Vec<&str> =
                    statement.lines().filter(|l| !l.starts_with("--") && !l.is_empty()).collect();
                sql.join("\n").replace("'host=h password=geheim123'", "''")
            })
            .collect();
        statements
    };
    assert_eq!(entries("without_subscriptions").await, Vec::<String>::new());
    // Run by hand it makes them again, each with all of its options.
    let file = world.folder.path().join("subscriptions.sql");
    std::fs::write(&file, text.replace("'***'", "''")).unwrap();
    let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file.to_str().unwrap()];
    tool(world.cluster, "psql", "without_subscriptions", &arguments).await;
    assert_eq!(entries("without_subscriptions").await, entries(&world.name).await);
    assert_eq!(entries(&world.name).await.len(), 5);
}
