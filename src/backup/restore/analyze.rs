//! Statistics, so that the first queries after a restore are planned well.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Filling;
use crate::backup::catalog::get;
use crate::backup::error::BackupError;
use crate::backup::fingerprint::take;
use crate::backup::manifest::TableName;
use crate::event::Unit;

/// Small tables that are analyzed by one statement.
const TOGETHER: usize = 32;

/// A table is small below this many bytes on disk.
const SMALL: i64 = 1 << 20;

impl Filling<'_> {
    /// `ANALYZE`, several tables at once. A partition's are gathered with those of its whole tree.
    pub(super) async fn analyze(&self) -> Result<(), BackupError> {
        let refused = |e| BackupError::sql("analyze the tables", e);
        let session = self.session().await?;
        // A tree's size is its partitions'.
        let sql = "SELECT n.nspname, c.relname, coalesce(t.bytes, pg_catalog.pg_relation_size(c.oid))::pg_catalog.int8 \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN LATERAL (SELECT sum(pg_catalog.pg_relation_size(p.relid)) AS bytes \
                 FROM pg_catalog.pg_partition_tree(c.oid) p WHERE c.relkind = 'p') t ON true \
             WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
             AND pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 3, 1, 2";
        let rows = session.query(sql, &[]).await.map_err(refused)?;
        let mut tables = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = TableName::new(get::<String>(row, 0)?, get::<String>(row, 1)?);
            tables.push((name, get::<i64>(row, 2)?));
        }
        let total = tables.len() as u64;
        let batches: Vec<Vec<String>> = tables
            .chunk_by(|(_, a), (_, b)| *a < SMALL && *b < SMALL)
            .flat_map(|run| run.chunks(TOGETHER))
            .map(|batch| batch.iter().map(|(table, _)| table.quoted()).collect())
            .collect();
        let workers = self.options.jobs.clamp(1, batches.len().max(1));
        let (queue, done) = (std::sync::Mutex::new(batches), std::sync::atomic::AtomicU64::new(0));
        let worker = async || -> Result<(), BackupError> {
            let session = self.session().await?;
            while let Some(batch) = take(&queue) {
                let so_far = done.load(std::sync::atomic::Ordering::Relaxed);
                self.progress.at(so_far, Some(total), Unit::Items, format!("statistics of {}", batch[0]));
                session.batch_execute(&format!("ANALYZE {}", batch.join(", "))).await.map_err(refused)?;
                done.fetch_add(batch.len() as u64, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(())
        };
        stream::iter(0..workers).map(|_| worker()).buffer_unordered(workers).try_collect().await
    }
}
