//! Every command of `docs/from-alembic.md`, typed into a shell in a real project.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::backend;
use crate::common::cluster;
use crate::common::project::{Ended, Project, of_this_repository};
use crate::project::{INDEX, INITIAL, PRIORITY, write_migrations};

/// A shell in a project, and what was typed into it.
struct Shell {
    project: Project,
    typed: BTreeSet<String>,
}

impl Shell {
    async fn open() -> Self {
        let project = Project::empty().await;
        for environment in ["staging", "dev"] {
            let toml = "env_file = \".env.production\"\n[database]\nurl = \"${DATABASE_URL}\"\n";
            project.write(&format!("config/{environment}.toml"), toml);
        }
        // What guide 1 counts by hand behind its migration.
        project.edit(
            "runbooks/release.toml",
            "step = \"verify\"\n",
            "step = \"verify\"\nschema = \"as migrated\"\nround_trip = true\nforeign_keys = 10\nindexes = 11\n",
        );
        write_migrations(&project.path("migrations"));
        let chain =
            [("abc123", INDEX), ("def456", "abc123"), ("abc123def456", "def456"), ("xyz789", "abc123def456")];
        for (id, parent) in chain {
            let text = format!(
                "-- revision: {id}\n-- revises: {parent}\n\n-- upgrade\nCREATE TABLE t_{id} (id int);\n\
                 -- downgrade\nDROP TABLE t_{id};\n"
            );
            project.write(&format!("migrations/{id}.sql"), &text);
        }
        let legacy = format!("{}[database]\nurl = \"${{LEGACY_URL}}\"\n", backend::toml(""));
        project.write("config/legacy.toml", &legacy);
        std::fs::create_dir_all(project.path("backend/alembic/versions")).expect("folders");
        for (file, text) in [
            ("alembic.ini", backend::INI),
            ("alembic/env.py", backend::ENV),
            ("alembic/script.py.mako", backend::MAKO),
        ] {
            project.write(&format!("backend/{file}"), text);
        }
        Self { project, typed: BTreeSet::new() }
    }

    /// Types a line; it must end with `code`, and say `telling` on standard output or error.
    #[track_caller]
    fn types(&mut self, line: &str, code: i32, telling: &str) {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_backstay"));
        let folders = [program.parent().unwrap().to_path_buf(), cluster().binaries().to_path_buf()];
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&paths))).unwrap();
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.project.path(""))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.project.path(""))
            .env("LC_ALL", "C.UTF-8")
            .env("DATABASE_URL", self.project.url())
            .env("LEGACY_URL", format!("{}_legacy", self.project.url()))
            .env("SCRATCH_URL", cluster().url("postgres", "postgres"))
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let ended = Ended::of(output);
        let said = ended.out.contains(telling) || ended.err.contains(telling);
        assert!(ended.code == code && said, "{line}\n  no {telling:?}, or not {code}, in {ended:#?}");
        self.typed.insert(line.to_string());
    }

    fn reads(&self, file: &str) -> String {
        std::fs::read_to_string(self.project.path(file)).expect(file)
    }
}

/// The second column of every table of the document.
fn documented() -> Vec<String> {
    let text = std::fs::read_to_string(of_this_repository("docs/from-alembic.md")).expect("the document");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let second = |row: &str| row.split(" | ").nth(1).expect("a second column").trim().to_string();
    let cells: Vec<String> = rows.map(second).filter(|cell| cell != "here").collect();
    assert!(cells.iter().all(|cell| cell.starts_with('`') && cell.ends_with('`')), "{cells:?}");
    cells.into_iter().map(|cell| cell.trim_matches('`').to_string()).collect()
}

#[tokio::test]
async fn every_command_of_the_document_works() {
    let mut shell = Shell::open().await;
    before_anything_is_applied(&mut shell);
    applying(&mut shell);
    looking(&mut shell);
    taking_back(&mut shell);
    checking(&mut shell);
    production(&mut shell);
    writing(&mut shell);
    of_alembic(&mut shell);
    let missed: Vec<String> = documented().into_iter().filter(|line| !shell.typed.contains(line)).collect();
    assert!(missed.is_empty(), "documented and not tried: {missed:#?}");
    assert!(documented().len() > 60);
}

fn before_anything_is_applied(shell: &mut Shell) {
    shell.types("backstay migrate current -e staging", 0, "");
    shell.types("backstay migrate status -e staging", 0, "at no revision, 7 pending");
    shell.types("backstay migrate status -v -e staging", 0, "sql: ");
    shell.types("backstay migrate heads -e staging", 0, "xyz789 (head)");
    shell.types(
        "backstay migrate history -e staging",
        0,
        "c08085465bad -> 989ceebf408f, Add priority to questions",
    );
    shell.types("backstay migrate history -v -e staging", 0, "Parent: c08085465bad");
    shell.types("backstay migrate history --verbose -e staging", 0, "Parent: c08085465bad");
    shell.types("backstay migrate test --server \"$SCRATCH_URL\" -e staging", 0, "checks passed");
}

fn applying(shell: &mut Shell) {
    shell.types("backstay migrate upgrade head --sql -e staging", 0, "CREATE TABLE churn_risk_cards");
    shell.types("backstay migrate upgrade head --sql -e staging > migration.sql", 0, "");
    assert!(shell.reads("migration.sql").contains("-- Running upgrade c08085465bad -> 989ceebf408f"));
    shell.types("backstay migrate upgrade abc123:def456 --sql -e staging > partial_migration.sql", 0, "");
    let part = shell.reads("partial_migration.sql");
    assert!(part.contains("t_def456") && !part.contains("t_abc123"), "{part}");
    shell.types("backstay migrate upgrade +1 -e staging", 0, &format!("applied {INITIAL} in "));
    shell.types("backstay migrate upgrade 989ceebf408f -e staging", 0, &format!("applied {PRIORITY} in "));
    shell.types("backstay migrate upgrade head -e staging", 0, "abc123def456, xyz789 in ");
}

fn looking(shell: &mut Shell) {
    shell.types("backstay migrate current -e staging", 0, "xyz789 (head)");
    shell.types("backstay migrate current -v -e staging", 0, "Parent: abc123def456");
    shell.types("backstay migrate status -e staging", 0, "nothing pending");
    shell.types("backstay migrate check -e staging", 0, "is what its migrations make: 14 tables");
}

fn taking_back(shell: &mut Shell) {
    shell.types("backstay migrate downgrade -1 -e staging", 0, "took back xyz789 in ");
    shell.types("backstay migrate stamp xyz789 -e staging", 0, "stamped abc123def456 -> xyz789");
    shell.types(
        "backstay migrate check -e staging",
        3,
        "table public.t_xyz789: in the migrations, not in the database",
    );
    shell.types("backstay migrate reset -e dev --yes", 0, "was dropped and made anew: 7 revisions applied");
    shell.types("backstay migrate downgrade abc123def456 -e staging", 0, "took back xyz789 in ");
    shell.types("backstay migrate downgrade -3 -e staging", 0, "took back abc123def456, def456, abc123 in ");
    shell.types("backstay migrate downgrade 989ceebf408f -e staging", 0, &format!("took back {INDEX} in "));
    shell.types("backstay migrate upgrade head -e staging", 0, "xyz789 in ");
    shell.types("backstay migrate downgrade 989c -e staging", 0, &format!("abc123, {INDEX} in "));
    shell.types(
        "backstay migrate downgrade c08085465bad -e staging",
        0,
        &format!("took back {PRIORITY} in "),
    );
    shell.types("backstay migrate stamp 989ceebf408f -e staging", 0, "stamped c08085465bad -> 989ceebf408f");
    shell.types("backstay migrate stamp head -e staging", 0, "stamped 989ceebf408f -> xyz789");
    shell.types("backstay migrate reset -e dev --yes", 0, "7 revisions applied");
    shell.types("backstay migrate downgrade base -e staging", 0, &format!("{PRIORITY}, {INITIAL} in "));
    let drop = format!("psql \"${{DATABASE_URL%/*}}/postgres\" -c 'DROP DATABASE {}'", shell.project.name);
    shell.types(&drop, 0, "DROP DATABASE");
    shell.types("backstay migrate upgrade head --create-database -e dev", 0, "created database");
}

fn checking(shell: &mut Shell) {
    shell.types("backstay migrate test -e staging", 0, "Expected tables: 14");
    shell.types("psql \"$DATABASE_URL\" -c \"\\d tenants\"", 0, "subdomain");
    shell.types("psql \"$DATABASE_URL\" -c \"SELECT COUNT(*) FROM users;\"", 0, "(1 row)");
}

fn production(shell: &mut Shell) {
    shell.types("backstay doctor -e production", 0, "ready for a release");
    shell.types("backstay migrate check -e production", 0, "is what its migrations make");
    shell.types("backstay backup create -e production", 0, "");
    shell.types("backstay backup create --if-older 1h -e production", 0, "");
    shell.types("backstay backup verify latest --level restore -e production", 0, "");
    shell.types("backstay backup restore latest --as shop_before -e production", 0, "shop_before");
    shell.types("backstay maintenance on -e production --unguarded", 0, "");
    assert!(shell.project.flag_is_up());
    shell.types("backstay maintenance off -e production --unguarded", 0, "");
    let file = "production_migration_$(date +%Y%m%d_%H%M%S).sql";
    shell.types(&format!("backstay migrate upgrade head --sql -e production > {file}"), 0, "");
    shell.types("cat production_migration_2*.sql", 0, "CREATE TABLE t_xyz789");
    let release = "-- revision: r2\n-- revises: xyz789\n-- upgrade\nCREATE TABLE released (id int);\n-- downgrade\nDROP TABLE released;\n";
    shell.project.write("migrations/r2.sql", release);
    shell.types("backstay plan release -e production > migration_preview.sql", 0, "");
    assert!(shell.reads("migration_preview.sql").contains("CREATE TABLE released"));
    shell.types("backstay migrate upgrade head -e production", 2, "protected = true");
    shell.types("backstay run release -e production --yes", 0, "");
    assert_eq!(shell.reads("deployed"), "deployed\n");
    shell.types("backstay migrate current -e production", 0, "r2 (head)");
}

fn writing(shell: &mut Shell) {
    shell.types("backstay migrate show head -e staging", 0, "Parent: xyz789");
    shell.types("backstay migrate show c08085465bad -e staging", 0, "1_initial_schema.sql");
    let branch = |id: &str| {
        format!("-- revision: {id}\n-- revises: r2\n-- upgrade\nSELECT 1;\n-- downgrade\nSELECT 1;\n")
    };
    for id in ["head1", "head2"] {
        shell.project.write(&format!("migrations/{id}.sql"), &branch(id));
    }
    shell.types("backstay migrate upgrade head -e staging", 3, "merge");
    shell.types(
        "backstay migrate merge -m \"merge migration heads\" head1 head2 -e staging",
        0,
        "head1, head2 -> ",
    );
    shell.project.write("migrations/head3.sql", &branch("head3"));
    shell.types("backstay migrate merge heads -m \"merge branches\" -e staging", 0, ", merge branches");
    shell.types(
        "backstay migrate revision -m \"migrate user data format\" -e staging",
        0,
        "_migrate_user_data_format.sql",
    );
    shell.types(
        "backstay migrate revision -m \"add user profile table\" -e staging",
        0,
        "_add_user_profile_table.sql",
    );
    shell.types("ls migrations", 0, "_add_user_profile_table.sql");
}

fn of_alembic(shell: &mut Shell) {
    shell.types("backstay migrate upgrade head --create-database -e legacy", 0, "created database");
    shell.types("backstay migrate revision -m \"custom migration\" -e legacy", 0, "_custom_migration.py");
    shell.types("backstay migrate upgrade head -e legacy", 0, "applied ");
    let generate = "backstay migrate revision --autogenerate -m";
    shell.types(&format!("{generate} \"description of changes\" -e legacy"), 0, "_description_of_changes.py");
    shell.types("backstay migrate upgrade head -e legacy", 0, "applied ");
    shell.types("backstay migrate check -e legacy", 0, "No new upgrade operations detected.");
    shell.types("backstay migrate check --migrations -e legacy", 0, "is what its migrations make");
    shell.types("backstay migrate test -e legacy", 0, "checks passed");
    shell.types(
        &format!("{generate} \"add user preferences table\" -e legacy"),
        0,
        "_add_user_preferences_table.py",
    );
    shell.types("backstay migrate status -e legacy", 0, "1 pending");
}
