//! The migration files, and whether the database's revision is one of theirs.

use super::{Check, Finding, Premises};
use crate::config::{Config, MigrationRoot};
use crate::failure::Failure;
use crate::migrate::State;
use crate::pg::Session;
use crate::steps::{migrator, roots};
use crate::words::shell_word;

pub(super) async fn examine(premises: &Premises<'_>, session: &Session) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, target) in &premises.outline.migrations {
        match roots(premises.config, name.as_deref()) {
            Ok(roots) => {
                for root in roots {
                    checks.push(examine_root(premises.config, root, target, session).await);
                }
            }
            Err(failure) => checks.push(Check::new("migrations", "", vec![Finding::of(&failure)])),
        }
    }
    checks
}

async fn examine_root(config: &Config, root: &MigrationRoot, target: &str, session: &Session) -> Check {
    let (said, findings) = match look(config, root, target, session).await {
        Ok((said, findings)) => (said, findings),
        Err(failure) => (String::new(), vec![Finding::of(&failure)]),
    };
    Check::new("migrations", said, findings)
}

async fn look(
    config: &Config,
    root: &MigrationRoot,
    target: &str,
    session: &Session,
) -> Result<(String, Vec<Finding>), Failure> {
    let migrator = migrator(root, None)?;
    let current = migrator.current(session).await?;
    let at = match &current.state {
        State::Unversioned => {
            let finding = Finding::blocks(
                format!("the database has tables, but no revision is recorded in {}", root.version_table),
                format!("if its schema is that of a known revision: {}", stamp(config, root)),
            );
            return Ok((String::new(), vec![finding]));
        }
        State::Missing => "base".to_string(),
        State::At(revisions) => revisions.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    let pending = migrator.plan(&current, target)?;
    let files = migrator.chain().graph().len();
    Ok((format!("{files} files, the database is at {at}, {} pending", pending.len()), vec![]))
}

/// The command as it has to be typed for this environment.
fn stamp(config: &Config, root: &MigrationRoot) -> String {
    let mut command = format!("backstay migrate stamp REVISION -e {}", config.environment);
    if config.migrations.len() > 1 {
        command.push_str(&format!(" --name {}", shell_word(&root.name)));
    }
    if config.protected {
        command.push_str(" --unguarded");
    }
    command
}
