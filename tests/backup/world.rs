//! What the tests share: a database, a store for its backups, and what PostgreSQL's own tools say of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use backstay::backup::fingerprint::{self, Content};
use backstay::backup::verify::{Proof, Scratch};
use backstay::backup::{self, BackupError, Level, Manifest, Place};
use backstay::demo::cluster::Cluster;
use backstay::event::Progress;
use backstay::failure::Failure;
use backstay::pg::{ConnInfo, Session, tools};
use backstay::store::Directory;

use crate::common;

/// A database, and a store for its backups.
pub struct World {
    /// Where it is.
    pub cluster: &'static Cluster,
    /// As its owner.
    pub url: String,
    pub info: ConnInfo,
    /// The database's name.
    pub name: String,
    pub folder: tempfile::TempDir,
    pub store: Directory,
}

impl World {
    /// Of an owner without superuser rights.
    pub async fn new(sql: &str) -> Self {
        let world = Self::on(common::cluster(), common::fresh_database().await);
        common::session(&world.url).await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{e:?}"));
        world
    }

    /// Around a database that is there.
    pub fn on(cluster: &'static Cluster, url: String) -> Self {
        let info = ConnInfo::parse(&url).unwrap();
        let name = info.database().to_string();
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path());
        Self { cluster, url, info, name, folder, store }
    }

    /// With every kind of object that an owner can make and restore.
    pub async fn of_an_owner() -> Self {
        let admin = admin().await;
        let other = common::fresh_name("Other role \"q\" ");
        let (quoted, group) = (quote(&other), quote(&format!("{other}g")));
        let roles = format!("CREATE ROLE {quoted} NOLOGIN; CREATE ROLE {group}; GRANT {group} TO {quoted}");
        admin.batch_execute(&roles).await.unwrap();
        let sql = for_this_server(include_str!("../torture/owner.sql")).replace("@OTHER@", &quoted);
        let world = Self::new(&sql).await;
        let name = quote(&world.name);
        for statement in [
            format!("ALTER DATABASE {name} SET search_path TO \"$user\", 'a, \"b\"', public"),
            format!("ALTER DATABASE {name} SET app.\"tenant\" TO 'x''y'"),
            format!("ALTER DATABASE {name} SET DateStyle TO 'German'"),
            format!("ALTER DATABASE {name} SET IntervalStyle TO 'sql_standard'"),
            format!("ALTER DATABASE {name} SET default_transaction_read_only TO on"),
            format!("ALTER ROLE {quoted} IN DATABASE {name} SET work_mem TO '5MB'"),
            format!("ALTER DATABASE {name} CONNECTION LIMIT 77"),
            format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
            format!("GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {quoted} WITH GRANT OPTION"),
            format!("COMMENT ON DATABASE {name} IS 'it''s; a \"shop\"'"),
        ] {
            admin.batch_execute(&statement).await.unwrap();
        }
        world
    }

    /// With every kind of object that there is; its largest rows are of `megabytes`.
    pub async fn of_a_superuser(megabytes: u32) -> Self {
        let cluster = common::cluster();
        let admin = admin().await;
        let name = common::fresh_name("Every \"kind\" ");
        let [other, group, space] =
            ["other 'one'", "group", "space"].map(|stem| quote(&common::fresh_name(stem)));
        for statement in [
            format!("CREATE ROLE {other} LOGIN PASSWORD 'geheim123' CONNECTION LIMIT 5"),
            format!("CREATE ROLE {group} NOINHERIT VALID UNTIL '2100-01-01 00:00:00+00'"),
            format!("GRANT {group} TO {other} WITH ADMIN OPTION"),
            format!("GRANT pg_monitor TO {other}"),
            format!("ALTER ROLE {other} SET work_mem TO '7MB'"),
            format!("ALTER ROLE {other} SET search_path TO 'a, \"b\"', public"),
            format!("COMMENT ON ROLE {group} IS 'it''s; a group'"),
            "SET allow_in_place_tablespaces = on".to_string(),
            format!("CREATE TABLESPACE {space} LOCATION ''"),
            format!("CREATE DATABASE {} TEMPLATE template0", quote(&name)),
            format!("ALTER DATABASE {} SET statement_timeout TO '1h'", quote(&name)),
            format!("ALTER ROLE {group} IN DATABASE {} SET work_mem TO '5MB'", quote(&name)),
            format!("GRANT CREATE ON DATABASE {} TO {group}", quote(&name)),
            format!("COMMENT ON DATABASE {} IS 'every kind'", quote(&name)),
        ] {
            admin.batch_execute(&statement).await.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
        }
        let world = Self::on(cluster, cluster.url("postgres", "postgres"));
        let info = world.info.with_database(&name);
        let world = Self { info, name, ..world };
        let sql: String = [
            include_str!("../torture/types.sql"),
            include_str!("../torture/tables.sql"),
            include_str!("../torture/programs.sql"),
            include_str!("../torture/rights.sql"),
            include_str!("../torture/large.sql"),
        ]
        .map(for_this_server)
        .concat();
        let sql = sql
            .replace("@OTHER@", &other)
            .replace("@GROUP@", &group)
            .replace("@SPACE@", &space)
            .replace("@MEGABYTES@", &megabytes.to_string());
        let file = world.folder.path().join("torture.sql");
        std::fs::write(&file, sql).unwrap();
        let file = file.to_str().unwrap();
        tool(cluster, "psql", &world.name, &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file]).await;
        world
    }

    pub async fn write(&self, options: &backup::write::Options) -> (Place, Manifest) {
        let place = Place::fresh("production");
        let manifest =
            self.try_write(&place, options).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        (place, manifest)
    }

    pub async fn try_write(
        &self,
        place: &Place,
        options: &backup::write::Options,
    ) -> Result<Manifest, BackupError> {
        backup::write(&self.info, &self.store, place, options, &Progress::none()).await
    }

    pub async fn restore(&self, manifest: &Manifest, name: &str) -> Result<backup::Restored, BackupError> {
        let admin = self.info.with_database("postgres");
        backup::restore(&self.store, manifest, &admin, name, &Default::default(), &Progress::none()).await
    }

    pub async fn verify(&self, place: &Place, level: Level) -> Proof {
        let scratch = Scratch {
            admin: self.info.with_database("postgres"),
            database: common::fresh_name("scratch database \"q\" "),
        };
        backup::verify(&self.store, place, level, Some(&scratch), &Default::default(), &Progress::none())
            .await
            .unwrap_or_else(|e| panic!("{}", Failure::from(e)))
    }

    pub async fn content(&self, database: &str, like: Option<&Manifest>) -> Content {
        let info = self.info.with_database(database);
        let options = fingerprint::Options::default();
        match like {
            Some(manifest) => fingerprint::database_as(&info, manifest, &options, &Progress::none()).await,
            None => fingerprint::database(&info, &options, &Progress::none()).await,
        }
        .unwrap()
    }

    /// Runs the backup's `restore.sh` as `user`, with PostgreSQL's and the system's programs only.
    pub async fn restore_by_hand(&self, place: &Place, name: &str, user: &str) -> Output {
        let psql = tools::find("psql", common::version()).await.unwrap();
        let mut path = psql.path.parent().unwrap().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        Command::new("sh")
            .arg(self.folder.path().join(place.object("restore.sh")))
            .arg(name)
            .env_clear()
            .env("PATH", path)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.cluster.port().to_string())
            .env("PGUSER", user)
            .output()
            .unwrap()
    }

    /// What `pg_restore` makes of what `pg_dump` makes of the database, both as a superuser; gives its name.
    pub async fn measure(&self) -> String {
        let measure = common::fresh_name("measure");
        let admin = admin_of(self.cluster, "postgres").await;
        let like = backup::DatabaseAttributes::read(&admin, &self.name).await.unwrap();
        admin.batch_execute(&like.create_statement(&measure)).await.unwrap();
        let archive = self.folder.path().join("archive");
        let archive = archive.to_str().unwrap();
        tool(self.cluster, "pg_dump", &self.name, &["-Fc", "-f", archive]).await;
        tool(self.cluster, "pg_restore", "postgres", &["-d", &measure, archive]).await;
        measure
    }
}

/// Without the blocks `-- SINCE n … -- END` of versions that are newer than the server's.
pub fn for_this_server(sql: &str) -> String {
    let server = common::version() / 10_000;
    let mut kept = String::new();
    let mut skipping = false;
    for line in sql.lines() {
        match line.strip_prefix("-- SINCE ") {
            Some(since) => skipping = since.parse::<u32>().unwrap() > server,
            None if line == "-- END" => skipping = false,
            None if skipping => {}
            None => kept.extend([line, "\n"]),
        }
    }
    kept
}

/// Runs a program of PostgreSQL's on a database of the cluster as a superuser; gives its standard output.
pub async fn tool(cluster: &Cluster, program: &str, database: &str, arguments: &[&str]) -> Vec<u8> {
    let found = tools::find(program, common::version()).await.unwrap();
    let output = Command::new(found.path)
        .args(["-h", "127.0.0.1", "-p", &cluster.port().to_string(), "-U", "postgres"])
        .args(arguments)
        .env("PGDATABASE", database)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    output.stdout
}

/// What `pg_dump` says of a database, without what differs between any two runs.
pub async fn dump(cluster: &Cluster, database: &str, arguments: &[&str]) -> String {
    let text = String::from_utf8_lossy(&tool(cluster, "pg_dump", database, arguments).await).into_owned();
    let own = |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
    text.lines().filter(own).collect::<Vec<_>>().join("\n")
}

/// Fails unless `pg_dump` says the same of two databases: the definitions line for line in their order, then
/// all of it with the lines sorted, because chunks load in any order.
pub async fn same_dumps(cluster: &Cluster, measure: &str, ours: &str) {
    // A restore creates no subscription.
    let definitions = ["--schema-only", "--no-subscriptions"];
    same_text(&dump(cluster, measure, &definitions).await, &dump(cluster, ours, &definitions).await);
    let all = ["--no-subscriptions"];
    same_text(&sorted(&dump(cluster, measure, &all).await), &sorted(&dump(cluster, ours, &all).await));
}

/// The lines of a text in alphabetical order.
pub fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

pub fn same_text(one: &str, other: &str) {
    if one != other {
        let differing = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
        panic!("the texts differ, at {differing:?}");
    }
}

pub fn quote(name: &str) -> String {
    backstay::pg::quote_ident(name)
}

/// A superuser's session, not on the database.
pub async fn admin() -> Session {
    common::session(&common::cluster().url("postgres", "postgres")).await
}

/// A superuser's session on a database of any name.
pub async fn admin_of(cluster: &Cluster, database: &str) -> Session {
    let info = ConnInfo::parse(&cluster.url("postgres", "postgres")).unwrap();
    backstay::pg::connect(&info.with_database(database), &Default::default()).await.unwrap()
}

pub async fn count(client: &Session, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

/// Small chunks, so that a small test has many.
pub fn small() -> backup::write::Options {
    backup::write::Options { jobs: 3, chunk_bytes: 16 << 10, ..Default::default() }
}

/// splitmix64: the same numbers for the same seed.
pub fn next(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
