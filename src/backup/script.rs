//! How to restore a backup without backstay: a page for people, and a script that needs `gunzip` (or `zstd`)
//! and `psql`.

use std::fmt::Write as _;

use super::catalog::{copy_from, set_sequence};
use super::manifest::Manifest;
use super::name::{GLOBALS, POST_DATA, PRE_DATA, SCRIPT, SUBSCRIPTIONS};
use super::pinned;
use super::restore::analyze;
use crate::pg::quote_literal;
use crate::time::show_bytes;

/// `RESTORE.md`: the page that stands beside the manifest's objects.
pub fn page(manifest: &Manifest) -> String {
    let tools = if uses_zstd(manifest) { "`gunzip`, `zstd`" } else { "`gunzip`" };
    let mut text = format!(
        "# Backup {id}\n\n\
         Database {database:?} of environment `{environment}`, as it was at {at} (log position {lsn}), \
         from PostgreSQL {server}. {tables} tables, {rows} rows.\n\n\
         To restore it into a **new** database, with nothing but {tools}, `psql` and a shell:\n\n\
         ```sh\n\
         export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...   # a role that may create databases\n\
         sh {SCRIPT} NEW_DATABASE\n\
         ```\n\n\
         The script checks every file first, stops at the first error, and never touches a database that \
         exists.\n\nIt needs these roles on the server, and names those that are missing: {roles}. \
         `{GLOBALS}` holds their definitions, without passwords:\n\n\
         ```sh\ngunzip -c {GLOBALS} | psql -d postgres\n```\n\n\
         ## What is what\n\n\
         | file | what it is |\n| --- | --- |\n\
         | `manifest.json` | what the backup says of itself: every file with its SHA-256, every table with its rows |\n\
         | `{GLOBALS}` | the roles that the database names |\n\
         | `{PRE_DATA}` | definitions of everything that must exist before the rows |\n\
         | `data/N.copy.*` | rows as `COPY` text, of one table or of several small ones one after another; \
         `{SCRIPT}` names the table, the columns and the bytes of each |\n",
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
    if !manifest.large_object_parts().is_empty() {
        let _ = writeln!(
            text,
            "| `large-objects/N.sql.gz` | the bytes of the large objects: one text, to be run in the order of \
             the numbers by one `psql` |"
        );
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

fn uses_zstd(manifest: &Manifest) -> bool {
    manifest.objects.iter().any(|object| object.name.ends_with(".zst"))
}

/// `restore.sh`: a POSIX shell script that restores the manifest's objects, which stand beside it.
pub fn script(manifest: &Manifest) -> String {
    let sql_ascii = manifest.database.encoding == "SQL_ASCII";
    let mut text = HEAD
        .replace("@ID@", &manifest.id)
        .replace("@AT@", &manifest.snapshot.at.to_string())
        .replace("@TOOLS@", if uses_zstd(manifest) { "gunzip, zstd" } else { "gunzip" })
        .replace(
            "@OPTIONS@",
            &sh(&format!("{} -c intervalstyle=postgres -c datestyle=ISO,YMD", pinned::pgoptions())),
        )
        .replace("@ENCODING@", if sql_ascii { "SQL_ASCII" } else { "UTF8" });
    if uses_zstd(manifest) {
        text.push_str(NEEDS_ZSTD);
    }
    heredoc(&mut text, "sums", "cat", &sums(manifest));
    text.push_str(CHECK);
    let compressed = |name: &str| name.ends_with(".gz") || name.ends_with(".zst");
    for object in manifest.objects.iter().filter(|object| compressed(&object.name)) {
        let _ = writeln!(text, "whole {}", sh(&object.name));
    }
    check_roles(&mut text, manifest);

    text.push_str("\necho 'Creating the database ...'\n");
    // psql puts the new name, quoted, where :\"new\" stands.
    let create = manifest.database.create_statement("\0").replace("\"\0\"", ":\"new\"");
    heredoc(&mut text, "create", "admin_sql", &format!("{create};\n"));
    text.push_str("create\ncreated=yes\n");
    let _ = writeln!(text, "\necho 'Definitions ...'\nrun_sql {}", sh(PRE_DATA));
    load(&mut text, manifest);

    let _ = writeln!(text, "\necho 'Indexes, constraints, triggers ...'\nrun_sql {}", sh(POST_DATA));
    let analyze = format!("SET client_min_messages = error;\n{}\n\\gexec\n", analyze::statements());
    heredoc(&mut text, "statistics", "new_sql", &analyze);
    text.push_str("\necho 'Statistics ...'\nstatistics\n");
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

/// Rows, large objects, sequences.
fn load(text: &mut String, manifest: &Manifest) {
    text.push_str("\necho 'Rows ...'\n");
    for (object, chunks) in manifest.waves().into_values().flatten() {
        let shared = chunks.len() > 1;
        for (table, chunk) in chunks {
            let part = if shared { format!("{} {}", chunk.from, chunk.bytes) } else { "0 all".to_string() };
            let statement = sh(&copy_from(table, &manifest.database.encoding));
            let _ = writeln!(text, "rows {} {part} {} {statement}", sh(&object.name), chunk.rows);
        }
    }
    let parts: Vec<String> = manifest.large_object_parts().iter().map(|part| sh(&part.name)).collect();
    if !parts.is_empty() {
        let _ = writeln!(text, "\necho 'Large objects ...'\nrun_sql {}", parts.join(" \\\n    "));
    }
    let sequences: String = manifest.sequences.iter().map(|s| set_sequence(s) + "\n").collect();
    heredoc(text, "sequences", "new_sql", &sequences);
    text.push_str("sequences\n");
}

fn check_roles(text: &mut String, manifest: &Manifest) {
    if manifest.roles.is_empty() {
        return;
    }
    let names: Vec<String> = manifest.roles.iter().map(|role| format!("({})", quote_literal(role))).collect();
    let query = format!(
        "SELECT pg_catalog.quote_ident(w.name) FROM (VALUES {}) w(name) \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = w.name) ORDER BY 1;\n",
        names.join(", ")
    );
    heredoc(text, "missing_roles", "admin_ask", &query);
    text.push_str(CHECK_ROLES);
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
# Restores backup @ID@ (@AT@) into a new database, with @TOOLS@ and psql alone.
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
admin_ask() { PGDATABASE=$admin client -A -t -f -; }
admin_try() { PGDATABASE=$admin psql -X -q -v new="$new" -f - >/dev/null || true; }
new_sql() { PGDATABASE=$new client -f - >/dev/null; }
# Several files are one text.
run_sql() { gunzip -c "$@" | new_sql; }
unpack() {
    case $1 in
        *.zst) zstd -q -d -c "$1" ;;
        *) gunzip -c "$1" ;;
    esac
}
whole() {
    case $1 in
        *.zst) zstd -q -t "$1" ;;
        *) gunzip -t "$1" ;;
    esac || die "$1 is damaged."
}
# part FILE FROM BYTES: so many bytes of its text, or all.
part() {
    if [ "$3" = all ]; then
        unpack "$1"
    else
        # Who reads no further than it must leaves the others with a closed pipe.
        unpack "$1" 2>/dev/null | tail -c "+$(($2 + 1))" 2>/dev/null | head -c "$3"
    fi
}
# rows FILE FROM BYTES ROWS STATEMENT. A row that is missing must not pass: psql says how many it copied.
rows() {
    said=$(part "$1" "$2" "$3" | PGDATABASE=$new psql -X -v ON_ERROR_STOP=1 -c "$5") || die "$1: not loaded."
    [ "$said" = "COPY $4" ] || die "$1: expected COPY $4, got $said."
}
"#;

const NEEDS_ZSTD: &str = r#"
command -v zstd >/dev/null 2>&1 || die "This backup needs zstd: install it first."
"#;

const CHECK_ROLES: &str = r#"
missing=$(missing_roles)
[ -z "$missing" ] || die "The server lacks these roles (globals.sql.gz holds their definitions): $missing"
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
