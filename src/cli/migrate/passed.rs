//! The verbs that are Alembic's own where a root is an Alembic project: passed on.

use serde_json::json;

use super::files::Files;
use super::trouble;
use super::write::{Merge, NewRevision};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot, Tool};
use crate::failure::{Failure, Verdict};
use crate::migrate::Database;
use crate::steps::{direct, session_options};

/// Whether the verbs of this root are Alembic's.
pub(super) fn is_alembic(root: &MigrationRoot) -> bool {
    matches!(root.tool, Tool::Alembic(_))
}

/// `revision`; with `--autogenerate` it compares the models with the database.
pub(super) async fn revision(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    command: &NewRevision,
) -> Result<Verdict, Trouble> {
    refuse_twice(root, command.rev_id.as_deref())?;
    let mut arguments = vec!["revision", "-m", &command.message];
    if command.autogenerate {
        arguments.push("--autogenerate");
    }
    if command.splice {
        arguments.push("--splice");
    }
    let labels = command.branch_label.iter().flat_map(|label| ["--branch-label", label]);
    let needed = command.depends_on.iter().flat_map(|needed| ["--depends-on", needed]);
    arguments.extend(labels.chain(needed));
    arguments.extend(command.head.iter().flat_map(|head| ["--head", head]));
    arguments.extend(command.rev_id.iter().flat_map(|id| ["--rev-id", id]));
    pass(shell, config, root, &arguments, command.autogenerate).await
}

/// `merge`.
pub(super) async fn merge(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    command: &Merge,
) -> Result<Verdict, Trouble> {
    refuse_twice(root, command.rev_id.as_deref())?;
    let mut arguments = vec!["merge", "-m", &command.message];
    arguments.extend(command.branch_label.iter().flat_map(|label| ["--branch-label", label]));
    arguments.extend(command.rev_id.iter().flat_map(|id| ["--rev-id", id]));
    match command.revisions.as_slice() {
        [] => arguments.push("heads"),
        revisions => arguments.extend(revisions.iter().map(String::as_str)),
    }
    pass(shell, config, root, &arguments, false).await
}

/// Alembic only warns.
fn refuse_twice(root: &MigrationRoot, id: Option<&str>) -> Result<(), Failure> {
    let Some(id) = id else { return Ok(()) };
    match Files::of(root)?.chain().text(id) {
        None => Ok(()),
        Some(text) => Err(Failure::usage(format!("write the revision {id}"))
            .because_of(format!("{} has that id already", text.path.display()))
            .leaving("no file was written")),
    }
}

async fn pass(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    arguments: &[&str],
    compares: bool,
) -> Result<Verdict, Trouble> {
    let files = Files::of(root)?;
    let verb = arguments[0];
    let Some(alembic) = files.migrator.alembic() else {
        return Err(Failure::internal(format!("pass {verb} on to Alembic")).into());
    };
    let admin = config.database.maintenance();
    let session = session_options(config, &format!("backstay migrate {verb}"));
    let database = Database::new(direct(config).clone(), admin, session);
    let asked = (compares || alembic.asks_for_revisions()).then_some(&database);
    let work = Work::begin(shell);
    let done = alembic.pass(arguments, asked, &work.progress).await;
    work.end().await;
    let output = done.map_err(trouble)?;
    let document = json!({
        "environment": config.environment, "name": root.name, "verb": verb, "lines": output.lines,
    });
    match output.success {
        true => {
            shell.tell(&output.lines.join("\n"), document);
            Ok(Verdict::Done)
        }
        false => {
            let failure = Failure::refused(format!("run alembic {verb}"));
            Err(output.lines.iter().fold(failure, |failure, line| failure.because_of(line.as_str())).into())
        }
    }
}
