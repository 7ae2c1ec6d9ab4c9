//! How to restore a backup without backstay: a page for people, and a script that needs `gunzip` and `psql`.

use std::fmt::Write as _;

use super::catalog::{copy_from, set_sequence};
use super::manifest::Manifest;
use super::name::{GLOBALS, LARGE_OBJECTS, POST_DATA, PRE_DATA, SCRIPT, SUBSCRIPTIONS};
use super::pinned;
use crate::time::show_bytes;

/// `RESTORE.md`.
pub(super) fn readme(manifest: &Manifest) -> String {
    let mut text = format!(
        "# Backup {id}\n\n\
         Database {database:?} of environment `{environment}`, as it was at {at} (log position {lsn}), \
         from PostgreSQL {server}. {tables} tables, {rows} rows.\n\n\
         To restore it into a **new** database, with nothing but `gunzip`, `psql` and a shell:\n\n\
         ```sh\n\
         export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...   # a role that may create databases\n\
         sh {SCRIPT} NEW_DATABASE\n\
         ```\n\n\
         The script checks every file first, stops at the first error, and never touches a database that \
         exists.\n\nIt needs these roles on the server: {roles}. `{GLOBALS}` holds their definitions, without \
         passwords:\n\n```sh\ngunzip -c {GLOBALS} | psql -d postgres\n```\n\n\
         ## What is what\n\n\
         | file | what it is |\n| --- | --- |\n\
         | `manifest.json` | what the backup says of itself: every file with its SHA-256, every table with its rows |\n\
         | `{GLOBALS}` | the roles that the database names |\n\
         | `{PRE_DATA}` | definitions of everything that must exist before the rows |\n\
         | `data/N.copy.gz` | rows of one table as `COPY` text; `{SCRIPT}` names the table and columns of each |\n",
        id = manifest.id,
        database = manifest.database.name,
        environment = manifest.environment,
        at = manifest.snapshot.at,
        lsn = manifest.snapshot.lsn,
        server = manifest.server.name,
        tables = manifest.tables.len(),
        rows = manifest.rows(),
        roles = manifest.roles.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>().join(", "),
    );
    if manifest.object(LARGE_OBJECTS).is_some() {
        let _ = writeln!(text, "| `{LARGE_OBJECTS}` | the bytes of the large objects |");
    }
    let _ = writeln!(
        text,
        "| `{POST_DATA}` | indexes, constraints, triggers, and the filling of materialized views |"
    );
    if manifest.object(SUBSCRIPTIONS).is_some() {
        let _ = writeln!(
            text,
            "| `{SUBSCRIPTIONS}` | subscriptions, to be created by hand where they are wanted |"
        );
    }
    let _ = write!(text, "\n{} in all.\n", show_bytes(manifest.stored_bytes()));
    text
}

/// `restore.sh`.
pub(super) fn restore(manifest: &Manifest) -> String {
    let sql_ascii = manifest.database.encoding == "SQL_ASCII";
    let mut text = HEAD
        .replace("@ID@", &manifest.id)
        .replace("@AT@", &manifest.snapshot.at.to_string())
        .replace(
            "@OPTIONS@",
            &sh(&format!("{} -c intervalstyle=postgres -c datestyle=ISO,YMD", pinned::pgoptions())),
        )
        .replace("@ENCODING@", if sql_ascii { "SQL_ASCII" } else { "UTF8" });
    heredoc(&mut text, "sums", "cat", &sums(manifest));
    text.push_str(CHECK);
    for object in manifest.objects.iter().filter(|object| object.name.ends_with(".gz")) {
        let _ = writeln!(text, "whole {}", sh(&object.name));
    }

    text.push_str("\necho 'Creating the database ...'\n");
    // psql puts the new name, quoted, where :\"new\" stands.
    let create = manifest.database.create_statement("\0").replace("\"\0\"", ":\"new\"");
    heredoc(&mut text, "create", "admin_sql", &format!("{create};\n"));
    text.push_str("create\ncreated=yes\n");
    let _ = writeln!(text, "\necho 'Definitions ...'\nrun_sql {}", sh(PRE_DATA));

    text.push_str("\necho 'Rows ...'\n");
    for table in &manifest.tables {
        let statement = sh(&copy_from(&table.table, &table.columns));
        for chunk in &table.chunks {
            let _ = writeln!(text, "rows {} {} {statement}", sh(&chunk.object), chunk.rows);
        }
    }
    if manifest.object(LARGE_OBJECTS).is_some() {
        let _ = writeln!(text, "run_sql {}", sh(LARGE_OBJECTS));
    }
    let sequences: String = manifest.sequences.iter().map(|s| set_sequence(s) + "\n").collect();
    heredoc(&mut text, "sequences", "new_sql", &sequences);
    text.push_str("sequences\n");

    let _ = writeln!(text, "\necho 'Indexes, constraints, triggers ...'\nrun_sql {}", sh(POST_DATA));
    text.push_str(
        "\necho 'Statistics ...'\nprintf 'SET client_min_messages = error; ANALYZE;\\n' | new_sql\n",
    );
    let attributes: String = manifest
        .database
        .statements("\0")
        .iter()
        .map(|statement| statement.replace("\"\0\"", ":\"new\"") + ";\n")
        .collect();
    heredoc(&mut text, "attributes", "admin_try", &attributes);
    text.push_str(TAIL);
    text
}

/// `text` as one word of a POSIX shell.
fn sh(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A shell function that feeds `text` to `command`, by a here-document whose end no name can fake.
fn heredoc(script: &mut String, function: &str, command: &str, text: &str) {
    let mut end = "END_OF_TEXT".to_string();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(script, "\n{function}() {{\n{command} <<'{end}'\n{text}{newline}{end}\n}}\n");
}

fn sums(manifest: &Manifest) -> String {
    manifest.objects.iter().map(|object| format!("{}  {}\n", object.sha256, object.name)).collect()
}

const HEAD: &str = r#"#!/bin/sh
# Restores backup @ID@ (@AT@) into a new database, with gunzip and psql alone.
#
#   sh restore.sh NEW_DATABASE
#
# Server and role are psql's own: PGHOST, PGPORT, PGUSER, PGPASSWORD. PGDATABASE names a database to connect
# to at first (postgres, if it is not set). Stops at the first error.
set -eu
if [ "$#" -ne 1 ]; then
    echo "usage: sh restore.sh NEW_DATABASE" >&2
    exit 2
fi
cd "$(dirname "$0")"
new=$1
admin=${PGDATABASE:-postgres}
created=no
PGOPTIONS=@OPTIONS@
PGCLIENTENCODING=@ENCODING@
export PGOPTIONS PGCLIENTENCODING new admin

finish() {
    code=$?
    if [ "$code" -ne 0 ] && [ "$created" = yes ]; then
        echo "The restore failed. Database '$new' is incomplete: drop it." >&2
    fi
    exit "$code"
}
trap finish EXIT

die() { echo "$1" >&2; exit 1; }
client() { psql -X -q -v ON_ERROR_STOP=1 -v new="$new" "$@"; }
admin_sql() { PGDATABASE=$admin client -f - >/dev/null; }
admin_try() { PGDATABASE=$admin psql -X -q -v new="$new" -f - >/dev/null || true; }
new_sql() { PGDATABASE=$new client -f - >/dev/null; }
run_sql() { gunzip -c "$1" | new_sql; }
whole() { gunzip -t "$1" || die "$1 is damaged."; }
# A row that is missing must not pass: psql says how many it copied.
rows() {
    said=$(gunzip -c "$1" | PGDATABASE=$new psql -X -v ON_ERROR_STOP=1 -c "$3") || die "$1: not loaded."
    [ "$said" = "COPY $2" ] || die "$1: expected COPY $2, got $said."
}
"#;

const CHECK: &str = r#"
echo 'Checking the files ...'
if command -v sha256sum >/dev/null 2>&1; then
    # The script cannot hold its own sum.
    sums | grep -v '  restore\.sh$' | sha256sum -c --quiet - || die "The backup is damaged."
fi
"#;

const TAIL: &str = r#"attributes

trap - EXIT
echo "Done: database '$new'. What the server refused of the database's own settings is shown above."
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_survive() {
        assert_eq!(sh("a'b\n$c"), "'a'\\''b\n$c'");
    }

    #[test]
    fn no_text_ends_its_document_early() {
        let mut script = String::new();
        heredoc(&mut script, "f", "cat", "END_OF_TEXT\nEND_OF_TEXT_\n");
        assert_eq!(script, "\nf() {\ncat <<'END_OF_TEXT__'\nEND_OF_TEXT\nEND_OF_TEXT_\nEND_OF_TEXT__\n}\n");
    }
}
