//! A database to a backup on the store: one snapshot, several connections, the manifest last.
//!
//! A crash at any point leaves objects without a manifest: no backup (`list` shows them as leftovers), and
//! on the server nothing, since all its transactions only read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio_postgres::Client;

use super::attributes::DatabaseAttributes;
use super::catalog::{self, Pages, ServerFacts, SourceTable};
use super::dump::{Dumping, PgDump};
use super::error::BackupError;
use super::fingerprint::{self, TableContent, take};
use super::manifest::{Chunk, Codec, FORMAT, Manifest, Object, Server, Snapshot, Table, TableName};
use super::meter::Meter;
use super::name::{self, Place};
use super::pack;
use super::{pinned, roles, script};
use crate::event::Progress;
use crate::pg::{ConnInfo, Session, SessionOptions};
use crate::store::{Created, Store};

/// How a backup is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every session of it sets.
    pub session: SessionOptions,
    /// How the objects are compressed.
    pub codec: Codec,
    /// Connections at work at once, beside the one that holds the snapshot; at least one.
    pub jobs: usize,
    /// Tables are cut into parts of about this many bytes (as they lie on the server's disk).
    pub chunk_bytes: u64,
    /// How long to wait for the tables' locks (`ACCESS SHARE`) before giving up.
    pub lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            session: SessionOptions::default(),
            codec: Codec::default(),
            jobs: 2,
            chunk_bytes: 32 << 20,
            lock_timeout: Duration::from_secs(60),
        }
    }
}

/// Writes a backup of the database that `info` names, to `place`.
///
/// The tables are locked against changes of their definition (`ACCESS SHARE`) for as long as it takes; reads
/// and writes go on.
///
/// # Errors
/// If the server, `pg_dump` or the store refuse anything: there is no manifest then, and no backup. Objects
/// that were written stay as leftovers.
pub async fn write(
    info: &ConnInfo,
    store: &dyn Store,
    place: &Place,
    options: &Options,
    progress: &Progress,
) -> Result<Manifest, BackupError> {
    if !store.list(&place.prefix()).await.map_err(|e| BackupError::store(store, e))?.is_empty() {
        return Err(BackupError::IdTaken(place.id.clone()));
    }
    let target = Target { store, place, codec: options.codec };
    let (source, pg_dump, mut objects) = open(info, &target, options).await?;

    let tables = catalog::tables(&source.main).await?;
    let meter = Meter::new(progress, tables.iter().map(|table| table.bytes).sum());
    let chunks = copy_tables(info, &source, &target, &tables, options, &meter).await?;
    objects.extend(chunks.iter().map(|copied| copied.object.clone()));

    let globals = roles::globals(&source.main).await?;
    objects.push(target.text(name::GLOBALS, &globals.sql).await?);
    if let Some(sql) = roles::subscriptions(&source.main).await? {
        objects.push(target.text(name::SUBSCRIPTIONS, &sql).await?);
    }
    let database = DatabaseAttributes::read(&source.main, info.database()).await?;
    let mut manifest = Manifest {
        format: FORMAT,
        checksum: String::new(),
        tool: format!("backstay {}", env!("CARGO_PKG_VERSION")),
        id: place.id.clone(),
        environment: place.environment.clone(),
        server: Server {
            version: source.server.version,
            name: source.server.name.clone(),
            pg_dump: pg_dump.version(),
        },
        roles: all_roles(globals.names, &database),
        database,
        snapshot: source.snapshot.clone(),
        codec: options.codec,
        extensions: catalog::extensions(&source.main).await?,
        objects,
        tables: join_chunks(tables, chunks),
        sequences: catalog::sequences(&source.main).await?,
        large_objects: fingerprint::large_objects(&source.main).await?,
    };
    manifest.objects.push(target.text(name::README, &script::readme(&manifest)).await?);
    let restore = script::restore(&manifest);
    manifest.objects.push(target.text(name::SCRIPT, &restore).await?);
    manifest.objects.sort_by(|a, b| a.name.cmp(&b.name));
    commit(store, place, manifest).await
}

/// The commit point: until here there is no backup.
async fn commit(store: &dyn Store, place: &Place, manifest: Manifest) -> Result<Manifest, BackupError> {
    let object = place.object(name::MANIFEST);
    let refused = |source| BackupError::Manifest { object: object.clone(), source };
    let bytes = manifest.to_bytes().map_err(refused)?;
    // Read as a later restore will: a manifest that contradicts itself must not become a backup.
    let manifest = Manifest::parse(&bytes).map_err(refused)?;
    match store.create(&object, bytes.clone().into()).await.map_err(|e| BackupError::store(store, e))? {
        Created::New => Ok(manifest),
        // Our own retried write, or another's: the bytes tell.
        Created::Exists => match store.read(&object).await {
            Ok(there) if there == bytes => Ok(manifest),
            Ok(_) => Err(BackupError::IdTaken(place.id.clone())),
            Err(error) => Err(BackupError::store(store, error)),
        },
    }
}

fn all_roles(mut names: Vec<String>, database: &DatabaseAttributes) -> Vec<String> {
    names.extend(database.roles().filter(|role| !role.starts_with("pg_")).map(str::to_string));
    names.sort();
    names.dedup();
    names
}

/// Takes locks and snapshot, and the DDL while nothing else is at stake.
///
/// pg_dump wants locks of its own. If someone's DDL has queued up behind ours by then, pg_dump waits for it,
/// it for us, and we for pg_dump, which no deadlock detector sees; and all of production's queries on that
/// table queue up behind. So pg_dump waits briefly only, and then everything is let go and begun anew.
async fn open(
    info: &ConnInfo,
    target: &Target<'_>,
    options: &Options,
) -> Result<(Source, PgDump, Vec<Object>), BackupError> {
    let mut tries = 1;
    loop {
        let source = Source::open(info, options).await?;
        let pg_dump = PgDump::find(source.server.version).await?;
        match dump_ddl(info, &pg_dump, &source, target).await {
            Err(BackupError::PgDump { output }) if output.contains("LOCK TABLE") && tries < TRIES => {
                tries += 1;
            }
            Err(error) => return Err(error),
            Ok(objects) => return Ok((source, pg_dump, objects)),
        }
    }
}

/// How often a backup begins anew when tables come and go under it.
const TRIES: u32 = 10;

/// How long the sessions beside the first wait for a lock that the first holds already.
const BRIEFLY: Duration = Duration::from_secs(1);

/// The session that holds the snapshot and the locks, until the backup is written.
struct Source {
    main: Session,
    server: ServerFacts,
    exported: String,
    snapshot: Snapshot,
}

impl Source {
    /// Locks first, then takes the snapshot: so no `TRUNCATE` or rewrite, which snapshots do not see, can
    /// come between the two. pg_dump does it the other way round.
    async fn open(info: &ConnInfo, options: &Options) -> Result<Self, BackupError> {
        let main = pinned::open(info, &options.session).await?;
        let server = catalog::server(&main).await?;
        for _ in 0..TRIES {
            let before = catalog::table_names(&main).await?;
            let names: Vec<TableName> = before.iter().map(|(_, name)| name.clone()).collect();
            // Before any statement that takes the snapshot: all that committed by then is in it.
            let lsn = position(&main).await?;
            begin(&main, options.lock_timeout).await?;
            if lock(&main, &names).await? {
                let exported = pinned::export(&main).await?;
                if catalog::table_names(&main).await? == before {
                    let at = clock(&main).await?;
                    return Ok(Self { main, server, exported, snapshot: Snapshot { lsn, at } });
                }
            }
            main.batch_execute("ROLLBACK").await.map_err(|e| BackupError::sql("look again", e))?;
        }
        Err(BackupError::Restless { tries: TRIES })
    }
}

async fn begin(client: &Client, lock_timeout: Duration) -> Result<(), BackupError> {
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {}",
        lock_timeout.as_millis().min(i32::MAX as u128)
    );
    client.batch_execute(&sql).await.map_err(|e| BackupError::sql("begin the snapshot's transaction", e))
}

/// Locks the tables; `false` if one of them is gone meanwhile. `LOCK TABLE` takes no snapshot.
async fn lock(client: &Client, tables: &[TableName]) -> Result<bool, BackupError> {
    for batch in tables.chunks(500) {
        let names: Vec<String> = batch.iter().map(|table| format!("ONLY {}", table.quoted())).collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        if let Err(error) = client.batch_execute(&sql).await {
            // 42P01 undefined_table, 3F000 invalid_schema_name, 42809 wrong_object_type
            let gone = matches!(error.code().map(|c| c.code()), Some("42P01" | "3F000" | "42809"));
            return if gone {
                Ok(false)
            } else {
                Err(BackupError::sql("lock the tables for reading", error))
            };
        }
    }
    Ok(true)
}

/// Where the write-ahead log stands.
async fn position(client: &Client) -> Result<String, BackupError> {
    let sql = "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
               ELSE pg_catalog.pg_current_wal_lsn() END)::text";
    let row = client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("ask the log's position", e))?;
    catalog::get(&row, 0)
}

async fn clock(client: &Client) -> Result<Timestamp, BackupError> {
    let sql = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8";
    let row = client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("ask the server's clock", e))?;
    Timestamp::from_millisecond(catalog::get(&row, 0)?)
        .map_err(|e| BackupError::Strange { what: "the server's clock".into(), reason: e.to_string() })
}

/// Where objects go.
struct Target<'a> {
    store: &'a dyn Store,
    place: &'a Place,
    codec: Codec,
}

impl Target<'_> {
    /// Writes a small text as an object; compressed if its name says so.
    async fn text(&self, name: &str, text: &str) -> Result<Object, BackupError> {
        if name.ends_with(".gz") {
            // An object without a byte would not be created.
            let text = if text.is_empty() { "-- nothing\n" } else { text };
            let (mut pieces, packing) =
                pack::pack(self.store, self.place.object(name), name.to_string(), self.codec);
            let feed = async {
                pieces.put_slice(text.as_bytes()).await;
                pieces.end().await;
            };
            let (stored, ()) = tokio::join!(packing.finish(), feed);
            return stored?.object.ok_or_else(|| BackupError::Thread(format!("packing {name}")));
        }
        let full_name = self.place.object(name);
        match self.store.create(&full_name, text.to_string().into()).await {
            Ok(Created::New) => Ok(plain_object(name, text.as_bytes())),
            Ok(Created::Exists) => Err(BackupError::IdTaken(self.place.id.clone())),
            Err(error) => Err(BackupError::store(self.store, error)),
        }
    }
}

fn plain_object(name: &str, bytes: &[u8]) -> Object {
    use sha2::Digest as _;
    Object {
        name: name.to_string(),
        raw_bytes: bytes.len() as u64,
        stored_bytes: bytes.len() as u64,
        sha256: hex::encode(sha2::Sha256::digest(bytes)),
    }
}

/// The DDL, from pg_dump on the same snapshot: before and after the data side by side.
async fn dump_ddl(
    info: &ConnInfo,
    pg_dump: &PgDump,
    source: &Source,
    target: &Target<'_>,
) -> Result<Vec<Object>, BackupError> {
    let part = |name, arguments: &[&str]| {
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.push("--no-subscriptions".to_string());
        arguments.push(format!("--snapshot={}", source.exported));
        arguments.push(format!("--lock-wait-timeout={}", BRIEFLY.as_millis()));
        let dumping = pg_dump.start(info, &source.server.client_encoding, &arguments);
        async move { store_dump(dumping?, target, name).await }
    };
    let (before, after) = tokio::try_join!(
        part(name::PRE_DATA, &["--section=pre-data"]),
        part(name::POST_DATA, &["--section=post-data"])
    )?;
    let mut objects: Vec<Object> = before.into_iter().chain(after).collect();
    if catalog::has_large_objects(&source.main).await? {
        // Of the data section only the large objects: every table's rows and sequence's state is left out.
        let arguments = ["--section=data", "--blobs", "--exclude-table-data=*.*"];
        objects.extend(part(name::LARGE_OBJECTS, &arguments).await?);
    }
    Ok(objects)
}

async fn store_dump(
    mut dumping: Dumping,
    target: &Target<'_>,
    name: &str,
) -> Result<Option<Object>, BackupError> {
    let (mut pieces, packing) =
        pack::pack(target.store, target.place.object(name), name.to_string(), target.codec);
    let feed = async {
        let mut line = Vec::new();
        while dumping.line(&mut line).await?.is_some() {
            pieces.put_slice(&line).await;
        }
        pieces.end().await;
        Ok(())
    };
    let (stored, ()) = tokio::try_join!(packing.finish(), feed)?;
    Ok(stored.object)
}

/// One part of a table, to be copied.
struct Job {
    table: usize,
    part: usize,
    pages: Option<Pages>,
    bytes: u64,
}

/// One part of a table, copied.
struct Copied {
    table: usize,
    part: usize,
    object: Object,
    content: TableContent,
}

/// All rows, by several workers that pull parts, the biggest first.
async fn copy_tables(
    info: &ConnInfo,
    source: &Source,
    target: &Target<'_>,
    tables: &[SourceTable],
    options: &Options,
    meter: &Meter<'_>,
) -> Result<Vec<Copied>, BackupError> {
    let mut jobs: Vec<Job> = Vec::new();
    for (table, source) in tables.iter().enumerate() {
        let parts = source.parts(options.chunk_bytes).into_iter().enumerate();
        jobs.extend(parts.map(|(part, (pages, bytes))| Job { table, part, pages, bytes }));
    }
    jobs.sort_by_key(|job| job.bytes);
    let workers = options.jobs.clamp(1, jobs.len().max(1));
    let queue = Mutex::new(jobs);
    let held_up = Mutex::new(Vec::new());
    let number = AtomicU64::new(0);
    let copy = async |client: &Client, job: &Job| {
        let object = format!("data/{}.copy.gz", number.fetch_add(1, Relaxed) + 1);
        copy_part(client, target, &tables[job.table], job, object, meter).await
    };
    let worker = async || -> Result<Vec<Copied>, BackupError> {
        let client = pinned::join(info, &options.session, &source.exported).await?;
        let begin = format!("SET LOCAL lock_timeout = {}; SAVEPOINT part", BRIEFLY.as_millis());
        client.batch_execute(&begin).await.map_err(|e| BackupError::sql("begin to read", e))?;
        let mut done = Vec::new();
        while let Some(job) = take(&queue) {
            match copy(&client, &job).await {
                // Someone's DDL waits for our first session, and this one would wait for it.
                Err(error) if error.is_lock_timeout() => {
                    held_up.lock().unwrap_or_else(PoisonError::into_inner).push(job);
                    let back = "ROLLBACK TO part";
                    client.batch_execute(back).await.map_err(|e| BackupError::sql("leave a part", e))?;
                }
                copied => done.extend(copied?),
            }
        }
        Ok(done)
    };
    let copied: Vec<Vec<Copied>> =
        stream::iter(0..workers).map(|_| worker()).buffer_unordered(workers).try_collect().await?;
    let mut copied: Vec<Copied> = copied.into_iter().flatten().collect();
    // The first session has every table's lock since before the snapshot, and waits for nobody.
    for job in held_up.into_inner().unwrap_or_else(PoisonError::into_inner) {
        copied.extend(copy(&source.main, &job).await?);
    }
    Ok(copied)
}

/// Copies one part; `None` if it has no rows.
async fn copy_part(
    client: &Client,
    target: &Target<'_>,
    table: &SourceTable,
    job: &Job,
    object: String,
    meter: &Meter<'_>,
) -> Result<Option<Copied>, BackupError> {
    let refused = |source| BackupError::sql(format!("read table {}", table.table), source);
    meter.name(&table.table);
    let rows = client.copy_out(&table.copy_to(job.pages)).await.map_err(refused)?;
    let mut rows = std::pin::pin!(rows);
    let mut share = meter.share(job.bytes);
    let (mut pieces, packing) = pack::pack(target.store, target.place.object(&object), object, target.codec);
    let feed = async {
        while let Some(row) = rows.next().await {
            let row = row.map_err(refused)?;
            share.add(row.len() as u64);
            pieces.put(row).await;
        }
        pieces.end().await;
        share.finish();
        Ok(())
    };
    let (stored, ()) = tokio::try_join!(packing.finish(), feed)?;
    let content = stored.content.ok_or_else(|| BackupError::CutRow(format!("table {}", table.table)))?;
    Ok(stored.object.map(|object| Copied { table: job.table, part: job.part, object, content }))
}

/// The tables as the manifest names them, each with its parts in order.
fn join_chunks(tables: Vec<SourceTable>, copied: Vec<Copied>) -> Vec<Table> {
    let mut by_table: BTreeMap<usize, Vec<Copied>> = BTreeMap::new();
    for part in copied {
        by_table.entry(part.table).or_default().push(part);
    }
    let join = |(number, source): (usize, SourceTable)| {
        let mut parts = by_table.remove(&number).unwrap_or_default();
        parts.sort_by_key(|part| part.part);
        let mut content = TableContent::default();
        let chunks = parts.into_iter().map(|part| {
            content += part.content;
            Chunk {
                object: part.object.name,
                from: 0,
                bytes: part.object.raw_bytes,
                rows: part.content.rows,
                fingerprint: part.content.fingerprint,
            }
        });
        let chunks = chunks.collect();
        Table {
            table: source.table,
            columns: source.columns,
            condition: source.condition,
            rows: content.rows,
            fingerprint: content.fingerprint,
            chunks,
        }
    };
    tables.into_iter().enumerate().map(join).collect()
}
