//! `migrate check`: has the database drifted from its migrations?

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use super::files::Files;
use super::passed::is_alembic;
use super::trouble;
use crate::backup::objects::{Difference, Object};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::alembic::Output;
use crate::migrate::drift::{Conformity, View};
use crate::migrate::{Database, Migrator};
use crate::steps::{Roots, every_root, look_for_drift, own_database, view};
use crate::words::count;

/// Whether the database has the schema that its migrations make; differences object by object, exit 3
#[derive(Debug, Args)]
pub struct Check {
    /// Compare the owners of objects too
    #[arg(long)]
    owners: bool,
    /// Compare privileges too
    #[arg(long)]
    privileges: bool,
    /// Hold the database against what the migrations make, where Alembic would hold it against the models
    #[arg(long)]
    migrations: bool,
    /// Leave out this schema, beside those that the config leaves out; a pattern: tmp_*
    #[arg(long, value_name = "SCHEMA")]
    ignore_schema: Vec<String>,
}

impl Check {
    /// What the config says, and more.
    fn view(&self, config: &Config) -> View {
        let mut view = view(config);
        view.owners |= self.owners;
        view.privileges |= self.privileges;
        view.without_schemas.extend(self.ignore_schema.iter().cloned());
        view
    }
}

pub(super) async fn run(
    shell: &Shell,
    config: &Config,
    meant: &[&MigrationRoot],
    command: &Check,
) -> Result<Verdict, Trouble> {
    let database = own_database(config, "migrate check");
    let (of_alembic, others): (Vec<&MigrationRoot>, Vec<&MigrationRoot>) =
        meant.iter().partition(|root| is_alembic(root));
    let (mut holds, mut text, mut document) =
        (true, Vec::new(), json!({ "environment": config.environment }));
    if command.migrations || !others.is_empty() {
        // All roots, whichever are meant: one schema is what all of them make.
        let roots = every_root(config)?;
        let found = look_for_drift(&roots, &database, &command.view(config)).await?;
        holds = found.holds();
        text = lines(config, &roots, &found);
        document = drift_document(config, &roots, &found);
    }
    let mut models = Vec::new();
    for root in of_alembic {
        let output = ask_alembic(shell, root, &database).await?;
        holds &= output.success;
        let named =
            |line: &String| if meant.len() > 1 { format!("{}: {line}", root.name) } else { line.clone() };
        text.extend(output.lines.iter().map(named));
        models.push(json!({ "name": root.name, "holds": output.success, "lines": output.lines }));
    }
    document["holds"] = json!(holds);
    document["models"] = json!(models);
    shell.tell(&text.join("\n"), document);
    Ok(if holds { Verdict::Done } else { Verdict::Refused })
}

/// Alembic's own check: the database against the models.
async fn ask_alembic(shell: &Shell, root: &MigrationRoot, database: &Database) -> Result<Output, Trouble> {
    let files = Files::of(root)?;
    let Some(alembic) = files.migrator.alembic() else {
        return Err(Failure::internal("pass check on to Alembic").into());
    };
    let work = Work::begin(shell);
    let answer = alembic.pass(&["check"], Some(database), &work.progress).await;
    work.end().await;
    answer.map_err(trouble)
}

fn lines(config: &Config, roots: &Roots<'_>, found: &Conformity) -> Vec<String> {
    let name = config.database.url.database();
    let mut lines = vec![match found.holds() {
        true => format!("the schema of {name} is what its migrations make: {}", found.extent()),
        false => {
            let objects = count(found.drift.len() as u64, "object", "objects");
            format!("the schema of {name} is not what its migrations make: {objects} of drift")
        }
    }];
    for difference in &found.drift {
        lines.extend(shown(difference));
    }
    if !found.holds() {
        lines.extend(ways_out(config));
    }
    lines.extend(asides(roots, found));
    lines
}

/// One object, and what differs in it.
fn shown(difference: &Difference) -> Vec<String> {
    let (mark, object) = (difference.mark(), difference.object());
    let mut lines = vec![String::new(), format!("{mark} {object}: {}", difference.meaning())];
    lines.extend(difference.lines().into_iter().map(|line| format!("    {line}")));
    lines
}

fn ways_out(config: &Config) -> [String; 3] {
    [
        String::new(),
        "-> write what the database should keep as a revision, and make it so by hand where it is already: \
         backstay migrate stamp"
            .to_string(),
        format!(
            "-> or undo by hand what was done by hand; backstay migrate check -e {} again",
            config.environment
        ),
    ]
}

/// What is no drift, and worth knowing beside it.
fn asides(roots: &Roots<'_>, found: &Conformity) -> Vec<String> {
    let mut lines = Vec::new();
    for ((root, migrator), current) in roots.iter().zip(&found.standings) {
        let pending = pending(&**migrator, &current.revisions);
        if !pending.is_empty() {
            let pending = pending.join(", ");
            lines.push(format!("{}: pending, and so not compared: {pending}", root.name));
        }
        if !current.edited.is_empty() {
            let edited = current.edited.join(", ");
            lines.push(format!(
                "{}: edited after they were applied, and compared as they are now: {edited}",
                root.name
            ));
        }
        for attempt in &current.unfinished {
            let (verb, revision) = (&attempt.direction, &attempt.revision);
            lines.push(format!("{}: {verb} of {revision} was broken off: {}", root.name, attempt.extent()));
        }
    }
    if !found.rewritten.is_empty() {
        let names: Vec<String> = found.rewritten.iter().map(|d| d.object().to_string()).collect();
        lines.push(format!(
            "only casts and parentheses stand elsewhere, as after a restore: {}",
            names.join(", ")
        ));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn pending(migrator: &dyn Migrator, rows: &BTreeSet<String>) -> Vec<String> {
    let plan = migrator.chain().graph().plan_upgrade(rows, "heads").unwrap_or_default();
    plan.into_iter().map(|step| step.revision).collect()
}

fn drift_document(config: &Config, roots: &Roots<'_>, found: &Conformity) -> Value {
    let migrations: Vec<Value> = roots
        .iter()
        .zip(&found.standings)
        .map(|((root, migrator), current)| {
            json!({
                "name": root.name, "revisions": current.revisions,
                "pending": pending(&**migrator, &current.revisions),
                "edited": current.edited,
            })
        })
        .collect();
    json!({
        "environment": config.environment,
        "database": config.database.url.database(),
        "tables": found.tables,
        "objects": found.objects,
        "drift": found.drift.iter().map(difference_document).collect::<Vec<_>>(),
        "rewritten": found.rewritten.iter().map(|d| object_document(d.object())).collect::<Vec<_>>(),
        "migrations": migrations,
    })
}

fn difference_document(difference: &Difference) -> Value {
    let (change, expected, found) = match difference {
        Difference::Missing(expected) => ("missing", Some(expected), None),
        Difference::Unexpected(found) => ("unexpected", None, Some(found)),
        Difference::Changed { expected, found, .. } => ("changed", Some(expected), Some(found)),
    };
    let mut document = object_document(difference.object());
    document["change"] = json!(change);
    document["migrations"] = json!(expected.map(|object| &object.definition));
    document["database"] = json!(found.map(|object| &object.definition));
    document
}

fn object_document(object: &Object) -> Value {
    json!({ "kind": object.kind.to_lowercase(), "schema": object.schema, "name": object.name })
}
