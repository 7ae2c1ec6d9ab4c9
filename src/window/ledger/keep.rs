//! The findings to files on the store, before the put-back that takes them out of production.

use bytes::Bytes;

use super::describe;
use super::document::{self, Document, FileKind, Named, Since};
use super::door::Door;
use super::look::Found;
use super::mark::Mark;
use super::merge::Step;
use super::pen::Pen;
use super::script::{self, Origin, Script};
use super::shape::{Pairing, Shape, Shapes};
use super::table::{Fate, Gone, TableFound, is_young, missing};
use crate::backup::schema::schema_of;
use crate::backup::{TableName, waves};
use crate::failure::Failure;
use crate::pg::{ConnInfo, Session, SessionOptions, quote_ident, refused};
use crate::store::{Store, StoreError};
use crate::words::count;

/// Name of the object that makes a ledger one.
const DOCUMENT: &str = "ledger.json";

/// A large object is read in pieces of so many bytes.
const PIECE: u64 = 1 << 20;

/// Where a ledger is written, and of what.
pub struct Ground<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The run.
    pub run: &'a str,
    /// Its driver.
    pub epoch: u32,
    /// The database that was written to.
    pub database: document::Database,
    /// A pinned session in it.
    pub live: &'a Session,
    /// The way to it, for `pg_dump`.
    pub info: ConnInfo,
    /// What sessions set.
    pub options: SessionOptions,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The prefix of its objects on the store, with the last slash.
    pub place: String,
    /// Tables with something in a file.
    pub tables: u64,
    /// New and changed rows in files.
    pub rows: u64,
    /// Keys of deleted rows in files.
    pub deleted: u64,
}

impl Kept {
    /// In words, for the checklist.
    pub fn words(&self) -> String {
        let deleted = match self.deleted {
            0 => String::new(),
            n => format!(", {}", count(n, "deleted key", "deleted keys")),
        };
        format!(
            "kept as {}: {}, {}{deleted}",
            self.place,
            count(self.tables, "table", "tables"),
            count(self.rows, "row", "rows")
        )
    }
}

/// Why a ledger was not kept.
#[derive(Debug)]
pub enum NotKept {
    /// The store refused it: elsewhere it may be kept.
    Store(StoreError),
    /// What is to be kept could not be read.
    Unread(Failure),
}

impl From<StoreError> for NotKept {
    fn from(error: StoreError) -> Self {
        NotKept::Store(error)
    }
}

impl From<Failure> for NotKept {
    fn from(failure: Failure) -> Self {
        NotKept::Unread(failure)
    }
}

impl From<NotKept> for Failure {
    fn from(not_kept: NotKept) -> Self {
        match not_kept {
            NotKept::Store(error) => error.into(),
            NotKept::Unread(failure) => failure,
        }
    }
}

/// Writes what was found to `runs/<run>/ledger/<epoch>/`; `ledger.json` last.
///
/// The database must be behind the fence: nobody writes on. A crash leaves files without a `ledger.json`, which
/// are no ledger; the next driver writes its own, under its epoch.
///
/// # Errors
/// The store's, or the server's: nothing must be dropped then.
pub async fn keep(
    ground: &Ground<'_>,
    door: &mut Door<'_>,
    found: &Found,
    mark: &Mark,
) -> Result<Kept, NotKept> {
    let place = format!("runs/{}/ledger/{}/", ground.run, ground.epoch);
    let mut keeping = Keeping::begin(ground, door, found, mark, &place).await?;
    let schema_not_kept = keeping.schema().await?;
    let tables = keeping.tables().await?;
    keeping.sequences().await?;
    keeping.large_objects().await?;
    let files = keeping.pen.files;
    let sum = |kind| files.iter().filter(|file| file.kind == kind).map(|file| file.rows).sum();
    let (rows, deleted) = (sum(FileKind::Rows), sum(FileKind::Deleted));
    let touched: std::collections::BTreeSet<_> =
        files.iter().filter_map(|file| file.table.as_ref()).collect();
    let kept = Kept { place: place.clone(), tables: touched.len() as u64, rows, deleted };
    let document = Document {
        format: document::FORMAT,
        tool: format!("backstay {}", env!("CARGO_PKG_VERSION")),
        run: ground.run.to_string(),
        epoch: ground.epoch,
        at: crate::time::now(),
        database: ground.database.clone(),
        guard: Named { name: door.guard().name.clone(), oid: door.guard().oid },
        since: Since { xid: mark.xid, at: mark.at },
        statistics_lost: found.statistics_lost,
        tables,
        sequences: found.sequences.iter().map(describe::sequence).collect(),
        large_objects: describe::large_objects(&found.large_objects),
        definitions: describe::definitions(found),
        schema_not_kept,
        files,
    };
    let bytes = serde_json::to_vec_pretty(&document)
        .map_err(|error| Failure::internal("write the ledger as JSON").caused_by(&error))?;
    ground.store.replace(&format!("{place}{DOCUMENT}"), Bytes::from(bytes)).await?;
    Ok(kept)
}

/// The place of the newest whole ledger of a run, with the last slash.
///
/// # Errors
/// The store's.
pub async fn newest(store: &dyn Store, run: &str) -> Result<Option<String>, Failure> {
    let prefix = format!("runs/{run}/ledger/");
    let epoch = |name: &str| {
        let (epoch, file) = name.strip_prefix(&prefix)?.split_once('/')?;
        (file == DOCUMENT).then(|| epoch.parse::<u32>().ok()).flatten()
    };
    let entries = store.list(&prefix).await?;
    let newest = entries.iter().filter_map(|entry| epoch(&entry.name)).max();
    Ok(newest.map(|epoch| format!("{prefix}{epoch}/")))
}

struct Keeping<'k, 'd> {
    ground: &'k Ground<'k>,
    door: &'k mut Door<'d>,
    found: &'k Found,
    mark: &'k Mark,
    origin: Origin,
    pen: Pen<'k>,
    here: Shapes,
    there: Shapes,
    /// Tables that others refer to come first.
    order: Vec<&'k TableFound>,
}

impl<'k, 'd> Keeping<'k, 'd> {
    async fn begin(
        ground: &'k Ground<'k>,
        door: &'k mut Door<'d>,
        found: &'k Found,
        mark: &'k Mark,
        place: &'k str,
    ) -> Result<Self, Failure> {
        let inside = door.session().await?;
        let (here, there) = (Shapes::read(ground.live).await?, Shapes::read(inside).await?);
        let waves = waves(&references(inside).await?);
        let same_ids = door.is_clone();
        let mut order: Vec<&TableFound> = found.tables.iter().collect();
        order.sort_by_key(|table| {
            let old = here.get(table.oid).and_then(|new| there.counterpart(new, same_ids));
            old.and_then(|old| waves.get(&old.table).copied()).unwrap_or_default()
        });
        let origin = Origin {
            run: ground.run.to_string(),
            database: ground.database.name.clone(),
            since: mark.at.to_string(),
        };
        let pen = Pen::new(ground.store, place);
        Ok(Self { ground, door, found, mark, origin, pen, here, there, order })
    }

    /// The schema that the writes went to, if the old one does not hold all of it. Gives why it could not be had:
    /// a table that our role may not lock must not keep production from being put back.
    async fn schema(&mut self) -> Result<Option<String>, NotKept> {
        let lacks = |table: &&TableFound| table.fate != Fate::Dropped && self.old(table.oid).is_none();
        if self.found.definitions.is_empty() && self.found.dropped == 0 && !self.order.iter().any(lacks) {
            return Ok(None);
        }
        let schema = match schema_of(&self.ground.info, &self.ground.options).await {
            Ok(schema) => schema,
            Err(error) => return Ok(Some(Failure::from(error).redacted().to_string())),
        };
        let head = "-- The schema that the writes went to, as pg_dump has it: to read, and to take from.\n"
            .to_string();
        let mut page = self.pen.page(FileKind::Schema, None, Script { head, tail: String::new() });
        page.line(schema.as_bytes()).await?;
        page.end().await.map(|_| None)
    }

    /// Keys of deleted rows first, those of tables that refer to others before them; then rows, the other way round.
    async fn tables(&mut self) -> Result<Vec<document::Table>, NotKept> {
        let mut tables = Vec::new();
        for table in self.order.clone().into_iter().rev() {
            self.deleted(table).await?;
        }
        for table in self.order.clone() {
            let not_kept = self.rows(table).await?;
            tables.push(self.described(table, not_kept));
        }
        Ok(tables)
    }

    fn old(&self, oid: u32) -> Option<&Shape> {
        match self.here.get(oid) {
            Some(new) => self.there.counterpart(new, self.door.is_clone()),
            // Dropped: only its id can tell which it was.
            None => self.there.get(oid).filter(|_| self.door.is_clone()),
        }
    }

    async fn deleted(&mut self, table: &TableFound) -> Result<(), NotKept> {
        let certain = match table.gone {
            Gone::Keys(_) => true,
            Gone::Mixed(_) => false,
            Gone::Nothing | Gone::Counted(..) => return Ok(()),
        };
        let encoding = self.here.encoding.clone();
        let (Some(new), Some(old)) = (self.here.get(table.oid), self.old(table.oid).cloned()) else {
            return Ok(());
        };
        let (Some(pairing), Some(key)) = (Pairing::of(new, &old, &encoding), old.key_columns()) else {
            return Ok(());
        };
        let script = self.origin.deleted(&old, &key, certain, &encoding);
        let mut merge = missing(self.ground.live, self.door, &table.display, pairing).await?;
        let mut page = self.pen.page(FileKind::Deleted, Some(&table.name), script);
        while let Some(step) = merge.next().await? {
            if let Step::There(key) = step {
                page.line(&key).await?;
            }
        }
        page.end().await.map(drop)
    }

    /// Gives why its rows are in no file.
    async fn rows(&mut self, table: &TableFound) -> Result<Option<String>, NotKept> {
        let reason = match (table.rows, table.is_view) {
            (None, _) => "our role may not read its rows; the kept database has them",
            (_, true) => "a materialized view: its rows come from other tables",
            (Some(0), _) => return Ok(None),
            _ => "",
        };
        let Some(new) = self.here.get(table.oid).filter(|_| reason.is_empty()) else {
            return Ok(Some(reason.to_string()));
        };
        let encoding = &self.here.encoding;
        let script = self.origin.rows(new, self.old(table.oid), encoding);
        let young = (table.fate == Fate::Same).then(|| format!(" WHERE {}", is_young(self.mark.xid)));
        let columns: Vec<String> = new.columns.iter().map(|column| quote_ident(&column.name)).collect();
        let copy = format!(
            "COPY (SELECT {} FROM ONLY {}{}) TO STDOUT{encoding}",
            columns.join(", "),
            new.table.quoted(),
            young.unwrap_or_default()
        );
        let what = format!("keep the rows of {}", table.display);
        let rows = self.ground.live.copy_out(&copy).await.map_err(|error| refused(&what, &error))?;
        let mut rows = std::pin::pin!(rows);
        let mut page = self.pen.page(FileKind::Rows, Some(&table.name), script);
        while let Some(row) = futures_util::StreamExt::next(&mut rows).await {
            page.line(&row.map_err(|error| refused(&what, &error))?).await?;
        }
        page.end().await?;
        Ok(None)
    }

    fn described(&self, table: &TableFound, not_kept: Option<String>) -> document::Table {
        let old = self.old(table.oid);
        let key = old.and_then(Shape::key_columns).unwrap_or_default();
        let (deletions, deleted) = describe::deletions(&table.gone);
        document::Table {
            table: match old {
                Some(old) if table.fate == Fate::Dropped => old.table.clone(),
                _ => table.name.clone(),
            },
            what: table.words(),
            loads_into: old.map(|old| old.table.clone()),
            key: key.into_iter().map(|column| column.name.clone()).collect(),
            rows: table.rows,
            deleted,
            deletions,
            not_kept,
        }
    }

    async fn sequences(&mut self) -> Result<(), NotKept> {
        let mut page = self.pen.page(FileKind::Sequences, None, self.origin.sequences());
        for sequence in &self.found.sequences {
            if let Some(value) = sequence.now {
                page.line(script::set_sequence(&sequence.name, value).as_bytes()).await?;
            }
        }
        page.end().await.map(drop)
    }

    async fn large_objects(&mut self) -> Result<(), NotKept> {
        let found = &self.found.large_objects;
        let mut page = self.pen.page(FileKind::LargeObjects, None, self.origin.large_objects());
        for oid in &found.removed {
            page.line(script::unlink(*oid).as_bytes()).await?;
        }
        for object in &found.written {
            let Some(bytes) = object.bytes else { continue };
            page.line(script::unlink(object.oid).as_bytes()).await?;
            page.line(script::create_large_object(object.oid).as_bytes()).await?;
            for offset in (0..bytes).step_by(PIECE as usize) {
                let piece = piece(self.ground.live, object.oid, offset).await?;
                page.line(script::put(object.oid, offset, &piece).as_bytes()).await?;
            }
        }
        page.end().await.map(drop)
    }
}

async fn piece(session: &Session, oid: u32, offset: u64) -> Result<Vec<u8>, Failure> {
    let query = format!("SELECT pg_catalog.lo_get({oid}, {offset}, {PIECE})");
    let row = session.query_one(&query, &[]).await;
    Ok(row.map_err(|error| refused(&format!("keep large object {oid}"), &error))?.get(0))
}

/// Which table refers to which.
async fn references(session: &Session) -> Result<Vec<(TableName, TableName)>, Failure> {
    let query = "SELECT n.nspname::text, c.relname::text, fn.nspname::text, f.relname::text \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_class f ON f.oid = k.confrelid \
         JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace \
         WHERE k.contype = 'f' AND k.conrelid <> k.confrelid";
    let rows = session.query(query, &[]).await.map_err(|error| refused("read the foreign keys", &error))?;
    let name = |row: &tokio_postgres::Row, at| {
        TableName::new(row.get::<_, String>(at), row.get::<_, String>(at + 1))
    };
    Ok(rows.iter().map(|row| (name(row, 0), name(row, 2))).collect())
}
