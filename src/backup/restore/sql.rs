//! pg_dump's text, statement by statement.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::Filling;
use crate::backup::catalog::set_sequence;
use crate::backup::error::BackupError;
use crate::backup::split::Splitter;
use crate::backup::unpack::{unpack, unpack_whole};

/// Statements that are sent together: enough to save round trips, not so many that their one transaction
/// needs many locks.
const TOGETHER: usize = 64;

impl Filling<'_> {
    /// The statements of one object. Not one of a text that was tampered with.
    pub(super) async fn statements(&self, name: &str) -> Result<Vec<String>, BackupError> {
        let object = self.object(name)?;
        let text = unpack_whole(self.store, &self.place.object(name), object, &[]).await?;
        let mut splitter = Splitter::default();
        splitter.push(&text);
        let mut statements = Vec::new();
        while let Some(statement) = splitter.next_statement() {
            statements.push(utf8(statement, name)?);
        }
        if let Some(last) = splitter.finish() {
            statements.push(utf8(last, name)?);
        }
        Ok(statements)
    }

    /// Runs statements in their order, some of them in one transaction.
    pub(super) async fn run_in_order(
        &self,
        session: &Client,
        statements: &[String],
        what: &str,
    ) -> Result<(), BackupError> {
        self.meter.say(what);
        for batch in statements.chunks(TOGETHER) {
            run_together(session, batch, what).await?;
        }
        Ok(())
    }

    /// The bytes of all large objects, on one session: a transaction may span two parts.
    pub(super) async fn load_large_objects(&self, session: &Client) -> Result<(), BackupError> {
        let what = "large objects";
        let parts = self.manifest.large_object_parts();
        if parts.is_empty() {
            return Ok(());
        }
        self.meter.say(what);
        let mut splitter = Splitter::default();
        for object in parts {
            let full_name = self.place.object(&object.name);
            // Read to the end first: not one statement runs of text that was tampered with.
            unpack(self.store, &full_name, object, &[], None).await?;
            let (sender, mut pieces) = mpsc::channel::<Bytes>(2);
            let run = async {
                while let Some(piece) = pieces.recv().await {
                    splitter.push(&piece);
                    while let Some(statement) = splitter.next_statement() {
                        execute(session, &utf8(statement, what)?, what).await?;
                    }
                    self.meter.add(piece.len() as u64);
                }
                Ok(())
            };
            tokio::try_join!(unpack(self.store, &full_name, object, &[], Some(sender)), run)?;
        }
        match splitter.finish() {
            Some(statement) => execute(session, &utf8(statement, what)?, what).await,
            None => Ok(()),
        }
    }

    /// Gives every sequence its state again.
    pub(super) async fn set_sequences(&self, session: &Client) -> Result<(), BackupError> {
        for batch in self.manifest.sequences.chunks(200) {
            let sql: String = batch.iter().map(set_sequence).collect();
            session.batch_execute(&sql).await.map_err(|e| BackupError::sql("set the sequences", e))?;
        }
        Ok(())
    }
}

/// Runs statements in one round trip and transaction. If the server refuses that, each by itself: so the one
/// that it refuses is known, and one that wants no transaction around it has none.
pub(super) async fn run_together(
    session: &Client,
    statements: &[String],
    what: &str,
) -> Result<(), BackupError> {
    if let [_, _, ..] = statements
        && session.batch_execute(&statements.join("\n;\n")).await.is_ok()
    {
        return Ok(());
    }
    for statement in statements {
        execute(session, statement, what).await?;
    }
    Ok(())
}

/// Runs one statement; what is refused is named by its first line.
pub(super) async fn execute(session: &Client, statement: &str, what: &str) -> Result<(), BackupError> {
    let named =
        |source| BackupError::sql(format!("restore the {what}, at `{}`", first_line(statement)), source);
    session.batch_execute(statement).await.map_err(named)
}

/// The first line that says something, shortened.
pub(super) fn first_line(statement: &str) -> String {
    let line = statement.lines().find(|line| !line.is_empty() && !line.starts_with("--"));
    line.unwrap_or_default().chars().take(200).collect()
}

fn utf8(statement: Vec<u8>, what: &str) -> Result<String, BackupError> {
    String::from_utf8(statement)
        .map_err(|e| BackupError::Strange { what: format!("{what} (not UTF-8)"), reason: e.to_string() })
}
