//! Honest outside means of making a line fail: commands of the operator's in the runbook, wrong migrations,
//! other people at the database.

use crate::common::cluster;
use crate::common::project::Project;

impl Project {
    /// Adds a line to the runbook, after those of its phase: `before` the window, or `during` it.
    pub fn add_line(&self, phase: &str, line: &str) {
        let marker = match phase {
            "before" => "# ---- The window",
            "during" => "# The database is open again",
            "open" => "# The environment's health checks",
            _ => "# A line about this release",
        };
        self.edit("runbooks/release.toml", marker, &format!("[[{phase}]]\n{line}\n\n{marker}"));
    }

    /// Adds a command that runs this shell script.
    pub fn add_command(&self, phase: &str, script: &str) {
        let line = format!(
            "step = \"command\"\nname = \"sabotage\"\nrun = [\"sh\", \"-ec\", '''{script}''']\nundo = \"none\""
        );
        self.add_line(phase, &line);
    }

    /// Adds a command at which the run waits until the test lets it through.
    pub fn add_gate(&self, phase: &str) {
        self.add_command(phase, &waits(phase));
    }

    /// What `deploy` and its undo do, as shell scripts.
    pub fn deploys(&self, deploy: &str, undo: &str) {
        self.write("deploy.sh", &format!("set -e\necho deployed >> deployed\n{deploy}\n"));
        self.write("undo.sh", &format!("set -e\necho undone >> deployed\n{undo}\n"));
        self.set_deploy("sh deploy.sh", "sh undo.sh");
    }

    /// A migration after the shop's last one.
    pub fn add_migration(&self, head: &str, upgrade: &str) {
        let text = format!(
            "-- revision: 0f0f0f0f0f0f\n-- revises: c08085465bad\n{head}-- One too many\n\n-- upgrade\n{upgrade}\n-- downgrade\nSELECT 1;\n"
        );
        self.write("migrations/0f0f0f0f0f0f.sql", &text);
    }

    /// A shell command that runs this SQL as the application's role, where `DATABASE_URL` leads.
    pub fn sql(&self, statements: &str) -> String {
        format!("{} \"$DATABASE_URL\" -qXv ON_ERROR_STOP=1 -c \"{statements}\"", psql())
    }

    /// A shell command that runs this SQL as a superuser, in `postgres`.
    pub fn superuser_sql(&self, statements: &str) -> String {
        let url = cluster().url("postgres", "postgres");
        format!("{} {url} -qXv ON_ERROR_STOP=1 -c \"{statements}\"", psql())
    }
}

/// A shell script that says that it is at a gate, and waits there.
pub fn waits(gate: &str) -> String {
    format!("touch at-{gate}; until [ -e open-{gate} ]; do sleep 0.02; done")
}

fn psql() -> String {
    cluster().binaries().join("psql").display().to_string()
}
