//! What `status` says of migrations: what is applied, and what is pending.

use serde_json::{Value, json};

use super::Fact;
use crate::cli::Shell;
use crate::cli::migrate::standing;
use crate::config::Config;
use crate::failure::Failure;
use crate::migrate::show;
use crate::steps::{direct, migrator};

const NAME: &str = "revision";

/// No database has production's name, and nobody should make one because of that.
pub(super) fn behind_a_fence() -> Fact {
    Fact::new(NAME, "not to be seen while the database is closed", Value::Null)
}

pub(super) async fn look(shell: &Shell, config: &Config) -> Fact {
    let look = async {
        let session = shell.connect(config, direct(config), "status").await?;
        let (mut said, mut values) = (Vec::new(), Vec::new());
        for root in &config.migrations {
            let migrator = migrator(root, None)?;
            let current = migrator.current(&session).await?;
            let pending = migrator.plan(&current, "heads")?;
            let last = current.last.clone();
            let at = show::current(migrator.chain(), &current.revisions).join(", ");
            let at = if at.is_empty() { "base".to_string() } else { at };
            let told = last.as_ref().map(|entry| format!(" (last: {})", standing::told(entry)));
            said.push(format!("{}: {at}, {} pending{}", root.name, pending.len(), told.unwrap_or_default()));
            values.push(json!({
                "name": root.name,
                "revisions": current.revisions,
                "heads": migrator.chain().graph().heads(),
                "pending": pending.iter().map(|step| step.revision.as_str()).collect::<Vec<_>>(),
                "last": last.as_ref().map(standing::entry_document),
            }));
        }
        Ok::<_, Failure>((said.join("; "), Value::from(values)))
    };
    match look.await {
        Ok((said, value)) => Fact::new(NAME, said, value),
        Err(failure) => Fact::unknown(NAME, &failure),
    }
}
