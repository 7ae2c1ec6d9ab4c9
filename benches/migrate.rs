//! Migrations against Alembic and against psql: `make bench-migrate`.
//!
//! One throw-away server; 500 revisions that make a table each, as SQL files of ours, as files for psql, and as a
//! project of Alembic (from PyPI, `.ci/alembic`). All programs alternately, medians. psql applies one transaction a
//! file on one connection, and keeps no version table: it is the floor. Nothing passes or fails: it prints.

mod bed;
mod measured;

use std::path::{Path, PathBuf};
use std::process::Command;

use backstay::demo::cluster::Cluster;

use bed::sql;
use measured::{Figures, One, run};

const REVISIONS: usize = 500;
const ROUNDS: usize = 7;

const PSQL: &str = "psql";
const ALEMBIC: &str = "alembic";
const OURS: &str = "backstay";

fn main() {
    let bench = Bench::new();
    let (mut up, mut status, mut preview, mut down) =
        (Figures::default(), Figures::default(), Figures::default(), Figures::default());
    for _ in 0..ROUNDS {
        preview.add(ALEMBIC, bench.alembic(&["upgrade", "head", "--sql"]));
        preview.add(OURS, bench.backstay(&["migrate", "upgrade", "head", "--sql"]));
        up.add(PSQL, bench.psql(&["-f", "up.sql"]));
        up.add(ALEMBIC, bench.alembic(&["upgrade", "head"]));
        up.add(OURS, bench.backstay(&["migrate", "upgrade", "head"]));
        for _ in 0..5 {
            status.add(PSQL, bench.psql(&["-c", "select 1"]));
            status.add(ALEMBIC, bench.alembic(&["current"]));
            status.add(OURS, bench.backstay(&["migrate", "current"]));
        }
        down.add(PSQL, bench.psql(&["-f", "down.sql"]));
        down.add(ALEMBIC, bench.alembic(&["downgrade", "base"]));
        down.add(OURS, bench.backstay(&["migrate", "downgrade", "base"]));
    }
    for (what, aim, figures) in [
        ("status on 500 applied revisions", "at most 0.04 x of alembic's, 25 ms, 15 MiB", status),
        ("applying 500", "at most 1.1 x of psql's", up),
        ("previewing 500", "", preview),
        ("downgrading 500", "", down),
    ] {
        println!("{what} (aim: {aim}):");
        figures.print(&[PSQL, ALEMBIC]);
    }
}

/// A server with a database for each program, and their projects.
struct Bench {
    cluster: Cluster,
    folder: tempfile::TempDir,
    alembic: PathBuf,
}

impl Bench {
    fn new() -> Self {
        // As in production: what is committed is on the disk.
        let cluster = Cluster::start(&["fsync = on"]).expect("a cluster");
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let alembic = Command::new(".ci/alembic").output().expect(".ci/alembic").stdout;
        let alembic = PathBuf::from(String::from_utf8_lossy(&alembic).trim());
        let bench = Self { cluster, folder: tempfile::tempdir_in(target).expect("a folder"), alembic };
        for name in [PSQL, ALEMBIC, OURS] {
            let create = format!("CREATE DATABASE {name}");
            sql(&bench.binary("psql"), &bench.cluster.url("postgres", "postgres"), &["-c", &create]);
        }
        bench.write_ours();
        bench.write_psql();
        bench.write_alembic();
        bench
    }

    fn write_ours(&self) {
        let url = self.cluster.url("postgres", OURS);
        self.write("config/bench.toml", &format!("[database]\nurl = \"{url}\"\n"));
        for n in 1..=REVISIONS {
            let revises = if n == 1 { String::new() } else { format!("-- revises: {}\n", id(n - 1)) };
            let text = format!(
                "-- revision: {}\n{revises}-- Table {n}\n\n-- upgrade\n{}\n-- downgrade\n{}\n",
                id(n),
                create(n),
                drop(n)
            );
            self.write(&format!("migrations/{}.sql", id(n)), &text);
        }
    }

    fn write_psql(&self) {
        let (mut up, mut down) = (String::new(), String::new());
        for n in 1..=REVISIONS {
            self.write(&format!("psql/{n}.up.sql"), &create(n));
            self.write(&format!("psql/{n}.down.sql"), &drop(n));
            up += &format!("BEGIN;\n\\i psql/{n}.up.sql\nCOMMIT;\n");
            let n = REVISIONS + 1 - n;
            down += &format!("BEGIN;\n\\i psql/{n}.down.sql\nCOMMIT;\n");
        }
        self.write("up.sql", &up);
        self.write("down.sql", &down);
    }

    fn write_alembic(&self) {
        self.write("alembic.ini", "[alembic]\nscript_location = alembic\n");
        self.write("alembic/env.py", ENV);
        for n in 1..=REVISIONS {
            let revises = if n == 1 { "None".to_string() } else { format!("'{}'", id(n - 1)) };
            let text = format!(
                "\"\"\"Table {n}\"\"\"\nfrom alembic import op\nimport sqlalchemy as sa\n\nrevision = '{}'\n\
                 down_revision = {revises}\nbranch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    \
                 op.create_table('t{n}', sa.Column('id', sa.BigInteger(), primary_key=True), \
                 sa.Column('name', sa.Text(), nullable=False))\n\n\ndef downgrade():\n    op.drop_table('t{n}')\n",
                id(n)
            );
            self.write(&format!("alembic/versions/{}.py", id(n)), &text);
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a written file");
    }

    fn binary(&self, name: &str) -> PathBuf {
        self.cluster.binaries().join(name)
    }

    fn psql(&self, arguments: &[&str]) -> One {
        let mut command = Command::new(self.binary("psql"));
        command.args(["-qX", "-v", "ON_ERROR_STOP=1", &self.cluster.url("postgres", PSQL)]).args(arguments);
        self.measure(&mut command)
    }

    fn alembic(&self, arguments: &[&str]) -> One {
        let mut command = Command::new(&self.alembic);
        command.args(arguments).env("DATABASE_URL", self.cluster.url("postgres", ALEMBIC));
        self.measure(&mut command)
    }

    fn backstay(&self, arguments: &[&str]) -> One {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.args(arguments).env_remove("CI");
        self.measure(&mut command)
    }

    fn measure(&self, command: &mut Command) -> One {
        let (took, peak) = run(command.current_dir(self.folder.path()).stderr(std::process::Stdio::null()));
        One { took, bytes: 0, peak }
    }
}

fn id(n: usize) -> String {
    format!("be0000000{n:03}")
}

fn create(n: usize) -> String {
    format!("CREATE TABLE t{n} (id bigint PRIMARY KEY, name text NOT NULL);\n")
}

fn drop(n: usize) -> String {
    format!("DROP TABLE t{n};\n")
}

const ENV: &str = r#"
import os
from alembic import context
from sqlalchemy import create_engine, pool

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"#;
