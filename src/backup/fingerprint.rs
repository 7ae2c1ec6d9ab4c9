//! The content of a database as numbers that can be compared.
//!
//! A table's fingerprint is the sum, modulo 2^128, of the XXH3-128 of each of its rows as `COPY … TO STDOUT`
//! writes it (text format, our pinned settings, line end not included). A sum does not care for the order of
//! the rows, so chunks may be read in any order and a restored heap may lie differently; unlike an exclusive
//! or, it sees a row that is there twice. It guards against accidents, not against an adversary.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::catalog::{self, Pages, SourceTable};
use super::error::BackupError;
use super::manifest::{Manifest, Sequence, TableName};
use super::meter::Meter;
use super::pinned;
use crate::event::Progress;
use crate::pg::{ConnInfo, SessionOptions};

/// A sum of row hashes; 32 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(u128);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(&text, 16) {
            Ok(sum) if digits => Ok(Self(sum)),
            _ => Err(format!("{text:?} is no fingerprint")),
        }
    }
}

/// How many rows, and their fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableContent {
    /// Rows.
    pub rows: u64,
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
}

impl std::ops::AddAssign for TableContent {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.fingerprint.0 = self.fingerprint.0.wrapping_add(other.fingerprint.0);
    }
}

/// Takes COPY text in pieces cut anywhere, and gives rows and fingerprint.
#[derive(Default)]
pub struct RowHasher {
    content: TableContent,
    /// The row that began in an earlier piece.
    open: Option<Box<Xxh3>>,
}

impl RowHasher {
    /// Takes the next piece.
    pub fn update(&mut self, mut piece: &[u8]) {
        // In COPY's text format a raw newline ends a row and nothing else: those in values are escaped.
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let hash = match self.open.take() {
                Some(mut open) => {
                    open.update(&piece[..end]);
                    open.digest128()
                }
                None => xxh3_128(&piece[..end]),
            };
            self.content += TableContent { rows: 1, fingerprint: Fingerprint(hash) };
            piece = &piece[end + 1..];
        }
        if !piece.is_empty() {
            self.open.get_or_insert_with(Box::default).update(piece);
        }
    }

    /// Rows and fingerprint of all pieces; `None` if the last row has no end: the text was cut.
    pub fn finish(self) -> Option<TableContent> {
        self.open.is_none().then_some(self.content)
    }
}

/// The content of a database: what two databases that are copies of each other share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Every table with rows of its own.
    pub tables: BTreeMap<TableName, TableContent>,
    /// Every sequence: `last_value` and `is_called`.
    pub sequences: BTreeMap<TableName, (i64, bool)>,
    /// Large objects, if there are any.
    pub large_objects: Option<TableContent>,
}

impl Content {
    /// What a backup says its database held.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        Self {
            tables: add_up(manifest.tables.iter().map(|t| (t.counted_as().clone(), t.content()))),
            sequences: sequences(&manifest.sequences),
            large_objects: manifest.large_objects,
        }
    }

    /// What differs from `other`, each difference named with the thing; empty if nothing does.
    pub fn differences(&self, other: &Content) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(&self.tables, &other.tables, |name, left, right| {
            found.push(Difference::Table { table: name.clone(), left: left.copied(), right: right.copied() });
        });
        compare(&self.sequences, &other.sequences, |name, left, right| {
            found.push(Difference::Sequence {
                sequence: name.clone(),
                left: left.copied(),
                right: right.copied(),
            });
        });
        if self.large_objects != other.large_objects {
            found.push(Difference::LargeObjects { left: self.large_objects, right: other.large_objects });
        }
        found
    }
}

/// Partitions that are loaded through their root count together.
fn add_up(tables: impl IntoIterator<Item = (TableName, TableContent)>) -> BTreeMap<TableName, TableContent> {
    let mut sums: BTreeMap<TableName, TableContent> = BTreeMap::new();
    for (name, content) in tables {
        *sums.entry(name).or_default() += content;
    }
    sums
}

fn sequences(list: &[Sequence]) -> BTreeMap<TableName, (i64, bool)> {
    list.iter().map(|s| (s.sequence.clone(), (s.last_value, s.is_called))).collect()
}

fn compare<V: PartialEq>(
    left: &BTreeMap<TableName, V>,
    right: &BTreeMap<TableName, V>,
    mut differs: impl FnMut(&TableName, Option<&V>, Option<&V>),
) {
    let names: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for name in names {
        let (a, b) = (left.get(name), right.get(name));
        if a != b {
            differs(name, a, b);
        }
    }
}

/// One thing that two contents do not share; `None` is "not there".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A table's rows.
    Table {
        /// Which.
        table: TableName,
        /// On the left.
        left: Option<TableContent>,
        /// On the right.
        right: Option<TableContent>,
    },
    /// A sequence's state.
    Sequence {
        /// Which.
        sequence: TableName,
        /// On the left.
        left: Option<(i64, bool)>,
        /// On the right.
        right: Option<(i64, bool)>,
    },
    /// The large objects as a whole.
    LargeObjects {
        /// On the left.
        left: Option<TableContent>,
        /// On the right.
        right: Option<TableContent>,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = |c: &Option<TableContent>| c.map_or("not there".into(), |c| format!("{} rows", c.rows));
        let content = |f: &mut std::fmt::Formatter<'_>, what: &str, left: &_, right: &_| match (left, right) {
            (Some(TableContent { rows: a, .. }), Some(TableContent { rows: b, .. })) if a == b => {
                write!(f, "{what}: as many rows ({a}), but other content")
            }
            _ => write!(f, "{what}: {} and {}", rows(left), rows(right)),
        };
        match self {
            Difference::Table { table, left, right } => content(f, &format!("table {table}"), left, right),
            Difference::LargeObjects { left, right } => content(f, "large objects", left, right),
            Difference::Sequence { sequence, left, right } => {
                let state = |s: &Option<(i64, bool)>| match s {
                    Some((value, true)) => value.to_string(),
                    Some((value, false)) => format!("{value}, not called"),
                    None => "not there".to_string(),
                };
                write!(f, "sequence {sequence}: {} and {}", state(left), state(right))
            }
        }
    }
}

/// How a database's content is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every session of it sets.
    pub session: SessionOptions,
    /// Connections at work at once; at least one.
    pub jobs: usize,
    /// Leave out tables above this many bytes: a bounded sample, for a check that must be short.
    pub largest_table: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { session: SessionOptions::default(), jobs: 2, largest_table: None }
    }
}

/// The content of the whole database on one snapshot, tables in parallel.
///
/// # Errors
/// If the server refuses a read: a table that may not be read, or a row-security policy that would filter.
pub async fn database(
    info: &ConnInfo,
    options: &Options,
    progress: &Progress,
) -> Result<Content, BackupError> {
    content(info, None, options, progress).await
}

/// The content of a database that was restored from `manifest`: its tables read in the manifest's order of
/// columns, which may differ from the order in which they lie (a child table's, after a restore).
///
/// # Errors
/// As [`database`].
pub async fn database_as(
    info: &ConnInfo,
    manifest: &Manifest,
    options: &Options,
    progress: &Progress,
) -> Result<Content, BackupError> {
    content(info, Some(manifest), options, progress).await
}

async fn content(
    info: &ConnInfo,
    like: Option<&Manifest>,
    options: &Options,
    progress: &Progress,
) -> Result<Content, BackupError> {
    let main = pinned::open(info, &options.session).await?;
    let snapshot = pinned::begin_and_export(&main).await?;
    let mut tables = catalog::tables(&main).await?;
    if let Some(manifest) = like {
        reorder(&mut tables, manifest);
    }
    tables.retain(|table| options.largest_table.is_none_or(|most| table.bytes <= most));
    let meter = Meter::new(progress, tables.iter().map(|table| table.bytes).sum());
    let reading = Reading { info: info.clone(), session: options.session.clone(), snapshot };
    let rest = async { Ok((catalog::sequences(&main).await?, large_objects(&main).await?)) };
    let (tables, (found, large_objects)) =
        tokio::try_join!(read_tables(reading, tables, options.jobs, &meter), rest)?;
    Ok(Content { tables, sequences: sequences(&found), large_objects })
}

/// A part of a table, to be read.
struct Part {
    table: Arc<SourceTable>,
    pages: Option<Pages>,
    bytes: u64,
}

/// Large tables are read in parts of about this many bytes, by several sessions.
const PART: u64 = 32 << 20;

/// What every reading session is given.
#[derive(Clone)]
struct Reading {
    info: ConnInfo,
    session: SessionOptions,
    snapshot: String,
}

/// Reads all tables, the biggest parts first; each session is a task of its own, so that as many cores hash.
async fn read_tables(
    reading: Reading,
    tables: Vec<SourceTable>,
    jobs: usize,
    meter: &Meter,
) -> Result<BTreeMap<TableName, TableContent>, BackupError> {
    let mut parts = Vec::new();
    for table in tables.into_iter().map(Arc::new) {
        let part = |(pages, bytes)| Part { table: table.clone(), pages, bytes };
        parts.extend(table.parts(PART).into_iter().map(part));
    }
    parts.sort_by_key(|part| part.bytes);
    let workers = jobs.clamp(1, parts.len().max(1));
    let queue = Arc::new(Mutex::new(parts));
    let (sender, mut done) = mpsc::unbounded_channel();
    // Dropped, it ends them all.
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (reading, queue, sender) = (reading.clone(), queue.clone(), sender.clone());
        tasks.spawn(async move {
            if let Err(error) = read_parts(&reading, &queue, &sender).await {
                // Nobody listens when another has failed before.
                let _ = sender.send(Err(error));
            }
        });
    }
    drop(sender);
    let mut found: BTreeMap<TableName, TableContent> = BTreeMap::new();
    while let Some(read) = done.recv().await {
        let (part, content): (Part, TableContent) = read?;
        meter.name(&part.table.table);
        meter.add(part.bytes);
        *found.entry(part.table.counted_as().clone()).or_default() += content;
    }
    match tasks.join_all().await {
        // A part that nobody read would be missing in the sums.
        _ if !queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty() => {
            Err(BackupError::Thread("reading the tables".into()))
        }
        _ => Ok(found),
    }
}

async fn read_parts(
    reading: &Reading,
    queue: &Mutex<Vec<Part>>,
    done: &mpsc::UnboundedSender<Result<(Part, TableContent), BackupError>>,
) -> Result<(), BackupError> {
    let client = pinned::join(&reading.info, &reading.session, &reading.snapshot).await?;
    while let Some(part) = take(queue) {
        let what = format!("table {}", part.table.table);
        let content = hash_copy(&client, &part.table.copy_to(part.pages), &what).await?;
        if done.send(Ok((part, content))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The next of a queue that several workers share: the last, so the biggest goes first in a sorted one.
pub(super) fn take<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn reorder(tables: &mut [SourceTable], manifest: &Manifest) {
    let known: BTreeMap<&TableName, &Vec<String>> =
        manifest.tables.iter().map(|table| (&table.table, &table.columns)).collect();
    let set = |list: &[String]| list.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    for table in tables {
        // Columns that differ are left as they are: then the content differs, which is true.
        if let Some(columns) = known.get(&table.table).filter(|known| set(known) == set(&table.columns)) {
            table.columns.clone_from(columns);
        }
    }
}

/// The content of all large objects, cut into pieces of 1 MB each: object, number of the piece, bytes.
pub(super) async fn large_objects(client: &Client) -> Result<Option<TableContent>, BackupError> {
    const PIECES: &str = "COPY (SELECT m.oid, p.n, \
         pg_catalog.lo_get(m.oid, p.n * 1048576, 1048576) \
         FROM pg_catalog.pg_largeobject_metadata m \
         CROSS JOIN LATERAL (SELECT pg_catalog.lo_lseek64(o.fd, 0, 2) AS size FROM \
             (SELECT pg_catalog.lo_open(m.oid, 262144) AS fd OFFSET 0) o OFFSET 0) s \
         CROSS JOIN LATERAL pg_catalog.generate_series(0, greatest(s.size - 1, 0) / 1048576) p(n)) TO STDOUT";
    let content = hash_copy(client, PIECES, "large objects").await?;
    Ok((content.rows > 0).then_some(content))
}

async fn hash_copy(client: &Client, copy: &str, what: &str) -> Result<TableContent, BackupError> {
    let refused = |source| BackupError::sql(format!("read {what}"), source);
    let rows = client.copy_out(copy).await.map_err(refused)?;
    let mut rows = std::pin::pin!(rows);
    let mut hasher = RowHasher::default();
    while let Some(row) = rows.next().await {
        hasher.update(&row.map_err(refused)?);
    }
    hasher.finish().ok_or_else(|| BackupError::CutRow(what.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[&[u8]]) -> Option<TableContent> {
        let mut hasher = RowHasher::default();
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn pieces_cut_anywhere_give_the_same() {
        let text = b"1\ta\n\n2\t\\N\n333333\tlonger than the rest\n";
        let whole = hash(&[text]).unwrap();
        assert_eq!(whole.rows, 4);
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let pieces = [&text[..cut], &text[cut..second], &text[second..]];
                assert_eq!(hash(&pieces), Some(whole), "{cut} {second}");
            }
        }
    }

    #[test]
    fn order_does_not_matter_but_number_does() {
        assert_eq!(hash(&[b"a\nb\nc\n"]), hash(&[b"c\na\nb\n"]));
        assert_ne!(hash(&[b"a\na\n"]), hash(&[b"b\nb\n"]));
        assert_ne!(hash(&[b"a\n"]), hash(&[b"a\na\n"]));
        assert_ne!(hash(&[b"ab\n"]), hash(&[b"a\nb\n"]));
    }

    #[test]
    fn a_cut_row_is_seen() {
        assert_eq!(hash(&[b"a\nb"]), None);
        assert_eq!(hash(&[]), Some(TableContent::default()));
    }

    #[test]
    fn a_fingerprint_is_32_digits() {
        let text = String::from(Fingerprint(255));
        assert_eq!(text, "000000000000000000000000000000ff");
        assert_eq!(Fingerprint::try_from(text), Ok(Fingerprint(255)));
        assert!(Fingerprint::try_from("+f".to_string()).is_err());
        assert!(Fingerprint::try_from("+00000000000000000000000000000ff".to_string()).is_err());
    }

    #[test]
    fn differences_are_named() {
        let name = TableName::new("public", "a \"b\"");
        let one = Content {
            tables: [(name.clone(), TableContent { rows: 1, fingerprint: Fingerprint(1) })].into(),
            sequences: [(name.clone(), (5, true))].into(),
            large_objects: None,
        };
        assert!(one.differences(&one).is_empty());
        let other = Content {
            tables: [(name.clone(), TableContent { rows: 1, fingerprint: Fingerprint(2) })].into(),
            ..Content::default()
        };
        let said: Vec<String> = one.differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                r#"table "public"."a ""b""": as many rows (1), but other content"#,
                r#"sequence "public"."a ""b""": 5 and not there"#,
            ]
        );
    }
}
