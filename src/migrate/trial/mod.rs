//! The migrations tried out on a scratch database: up, down and up again, step by step and as a whole.
//!
//! What is held against each other are schemas, as pg_dump writes them. Rows are not looked at.

mod steps;

use std::collections::{BTreeMap, BTreeSet};

use super::drift::{View, tables};
use super::error::MigrateError;
use super::migrator::{Database, Migrator};
use crate::backup::objects::{Difference, Nature, Object, compare};
use crate::event::Progress;
use crate::failure::Failure;
use crate::pg::{self, Session};
use crate::words::count;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// A person should know of it.
    Warned,
    /// Not as it should be.
    Failed,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What was looked at, in one word: `chain`, `upgrade`, `steps`, `downgrade`, `round_trip`, `current`.
    pub check: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// In a few words.
    pub said: String,
    /// What it is made of: the lines of a difference, the server's words.
    pub details: Vec<String>,
}

impl Finding {
    /// A check that came out as it should.
    pub fn passed(check: &'static str, said: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Passed, said: said.into(), details: Vec::new() }
    }

    /// Something that a person should know.
    pub fn warned(check: &'static str, said: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warned, ..Self::passed(check, said) }
    }

    /// A check that did not hold.
    pub fn failed(check: &'static str, said: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, ..Self::passed(check, said) }
    }

    /// With what it is made of.
    #[must_use]
    pub fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    fn because(self, failure: &Failure) -> Self {
        let mut details = vec![format!("could not {}", failure.what)];
        details.extend(failure.causes.iter().cloned());
        details.extend(failure.state.iter().cloned());
        self.with(details)
    }
}

/// The tables that one root makes, by where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// After each revision that was the only row of the version table.
    at: BTreeMap<String, BTreeSet<String>>,
    heads: BTreeSet<String>,
    all: BTreeSet<String>,
}

impl Made {
    /// The tables of a database with these rows, as far as the trial came by there.
    pub fn tables_at(&self, rows: &BTreeSet<String>) -> Option<BTreeSet<String>> {
        match rows.iter().collect::<Vec<_>>().as_slice() {
            [] => Some(BTreeSet::new()),
            _ if *rows == self.heads => Some(self.all.clone()),
            [row] => self.at.get(*row).cloned(),
            _ => None,
        }
    }
}

/// Tries out one root after the other.
pub struct Trial<'a> {
    /// An empty database, or one with the roots before applied.
    pub scratch: &'a Database,
    /// All roots of the environment: their records are no part of the schema.
    pub roots: &'a [&'a dyn Migrator],
    /// What of the schema is looked at.
    pub view: &'a View,
    /// Told of each finding as it is made.
    pub tell: &'a mut (dyn FnMut(Finding) + Send),
}

/// What the migrations do so differently that nothing after it can be tried; it has been told.
struct Stop;

impl Trial<'_> {
    /// Tries out `root`; at the end it stands at its heads, where it came so far. Gives the tables that it makes.
    ///
    /// # Errors
    /// If the scratch database can't be looked at; what a migration does is a finding.
    pub async fn examine(mut self, root: &dyn Migrator) -> Result<Made, Failure> {
        self.say_chain(root);
        let session = pg::connect(&self.scratch.info, &self.scratch.session).await?;
        let empty = self.look().await?;
        let mut made = Made::default();
        if self.whole(root, &session, &empty, &mut made).await?.is_ok() {
            self.say_current(root, &session).await?;
        }
        session.close().await;
        Ok(made)
    }

    async fn whole(
        &mut self,
        root: &dyn Migrator,
        session: &Session,
        empty: &[Object],
        made: &mut Made,
    ) -> Result<Result<(), Stop>, Failure> {
        let stepped = match self.step_by_step(root, session, empty, made).await? {
            Ok(stepped) => stepped,
            Err(stop) => return Ok(Err(stop)),
        };
        if stepped.irreversible.is_empty() {
            match self.down_and_up(root, empty, &stepped.schema).await? {
                Ok(()) => {}
                Err(stop) => return Ok(Err(stop)),
            }
        } else {
            let said =
                format!("downgrade base is not tried: no way back from {}", stepped.irreversible.join(", "));
            (self.tell)(Finding::warned("downgrade", said));
        }
        made.all = &tables(&stepped.schema) - &tables(empty);
        made.heads = root.chain().graph().heads().into_iter().map(String::from).collect();
        let said = format!("{}: {}", count(made.all.len() as u64, "table", "tables"), listed(&made.all));
        (self.tell)(Finding::passed("tables", said));
        Ok(Ok(()))
    }

    /// From the heads to nothing, and back in one go.
    async fn down_and_up(
        &mut self,
        root: &dyn Migrator,
        empty: &[Object],
        full: &[Object],
    ) -> Result<Result<(), Stop>, Failure> {
        if let Err(error) = root.downgrade(self.scratch, "base", &Progress::none()).await {
            (self.tell)(Finding::failed("downgrade", "downgrade base does not run").because(&error.into()));
            return Ok(Err(Stop));
        }
        let left = compare(empty.to_vec(), self.look().await?);
        self.judge(
            "downgrade",
            "downgrade base leaves nothing",
            "downgrade base does not leave what was there",
            &left,
        );
        if let Err(error) = root.upgrade(self.scratch, "heads", &Progress::none()).await {
            (self.tell)(again_fails(error));
            return Ok(Err(Stop));
        }
        let differences = compare(full.to_vec(), self.look().await?);
        self.judge(
            "round_trip",
            "upgrade head again, in one go: the same schema",
            "upgrade head after downgrade base makes another schema",
            &differences,
        );
        Ok(Ok(()))
    }

    /// A finding of what differs. Columns in another order are told and no fault: PostgreSQL puts a column that
    /// comes back behind the others.
    fn judge(&mut self, check: &'static str, good: &str, bad: &str, differences: &[Difference]) {
        let of = |wanted: Nature| -> Vec<&Difference> {
            differences.iter().filter(|difference| difference.nature() == wanted).collect()
        };
        let (content, order) = (of(Nature::Content), of(Nature::Order));
        let details = |differences: &[&Difference]| differences.iter().flat_map(|d| told(d)).collect();
        (self.tell)(match (content.as_slice(), order.as_slice()) {
            ([], []) => Finding::passed(check, good),
            ([], order) => {
                let said = format!("{good}, but for the order of columns");
                Finding::warned(check, said).with(details(order))
            }
            (content, _) => Finding::failed(check, bad).with(details(content)),
        });
    }

    fn say_chain(&mut self, root: &dyn Migrator) {
        let graph = root.chain().graph();
        let (bases, heads) = (graph.bases(), graph.heads());
        let revisions = count(graph.len() as u64, "revision", "revisions");
        (self.tell)(match (bases.as_slice(), heads.as_slice()) {
            ([], []) => {
                Finding::warned("chain", format!("no revisions in {}", root.chain().folder().display()))
            }
            ([base], [head]) => Finding::passed(
                "chain",
                format!("{revisions} from {base} to {head}: one base, one head, no gaps"),
            ),
            (_, [head]) => Finding::passed(
                "chain",
                format!(
                    "{revisions} to {head}: one head, no gaps, {} bases: {}",
                    bases.len(),
                    bases.join(", ")
                ),
            ),
            _ => Finding::warned(
                "chain",
                format!(
                    "{revisions}, no gaps, but {} heads: {}; `upgrade head` is refused until they are merged",
                    heads.len(),
                    heads.join(", ")
                ),
            ),
        });
    }

    async fn say_current(&mut self, root: &dyn Migrator, session: &Session) -> Result<(), Failure> {
        let rows = root.current(session).await?.revisions;
        let heads: BTreeSet<String> = root.chain().graph().heads().into_iter().map(String::from).collect();
        let listed = |rows: &BTreeSet<String>| rows.iter().cloned().collect::<Vec<_>>().join(", ");
        (self.tell)(match rows == heads {
            true => Finding::passed("current", format!("at the end it stands at {} (head)", listed(&heads))),
            false => {
                let said = format!("at the end it stands at {:?}, not at {}", listed(&rows), listed(&heads));
                Finding::failed("current", said)
            }
        });
        Ok(())
    }

    async fn look(&self) -> Result<Vec<Object>, Failure> {
        self.view.look(self.roots, self.scratch).await
    }
}

fn again_fails(error: MigrateError) -> Finding {
    Finding::failed("round_trip", "upgrade head does not run after downgrade base").because(&error.into())
}

/// One difference: the object, and its lines.
pub fn told(difference: &Difference) -> Vec<String> {
    let mut lines = vec![difference.object().to_string()];
    lines.extend(difference.lines().into_iter().map(|line| format!("  {line}")));
    lines
}

fn listed(names: &BTreeSet<String>) -> String {
    let short = |name: &String| name.strip_prefix("public.").unwrap_or(name).to_string();
    names.iter().map(short).collect::<Vec<_>>().join(", ")
}
