//! The tables of a config, each read to its value.

use std::collections::BTreeMap;
use std::path::Path;

use super::{
    Backup, Compression, Database, Flag, FreeDisk, MigrationRoot, OnWrites, StoreLocation, Tool, WindowPolicy,
};
use crate::document::{Finding, Noted, Read, Table, Value, absolute};
use crate::migrate::draft::{IdKind, NamePattern};
use crate::pg::ConnInfo;
use crate::store::Location;

/// `[database]`.
pub(super) fn database(value: Value<'_>, root: &Path) -> Read<Database> {
    value.table(|table| {
        let url = table.require("url", "url = \"${DATABASE_URL}\"", connection);
        let admin_url = table.take("admin_url", connection);
        let maintenance_database =
            table.require("maintenance_database", "maintenance_database = \"postgres\"", Value::line);
        let connect_timeout = table.require("connect_timeout", "connect_timeout = \"10s\"", Value::duration);
        let close_timeout = table.require("close_timeout", "close_timeout = \"30s\"", Value::duration);
        let free_disk = table.take("free_disk", |v| free_disk(v, root));
        let url = url?;
        let maintenance_database = maintenance_database?;
        if url.database() == maintenance_database {
            let key = if table.says("maintenance_database") { "maintenance_database" } else { "url" };
            return Err(table.wrong_at(key, same_database(&maintenance_database)));
        }
        Ok(Database {
            admin_url: admin_url?.unwrap_or_else(|| url.clone()),
            url,
            maintenance_database,
            connect_timeout: connect_timeout?,
            close_timeout: close_timeout?,
            free_disk: free_disk?.unwrap_or(FreeDisk::Unset),
        })
    })
}

fn same_database(name: &str) -> Finding {
    Finding::new(format!("the application's database is `{name}`, the maintenance database too"))
        .label("it must stay reachable while the application's is closed")
        .help("name another one, such as maintenance_database = \"template1\"")
}

fn connection(value: Value<'_>) -> Read<ConnInfo> {
    let text = value.clone().filled()?;
    ConnInfo::parse(&text).map_err(|error| {
        value.wrong(
            Finding::new(format!("`{}` is no PostgreSQL connection: {}", value.key(), error.problem))
                .label("this one")
                .help(error.problem.remedy()),
        )
    })
}

fn free_disk(value: Value<'_>, root: &Path) -> Read<FreeDisk> {
    const FORMS: &str = "write a folder of the server's disk (\"/var/lib/postgresql\"), { command = [\"…\"] } that \
                         prints bytes, { bytes = 50000000000 }, or \"unchecked\"";
    if value.node().as_text().is_some() {
        let text = value.clone().line()?;
        return Ok(match text.as_str() {
            "unchecked" => FreeDisk::Unchecked,
            path => FreeDisk::Path(absolute(root, Path::new(path))),
        });
    }
    value.table(|table| {
        let command = table.take("command", Value::command);
        let bytes = table.take("bytes", |v| v.number(0..=u64::MAX));
        match (command?, bytes?) {
            (Some(command), None) => Ok(FreeDisk::Command(command)),
            (None, Some(bytes)) => Ok(FreeDisk::Bytes(bytes)),
            _ => Err(table.wrong(
                Finding::new("`free_disk` must say either `command` or `bytes`").label("here").help(FORMS),
            )),
        }
    })
}

/// `[migrations]`, or each of several `[[migrations]]`.
pub(super) fn migration_roots(table: &mut Table<'_>, base: &Path) -> Read<Vec<MigrationRoot>> {
    if !table.says("migrations") {
        let root = table.require("migrations", "[migrations]", |v| migration_root(v, base))?;
        return Ok(vec![root]);
    }
    table.each("migrations", |value| Ok((value.clone(), migration_root(value, base)?))).and_then(|roots| {
        let mut noted = None;
        for (index, (value, root)) in roots.iter().enumerate() {
            for (_, earlier) in &roots[..index] {
                noted = clash(root, earlier).map(|finding| value.wrong(finding)).or(noted);
            }
        }
        noted.map_or_else(|| Ok(roots.into_iter().map(|(_, root)| root).collect()), Err)
    })
}

/// What two roots can't share.
fn clash(root: &MigrationRoot, earlier: &MigrationRoot) -> Option<Finding> {
    if root.name == earlier.name {
        let finding = Finding::new(format!("two migration roots are called `{}`", root.name));
        return Some(finding.label("the second").help("give each [[migrations]] a name of its own"));
    }
    let table = |r: &MigrationRoot| (r.version_schema.clone(), r.version_table.clone());
    (table(root) == table(earlier)).then(|| {
        Finding::new(format!(
            "`{}` and `{}` note their revisions in the same table, {}.{}",
            earlier.name, root.name, root.version_schema, root.version_table
        ))
        .label("the second")
        .help(format!("give one of them its own: version_table = \"alembic_version_{}\"", root.name))
    })
}

fn migration_root(value: Value<'_>, root: &Path) -> Read<MigrationRoot> {
    value.table(|table| {
        let name = table.require("name", "name = \"main\"", Value::line);
        let tool = table.require("tool", "tool = \"sql\"", tool);
        let directory = table.require("directory", "directory = \"migrations\"", |v| v.path(root));
        let version_schema = table.require("version_schema", "version_schema = \"public\"", Value::line);
        let version_table =
            table.require("version_table", "version_table = \"alembic_version\"", Value::line);
        let lock_timeout = table.require("lock_timeout", "lock_timeout = \"5s\"", Value::duration);
        let lock_retries =
            table.require("lock_retries", "lock_retries = 5", |v| v.number(0..=u64::from(u32::MAX)));
        let statement_timeout = table.take("statement_timeout", Value::duration);
        let file_name = table.require("file_name", "file_name = \"timestamp\"", file_name);
        let ids = table.require("revision_ids", "revision_ids = \"random\"", |value| {
            value.word(&[("random", IdKind::Random), ("timestamp", IdKind::Timestamp)])
        });
        let template = table.take("template", |value| value.path(root));
        Ok(MigrationRoot {
            name: name?,
            tool: tool?,
            directory: directory?,
            version_schema: version_schema?,
            version_table: version_table?,
            lock_timeout: lock_timeout?,
            lock_retries: u32::try_from(lock_retries?).unwrap_or(u32::MAX),
            statement_timeout: statement_timeout?,
            file_name: file_name?,
            revision_ids: ids?,
            template: template?,
        })
    })
}

fn file_name(value: Value<'_>) -> Read<NamePattern> {
    let text = value.clone().line()?;
    NamePattern::parse(&text)
        .map_err(|error| value.wrong(Finding::new(error.to_string()).label("this pattern")))
}

fn tool(value: Value<'_>) -> Read<Tool> {
    match value.node().as_text() {
        Some("alembic") => Err(later(&value, "the migration tool `alembic`", "tool = \"sql\"")),
        _ => value.word(&[("sql", Tool::Sql)]),
    }
}

/// What the design has and this version has not.
fn later(value: &Value<'_>, what: &str, instead: &str) -> Noted {
    value.wrong(
        Finding::new(format!("{what} is not yet supported in this version"))
            .label("not yet")
            .help(format!("until then: {instead}")),
    )
}

/// `[store]`.
pub(super) fn store(
    value: Value<'_>,
    root: &Path,
    process: &BTreeMap<String, String>,
) -> Read<StoreLocation> {
    value.table(|table| {
        let location = table.require("url", "url = \"file://./backstay-store\"", |v| store_url(v, root));
        let insist = table.require("insist_in_ci", "insist_in_ci = false", Value::boolean);
        let (location, insist) = (location?, insist?);
        let StoreLocation::Directory { path, .. } = location else { return Ok(location) };
        if in_ci(process) && !insist {
            return Err(table.wrong_at(
                "url",
                Finding::new("a store in a directory dies with the CI runner, and with it the way back")
                    .label("a directory, and the variable CI is set")
                    .help(
                        "name a bucket: url = \"gs://bucket/prefix\"; or, if the directory outlives the job, say \
                         so: insist_in_ci = true",
                    ),
            ));
        }
        Ok(StoreLocation::Directory { path, insist })
    })
}

fn store_url(value: Value<'_>, root: &Path) -> Read<StoreLocation> {
    const FORMS: &str = "write file://./relative/to/the/project, file:///absolute, or gs://bucket/prefix";
    let url = value.clone().line()?;
    let wrong = |finding: Finding| Err(value.wrong(finding));
    let path = match url.split_once("://") {
        None => url.as_str(),
        Some(("file", path)) if path.starts_with(['/', '.']) => path,
        Some(("file", _)) => {
            return wrong(
                Finding::new("after `file://` a path must follow, not the name of a host")
                    .label("here")
                    .help(FORMS),
            );
        }
        Some(("gs", _)) => {
            return Location::parse(&url).map(StoreLocation::Bucket).or_else(|why| {
                wrong(
                    Finding::new(format!("this is no place in Google Cloud Storage: {why}"))
                        .label("this one")
                        .help("write gs://bucket/prefix"),
                )
            });
        }
        Some(_) => {
            return wrong(Finding::new("there is no store of this kind").label("this kind").help(FORMS));
        }
    };
    Ok(StoreLocation::Directory { path: absolute(root, Path::new(path)), insist: false })
}

/// Whether this is a CI job: all of them set `CI`.
fn in_ci(process: &BTreeMap<String, String>) -> bool {
    process.get("CI").is_some_and(|ci| !ci.is_empty() && !ci.eq_ignore_ascii_case("false"))
}

/// `[backup]`.
pub(super) fn backup(value: Value<'_>) -> Read<Backup> {
    value.table(|table| {
        let gzip = table.require("compression", "compression = \"gzip\"", |value| {
            value.word(&[("gzip", true), ("zstd", false)])
        });
        // Where the codec is wrong, the wider range: one error is enough.
        let highest = if matches!(gzip, Ok(true)) { 9 } else { 19 };
        let level = table.take("level", |value| value.number(1..=highest));
        let jobs = table.require("jobs", "jobs = 4", |value| value.number(1..=64));
        let level = level?.map(|level| u32::try_from(level).unwrap_or(1));
        let compression = match gzip? {
            true => Compression::Gzip { level: level.unwrap_or(Compression::GZIP_LEVEL) },
            false => Compression::Zstd { level: level.unwrap_or(Compression::ZSTD_LEVEL) },
        };
        Ok(Backup { compression, jobs: usize::try_from(jobs?).unwrap_or(1) })
    })
}

/// `[maintenance]`.
pub(super) fn flag(value: Value<'_>, root: &Path) -> Read<Option<Flag>> {
    value.table(|table| table.take_own("flag", |value| one_flag(value, root)))
}

fn one_flag(value: Value<'_>, root: &Path) -> Read<Flag> {
    const FORMS: &str = "write flag = { file = \"/opt/app/maintenance\" }, or \
                         flag = { on = […], off = […], status = […] }";
    if value.node().as_text().is_some() {
        return Err(value.wrong(Finding::new("`flag` must be a table").label("this is a string").help(FORMS)));
    }
    value.table(|table| {
        let file = table.take("file", |v| v.path(root));
        let on = table.take("on", Value::command);
        let off = table.take("off", Value::command);
        let status = table.take("status", Value::command);
        let timeout = table.require("timeout", "timeout = \"30s\"", Value::duration);
        match (file?, on?, off?, status?) {
            (Some(file), None, None, None) => Ok(Flag::File(file)),
            (None, Some(on), Some(off), Some(status)) => {
                Ok(Flag::Command { on, off, status, timeout: timeout? })
            }
            (None, None, None, None) => {
                Err(table.wrong(Finding::new("`flag` says nothing").label("here").help(FORMS)))
            }
            (None, ..) => Err(table.wrong(
                Finding::new("a flag of commands needs all three of `on`, `off` and `status`")
                    .label("one is missing")
                    .help("`status` exits 0 when the flag is up and 1 when it is down"),
            )),
            (Some(_), ..) => Err(table.wrong_at(
                "file",
                Finding::new("a flag is a file or commands, not both").label("a file").help(FORMS),
            )),
        }
    })
}

/// `[window]`.
pub(super) fn window(value: Value<'_>) -> Read<WindowPolicy> {
    value.table(|table| {
        let keep = table.require("keep", "keep = \"24h\"", Value::duration_or_zero);
        let on_writes = table.require("on_writes", "on_writes = \"ask\"", |v| {
            v.word(&[("ask", OnWrites::Ask), ("put-back", OnWrites::PutBack)])
        });
        let sample_bytes =
            table.require("sample_bytes", "sample_bytes = 50000000", |v| v.number(0..=u64::MAX));
        let replicas = table.require("replicas", "replicas = false", Value::boolean);
        Ok(WindowPolicy {
            keep: keep?,
            on_writes: on_writes?,
            sample_bytes: sample_bytes?,
            replicas: replicas?,
        })
    })
}
