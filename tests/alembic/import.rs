//! An Alembic project becomes SQL files, and both make the same schema.

use crate::backend::{eleven_tables, migration, tables};
use crate::common::schema::Validator;

const IMPORT: [&str; 7] = ["migrate", "import", "alembic", "--from", "backend", "--to", "migrations"];

#[tokio::test]
async fn a_project_is_carried_over_and_proven() {
    let p = eleven_tables("").await;
    migration(
        &p,
        "aaaa00000001",
        "'c08085465bad'",
        "op.add_column('tickets', sa.Column('priority', sa.String(20), comment='it''s \"new\"'))\n\
         op.execute(\"UPDATE tickets SET priority = 'medium'\")",
        "op.drop_column('tickets', 'priority')",
    );
    migration(
        &p,
        "bbbb00000002",
        "'c08085465bad'",
        "with op.get_context().autocommit_block():\n    \
         op.create_index('ix_users_note', 'users', ['note'], postgresql_concurrently=True)\n\
         op.execute('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$')",
        "op.execute('DROP FUNCTION f()')\nop.drop_index('ix_users_note')",
    );
    migration(&p, "dddd00000003", "('aaaa00000001', 'bbbb00000002')", "pass", "pass");
    let said = p.expect(0, &IMPORT).stdout;
    assert!(said.starts_with("4 migrations written to migrations\n"), "{said}");
    assert!(said.contains("both make the same schema"), "{said}");
    let index = std::fs::read_to_string(p.path().join("migrations/bbbb00000002_about.sql")).expect("a file");
    assert!(
        index.contains("-- transaction: off\n") && index.contains("CREATE INDEX CONCURRENTLY ix_users_note"),
        "{index}"
    );
    assert!(!index.contains("alembic_version") && !index.contains("COMMIT"), "{index}");
    p.expect(3, &IMPORT).says(&["is there already", "nothing was written"]);
    let told = p.json(0, &[&IMPORT[..6], &["elsewhere"]].concat());
    Validator::of_command("migrate import").holds(&told);

    // From here on the files are what is released.
    let python = p.expect(0, &["migrate", "history"]).stdout;
    p.configure("test", "");
    assert_eq!(p.expect(0, &["migrate", "history"]).stdout, python);
    p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "dddd00000003 (head) (mergepoint)\n");
    p.expect(0, &["migrate", "downgrade", "base"]);
    assert_eq!(tables(&p).await, "2");
}

#[tokio::test]
async fn what_asks_the_database_is_named_and_refuses_to_run() {
    let p = eleven_tables("").await;
    migration(
        &p,
        "aaaa00000001",
        "'c08085465bad'",
        "rows = op.get_bind().execute(sa.text('SELECT id FROM tickets')).fetchall()\nassert rows == []",
        "raise NotImplementedError",
    );
    let said = p.expect(3, &IMPORT);
    said.says(&[
        "aaaa00000001_about.sql:",
        "its upgrade can't be written as SQL: run alembic upgrade",
        "about.py:22: get_bind() asks the database",
        "not proven: write by hand what is missing",
    ]);
    p.configure("test", "");
    p.expect(7, &["migrate", "upgrade", "head"])
        .says(&["the upgrade of aaaa00000001 is to be written by hand"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "c08085465bad\n");
}
