//! The tables of a config, each read to its value.

use std::collections::BTreeMap;
use std::path::Path;

use super::{
    Backup, Compression, Database, DriftPolicy, Flag, FreeDisk, LeasePolicy, OnSignal, OnWrites, Pooler,
    Replica, SpoolPolicy, StopPolicy, StoreLocation, Tunnel, WindowPolicy,
};
use crate::document::{Finding, Read, Value, absolute};
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
        let restart_timeout =
            table.require("restart_timeout", "restart_timeout = \"30s\"", Value::duration_or_zero);
        let network_timeout = table.require("network_timeout", "network_timeout = \"30s\"", Value::duration);
        let close_timeout = table.require("close_timeout", "close_timeout = \"30s\"", Value::duration);
        let free_disk = table.take("free_disk", |v| free_disk(v, root));
        let pooler = table.take("pooler", pooler);
        let network_timeout = network_timeout?;
        let url = url?.noticing_silence_within(network_timeout);
        let admin_url = admin_url?.map(|admin| admin.noticing_silence_within(network_timeout));
        let pooler = pooler?.flatten();
        if pooler.is_some() && admin_url.as_ref().is_none_or(|admin| same_place(admin, &url)) {
            return Err(table.wrong_at("pooler", no_way_past_it()));
        }
        let maintenance_database = maintenance_database?;
        if url.database() == maintenance_database {
            let key = if table.says("maintenance_database") { "maintenance_database" } else { "url" };
            return Err(table.wrong_at(key, same_database(&maintenance_database)));
        }
        Ok(Database {
            admin_url: admin_url.unwrap_or_else(|| url.clone()),
            url,
            maintenance_database,
            connect_timeout: connect_timeout?,
            restart_timeout: restart_timeout?,
            network_timeout,
            close_timeout: close_timeout?,
            pooler,
            free_disk: free_disk?.unwrap_or(FreeDisk::Unset),
        })
    })
}

fn same_place(one: &ConnInfo, other: &ConnInfo) -> bool {
    one.host() == other.host() && one.port() == other.port()
}

fn no_way_past_it() -> Finding {
    Finding::new("a pooler stands before the database, and nothing says how to get past it")
        .label("this one")
        .help("a paused pooler holds us back too: give admin_url, a direct connection to the server")
}

/// `[database.pooler]`; the defaults alone are none.
fn pooler(value: Value<'_>) -> Read<Option<Pooler>> {
    value.table(|table| {
        let pause = table.take("pause", Value::command);
        let resume = table.take("resume", Value::command);
        let timeout = table.require("timeout", "timeout = \"30s\"", Value::duration);
        let timeout = timeout?;
        match (pause?, resume?) {
            (Some(pause), Some(resume)) => Ok(Some(Pooler { pause, resume, timeout })),
            (None, None) if !table.says("timeout") => Ok(None),
            _ => Err(table.wrong(
                Finding::new("a pooler needs both `pause` and `resume`")
                    .label("one is missing")
                    .help("write pooler = { pause = [\"…\"], resume = [\"…\"] }"),
            )),
        }
    })
}

/// One of `[[replicas]]`.
pub(super) fn replica(value: Value<'_>) -> Read<Replica> {
    value.table(|table| {
        let name = table.require("name", "name = \"walreceiver\"", Value::line);
        let url = table.require("url", "url = \"${REPLICA_URL}\"", connection);
        Ok(Replica { name: name?, url: url? })
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

/// `[store]`.
pub(super) fn store(
    value: Value<'_>,
    root: &Path,
    process: &BTreeMap<String, String>,
) -> Read<(StoreLocation, SpoolPolicy)> {
    value.table(|table| {
        let location = table.require("url", "url = \"file://./backstay-store\"", |v| store_url(v, root));
        let insist = table.require("insist_in_ci", "insist_in_ci = false", Value::boolean);
        let timeout = table.require("timeout", "timeout = \"75s\"", Value::duration);
        let spool = table.require("spool", "spool = \".backstay-spool\"", |v| v.path(root));
        let (location, insist) = (location?, insist?);
        let spool = SpoolPolicy { timeout: timeout?, path: spool? };
        let StoreLocation::Directory { path, .. } = location else { return Ok((location, spool)) };
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
        Ok((StoreLocation::Directory { path, insist }, spool))
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

/// `[tunnel]`.
pub(super) fn tunnel(value: Value<'_>) -> Read<Option<Tunnel>> {
    value.table(|table| {
        let run = table.take("run", Value::command);
        let port = table.take("port", |v| v.number(1..=65535));
        let timeout = table.require("timeout", "timeout = \"30s\"", Value::duration);
        let timeout = timeout?;
        match (run?, port?) {
            (Some(run), Some(port)) => {
                Ok(Some(Tunnel { run, port: u16::try_from(port).unwrap_or_default(), timeout }))
            }
            (None, None) => Ok(None),
            _ => Err(table.wrong(
                Finding::new("a tunnel needs both `run` and `port`").label("one is missing").help(
                    "write run = [\"ssh\", \"-N\", \"-L\", \"5433:db.internal:5432\", \"bastion\"] and port = 5433",
                ),
            )),
        }
    })
}

/// `[drift]`.
pub(super) fn drift(value: Value<'_>) -> Read<DriftPolicy> {
    value.table(|table| {
        let owners = table.require("owners", "owners = false", Value::boolean);
        let privileges = table.require("privileges", "privileges = false", Value::boolean);
        let ignore_schemas = table
            .require("ignore_schemas", "ignore_schemas = []", |v| v.list("a list of schemas", Value::line));
        Ok(DriftPolicy { owners: owners?, privileges: privileges?, ignore_schemas: ignore_schemas? })
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
        let undeclared_replicas =
            table.require("undeclared_replicas", "undeclared_replicas = \"refuse\"", |v| {
                v.word(&[("refuse", false), ("allow", true)])
            });
        let replica_timeout = table.require("replica_timeout", "replica_timeout = \"30s\"", Value::duration);
        Ok(WindowPolicy {
            keep: keep?,
            on_writes: on_writes?,
            sample_bytes: sample_bytes?,
            undeclared_replicas: undeclared_replicas?,
            replica_timeout: replica_timeout?,
        })
    })
}

/// `[lease]`.
pub(super) fn lease(value: Value<'_>) -> Read<LeasePolicy> {
    value.table(|table| {
        let heartbeat = table.require("heartbeat", "heartbeat = \"2s\"", Value::duration);
        let expires = table.require("expires", "expires = \"30s\"", Value::duration);
        let (heartbeat, expires) = (heartbeat?, expires?);
        if expires < heartbeat * 3 {
            let key = if table.says("expires") { "expires" } else { "heartbeat" };
            let finding = Finding::new("a lease must outlast three heartbeats")
                .label("one that was late would count as a dead driver")
                .help("make `expires` longer, or `heartbeat` shorter");
            return Err(table.wrong_at(key, finding));
        }
        Ok(LeasePolicy { heartbeat, expires })
    })
}

/// `[stop]`.
pub(super) fn stop(value: Value<'_>) -> Read<StopPolicy> {
    value.table(|table| {
        let on_signal = table.require("on_signal", "on_signal = \"put-back\"", |v| {
            v.word(&[("put-back", OnSignal::PutBack), ("leave", OnSignal::Leave)])
        });
        let grace = table.require("grace", "grace = \"10s\"", Value::duration);
        Ok(StopPolicy { on_signal: on_signal?, grace: grace? })
    })
}
