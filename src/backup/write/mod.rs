//! A database to a backup on the store: one snapshot, several connections, the manifest last.
//!
//! A crash at any point leaves objects without a manifest: no backup (`list` shows them as leftovers), and
//! on the server nothing, since all its transactions only read.

mod ddl;
mod outbox;
mod plan;
mod rows;
mod source;
mod thread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::plan::Piece;
use self::source::{Source, TRIES};
use super::attributes::DatabaseAttributes;
use super::catalog::{self, SourceTable};
use super::dump::PgDump;
use super::error::BackupError;
use super::fingerprint::{self, TableContent};
use super::list;
use super::manifest::{Chunk, Codec, FORMAT, Manifest, Object, Server, Table};
use super::meter::Meter;
use super::name::{self, Place};
use super::pack::{Packed, Packer};
use super::{roles, script, subscriptions};
use crate::event::Progress;
use crate::pg::{ConnInfo, SessionOptions};
use crate::store::Store;

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
    let target = Target { store, place };
    let (source, pg_dump, ddl) = open(info, &target, options).await?;
    let mut manifest = match read(info, &source, &pg_dump, &target, options, progress).await {
        Ok(manifest) => manifest,
        Err(error) => return Err(source.first_cause(error).await),
    };
    manifest.objects.extend(ddl);
    manifest.objects.push(target.text(name::README, &script::page(&manifest)).await?);
    let restore = script::script(&manifest);
    manifest.objects.push(target.text(name::SCRIPT, &restore).await?);
    manifest.objects.sort_by(|a, b| a.name.cmp(&b.name));
    commit(store, place, manifest).await
}

/// All that is asked of the database but its DDL: rows, roles, attributes.
async fn read(
    info: &ConnInfo,
    source: &Source,
    pg_dump: &PgDump,
    target: &Target<'_>,
    options: &Options,
    progress: &Progress,
) -> Result<Manifest, BackupError> {
    let tables = Arc::new(catalog::tables(&source.main).await?);
    let meter = Meter::new(progress, tables.iter().map(|table| table.bytes).sum());
    let written = rows::copy_tables(info, source, target, &tables, options, meter).await?;
    let mut objects = written.objects;
    let globals = roles::globals(&source.main).await?;
    objects.push(target.text(name::GLOBALS, &globals.sql).await?);
    if let Some(sql) = subscriptions::as_sql(&source.main).await? {
        objects.push(target.text(name::SUBSCRIPTIONS, &sql).await?);
    }
    let database = DatabaseAttributes::read(&source.main, info.database()).await?;
    Ok(Manifest {
        format: FORMAT,
        checksum: String::new(),
        tool: format!("backstay {}", env!("CARGO_PKG_VERSION")),
        id: target.place.id.clone(),
        environment: target.place.environment.clone(),
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
        tables: join_chunks(&tables, written.chunks),
        sequences: catalog::sequences(&source.main).await?,
        large_objects: fingerprint::large_objects(&source.main).await?,
    })
}

/// The commit point: until here there is no backup.
async fn commit(store: &dyn Store, place: &Place, manifest: Manifest) -> Result<Manifest, BackupError> {
    let object = place.object(name::MANIFEST);
    let refused = |source| BackupError::Manifest { object: object.clone(), source };
    let bytes = manifest.to_bytes().map_err(refused)?;
    // Read as a later restore will: a manifest that contradicts itself must not become a backup.
    let manifest = Manifest::parse(&bytes).map_err(refused)?;
    outbox::create(store, place, name::MANIFEST, bytes.into()).await?;
    Ok(manifest)
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
        match ddl::dump(info, &pg_dump, &source, target).await {
            Err(BackupError::PgDump { output }) if output.contains("LOCK TABLE") && tries < TRIES => {
                tries += 1;
                // What this try wrote is of its own snapshot, and stands where the next one's has to.
                list::remove_all(target.store, target.place).await?;
            }
            Err(error) => return Err(error),
            Ok(objects) => return Ok((source, pg_dump, objects)),
        }
    }
}

/// Where objects go.
struct Target<'a> {
    store: &'a dyn Store,
    place: &'a Place,
}

impl Target<'_> {
    /// Writes a small text as an object; compressed if its name says so.
    async fn text(&self, name: &str, text: &str) -> Result<Object, BackupError> {
        let packed = if name.ends_with(".gz") { gzip(text.as_bytes()) } else { Ok(Packed::plain(text)) };
        let packed = packed.map_err(|source| BackupError::pack(name, source))?;
        let object = packed.object(name);
        outbox::create(self.store, self.place, name, packed.bytes).await?;
        Ok(object)
    }
}

fn gzip(text: &[u8]) -> std::io::Result<Packed> {
    let mut packer = Packer::new(Codec::default())?;
    packer.put(text)?;
    packer.finish()
}

/// The tables as the manifest names them, each with its chunks in order.
fn join_chunks(tables: &[SourceTable], mut chunks: Vec<(Piece, Chunk)>) -> Vec<Table> {
    // The sort keeps the order of a piece's own chunks.
    chunks.sort_by_key(|(piece, _)| (piece.table, piece.number));
    let mut by_table: BTreeMap<usize, Vec<Chunk>> = BTreeMap::new();
    for (piece, chunk) in chunks {
        by_table.entry(piece.table).or_default().push(chunk);
    }
    let join = |(number, source): (usize, &SourceTable)| {
        let chunks = by_table.remove(&number).unwrap_or_default();
        let mut content = TableContent::default();
        for chunk in &chunks {
            content += TableContent { rows: chunk.rows, fingerprint: chunk.fingerprint };
        }
        Table {
            table: source.table.clone(),
            columns: source.columns.clone(),
            condition: source.condition.clone(),
            through: source.through.clone(),
            wave: source.wave,
            rows: content.rows,
            fingerprint: content.fingerprint,
            chunks,
        }
    };
    tables.iter().enumerate().map(join).collect()
}
