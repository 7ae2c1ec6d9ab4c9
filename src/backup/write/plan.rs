//! Which rows are read together: large tables in parts, small ones several at a time.

use crate::backup::catalog::{Pages, SourceTable};

/// Tables up to this size share an object with others: an object each would be mostly round trips to the store.
const SMALL: u64 = 256 << 10;
/// Bytes of small tables that are read together.
const TOGETHER: u64 = 4 << 20;
/// Small tables that are read together, at most.
const MOST: usize = 500;

/// Rows of one table that are read by one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The table's number.
    pub table: usize,
    /// The piece's number among its table's.
    pub number: usize,
    /// Which pages; none for all.
    pub pages: Option<Pages>,
    /// About how many bytes, as they lie on the server's disk.
    pub bytes: u64,
}

/// What one worker takes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// One piece of a large table, or several small tables.
    pub pieces: Vec<Piece>,
}

impl Job {
    /// About how many bytes.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// Whether its pieces are of several tables.
    pub fn is_shared(&self) -> bool {
        self.pieces.len() > 1
    }
}

/// All rows of the tables as jobs, the biggest last; parts are of about `chunk_bytes`.
pub(super) fn plan(tables: &[SourceTable], chunk_bytes: u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut together: Vec<Piece> = Vec::new();
    let mut sum = 0;
    for (table, source) in tables.iter().enumerate() {
        // What has to wait for others when it is loaded shares no object with them.
        if source.bytes > SMALL.min(chunk_bytes) || source.wave > 0 {
            let parts = source.parts(chunk_bytes).into_iter().enumerate();
            let piece = |(number, (pages, bytes))| Piece { table, number, pages, bytes };
            jobs.extend(parts.map(|part| Job { pieces: vec![piece(part)] }));
            continue;
        }
        if sum + source.bytes > TOGETHER || together.len() == MOST {
            jobs.push(Job { pieces: std::mem::take(&mut together) });
            sum = 0;
        }
        together.push(Piece { table, number: 0, pages: None, bytes: source.bytes });
        sum += source.bytes;
    }
    if !together.is_empty() {
        jobs.push(Job { pieces: together });
    }
    jobs.sort_by_key(Job::bytes);
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::TableName;

    fn table(bytes: u64) -> SourceTable {
        let (table, columns) = (TableName::new("s", "t"), vec!["a".into()]);
        SourceTable {
            table,
            columns,
            condition: None,
            bytes,
            pages: Some(bytes / 8192),
            through: None,
            wave: 0,
            encoding: "UTF8".into(),
        }
    }

    #[test]
    fn the_biggest_go_last_and_nothing_is_lost() {
        let tables: Vec<SourceTable> = [8192, 100 << 20, 0, 40 << 20, 8192].map(table).into();
        let jobs = plan(&tables, 32 << 20);
        assert!(jobs.is_sorted_by_key(Job::bytes));
        let mut pieces: Vec<(usize, usize)> =
            jobs.iter().flat_map(|job| &job.pieces).map(|piece| (piece.table, piece.number)).collect();
        pieces.sort_unstable();
        assert_eq!(pieces, [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (3, 0), (3, 1), (4, 0)]);
        assert_eq!(jobs.iter().filter(|job| job.is_shared()).count(), 1);
    }

    #[test]
    fn small_tables_go_together_within_bounds() {
        let many: Vec<SourceTable> = (0..1200).map(|_| table(0)).collect();
        let sizes: Vec<usize> = plan(&many, 32 << 20).iter().map(|job| job.pieces.len()).collect();
        assert_eq!(sizes, [500, 500, 200]);
        let larger: Vec<SourceTable> = (0..40).map(|_| table(SMALL)).collect();
        assert!(plan(&larger, 32 << 20).iter().all(|job| job.bytes() <= TOGETHER));
    }
}
