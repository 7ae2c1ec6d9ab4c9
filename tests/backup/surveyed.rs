//! What stands in the way is named before anything begins; and what is not named does not stand in the way.

use backstay::backup::survey::{Finding, Stops, refuse_what_stops};
use backstay::backup::{self, BackupError, Level, Place};
use backstay::failure::Failure;
use backstay::pg::SessionOptions;
use futures_util::{StreamExt, stream};

use crate::common;
use crate::world::{World, admin_of, for_this_server, quote, small};

async fn survey(world: &World) -> Vec<Finding> {
    backup::survey(&world.info, &SessionOptions::default()).await.unwrap()
}

fn names(findings: &[Finding], stops: Stops, what: &str) -> bool {
    findings.iter().any(|finding| finding.stops == stops && finding.what.contains(what))
}

/// An empty database of an owner, beside whom there are roles `NAME_o` and `NAME_s`.
async fn owners(sql_of_a_superuser: &str) -> World {
    let world = World::new("CREATE TABLE public.mine AS SELECT 1 AS x").await;
    let session = admin_of(world.cluster, &world.name).await;
    let [other, owner] = [format!("{}_o", world.name), world.name.clone()].map(|name| quote(&name));
    session.batch_execute(&format!("CREATE ROLE {other}")).await.unwrap();
    let sql = for_this_server(sql_of_a_superuser).replace("@OTHER@", &other).replace("@OWNER@", &owner);
    session.batch_execute(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    world
}

#[tokio::test]
async fn nothing_stands_in_an_owners_way() {
    assert_eq!(survey(&World::of_an_owner().await).await, []);
}

#[tokio::test]
async fn what_stops_the_backup_stops_it() {
    for (sql, what) in [
        ("CREATE TABLE theirs (x int)", "table public.theirs may not be read"),
        ("CREATE SEQUENCE theirs", "sequence public.theirs may not be read"),
        (
            "CREATE SCHEMA hidden; CREATE TABLE hidden.x (); GRANT SELECT ON hidden.x TO PUBLIC",
            "table hidden.x",
        ),
        ("CREATE TABLE parted (x int) PARTITION BY LIST (x)", "table public.parted may not be read"),
        (
            "ALTER TABLE mine ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "row-level security of table public.mine",
        ),
        (
            "CREATE TABLE theirs (x int); ALTER TABLE theirs ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY p ON theirs USING (true); GRANT SELECT ON theirs TO @OWNER@",
            "row-level security of table public.theirs",
        ),
        ("SELECT lo_create(55)", "large object 55 may not be read"),
    ] {
        let world = owners(sql).await;
        let findings = survey(&world).await;
        assert!(names(&findings, Stops::Backup, what), "{what} in {findings:?}");
        let error = refuse_what_stops(&world.info, &SessionOptions::default()).await.unwrap_err();
        assert!(matches!(&error, BackupError::InTheWay(all) if !all.is_empty()), "{error}");
        assert!(Failure::from(error).to_string().contains("back up the database"));
        let written = world.try_write(&Place::fresh("production"), &small()).await;
        assert!(written.is_err(), "{what}");
    }
}

/// What pg_dump would leave out without a word.
#[tokio::test]
async fn what_no_dump_carries_is_refused_by_name() {
    for (sql, what) in [
        (
            "CREATE TABLE lost (x int); ALTER TABLE lost SET SCHEMA information_schema",
            "table information_schema.lost stands in a schema of the system",
        ),
        (
            "CREATE TRUSTED LANGUAGE lost HANDLER plpgsql_call_handler",
            "language lost has a handler that pg_dump does not carry",
        ),
    ] {
        let findings = survey(&owners(sql).await).await;
        assert!(names(&findings, Stops::Backup, what), "{what} in {findings:?}");
    }
    let findings = survey(
        &owners(
            "CREATE FUNCTION pg_catalog.lost() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw; \
             CREATE FOREIGN TABLE far (x int) SERVER s; \
             CREATE SUBSCRIPTION sub CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE); \
             SET allow_system_table_mods = on; \
             INSERT INTO pg_catalog.pg_seclabel VALUES ('mine'::regclass, 'pg_class'::regclass, 0, 'maskers', 'x')",
        )
        .await,
    )
    .await;
    for what in [
        "function lost()",
        "foreign table public.far",
        "subscription sub",
        "1 security labels are of provider maskers",
    ] {
        assert!(names(&findings, Stops::Nothing, what), "{what} in {findings:?}");
    }
}

/// Each is named, and each is true: the owner's own restore fails over it, or lacks it.
#[tokio::test]
async fn what_stops_a_restore_stops_it() {
    let internal = "CREATE FUNCTION f(int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4abs'; ALTER FUNCTION f OWNER TO @OWNER@";
    let cases = [
        ("CREATE EXTENSION pageinspect", "extension pageinspect"),
        ("CREATE TABLE theirs (); GRANT SELECT ON theirs TO PUBLIC", "things that belong to role postgres"),
        (
            "CREATE VIEW theirs AS SELECT 1 AS x; ALTER VIEW theirs OWNER TO @OTHER@",
            "things that belong to role app",
        ),
        ("CREATE TYPE theirs AS ENUM ()", "things that belong to role postgres"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE @OTHER@ GRANT SELECT ON TABLES TO PUBLIC",
            "things that belong to role app",
        ),
        (
            "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; ALTER FUNCTION ev OWNER TO @OWNER@; \
             CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION ev()",
            "event trigger ev",
        ),
        (
            "CREATE PUBLICATION every FOR ALL TABLES; ALTER PUBLICATION every OWNER TO @OWNER@",
            "publication every",
        ),
        ("CREATE PUBLICATION p FOR TABLES IN SCHEMA public", "publication p"),
        (internal, "function public.f(integer) is in an untrusted language"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'; ALTER FUNCTION f OWNER TO @OWNER@",
            "function public.f() is LEAKPROOF",
        ),
        ("CREATE CAST (bytea AS text) WITHOUT FUNCTION", "cast"),
        (
            "CREATE OPERATOR FAMILY fam USING btree; ALTER OPERATOR FAMILY fam USING btree OWNER TO @OWNER@",
            "operator family fam",
        ),
        ("CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler", "access method am"),
        ("CREATE FOREIGN DATA WRAPPER wrapper", "foreign-data wrapper wrapper"),
        ("CREATE TEXT SEARCH TEMPLATE tmpl (LEXIZE = dsimple_lexize)", "text search template tmpl"),
        (
            "GRANT @OTHER@ TO @OWNER@; CREATE SCHEMA s AUTHORIZATION @OWNER@; CREATE TABLE s.theirs (); \
             ALTER TABLE s.theirs OWNER TO @OTHER@",
            "may create there only by a privilege",
        ),
        (
            "GRANT SELECT ON mine TO @OTHER@ WITH GRANT OPTION; SET ROLE @OTHER@; GRANT SELECT ON mine TO PUBLIC",
            "privileges on table public.mine were granted by app",
        ),
        (
            "GRANT SELECT (x) ON mine TO @OTHER@ WITH GRANT OPTION; SET ROLE @OTHER@; GRANT SELECT (x) ON mine TO PUBLIC",
            "privileges on column x of table public.mine were granted by app",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC",
            "privileges on function pg_sleep(double precision) of the system",
        ),
        (
            "SET allow_in_place_tablespaces = on; CREATE TABLE spaced (x int); ALTER TABLE spaced OWNER TO @OWNER@",
            "nothing may be created in tablespace",
        ),
    ];
    let old = common::version() < 150_000;
    let cases = cases.into_iter().filter(|(sql, _)| !(old && sql.contains("IN SCHEMA public")));
    stream::iter(cases)
        .map(|(sql, what)| stops_a_restore(sql, what))
        .buffer_unordered(4)
        .collect::<()>()
        .await;
    let world = owners("ALTER ROLE @OWNER@ NOCREATEDB").await;
    assert!(names(&survey(&world).await, Stops::Restore, "may not create databases"));
}

async fn stops_a_restore(sql: &str, what: &str) {
    let world = owners(sql).await;
    if what.contains("tablespace") {
        let space = quote(&common::fresh_name("space"));
        let admin = admin_of(world.cluster, &world.name).await;
        for sql in [
            "SET allow_in_place_tablespaces = on".to_string(),
            format!("CREATE TABLESPACE {space} LOCATION ''"),
            format!("ALTER TABLE spaced SET TABLESPACE {space}"),
        ] {
            admin.batch_execute(&sql).await.unwrap();
        }
    }
    let findings = survey(&world).await;
    assert!(names(&findings, Stops::Restore, what), "{what} in {findings:?}");
    assert!(!findings.iter().any(|finding| finding.stops == Stops::Backup), "{findings:?}");
    let (place, manifest) = world.write(&small()).await;
    if world.restore(&manifest, &common::fresh_name("restored")).await.is_ok() {
        // The server only warns about a privilege that cannot be revoked; but it is not the same database.
        assert!(!world.verify(&place, Level::Restore).await.holds(), "{what}: restored all the same");
    }
    // Who may everything is stopped by nothing of this.
    let superuser = backstay::pg::ConnInfo::parse(&world.cluster.url("postgres", &world.name)).unwrap();
    let findings = backup::survey(&superuser, &SessionOptions::default()).await.unwrap();
    assert_eq!(findings, [], "{what}");
}

/// The catalog of many tables is no reason to wait: every question is asked once of all of them.
#[tokio::test]
async fn a_survey_of_many_tables_is_quick() {
    let world = World::new("").await;
    let create =
        "DO $$ BEGIN FOR n IN 1..1000 LOOP EXECUTE 'CREATE TABLE t' || n || ' (x int)'; END LOOP; END $$";
    common::session(&world.url).await.batch_execute(create).await.unwrap();
    let began = std::time::Instant::now();
    assert_eq!(survey(&world).await, []);
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
}

/// Servers before 15 let everybody create in `public`, which a newer pg_dump takes for what it never was.
#[tokio::test]
async fn what_a_newer_pg_dump_overlooks_is_named() {
    let world = World::new("CREATE TABLE t (x int)").await;
    assert_eq!(survey(&world).await, []);
    let session = admin_of(world.cluster, &world.name).await;
    session.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await.unwrap();
    let pg_dump = backstay::pg::tools::find("pg_dump", common::version()).await.unwrap();
    let overlooked = common::version() < 150_000 && pg_dump.version >= 150_000;
    let superuser = World::on(world.cluster, world.cluster.url("postgres", &world.name));
    let findings = survey(&superuser).await;
    assert_eq!(names(&findings, Stops::Restore, "schema public"), overlooked, "{findings:?}");
    let (place, _) = superuser.write(&small()).await;
    assert_eq!(superuser.verify(&place, Level::Restore).await.holds(), !overlooked);
}
