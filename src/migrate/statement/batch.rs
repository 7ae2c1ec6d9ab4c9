//! An `UPDATE` or `DELETE` that runs in batches: its parts, and its text for one range of keys.
//!
//! Batches go along the primary key: every row is in exactly one of them however rows move on disk, and the
//! last key is all that a resume needs. Only a statement over one table can be cut so: its `WHERE` is put in
//! parentheses and a range of keys is added.

use std::time::Duration;

use super::read::{Piece, Reader};
use crate::migrate::lexer::Kind;

/// `-- batch: 10000 pause 100ms`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many rows of the table each batch passes over.
    pub rows: u32,
    /// How long to wait between two batches.
    pub pause: Duration,
}

/// Why a statement can't run in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// Another statement.
    #[error("only UPDATE and DELETE run in batches")]
    Kind,
    /// `FROM`, `USING`
    #[error(
        "a statement that joins other tables can't be cut into batches; use a subquery in its WHERE or SET"
    )]
    Join,
    /// `WITH`
    #[error("a statement with WITH can't be cut into batches; use a subquery")]
    With,
    /// `RETURNING`
    #[error("a statement with RETURNING can't be cut into batches; leave RETURNING out")]
    Returning,
    /// `WHERE CURRENT OF`
    #[error("WHERE CURRENT OF can't be cut into batches")]
    Cursor,
}

/// A statement in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrate) struct Batched {
    /// The table as it is written, without `ONLY`.
    pub table: String,
    /// Whether `ONLY` stands before it.
    pub only: bool,
    /// The columns that an `UPDATE` sets.
    pub sets: Vec<String>,
    head: String,
    condition: Option<String>,
}

impl Batched {
    /// Reads the parts. Pure.
    ///
    /// # Errors
    /// [`BatchFault`] for a form whose batches would not add up to the statement.
    pub fn read(statement: &str) -> Result<Self, BatchFault> {
        let mut reader = Reader::new(statement);
        let updates = reader.keyword("update");
        if !updates && reader.keyword("with") {
            return Err(BatchFault::With);
        }
        if !updates && !reader.keywords(&["delete", "from"]) {
            return Err(BatchFault::Kind);
        }
        let only = reader.keyword("only");
        let parenthesised = reader.symbol("(");
        let table = reader.named().ok_or(BatchFault::Kind)?.text;
        if parenthesised {
            reader.symbol(")");
        }
        let mut clauses = Clauses { updates, ..Clauses::default() };
        for piece in reader {
            if clauses.depth == 0 && piece.kind == Kind::Semicolon {
                break;
            }
            clauses.take(piece)?;
        }
        let text = |from: usize, to: usize| statement.get(from..to).unwrap_or_default().to_string();
        Ok(Self {
            table,
            only,
            sets: clauses.sets,
            head: text(0, clauses.condition.map_or(clauses.end, |(before, _)| before)),
            condition: clauses.condition.map(|(_, after)| text(after, clauses.end)),
        })
    }

    /// The statement for the rows that `range` holds for. A line comment may end either part.
    pub fn within(&self, range: &str) -> String {
        let Self { head, condition, .. } = self;
        match condition {
            Some(condition) => format!("{head}\nWHERE ({condition}\n) AND {range}"),
            None => format!("{head}\nWHERE {range}"),
        }
    }
}

/// What was met so far, outside of parentheses.
#[derive(Debug, Default)]
struct Clauses<'a> {
    updates: bool,
    depth: u32,
    last: Option<Piece<'a>>,
    in_set: bool,
    /// Where a column that is set may be named: behind SET, behind a comma, in `(a, b) =`.
    at_target: bool,
    sets: Vec<String>,
    /// Where `WHERE` begins and ends.
    condition: Option<(usize, usize)>,
    end: usize,
}

impl<'a> Clauses<'a> {
    fn take(&mut self, piece: Piece<'a>) -> Result<(), BatchFault> {
        let last = self.last.replace(piece);
        self.end = piece.start + piece.text.len();
        match piece.kind {
            Kind::Open => self.depth += 1,
            Kind::Close => self.depth = self.depth.saturating_sub(1),
            _ if self.depth == 0 => self.clause(piece, last)?,
            _ => {}
        }
        if self.in_set {
            self.target(piece);
        }
        Ok(())
    }

    fn clause(&mut self, piece: Piece<'a>, last: Option<Piece<'a>>) -> Result<(), BatchFault> {
        // `a.from` and `x AS from` are names; `IS DISTINCT FROM` is an operator.
        if last.is_some_and(|last| last.text == "." || last.is("distinct")) {
            return Ok(());
        }
        if piece.is("returning") {
            return Err(BatchFault::Returning);
        }
        if piece.is("current") && last.is_some_and(|last| last.is("where")) {
            return Err(BatchFault::Cursor);
        }
        if piece.is(if self.updates { "from" } else { "using" }) {
            return Err(BatchFault::Join);
        }
        if piece.is("where") && self.condition.is_none() {
            self.condition = Some((piece.start, self.end));
            self.in_set = false;
        } else if piece.is("set") && self.updates && self.condition.is_none() && !self.in_set {
            (self.in_set, self.at_target) = (true, true);
        }
        Ok(())
    }

    fn target(&mut self, piece: Piece<'a>) {
        if piece.is("set") && self.sets.is_empty() {
            return;
        }
        match (piece.text, self.depth) {
            ("=", 0) => self.at_target = false,
            (",", 0) => self.at_target = true,
            _ if self.at_target => self.sets.extend(piece.name()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_joins_the_condition() {
        for (text, expected) in [
            ("UPDATE t SET a = 1;", "UPDATE t SET a = 1\nWHERE R"),
            ("update t set a = 1 where b or c -- why\n;", "update t set a = 1 \nWHERE ( b or c\n) AND R"),
            (
                "DELETE FROM ONLY s.t x WHERE x.a IS DISTINCT FROM x.b",
                "DELETE FROM ONLY s.t x \nWHERE ( x.a IS DISTINCT FROM x.b\n) AND R",
            ),
            (
                "UPDATE t SET a = (SELECT b FROM u WHERE u.id = t.id), c = extract(year FROM d) WHERE a IN (SELECT 1 FROM u)",
                "UPDATE t SET a = (SELECT b FROM u WHERE u.id = t.id), c = extract(year FROM d) \nWHERE ( a IN (SELECT 1 FROM u)\n) AND R",
            ),
            ("UPDATE t SET \"from\" = ';where'", "UPDATE t SET \"from\" = ';where'\nWHERE R"),
        ] {
            assert_eq!(Batched::read(text).unwrap().within("R"), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        for (text, expected) in [
            ("INSERT INTO t SELECT 1", BatchFault::Kind),
            ("WITH x AS (SELECT 1) UPDATE t SET a = 1", BatchFault::With),
            ("UPDATE t SET a = u.a FROM u WHERE u.id = t.id", BatchFault::Join),
            ("DELETE FROM t USING u WHERE u.id = t.id", BatchFault::Join),
            ("DELETE FROM t WHERE a RETURNING *", BatchFault::Returning),
            ("UPDATE t SET a = 1 WHERE CURRENT OF c", BatchFault::Cursor),
        ] {
            assert_eq!(Batched::read(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn the_columns_that_are_set_are_known() {
        let sets = |text| Batched::read(text).unwrap().sets;
        assert_eq!(sets("update t set a = b + c, \"D\" = f(e, g) where h = 1"), ["a", "D"]);
        assert_eq!(sets("update t set (a, b) = (select c, d), e[1] = 2"), ["a", "b", "e"]);
        assert_eq!(sets("update \"set\" set set = 1"), [""; 0]);
        assert_eq!(Batched::read("update only (s.t) set a = 1").unwrap().table, "s.t");
        assert!(sets("delete from t").is_empty());
    }
}
