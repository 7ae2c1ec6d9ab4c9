//! What one table gained and lost.

use super::door::Door;
use super::mark::{Mark, Seen, TableMark};
use super::merge::{Merge, Step};
use super::shape::{Pairing, Shape, Shapes};
use crate::backup::TableName;
use crate::failure::Failure;
use crate::pg::{Session, refused};
use crate::words::count;

/// Tables up to this size are always looked through for young rows, whatever the counters say.
const ALWAYS_READ: i64 = 32 * 1024 * 1024;

/// What became of a table since the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the one that it was.
    Same,
    /// It is new: all its rows are.
    Created,
    /// It has another file: truncated, or rewritten. All its rows count as new.
    Rewritten,
    /// It is gone.
    Dropped,
}

/// Rows that the guard has and the table lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gone {
    /// None.
    Nothing,
    /// So many keys, and others deleted or changed every one of them.
    Keys(u64),
    /// So many keys; some may have gone with the release's own migrations.
    Mixed(u64),
    /// So many rows at most, by number only; why.
    Counted(u64, &'static str),
}

/// What was found of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableFound {
    pub oid: u32,
    pub name: TableName,
    pub display: String,
    pub fate: Fate,
    /// Rows that are new or changed; `None` if our role may not read them.
    pub rows: Option<u64>,
    pub gone: Gone,
    /// A materialized view: its rows come from elsewhere.
    pub is_view: bool,
}

impl TableFound {
    /// A table that was at the mark and is no more.
    pub fn dropped(oid: u32, then: &TableMark) -> Self {
        Self {
            oid,
            name: TableName::new("", &*then.name),
            display: then.name.clone(),
            fate: Fate::Dropped,
            rows: Some(0),
            gone: Gone::Nothing,
            is_view: false,
        }
    }

    /// In words, for a person.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        match self.fate {
            Fate::Dropped => return "dropped".into(),
            Fate::Created => words.push("created".to_string()),
            Fate::Rewritten => words.push("truncated or rewritten".to_string()),
            Fate::Same => {}
        }
        match self.rows {
            None => words.push("written, in rows that our role may not read".to_string()),
            Some(0) => {}
            Some(n) => words.push(format!("{} new or changed", count(n, "row", "rows"))),
        }
        match &self.gone {
            Gone::Nothing => {}
            Gone::Keys(n) => words.push(format!("{} deleted", count(*n, "row", "rows"))),
            Gone::Mixed(n) => words.push(format!(
                "{} gone, some of them perhaps by the release itself",
                count(*n, "row", "rows")
            )),
            Gone::Counted(n, why) => {
                words.push(format!("up to {} deleted or changed ({why})", count(*n, "row", "rows")));
            }
        }
        words.join(", ")
    }
}

/// The condition that a row's version is younger than `xid`, a 64-bit transaction id.
///
/// `age` compares in the circle of 32-bit ids. A row that was frozen long ago keeps its old id, and may seem to
/// be of the future: its age is negative then.
pub(super) fn is_young(xid: i64) -> String {
    let xid = xid & 0xffff_ffff;
    format!("pg_catalog.age(xmin) >= 0 AND pg_catalog.age(xmin) < pg_catalog.age('{xid}'::pg_catalog.xid)")
}

/// Who looks, and against what.
pub(super) struct Looking<'a, 'd> {
    pub live: &'a Session,
    pub door: &'a mut Door<'d>,
    pub mark: &'a Mark,
    /// The tables in which migrations are noted.
    pub ours: &'a [TableName],
    /// Counters are worth nothing: the server lost them.
    pub lost: bool,
    /// The tables here and in the guard, once they were needed.
    pub shapes: Option<(Shapes, Shapes)>,
}

impl Looking<'_, '_> {
    /// What others did to a table; `None` if nothing.
    ///
    /// # Errors
    /// The server's.
    pub async fn look_at(&mut self, table: &Seen) -> Result<Option<TableFound>, Failure> {
        let found = |fate, rows, gone| TableFound {
            oid: table.oid,
            name: table.name.clone(),
            display: table.now.name.clone(),
            fate,
            rows,
            gone,
            is_view: table.is_view,
        };
        let Some(then) = self.mark.tables.get(&table.oid) else {
            return Ok(Some(found(Fate::Created, self.rows(table, None).await?, Gone::Nothing)));
        };
        let fate = if table.now.file == then.file { Fate::Same } else { Fate::Rewritten };
        let doubt = self.lost || table.now.writes < then.writes;
        let written = table.now.writes != then.writes || doubt || fate == Fate::Rewritten;
        if !written && table.size > ALWAYS_READ {
            return Ok(None);
        }
        let young = (fate == Fate::Same).then(|| is_young(self.mark.xid));
        let rows = self.rows(table, young.as_deref()).await?;
        if rows.is_none() && !written {
            return Ok(None);
        }
        let gone = match rows {
            Some(_) => self.gone(table, then, doubt || fate == Fate::Rewritten).await?,
            // What may not be read is named as a whole.
            None => Gone::Nothing,
        };
        let nothing = fate == Fate::Same && rows == Some(0) && gone == Gone::Nothing;
        Ok((!nothing).then(|| found(fate, rows, gone)))
    }

    /// The number of rows that fulfil `condition`; `None` if our role may not read them.
    async fn rows(&self, table: &Seen, condition: Option<&str>) -> Result<Option<u64>, Failure> {
        if !table.readable {
            return Ok(None);
        }
        count_rows(self.live, &table.name, condition).await
    }

    /// Rows of the guard that are not here any more.
    async fn gone(&mut self, table: &Seen, then: &TableMark, doubt: bool) -> Result<Gone, Failure> {
        let removed = match (table.now.removed, then.removed) {
            (Some(now), Some(then)) => now - then,
            _ => table.now.writes - then.writes,
        };
        // A release changes these itself; without counters that would always look like somebody else.
        let noted_there = self.lost && self.ours.contains(&table.name);
        if table.is_view || noted_there || (removed <= 0 && !doubt) {
            return Ok(Gone::Nothing);
        }
        let counted = |why| match removed {
            n if n > 0 => Gone::Counted(n.unsigned_abs(), why),
            _ => Gone::Nothing,
        };
        if self.shapes.is_none() {
            let there = Shapes::read(self.door.session().await?).await?;
            self.shapes = Some((Shapes::read(self.live).await?, there));
        }
        let same_ids = self.door.is_clone();
        let Some((new, old, encoding)) = self.pair(table.oid, same_ids) else {
            return Ok(counted("the guard has no such table"));
        };
        match Pairing::of(&new, &old, &encoding) {
            Some(pairing) => {
                let missing = self.count_missing(&table.now.name, pairing).await?;
                Ok(match missing {
                    0 => Gone::Nothing,
                    n if then.intact => Gone::Keys(n),
                    n => Gone::Mixed(n),
                })
            }
            None => self.count_old_rows(table, &old, then.intact, removed).await,
        }
    }

    fn pair(&self, oid: u32, same_ids: bool) -> Option<(Shape, Shape, String)> {
        let (here, there) = self.shapes.as_ref()?;
        let new = here.get(oid)?;
        Some((new.clone(), there.counterpart(new, same_ids)?.clone(), here.encoding.clone()))
    }

    async fn count_missing(&mut self, name: &str, pairing: Pairing) -> Result<u64, Failure> {
        let mut merge = missing(self.live, self.door, name, pairing).await?;
        let mut missing = 0;
        while let Some(step) = merge.next().await? {
            missing += u64::from(matches!(step, Step::There(_)));
        }
        Ok(missing)
    }

    /// Without a key rows can only be counted: those of before that are left, against the guard's.
    async fn count_old_rows(
        &mut self,
        table: &Seen,
        old: &Shape,
        intact: bool,
        removed: i64,
    ) -> Result<Gone, Failure> {
        const WHY: &str = "it has no primary key by which they could be named";
        let old_here = format!("NOT ({})", is_young(self.mark.xid));
        let here = count_rows(self.live, &table.name, Some(&old_here)).await?;
        let there = count_rows(self.door.session().await?, &old.table, None).await?;
        let fewer = match (here, there) {
            (Some(here), Some(there)) => there.saturating_sub(here),
            _ => removed.max(0).unsigned_abs(),
        };
        // What the release itself deleted is among the fewer; what others did is bounded by their counter.
        let most = if intact || removed <= 0 { fewer } else { removed.unsigned_abs() };
        Ok(if most == 0 { Gone::Nothing } else { Gone::Counted(most, WHY) })
    }
}

/// Begins to walk the keys of a table here and in the guard.
///
/// # Errors
/// The server's.
pub(super) async fn missing(
    live: &Session,
    door: &mut Door<'_>,
    name: &str,
    pairing: Pairing,
) -> Result<Merge, Failure> {
    let there = door.session().await?;
    let what = format!("compare the keys of {name} with the guard");
    Merge::begin(what, pairing.orders, (live, &pairing.here), (there, &pairing.there)).await
}

/// `None` if a row-security policy would hide some of them from our role.
async fn count_rows(
    session: &Session,
    table: &TableName,
    condition: Option<&str>,
) -> Result<Option<u64>, Failure> {
    let condition = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
    let query = format!("SELECT pg_catalog.count(*) FROM ONLY {}{condition}", table.quoted());
    match session.query_one(&query, &[]).await {
        Ok(row) => Ok(Some(row.get::<_, i64>(0).unsigned_abs())),
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE) => {
            Ok(None)
        }
        Err(error) => Err(refused(&format!("look for young rows in {table}"), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_words() {
        let mut found = TableFound {
            oid: 1,
            name: TableName::new("public", "orders"),
            display: "public.orders".into(),
            fate: Fate::Same,
            rows: Some(1),
            gone: Gone::Keys(2),
            is_view: false,
        };
        assert_eq!(found.words(), "1 row new or changed, 2 rows deleted");
        found.fate = Fate::Rewritten;
        (found.rows, found.gone) = (Some(0), Gone::Mixed(1));
        assert_eq!(
            found.words(),
            "truncated or rewritten, 1 row gone, some of them perhaps by the release itself"
        );
        found.fate = Fate::Created;
        (found.rows, found.gone) = (None, Gone::Nothing);
        assert_eq!(found.words(), "created, written, in rows that our role may not read");
    }

    #[test]
    fn ids_are_brought_into_the_circle() {
        assert!(is_young((7 << 32) + 1249).contains("'1249'::pg_catalog.xid"));
    }
}
