//! An Alembic project as the guides have it, made afresh for each test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::common::command_line::CommandLine;

/// Alembic's program, of the versions that the tests are written for.
pub fn alembic() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/alembic");
        let output = Command::new(script).output().expect("the script runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_string()
    })
}

/// `config/test.toml` for a root in `backend`, with these lines more.
pub fn toml(more: &str) -> String {
    format!(
        "[[migrations]]\nname = \"main\"\ntool = \"alembic\"\ndirectory = \"backend\"\ncommand = [\"{}\"]\n{more}\n",
        alembic()
    )
}

/// A project with an `alembic.ini`, an `env.py` that heeds DATABASE_URL, and no migration.
pub async fn empty(more: &str) -> CommandLine {
    let project = CommandLine::new(&toml(more)).await;
    project.write("backend/alembic.ini", INI);
    project.write("backend/alembic/env.py", ENV);
    project.write("backend/alembic/script.py.mako", MAKO);
    project.write("backend/alembic/versions/README", "");
    project
}

/// Writes a migration of the main root.
pub fn migration(project: &CommandLine, id: &str, down: &str, upgrade: &str, downgrade: &str) -> PathBuf {
    migration_in(project, "alembic", id, down, upgrade, downgrade)
}

/// Writes a migration below `backend/<root>/versions`. `down` is Python.
pub fn migration_in(
    project: &CommandLine,
    root: &str,
    id: &str,
    down: &str,
    upgrade: &str,
    downgrade: &str,
) -> PathBuf {
    let body = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let text = format!(
        "\"\"\"About {id}\n\nRevision ID: {id}\nRevises: {down}\nCreate Date: 2025-12-06 10:30:00.123456\n\n\"\"\"\n\
         from typing import Sequence, Union\n\nfrom alembic import op\nimport sqlalchemy as sa\n\n\n\
         # revision identifiers, used by Alembic.\nrevision: str = '{id}'\n\
         down_revision: Union[str, Sequence[str], None] = {down}\n\
         branch_labels: Union[str, Sequence[str], None] = None\ndepends_on: Union[str, Sequence[str], None] = None\n\n\n\
         def upgrade() -> None:\n{}\n\ndef downgrade() -> None:\n{}",
        body(upgrade),
        body(downgrade)
    );
    project.write(&format!("backend/{root}/versions/{id}_about.py"), &text)
}

/// The ten tables of the first guide; Alembic's own is the eleventh.
pub const TABLES: [&str; 10] = [
    "tenants",
    "users",
    "integrations",
    "companies",
    "contacts",
    "tickets",
    "ticket_topics",
    "ticket_topic_assignments",
    "churn_risk_cards",
    "churn_risk_comments",
];

/// A project whose one migration makes them.
pub async fn eleven_tables(more: &str) -> CommandLine {
    let project = empty(more).await;
    let mut upgrade = String::from(
        "op.create_table('tenants',\n    sa.Column('id', sa.Uuid(), nullable=False),\n    \
         sa.Column('created_at', sa.DateTime(), nullable=False),\n    \
         sa.Column('name', sa.String(length=255), nullable=False),\n    \
         sa.Column('subdomain', sa.String(length=63), nullable=False),\n    \
         sa.Column('plan_tier', sa.Enum('free', 'pro', name='plan_tier'), nullable=False),\n    \
         sa.PrimaryKeyConstraint('id'),\n)\n\
         op.create_index('ix_tenants_subdomain', 'tenants', ['subdomain'], unique=True)\n",
    );
    let mut downgrade = String::new();
    for table in &TABLES[1..] {
        upgrade.push_str(&format!(
            "op.create_table('{table}',\n    sa.Column('id', sa.Integer(), nullable=False),\n    \
             sa.Column('tenant_id', sa.Uuid(), nullable=False),\n    sa.Column('note', sa.Text(), server_default='-'),\n    \
             sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], ondelete='CASCADE'),\n    \
             sa.PrimaryKeyConstraint('id'),\n)\n"
        ));
        downgrade.push_str(&format!("op.drop_table('{table}')\n"));
    }
    downgrade.push_str("op.drop_table('tenants')\nop.execute('DROP TYPE plan_tier')\n");
    migration(&project, "c08085465bad", "None", &upgrade, &downgrade);
    project
}

/// How many tables stand in the schema `public`.
pub async fn tables(project: &CommandLine) -> String {
    project.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await
}

pub const INI: &str = "[alembic]\nscript_location = %(here)s/alembic\nprepend_sys_path = .\npath_separator = os\n\
    sqlalchemy.url = driver://user:pass@localhost/dbname\n\n[ai]\nscript_location = %(here)s/ai\n\n\
    [loggers]\nkeys = root,alembic\n[handlers]\nkeys = console\n[formatters]\nkeys = generic\n\
    [logger_root]\nlevel = WARNING\nhandlers = console\nqualname =\n\
    [logger_alembic]\nlevel = INFO\nhandlers =\nqualname = alembic\n\
    [handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nlevel = NOTSET\nformatter = generic\n\
    [formatter_generic]\nformat = %(levelname)-5.5s [%(name)s] %(message)s\n";

pub const ENV: &str = r#"
import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import MetaData, create_engine, pool

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)

url = os.environ["DATABASE_URL"]
target_metadata = MetaData()
options = dict()


def run_migrations_offline() -> None:
    context.configure(url=url, target_metadata=target_metadata, literal_binds=True,
                      dialect_opts={"paramstyle": "named"}, **options)
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    connectable = create_engine(url, poolclass=pool.NullPool)
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata, **options)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"#;

pub const MAKO: &str = "\"\"\"${message}\n\nRevision ID: ${up_revision}\nRevises: ${down_revision | comma,n}\n\
    Create Date: ${create_date}\n\n\"\"\"\nfrom alembic import op\nimport sqlalchemy as sa\n${imports if imports else \"\"}\n\
    revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\nbranch_labels = ${repr(branch_labels)}\n\
    depends_on = ${repr(depends_on)}\n\n\ndef upgrade():\n    ${upgrades if upgrades else \"pass\"}\n\n\n\
    def downgrade():\n    ${downgrades if downgrades else \"pass\"}\n";
