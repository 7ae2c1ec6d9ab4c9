//! `backstay status`: what is, and the command that mends each thing that should not be.

mod all;
mod backups;
mod databases;
mod driver;
mod flag;
mod mend;
mod revision;
mod scene;
mod together;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::runs::{spoken, verdict_word};
use super::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::schedule::Schedule;
use crate::time::{between, now, show_duration};
use crate::ui::Look;
use crate::ui::layout::hang;
use crate::words::count;
use databases::{INVALID, LEFTOVER, ORPHANED};
use scene::Scene;
use together::Alike;

/// What runs and who drives it, flag, fence, revision and what is pending, last backup and proof, leftovers
#[derive(Debug, Args)]
pub struct Status {
    /// Every environment in config/, in one table
    #[arg(long)]
    all: bool,
}

/// The facts that there can be several of.
const LISTS: [&str; 3] = [LEFTOVER, INVALID, ORPHANED];

/// One thing that is looked at.
struct Fact {
    name: &'static str,
    text: String,
    mends: Option<String>,
    value: Value,
    /// What it is, where a person is told of all of its sort at once.
    alike: Option<Alike>,
}

impl Fact {
    fn new(name: &'static str, text: impl Into<String>, value: Value) -> Self {
        Self { name, text: text.into(), mends: None, value, alike: None }
    }

    fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.mends = Some(command.into());
        self
    }

    fn told_with(mut self, alike: Alike) -> Self {
        self.alike = Some(alike);
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

impl Status {
    /// Whether it asks the one environment's server: where all are looked at, each has its own tunnel.
    pub fn asks_a_server(&self) -> bool {
        !self.all
    }
}

pub(super) async fn run(shell: &Shell, command: &Status) -> Result<Verdict, Trouble> {
    if command.all {
        return all::run(shell).await;
    }
    let config = shell.config()?;
    let facts = facts(shell, &config).await;
    shell.tell(&text(&config.environment, &facts, shell.look), document(&config, &facts));
    Ok(Verdict::Done)
}

/// All that is to be seen of an environment. What is out of reach is a fact too.
async fn facts(shell: &Shell, config: &Config) -> Vec<Fact> {
    let store = shell.store(config);
    let scene = Scene::look(shell, config, &*store).await;
    let mut facts = vec![last_run(&scene)];
    facts.extend(config.schedule.as_ref().map(scheduled));
    facts.extend(spooled(shell, config).await);
    facts.extend(lock(&scene));
    facts.push(flag::look(&scene).await);
    let databases = databases::look(&scene).await;
    facts.push(match databases.iter().any(databases::shuts_out) {
        true => revision::behind_a_fence(),
        false => revision::look(shell, config).await,
    });
    facts.extend(databases);
    facts.extend(backups::look(config, &*store).await);
    facts
}

/// The facts, one below the other. Texts are wrapped; a command that mends one stays whole, for it will be copied.
fn text(environment: &str, facts: &[Fact], look: Look) -> String {
    const FIRST: &str = "environment";
    let said = together::lines(environment, facts);
    let width = said.iter().map(|line| line.name.len()).max().unwrap_or(0).max(FIRST.len());
    let mut lines = vec![format!("{FIRST:width$}  {environment}")];
    for line in &said {
        lines.extend(hang(&format!("{:width$}  ", line.name), &line.text, look.width));
        let arrow = format!("{:width$}  -> ", "");
        lines.extend(line.mends.iter().flat_map(|mends| hang(&arrow, mends, look.width)));
    }
    lines.join("\n")
}

fn document(config: &Config, facts: &[Fact]) -> Value {
    let mut document = json!({ "environment": config.environment });
    for name in LISTS {
        document[member(name)] = json!([]);
    }
    for fact in facts {
        let said = json!({ "text": fact.text, "mends": fact.mends, "value": fact.value });
        match document[member(fact.name)].as_array_mut() {
            Some(list) => list.push(said),
            None => document[member(fact.name)] = said,
        }
    }
    document
}

fn member(name: &str) -> String {
    name.replace(' ', "_")
}

fn last_run(scene: &Scene<'_>) -> Fact {
    const NAME: &str = "run";
    let run = match &scene.last {
        Ok(Some(run)) => run,
        Ok(None) => return Fact::new(NAME, "none yet", Value::Null),
        Err(failure) => return Fact::unknown(NAME, failure),
    };
    let word = verdict_word(&run.state);
    let ago = run.records.last().map(|r| show_duration(between(r.at, now()))).unwrap_or_default();
    let text = format!("{}: {}, last record {ago} ago", run.id, spoken(&word));
    let value = json!({ "run": run.id, "verdict": word });
    let Some(driving) = &run.driving else { return Fact::new(NAME, text, value) };
    let value = json!({ "run": run.id, "verdict": word, "driver": driving.value });
    let fact = Fact::new(NAME, format!("{text}; {}", driving.text), value);
    if driving.needs_resume { fact.mended_by(mend::resume(scene.config, &run.id)) } else { fact }
}

/// Whether a window may be open now. Which release fits into it, `plan` and `doctor` tell.
fn scheduled(schedule: &Schedule) -> Fact {
    let at = now();
    let admitted = schedule.admit(at, Duration::ZERO);
    let text = match &admitted {
        Ok(until) => schedule.show_open(*until, at),
        Err(refusal) => {
            let why = schedule.show_why(refusal, at, Duration::ZERO);
            format!("{why}; {}", schedule.show_next(refusal.next, at))
        }
    };
    let opens = admitted.as_ref().err().and_then(|refusal| refusal.next).map(|span| span.from);
    let value = json!({
        "windows": schedule.to_string(), "open": admitted.is_ok(), "until": admitted.ok().flatten(), "opens": opens,
    });
    Fact::new("schedule", text, value)
}

/// Records that a put-back without its store left on this machine.
async fn spooled(shell: &Shell, config: &Config) -> Option<Fact> {
    const NAME: &str = "spool";
    let spool = shell.spool(config);
    let waiting = match spool.waiting().await {
        Ok(waiting) => waiting.len(),
        Err(error) => return Some(Fact::unknown(NAME, &Failure::from(error))),
    };
    let (path, objects) = (spool.path().display(), count(waiting as u64, "object waits", "objects wait"));
    let text = format!("{objects} in {path} for the store: what it says of the last run is not all");
    let value = json!({ "path": spool.path(), "objects": waiting });
    let brought = format!("backstay resume -e {}", config.environment);
    (waiting > 0).then(|| Fact::new(NAME, text, value).mended_by(brought))
}

/// Who holds the lock, where that is no driver of the last run.
fn lock(scene: &Scene<'_>) -> Option<Fact> {
    let holder = scene.server.as_ref().ok()?.holder.as_ref()?;
    let told = scene.unfinished().is_some();
    (!told).then(|| Fact::new("lock", format!("held by {holder}"), json!({ "holder": holder.to_string() })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_columns_are_enough() {
        let run = "20261121t004217z-5kqw: unfinished, last record 2 h 04 m ago; its driver deploy@ci-7 was last heard 2 h \
                   04 m ago";
        let facts = [
            Fact::new("run", run, Value::Null)
                .mended_by("backstay resume 20261121t004217z-5kqw -e production"),
            Fact::new(
                "flag",
                "up for 2 h 04 m, for run 20261121t004217z-5kqw, 1 h 49 m over its max",
                Value::Null,
            ),
            Fact::new("orphaned files", "none", Value::Null),
        ];
        let narrow = text("production", &facts, Look { width: 60, ..Look::BARE });
        assert!(narrow.lines().filter(|line| !line.contains("-> ")).all(|line| line.len() <= 60), "{narrow}");
        insta::assert_snapshot!("status_narrow", narrow);
        assert_eq!(text("production", &facts, Look::BARE).lines().count(), 5);
    }
}
