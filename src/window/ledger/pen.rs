//! Lines to objects on the store: packed as a backup's, each a whole script.

use super::document::{File, FileKind};
use super::keep::NotKept;
use super::script::Script;
use crate::backup::manifest::Codec;
use crate::backup::{FULL, Packer, TableName};
use crate::failure::Failure;
use crate::store::Store;

/// Writes the files of one ledger, one after another.
pub(super) struct Pen<'a> {
    store: &'a dyn Store,
    place: &'a str,
    /// What was written.
    pub files: Vec<File>,
}

impl<'a> Pen<'a> {
    /// A pen for the ledger at `place`, a prefix that ends with a slash.
    pub fn new(store: &'a dyn Store, place: &'a str) -> Self {
        Self { store, place, files: Vec::new() }
    }

    /// Begins a file; it is written only if a line comes.
    pub fn page<'p>(&'p mut self, kind: FileKind, table: Option<&TableName>, script: Script) -> Page<'p, 'a> {
        let number = self.files.len() + 1;
        Page { kind, table: table.cloned(), script, number, open: None, rows: 0, pen: self }
    }
}

/// A file in the making; a full one is followed by the next.
pub(super) struct Page<'p, 'a> {
    pen: &'p mut Pen<'a>,
    kind: FileKind,
    table: Option<TableName>,
    script: Script,
    number: usize,
    /// What is being packed, and its lines.
    open: Option<(Packer, u64)>,
    rows: u64,
}

impl Page<'_, '_> {
    /// Adds a line: a row, or a statement.
    ///
    /// # Errors
    /// The store's, when the file was full.
    pub async fn line(&mut self, line: &[u8]) -> Result<(), NotKept> {
        let (packer, rows) = match &mut self.open {
            Some(open) => open,
            none => {
                let mut packer = Packer::new(Codec::default()).map_err(unpackable)?;
                packer.put(self.script.head.as_bytes()).map_err(unpackable)?;
                none.insert((packer, 0))
            }
        };
        packer.put(line).map_err(unpackable)?;
        *rows += 1;
        if packer.stored_bytes() >= FULL { self.seal().await } else { Ok(()) }
    }

    /// Ends the file; gives the lines of all its parts.
    ///
    /// # Errors
    /// The store's.
    pub async fn end(mut self) -> Result<u64, NotKept> {
        self.seal().await?;
        Ok(self.rows)
    }

    async fn seal(&mut self) -> Result<(), NotKept> {
        let Some((mut packer, rows)) = self.open.take() else { return Ok(()) };
        packer.put(self.script.tail.as_bytes()).map_err(unpackable)?;
        let packed = packer.finish().map_err(unpackable)?;
        let name = object_name(self.number, self.table.as_ref(), self.kind);
        let object = packed.object(&name);
        // In the place of what a try that was cut off may have left: the epoch is in the place's name, so it was ours.
        self.pen.store.replace(&format!("{}{name}", self.pen.place), packed.bytes).await?;
        self.pen.files.push(File {
            name,
            kind: self.kind,
            table: self.table.clone(),
            rows,
            raw_bytes: object.raw_bytes,
            stored_bytes: object.stored_bytes,
            sha256: object.sha256,
        });
        self.rows += rows;
        self.number += 1;
        Ok(())
    }
}

fn unpackable(error: std::io::Error) -> Failure {
    Failure::failed("pack a file of the ledger").caused_by(&error)
}

/// The file's number, then what a person knows it by. A store takes letters, digits and `._-`.
fn object_name(number: usize, table: Option<&TableName>, kind: FileKind) -> String {
    let kind = match kind {
        FileKind::Schema => return "schema.sql.gz".into(),
        FileKind::Deleted => "deleted",
        FileKind::Rows => "rows",
        FileKind::Sequences => "sequences",
        FileKind::LargeObjects => "large-objects",
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let table: String = match table {
        Some(table) => format!("{}.{}.", table.schema, table.name),
        None => String::new(),
    }
    .chars()
    .map(|c| if c == '.' { c } else { plain(c) })
    .collect();
    format!("{number:04}-{table}{kind}.sql.gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_objects_whatever_a_table_is_called() {
        let name = |table: &str| object_name(3, Some(&TableName::new("My Schema", table)), FileKind::Rows);
        assert_eq!(name("orders"), "0003-My_Schema.orders.rows.sql.gz");
        assert_eq!(name("../ü \"x\""), "0003-My_Schema...____x_.rows.sql.gz");
        assert_eq!(object_name(12, None, FileKind::Sequences), "0012-sequences.sql.gz");
    }
}
