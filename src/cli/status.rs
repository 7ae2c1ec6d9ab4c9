//! `backstay status`: what is, and the command that mends each thing that should not be.

mod backups;

use clap::Args;
use serde_json::{Value, json};

use super::cleanup::{Leftover, leftovers};
use super::migrate::standing;
use super::runs::verdict_word;
use super::{Shell, Trouble};
use crate::config::Config;
use crate::engine::begin;
use crate::engine::state::State;
use crate::failure::{Failure, Verdict};
use crate::journal;
use crate::migrate::show;
use crate::pg::catalog::{self, Database};
use crate::pg::refused;
use crate::steps::{direct, migrator};
use crate::store::Store;
use crate::time::{between, now, show_duration};
use crate::window::flag::{self, Standing};
use crate::window::names::Role;

/// What runs, flag, fence, revision and what is pending, last backup and proof, leftovers
#[derive(Debug, Args)]
pub struct Status {}

const FENCE: &str = "fence";

/// The only fact that there can be several of.
const LEFTOVER: &str = "leftover";

/// One thing that is looked at.
struct Fact {
    name: &'static str,
    text: String,
    mends: Option<String>,
    value: Value,
}

impl Fact {
    fn new(name: &'static str, text: impl Into<String>, value: Value) -> Self {
        Self { name, text: text.into(), mends: None, value }
    }

    fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.mends = Some(command.into());
        self
    }

    fn unknown(name: &'static str, failure: &Failure) -> Self {
        let fact = Self::new(name, format!("unknown: {failure}"), json!({ "error": failure }));
        match failure.next.first() {
            Some(next) => fact.mended_by(next),
            None => fact,
        }
    }
}

pub(super) async fn run(shell: &Shell, _command: &Status) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let store = shell.store(&config);
    let mut facts = vec![last_run(&config, &*store).await, flag_fact(&config).await];
    facts.extend(databases(shell, &config, &*store).await);
    facts.push(revision(shell, &config).await);
    facts.extend(backups::look(&config, &*store).await);
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
    let mut lines = vec![format!("{:width$}  {}", "environment", config.environment, width = width)];
    for fact in &facts {
        lines.push(format!("{:width$}  {}", fact.name, fact.text));
        lines.extend(fact.mends.iter().map(|command| format!("{:width$}  -> {command}", "")));
    }
    let mut document = json!({ "environment": config.environment, LEFTOVER: [] });
    for fact in facts {
        let said = json!({ "text": fact.text, "mends": fact.mends, "value": fact.value });
        match (fact.name, document[LEFTOVER].as_array_mut()) {
            (LEFTOVER, Some(leftovers)) => leftovers.push(said),
            (name, _) => document[name.replace(' ', "_")] = said,
        }
    }
    shell.tell(&lines.join("\n"), document);
    Ok(Verdict::Done)
}

async fn last_run(config: &Config, store: &dyn Store) -> Fact {
    const NAME: &str = "run";
    let runs = match journal::runs(store).await {
        Ok(runs) => runs,
        Err(error) => return Fact::unknown(NAME, &error.into()),
    };
    for run in runs.iter().rev() {
        let records = match journal::read(store, run).await {
            Ok(history) => history.records,
            Err(error) => return Fact::unknown(NAME, &error.into()),
        };
        if begin::environment_of(&records) != Some(&config.environment) {
            continue;
        }
        let word = verdict_word(&State::of(&records));
        let ago = records.last().map(|r| show_duration(between(r.at, now()))).unwrap_or_default();
        let fact = Fact::new(
            NAME,
            format!("{run}: {word}, last record {ago} ago"),
            json!({ "run": run, "verdict": word }),
        );
        let resume = format!("backstay resume {run} -e {}", config.environment);
        return if begin::ended(&records) { fact } else { fact.mended_by(resume) };
    }
    Fact::new(NAME, "none yet", Value::Null)
}

async fn flag_fact(config: &Config) -> Fact {
    const NAME: &str = "flag";
    let Some(flag) = &config.flag else { return Fact::new(NAME, "not configured", Value::Null) };
    match flag::look(flag, &config.root).await {
        Ok(Standing::Down) => Fact::new(NAME, "down", json!({ "up": false })),
        Ok(Standing::Up(holder)) => {
            let whose = holder.clone().map(|h| format!(", held by {h}")).unwrap_or_default();
            Fact::new(
                NAME,
                format!("UP{whose}: users see the maintenance page"),
                json!({ "up": true, "holder": holder }),
            )
            .mended_by(format!(
                "backstay resume -e {0}, or backstay maintenance off -e {0}",
                config.environment
            ))
        }
        Err(failure) => Fact::unknown(NAME, &failure),
    }
}

/// The fence, and what earlier runs left.
async fn databases(shell: &Shell, config: &Config, store: &dyn Store) -> Vec<Fact> {
    let look = async {
        let session = shell.connect_admin(config, "status").await?;
        let production = catalog::database_by_name(&session, config.database.url.database()).await;
        let production = production.map_err(|error| refused("look for the database", &error))?;
        Ok((production, leftovers(&session, config, store).await?))
    };
    let (production, found) = match look.await {
        Ok(found) => found,
        Err(failure) => return vec![Fact::unknown(FENCE, &failure)],
    };
    let (fences, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|l| l.trace.role == Role::Window);
    let mut facts = vec![fence_fact(config, production.as_ref(), fences.first())];
    for leftover in others {
        let value = json!({ "database": leftover.database.name, "run": leftover.trace.run });
        facts.push(
            Fact::new(LEFTOVER, leftover.describe(), value)
                .mended_by(format!("backstay cleanup -e {}", config.environment)),
        );
    }
    facts
}

/// Whether the application can get in: the rename is not all that can shut it out.
fn fence_fact(config: &Config, production: Option<&Database>, fence: Option<&Leftover>) -> Fact {
    let resume = |run: &str| format!("backstay resume {run}-e {}", config.environment);
    match (production, fence) {
        (_, Some(fence)) => {
            let (name, run) = (&fence.database.name, &fence.trace.run);
            let text = format!("CLOSED: production is called {name}");
            Fact::new(FENCE, text, json!({ "closed": true, "run": run }))
                .mended_by(resume(&format!("{run} ")))
        }
        (Some(database), None) if !database.allow_connections => {
            let text = format!("CLOSED: {} lets no sessions in", database.name);
            Fact::new(FENCE, text, json!({ "closed": true, "run": null })).mended_by(resume(""))
        }
        (Some(_), None) => Fact::new(FENCE, "open", json!({ "closed": false })),
        (None, None) => {
            let name = config.database.url.database();
            let text = format!("unknown: there is no database called {name}");
            Fact::new(FENCE, text, json!({ "closed": null })).mended_by(format!(
                "backstay migrate upgrade heads --create-database -e {}, or correct [database] url",
                config.environment
            ))
        }
    }
}

async fn revision(shell: &Shell, config: &Config) -> Fact {
    const NAME: &str = "revision";
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
