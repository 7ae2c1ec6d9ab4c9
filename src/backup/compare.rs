//! A restored database held against its backup.

use super::error::BackupError;
use super::fingerprint::{self, Content, TableContent};
use super::manifest::Manifest;
use super::mismatch::Mismatch;
use super::name::{POST_DATA, PRE_DATA, Place};
use super::restore::{self, Extent, without_comments};
use super::schema;
use super::unpack::unpack_whole;
use super::verify::Scratch;
use crate::event::Progress;
use crate::pg::ConnInfo;
use crate::store::Store;

/// Holds a restored database against its manifest: the content of every table, and the schema against a fresh
/// dump of it. Gives what differs. What was not restored (see `extent`) must not be there.
///
/// # Errors
/// If the database or the store can't be read.
pub async fn compare(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
    scratch: &Scratch,
    extent: &Extent,
    options: &restore::Options,
    progress: &Progress,
) -> Result<Vec<Mismatch>, BackupError> {
    let database = scratch.admin.with_database(&scratch.database);
    let reading = fingerprint::Options { session: options.session.clone(), jobs: options.jobs, only: None };
    let schema = async |name, section: &str| {
        let stored = stored_text(store, place, manifest, name).await?;
        compare_section(&database, options, &without(&stored, &extent.left_out), section).await
    };
    let (content, before, after) = tokio::try_join!(
        fingerprint::database_as(&database, manifest, &reading, progress),
        schema(PRE_DATA, "--section=pre-data"),
        schema(POST_DATA, "--section=post-data"),
    )?;
    let differences = expected(manifest, extent, &content).differences(&content);
    let differences = differences.into_iter().map(|difference| Mismatch::Content(Box::new(difference)));
    Ok(differences.chain(before).chain(after).collect())
}

/// What the database must hold.
fn expected(manifest: &Manifest, extent: &Extent, found: &Content) -> Content {
    let mut expected = Content::of_manifest(manifest);
    for (table, content) in &mut expected.tables {
        if !extent.holds(table) {
            *content = TableContent::default();
        }
    }
    if !extent.sequences {
        // Where they begin stands in their definitions, and those are compared.
        expected.sequences.clone_from(&found.sequences);
    }
    if !extent.large_objects {
        // That they are there, empty, belongs to the definitions.
        expected.large_objects = found.large_objects;
    }
    expected
}

async fn compare_section(
    database: &ConnInfo,
    options: &restore::Options,
    stored: &str,
    section: &str,
) -> Result<Option<Mismatch>, BackupError> {
    let arguments = [section, "--no-subscriptions"].map(String::from);
    let there = schema::dump_text(database, &options.session, &arguments).await?;
    let lines = schema::compare_restored(&schema::without_versions(stored), &there);
    Ok(lines.map(|lines| Mismatch::Schema { lines }))
}

/// The text without the entries of these statements.
fn without(text: &str, statements: &[String]) -> String {
    const HEADING: &str = "\n--\n-- Name: ";
    let left_out: Vec<&str> = statements.iter().filter_map(|statement| body(statement)).collect();
    let kept = |entry: &&str| !left_out.iter().any(|statement| entry.contains(statement));
    text.split(HEADING).filter(kept).collect::<Vec<_>>().join(HEADING)
}

/// What a statement says, if it is not only a comment.
fn body(statement: &str) -> Option<&str> {
    Some(without_comments(statement)).filter(|text| !text.is_empty())
}

async fn stored_text(
    store: &dyn Store,
    place: &Place,
    manifest: &Manifest,
    name: &str,
) -> Result<String, BackupError> {
    let missing = || BackupError::Mismatch(Mismatch::Missing { object: name.to_string() });
    let object = manifest.object(name).ok_or_else(missing)?;
    let text = unpack_whole(store, &place.object(name), object, &[]).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_not_looked_for() {
        let text = "SET x;\n\n--\n-- Name: a f; Type: FK CONSTRAINT\n--\n\nALTER TABLE a;\n\n\
                    \n--\n-- Name: b f; Type: FK CONSTRAINT\n--\n\nALTER TABLE b;\n";
        let statement = "\n\n--\n-- Name: a f; Type: FK CONSTRAINT\n--\n\nALTER TABLE a";
        let kept = without(text, &[statement.to_string()]);
        assert!(
            !kept.contains("Name: a f") && kept.contains("Name: b f") && kept.starts_with("SET x"),
            "{kept}"
        );
        assert_eq!(without(text, &[]), text);
    }
}
